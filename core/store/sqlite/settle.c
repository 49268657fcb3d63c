/*
 * Settlement on SQLite: prepared statements in a loop, which costs no round trips here. On the writer's thread, inside
 * its transaction, so nothing needs a lock.
 */
#include "config.h"

#include <stdlib.h>

#include "store/sql/rows.h"
#include "store/sqlite/sqlite.h"

static const struct sql order_of = {
    .name = "settle_order_of",
    .text = "SELECT order_id FROM pay_records WHERE pay_no = $1",
};
static const struct sql get_order = {
    .name = "settle_order",
    .text = "SELECT " ORDER_COLUMNS " FROM orders WHERE order_id = $1",
};
static const struct sql get_records = {
    .name = "settle_records",
    .text = "SELECT " SETTLE_RECORD_COLUMNS " FROM pay_records WHERE order_id = $1",
};

static int by_id(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int by_pay_no(const void *a, const void *b)
{
    return by_id(&((const struct pay_record *)a)->pay_no, &((const struct pay_record *)b)->pay_no);
}

/* The orders of these pay_nos, each once, sorted. */
static enum rc find_orders(struct tx *tx, const int64_t *pay_nos, size_t count, int64_t *ids, size_t *ret_count, struct error *err)
{
    size_t found = 0, kept = 0;
    for (size_t i = 0; i < count; i++) {
        enum rc rc = tx_i64(tx, &order_of, VALUES(value_i64(pay_nos[i])), &ids[found], err);
        if (rc == RC_OK)
            found++;
        else if (rc != RC_NOT_FOUND)
            return rc;
    }
    qsort(ids, found, sizeof *ids, by_id);
    for (size_t i = 0; i < found; i++)
        if (kept == 0 || ids[kept - 1] != ids[i])
            ids[kept++] = ids[i];
    *ret_count = kept;
    return RC_OK;
}

struct record_list {
    struct arena *arena;
    struct pay_record *items;
    size_t count, cap;
};

static enum rc add_record(struct row *row, void *ctx, struct error *err)
{
    struct record_list *list = ctx;
    if (list->count == list->cap) {
        size_t cap = list->cap * 2;
        struct pay_record *items = arena_alloc(list->arena, cap * sizeof *items);
        if (items == NULL)
            return error_set(err, RC_NOMEM, "no memory for the pay records");
        for (size_t i = 0; i < list->count; i++)
            items[i] = list->items[i];
        list->items = items;
        list->cap = cap;
    }
    settle_record_from_row(row, &list->items[list->count++]);
    return row->failed ? error_set(err, RC_NOMEM, "no memory for the pay records") : RC_OK;
}

enum rc sqlite_settle_load(struct tx *tx, const int64_t *pay_nos, size_t count, struct arena *arena, struct order **ret_orders,
                           size_t *ret_order_count, struct pay_record **ret_records, size_t *ret_record_count, struct error *err)
{
    int64_t *ids = arena_alloc(arena, count * sizeof *ids);
    struct order *orders = arena_alloc(arena, count * sizeof *orders);
    struct record_list list = { .arena = arena, .cap = count + 8 };
    list.items = arena_alloc(arena, list.cap * sizeof *list.items);
    if (ids == NULL || orders == NULL || list.items == NULL)
        return error_set(err, RC_NOMEM, "no memory for the settlement");
    size_t order_count;
    enum rc rc = find_orders(tx, pay_nos, count, ids, &order_count, err);
    for (size_t i = 0; rc == RC_OK && i < order_count; i++) {
        rc = tx_one(tx, &get_order, VALUES(value_i64(ids[i])), arena, order_from_row, &orders[i], sizeof orders[i], err);
        if (rc == RC_OK)
            rc = tx->driver->run(tx, &get_records, VALUES(value_i64(ids[i])), arena, add_record, &list, NULL, err);
    }
    if (rc != RC_OK)
        return rc;
    qsort(list.items, list.count, sizeof *list.items, by_pay_no);
    *ret_orders = orders;
    *ret_order_count = order_count;
    *ret_records = list.items;
    *ret_record_count = list.count;
    return RC_OK;
}

static const struct sql change_record = {
    .name = "settle_change_record",
    .text = "UPDATE pay_records SET status = $3, trade_no = coalesce($4, trade_no), payer = coalesce($5, payer), "
            "paid_at = coalesce($6, paid_at), needs_review = needs_review OR $7 WHERE pay_no = $1 AND status = $2",
};

static enum rc change_records(struct tx *tx, const struct settle_writes *writes, struct error *err)
{
    for (size_t i = 0; i < writes->record_count; i++) {
        const struct record_change *change = &writes->records[i];
        int64_t changed;
        enum rc rc = tx_exec(tx, &change_record,
                             VALUES(value_i64(change->pay_no), value_i64(change->from), value_i64(change->to),
                                    value_text(change->trade_no), value_text(change->payer), value_id(change->paid_at),
                                    value_bool(change->needs_review)),
                             &changed, err);
        if (rc != RC_OK)
            return rc;
        if (changed == 0)
            return error_set(err, RC_RETRY, "a payment has changed in between");
    }
    return RC_OK;
}

static const struct sql change_order = {
    .name = "settle_change_order",
    .text = "UPDATE orders SET status = $3, paid_pay_no = coalesce($4, paid_pay_no), paid_at = coalesce($5, paid_at), "
            "last_event = coalesce($6, last_event) WHERE order_id = $1 AND status = $2",
};

static enum rc change_orders(struct tx *tx, const struct settle_writes *writes, struct error *err)
{
    for (size_t i = 0; i < writes->order_count; i++) {
        const struct order_change *change = &writes->orders[i];
        int64_t changed;
        enum rc rc = tx_exec(tx, &change_order,
                             VALUES(value_i64(change->order_id), value_i64(change->from), value_i64(change->to),
                                    value_id(change->paid_pay_no), value_id(change->paid_at), value_id(change->last_event)),
                             &changed, err);
        if (rc != RC_OK)
            return rc;
        if (changed == 0)
            return error_set(err, RC_RETRY, "an order has changed in between");
    }
    return RC_OK;
}

static const struct sql insert_event = {
    .name = "settle_event",
    .text = "INSERT INTO events (event_id, type, app, order_type, order_id, pay_no, trade_no, created_at, data) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
};

static enum rc insert_events(struct tx *tx, const struct settle_writes *writes, struct error *err)
{
    for (size_t i = 0; i < writes->event_count; i++) {
        const struct event *event = &writes->events[i];
        enum rc rc = tx_exec(tx, &insert_event,
                             VALUES(value_i64(event->event_id), value_text(event->type), value_text(event->app),
                                    value_text(event->order_type), value_i64(event->order_id), value_id(event->pay_no),
                                    value_text(event->trade_no), value_i64(event->created_at), value_text(event->data)),
                             NULL, err);
        if (rc != RC_OK)
            return rc;
    }
    return RC_OK;
}

static const struct sql is_pending = {
    .name = "settle_is_pending",
    .text = "SELECT 1 FROM outbox WHERE event_id = $1 AND sink = $2",
};
static const struct sql insert_outbox = {
    .name = "settle_outbox",
    .text = "INSERT INTO outbox (event_id, sink, order_id, due_at, claim, attempts, waits_for, created_at) VALUES ($1, $2, $3, "
            "CASE WHEN $6 IS NULL THEN pn_now_ms() + $4 ELSE 9223372036854775807 END, $5, 0, $6, pn_now_ms())",
};

/* A row whose predecessor is still to be delivered to the same sink waits for it. */
static enum rc insert_outbox_row(struct tx *tx, struct outbox_row *row, struct error *err)
{
    int64_t one;
    enum rc rc = row->predecessor == 0 ? RC_NOT_FOUND
                                       : tx_i64(tx, &is_pending, VALUES(value_i64(row->predecessor), value_text(row->sink)), &one,
                                                err);
    if (rc != RC_OK && rc != RC_NOT_FOUND)
        return rc;
    bool chained = rc == RC_OK, leased = row->leased && !chained;
    rc = tx_exec(tx, &insert_outbox,
                 VALUES(value_i64(row->event_id), value_text(row->sink), value_i64(row->order_id),
                        value_i64(leased ? row->lease_ms : 0), value_i64(leased ? row->claim : 0),
                        value_id(chained ? row->predecessor : 0)),
                 NULL, err);
    row->chained = chained;
    return rc;
}

static const struct sql insert_audit = {
    .name = "settle_audit",
    .text = "INSERT INTO notify_audit (audit_id, channel, pay_no, source, outcome, trade_no, amount_minor, detail, created_at) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, pn_now_ms())",
};

static enum rc insert_audits(struct tx *tx, const struct settle_writes *writes, struct error *err)
{
    for (size_t i = 0; i < writes->audit_count; i++) {
        const struct audit *audit = &writes->audits[i];
        struct value amount = value_i64(audit->amount_minor);
        amount.null = audit->amount_minor < 0;
        enum rc rc = tx_exec(tx, &insert_audit,
                             VALUES(value_i64(audit->audit_id), value_text(audit->channel), value_text(audit->pay_no),
                                    value_text(audit->source), value_text(audit->outcome), value_text(audit->trade_no), amount,
                                    value_text(audit->detail)),
                             NULL, err);
        if (rc != RC_OK)
            return rc;
    }
    return RC_OK;
}

enum rc sqlite_settle_store(struct tx *tx, struct settle_writes *writes, struct error *err)
{
    enum rc rc = change_records(tx, writes, err);
    if (rc == RC_OK)
        rc = change_orders(tx, writes, err);
    if (rc == RC_OK)
        rc = insert_events(tx, writes, err);
    for (size_t i = 0; rc == RC_OK && i < writes->outbox_count; i++)
        rc = insert_outbox_row(tx, &writes->outbox[i], err);
    if (rc == RC_OK)
        rc = insert_audits(tx, writes, err);
    for (size_t i = 0; rc == RC_OK && i < writes->schedule_count; i++)
        rc = schedule_put(tx, &writes->schedule[i], err);
    return rc;
}
