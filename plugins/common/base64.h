/*
 * Base64 as RFC 4648 §4 writes it: the standard alphabet, padding, one line. The decoder takes nothing else. Pure; any thread.
 */
#ifndef PLUGINS_COMMON_BASE64_H
#define PLUGINS_COMMON_BASE64_H

#include <stdbool.h>
#include <stddef.h>

#define BASE64_LEN(n_) (((n_) + 2) / 3 * 4)

/* Writes BASE64_LEN(n) characters, no NUL. */
void base64_encode(const unsigned char *bytes, size_t n, char *ret_text);

/* ret_bytes has len / 4 * 3 bytes. False for a foreign character, wrong padding or bits set behind the last byte. */
bool base64_decode(const char *text, size_t len, unsigned char *ret_bytes, size_t *ret_n);

#endif
