/*
 * Column lists and how their rows become structs, for the operations in sql/ and the drivers' settle_load.
 */
#ifndef PN_STORE_SQL_ROWS_H
#define PN_STORE_SQL_ROWS_H

#include "store/statement.h"

#define ORDER_COLUMNS                                                                                                             \
    "order_id, app, out_business_id, user_id, order_type, name, description, amount_minor, currency, attach, return_url, "       \
    "status, refunded_minor, created_at, expires_at, paid_at, closed_at, paid_pay_no, last_event"
void order_from_row(struct row *row, void *ret_order);

/* The first 18 are what a settlement looks at. */
#define SETTLE_RECORD_COLUMNS                                                                                                     \
    "pay_no, order_id, app, channel, product, amount_minor, currency, merchant, status, trade_no, payer, refunded_minor, "       \
    "refunding_minor, paid_at, idempotency_key, needs_review, created_at, expires_at"
#define RECORD_COLUMNS SETTLE_RECORD_COLUMNS ", params, prepay"
void settle_record_from_row(struct row *row, void *ret_record); /* leaves params and prepay NULL */
void record_from_row(struct row *row, void *ret_record);

#endif
