/*
 * One transaction over a batch of facts (design §7): load the picture under the orders' locks, decide each fact on it in
 * arrival order, write the differences, and hand the events on after the commit. The committer's thread only.
 */
#include "pay/batch.h"

#include <string.h>

#include "base/ids.h"
#include "base/log.h"

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
    int64_t *follow_ups;
    bool planned;
};

/* ------------------------------------------------------------------------------------------------ deciding */

/* Both arrays come sorted from the store. */
static struct pay_record *find_record(const struct batch *batch, int64_t pay_no)
{
    size_t low = 0, high = batch->record_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (batch->records[middle].pay_no < pay_no)
            low = middle + 1;
        else
            high = middle;
    }
    return low < batch->record_count && batch->records[low].pay_no == pay_no ? &batch->records[low] : NULL;
}

static struct order *find_order(const struct batch *batch, int64_t order_id)
{
    size_t low = 0, high = batch->order_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (batch->orders[middle].order_id < order_id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < batch->order_count && batch->orders[low].order_id == order_id ? &batch->orders[low] : NULL;
}

static enum late_policy late_policy_of(const struct pay *pay, const char *app)
{
    const struct config_app *found = config_app_find(pay->config, app);
    return found ? found->late_payment : LATE_HOLD;
}

static enum rc add_audit(struct batch *batch, const struct item *item, const char *detail, struct error *err)
{
    int64_t id;
    if (ids_next(&id) != RC_OK)
        return error_set(err, RC_UNAVAILABLE, "this node's lease for making ids has lapsed");
    batch->audits[batch->writes.audit_count++] = (struct audit){
        .audit_id = id, .channel = item->fact.channel, .pay_no = item->fact.pay_no_text, .source = item->fact.source,
        .outcome = settle_outcome_name(item->outcome), .trade_no = item->fact.trade_no,
        .amount_minor = item->fact.total_minor, .detail = detail,
    };
    return RC_OK;
}

/* A record may get into the list more than once; the store's schedule keeps one row for it. */
static void add_siblings(struct batch *batch, const struct order *order, const struct pay_record *paid)
{
    for (size_t i = 0; i < batch->record_count; i++) {
        const struct pay_record *record = &batch->records[i];
        if (record->order_id == order->order_id && record != paid && record->status == PAYMENT_UNPAID)
            batch->follow_ups[batch->writes.follow_up_count++] = record->pay_no;
    }
}

static enum rc decide_item(struct batch *batch, struct item *item, struct error *err)
{
    struct pay_record *record = find_record(batch, item->fact.pay_no);
    struct order *order = record ? find_order(batch, record->order_id) : NULL;
    if (!order) {
        item->outcome = SETTLED_UNKNOWN_PAYMENT;
        return RC_OK;
    }
    struct effects effects;
    enum rc rc = RC_OK;
    item->outcome = settle_decide(&item->fact, late_policy_of(batch->pay, order->app), order, record, &effects);
    if (effects.event)
        rc = event_make(effects.event, order, record, item->fact.provider, batch->arena,
                        &batch->events[batch->writes.event_count], err);
    if (rc == RC_OK && effects.event)
        batch->writes.event_count++;
    if (rc == RC_OK && effects.audit)
        rc = add_audit(batch, item, effects.audit, err);
    if (effects.close_siblings)
        add_siblings(batch, order, record);
    if (effects.follow_up)
        batch->follow_ups[batch->writes.follow_up_count++] = record->pay_no;
    return rc;
}

/* ------------------------------------------------------------------------------------------------ writing */

static bool record_differs(const struct pay_record *a, const struct pay_record *b)
{
    return a->status != b->status || a->needs_review != b->needs_review;
}

static enum rc collect_changes(struct batch *batch, struct error *err)
{
    struct record_change *records = arena_alloc(batch->arena, (batch->record_count + 1) * sizeof *records);
    struct order_change *orders = arena_alloc(batch->arena, (batch->order_count + 1) * sizeof *orders);
    if (!records || !orders)
        return error_set(err, RC_NOMEM, "out of memory");
    for (size_t i = 0; i < batch->record_count; i++) {
        const struct pay_record *before = &batch->records_before[i], *after = &batch->records[i];
        if (!record_differs(before, after))
            continue;
        bool paid = after->status != before->status && after->status == PAYMENT_PAID;
        records[batch->writes.record_count++] = (struct record_change){
            .pay_no = after->pay_no, .from = before->status, .to = after->status,
            .trade_no = paid ? after->trade_no : NULL, .payer = paid ? after->payer : NULL,
            .paid_at = paid ? after->paid_at : 0, .needs_review = after->needs_review,
        };
    }
    for (size_t i = 0; i < batch->order_count; i++) {
        const struct order *before = &batch->orders_before[i], *after = &batch->orders[i];
        if (before->status == after->status && before->last_event == after->last_event)
            continue;
        bool paid = after->status != before->status && after->status == ORDER_PAID;
        orders[batch->writes.order_count++] = (struct order_change){
            .order_id = after->order_id, .from = before->status, .to = after->status,
            .paid_pay_no = paid ? after->paid_pay_no : 0, .paid_at = paid ? after->paid_at : 0,
            .last_event = after->last_event == before->last_event ? 0 : after->last_event,
        };
    }
    batch->writes.records = records;
    batch->writes.orders = orders;
    return RC_OK;
}

/* The rows of all events in one array, as the store and the outbox want them. */
static enum rc plan_deliveries(struct batch *batch, struct error *err)
{
    const struct pay_event_port *port = &batch->pay->options.events;
    size_t capacity = 0, count = 0;
    struct outbox_row *all = NULL;
    for (size_t i = 0; i < batch->writes.event_count; i++) {
        struct outbox_row *rows;
        size_t n;
        port->plan(port->ctx, &batch->events[i], batch->arena, &rows, &n);
        if (count + n > capacity) {
            capacity = (count + n) * 2 + batch->writes.event_count;
            struct outbox_row *grown = arena_alloc(batch->arena, capacity * sizeof *grown);
            if (!grown) {
                port->aborted(port->ctx, rows, n);
                port->aborted(port->ctx, all, count);
                return error_set(err, RC_NOMEM, "out of memory");
            }
            if (count)
                memcpy(grown, all, count * sizeof *grown);
            all = grown;
        }
        if (n)
            memcpy(all + count, rows, n * sizeof *all);
        count += n;
    }
    batch->writes.outbox = all;
    batch->writes.outbox_count = count;
    batch->planned = true;
    return RC_OK;
}

static void unplan(struct batch *batch)
{
    const struct pay_event_port *port = &batch->pay->options.events;
    if (batch->planned)
        port->aborted(port->ctx, batch->writes.outbox, batch->writes.outbox_count);
    batch->planned = false;
}

static enum rc load(struct batch *batch, struct tx *tx, struct error *err)
{
    int64_t *pay_nos = arena_alloc(batch->arena, batch->item_count * sizeof *pay_nos);
    if (!pay_nos)
        return error_set(err, RC_NOMEM, "out of memory");
    for (size_t i = 0; i < batch->item_count; i++)
        pay_nos[i] = batch->items[i]->fact.pay_no;
    enum rc rc = settle_load(tx, pay_nos, batch->item_count, batch->arena, &batch->orders, &batch->order_count, &batch->records,
                             &batch->record_count, err);
    if (rc)
        return rc;
    batch->orders_before = arena_dup(batch->arena, batch->orders, batch->order_count * sizeof *batch->orders);
    batch->records_before = arena_dup(batch->arena, batch->records, batch->record_count * sizeof *batch->records);
    batch->events = arena_alloc(batch->arena, batch->item_count * sizeof *batch->events);
    batch->audits = arena_alloc(batch->arena, batch->item_count * sizeof *batch->audits);
    batch->follow_ups = arena_alloc(batch->arena, (batch->item_count + batch->record_count) * 2 * sizeof *batch->follow_ups);
    if (!batch->orders_before || !batch->records_before || !batch->events || !batch->audits || !batch->follow_ups)
        return error_set(err, RC_NOMEM, "out of memory");
    return RC_OK;
}

/* The transaction; see store_write for why it begins by forgetting. */
static enum rc settle_batch(struct tx *tx, void *arg, struct error *err)
{
    struct batch *batch = arg;
    unplan(batch);
    arena_reset(batch->arena);
    batch->writes = (struct settle_writes){ 0 };
    enum rc rc = load(batch, tx, err);
    for (size_t i = 0; rc == RC_OK && i < batch->item_count; i++)
        rc = decide_item(batch, batch->items[i], err);
    if (rc == RC_OK)
        rc = collect_changes(batch, err);
    if (rc == RC_OK)
        rc = plan_deliveries(batch, err);
    if (rc)
        return rc;
    batch->writes.events = batch->events;
    batch->writes.audits = batch->audits;
    batch->writes.follow_ups = batch->follow_ups;
    const struct settle_writes *w = &batch->writes;
    if (w->record_count + w->order_count + w->event_count + w->audit_count + w->follow_up_count == 0)
        return RC_OK;
    return settle_store(tx, &batch->writes, err);
}

/* ------------------------------------------------------------------------------------------------ the whole */

static void report_failure(const struct batch *batch, enum rc rc, const struct error *err)
{
    static struct log_limit limit;
    if (log_allow(&limit, 30))
        log_error("settlements were not committed", LOG_S("reason", rc_name(rc)), LOG_S("detail", err->text),
                  LOG_I("items", batch->item_count));
}

enum rc batch_settle(struct pay *pay, struct arena *arena, struct item **items, size_t count)
{
    const struct pay_event_port *port = &pay->options.events;
    struct batch batch = { .pay = pay, .arena = arena, .items = items, .item_count = count };
    struct error err = { 0 };

    enum rc rc = store_write(pay->store, LANE_SETTLE, settle_batch, &batch, &err);
    if (rc == RC_OK) {
        if (batch.planned)
            port->committed(port->ctx, batch.events, batch.writes.event_count, batch.writes.outbox, batch.writes.outbox_count);
        if (batch.writes.follow_up_count)
            follow_up_wake(pay->follow_up);
    } else {
        unplan(&batch);
        for (size_t i = 0; i < count; i++)
            items[i]->outcome = SETTLED_NOT;
        if (rc != RC_DATA || count == 1)
            report_failure(&batch, rc, &err);
    }
    arena_reset(arena);
    return rc;
}
