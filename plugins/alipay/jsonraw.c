/*
 * Finds the raw text of a member of a JSON object, because a gateway answer is signed as it was written. Only for texts that a
 * JSON parser has accepted; on anything else it stops in bounds. Pure; any thread.
 */
#include "alipay/alipay.h"

struct scan {
    const char *at, *end;
    bool wide;
};

static void skip_space(struct scan *scan)
{
    while (scan->at < scan->end && memchr(" \t\r\n", *scan->at, 4))
        scan->at++;
}

static bool take(struct scan *scan, char c)
{
    if (scan->at == scan->end || *scan->at != c)
        return false;
    scan->at++;
    return true;
}

/* At the opening quote; stops behind the closing one. */
static bool skip_string(struct scan *scan)
{
    if (!take(scan, '"'))
        return false;
    while (scan->at < scan->end) {
        unsigned char c = (unsigned char)*scan->at++;

        if (c == '"')
            return true;
        if (scan->at < scan->end && (c == '\\' || (scan->wide && c >= 0x81 && c != 0xff)))
            scan->at++;
    }
    return false;
}

/* An object or an array: up to where the bracket at the start is closed. */
static bool skip_nested(struct scan *scan)
{
    size_t depth = 0;

    while (scan->at < scan->end) {
        char c = *scan->at;

        if (c == '"') {
            if (!skip_string(scan))
                return false;
            continue;
        }
        scan->at++;
        if (c == '{' || c == '[')
            depth++;
        else if ((c == '}' || c == ']') && --depth == 0)
            return true;
    }
    return false;
}

static bool skip_value(struct scan *scan)
{
    const char *start = scan->at;

    if (scan->at == scan->end)
        return false;
    if (*scan->at == '"')
        return skip_string(scan);
    if (*scan->at == '{' || *scan->at == '[')
        return skip_nested(scan);
    while (scan->at < scan->end && !memchr(",]} \t\r\n", *scan->at, 7))
        scan->at++;
    return scan->at > start;
}

/* "name" : value */
static bool member(struct scan *scan, struct pn_str *ret_name, struct pn_str *ret_value)
{
    const char *from;

    skip_space(scan);
    from = scan->at;
    if (!skip_string(scan))
        return false;
    *ret_name = (struct pn_str){ from + 1, (size_t)(scan->at - from) - 2 };
    skip_space(scan);
    if (!take(scan, ':'))
        return false;
    skip_space(scan);
    from = scan->at;
    if (!skip_value(scan))
        return false;
    *ret_value = (struct pn_str){ from, (size_t)(scan->at - from) };
    return true;
}

bool json_raw_member(struct pn_str text, bool wide, const char *name, struct pn_str *ret_value)
{
    struct scan scan = { text.data, text.data + text.len, wide };
    struct pn_str found = { NULL, 0 };

    skip_space(&scan);
    if (!take(&scan, '{'))
        return false;
    for (;;) {
        struct pn_str key, value;

        if (!member(&scan, &key, &value))
            return false;
        if (str_is(key, name)) {
            if (found.data)
                return false;
            found = value;
        }
        skip_space(&scan);
        if (take(&scan, '}'))
            break;
        if (!take(&scan, ','))
            return false;
    }
    if (found.data)
        *ret_value = found;
    return found.data != NULL;
}
