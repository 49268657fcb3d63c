/*
 * application/x-www-form-urlencoded, in buffers that the caller brings. Called by the channels for notifications (HTTP
 * threads) and requests. Pure; any thread.
 */
#include "common/form.h"

#include <string.h>

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes [from, end) to *text and moves *text behind it. */
static bool decode(const char *from, const char *end, char **text, struct pn_str *ret)
{
    char *to = *text;

    while (from < end) {
        int high, low;

        if (*from != '%') {
            *to++ = *from == '+' ? ' ' : *from;
            from++;
            continue;
        }
        if (end - from < 3 || (high = hex_value(from[1])) < 0 || (low = hex_value(from[2])) < 0)
            return false;
        *to++ = (char)(high << 4 | low);
        from += 3;
    }
    *ret = (struct pn_str){ *text, (size_t)(to - *text) };
    *text = to;
    return true;
}

size_t form_count(struct pn_str body)
{
    size_t count = body.len > 0;

    for (size_t i = 0; i < body.len; i++)
        count += body.data[i] == '&';
    return count;
}

const char *form_parse(struct pn_str body, char *text, struct pn_kv *fields, size_t *ret_count)
{
    const char *from = body.data, *end = from + body.len;
    size_t count = 0;

    for (const char *stop; from < end; from = stop + 1) {
        const char *equals;

        stop = memchr(from, '&', (size_t)(end - from));
        if (!stop)
            stop = end;
        if (stop == from)
            continue;
        equals = memchr(from, '=', (size_t)(stop - from));
        if (!equals || equals == from)
            return "not a form: a piece without name or '='";
        if (!decode(from, equals, &text, &fields[count].name) || !decode(equals + 1, stop, &text, &fields[count].value))
            return "not a form: a bad percent escape";
        count++;
    }
    *ret_count = count;
    return NULL;
}

size_t form_length(const struct pn_kv *fields, size_t count)
{
    size_t length = 0;

    for (size_t i = 0; i < count; i++)
        length += 3 * (fields[i].name.len + fields[i].value.len) + 2;
    return length;
}

static char *encode(struct pn_str value, char *to)
{
    static const char digits[] = "0123456789ABCDEF";

    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.data[i];

        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '*' || c == '-' || c == '.' ||
            c == '_') {
            *to++ = (char)c;
        } else if (c == ' ') {
            *to++ = '+';
        } else {
            *to++ = '%';
            *to++ = digits[c >> 4];
            *to++ = digits[c & 15];
        }
    }
    return to;
}

size_t form_write(const struct pn_kv *fields, size_t count, char *ret_text)
{
    char *to = ret_text;

    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            *to++ = '&';
        to = encode(fields[i].name, to);
        *to++ = '=';
        to = encode(fields[i].value, to);
    }
    return (size_t)(to - ret_text);
}
