/*
 * Base64, strict: a signature that arrives in any other spelling has been touched on its way. Pure; any thread.
 */
#include "common/base64.h"

#include <stdint.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int digit_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+')
        return 62;
    return c == '/' ? 63 : -1;
}

void base64_encode(const unsigned char *bytes, size_t n, char *ret_text)
{
    for (size_t i = 0; i < n; i += 3) {
        uint32_t b1 = i + 1 < n ? bytes[i + 1] : 0;
        uint32_t b2 = i + 2 < n ? bytes[i + 2] : 0;
        uint32_t group = (uint32_t)bytes[i] << 16 | b1 << 8 | b2;

        *ret_text++ = alphabet[group >> 18];
        *ret_text++ = alphabet[group >> 12 & 63];
        *ret_text++ = i + 1 < n ? alphabet[group >> 6 & 63] : '=';
        *ret_text++ = i + 2 < n ? alphabet[group & 63] : '=';
    }
}

bool base64_decode(const char *text, size_t len, unsigned char *ret_bytes, size_t *ret_n)
{
    size_t padding = 0, n = 0;

    if (len % 4 != 0)
        return false;
    while (padding < 2 && padding < len && text[len - 1 - padding] == '=')
        padding++;
    for (size_t i = 0; i < len; i += 4) {
        size_t digits = i + 4 == len ? 4 - padding : 4;
        uint32_t group = 0;

        for (size_t k = 0; k < 4; k++) {
            int value = k < digits ? digit_value(text[i + k]) : 0;

            if (value < 0)
                return false;
            group = group << 6 | (uint32_t)value;
        }
        if ((digits == 2 && (group & 0xffff) != 0) || (digits == 3 && (group & 0xff) != 0))
            return false;
        for (size_t k = 0; k + 1 < digits; k++)
            ret_bytes[n++] = (unsigned char)(group >> (16 - 8 * k));
    }
    *ret_n = n;
    return true;
}
