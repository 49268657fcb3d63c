/*
 * Helpers on text, money and time; see text.h. Pure functions but for say() and the clocks; any thread.
 */
#include "text.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BEIJING_OFFSET_MS (INT64_C(8) * 3600 * 1000)

void *need(void *memory)
{
    if (!memory) {
        fputs("paynotify-sandbox: out of memory\n", stderr);
        abort();
    }
    return memory;
}

char *text_copy(const char *text)
{
    return text ? need(strdup(text)) : NULL;
}

char *text_format(const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int n = vasprintf(&text, format, args);
    va_end(args);
    return need(n < 0 ? NULL : text);
}

void say(const char *format, ...)
{
    char line[512], at[BEIJING_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    beijing_text(clock_now_ms(), at);
    fprintf(stderr, "%s %s\n", at, line);
}

/* The length of the sequence that starts with `lead`, and the range of its second byte; 0: no such start. */
static size_t utf8_sequence(unsigned char lead, unsigned char *ret_low, unsigned char *ret_high)
{
    *ret_low = 0x80;
    *ret_high = 0xBF;
    if (lead < 0x80)
        return 1;
    if (lead >= 0xC2 && lead <= 0xDF)
        return 2;
    if (lead >= 0xE0 && lead <= 0xEF) {
        if (lead == 0xE0)
            *ret_low = 0xA0;
        if (lead == 0xED)
            *ret_high = 0x9F;
        return 3;
    }
    if (lead >= 0xF0 && lead <= 0xF4) {
        if (lead == 0xF0)
            *ret_low = 0x90;
        if (lead == 0xF4)
            *ret_high = 0x8F;
        return 4;
    }
    return 0;
}

bool text_is_utf8(const char *bytes, size_t n)
{
    for (size_t i = 0; i < n;) {
        unsigned char low, high;
        size_t length = utf8_sequence((unsigned char)bytes[i], &low, &high);
        if (length == 0 || length > n - i)
            return false;
        for (size_t k = 1; k < length; k++) {
            unsigned char byte = (unsigned char)bytes[i + k];
            if (byte < low || byte > high)
                return false;
            low = 0x80;
            high = 0xBF;
        }
        i += length;
    }
    return true;
}

size_t text_characters(const char *utf8)
{
    size_t count = 0;
    for (; *utf8; utf8++)
        count += ((unsigned char)*utf8 & 0xC0) != 0x80;
    return count;
}

bool text_is_word(const char *text, size_t most)
{
    size_t n = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");
    return n > 0 && n <= most && text[n] == '\0';
}

bool text_is_url(const char *text, size_t most)
{
    size_t scheme = strncmp(text, "http://", 7) == 0 ? 7 : strncmp(text, "https://", 8) == 0 ? 8 : 0;
    if (scheme == 0 || strlen(text) > most || text[scheme] == '\0' || text[scheme] == '/')
        return false;
    for (const char *at = text; *at; at++)
        if (*at <= ' ' || *at > '~' || *at == '"' || *at == '<' || *at == '>')
            return false;
    return true;
}

void text_write_html(FILE *out, const char *text)
{
    for (; *text; text++) {
        switch (*text) {
        case '&': fputs("&amp;", out); break;
        case '<': fputs("&lt;", out); break;
        case '>': fputs("&gt;", out); break;
        case '"': fputs("&quot;", out); break;
        case '\'': fputs("&#39;", out); break;
        default: fputc(*text, out);
        }
    }
}

bool money_parse(const char *text, int64_t *ret_fen)
{
    static const char digits[] = "0123456789";
    size_t whole = strspn(text, digits);
    const char *rest = text + whole;
    if (whole == 0 || whole > 9)
        return false;
    int64_t fen = 0;
    for (size_t i = 0; i < whole; i++)
        fen = fen * 10 + (text[i] - '0');
    fen *= 100;
    if (*rest == '.') {
        size_t decimals = strspn(++rest, digits);
        if (decimals == 0 || decimals > 2 || rest[decimals] != '\0')
            return false;
        fen += (rest[0] - '0') * 10 + (decimals == 2 ? rest[1] - '0' : 0);
    } else if (*rest != '\0') {
        return false;
    }
    if (fen < 1 || fen > INT64_C(10000000000))
        return false;
    *ret_fen = fen;
    return true;
}

char *money_text(int64_t fen)
{
    return text_format("%lld.%02lld", (long long)(fen / 100), (long long)(fen % 100));
}

static int64_t clock_ms(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t clock_now_ms(void)
{
    return clock_ms(CLOCK_REALTIME);
}

int64_t clock_steady_ms(void)
{
    return clock_ms(CLOCK_MONOTONIC);
}

void beijing_text(int64_t ms, char ret_text[static BEIJING_SIZE])
{
    time_t seconds = (time_t)((ms + BEIJING_OFFSET_MS) / 1000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    strftime(ret_text, BEIJING_SIZE, "%Y-%m-%d %H:%M:%S", &tm);
}

bool beijing_parse(const char *text, int64_t *ret_ms)
{
    static const char shape[] = "0000-00-00 00:00:00";
    if (strlen(text) != sizeof shape - 1)
        return false;
    int part[6] = {0}, at = 0;
    for (size_t i = 0; i < sizeof shape - 1; i++) {
        if (shape[i] != '0' ? text[i] != shape[i] : text[i] < '0' || text[i] > '9')
            return false;
        if (shape[i] == '0')
            part[at] = part[at] * 10 + (text[i] - '0');
        else
            at++;
    }
    struct tm tm = {.tm_year = part[0] - 1900, .tm_mon = part[1] - 1, .tm_mday = part[2],
                    .tm_hour = part[3], .tm_min = part[4], .tm_sec = part[5]};
    int64_t ms = (int64_t)timegm(&tm) * 1000 - BEIJING_OFFSET_MS;
    char again[BEIJING_SIZE];
    beijing_text(ms, again); /* timegm turns 31 February into March: only what comes back the same was a date */
    if (strcmp(again, text) != 0)
        return false;
    *ret_ms = ms;
    return true;
}
