/*
 * Query strings of the API and the payer's pages. libmicrohttpd's own decoding is not used: it cannot tell a broken
 * escape from text, and channel plugins need the string as it was sent.
 */
#include "http/query.h"

#include <string.h>

#include "base/text.h"

enum { ITEMS_MAX = 64 };

static const char *decode(const char *text, size_t n, struct arena *arena)
{
    char *out = arena_alloc(arena, n + 1);
    size_t len = 0;
    for (size_t i = 0; out && i < n; i++) {
        char c = text[i];
        if (c == '+')
            c = ' ';
        if (c == '%') {
            if (n - i < 3)
                return NULL;
            char digits[3] = { text[i + 1], text[i + 2], '\0' };
            if (!hex_decode(digits, &c, 1))
                return NULL;
            i += 2;
        }
        out[len++] = c;
    }
    return out && text_is_utf8(out, len) ? out : NULL;
}

enum rc query_parse(const char *text, struct arena *arena, struct query *ret, struct error *err)
{
    struct query query = { .items = arena_alloc(arena, ITEMS_MAX * sizeof(struct query_item)) };
    if (!query.items)
        return error_set(err, RC_NOMEM, "no memory for the query");
    while (*text) {
        size_t n = strcspn(text, "&");
        if (n > 0) {
            const char *equals = memchr(text, '=', n);
            size_t name_len = equals ? (size_t) (equals - text) : n;
            const char *name = decode(text, name_len, arena);
            const char *value = equals ? decode(equals + 1, n - name_len - 1, arena) : "";
            if (!name || !value)
                return error_set(err, RC_BAD_INPUT, "the query holds a broken escape or text that is not UTF-8");
            if (query_get(&query, name))
                return error_field(err, RC_BAD_INPUT, name, "\"%s\" stands twice in the query", name);
            if (query.count == ITEMS_MAX)
                return error_set(err, RC_BAD_INPUT, "the query has more than %d parts", ITEMS_MAX);
            query.items[query.count++] = (struct query_item){ name, value };
        }
        text += n;
        if (*text)
            text++;
    }
    *ret = query;
    return RC_OK;
}

const char *query_get(const struct query *query, const char *name)
{
    for (size_t i = 0; i < query->count; i++)
        if (strcmp(query->items[i].name, name) == 0)
            return query->items[i].value;
    return NULL;
}

enum rc query_only(const struct query *query, const char *const *known, struct error *err)
{
    size_t known_count = 0;
    while (known[known_count])
        known_count++;
    for (size_t i = 0; i < query->count; i++) {
        const char *name = query->items[i].name;
        size_t k = 0;
        while (k < known_count && strcmp(known[k], name) != 0)
            k++;
        if (k < known_count)
            continue;
        const char *near = text_nearest(name, known, known_count);
        if (near)
            return error_field(err, RC_BAD_INPUT, name, "unknown parameter; did you mean \"%s\"?", near);
        return error_field(err, RC_BAD_INPUT, name, "unknown parameter");
    }
    return RC_OK;
}
