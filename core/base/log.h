/*
 * Structured log lines to stderr, logfmt or JSON, one write per line. Values are escaped; secrets never get here.
 *
 *     log_info("order created", LOG_I("order_id", id), LOG_S("app", app));
 *
 * Any thread. Repeats: LOG_EVERY limits a line to so many per minute at its call site and says how many were left out.
 */
#ifndef PN_BASE_LOG_H
#define PN_BASE_LOG_H

#include <stdbool.h>
#include <stdatomic.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_NOTICE, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_format { LOG_LOGFMT, LOG_JSON };

struct log_kv {
    const char *key;
    const char *text; /* or, when NULL, number */
    int64_t number;
};

static inline const char *log_text(const char *text)
{
    return text ? text : "";
}

#define LOG_S(key_, text_) { .key = (key_), .text = log_text(text_) }
#define LOG_I(key_, number_) { .key = (key_), .number = (int64_t)(number_) }

void log_setup(enum log_format format, enum log_level level);
bool log_enabled(enum log_level level);
void log_write(enum log_level level, const char *message, const struct log_kv *kvs); /* kvs end with key == NULL */

#define log_at(level_, message_, ...) log_write((level_), (message_), (const struct log_kv[]){ __VA_ARGS__ __VA_OPT__(, ) { .key = 0 } })
#define log_error(message_, ...) log_at(LOG_LEVEL_ERROR, message_ __VA_OPT__(, ) __VA_ARGS__)
#define log_warn(message_, ...) log_at(LOG_LEVEL_WARN, message_ __VA_OPT__(, ) __VA_ARGS__)
#define log_notice(message_, ...) log_at(LOG_LEVEL_NOTICE, message_ __VA_OPT__(, ) __VA_ARGS__)
#define log_info(message_, ...) log_at(LOG_LEVEL_INFO, message_ __VA_OPT__(, ) __VA_ARGS__)
#define log_debug(message_, ...) log_at(LOG_LEVEL_DEBUG, message_ __VA_OPT__(, ) __VA_ARGS__)

/* For lines that input can provoke: static struct log_limit limit; if (log_allow(&limit, 60)) log_warn(…). When lines
 * were left out since the last one allowed, says so in a line of its own. */
struct log_limit {
    _Atomic int64_t window_start_ms;
    _Atomic int count;
};
bool log_allow(struct log_limit *limit, int per_minute);

#endif
