/*
 * Taking a late payment: one that arrived after its order was closed makes the order paid after all, by call or by the
 * app's policy. Blocking, on worker threads.
 */
#include <string.h>

#include "pay/internal.h"

struct acceptance {
    const struct caller *caller; /* NULL: the app's policy */
    int64_t pay_no;
    struct arena *arena;
    struct event_write write;
};

static enum rc accept_tx(struct tx *tx, void *arg, struct error *err)
{
    struct acceptance *acceptance = arg;
    struct pay_record record;
    struct order order;
    event_done(&acceptance->write, false); /* of a run that was rolled back */
    enum rc rc = record_get(tx, acceptance->pay_no, acceptance->arena, &record, err);
    if (rc == RC_OK && acceptance->caller && !caller_sees(acceptance->caller, record.app))
        rc = error_set(err, RC_NOT_FOUND, "no such payment");
    if (rc == RC_OK)
        rc = order_lock(tx, record.order_id, acceptance->arena, &order, err);
    /* The record is read again under the lock: a settlement may have come between. */
    if (rc == RC_OK)
        rc = record_get(tx, acceptance->pay_no, acceptance->arena, &record, err);
    if (rc)
        return rc;
    if (record.status == PAYMENT_PAID && order.status == ORDER_CLOSED && record.refunded_minor + record.refunding_minor > 0)
        return error_set(err, RC_CONFLICT, "the payment is being refunded");
    if (record.status != PAYMENT_PAID || order.status != ORDER_CLOSED)
        return error_set(err, RC_CONFLICT, "only a late payment can be accepted: one that was paid after its order was closed");

    order.status = ORDER_PAID;
    rc = event_make("payment.succeeded", &order, &record, NULL, NULL, acceptance->arena, &acceptance->write.event, err);
    if (rc == RC_OK)
        rc = order_set_accepted(tx, order.order_id, record.pay_no, record.paid_at, order.last_event, err);
    if (rc == RC_EXISTS)
        return error_set(err, RC_EXISTS, "a newer order has the same out_business_id; refund this payment instead");
    return rc ? rc : event_store(&acceptance->write, tx, err);
}

static enum rc accept(struct pay *pay, const struct caller *caller, int64_t pay_no, struct arena *arena, struct error *err)
{
    struct acceptance acceptance = {
        .caller = caller, .pay_no = pay_no, .arena = arena, .write = { .pay = pay, .arena = arena },
    };
    enum rc rc = store_write(pay->store, LANE_WORK, accept_tx, &acceptance, err);
    event_done(&acceptance.write, rc == RC_OK);
    return rc;
}

enum rc payment_accept(struct pay *pay, int64_t pay_no, struct error *err)
{
    struct arena *arena = arena_new(0);
    enum rc rc = accept(pay, NULL, pay_no, arena, err);
    arena_free(arena);
    return rc;
}

enum rc pay_payment_accept(struct pay *pay, const struct caller *caller, int64_t pay_no, struct arena *arena,
                           struct payment_view *ret, struct error *err)
{
    struct payment_view view = { 0 };
    enum rc rc = accept(pay, caller, pay_no, arena, err);
    if (rc == RC_EXISTS && err)
        err->rc = RC_CONFLICT;
    if (rc == RC_EXISTS)
        return RC_CONFLICT;
    if (rc == RC_OK)
        rc = payment_view_load(pay, caller, pay_no, arena, &view, err);
    if (rc == RC_OK)
        *ret = view;
    return rc;
}
