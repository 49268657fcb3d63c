/*
 * Small pure functions on text and bytes that several layers need.
 */
#ifndef PN_BASE_TEXT_H
#define PN_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Well-formed UTF-8 without NUL, surrogates or overlong forms. */
bool text_is_utf8(const char *bytes, size_t n);
/* The length of the well-formed character that starts at `bytes`; 0 when there is none, or a NUL. */
size_t text_utf8_length(const char *bytes, size_t n);

/* In time that depends only on n. For secrets and MACs. */
bool bytes_equal_ct(const void *a, const void *b, size_t n);

/* Lower-case hex of n bytes; ret_text has 2n+1. */
void hex_encode(const void *bytes, size_t n, char *ret_text);
/* Exactly 2n hex digits, either case. */
bool hex_decode(const char *text, void *ret_bytes, size_t n);

/* The best of `count` names by edit distance when it is near enough to be a typing error; NULL otherwise. */
const char *text_nearest(const char *word, const char *const *names, size_t count);

/* True when `item` is one of the values in `list`, separated by '|'. */
bool text_in_choices(const char *list, const char *item, size_t n);

#endif
