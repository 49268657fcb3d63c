/*
 * Texts that more than one statement is made of, and how rows become structs; for the operations in sql/ and the drivers.
 */
#ifndef PN_STORE_SQL_ROWS_H
#define PN_STORE_SQL_ROWS_H

#include "store/statement.h"

#define ORDER_COLUMNS                                                                                                             \
    "order_id, app, out_business_id, user_id, order_type, name, description, amount_minor, currency, attach, return_url, "       \
    "status, refunded_minor, created_at, expires_at, paid_at, closed_at, paid_pay_no, last_event"
void order_from_row(struct row *row, void *ret_order);

/* The first 19 are what a settlement looks at. */
#define SETTLE_RECORD_COLUMNS                                                                                                     \
    "pay_no, order_id, app, channel, product, amount_minor, currency, merchant, status, trade_no, payer, refunded_minor, "       \
    "refunding_minor, stated_back_minor, paid_at, idempotency_key, needs_review, created_at, expires_at"
#define RECORD_COLUMNS SETTLE_RECORD_COLUMNS ", params, prepay"
void settle_record_from_row(struct row *row, void *ret_record); /* leaves params and prepay NULL */
void record_from_row(struct row *row, void *ret_record);

/*
 * The schedule. A put keeps the sooner time and the greater task, and whoever works on the row gets a new version over him:
 * what he did may be about yesterday's task. A new task counts from the beginning. The first version of a row is one that no
 * earlier row of the subject had, so that who still works on that one is fenced off, too.
 */
#define SCHEDULE_FIRST_VERSION "pn_now_ms() * 1000"
#define SCHEDULE_SOONER                                                                                                           \
    "claim = CASE WHEN excluded.due_at < s.due_at THEN 0 ELSE s.claim END, "                                                      \
    "due_at = CASE WHEN excluded.due_at < s.due_at THEN excluded.due_at ELSE s.due_at END"
#define SCHEDULE_GREATER                                                                                                          \
    "version = s.version + 1, attempts = CASE WHEN excluded.task > s.task THEN 0 ELSE s.attempts END, "                           \
    "answers = CASE WHEN excluded.task > s.task THEN 0 ELSE s.answers END, "                                                      \
    "unknowns = CASE WHEN excluded.task > s.task THEN 0 ELSE s.unknowns END, "                                                    \
    "channel = CASE WHEN excluded.task > s.task THEN excluded.channel ELSE s.channel END, "                                       \
    "task = CASE WHEN excluded.task > s.task THEN excluded.task ELSE s.task END"

#endif
