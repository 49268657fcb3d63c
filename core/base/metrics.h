/*
 * Counters and gauges for /metrics. A metric is found or made once by name and labels and then bumped without a lock.
 * Any thread. Metrics live as long as the process.
 */
#ifndef PN_BASE_METRICS_H
#define PN_BASE_METRICS_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/buf.h"

struct metric {
    _Atomic int64_t value;
};

/* name such as "paynotify_settlements_total"; labels such as "outcome=\"applied\",channel=\"x\"" or NULL. Counters end
 * in _total. The texts are copied. Never NULL. */
struct metric *metric_counter(const char *name, const char *labels, const char *help);
struct metric *metric_gauge(const char *name, const char *labels, const char *help);
/* The same with one label and any value. */
struct metric *metric_counter_of(const char *name, const char *label, const char *value, const char *help);
struct metric *metric_gauge_of(const char *name, const char *label, const char *value, const char *help);

static inline void metric_add(struct metric *metric, int64_t n)
{
    atomic_fetch_add_explicit(&metric->value, n, memory_order_relaxed);
}
static inline void metric_set(struct metric *metric, int64_t n)
{
    atomic_store_explicit(&metric->value, n, memory_order_relaxed);
}

/* Appends all of them in the Prometheus text format, sorted by name. */
void metrics_render(struct buf *ret_text);

#endif
