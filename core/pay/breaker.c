/*
 * The circuit breaker of one channel; see breaker.h. Pure.
 */
#include "pay/breaker.h"

bool breaker_refuses(const struct breaker *breaker, int64_t now_ms)
{
    return breaker->state == BREAKER_HALF_OPEN || (breaker->state == BREAKER_OPEN && now_ms < breaker->until_ms);
}

struct breaker_permit breaker_permit(struct breaker *breaker, int64_t now_ms)
{
    if (breaker_refuses(breaker, now_ms))
        return (struct breaker_permit){ 0 };
    bool probe = breaker->state == BREAKER_OPEN;
    if (probe)
        breaker->state = BREAKER_HALF_OPEN;
    return (struct breaker_permit){ .granted = true, .probe = probe, .epoch = breaker->epoch };
}

void breaker_answered(struct breaker *breaker)
{
    breaker->state = BREAKER_CLOSED;
    breaker->failures = 0;
    breaker->next_wait_ms = 0;
}

/* The wait, give or take a quarter, so that several servers do not all knock at once. */
static void open_up(struct breaker *breaker, int64_t now_ms, uint32_t random)
{
    int64_t wait = breaker->next_wait_ms ? breaker->next_wait_ms : breaker->wait_ms;
    int64_t most = breaker->wait_max_ms > breaker->wait_ms ? breaker->wait_max_ms : breaker->wait_ms;
    breaker->state = BREAKER_OPEN;
    breaker->until_ms = now_ms + wait - wait / 4 + (int64_t)random % (wait / 2 + 1);
    breaker->next_wait_ms = wait < most / 2 ? 2 * wait : most;
    breaker->epoch++;
}

bool breaker_failed(struct breaker *breaker, struct breaker_permit permit, int64_t now_ms, uint32_t random)
{
    if (breaker->failures_max == 0 || permit.epoch != breaker->epoch || breaker->state == BREAKER_OPEN)
        return false;
    if (breaker->state == BREAKER_HALF_OPEN ? !permit.probe : ++breaker->failures < breaker->failures_max)
        return false;
    open_up(breaker, now_ms, random);
    return true;
}

void breaker_unused(struct breaker *breaker, struct breaker_permit permit, int64_t now_ms)
{
    if (!permit.probe || permit.epoch != breaker->epoch || breaker->state != BREAKER_HALF_OPEN)
        return;
    breaker->state = BREAKER_OPEN;
    breaker->until_ms = now_ms;
}
