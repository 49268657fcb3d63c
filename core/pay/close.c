/*
 * Closing. "Closed" means that the provider agreed: query, close at the provider, query again. An order is `closing`
 * while one of its records is still open, and what could not be closed now is scheduled. Workers only.
 */
#include <stdatomic.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "pay/internal.h"
#include "plugin/registry.h"

enum {
    MARGIN_MS = 60 * 1000,      /* after a record's expiry, before we believe that nobody can pay it any more */
    AGAIN_MS = 5 * 1000,        /* first wait after an answer that decided nothing; doubles */
    AGAIN_MAX_MS = 5 * 60 * 1000,
    CRASH_MS = 30 * 1000        /* when the schedule takes over a close whose process died */
};

/* ------------------------------------------------------------------------------------------------ one record */

struct closing {
    struct pay *pay;
    const struct order *order;
    const struct pay_record *record;
    struct scheduled scheduled; /* our hold on the record's row */
    bool background;
    bool asked_to_close; /* the provider was told; this is the second query */
    bool agreed;         /* and said yes */
    struct arena *arena;
    record_closed done;
    void *arg;
    int64_t again_in_ms; /* for again_tx */
    bool unknown;        /* the provider taught us nothing */
};

/* The record needs no more looking after. While its order is closing the schedule keeps it: whoever ends the order takes
 * it out, and when he dies before, it brings the order back. */
static enum rc let_go(struct closing *closing, struct tx *tx, const struct order *order, struct error *err)
{
    const struct scheduled *held = &closing->scheduled;
    return order->status == ORDER_CLOSING ? schedule_again(tx, held->subject, held->version, CRASH_MS, ANSWER_LEARNED, err)
                                          : schedule_done(tx, held->subject, held->version, err);
}

static enum rc close_locally_tx(struct tx *tx, void *arg, struct error *err)
{
    struct closing *closing = arg;
    struct order order;
    enum rc rc = order_lock(tx, closing->record->order_id, closing->arena, &order, err);
    if (rc == RC_OK)
        rc = record_set_closed(tx, closing->record->pay_no, err);
    if (rc == RC_CONFLICT) /* settled meanwhile */
        rc = RC_OK;
    return rc ? rc : let_go(closing, tx, &order, err);
}

static enum rc settled_tx(struct tx *tx, void *arg, struct error *err)
{
    struct closing *closing = arg;
    struct order order;
    enum rc rc = order_lock(tx, closing->record->order_id, closing->arena, &order, err);
    return rc ? rc : let_go(closing, tx, &order, err);
}

static enum rc again_tx(struct tx *tx, void *arg, struct error *err)
{
    struct closing *closing = arg;
    const struct scheduled *held = &closing->scheduled;
    return schedule_again(tx, held->subject, held->version, closing->again_in_ms, closing->unknown ? ANSWER_UNKNOWN : ANSWER_LEARNED, err);
}

/* Ends the closing with a last transaction. When that fails the schedule's lease brings the record back. */
static void closing_end(struct closing *closing, tx_fn last)
{
    struct error err = { 0 };
    if (store_write(closing->pay->store, LANE_WORK, last, closing, &err) != RC_OK)
        log_warn("a closing was not written; it will be tried again", LOG_I("pay_no", closing->record->pay_no),
                 LOG_S("detail", err.text));
    closing->done(closing->arg);
}

static void try_again(struct closing *closing)
{
    int64_t wait = AGAIN_MS;
    for (int i = 1; i < closing->scheduled.attempts && wait < AGAIN_MAX_MS; i++)
        wait *= 2;
    closing->again_in_ms = wait < AGAIN_MAX_MS ? wait : AGAIN_MAX_MS;
    closing_end(closing, again_tx);
}

/* The provider has never heard of it: somebody may still hold a form that he can open until it expires. */
static void not_found(struct closing *closing)
{
    int64_t left = closing->record->expires_at + MARGIN_MS - wall_ms();
    if (left <= 0) {
        closing_end(closing, close_locally_tx);
        return;
    }
    closing->again_in_ms = left;
    closing_end(closing, again_tx);
}

static void inquired(void *arg, enum pn_state state, enum settle_outcome outcome, const struct error *err);

static struct provider_ask ask_for(const struct closing *closing, enum pn_operation operation)
{
    return (struct provider_ask){ .order = closing->order, .record = closing->record, .operation = operation,
                                  .background = closing->background };
}

static void inquire(struct closing *closing)
{
    struct provider_ask ask = ask_for(closing, PN_QUERY);
    provider_inquire(closing->pay, &ask, closing->arena, inquired, closing);
}

static void told_to_close(void *arg, enum rc rc, const struct pn_result *result, bool called, const struct error *err)
{
    struct closing *closing = arg;
    (void)called;
    (void)err;
    closing->asked_to_close = true;
    closing->agreed = rc == RC_OK && result->state == PN_STATE_CLOSED;
    inquire(closing);
}

static void inquired(void *arg, enum pn_state state, enum settle_outcome outcome, const struct error *err)
{
    struct closing *closing = arg;
    (void)err;
    bool decided = outcome != SETTLED_NOT && outcome != SETTLED_MISMATCH &&
                   (state == PN_STATE_PAID || state == PN_STATE_CLOSED || state == PN_STATE_REFUNDED);
    if (outcome == SETTLED_LATE) /* the settlement has scheduled what comes of it */
        closing->done(closing->arg);
    else if (decided)
        closing_end(closing, settled_tx);
    else if (state == PN_STATE_NOT_FOUND && closing->agreed)
        closing_end(closing, close_locally_tx);
    else if (state == PN_STATE_NOT_FOUND)
        not_found(closing);
    else if (state == PN_STATE_UNPAID && !closing->asked_to_close) {
        struct provider_ask ask = ask_for(closing, PN_CLOSE);
        provider_call(closing->pay, &ask, closing->arena, told_to_close, closing);
    } else {
        try_again(closing);
    }
}

/* Made here and given to nobody: a form whose link was never opened. */
static bool never_shown(const struct pay *pay, const struct pay_record *record)
{
    const struct config_channel *channel = config_channel_find(pay->config, record->channel);
    const struct pn_product *product = channel ? channel_product(channel->channel, record->product) : NULL;
    return product && product->prepay_kind == PN_PREPAY_FORM && !record->prepay;
}

void record_close_at_provider(struct pay *pay, const struct order *order, const struct pay_record *record,
                              const struct scheduled *held, bool background, struct arena *arena, record_closed done, void *arg)
{
    struct closing *closing = arena_alloc(arena, sizeof *closing);
    if (!closing) {
        done(arg);
        return;
    }
    *closing = (struct closing){
        .pay = pay, .order = order, .record = record, .scheduled = *held, .background = background, .arena = arena,
        .done = done, .arg = arg,
    };
    if (never_shown(pay, record))
        closing_end(closing, close_locally_tx);
    else
        inquire(closing);
}

/* ------------------------------------------------------------------------------------------------ the order's end */

struct finishing {
    int64_t order_id;
    struct arena *arena;
    struct order order;
    struct event_write write;
};

static enum rc finish_tx(struct tx *tx, void *arg, struct error *err)
{
    struct finishing *finishing = arg;
    struct pay_record *records;
    size_t count;
    event_done(&finishing->write, false); /* of a run that was rolled back; this one may end without an event */
    enum rc rc = order_lock(tx, finishing->order_id, finishing->arena, &finishing->order, err);
    if (rc == RC_OK)
        rc = records_of_order(tx, finishing->order_id, finishing->arena, &records, &count, err);
    if (rc || finishing->order.status != ORDER_CLOSING)
        return rc;
    for (size_t i = 0; i < count; i++)
        if (records[i].status == PAYMENT_UNPAID)
            return RC_OK;

    for (size_t i = 0; rc == RC_OK && i < count; i++)
        rc = schedule_done(tx, records[i].pay_no, 0, err);
    if (rc)
        return rc;
    finishing->order.status = ORDER_CLOSED;
    rc = event_make("order.closed", &finishing->order, NULL, NULL, NULL, finishing->arena, &finishing->write.event, err);
    if (rc == RC_OK)
        rc = order_set_closed(tx, finishing->order_id, finishing->order.last_event, err);
    return rc ? rc : event_store(&finishing->write, tx, err);
}

enum rc order_close_finish(struct pay *pay, int64_t order_id, struct arena *arena, struct order *ret_order, struct error *err)
{
    struct finishing finishing = { .order_id = order_id, .arena = arena, .write = { .pay = pay, .arena = arena } };
    enum rc rc = store_write(pay->store, LANE_WORK, finish_tx, &finishing, err);
    event_done(&finishing.write, rc == RC_OK);
    if (rc == RC_OK)
        *ret_order = finishing.order;
    return rc;
}

/* ------------------------------------------------------------------------------------------------ by request */

struct request {
    struct pay *pay;
    const struct caller *caller;
    int64_t order_id;
    struct arena *arena;
    order_done done;
    void *arg;
    struct order order;
    struct pay_record *open;
    struct scheduled *held; /* the schedule's rows of `open` */
    size_t open_count;
    atomic_size_t pending;
    struct arena **arenas; /* one per record: they are closed side by side */
};

static enum rc begin_tx(struct tx *tx, void *arg, struct error *err)
{
    struct request *request = arg;
    struct pay_record *records;
    size_t count;
    request->open_count = 0;
    enum rc rc = order_lock(tx, request->order_id, request->arena, &request->order, err);
    if (rc)
        return rc;
    if (!caller_sees(request->caller, request->order.app))
        return error_set(err, RC_NOT_FOUND, "no such order");
    if (request->order.status == ORDER_PAID || request->order.status == ORDER_REFUNDED)
        return error_set(err, RC_CONFLICT, "the order is paid");
    if (request->order.status == ORDER_CLOSED)
        return RC_OK;
    if (request->order.status == ORDER_UNPAID && (rc = order_set_closing(tx, request->order_id, err)) != RC_OK)
        return rc;
    rc = records_of_order(tx, request->order_id, request->arena, &records, &count, err);
    if (rc == RC_OK && !(request->held = arena_alloc(request->arena, (count + 1) * sizeof *request->held)))
        rc = error_set(err, RC_NOMEM, "out of memory");
    for (size_t i = 0; rc == RC_OK && i < count; i++)
        if (records[i].status == PAYMENT_UNPAID) {
            const struct schedule_entry entry = { records[i].pay_no, TASK_CLOSE, records[i].channel, CRASH_MS };
            request->held[request->open_count] = (struct scheduled){ .subject = records[i].pay_no, .task = TASK_CLOSE };
            rc = schedule_hold(tx, &entry, request->pay->options.incarnation, &request->held[request->open_count].version, err);
            records[request->open_count++] = records[i];
        }
    request->open = records;
    return rc;
}

static void request_end(struct request *request)
{
    struct error err = { 0 };
    enum rc rc = order_close_finish(request->pay, request->order_id, request->arena, &request->order, &err);
    if (rc == RC_OK && (request->order.status == ORDER_PAID || request->order.status == ORDER_REFUNDED))
        rc = error_set(&err, RC_CONFLICT, "the order was paid meanwhile");
    request->done(request->arg, rc, rc ? NULL : &request->order, &err);
}

static void one_closed(void *arg)
{
    struct request *request = arg;
    if (atomic_fetch_sub(&request->pending, 1) != 1)
        return;
    for (size_t i = 0; i < request->open_count; i++)
        arena_free(request->arenas[i]);
    request_end(request);
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
    };
    enum rc rc = store_write(pay->store, LANE_WORK, begin_tx, request, &err);
    if (rc || request->order.status == ORDER_CLOSED) {
        done(arg, rc, rc ? NULL : &request->order, &err);
        return;
    }
    request->arenas = arena_alloc(arena, (request->open_count + 1) * sizeof *request->arenas);
    if (!request->arenas) {
        done(arg, error_set(&err, RC_NOMEM, "out of memory"), NULL, &err);
        return;
    }
    /* One more than there are, so that nothing ends before everything has begun. */
    size_t count = request->open_count;
    atomic_store(&request->pending, count + 1);
    for (size_t i = 0; i < count; i++)
        request->arenas[i] = arena_new(0);
    for (size_t i = 0; i < count; i++)
        record_close_at_provider(pay, &request->order, &request->open[i], &request->held[i], false, request->arenas[i], one_closed,
                                 request);
    one_closed(request);
}
