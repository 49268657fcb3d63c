/*
 * UTF-8 checks, and GB18030 to UTF-8 by the C library's iconv. A conversion descriptor belongs to one call, because it has a
 * state. Any thread.
 */
#include "common/charset.h"

#include <iconv.h>
#include <stdint.h>

size_t utf8_next(const char *text, size_t len, unsigned *ret_code)
{
    const unsigned char *t = (const unsigned char *)text;
    unsigned code, smallest;
    size_t size;

    if (len == 0)
        return 0;
    if (t[0] < 0x80) {
        if (ret_code)
            *ret_code = t[0];
        return 1;
    }
    if (t[0] >= 0xc2 && t[0] <= 0xdf) {
        size = 2, code = t[0] & 0x1f, smallest = 0x80;
    } else if ((t[0] & 0xf0) == 0xe0) {
        size = 3, code = t[0] & 0x0f, smallest = 0x800;
    } else if (t[0] >= 0xf0 && t[0] <= 0xf4) {
        size = 4, code = t[0] & 0x07, smallest = 0x10000;
    } else {
        return 0;
    }
    if (size > len)
        return 0;
    for (size_t i = 1; i < size; i++) {
        if ((t[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (t[i] & 0x3f);
    }
    if (code < smallest || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
        return 0;
    if (ret_code)
        *ret_code = code;
    return size;
}

bool utf8_valid(struct pn_str text)
{
    for (size_t i = 0, size; i < text.len; i += size) {
        size = utf8_next(text.data + i, text.len - i, NULL);
        if (size == 0)
            return false;
    }
    return true;
}

void *gb18030_keep(void)
{
    iconv_t converter = iconv_open("UTF-8", "GB18030");

    return converter == (iconv_t)-1 ? NULL : converter;
}

void gb18030_release(void *kept)
{
    if (kept)
        iconv_close(kept);
}

bool gb18030_to_utf8(struct pn_str in, char *ret_text, size_t *ret_len)
{
    size_t in_left = in.len, out_left = 2 * in.len;
    char *from = (char *)(uintptr_t)in.data; /* iconv's prototype lacks a const */
    char *to = ret_text;
    iconv_t converter = iconv_open("UTF-8", "GB18030");
    size_t failed;

    if (converter == (iconv_t)-1)
        return false;
    failed = iconv(converter, &from, &in_left, &to, &out_left);
    iconv_close(converter);
    if (failed == (size_t)-1 || in_left > 0)
        return false;
    *ret_len = (size_t)(to - ret_text);
    return true;
}
