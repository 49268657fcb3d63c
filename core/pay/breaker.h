/*
 * When to stop asking a provider that does not answer, and when to try again: a pure state machine. Time and randomness are
 * parameters; the lock around it is the caller's (traffic.c).
 *
 *   closed ── so many failures in a row ──▶ open ── after its wait ──▶ half-open: one probe goes out
 *     ▲                                      ▲                            │
 *     └──── an answer of any kind ───────────┼──── the probe fails; the wait doubles
 *
 * A failure is a connection that cannot be made or breaks, and silence until the time-out. A refusal is an answer.
 */
#ifndef PN_PAY_BREAKER_H
#define PN_PAY_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

enum breaker_state { BREAKER_CLOSED = 0, BREAKER_HALF_OPEN = 1, BREAKER_OPEN = 2 };

/* Zeroed with its settings filled in: closed. */
struct breaker {
    int64_t failures_max;          /* in a row, that open it; 0: it never opens */
    int64_t wait_ms, wait_max_ms;  /* the first wait, and what it doubles to */
    enum breaker_state state;
    int64_t failures;              /* in a row */
    int64_t next_wait_ms;          /* 0: the first */
    int64_t until_ms;              /* while open */
    uint64_t epoch;                /* counts openings: a call that left before the last one says nothing by failing */
};

/* What a call was allowed; it gives it back with its end. */
struct breaker_permit {
    bool granted, probe;
    uint64_t epoch;
};

/* Whether breaker_permit would refuse. */
bool breaker_refuses(const struct breaker *breaker, int64_t now_ms);

/* Right before a call leaves. A granted permit is given back exactly once, to one of the three below. */
struct breaker_permit breaker_permit(struct breaker *breaker, int64_t now_ms);

void breaker_answered(struct breaker *breaker);
/* True: that opened it, or kept it open for another wait. `random`: any number, for the jitter. */
bool breaker_failed(struct breaker *breaker, struct breaker_permit permit, int64_t now_ms, uint32_t random);
void breaker_unused(struct breaker *breaker, struct breaker_permit permit, int64_t now_ms); /* the call never left */

#endif
