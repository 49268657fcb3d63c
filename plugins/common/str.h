/*
 * Small helpers on struct pn_str and struct pn_kv, for every plugin. Pure; any thread.
 */
#ifndef PLUGINS_COMMON_STR_H
#define PLUGINS_COMMON_STR_H

#include <paynotify/plugin.h>
#include <stdbool.h>
#include <string.h>

/* A string literal as a constant expression: STR_INIT in initialisers, STR elsewhere. */
#define STR_INIT(literal_) { (literal_), sizeof(literal_) - 1 }
#define STR(literal_) ((struct pn_str)STR_INIT(literal_))

/* NULL gives an absent text. */
static inline struct pn_str str_of(const char *text)
{
    return (struct pn_str){ text, text ? strlen(text) : 0 };
}

static inline bool str_eq(struct pn_str a, struct pn_str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline bool str_is(struct pn_str a, const char *text)
{
    return str_eq(a, str_of(text));
}

/* Byte order; a prefix comes first. */
int str_compare(struct pn_str a, struct pn_str b);

/* ASCII letters in either case. */
bool str_is_nocase(struct pn_str a, const char *text);

/* Digits only, between min and max of them. */
bool str_is_digits(struct pn_str a, size_t min, size_t max);

bool str_is_ascii(struct pn_str a);

/* The value of `name`, or an absent text. */
struct pn_str kv_get(struct pn_kv_list list, const char *name);

#endif
