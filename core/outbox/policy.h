/*
 * When to try again: failed deliveries and lost connections. One place, pure functions; the relays ask here and the
 * random number is theirs, so that a schedule can be tested exactly.
 */
#ifndef PN_OUTBOX_POLICY_H
#define PN_OUTBOX_POLICY_H

#include <stddef.h>
#include <stdint.h>

enum { POLICY_STEPS_MAX = 8 };

struct policy {
    int64_t retry_ms[POLICY_STEPS_MAX]; /* after the first, second, … failed attempt; then the last one doubles */
    size_t retry_steps;
    int64_t retry_max_ms;
    int64_t connect_first_ms; /* doubles */
    int64_t connect_max_ms;
};

extern const struct policy policy_default;

/* How long to wait after `failed` failed attempts (at least 1), a tenth more or less, chosen by `random`. */
int64_t policy_retry(const struct policy *policy, int failed, uint64_t random);
/* How long to wait before trying to connect again after `failed` tries in a row (at least 1): between half and all of it. */
int64_t policy_connect(const struct policy *policy, int failed, uint64_t random);

#endif
