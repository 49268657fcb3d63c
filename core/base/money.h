/*
 * Money as int64_t minor units. Decimal text is parsed and printed exactly, never through a double. Pure functions.
 */
#ifndef PN_BASE_MONEY_H
#define PN_BASE_MONEY_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum { MONEY_TEXT_MAX = 24 };

/* The number of decimals of an ISO 4217 currency that we know; -1 for one that we do not. */
int money_decimals(const char *currency);

/* "88.8" or "88" or "88.80" → 8880. Refuses signs, exponents, spaces, empty, more decimals than the currency has, and
 * what does not fit (RC_BAD_INPUT; *ret unchanged). */
enum rc money_parse(const char *text, size_t len, const char *currency, int64_t *ret_minor);

/* 8880 → "88.80". Negative values are printed with a sign. */
const char *money_format(int64_t minor, const char *currency, char ret_text[MONEY_TEXT_MAX]);

#endif
