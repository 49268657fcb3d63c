/*
 * The formats on arbitrary event data. What jansson takes for an object, the walk takes too and finds the same members;
 * a body made from it is JSON again. Everything else must only not crash.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "outbox/formats.h"
#include "outbox/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int depth_of(const json_t *value)
{
    int deepest = 0;
    size_t i;
    const char *key;
    json_t *inner;
    if (json_is_array(value))
        json_array_foreach((json_t *)(uintptr_t)value, i, inner)
            deepest = depth_of(inner) > deepest ? depth_of(inner) : deepest;
    else if (json_is_object(value))
        json_object_foreach((json_t *)(uintptr_t)value, key, inner)
            deepest = depth_of(inner) > deepest ? depth_of(inner) : deepest;
    else
        return 0;
    return deepest + 1;
}

static void same_members(const char *text, size_t len, const json_t *object)
{
    struct json_walk walk;
    struct json_span key, value;
    size_t count = 0;
    json_walk_begin(&walk, text, len);
    for (; json_walk_next(&walk, &key, &value); count++) {
        json_t *parsed = json_loadb(value.at, value.len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
        if (!parsed)
            abort();
        const json_t *wanted = memchr(key.at, '\\', key.len) ? NULL : json_object_getn(object, key.at, key.len);
        if (wanted && !json_equal(parsed, wanted))
            abort();
        if (json_is_string(parsed)) {
            struct buf buf = { 0 };
            if (!span_unescape(value, &buf) || buf.len != json_string_length(parsed) ||
                memcmp(buf_text(&buf), json_string_value(parsed), buf.len) != 0)
                abort();
            buf_free(&buf);
        }
        json_decref(parsed);
    }
    if (walk.broken || count != json_object_size(object))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    struct event event = { .event_id = 1, .type = "payment.succeeded", .app = "a", .data = text };
    struct buf scratch = { 0 };
    json_t *parsed = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    bool sane = json_is_object(parsed) && depth_of(parsed) <= 64;
    if (sane)
        same_members(text, strlen(text), parsed);
    for (enum event_format format = FORMAT_MQMESSAGE; format <= FORMAT_PROVIDER; format++) {
        struct pn_event *made = NULL;
        if (format_render(format, &event, &scratch, &made) == RC_OK && sane) {
            json_t *body = json_loadb(made->body.data, made->body.len, 0, NULL);
            if (!json_is_object(body))
                abort();
            json_decref(body);
        }
        free(made);
    }
    json_decref(parsed);
    buf_free(&scratch);
    free(text);
    return 0;
}
