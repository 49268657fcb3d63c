/*
 * Waiting on a condition until a time of the monotonic clock. For the threads of core/outbox.
 */
#ifndef PN_OUTBOX_WAIT_H
#define PN_OUTBOX_WAIT_H

#include <pthread.h>
#include <stdint.h>
#include <time.h>

static inline void wait_init(pthread_cond_t *cond)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attr);
    pthread_condattr_destroy(&attr);
}

/* Returns when signalled, when mono_ms() reaches until_ms, or for no reason. The lock is held before and after. */
static inline void wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t until_ms)
{
    struct timespec until = { .tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000 };
    pthread_cond_timedwait(cond, lock, &until);
}

#endif
