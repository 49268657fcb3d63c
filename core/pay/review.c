/*
 * When the schedule gives up: a record about which its provider has taught us nothing for days, or told us what the books
 * cannot hold, or money with which nobody did what its app wants. Its order stays as it is until people, or a caller that
 * asks again, have looked. Blocking, on workers.
 */
#include "base/ids.h"
#include "pay/task.h"

struct giving_up {
    const struct pay_record *seen;
    const struct scheduled *held;
    const char *why;
    bool close;
    bool left_over; /* only when the money still lies there */
    struct arena *arena;
    struct event_write write;
};

/* The audit says why, for the event only says that. */
static enum rc announce(struct giving_up *giving_up, struct tx *tx, struct order *order, const struct pay_record *record,
                        struct error *err)
{
    char digits[ID_TEXT_MAX];
    const char *cause = giving_up->left_over ? settle_refund_cause(order, record) : NULL;
    struct audit audit = { .channel = record->channel, .pay_no = arena_strdup(giving_up->arena, id_format(record->pay_no, digits)),
                           .source = cause ? "policy" : "query", .outcome = cause ? cause : "unknown", .trade_no = record->trade_no,
                           .amount_minor = PN_NOT_STATED, .detail = giving_up->why };
    enum rc rc = ids_next(&audit.audit_id);
    if (rc)
        return error_set(err, rc, "this node's lease for making ids has lapsed");
    rc = event_make("payment.review", order, record, NULL, NULL, giving_up->arena, &giving_up->write.event, err);
    if (rc)
        return rc;
    struct order_change change = { .order_id = order->order_id, .from = order->status, .to = order->status,
                                   .last_event = order->last_event };
    struct settle_writes writes = { .orders = &change, .order_count = 1, .audits = &audit, .audit_count = 1 };
    rc = settle_store(tx, &writes, err);
    return rc ? rc : event_store(&giving_up->write, tx, err);
}

static enum rc flag(struct giving_up *giving_up, struct tx *tx, struct order *order, struct pay_record *record, struct error *err)
{
    enum rc rc = RC_OK;
    if (giving_up->close && record->status == PAYMENT_UNPAID) {
        rc = record_set_closed(tx, record->pay_no, err);
        record->status = PAYMENT_CLOSED;
    }
    if (rc == RC_OK && !record->needs_review)
        rc = record_set_review(tx, record->pay_no, err);
    record->needs_review = true;
    return rc ? rc : announce(giving_up, tx, order, record, err);
}

/* Whether things are still as they were when somebody decided to give up. */
static bool holds(const struct giving_up *giving_up, const struct order *order, const struct pay_record *record)
{
    if (!giving_up->left_over)
        return record->status == giving_up->seen->status;
    return record->status == PAYMENT_PAID && settle_refund_cause(order, record) &&
           record->amount_minor > record->refunded_minor + record->refunding_minor;
}

static enum rc give_up_tx(struct tx *tx, void *arg, struct error *err)
{
    struct giving_up *giving_up = arg;
    const struct scheduled *held = giving_up->held;
    struct pay_record record;
    struct order order;
    bool ours = false;
    event_done(&giving_up->write, false); /* of a run that was rolled back; this one may end without an event */
    enum rc rc = order_lock(tx, giving_up->seen->order_id, giving_up->arena, &order, err);
    if (rc == RC_OK)
        rc = record_get(tx, giving_up->seen->pay_no, giving_up->arena, &record, err);
    if (rc == RC_OK)
        rc = schedule_held(tx, held->subject, held->version, &ours, err);
    if (rc == RC_OK && ours && holds(giving_up, &order, &record))
        rc = flag(giving_up, tx, &order, &record, err);
    /* A closed record's row stands for the end of its order, which comes next. */
    return rc || giving_up->close ? rc : schedule_done(tx, held->subject, held->version, err);
}

static enum rc give_up(struct giving_up *giving_up, struct pay *pay, struct error *err)
{
    giving_up->write = (struct event_write){ .pay = pay, .arena = giving_up->arena };
    enum rc rc = store_write(pay->store, LANE_WORK, give_up_tx, giving_up, err);
    event_done(&giving_up->write, rc == RC_OK);
    return rc;
}

enum rc record_give_up(struct pay *pay, const struct pay_record *record, const struct scheduled *held, const char *why, bool close,
                       struct arena *arena, struct error *err)
{
    return give_up(&(struct giving_up){ .seen = record, .held = held, .why = why, .close = close, .arena = arena }, pay, err);
}

enum rc record_left_over(struct pay *pay, const struct pay_record *record, const struct scheduled *held, const char *why,
                         struct arena *arena, struct error *err)
{
    return give_up(&(struct giving_up){ .seen = record, .held = held, .why = why, .left_over = true, .arena = arena }, pay, err);
}
