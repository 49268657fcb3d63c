/*
 * UTF-8 checks and the way from the Chinese national encodings to UTF-8. Any thread.
 */
#ifndef PLUGINS_COMMON_CHARSET_H
#define PLUGINS_COMMON_CHARSET_H

#include <paynotify/plugin.h>
#include <stdbool.h>
#include <stddef.h>

/* The length of the well-formed character at the start of text (no surrogates, no overlong forms), 0 when there is none.
 * ret_code may be NULL. */
size_t utf8_next(const char *text, size_t len, unsigned *ret_code);

bool utf8_valid(struct pn_str text);

/* A converter that is kept open loads the library's tables now and keeps them, so that later conversions open no file.
 * NULL when the C library has none. */
void *gb18030_keep(void);
void gb18030_release(void *kept); /* NULL is fine */

/* GB18030, and so GBK and GB2312, to UTF-8. ret_text has 2 * in.len bytes. False for malformed input, or when the C library
 * has no such converter. */
bool gb18030_to_utf8(struct pn_str in, char *ret_text, size_t *ret_len);

#endif
