/*
 * JSON as text that stays as it was written. jansson keeps numbers as doubles, and 1.1 would come back as
 * 1.1000000000000001; what a business service attaches to an order must not change on its way. Pure.
 */
#ifndef PN_HTTP_RAWJSON_H
#define PN_HTTP_RAWJSON_H

#include <jansson.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/buf.h"

/* The value of the top-level member `name` in `text`, a well-formed JSON object, without white space between tokens. NULL
 * when it is not there under exactly this spelling. */
const char *rawjson_member(const char *text, size_t len, const char *name, struct arena *arena);

/* A value that rawjson_write prints as it is; NULL when `text` is not JSON. */
json_t *rawjson_new(const char *text);
/* Compact JSON, raw values included. */
void rawjson_write(struct buf *ret, const json_t *value);

#endif
