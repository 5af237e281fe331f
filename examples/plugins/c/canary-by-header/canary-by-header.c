// A request with the header `x-canary` goes to the endpoints that are labelled `canary`, every other
// to the rest. Among them the wrapped balancer chooses (`then`), or without one they take turns.

#include <stdlib.h>
#include <string.h>

#include "balancer.h"

#define NONE UINT32_MAX

static balancer_list_u32_t canaries, others;
static uint32_t turn;

static bool is_canary(const balancer_list_tuple2_string_string_t *labels) {
    for (size_t i = 0; i < labels->len; i++)
        if (labels->ptr[i].f0.len == 6 && memcmp(labels->ptr[i].f0.ptr, "canary", 6) == 0) return true;
    return false;
}

bool exports_jackfield_plugin_balancing_configure(balancer_string_t *settings, balancer_string_t *error) {
    bool empty = settings->len == 2 && memcmp(settings->ptr, "{}", 2) == 0;
    balancer_string_free(settings);
    if (!empty) balancer_string_dup(error, "canary-by-header has no settings");
    return empty;
}

void exports_jackfield_plugin_balancing_update(exports_jackfield_plugin_balancing_endpoint_set_t *endpoints) {
    size_t n = endpoints->labels.len;
    canaries = (balancer_list_u32_t){realloc(canaries.ptr, (n + 1) * sizeof(uint32_t)), 0};
    others = (balancer_list_u32_t){realloc(others.ptr, (n + 1) * sizeof(uint32_t)), 0};
    for (size_t i = 0; i < n; i++) {
        balancer_list_u32_t *group = is_canary(&endpoints->labels.ptr[i]) ? &canaries : &others;
        group->ptr[group->len++] = i;
    }
    exports_jackfield_plugin_balancing_endpoint_set_free(endpoints);
}

static uint32_t choose(balancer_list_u32_t *group) {
    uint32_t chosen = jackfield_plugin_delegate_pick_among(group);
    for (size_t i = 0; i < group->len && chosen == NONE; i++) {
        uint32_t endpoint = group->ptr[(turn + i) % group->len];
        if (jackfield_plugin_endpoints_eligible(endpoint)) chosen = endpoint;
    }
    turn++;
    return chosen;
}

static bool has_header(const char *name) {
    balancer_string_t header = {(uint8_t *)name, strlen(name)}, value;
    bool found = jackfield_plugin_request_header(&header, &value);
    if (found) balancer_string_free(&value);
    return found;
}

uint32_t exports_jackfield_plugin_balancing_pick(exports_jackfield_plugin_balancing_pick_context_t *context) {
    bool canary = has_header("x-canary");
    uint32_t chosen = choose(canary ? &canaries : &others);
    return chosen == NONE ? choose(canary ? &others : &canaries) : chosen;
}
