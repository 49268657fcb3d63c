/*
 * Query strings: decoded names and values. Pure, on the request's arena.
 */
#ifndef PN_HTTP_QUERY_H
#define PN_HTTP_QUERY_H

#include <stddef.h>

#include "base/arena.h"
#include "base/error.h"

struct query_item {
    const char *name, *value;
};

struct query {
    struct query_item *items;
    size_t count;
};

/* RC_BAD_INPUT for a broken escape, NUL, text that is not UTF-8, a name given twice or more than 64 items. */
enum rc query_parse(const char *text, struct arena *arena, struct query *ret, struct error *err);
const char *query_get(const struct query *query, const char *name); /* NULL when absent */

/* RC_BAD_INPUT that names the first item which is not in `known` (ends with NULL), with "did you mean". */
enum rc query_only(const struct query *query, const char *const *known, struct error *err);

#endif
