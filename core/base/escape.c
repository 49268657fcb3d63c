/*
 * Appending text to a buffer in the notation of JSON, HTML and URLs. Called by everything that writes bodies and pages,
 * from any thread. What is not UTF-8 becomes U+FFFD in JSON, so that a body is always valid.
 */
#include <string.h>

#include "base/buf.h"
#include "base/text.h"

static const char hex_digits[] = "0123456789abcdef";

/* True when none of these 8 bytes needs a look: no control, no quote, no backslash, nothing beyond ASCII. May err
 * towards false only. */
static bool plain8(const char *p)
{
    const uint64_t ones = 0x0101010101010101U, high = 0x8080808080808080U;
    uint64_t x;
    memcpy(&x, p, sizeof x);
    uint64_t quote = x ^ (ones * '"'), slash = x ^ (ones * '\\');
    return !(((x - ones * 0x20) | (quote - ones) | (slash - ones) | x) & high);
}

static const char *json_plain_end(const char *p, const char *end)
{
    while (end - p >= 8 && plain8(p))
        p += 8;
    while (p < end && (unsigned char) *p >= 0x20 && (unsigned char) *p < 0x80 && *p != '"' && *p != '\\')
        p++;
    return p;
}

static void json_ascii(struct buf *buf, unsigned char c)
{
    char esc[6] = { '\\', 'u', '0', '0', hex_digits[c >> 4], hex_digits[c & 15] };
    switch (c) {
    case '"': buf_add(buf, "\\\"", 2); return;
    case '\\': buf_add(buf, "\\\\", 2); return;
    case '\n': buf_add(buf, "\\n", 2); return;
    case '\r': buf_add(buf, "\\r", 2); return;
    case '\t': buf_add(buf, "\\t", 2); return;
    default: buf_add(buf, esc, sizeof esc);
    }
}

/* The end of the well-formed characters beyond ASCII that start at p; p itself when the first is not well-formed. */
static const char *wide_end(const char *p, const char *end)
{
    while (p < end && (unsigned char) *p >= 0x80) {
        size_t n = text_utf8_length(p, (size_t) (end - p));
        if (!n)
            break;
        p += n;
    }
    return p;
}

void buf_add_jsonn(struct buf *buf, const char *text, size_t n)
{
    const char *p = text, *end = text + n;
    buf_addc(buf, '"');
    while (p < end) {
        const char *run = p;
        for (;;) {
            const char *next = wide_end(json_plain_end(p, end), end);
            if (next == p)
                break;
            p = next;
        }
        buf_add(buf, run, (size_t) (p - run));
        if (p == end)
            break;
        if ((unsigned char) *p < 0x80)
            json_ascii(buf, (unsigned char) *p);
        else
            buf_adds(buf, "\xef\xbf\xbd");
        p++;
    }
    buf_addc(buf, '"');
}

void buf_add_json(struct buf *buf, const char *text)
{
    if (text)
        buf_add_jsonn(buf, text, strlen(text));
    else
        buf_add(buf, "null", 4);
}

void buf_add_html(struct buf *buf, const char *text)
{
    for (;;) {
        size_t run = strcspn(text, "&<>\"'");
        buf_add(buf, text, run);
        text += run;
        switch (*text) {
        case 0: return;
        case '&': buf_adds(buf, "&amp;"); break;
        case '<': buf_adds(buf, "&lt;"); break;
        case '>': buf_adds(buf, "&gt;"); break;
        case '"': buf_adds(buf, "&quot;"); break;
        default: buf_adds(buf, "&#39;");
        }
        text++;
    }
}

static bool url_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
           c == '~';
}

void buf_add_url(struct buf *buf, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char) text[i];
        char esc[3] = { '%', "0123456789ABCDEF"[c >> 4], "0123456789ABCDEF"[c & 15] };
        if (url_unreserved(text[i]))
            buf_addc(buf, text[i]);
        else
            buf_add(buf, esc, sizeof esc);
    }
}
