/*
 * Log lines: made in a buffer of their own, written to stderr with one write, so that lines of several threads and
 * processes never mix. Any thread, without a lock.
 */
#include "base/log.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"

static _Atomic int threshold = LOG_LEVEL_INFO;
static _Atomic int chosen_format = LOG_LOGFMT;

static const char *const level_names[] = { "error", "warn", "notice", "info", "debug" };

void log_setup(enum log_format format, enum log_level level)
{
    atomic_store(&chosen_format, (int) format);
    atomic_store(&threshold, (int) level);
}

bool log_enabled(enum log_level level)
{
    return (int) level <= atomic_load_explicit(&threshold, memory_order_relaxed);
}

/* logfmt: bare when nothing in it could be misread, otherwise quoted and escaped as in JSON. */
static void add_logfmt_text(struct buf *line, const char *text)
{
    size_t plain = 0;
    for (; text[plain]; plain++) {
        unsigned char c = (unsigned char) text[plain];
        if (c <= ' ' || c >= 0x7f || c == '"' || c == '=' || c == '\\')
            break;
    }
    if (plain && !text[plain])
        buf_add(line, text, plain);
    else
        buf_add_json(line, text);
}

static void add_pair(struct buf *line, bool json, const struct log_kv *kv)
{
    if (json) {
        buf_addc(line, ',');
        buf_add_json(line, kv->key);
        buf_addc(line, ':');
    } else {
        buf_addc(line, ' ');
        buf_adds(line, kv->key);
        buf_addc(line, '=');
    }
    if (!kv->text)
        buf_add_i64(line, kv->number);
    else if (json)
        buf_add_json(line, kv->text);
    else
        add_logfmt_text(line, kv->text);
}

static void write_whole(const char *bytes, size_t n)
{
    while (n) {
        ssize_t written = write(STDERR_FILENO, bytes, n);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0) /* nobody reads the log: that must not stop payments */
            return;
        bytes += written;
        n -= (size_t) written;
    }
}

void log_write(enum log_level level, const char *message, const struct log_kv *kvs)
{
    if (!log_enabled(level))
        return;
    int saved_errno = errno;
    bool json = atomic_load_explicit(&chosen_format, memory_order_relaxed) == LOG_JSON;
    char time_text[CLOCK_TEXT_MAX];
    struct buf line = { 0 };
    buf_addf(&line, json ? "{\"time\":\"%s\",\"level\":\"%s\",\"msg\":" : "time=%s level=%s msg=",
             clock_format(wall_ms(), time_text), level_names[level]);
    if (json)
        buf_add_json(&line, message);
    else
        add_logfmt_text(&line, message);
    for (; kvs && kvs->key; kvs++)
        add_pair(&line, json, kvs);
    buf_adds(&line, json ? "}\n" : "\n");
    if (!line.failed)
        write_whole(line.data, line.len);
    buf_free(&line);
    errno = saved_errno;
}

enum { WINDOW_MS = 60000 };

bool log_allow(struct log_limit *limit, int per_minute)
{
    int64_t now = mono_ms() + 1; /* never 0, which means that the first window has not begun */
    int64_t start = atomic_load(&limit->window_start_ms);
    if (start && now - start < WINDOW_MS)
        return atomic_fetch_add(&limit->count, 1) < per_minute;
    if (!atomic_compare_exchange_strong(&limit->window_start_ms, &start, now)) /* another thread began the window */
        return atomic_fetch_add(&limit->count, 1) < per_minute;
    int left_out = atomic_exchange(&limit->count, 1) - per_minute;
    if (start && left_out > 0)
        log_notice("repeated lines were left out", LOG_I("count", left_out));
    return per_minute > 0;
}
