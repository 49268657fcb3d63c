/*
 * Decimal money text to and from int64_t minor units, exactly. Pure; any thread.
 */
#include "common/amount.h"

#include <inttypes.h>
#include <stdio.h>

bool amount_parse(struct pn_str text, unsigned decimals, int64_t *ret_minor)
{
    int64_t minor = 0;
    size_t point = text.len, after;

    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];

        if (c == '.' && point == text.len) {
            point = i;
            continue;
        }
        if (c < '0' || c > '9' || __builtin_mul_overflow(minor, 10, &minor) || __builtin_add_overflow(minor, c - '0', &minor))
            return false;
    }
    after = point < text.len ? text.len - point - 1 : 0;
    if (point == 0 || after > decimals || (point < text.len && after == 0))
        return false;
    for (; after < decimals; after++)
        if (__builtin_mul_overflow(minor, 10, &minor))
            return false;
    *ret_minor = minor;
    return true;
}

void amount_format(int64_t minor, unsigned decimals, char ret_text[AMOUNT_TEXT_MAX])
{
    int64_t unit = 1;

    for (unsigned i = 0; i < decimals; i++)
        unit *= 10;
    if (decimals == 0)
        snprintf(ret_text, AMOUNT_TEXT_MAX, "%" PRId64, minor);
    else
        snprintf(ret_text, AMOUNT_TEXT_MAX, "%" PRId64 ".%0*" PRId64, minor / unit, (int)decimals, minor % unit);
}
