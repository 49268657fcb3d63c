/*
 * Times as Chinese providers write them: "yyyy-MM-dd HH:mm:ss" or "yyyyMMddHHmmss" at the fixed offset +08:00, without a
 * time-zone database (China has no summer time). Pure; any thread.
 */
#ifndef PLUGINS_COMMON_BEIJING_H
#define PLUGINS_COMMON_BEIJING_H

#include <paynotify/plugin.h>
#include <stdbool.h>

enum { BEIJING_TEXT_MAX = 20, BEIJING_COMPACT_MAX = 15 };

/* Milliseconds since 1970 UTC, years 1970 to 9999; fractions of a second are dropped. NUL-terminated, 19 characters. */
void beijing_format(int64_t ms, char ret_text[BEIJING_TEXT_MAX]);

/* The same text, with an optional fraction of one to three digits. */
bool beijing_parse(struct pn_str text, int64_t *ret_ms);

/* The same as 14 digits. */
void beijing_format_compact(int64_t ms, char ret_text[BEIJING_COMPACT_MAX]);
bool beijing_parse_compact(struct pn_str text, int64_t *ret_ms);

#endif
