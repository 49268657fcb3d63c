/*
 * The byte buffer: growth and plain appends. Escaping is in escape.c. Called by every layer; a buffer belongs to one
 * thread.
 */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAP = 256 };

void buf_free(struct buf *buf)
{
    free(buf->data);
    *buf = (struct buf){ 0 };
}

void buf_clear(struct buf *buf)
{
    buf->len = 0;
    buf->failed = false;
    if (buf->data)
        buf->data[0] = 0;
}

const char *buf_text(const struct buf *buf)
{
    return buf->data ? buf->data : "";
}

/* Room for n bytes and the NUL behind them. */
static bool reserve(struct buf *buf, size_t n)
{
    if (n < buf->cap - buf->len) /* cap 0 and len 0: false */
        return true;
    if (buf->failed || n > SIZE_MAX / 4 || buf->len > SIZE_MAX / 4) {
        buf->failed = true;
        return false;
    }
    size_t cap = buf->cap ? buf->cap : FIRST_CAP;
    while (cap - buf->len <= n)
        cap *= 2;
    char *data = realloc(buf->data, cap);
    if (!data) {
        buf->failed = true;
        return false;
    }
    buf->data = data;
    buf->cap = cap;
    return true;
}

void buf_add(struct buf *buf, const void *bytes, size_t n)
{
    if (!reserve(buf, n))
        return;
    if (n)
        memcpy(buf->data + buf->len, bytes, n);
    buf->len += n;
    buf->data[buf->len] = 0;
}

void buf_adds(struct buf *buf, const char *text)
{
    buf_add(buf, text, strlen(text));
}

void buf_addc(struct buf *buf, char c)
{
    buf_add(buf, &c, 1);
}

void buf_add_i64(struct buf *buf, int64_t value)
{
    char digits[20], *end = digits + sizeof digits, *p = end;
    uint64_t rest = value < 0 ? -(uint64_t) value : (uint64_t) value;
    do {
        *--p = (char) ('0' + rest % 10);
        rest /= 10;
    } while (rest);
    if (value < 0)
        *--p = '-';
    buf_add(buf, p, (size_t) (end - p));
}

void buf_addf(struct buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0) {
        buf->failed = true;
        return;
    }
    if (!reserve(buf, (size_t) n))
        return;
    va_start(args, format);
    vsnprintf(buf->data + buf->len, (size_t) n + 1, format, args);
    va_end(args);
    buf->len += (size_t) n;
}
