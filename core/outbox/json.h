/*
 * Walking through the members of a JSON object without building a tree: for events, whose JSON we wrote ourselves and of
 * which a format needs a dozen members. Every byte is checked all the same. Pure functions.
 */
#ifndef PN_OUTBOX_JSON_H
#define PN_OUTBOX_JSON_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/* A piece of the text walked through; at == NULL: absent. */
struct json_span {
    const char *at;
    size_t len;
};

struct json_walk {
    const char *at, *end;
    bool first;
    bool broken; /* the text is no JSON object; what came before is not to be trusted either */
};

void json_walk_begin(struct json_walk *walk, const char *text, size_t len);

/* The next member: its key between the quotes, escapes as they are, and its value as it is written. False at the end, and
 * when the text is broken. Values nested deeper than 64 are broken. */
bool json_walk_next(struct json_walk *walk, struct json_span *ret_key, struct json_span *ret_value);

bool span_is(struct json_span span, const char *text);
bool span_is_string(struct json_span value);

/* Appends the text that a string value stands for. False for lone surrogates and U+0000. */
bool span_unescape(struct json_span value, struct buf *buf);

#endif
