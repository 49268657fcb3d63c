/*
 * Small helpers on struct pn_str and struct pn_kv, for every plugin. Pure; any thread.
 */
#include "common/str.h"

#include <strings.h>

int str_compare(struct pn_str a, struct pn_str b)
{
    size_t shorter = a.len < b.len ? a.len : b.len;
    int order = shorter ? memcmp(a.data, b.data, shorter) : 0;

    if (order != 0)
        return order;
    return (a.len > b.len) - (a.len < b.len);
}

bool str_is_nocase(struct pn_str a, const char *text)
{
    size_t len = strlen(text);

    return a.len == len && (len == 0 || strncasecmp(a.data, text, len) == 0);
}

bool str_is_digits(struct pn_str a, size_t min, size_t max)
{
    if (a.len < min || a.len > max)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (a.data[i] < '0' || a.data[i] > '9')
            return false;
    return true;
}

bool str_is_ascii(struct pn_str a)
{
    unsigned char seen = 0;

    for (size_t i = 0; i < a.len; i++)
        seen |= (unsigned char)a.data[i];
    return seen < 0x80;
}

struct pn_str kv_get(struct pn_kv_list list, const char *name)
{
    size_t len = strlen(name);

    for (size_t i = 0; i < list.count; i++)
        if (list.items[i].name.len == len && memcmp(list.items[i].name.data, name, len) == 0)
            return list.items[i].value;
    return (struct pn_str){ NULL, 0 };
}
