/*
 * Cutting a member out of a body, and writing answers that hold such text. Called on workers.
 */
#include "http/rawjson.h"

#include <string.h>

/* Marks an object as raw: no name of ours, and no name from outside, holds a control character. */
static const char raw_key[] = "\001";

static const char *skip_space(const char *p, const char *end)
{
    while (p < end && strchr(" \t\r\n", *p))
        p++;
    return p;
}

/* Behind the string that starts at p. */
static const char *skip_string(const char *p, const char *end)
{
    for (p++; p < end && *p != '"'; p++)
        if (*p == '\\')
            p++;
    return p < end ? p + 1 : end;
}

/* Behind the value that starts at p. */
static const char *skip_value(const char *p, const char *end)
{
    size_t depth = 0;
    while (p < end) {
        if (depth == 0 && strchr(",}] \t\r\n", *p))
            break;
        if (*p == '"') {
            p = skip_string(p, end);
        } else {
            depth += *p == '{' || *p == '[';
            depth -= *p == '}' || *p == ']';
            p++;
        }
        if (depth == 0 && strchr("\"}]", p[-1]))
            break;
    }
    return p;
}

static const char *compact(const char *p, const char *end, struct arena *arena)
{
    char *out = arena_alloc(arena, (size_t) (end - p) + 1);
    size_t len = 0;
    while (out && p < end) {
        const char *next = *p == '"' ? skip_string(p, end) : p + 1;
        if (*p == '"' || !strchr(" \t\r\n", *p)) {
            memcpy(out + len, p, (size_t) (next - p));
            len += (size_t) (next - p);
        }
        p = next;
    }
    return out;
}

const char *rawjson_member(const char *text, size_t len, const char *name, struct arena *arena)
{
    const char *end = text + len, *p = skip_space(text, end);
    size_t name_len = strlen(name);
    if (p == end || *p++ != '{')
        return NULL;
    for (;;) {
        p = skip_space(p, end);
        if (p == end || *p != '"')
            return NULL;
        const char *key = p + 1;
        p = skip_string(p, end);
        size_t key_len = (size_t) (p - key) - 1;
        p = skip_space(p, end);
        if (p == end || *p++ != ':')
            return NULL;
        const char *value = skip_space(p, end);
        p = skip_value(value, end);
        if (key_len == name_len && memcmp(key, name, name_len) == 0)
            return compact(value, p, arena);
        p = skip_space(p, end);
        if (p == end || *p++ != ',')
            return NULL;
    }
}

json_t *rawjson_new(const char *text)
{
    json_t *parsed = json_loads(text, JSON_DECODE_ANY, NULL);
    if (!parsed)
        return NULL;
    json_decref(parsed);
    return json_pack("{s:s}", raw_key, text);
}

static void write_object(struct buf *ret, const json_t *object)
{
    const char *key;
    json_t *value;
    const char *separator = "{";
    json_object_foreach ((json_t *) (uintptr_t) object, key, value) {
        if (strcmp(key, raw_key) == 0) {
            buf_adds(ret, json_string_value(value));
            return;
        }
        buf_adds(ret, separator);
        buf_add_json(ret, key);
        buf_addc(ret, ':');
        rawjson_write(ret, value);
        separator = ",";
    }
    buf_adds(ret, *separator == '{' ? "{}" : "}");
}

static void write_array(struct buf *ret, const json_t *array)
{
    buf_addc(ret, '[');
    for (size_t i = 0; i < json_array_size(array); i++) {
        if (i > 0)
            buf_addc(ret, ',');
        rawjson_write(ret, json_array_get(array, i));
    }
    buf_addc(ret, ']');
}

void rawjson_write(struct buf *ret, const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT: write_object(ret, value); return;
    case JSON_ARRAY: write_array(ret, value); return;
    case JSON_STRING: buf_add_jsonn(ret, json_string_value(value), json_string_length(value)); return;
    case JSON_INTEGER: buf_add_i64(ret, json_integer_value(value)); return;
    case JSON_TRUE: buf_adds(ret, "true"); return;
    case JSON_FALSE: buf_adds(ret, "false"); return;
    case JSON_REAL: /* no view makes one */
    case JSON_NULL: buf_adds(ret, "null"); return;
    }
}
