/*
 * JSON bodies against a spec with every type of field. Whatever comes in, an accepted body keeps what the spec promises.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/text.h"
#include "http/spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct line {
    const char *name;
    int64_t count;
};
struct body {
    const char *name, *note, *url, *object;
    int64_t number;
    struct spec_list lines, extras;
};
static const struct spec_field line_fields[] = {
    { .name = "name", .type = SPEC_TEXT, .required = true, .max = 5, .offset = offsetof(struct line, name) },
    { .name = "count", .type = SPEC_INTEGER, .low = 1, .high = 9, .offset = offsetof(struct line, count) },
};
static const struct spec line_spec = { line_fields, 2, sizeof(struct line), 0 };
static const struct spec_field body_fields[] = {
    { .name = "name", .type = SPEC_TEXT, .required = true, .max = 5, .offset = offsetof(struct body, name) },
    { .name = "note", .type = SPEC_LINES, .max = 9, .offset = offsetof(struct body, note) },
    { .name = "url", .type = SPEC_URL, .max = 40, .offset = offsetof(struct body, url) },
    { .name = "object", .type = SPEC_OBJECT, .max = 20, .offset = offsetof(struct body, object) },
    { .name = "number", .type = SPEC_INTEGER, .low = -5, .high = 5, .offset = offsetof(struct body, number) },
    { .name = "lines", .type = SPEC_LIST, .max = 2, .offset = offsetof(struct body, lines), .items = &line_spec },
};
static const struct spec body_spec = { body_fields, 6, sizeof(struct body), offsetof(struct body, extras) };
static const char *const extra_names[] = { "openid", NULL };

static void hold(int promise)
{
    if (!promise)
        abort();
}

static void check_text(const char *text, size_t bytes)
{
    hold(!text || (*text && strlen(text) <= bytes && text_is_utf8(text, strlen(text))));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new(0);
    struct body body = { 0 };
    struct error err = { 0 };
    enum rc rc = spec_parse(&body_spec, extra_names, data, size, arena, &body, &err);
    if (rc == RC_OK) {
        hold(body.name != NULL && body.number >= -5 && body.number <= 5 && body.lines.count <= 2 && body.extras.count <= 1);
        check_text(body.name, 5 * 4);
        check_text(body.note, 9 * 4);
        check_text(body.url, 40 * 4);
        check_text(body.object, 20);
        json_t *object = body.object ? json_loads(body.object, JSON_REJECT_DUPLICATES, NULL) : NULL;
        hold(!body.object || json_is_object(object));
        json_decref(object);
        const struct line *lines = body.lines.items;
        for (size_t i = 0; i < body.lines.count; i++)
            check_text(lines[i].name, 5 * 4);
    } else {
        hold(rc == RC_BAD_INPUT && err.text[0] != '\0');
    }
    arena_free(arena);
    return 0;
}
