// A client comes back to the endpoint that served it first, by a cookie that the settings name:
// `{"cookie":"route"}`. The first choice is the wrapped balancer's (`then`), or without one they take turns.

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "balancer.h"

#define NONE UINT32_MAX
#define UNHEALTHY EXPORTS_JACKFIELD_PLUGIN_BALANCING_ENDPOINT_STATE_UNHEALTHY
#define ATTRIBUTES "; Path=/; HttpOnly; SameSite=Lax"
enum { KEY = 8 };

static balancer_string_t cookie; // its name
static char *line;               // NAME=........ATTRIBUTES
static char (*keys)[KEY];        // what a cookie says of each endpoint
static uint8_t *states;
static uint32_t count, turn;

// The NAME in {"cookie":"NAME"}.
static bool parse(const balancer_string_t *settings, balancer_string_t *name) {
    static const char before[] = "{\"cookie\":\"", after[] = "\"}";
    const size_t begin = sizeof before - 1, end = sizeof after - 1;
    if (settings->len <= begin + end || memcmp(settings->ptr, before, begin) != 0) return false;
    if (memcmp(settings->ptr + settings->len - end, after, end) != 0) return false;
    *name = (balancer_string_t){settings->ptr + begin, settings->len - begin - end};
    for (size_t i = 0; i < name->len; i++)
        if (!isalnum(name->ptr[i]) && name->ptr[i] != '_' && name->ptr[i] != '-') return false;
    return true;
}

bool exports_jackfield_plugin_balancing_configure(balancer_string_t *settings, balancer_string_t *error) {
    if (!parse(settings, &cookie)) {
        balancer_string_dup(error, "sticky-by-cookie needs {\"cookie\": \"NAME\"}");
        return false;
    }
    line = malloc(cookie.len + 1 + KEY + sizeof ATTRIBUTES);
    memcpy(line, cookie.ptr, cookie.len);
    line[cookie.len] = '=';
    memcpy(line + cookie.len + 1 + KEY, ATTRIBUTES, sizeof ATTRIBUTES);
    return true; // The settings stay: the cookie's name lies in them.
}

void exports_jackfield_plugin_balancing_update(exports_jackfield_plugin_balancing_endpoint_set_t *endpoints) {
    count = endpoints->addresses.len;
    keys = realloc(keys, (count + 1) * KEY);
    states = realloc(states, count + 1);
    memcpy(states, endpoints->states.ptr, count);
    for (uint32_t i = 0; i < count; i++) {
        const balancer_string_t *address = &endpoints->addresses.ptr[i];
        uint32_t hash = 0x811c9dc5; // FNV-1a
        for (size_t at = 0; at < address->len; at++) hash = (hash ^ address->ptr[at]) * 0x01000193;
        for (int digit = 0; digit < KEY; digit++) keys[i][digit] = "0123456789abcdef"[hash >> (28 - 4 * digit) & 15];
    }
    exports_jackfield_plugin_balancing_endpoint_set_free(endpoints);
}

// The endpoint that the cookie names, if it may still have it: a draining one may, to finish the session.
static uint32_t kept(void) {
    balancer_string_t key;
    uint32_t found = NONE;
    if (!jackfield_plugin_request_cookie(&cookie, &key)) return NONE;
    for (uint32_t i = 0; i < count && found == NONE; i++)
        if (key.len == KEY && memcmp(key.ptr, keys[i], KEY) == 0) found = i;
    balancer_string_free(&key);
    bool may = found != NONE && states[found] != UNHEALTHY && jackfield_plugin_endpoints_candidate(found);
    return may ? found : NONE;
}

uint32_t exports_jackfield_plugin_balancing_pick(exports_jackfield_plugin_balancing_pick_context_t *context) {
    uint32_t chosen = kept();
    if (chosen != NONE) return chosen;
    chosen = jackfield_plugin_delegate_pick();
    for (uint32_t i = 0; i < count && chosen == NONE; i++)
        if (jackfield_plugin_endpoints_eligible((turn + i) % count)) chosen = (turn + i) % count;
    if (chosen == NONE) return NONE;
    turn = chosen + 1;
    memcpy(line + cookie.len + 1, keys[chosen], KEY);
    balancer_string_t name, value;
    balancer_string_set(&name, "set-cookie");
    balancer_string_set(&value, line);
    jackfield_plugin_reply_edit_error_t error; // At L4 there is no response to leave it in.
    jackfield_plugin_reply_append_header(&name, &value, &error);
    return chosen;
}
