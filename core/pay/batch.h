/*
 * A batch of facts in one transaction: what committer.c queues, item.c packs, batch.c decides and batch_writes.c turns into writes. Inside core/pay only.
 */
#ifndef PN_PAY_BATCH_H
#define PN_PAY_BATCH_H

#include "pay/internal.h"

/* One queued fact; its texts stand behind the struct, so an item is one allocation. */
struct item {
    struct item *next;
    struct fact fact;
    settle_done done;
    void *arg;
    enum settle_outcome outcome;
    char texts[];
};

/* NULL without memory. */
struct item *item_new(const char *channel, const char *source, const struct pn_result *result, int64_t pay_no);

/* What one transaction over a batch works on; rebuilt from scratch when the transaction runs again. */
struct batch {
    struct pay *pay;
    struct arena *arena;
    struct item **items;
    size_t item_count;
    struct order *orders, *orders_before;
    struct pay_record *records, *records_before;
    size_t order_count, record_count;
    struct settle_writes writes;
    struct event *events;
    struct audit *audits;
    struct refund_book *books; /* of the records whose refunds were looked at */
    struct refund **books_before;
    size_t book_count;
    struct schedule_entry *schedule;
    size_t schedule_capacity;
    struct tx *tx;
    bool planned;
};

/* Settles the items in one transaction and sets their outcomes; hands the events on after the commit. The arena is the
 * caller's, used and emptied. RC_DATA: the store refused a value, and nothing was written. */
enum rc batch_settle(struct pay *pay, struct arena *arena, struct item **items, size_t count);

/* ---- batch_writes.c */

/* In the picture; NULL when it is not there. */
struct pay_record *batch_record(const struct batch *batch, int64_t pay_no);
struct order *batch_order(const struct batch *batch, int64_t order_id);
/* Fills the writes of records, orders, refunds and sums. */
enum rc batch_collect(struct batch *batch, struct error *err);

#endif
