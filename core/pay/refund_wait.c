/*
 * When a refund that has not ended is asked about again. Pure; called by refund_ask.c.
 */
#include "pay/refund.h"

enum { SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, DAY = 24 * HOUR };
#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

/* Most refunds take seconds, some a bank's night. */
static const int64_t processing[] = { 10 * SECOND, 30 * SECOND, MINUTE, 5 * MINUTE, 30 * MINUTE, HOUR, 6 * HOUR };
enum { PROCESSING_MAX = 46 }; /* ten days */

/* What a time-out came to is mostly known soon; then seldom, for five days. */
static const int64_t unknown[] = { 10 * SECOND, 5 * MINUTE, HOUR, DAY, DAY, DAY, DAY, DAY };

static const int64_t unsent[] = { 10 * SECOND, 20 * SECOND, 40 * SECOND, 80 * SECOND, 160 * SECOND, 5 * MINUTE };

static int64_t nth(const int64_t *waits, int count, int n)
{
    return waits[n < count ? n : count - 1];
}

/* Ten per cent more or less, so that what began together does not stay together. */
static int64_t with_jitter(int64_t wait_ms, uint32_t random)
{
    return wait_ms * (900 + random % 201) / 1000;
}

int64_t refund_wait_ms(enum schedule_answer last, int attempts, int answers, int unknowns, uint32_t random)
{
    switch (last) {
    case ANSWER_LEARNED:
        return answers < PROCESSING_MAX ? with_jitter(nth(processing, COUNT(processing), answers), random) : 0;
    case ANSWER_UNKNOWN:
        return unknowns < COUNT(unknown) ? with_jitter(unknown[unknowns], random) : 0;
    case ANSWER_NOT_ASKED:
        break;
    }
    return with_jitter(nth(unsent, COUNT(unsent), attempts), random);
}
