/*
 * One transaction over a batch of facts (design §7): load the picture under the orders' locks, decide each fact on it in
 * arrival order, write the differences, and hand the events on after the commit. The committer's thread only.
 */
#include "pay/batch.h"

#include <stdlib.h>
#include <string.h>

#include "base/ids.h"
#include "base/log.h"

enum { EVENTS_PER_ITEM = sizeof((struct effects *)0)->events / sizeof((struct effects *)0)->events[0] };

/* ------------------------------------------------------------------------------------------------ deciding */

static struct policies policies_of(const struct pay *pay, const char *app)
{
    const struct config_app *found = config_app_find(pay->config, app);
    return found ? (struct policies){ found->late_payment, found->duplicate_payment } : (struct policies){ LATE_HOLD, DUPLICATE_HOLD };
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

static enum rc add_schedule(struct batch *batch, int64_t subject, enum schedule_task task, const char *channel, int64_t due_in_ms,
                            struct error *err)
{
    struct settle_writes *writes = &batch->writes;
    if (writes->schedule_count == batch->schedule_capacity) {
        size_t capacity = batch->schedule_capacity * 2 + 16;
        struct schedule_entry *grown = arena_alloc(batch->arena, capacity * sizeof *grown);
        if (!grown)
            return error_set(err, RC_NOMEM, "out of memory");
        if (writes->schedule_count)
            memcpy(grown, batch->schedule, writes->schedule_count * sizeof *grown);
        batch->schedule = grown;
        batch->schedule_capacity = capacity;
    }
    batch->schedule[writes->schedule_count++] = (struct schedule_entry){ subject, task, channel, due_in_ms };
    return RC_OK;
}

/* Something may get into the list more than once; the store's schedule keeps one row for it. */
static enum rc add_siblings(struct batch *batch, const struct order *order, const struct pay_record *paid, struct error *err)
{
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < batch->record_count; i++) {
        const struct pay_record *record = &batch->records[i];
        if (record->order_id == order->order_id && record != paid && record->status == PAYMENT_UNPAID)
            rc = add_schedule(batch, record->pay_no, TASK_CLOSE, record->channel, 0, err);
    }
    return rc;
}

/* The record's refunds, read once per batch, with room for one more from each item. */
static enum rc find_book(struct batch *batch, int64_t pay_no, struct refund_book **ret_book, struct error *err)
{
    for (size_t i = 0; i < batch->book_count; i++)
        if (batch->books[i].pay_no == pay_no) {
            *ret_book = &batch->books[i];
            return RC_OK;
        }
    struct refund *items;
    size_t count;
    enum rc rc = refunds_of_record(batch->tx, pay_no, batch->arena, &items, &count, err);
    if (rc)
        return rc;
    size_t capacity = count + batch->item_count;
    struct refund *room = arena_alloc(batch->arena, capacity * sizeof *room);
    if (!room)
        return error_set(err, RC_NOMEM, "out of memory");
    if (count)
        memcpy(room, items, count * sizeof *room);
    batch->books_before[batch->book_count] = items;
    batch->books[batch->book_count] = (struct refund_book){ .pay_no = pay_no, .items = room, .count = count, .capacity = capacity };
    *ret_book = &batch->books[batch->book_count++];
    return RC_OK;
}

static enum rc name_new_refunds(struct refund_book *book, struct error *err)
{
    for (size_t i = 0; i < book->count; i++)
        if (!book->items[i].refund_no && ids_next(&book->items[i].refund_no) != RC_OK)
            return error_set(err, RC_UNAVAILABLE, "this node's lease for making ids has lapsed");
    return RC_OK;
}

static enum rc ask_refunds(struct batch *batch, const struct refund_book *book, struct error *err)
{
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < book->count; i++) {
        const struct refund *refund = &book->items[i];
        if (refund->status != REFUND_SUCCEEDED && refund->status != REFUND_FAILED)
            rc = add_schedule(batch, refund->refund_no, TASK_REFUND, refund->channel, 0, err);
    }
    return rc;
}

static enum rc add_events(struct batch *batch, const struct item *item, const struct effects *effects, struct order *order,
                          const struct pay_record *record, const struct refund_book *book, struct error *err)
{
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < effects->event_count; i++) {
        const struct refund *refund = effects->events[i].refund < 0 ? NULL : &book->items[effects->events[i].refund];
        rc = event_make(effects->events[i].type, order, record, refund, item->fact.provider, batch->arena,
                        &batch->events[batch->writes.event_count], err);
        if (rc == RC_OK)
            batch->writes.event_count++;
    }
    return rc;
}

static enum rc decide_item(struct batch *batch, struct item *item, struct error *err)
{
    struct pay_record *record = batch_record(batch, item->fact.pay_no);
    struct order *order = record ? batch_order(batch, record->order_id) : NULL;
    if (!order) {
        item->outcome = SETTLED_UNKNOWN_PAYMENT;
        return RC_OK;
    }
    struct refund_book none = { 0 }, *book = &none;
    struct effects effects;
    struct policies policies = policies_of(batch->pay, order->app);
    enum rc rc = RC_OK;
    if (settle_wants_refunds(&item->fact, record) && (rc = find_book(batch, record->pay_no, &book, err)) != RC_OK)
        return rc;
    item->outcome = settle_decide(&item->fact, &policies, order, record, book, &effects);
    rc = name_new_refunds(book, err);
    if (rc == RC_OK)
        rc = add_events(batch, item, &effects, order, record, book, err);
    if (rc == RC_OK && effects.audit)
        rc = add_audit(batch, item, effects.audit, err);
    if (rc == RC_OK && effects.close_siblings)
        rc = add_siblings(batch, order, record, err);
    if (rc == RC_OK && effects.task)
        rc = add_schedule(batch, record->pay_no, effects.task, effects.task == TASK_POLICY ? "" : record->channel, effects.task_in_ms,
                          err);
    if (rc == RC_OK && effects.ask_refunds)
        rc = find_book(batch, record->pay_no, &book, err);
    if (rc == RC_OK && effects.ask_refunds)
        rc = ask_refunds(batch, book, err);
    return rc;
}

/* ------------------------------------------------------------------------------------------------ writing */

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
    batch->events = arena_alloc(batch->arena, batch->item_count * EVENTS_PER_ITEM * sizeof *batch->events);
    batch->audits = arena_alloc(batch->arena, batch->item_count * sizeof *batch->audits);
    batch->books = arena_alloc(batch->arena, batch->item_count * sizeof *batch->books);
    batch->books_before = arena_alloc(batch->arena, batch->item_count * sizeof *batch->books_before);
    if (!batch->orders_before || !batch->records_before || !batch->events || !batch->audits || !batch->books || !batch->books_before)
        return error_set(err, RC_NOMEM, "out of memory");
    return RC_OK;
}

static int by_subject(const void *a, const void *b)
{
    int64_t x = ((const struct schedule_entry *)a)->subject, y = ((const struct schedule_entry *)b)->subject;
    return (x > y) - (x < y);
}

/* The transaction; see store_write for why it begins by forgetting. */
static enum rc settle_batch(struct tx *tx, void *arg, struct error *err)
{
    struct batch *batch = arg;
    unplan(batch);
    arena_reset(batch->arena);
    batch->writes = (struct settle_writes){ 0 };
    batch->book_count = batch->schedule_capacity = 0;
    batch->tx = tx;
    enum rc rc = load(batch, tx, err);
    for (size_t i = 0; rc == RC_OK && i < batch->item_count; i++)
        rc = decide_item(batch, batch->items[i], err);
    if (rc == RC_OK)
        rc = batch_collect(batch, err);
    if (rc == RC_OK)
        rc = plan_deliveries(batch, err);
    if (rc)
        return rc;
    batch->writes.events = batch->events;
    batch->writes.audits = batch->audits;
    /* In one order everywhere, so that two batches cannot each wait for a row of the other. */
    if (batch->writes.schedule_count)
        qsort(batch->schedule, batch->writes.schedule_count, sizeof *batch->schedule, by_subject);
    batch->writes.schedule = batch->schedule;
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
        if (batch.writes.schedule_count)
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
