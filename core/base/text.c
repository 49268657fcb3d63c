/*
 * Small functions on text and bytes. Pure; called by every layer, from any thread.
 */
#include "base/text.h"

#include <stdint.h>
#include <string.h>

/* The table of well-formed sequences of the Unicode standard (3-7): the second byte's range depends on the first. */
size_t text_utf8_length(const char *bytes, size_t n)
{
    const unsigned char *p = (const unsigned char *) bytes;
    if (n == 0 || p[0] == 0)
        return 0;
    if (p[0] < 0x80)
        return 1;
    unsigned low = 0x80, high = 0xbf;
    size_t length = p[0] >= 0xc2 && p[0] <= 0xdf ? 2 : (p[0] & 0xf0) == 0xe0 ? 3 : p[0] >= 0xf0 && p[0] <= 0xf4 ? 4 : 0;
    if (length == 0 || length > n)
        return 0;
    if (p[0] == 0xe0)
        low = 0xa0;
    else if (p[0] == 0xed)
        high = 0x9f;
    else if (p[0] == 0xf0)
        low = 0x90;
    else if (p[0] == 0xf4)
        high = 0x8f;
    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return length;
}

bool text_is_utf8(const char *bytes, size_t n)
{
    const uint64_t ones = 0x0101010101010101U, high = 0x8080808080808080U;
    while (n) {
        uint64_t x;
        if (n >= 8 && (memcpy(&x, bytes, 8), !(((x - ones) | x) & high))) { /* eight ASCII characters, no NUL */
            bytes += 8;
            n -= 8;
            continue;
        }
        size_t length = text_utf8_length(bytes, n);
        if (!length)
            return false;
        bytes += length;
        n -= length;
    }
    return true;
}

bool bytes_equal_ct(const void *a, const void *b, size_t n)
{
    const volatile unsigned char *p = a, *q = b;
    unsigned differ = 0;
    for (size_t i = 0; i < n; i++)
        differ |= (unsigned) (p[i] ^ q[i]);
    return differ == 0;
}

void hex_encode(const void *bytes, size_t n, char *ret_text)
{
    const unsigned char *p = bytes;
    for (size_t i = 0; i < n; i++) {
        ret_text[2 * i] = "0123456789abcdef"[p[i] >> 4];
        ret_text[2 * i + 1] = "0123456789abcdef"[p[i] & 15];
    }
    ret_text[2 * n] = 0;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool hex_decode(const char *text, void *ret_bytes, size_t n)
{
    if (strnlen(text, 2 * n + 1) != 2 * n)
        return false;
    for (size_t i = 0; i < 2 * n; i++)
        if (hex_value(text[i]) < 0)
            return false;
    unsigned char *out = ret_bytes;
    for (size_t i = 0; i < n; i++)
        out[i] = (unsigned char) (hex_value(text[2 * i]) << 4 | hex_value(text[2 * i + 1]));
    return true;
}

enum { WORD_MAX = 48 };

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char) (c - 'A' + 'a') : c;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Insertions, deletions, replacements and swapped neighbours; both words have at most WORD_MAX letters. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t rows[3][WORD_MAX + 1], n = strlen(b);
    size_t *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= n; j++)
        before[j] = above[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            char x = lower(a[i - 1]), y = lower(b[j - 1]);
            row[j] = least(least(row[j - 1], above[j]) + 1, above[j - 1] + (x != y));
            if (i > 1 && j > 1 && x == lower(b[j - 2]) && lower(a[i - 2]) == y)
                row[j] = least(row[j], before[j - 2] + 1);
        }
        size_t *spare = before;
        before = above;
        above = row;
        row = spare;
    }
    return above[n];
}

const char *text_nearest(const char *word, const char *const *names, size_t count)
{
    size_t length = strlen(word);
    if (length > WORD_MAX)
        return NULL;
    const char *best = NULL;
    size_t best_distance = length / 3 + 1; /* one slip in three letters, and at least one */
    for (size_t i = 0; i < count; i++) {
        if (strlen(names[i]) > WORD_MAX)
            continue;
        size_t distance = edit_distance(word, names[i]);
        if (distance < length && (best ? distance < best_distance : distance <= best_distance)) {
            best = names[i];
            best_distance = distance;
        }
    }
    return best;
}

bool text_in_choices(const char *list, const char *item, size_t n)
{
    for (const char *p = list;;) {
        size_t length = strcspn(p, "|");
        if (length == n && n && memcmp(p, item, n) == 0)
            return true;
        if (!p[length])
            return false;
        p += length + 1;
    }
}
