/*
 * The body parser behind POST /v1/…: strict, so that a misspelt field is told to the caller and not dropped.
 */
#include "http/spec.h"

#include <jansson.h>
#include <string.h>

#include "base/text.h"
#include "http/rawjson.h"

enum { NAMES_MAX = 64, PATH_MAX_TEXT = 48 };

/* Where in the body: "", or "goods[2]." */
struct place {
    char prefix[PATH_MAX_TEXT];
    const char *body; /* only with the empty prefix */
    size_t body_len;
    struct arena *arena;
    struct error *err;
};

static enum rc fault(const struct place *at, const char *name, const char *text)
{
    char field[2 * PATH_MAX_TEXT];
    snprintf(field, sizeof field, "%s%s", at->prefix, name);
    return error_field(at->err, RC_BAD_INPUT, field, "%s", text);
}

static size_t characters(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += ((unsigned char) *text & 0xc0) != 0x80;
    return n;
}

static bool has_control(const char *text, bool lines)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char) *text;
        if (c == 0x7f || (c < 0x20 && !(lines && strchr("\n\r\t", c))))
            return true;
    }
    return false;
}

static enum rc take_text(const struct place *at, const char *name, size_t max, bool lines, const json_t *value, const char **ret)
{
    char text[96];
    if (!json_is_string(value))
        return fault(at, name, "must be a string");
    const char *string = json_string_value(value);
    if (!*string)
        return fault(at, name, "must not be empty");
    if (characters(string) > max) {
        snprintf(text, sizeof text, "must have at most %zu characters", max);
        return fault(at, name, text);
    }
    if (has_control(string, lines))
        return fault(at, name, "must not hold control characters");
    *ret = arena_strdup(at->arena, string);
    return *ret ? RC_OK : error_set(at->err, RC_NOMEM, "no memory for the body");
}

static enum rc take_url(const struct place *at, const char *name, size_t max, const json_t *value, const char **ret)
{
    const char *url;
    enum rc rc = take_text(at, name, max, false, value, &url);
    if (rc)
        return rc;
    size_t scheme = strncmp(url, "https://", 8) == 0 ? 8 : strncmp(url, "http://", 7) == 0 ? 7 : 0;
    if (scheme == 0 || url[scheme] == '\0' || url[scheme] == '/')
        return fault(at, name, "must be an absolute http or https URL");
    for (const char *p = url; *p; p++)
        if ((unsigned char) *p <= 0x20 || strchr("\"<>\\^`{|}", *p))
            return fault(at, name, "holds a character that a URL must escape");
    *ret = url;
    return RC_OK;
}

static enum rc take_integer(const struct place *at, const struct spec_field *field, const json_t *value, int64_t *ret)
{
    char text[96];
    int64_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < field->low || number > field->high) {
        snprintf(text, sizeof text, "must be an integer from %lld to %lld", (long long) field->low, (long long) field->high);
        return fault(at, field->name, text);
    }
    *ret = number;
    return RC_OK;
}

/* As it was sent, white space apart. */
static enum rc take_object(const struct place *at, const struct spec_field *field, const json_t *value, const char **ret)
{
    char text[96];
    if (!json_is_object(value))
        return fault(at, field->name, "must be a JSON object");
    const char *object = at->body ? rawjson_member(at->body, at->body_len, field->name, at->arena) : NULL;
    if (!object)
        return fault(at, field->name, "must be spelt without escapes in its name");
    if (strlen(object) > field->max) {
        snprintf(text, sizeof text, "must have at most %zu bytes as JSON", field->max);
        return fault(at, field->name, text);
    }
    *ret = object;
    return RC_OK;
}

static enum rc take_fields(const struct place *at, const struct spec *spec, const char *const *extra_names, const json_t *object,
                           char *ret);

static enum rc take_list(const struct place *at, const struct spec_field *field, const json_t *value, struct spec_list *ret)
{
    char text[96];
    size_t count = json_array_size(value);
    if (!json_is_array(value) || count > field->max) {
        snprintf(text, sizeof text, "must be a list of at most %zu objects", field->max);
        return fault(at, field->name, text);
    }
    char *items = arena_alloc(at->arena, count * field->items->size);
    if (!items)
        return error_set(at->err, RC_NOMEM, "no memory for the body");
    for (size_t i = 0; i < count; i++) {
        struct place inner = { .arena = at->arena, .err = at->err };
        snprintf(inner.prefix, sizeof inner.prefix, "%s[%zu].", field->name, i);
        const json_t *item = json_array_get(value, i);
        if (!json_is_object(item)) {
            inner.prefix[strlen(inner.prefix) - 1] = '\0';
            return fault(&inner, "", "must be a JSON object");
        }
        enum rc rc = take_fields(&inner, field->items, NULL, item, items + i * field->items->size);
        if (rc)
            return rc;
    }
    *ret = (struct spec_list){ items, count };
    return RC_OK;
}

static enum rc take(const struct place *at, const struct spec_field *field, const json_t *value, char *ret)
{
    void *target = ret + field->offset;
    switch (field->type) {
    case SPEC_TEXT:
    case SPEC_LINES: return take_text(at, field->name, field->max, field->type == SPEC_LINES, value, target);
    case SPEC_URL: return take_url(at, field->name, field->max, value, target);
    case SPEC_INTEGER: return take_integer(at, field, value, target);
    case SPEC_OBJECT: return take_object(at, field, value, target);
    case SPEC_LIST: return take_list(at, field, value, target);
    }
    return RC_INTERNAL;
}

static enum rc unknown_field(const struct place *at, const struct spec *spec, const char *const *extra_names, const char *name)
{
    const char *names[NAMES_MAX];
    size_t count = 0;
    for (size_t i = 0; i < spec->count && count < NAMES_MAX; i++)
        names[count++] = spec->fields[i].name;
    for (size_t i = 0; extra_names && extra_names[i] && count < NAMES_MAX; i++)
        names[count++] = extra_names[i];
    const char *near = text_nearest(name, names, count);
    char text[96];
    snprintf(text, sizeof text, near ? "unknown field; did you mean \"%s\"?" : "unknown field", near);
    return fault(at, name, text);
}

static const struct spec_field *find_field(const struct spec *spec, const char *name)
{
    for (size_t i = 0; i < spec->count; i++)
        if (strcmp(spec->fields[i].name, name) == 0)
            return &spec->fields[i];
    return NULL;
}

static bool is_extra(const char *const *extra_names, const char *name)
{
    for (size_t i = 0; extra_names && extra_names[i]; i++)
        if (strcmp(extra_names[i], name) == 0)
            return true;
    return false;
}

static enum rc take_extra(const struct place *at, const struct spec *spec, const char *name, const json_t *value, size_t most,
                          char *ret)
{
    struct spec_list *list = (void *) (ret + spec->extras_offset);
    if (!list->items)
        list->items = arena_alloc(at->arena, most * sizeof(struct spec_extra));
    struct spec_extra *extra = list->items;
    if (!extra)
        return error_set(at->err, RC_NOMEM, "no memory for the body");
    extra += list->count;
    extra->name = arena_strdup(at->arena, name);
    enum rc rc = take_text(at, name, SPEC_EXTRA_MAX, false, value, &extra->value);
    if (!rc)
        list->count++;
    return rc;
}

static enum rc take_fields(const struct place *at, const struct spec *spec, const char *const *extra_names, const json_t *object,
                           char *ret)
{
    const char *name;
    json_t *value;
    json_object_foreach ((json_t *) (uintptr_t) object, name, value) {
        const struct spec_field *field = find_field(spec, name);
        bool extra = !field && is_extra(extra_names, name);
        if (!field && !extra)
            return unknown_field(at, spec, extra_names, name);
        if (json_is_null(value))
            continue; /* the same as absent */
        enum rc rc = field ? take(at, field, value, ret) : take_extra(at, spec, name, value, json_object_size(object), ret);
        if (rc)
            return rc;
    }
    for (size_t i = 0; i < spec->count; i++) {
        if (!spec->fields[i].required)
            continue;
        const json_t *given = json_object_get(object, spec->fields[i].name);
        if (!given || json_is_null(given))
            return fault(at, spec->fields[i].name, "is missing");
    }
    return RC_OK;
}

enum rc spec_parse(const struct spec *spec, const char *const *extra_names, const void *body, size_t len, struct arena *arena,
                   void *ret, struct error *err)
{
    json_error_t wrong;
    json_t *root = json_loadb(len > 0 ? body : "", len, JSON_REJECT_DUPLICATES, &wrong);
    if (!root) {
        if (len == 0)
            return error_set(err, RC_BAD_INPUT, "the body is empty; a JSON object is expected");
        return error_set(err, RC_BAD_INPUT, "line %d, column %d: %s", wrong.line, wrong.column, wrong.text);
    }
    struct place at = { .arena = arena, .err = err, .body = body, .body_len = len };
    enum rc rc = json_is_object(root) ? take_fields(&at, spec, extra_names, root, ret)
                                      : error_set(err, RC_BAD_INPUT, "the body must be a JSON object");
    json_decref(root);
    return rc;
}
