/*
 * One turn of one row of the schedule. follow_up.c claims rows and writes how their turns ended; task.c and close.c do what
 * is to be done. Inside core/pay only.
 */
#ifndef PN_PAY_TASK_H
#define PN_PAY_TASK_H

#include "pay/internal.h"

/* What becomes of the row. */
struct task_end {
    enum { TASK_AGAIN, TASK_OVER, TASK_LEFT } kind; /* LEFT: the schedule is right already */
    int64_t wait_ms;             /* AGAIN */
    enum schedule_answer answer; /* AGAIN */
};

/* Does what the row wants, once. `scheduled` is held by the caller and copied; `done` runs once on a worker thread, possibly
 * before this returns; the arena must live until then. Workers only. */
typedef void (*task_ended)(void *arg, const struct task_end *end);
void task_run(struct pay *pay, const struct scheduled *scheduled, struct arena *arena, task_ended done, void *arg);

/* The end of a turn in which nothing was learned. err: of the inquiry, which says whether the provider was asked at all; pace:
 * how long to wait after so many such turns. TASK_OVER: there were enough of them, and the record was given up. Blocking. */
struct task_end task_unknown(struct pay *pay, const struct pay_record *record, const struct scheduled *held, const struct error *err,
                             int64_t (*pace)(int unknowns, uint32_t random), struct arena *arena);
uint32_t task_random(void); /* for the jitter */

/* ---- close.c */

/* Query, close at the provider, query again, for one open record whose row of the schedule the caller holds. TASK_OVER: the
 * record is not open any more. done runs on a worker; it writes the end and finishes the order. */
void record_close_at_provider(struct pay *pay, const struct order *order, const struct pay_record *record,
                              const struct scheduled *held, bool background, struct arena *arena, task_ended done, void *arg);
/* Made here and given to nobody: a form whose link was never opened. */
bool record_never_shown(const struct pay *pay, const struct pay_record *record);
/* How long a claim holds: longer than the longest chain of calls to the channel's provider. */
int64_t record_lease_ms(const struct pay *pay, const char *channel);

/* ---- review.c */

/* The schedule gives a record up, unless its state is not that of `record` any more or somebody else has taken the row `held`
 * over: people must look at it, and are told each time, for the reasons differ. The row is gone afterwards. close: nobody can pay it
 * any more either; then the row stays, for the record's order may have to be ended. Blocking. */
enum rc record_give_up(struct pay *pay, const struct pay_record *record, const struct scheduled *held, const char *why, bool close,
                       struct arena *arena, struct error *err);

/* The same when the policy for a late or duplicate payment has come to nothing: people are told if any of its money is neither
 * on its way back nor its order's. The row is gone afterwards. */
enum rc record_left_over(struct pay *pay, const struct pay_record *record, const struct scheduled *held, const char *why,
                         struct arena *arena, struct error *err);

/* ---- order_end.c */

/* Begins to close an unpaid order: its open records are due to be closed at their providers at once; without any it is closed
 * now, and announced, as is one that is closing already. Nothing for other orders. expired: only when its time is over; *ret_left_ms is how
 * much of it is left. Blocking. */
enum rc order_close_soon(struct pay *pay, int64_t order_id, bool expired, struct arena *arena, int64_t *ret_left_ms,
                         struct error *err);
/* Inside a transaction that has locked the order and found none of its records open: unpaid or closing → closed, with its event.
 * What belongs to them is taken out of the schedule. */
enum rc order_end(struct tx *tx, struct order *order, struct event_write *write, struct error *err);
/* closing → closed with its event, when no record of the order is open any more. RC_OK whatever the order's state then. */
enum rc order_close_finish(struct pay *pay, int64_t order_id, struct arena *arena, struct order *ret_order, struct error *err);
/* Inside a transaction that has locked the order: its open records. Those that were never shown are closed on the way. */
enum rc order_open_records(struct pay *pay, struct tx *tx, int64_t order_id, struct arena *arena, struct pay_record **ret,
                           size_t *ret_count, struct error *err);

#endif
