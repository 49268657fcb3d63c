/*
 * A batch of facts in one transaction: what committer.c queues, item.c packs and batch.c settles. Inside core/pay only.
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

/* Settles the items in one transaction and sets their outcomes; hands the events on after the commit. The arena is the
 * caller's, used and emptied. RC_DATA: the store refused a value, and nothing was written. */
enum rc batch_settle(struct pay *pay, struct arena *arena, struct item **items, size_t count);

#endif
