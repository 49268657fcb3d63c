/*
 * Closing an order because a caller wants it: its open records are closed at their providers side by side, while he waits.
 * What remains is the schedule's. Workers only.
 */
#include <stdatomic.h>

#include "base/log.h"
#include "pay/task.h"

struct request {
    struct pay *pay;
    const struct caller *caller;
    int64_t order_id;
    struct arena *arena;
    order_done done;
    void *arg;
    struct order order;
    struct pay_record *open;
    size_t open_count;
    struct closing_of *closings; /* one for each of `open` */
    atomic_size_t pending;
    struct event_write write; /* of an order without open records */
};

/* One record, with an arena of its own. */
struct closing_of {
    struct request *request;
    struct scheduled held;
    struct arena *arena;
    struct task_end end;
};

/* The rows are held as a claim would: when this process dies, whoever takes its number over goes on at once. */
static enum rc hold_open(struct request *request, struct tx *tx, struct error *err)
{
    request->closings = arena_alloc(request->arena, (request->open_count + 1) * sizeof *request->closings);
    if (!request->closings)
        return error_set(err, RC_NOMEM, "out of memory");
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < request->open_count; i++) {
        const struct pay_record *record = &request->open[i];
        const struct schedule_entry entry = { record->pay_no, TASK_CLOSE, record->channel,
                                              record_lease_ms(request->pay, record->channel) };
        struct closing_of *closing = &request->closings[i];
        *closing = (struct closing_of){ .request = request, .held = { .subject = record->pay_no, .task = TASK_CLOSE } };
        rc = schedule_hold(tx, &entry, request->pay->options.incarnation, &closing->held.version, err);
    }
    return rc;
}

static enum rc begin_tx(struct tx *tx, void *arg, struct error *err)
{
    struct request *request = arg;
    request->open_count = 0;
    event_done(&request->write, false); /* of a run that was rolled back; this one may end without an event */
    enum rc rc = order_lock(tx, request->order_id, request->arena, &request->order, err);
    if (rc)
        return rc;
    if (!caller_sees(request->caller, request->order.app))
        return error_set(err, RC_NOT_FOUND, "no such order");
    if (request->order.status == ORDER_PAID || request->order.status == ORDER_REFUNDED)
        return error_set(err, RC_CONFLICT, "the order is paid");
    if (request->order.status == ORDER_CLOSED)
        return RC_OK;
    rc = order_open_records(request->pay, tx, request->order_id, request->arena, &request->open, &request->open_count, err);
    if (rc == RC_OK && request->open_count == 0) /* now: nothing in the schedule would bring it back */
        return order_end(tx, &request->order, &request->write, err);
    if (rc == RC_OK && request->order.status == ORDER_UNPAID)
        rc = order_set_closing(tx, request->order_id, err);
    return rc ? rc : hold_open(request, tx, err);
}

static void request_end(struct request *request)
{
    struct error err = { 0 };
    enum rc rc = order_close_finish(request->pay, request->order_id, request->arena, &request->order, &err);
    if (rc == RC_OK && (request->order.status == ORDER_PAID || request->order.status == ORDER_REFUNDED))
        rc = error_set(&err, RC_CONFLICT, "the order was paid meanwhile");
    request->done(request->arg, rc, rc ? NULL : &request->order, &err);
}

/* Rows whose records are closed stay held: whoever ends the order takes them out, and when he dies before, they bring the
 * order back. */
static enum rc again_tx(struct tx *tx, void *arg, struct error *err)
{
    const struct closing_of *closing = arg;
    return schedule_again(tx, closing->held.subject, closing->held.version, closing->end.wait_ms, closing->end.answer, err);
}

static void count_down(struct request *request)
{
    if (atomic_fetch_sub(&request->pending, 1) != 1)
        return;
    for (size_t i = 0; i < request->open_count; i++)
        arena_free(request->closings[i].arena);
    request_end(request);
}

static void one_closed(void *arg, const struct task_end *end)
{
    struct closing_of *closing = arg;
    struct error err = { 0 };
    closing->end = *end;
    if (end->kind == TASK_AGAIN && store_write(closing->request->pay->store, LANE_WORK, again_tx, closing, &err) != RC_OK)
        log_warn("a closing was not written; its lease will bring it back", LOG_I("pay_no", closing->held.subject),
                 LOG_S("detail", err.text));
    count_down(closing->request);
}

void pay_order_close(struct pay *pay, const struct caller *caller, int64_t order_id, struct arena *arena, order_done done, void *arg)
{
    struct error err = { 0 };
    struct request *request = arena_alloc(arena, sizeof *request);
    if (!request) {
        done(arg, error_set(&err, RC_NOMEM, "out of memory"), NULL, &err);
        return;
    }
    *request = (struct request){
        .pay = pay, .caller = caller, .order_id = order_id, .arena = arena, .done = done, .arg = arg,
        .write = { .pay = pay, .arena = arena },
    };
    enum rc rc = store_write(pay->store, LANE_WORK, begin_tx, request, &err);
    event_done(&request->write, rc == RC_OK);
    if (rc || request->order.status == ORDER_CLOSED) {
        done(arg, rc, rc ? NULL : &request->order, &err);
        return;
    }
    /* One more than there are, so that nothing ends before everything has begun. */
    size_t count = request->open_count;
    atomic_store(&request->pending, count + 1);
    for (size_t i = 0; i < count; i++)
        request->closings[i].arena = arena_new(0);
    for (size_t i = 0; i < count; i++)
        record_close_at_provider(pay, &request->order, &request->open[i], &request->closings[i].held, false,
                                 request->closings[i].arena, one_closed, &request->closings[i]);
    count_down(request);
}
