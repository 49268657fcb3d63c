/*
 * Latencies counted, not sampled: buckets of at most 1/64 relative width, from 1 µs to over an hour. Used by the load
 * driver and the bare publisher, from one thread.
 */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_SUB 64
#define HISTOGRAM_BUCKETS (HISTOGRAM_SUB * 32)

struct histogram {
    uint64_t count, max_us;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *histogram, uint64_t us);
/* The latency that `share` (0…1) of all stay at or under; 0 when there are none. */
uint64_t histogram_at(const struct histogram *histogram, double share);

#endif
