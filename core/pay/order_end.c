/*
 * How an order ends without a payment: unpaid → closing while a record is still open at a provider, then closed, with the
 * event that shops wait for. Called on workers: by close requests, by expiries and when queries have found nothing for
 * long enough.
 */
#include "pay/task.h"

struct ending {
    struct pay *pay;
    int64_t order_id;
    bool expired;
    int64_t left_ms;
    bool scheduled; /* records are due to be closed */
    struct arena *arena;
    struct order order;
    struct event_write write;
};

enum rc order_open_records(struct pay *pay, struct tx *tx, int64_t order_id, struct arena *arena, struct pay_record **ret,
                           size_t *ret_count, struct error *err)
{
    struct pay_record *records;
    size_t count, open = 0;
    enum rc rc = records_of_order(tx, order_id, arena, &records, &count, err);
    for (size_t i = 0; rc == RC_OK && i < count; i++) {
        if (records[i].status != PAYMENT_UNPAID)
            continue;
        if (record_never_shown(pay, &records[i]))
            rc = record_set_closed(tx, records[i].pay_no, err);
        else
            records[open++] = records[i];
    }
    *ret = records;
    *ret_count = open;
    return rc;
}

enum rc order_end(struct tx *tx, struct order *order, struct event_write *write, struct error *err)
{
    struct pay_record *records;
    size_t count;
    enum rc rc = records_of_order(tx, order->order_id, write->arena, &records, &count, err);
    for (size_t i = 0; rc == RC_OK && i < count; i++)
        rc = schedule_done(tx, records[i].pay_no, 0, err);
    if (rc)
        return rc;
    order->status = ORDER_CLOSED;
    rc = event_make("order.closed", order, NULL, NULL, NULL, write->arena, &write->event, err);
    if (rc == RC_OK)
        rc = order_set_closed(tx, order->order_id, order->last_event, err);
    return rc ? rc : event_store(write, tx, err);
}

static enum rc begin(struct ending *ending, struct tx *tx, struct error *err)
{
    struct pay_record *open;
    size_t count;
    enum rc rc = order_open_records(ending->pay, tx, ending->order_id, ending->arena, &open, &count, err);
    if (rc == RC_OK && count == 0)
        return order_end(tx, &ending->order, &ending->write, err);
    if (rc == RC_OK)
        rc = order_set_closing(tx, ending->order_id, err);
    for (size_t i = 0; rc == RC_OK && i < count; i++)
        rc = schedule_put(tx, &(struct schedule_entry){ open[i].pay_no, TASK_CLOSE, open[i].channel, 0 }, err);
    ending->scheduled = true;
    return rc;
}

/* closing: some record is being closed, and whoever does that ends the order. If none is, somebody failed to. */
static enum rc finish(struct ending *ending, struct tx *tx, struct error *err)
{
    struct pay_record *open;
    size_t count;
    enum rc rc = order_open_records(ending->pay, tx, ending->order_id, ending->arena, &open, &count, err);
    return rc || count > 0 ? rc : order_end(tx, &ending->order, &ending->write, err);
}

static enum rc soon_tx(struct tx *tx, void *arg, struct error *err)
{
    struct ending *ending = arg;
    int64_t now = 0;
    event_done(&ending->write, false); /* of a run that was rolled back; this one may end without an event */
    ending->left_ms = 0;
    ending->scheduled = false;
    enum rc rc = order_lock(tx, ending->order_id, ending->arena, &ending->order, err);
    if (rc == RC_OK && ending->order.status == ORDER_CLOSING)
        return finish(ending, tx, err);
    if (rc || ending->order.status != ORDER_UNPAID)
        return rc;
    if (ending->expired && (rc = tx_now(tx, &now, err)) != RC_OK)
        return rc;
    if (ending->expired && now < ending->order.expires_at) {
        ending->left_ms = ending->order.expires_at - now;
        return RC_OK;
    }
    return begin(ending, tx, err);
}

enum rc order_close_soon(struct pay *pay, int64_t order_id, bool expired, struct arena *arena, int64_t *ret_left_ms,
                         struct error *err)
{
    struct ending ending = { .pay = pay, .order_id = order_id, .expired = expired, .arena = arena,
                             .write = { .pay = pay, .arena = arena } };
    enum rc rc = store_write(pay->store, LANE_WORK, soon_tx, &ending, err);
    event_done(&ending.write, rc == RC_OK);
    if (rc == RC_NOT_FOUND)
        rc = RC_OK;
    if (rc)
        return rc;
    if (ending.scheduled)
        follow_up_wake(pay->follow_up);
    if (ret_left_ms)
        *ret_left_ms = ending.left_ms;
    return RC_OK;
}

static enum rc finish_tx(struct tx *tx, void *arg, struct error *err)
{
    struct ending *ending = arg;
    event_done(&ending->write, false); /* as above */
    enum rc rc = order_lock(tx, ending->order_id, ending->arena, &ending->order, err);
    return rc || ending->order.status != ORDER_CLOSING ? rc : finish(ending, tx, err);
}

enum rc order_close_finish(struct pay *pay, int64_t order_id, struct arena *arena, struct order *ret_order, struct error *err)
{
    struct ending ending = { .pay = pay, .order_id = order_id, .arena = arena, .write = { .pay = pay, .arena = arena } };
    enum rc rc = store_write(pay->store, LANE_WORK, finish_tx, &ending, err);
    event_done(&ending.write, rc == RC_OK);
    if (rc == RC_OK)
        *ret_order = ending.order;
    return rc;
}
