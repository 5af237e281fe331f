// Endpoints take turns, at first those with a label: `{"prefer": "LABEL"}`.

#include <stdlib.h>
#include <string.h>

#include "balancer.h"

#define NONE UINT32_MAX

typedef balancer_string_t text;
typedef struct {
    uint32_t *endpoints;
    uint32_t count;
} group;

static text prefer; // none is called "", which is no label
static group preferred, others;
static uint32_t turn;

// The LABEL in {"prefer":"LABEL"}: the settings are compact JSON. Escapes are refused.
static bool parse(text settings, text *label) {
    static const char before[] = "{\"prefer\":\"", after[] = "\"}";
    const size_t begin = sizeof before - 1, end = sizeof after - 1;
    *label = (text){NULL, 0};
    if (settings.len == 2) return true; // {}
    if (settings.len < begin + end || memcmp(settings.ptr, before, begin) != 0) return false;
    *label = (text){settings.ptr + begin, settings.len - begin - end};
    for (size_t i = 0; i < label->len; i++)
        if (label->ptr[i] == '"' || label->ptr[i] == '\\') return false;
    return memcmp(label->ptr + label->len, after, end) == 0;
}

bool exports_jackfield_plugin_balancing_configure(text *settings, text *error) {
    if (parse(*settings, &prefer)) return true; // The settings stay: the label lies in them.
    balancer_string_dup(error, "{{name}} has one setting: {\"prefer\": \"LABEL\"}");
    return false;
}

static bool is_preferred(const balancer_list_tuple2_string_string_t *labels) {
    for (size_t i = 0; i < labels->len; i++) {
        text label = labels->ptr[i].f0;
        if (label.len == prefer.len && memcmp(label.ptr, prefer.ptr, label.len) == 0) return true;
    }
    return false;
}

void exports_jackfield_plugin_balancing_update(exports_jackfield_plugin_balancing_endpoint_set_t *set) {
    size_t n = set->labels.len;
    preferred = (group){realloc(preferred.endpoints, (n + 1) * sizeof(uint32_t)), 0};
    others = (group){realloc(others.endpoints, (n + 1) * sizeof(uint32_t)), 0};
    for (size_t i = 0; i < n; i++) {
        group *of = is_preferred(&set->labels.ptr[i]) ? &preferred : &others;
        of->endpoints[of->count++] = i;
    }
    exports_jackfield_plugin_balancing_endpoint_set_free(set);
}

static uint32_t in_turn(const group *of) {
    for (uint32_t i = 0; i < of->count; i++) {
        uint32_t place = (turn + i) % of->count;
        if (!jackfield_plugin_endpoints_eligible(of->endpoints[place])) continue;
        turn = place + 1;
        return of->endpoints[place];
    }
    return NONE;
}

uint32_t exports_jackfield_plugin_balancing_pick(exports_jackfield_plugin_balancing_pick_context_t *context) {
    uint32_t chosen = in_turn(&preferred);
    return chosen == NONE ? in_turn(&others) : chosen;
}
