/*
 * Decimal money text to and from int64_t minor units, exactly. Pure; any thread.
 */
#ifndef PLUGINS_COMMON_AMOUNT_H
#define PLUGINS_COMMON_AMOUNT_H

#include <paynotify/plugin.h>
#include <stdbool.h>

enum { AMOUNT_TEXT_MAX = 24 };

/* "88.8", "88.80" and "88" with 2 decimals → 8880. Refuses a sign, an exponent, spaces, an empty text, a point without
 * digits on both sides, more decimals than that, and what does not fit. */
bool amount_parse(struct pn_str text, unsigned decimals, int64_t *ret_minor);

/* 8880 with 2 decimals → "88.80". Not negative; decimals 0 to 4. NUL-terminated. */
void amount_format(int64_t minor, unsigned decimals, char ret_text[AMOUNT_TEXT_MAX]);

#endif
