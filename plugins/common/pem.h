/*
 * PEM as people paste it: blocks between BEGIN and END lines, in lines of any length, with any text around them. Pure; any
 * thread.
 */
#ifndef PLUGINS_COMMON_PEM_H
#define PLUGINS_COMMON_PEM_H

#include <paynotify/plugin.h>

enum pem_found { PEM_NONE, PEM_BLOCK, PEM_CUT_OFF };

/* The next block of *rest, which is moved behind it. Label and base64 point into the text. */
enum pem_found pem_next(struct pn_str *rest, struct pn_str *ret_label, struct pn_str *ret_base64);

/* The bytes of a base64 text with any white space, strictly otherwise; NULL when it is none. To be freed with
 * OPENSSL_clear_free(…, text.len + 1). */
unsigned char *pem_decode(struct pn_str text, size_t *ret_len);

#endif
