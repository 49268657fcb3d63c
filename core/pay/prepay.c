/*
 * How a PREPAY result is kept in pay_records.prepay, and payer parameters in pay_records.params: a small JSON object
 * {"kind": 3, "url": "…", "fields": [["name", "value"], …]}; all but forms say when they were made. Workers
 * only.
 */
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "base/clock.h"
#include "pay/internal.h"

const char *const prepay_shown = "{\"kind\":1}";

/* A little less than what the providers that we know give them: five minutes, and two hours. */
enum { REDIRECT_LIFE_MS = 4 * 60 * 1000, CODE_LIFE_MS = 110 * 60 * 1000 };

bool prepay_is_fresh(const struct prepay *prepay, int64_t now_ms)
{
    int64_t age_ms = now_ms - prepay->made_at;
    switch (prepay->kind) {
    case PN_PREPAY_REDIRECT:
        return age_ms < REDIRECT_LIFE_MS;
    case PN_PREPAY_CODE_URL:
    case PN_PREPAY_APP_PARAMS:
        return prepay->made_at == 0 || age_ms < CODE_LIFE_MS;
    default:
        return true;
    }
}

static const char *text_of(const struct pn_str *text, struct arena *arena)
{
    return text->len ? arena_strndup(arena, text->data, text->len) : NULL;
}

enum rc prepay_from_result(const struct pn_result *result, struct arena *arena, struct prepay *ret, struct error *err)
{
    size_t count = result->prepay_fields.count;
    struct param *fields = arena_alloc(arena, (count + 1) * sizeof *fields);
    if (!fields)
        return error_set(err, RC_NOMEM, "out of memory");
    for (size_t i = 0; i < count; i++) {
        const struct pn_kv *from = &result->prepay_fields.items[i];
        fields[i].name = arena_strndup(arena, from->name.len ? from->name.data : "", from->name.len);
        fields[i].value = arena_strndup(arena, from->value.len ? from->value.data : "", from->value.len);
        if (!fields[i].name || !fields[i].value)
            return error_set(err, RC_NOMEM, "out of memory");
    }
    *ret = (struct prepay){ (enum pn_prepay_kind)result->prepay_kind, text_of(&result->url, arena), fields, count, 0 };
    return RC_OK;
}

const char *prepay_write(const struct pn_result *result, int64_t made_at, struct arena *arena)
{
    struct buf buf = { 0 };
    buf_addf(&buf, "{\"kind\":%u", result->prepay_kind);
    if (made_at > 0 && result->prepay_kind != PN_PREPAY_FORM)
        buf_addf(&buf, ",\"made_at\":%" PRId64, made_at);
    if (result->url.len) {
        buf_adds(&buf, ",\"url\":");
        buf_add_jsonn(&buf, result->url.data, result->url.len);
    }
    if (result->prepay_fields.count) {
        buf_adds(&buf, ",\"fields\":[");
        for (size_t i = 0; i < result->prepay_fields.count; i++) {
            const struct pn_kv *field = &result->prepay_fields.items[i];
            buf_adds(&buf, i ? ",[" : "[");
            buf_add_jsonn(&buf, field->name.data, field->name.len);
            buf_addc(&buf, ',');
            buf_add_jsonn(&buf, field->value.data, field->value.len);
            buf_addc(&buf, ']');
        }
        buf_addc(&buf, ']');
    }
    buf_addc(&buf, '}');
    const char *text = buf.failed ? NULL : arena_strndup(arena, buf.data, buf.len);
    buf_free(&buf);
    return text;
}

static enum rc read_fields(const json_t *list, struct arena *arena, struct prepay *prepay, struct error *err)
{
    size_t count = json_array_size(list);
    prepay->fields = arena_alloc(arena, (count + 1) * sizeof *prepay->fields);
    if (!prepay->fields)
        return error_set(err, RC_NOMEM, "out of memory");
    for (size_t i = 0; i < count; i++) {
        const json_t *pair = json_array_get(list, i);
        const char *name = json_string_value(json_array_get(pair, 0));
        const char *value = json_string_value(json_array_get(pair, 1));
        if (!name || !value)
            return error_set(err, RC_INTERNAL, "a stored prepay result is malformed");
        prepay->fields[i] = (struct param){ arena_strdup(arena, name), arena_strdup(arena, value) };
    }
    prepay->field_count = count;
    return RC_OK;
}

enum rc prepay_read(const char *json, struct arena *arena, struct prepay *ret, struct error *err)
{
    json_t *root = json_loads(json, 0, NULL);
    if (!json_is_object(root)) {
        json_decref(root);
        return error_set(err, RC_INTERNAL, "a stored prepay result is malformed");
    }
    struct prepay prepay = {
        .kind = (enum pn_prepay_kind)json_integer_value(json_object_get(root, "kind")),
        .url = arena_strdup(arena, json_string_value(json_object_get(root, "url"))),
        .made_at = json_integer_value(json_object_get(root, "made_at")),
    };
    enum rc rc = read_fields(json_object_get(root, "fields"), arena, &prepay, err);
    json_decref(root);
    if (rc == RC_OK)
        *ret = prepay;
    return rc;
}

bool prepay_is_stale(const struct pay_record *record, struct arena *arena)
{
    struct prepay prepay;
    return record->prepay && prepay_read(record->prepay, arena, &prepay, NULL) == RC_OK &&
           (prepay.kind == PN_PREPAY_CODE_URL || prepay.kind == PN_PREPAY_APP_PARAMS) && !prepay_is_fresh(&prepay, wall_ms());
}
