/*
 * How long until a provider is asked again: pure functions of numbers. `random` is any number; it moves a wait by up to a
 * tenth, so that what began together does not stay together.
 */
#ifndef PN_PAY_PACE_H
#define PN_PAY_PACE_H

#include <stdint.h>

#define PACE_ENOUGH INT64_C(-1) /* asking again would teach nothing: people must look */

/* After an answer about an open payment: `interval_ms` while it is young, then a tenth of its age, at most 5 minutes or the
 * interval, and not much beyond `left_ms`, when its order expires (0: it has). */
int64_t pace_query(int64_t interval_ms, int64_t age_ms, int64_t left_ms, uint32_t random);

/* After so many answers in a row that taught nothing: 5 minutes, an hour, a day five times, enough. */
int64_t pace_unknown(int unknowns, uint32_t random);
/* The same for a payment that is to be closed, and whose order waits for it: six quick tries come before. */
int64_t pace_close_unknown(int unknowns, uint32_t random);

/* After so many answers that did not let a payment be closed: 5 seconds, doubling to 160, then every 5 minutes for an hour, hourly
 * for a day, a day five times, enough. */
int64_t pace_close(int answers, uint32_t random);

/* After so many answers that a provider works on a refund: 10 and 30 seconds, a minute, 5, 30, an hour, then every 6 hours for
 * ten days, enough. */
int64_t pace_refund(int answers, uint32_t random);
/* After so many in a row that taught nothing about it: 10 seconds, for what a time-out came to is mostly known soon; then like
 * pace_unknown. */
int64_t pace_refund_unknown(int unknowns, uint32_t random);
/* After so many tries that did not even leave: 10 seconds, doubling to 160, then every 5 minutes, without an end. */
int64_t pace_refund_unsent(int tries, uint32_t random);

#endif
