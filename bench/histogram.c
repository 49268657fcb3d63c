/* Latencies counted in buckets of growing width; see histogram.h. */
#include "histogram.h"

/* The first 64 buckets are 1 µs wide, the next 64 cover 64…127 µs, then each group of 64 covers twice the span. */
static unsigned bucket_of(uint64_t us)
{
    unsigned shift = 0;
    while ((us >> shift) >= 2 * HISTOGRAM_SUB)
        shift++;
    unsigned bucket = us < HISTOGRAM_SUB ? (unsigned)us : (shift + 1) * HISTOGRAM_SUB + (unsigned)((us >> shift) - HISTOGRAM_SUB);
    return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

static uint64_t upper_end(unsigned bucket)
{
    if (bucket < HISTOGRAM_SUB)
        return bucket;
    unsigned shift = bucket / HISTOGRAM_SUB - 1;
    return (((uint64_t)(bucket % HISTOGRAM_SUB) + HISTOGRAM_SUB + 1) << shift) - 1;
}

void histogram_add(struct histogram *histogram, uint64_t us)
{
    histogram->buckets[bucket_of(us)]++;
    histogram->count++;
    if (us > histogram->max_us)
        histogram->max_us = us;
}

uint64_t histogram_at(const struct histogram *histogram, double share)
{
    uint64_t wanted = (uint64_t)(share * (double)histogram->count + 0.5), seen = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += histogram->buckets[i];
        if (seen >= wanted && seen > 0)
            return upper_end(i) < histogram->max_us ? upper_end(i) : histogram->max_us;
    }
    return 0;
}
