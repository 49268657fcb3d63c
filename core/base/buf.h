/*
 * A growing byte buffer, for bodies, log lines and SQL arrays. Always NUL-terminated behind len. After a failed
 * allocation it stays as it was and `failed` is set, so that a chain of appends is checked once, at the end.
 */
#ifndef PN_BASE_BUF_H
#define PN_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
    char *data; /* NULL while empty: use buf_text for a C string */
    size_t len, cap;
    bool failed;
};

void buf_free(struct buf *buf); /* leaves it empty and usable */
void buf_clear(struct buf *buf); /* keeps the memory */
const char *buf_text(const struct buf *buf); /* never NULL */
void buf_add(struct buf *buf, const void *bytes, size_t n);
void buf_adds(struct buf *buf, const char *text);
void buf_addc(struct buf *buf, char c);
void buf_add_i64(struct buf *buf, int64_t value);
void buf_addf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* "text" with JSON escaping and the quotes; NULL gives null. The hot path writes its few objects with this; everything
 * else uses jansson. */
void buf_add_json(struct buf *buf, const char *text);
void buf_add_jsonn(struct buf *buf, const char *text, size_t n);

/* text with & < > " ' escaped for HTML text and attribute values. */
void buf_add_html(struct buf *buf, const char *text);

/* text percent-encoded for a URL query (RFC 3986 unreserved characters stay). */
void buf_add_url(struct buf *buf, const char *text, size_t n);

#endif
