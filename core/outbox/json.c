/*
 * The walk of json.h: one pass, no allocation, no recursion. Called by the formats on relay threads and by the fuzz
 * harness.
 */
#include "outbox/json.h"

#include <stdint.h>
#include <string.h>

enum { DEPTH_MAX = 64 };

static inline void skip_space(struct json_walk *walk)
{
    while (walk->at < walk->end && (*walk->at == ' ' || *walk->at == '\t' || *walk->at == '\n' || *walk->at == '\r'))
        walk->at++;
}

static inline bool take(struct json_walk *walk, char c)
{
    if (walk->at == walk->end || *walk->at != c)
        return false;
    walk->at++;
    return true;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Four hex digits at `at`; -1 when they are none. */
static int hex4(const char *at, const char *end)
{
    int value = 0;
    if (end - at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int digit = hex_value(at[i]);
        if (digit < 0)
            return -1;
        value = value << 4 | digit;
    }
    return value;
}

static bool skip_escape(struct json_walk *walk)
{
    if (walk->at == walk->end)
        return false;
    char c = *walk->at++;
    if (c != 'u')
        return c != '\0' && strchr("\"\\/bfnrt", c);
    if (hex4(walk->at, walk->end) < 0)
        return false;
    walk->at += 4;
    return true;
}

/* Where a string's plain run ends: at the quote, an escape, a control character. */
static const unsigned char ends_run[256] = {
    [0 ... 0x1f] = 1, ['"'] = 1, ['\\'] = 1,
};

/* The opening quote has been taken; leaves the closing one behind. */
static bool skip_string(struct json_walk *walk)
{
    for (;;) {
        const char *at = walk->at, *end = walk->end;
        while (at < end && !ends_run[(unsigned char)*at])
            at++;
        walk->at = at;
        if (at == end)
            return false;
        walk->at++;
        if (*at == '"')
            return true;
        if (*at != '\\' || !skip_escape(walk))
            return false;
    }
}

static bool skip_digits(struct json_walk *walk)
{
    const char *from = walk->at;
    while (walk->at < walk->end && *walk->at >= '0' && *walk->at <= '9')
        walk->at++;
    return walk->at > from;
}

static bool skip_number(struct json_walk *walk)
{
    (void)take(walk, '-');
    if (!take(walk, '0') && !skip_digits(walk))
        return false;
    if (take(walk, '.') && !skip_digits(walk))
        return false;
    if (take(walk, 'e') || take(walk, 'E')) {
        if (!take(walk, '+'))
            (void)take(walk, '-');
        return skip_digits(walk);
    }
    return true;
}

static bool skip_word(struct json_walk *walk, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(walk->end - walk->at) < n || memcmp(walk->at, word, n) != 0)
        return false;
    walk->at += n;
    return true;
}

static bool skip_scalar(struct json_walk *walk)
{
    if (take(walk, '"'))
        return skip_string(walk);
    return skip_word(walk, "true") || skip_word(walk, "false") || skip_word(walk, "null") || skip_number(walk);
}

static bool skip_key(struct json_walk *walk)
{
    skip_space(walk);
    if (!take(walk, '"') || !skip_string(walk))
        return false;
    skip_space(walk);
    return take(walk, ':');
}

/* After a value: closes every container that ends here, then goes on to the next element of the innermost one. `objects`
 * has a bit for each open container that is an object. *depth is 0 when the outermost value is complete. */
static bool skip_closings(struct json_walk *walk, uint64_t *objects, int *depth)
{
    while (*depth > 0) {
        skip_space(walk);
        bool object = *objects & 1;
        if (take(walk, ','))
            return !object || skip_key(walk);
        if (!take(walk, object ? '}' : ']'))
            return false;
        *objects >>= 1;
        --*depth;
    }
    return true;
}

static bool skip_value(struct json_walk *walk)
{
    uint64_t objects = 0;
    int depth = 0;
    do {
        skip_space(walk);
        bool object = take(walk, '{');
        if (!object && !take(walk, '[')) {
            if (!skip_scalar(walk) || !skip_closings(walk, &objects, &depth))
                return false;
            continue;
        }
        if (++depth > DEPTH_MAX)
            return false;
        objects = objects << 1 | object;
        skip_space(walk);
        bool empty = take(walk, object ? '}' : ']');
        if (empty) {
            objects >>= 1;
            depth--;
        }
        if (empty ? !skip_closings(walk, &objects, &depth) : object && !skip_key(walk))
            return false;
    } while (depth > 0);
    return true;
}

void json_walk_begin(struct json_walk *walk, const char *text, size_t len)
{
    *walk = (struct json_walk){ .at = text, .end = text + len, .first = true };
    skip_space(walk);
    walk->broken = !take(walk, '{');
}

/* After the closing brace only space may follow. */
static bool finish(struct json_walk *walk)
{
    skip_space(walk);
    walk->broken = walk->at != walk->end;
    walk->at = walk->end;
    walk->end = NULL;
    return false;
}

bool json_walk_next(struct json_walk *walk, struct json_span *ret_key, struct json_span *ret_value)
{
    if (walk->broken || !walk->end)
        return false;
    skip_space(walk);
    if (take(walk, '}'))
        return finish(walk);
    walk->broken = true;
    if (!walk->first && !take(walk, ','))
        return false;
    walk->first = false;
    skip_space(walk);
    const char *key = walk->at;
    if (!take(walk, '"') || !skip_string(walk))
        return false;
    *ret_key = (struct json_span){ key + 1, (size_t)(walk->at - key) - 2 };
    skip_space(walk);
    if (!take(walk, ':'))
        return false;
    skip_space(walk);
    const char *value = walk->at;
    if (!skip_value(walk))
        return false;
    *ret_value = (struct json_span){ value, (size_t)(walk->at - value) };
    walk->broken = false;
    return true;
}

bool span_is(struct json_span span, const char *text)
{
    size_t n = strlen(text);
    return span.at && span.len == n && memcmp(span.at, text, n) == 0;
}

bool span_is_string(struct json_span value)
{
    return value.at && value.len >= 2 && *value.at == '"';
}

static void add_utf8(struct buf *buf, unsigned code)
{
    char bytes[4];
    size_t n = 0;
    if (code < 0x80) {
        bytes[n++] = (char)code;
    } else if (code < 0x800) {
        bytes[n++] = (char)(0xc0 | code >> 6);
    } else if (code < 0x10000) {
        bytes[n++] = (char)(0xe0 | code >> 12);
        bytes[n++] = (char)(0x80 | (code >> 6 & 0x3f));
    } else {
        bytes[n++] = (char)(0xf0 | code >> 18);
        bytes[n++] = (char)(0x80 | (code >> 12 & 0x3f));
        bytes[n++] = (char)(0x80 | (code >> 6 & 0x3f));
    }
    if (code >= 0x80)
        bytes[n++] = (char)(0x80 | (code & 0x3f));
    buf_add(buf, bytes, n);
}

/* The escape behind "\u": one code unit, or a pair of surrogates. The number of bytes used; 0 when it is no character. */
static size_t unescape_unicode(const char *at, const char *end, struct buf *buf)
{
    int high = hex4(at, end);
    if (high <= 0 || (high >= 0xdc00 && high <= 0xdfff))
        return 0;
    if (high < 0xd800 || high > 0xdfff) {
        add_utf8(buf, (unsigned)high);
        return 4;
    }
    int low = end - at >= 10 && at[4] == '\\' && at[5] == 'u' ? hex4(at + 6, end) : -1;
    if (low < 0xdc00 || low > 0xdfff)
        return 0;
    add_utf8(buf, 0x10000U + (((unsigned)high & 0x3ffU) << 10) + ((unsigned)low & 0x3ffU));
    return 10;
}

bool span_unescape(struct json_span value, struct buf *buf)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (!span_is_string(value))
        return false;
    const char *at = value.at + 1, *end = value.at + value.len - 1;
    while (at < end) {
        const char *escape = memchr(at, '\\', (size_t)(end - at));
        buf_add(buf, at, (size_t)((escape ? escape : end) - at));
        if (!escape)
            return true;
        at = escape + 2;
        if (escape[1] == 'u') {
            size_t used = unescape_unicode(at, end, buf);
            if (used == 0)
                return false;
            at += used;
        } else {
            buf_addc(buf, to[strchr(from, escape[1]) - from]);
        }
    }
    return true;
}
