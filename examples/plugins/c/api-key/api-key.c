// Who may ask, and who asks: a request with a known `x-api-key` goes on as its consumer's, every other
// is answered 401. Settings: `{"keys":{"KEY":"CONSUMER"}}`.

#include <stdlib.h>
#include <string.h>

#include "http_filter.h"

typedef http_filter_string_t text;
typedef struct {
    text key, consumer;
} entry;

static entry *entries;
static size_t count;

static text of(const char *string) { return (text){(uint8_t *)string, strlen(string)}; }

// The settings are compact JSON: what is expected is taken from their front.
static bool take(text *rest, const char *expected) {
    size_t len = strlen(expected);
    if (rest->len < len || memcmp(rest->ptr, expected, len) != 0) return false;
    *rest = (text){rest->ptr + len, rest->len - len};
    return true;
}

// Strings with escapes are refused: neither a key nor a name needs them.
static bool take_string(text *rest, text *string) {
    if (!take(rest, "\"")) return false;
    *string = (text){rest->ptr, 0};
    while (rest->len > 0 && *rest->ptr != '"' && *rest->ptr != '\\') {
        string->len++;
        *rest = (text){rest->ptr + 1, rest->len - 1};
    }
    return take(rest, "\"");
}

static bool parse(text rest) {
    if (!take(&rest, "{\"keys\":{")) return false;
    do {
        entries = realloc(entries, (count + 1) * sizeof(entry));
        entry *next = &entries[count++];
        if (!take_string(&rest, &next->key) || !take(&rest, ":") || !take_string(&rest, &next->consumer)) return false;
    } while (take(&rest, ","));
    return take(&rest, "}}") && rest.len == 0;
}

bool exports_jackfield_plugin_filtering_configure(text *settings, uint8_t *phases, text *error) {
    *phases = EXPORTS_JACKFIELD_PLUGIN_FILTERING_PHASES_REQUEST;
    if (parse(*settings)) return true; // The settings stay: keys and consumers lie in them.
    http_filter_string_dup(error, "api-key needs {\"keys\": {\"KEY\": \"CONSUMER\"}}");
    return false;
}

static text *consumer_of(text key) {
    for (size_t i = 0; i < count; i++)
        if (entries[i].key.len == key.len && memcmp(entries[i].key.ptr, key.ptr, key.len) == 0)
            return &entries[i].consumer;
    return NULL;
}

// An edit that is refused ends here: the request goes no further.
static void edit(bool done) {
    if (!done) abort();
}

static void answer_401(void) {
    http_filter_tuple2_string_string_t headers[] = {
        {of("www-authenticate"), of("ApiKey")},
        {of("content-type"), of("text/plain")},
    };
    text body = of("a valid x-api-key is needed\n");
    jackfield_plugin_request_edit_edit_error_t error;
    edit(jackfield_plugin_request_edit_answer(401, &(http_filter_list_tuple2_string_string_t){headers, 2},
                                              &(http_filter_list_u8_t){body.ptr, body.len}, &error));
}

void exports_jackfield_plugin_filtering_on_request(exports_jackfield_plugin_filtering_filter_context_t *context) {
    text x_consumer = of("x-consumer"), x_api_key = of("x-api-key"), key;
    jackfield_plugin_request_edit_edit_error_t error;
    edit(jackfield_plugin_request_edit_remove_header(&x_consumer, &error)); // it is ours to say
    text *consumer = NULL;
    if (jackfield_plugin_request_header(&x_api_key, &key)) {
        consumer = consumer_of(key);
        http_filter_string_free(&key);
    }
    if (consumer == NULL) return answer_401();
    edit(jackfield_plugin_request_edit_set_header(&x_consumer, consumer, &error));
    edit(jackfield_plugin_request_edit_remove_header(&x_api_key, &error));
}

void exports_jackfield_plugin_filtering_on_response(exports_jackfield_plugin_filtering_filter_context_t *context) {}
