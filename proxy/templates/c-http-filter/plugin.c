// Every response says in `x-served-by` who passed it on: `{"value": "TEXT"}`.

#include <string.h>

#include "http_filter.h"

typedef http_filter_string_t text;

static uint32_t edits; // the number of what was prepared

// The TEXT in {"value":"TEXT"}: the settings are compact JSON. Escapes are refused.
static bool parse(text settings, text *value) {
    static const char before[] = "{\"value\":\"", after[] = "\"}";
    const size_t begin = sizeof before - 1, end = sizeof after - 1;
    http_filter_string_set(value, "jackfield");
    if (settings.len == 2) return true; // {}
    if (settings.len < begin + end || memcmp(settings.ptr, before, begin) != 0) return false;
    *value = (text){settings.ptr + begin, settings.len - begin - end};
    for (size_t i = 0; i < value->len; i++)
        if (value->ptr[i] == '"' || value->ptr[i] == '\\') return false;
    return memcmp(value->ptr + value->len, after, end) == 0;
}

static bool prepare(text value) {
    jackfield_plugin_prepared_edits_edit_t edit = {
        .action = {.tag = JACKFIELD_PLUGIN_PREPARED_EDITS_ACTION_SET,
                   .val.set = {.tag = JACKFIELD_PLUGIN_PREPARED_EDITS_VALUE_TEXT, .val.text = value}},
    };
    http_filter_string_set(&edit.name, "x-served-by");
    jackfield_plugin_prepared_edits_list_edit_t list = {&edit, 1};
    jackfield_plugin_prepared_edits_edit_error_t error;
    return jackfield_plugin_prepared_edits_prepare(&list, &edits, &error);
}

bool exports_jackfield_plugin_filtering_configure(text *settings, uint8_t *phases, text *error) {
    text value;
    *phases = EXPORTS_JACKFIELD_PLUGIN_FILTERING_PHASES_RESPONSE;
    if (parse(*settings, &value) && prepare(value)) return true;
    http_filter_string_dup(error, "{{name}} has one setting: {\"value\": \"TEXT\"}");
    return false;
}

void exports_jackfield_plugin_filtering_on_request(exports_jackfield_plugin_filtering_filter_context_t *context) {}

void exports_jackfield_plugin_filtering_on_response(exports_jackfield_plugin_filtering_filter_context_t *context) {
    jackfield_plugin_response_apply(edits);
}
