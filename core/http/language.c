/*
 * Accept-Language (RFC 9110, 12.5.4) as far as two languages need it. Called on HTTP threads before a handler runs.
 */
#include "http/language.h"

#include <string.h>
#include <strings.h>

/* Thousandths of the q parameter of one list item; malformed weights count as 1. */
static int weight_of(const char *item, size_t n)
{
    const char *semicolon = memchr(item, ';', n);
    if (!semicolon)
        return 1000;
    const char *end = item + n;
    const char *p = semicolon + 1;
    while (p < end && (*p == ' ' || *p == '\t'))
        p++;
    if (end - p < 3 || (p[0] != 'q' && p[0] != 'Q') || p[1] != '=')
        return 1000;
    p += 2;
    if (*p == '1')
        return 1000;
    int weight = 0, scale = 100;
    if (++p < end && *p == '.') {
        for (p++; p < end && scale > 0 && *p >= '0' && *p <= '9'; p++, scale /= 10)
            weight += (*p - '0') * scale;
    }
    return weight;
}

static int is_language(const char *item, size_t n, const char *tag)
{
    size_t tag_len = strlen(tag);
    if (n < tag_len || strncasecmp(item, tag, tag_len) != 0)
        return 0;
    return n == tag_len || item[tag_len] == '-' || item[tag_len] == ';' || item[tag_len] == ' ';
}

enum language language_choose(const char *accept_language)
{
    int zh = -1, en = -1;
    const char *p = accept_language ? accept_language : "";
    while (*p) {
        while (*p == ' ' || *p == '\t' || *p == ',')
            p++;
        size_t n = strcspn(p, ",");
        int weight = weight_of(p, n);
        if (is_language(p, n, "zh") && weight > zh)
            zh = weight;
        if (is_language(p, n, "en") && weight > en)
            en = weight;
        p += n;
    }
    return en > zh && en > 0 ? LANGUAGE_EN : LANGUAGE_ZH;
}
