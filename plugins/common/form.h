/*
 * application/x-www-form-urlencoded: reading what providers post and writing what they read. Works in buffers that the
 * caller brings, so that a notification costs no allocation per field. Pure; any thread.
 */
#ifndef PLUGINS_COMMON_FORM_H
#define PLUGINS_COMMON_FORM_H

#include <paynotify/plugin.h>
#include <stdbool.h>
#include <stddef.h>

/* An upper bound of the number of fields in a body. */
size_t form_count(struct pn_str body);

/*
 * Splits on '&', each piece on its first '='; decodes '+' and %XX once, on bytes. Empty pieces are skipped; a piece without
 * name or without '=' and a bad escape are refused. Repeated names are kept: refusing them is up to the caller.
 * text: at least body.len bytes, which the fields then point into; fields: form_count(body) of them.
 * Returns NULL, or what is wrong.
 */
const char *form_parse(struct pn_str body, char *text, struct pn_kv *fields, size_t *ret_count);

/* The bytes that form_write needs at most. */
size_t form_length(const struct pn_kv *fields, size_t count);

/* name=value&… with everything but letters, digits and "*-._" escaped, a space as '+'. Returns the length written. */
size_t form_write(const struct pn_kv *fields, size_t count, char *ret_text);

#endif
