/*
 * Settlement on PostgreSQL: one round trip to lock and read, one to write, whatever the size of the batch; parameters are
 * arrays. On the committer's thread.
 */
#include "store/pg/pg.h"
#include "store/sql/rows.h"

/* Every writer locks orders in this order, so that batches cannot deadlock. */
static const struct sql lock_orders = {
    .name = "settle_lock",
    .text = "SELECT " ORDER_COLUMNS " FROM orders WHERE order_id = ANY "
            "(ARRAY(SELECT order_id FROM pay_records WHERE pay_no = ANY ($1))) ORDER BY order_id FOR NO KEY UPDATE",
};

/* A statement of its own: its snapshot is taken after the locks are held. */
static const struct sql read_records = {
    .name = "settle_records",
    .text = "SELECT " SETTLE_RECORD_COLUMNS " FROM pay_records WHERE order_id = ANY "
            "(ARRAY(SELECT order_id FROM pay_records WHERE pay_no = ANY ($1))) ORDER BY pay_no",
};

enum rc pg_settle_load(struct tx *base, const int64_t *pay_nos, size_t count, struct arena *arena, struct order **ret_orders,
                       size_t *ret_order_count, struct pay_record **ret_records, size_t *ret_record_count, struct error *err)
{
    struct pg_tx *tx = (struct pg_tx *)base;
    struct pg_pipe pipe;
    PGresult *orders, *records;
    tx->arrays_used = 0;
    struct pg_array numbers = pg_array_start(tx, VALUE_I64S);
    for (size_t i = 0; i < count; i++)
        pg_array_i64(&numbers, pay_nos[i]);
    struct value value = pg_array_end(&numbers);

    pg_pipe_start(&pipe, tx);
    pg_pipe_add(&pipe, &lock_orders, &value, 1, &orders);
    pg_pipe_add(&pipe, &read_records, &value, 1, &records);
    enum rc rc = pg_pipe_run(&pipe, err);
    void *order_items, *record_items;
    size_t order_count, record_count;
    if (rc == RC_OK)
        rc = pg_collect(orders, arena, order_from_row, sizeof **ret_orders, &order_items, &order_count, err);
    if (rc == RC_OK)
        rc = pg_collect(records, arena, settle_record_from_row, sizeof **ret_records, &record_items, &record_count, err);
    PQclear(orders);
    PQclear(records);
    if (rc != RC_OK)
        return rc;
    *ret_orders = order_items;
    *ret_order_count = order_count;
    *ret_records = record_items;
    *ret_record_count = record_count;
    return RC_OK;
}

static const struct sql change_records = {
    .name = "settle_change_records",
    .text = "UPDATE pay_records AS r SET status = c.to_status, trade_no = coalesce(c.trade_no, r.trade_no), "
            "payer = coalesce(c.payer, r.payer), paid_at = coalesce(c.paid_at, r.paid_at), "
            "needs_review = r.needs_review OR c.needs_review "
            "FROM unnest($1, $2, $3, $4, $5, $6, $7) AS c (pay_no, from_status, to_status, trade_no, payer, paid_at, needs_review) "
            "WHERE r.pay_no = c.pay_no AND r.status = c.from_status",
};

static void add_records(struct pg_pipe *pipe, const struct settle_writes *writes, PGresult **ret_result)
{
    struct pg_array arrays[7];
    static const enum value_type types[] = { VALUE_I64S, VALUE_I64S, VALUE_I64S, VALUE_TEXTS, VALUE_TEXTS, VALUE_I64S, VALUE_BOOLS };
    struct value values[7];
    for (size_t i = 0; i < 7; i++)
        arrays[i] = pg_array_start(pipe->tx, types[i]);
    for (size_t i = 0; i < writes->record_count; i++) {
        const struct record_change *change = &writes->records[i];
        pg_array_i64(&arrays[0], change->pay_no);
        pg_array_i64(&arrays[1], change->from);
        pg_array_i64(&arrays[2], change->to);
        pg_array_text(&arrays[3], change->trade_no);
        pg_array_text(&arrays[4], change->payer);
        pg_array_id(&arrays[5], change->paid_at);
        pg_array_bool(&arrays[6], change->needs_review);
    }
    for (size_t i = 0; i < 7; i++)
        values[i] = pg_array_end(&arrays[i]);
    pg_pipe_add(pipe, &change_records, values, 7, ret_result);
}

static const struct sql change_orders = {
    .name = "settle_change_orders",
    .text = "UPDATE orders AS o SET status = c.to_status, paid_pay_no = coalesce(c.paid_pay_no, o.paid_pay_no), "
            "paid_at = coalesce(c.paid_at, o.paid_at), last_event = coalesce(c.last_event, o.last_event) "
            "FROM unnest($1, $2, $3, $4, $5, $6) AS c (order_id, from_status, to_status, paid_pay_no, paid_at, last_event) "
            "WHERE o.order_id = c.order_id AND o.status = c.from_status",
};

static void add_orders(struct pg_pipe *pipe, const struct settle_writes *writes, PGresult **ret_result)
{
    struct pg_array arrays[6];
    struct value values[6];
    for (size_t i = 0; i < 6; i++)
        arrays[i] = pg_array_start(pipe->tx, VALUE_I64S);
    for (size_t i = 0; i < writes->order_count; i++) {
        const struct order_change *change = &writes->orders[i];
        pg_array_i64(&arrays[0], change->order_id);
        pg_array_i64(&arrays[1], change->from);
        pg_array_i64(&arrays[2], change->to);
        pg_array_id(&arrays[3], change->paid_pay_no);
        pg_array_id(&arrays[4], change->paid_at);
        pg_array_id(&arrays[5], change->last_event);
    }
    for (size_t i = 0; i < 6; i++)
        values[i] = pg_array_end(&arrays[i]);
    pg_pipe_add(pipe, &change_orders, values, 6, ret_result);
}

static const struct sql insert_events = {
    .name = "settle_events",
    .text = "INSERT INTO events (event_id, type, app, order_type, order_id, pay_no, trade_no, created_at, data) "
            "SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9)",
};

static void add_events(struct pg_pipe *pipe, const struct settle_writes *writes)
{
    static const enum value_type types[] = { VALUE_I64S, VALUE_TEXTS, VALUE_TEXTS, VALUE_TEXTS, VALUE_I64S,
                                             VALUE_I64S, VALUE_TEXTS, VALUE_I64S,  VALUE_TEXTS };
    struct pg_array arrays[9];
    struct value values[9];
    for (size_t i = 0; i < 9; i++)
        arrays[i] = pg_array_start(pipe->tx, types[i]);
    for (size_t i = 0; i < writes->event_count; i++) {
        const struct event *event = &writes->events[i];
        pg_array_i64(&arrays[0], event->event_id);
        pg_array_text(&arrays[1], event->type);
        pg_array_text(&arrays[2], event->app);
        pg_array_text(&arrays[3], event->order_type);
        pg_array_i64(&arrays[4], event->order_id);
        pg_array_id(&arrays[5], event->pay_no);
        pg_array_text(&arrays[6], event->trade_no);
        pg_array_i64(&arrays[7], event->created_at);
        pg_array_text(&arrays[8], event->data);
    }
    for (size_t i = 0; i < 9; i++)
        values[i] = pg_array_end(&arrays[i]);
    pg_pipe_add(pipe, &insert_events, values, 9, NULL);
}

static const struct sql insert_audits = {
    .name = "settle_audits",
    .text = "INSERT INTO notify_audit (audit_id, channel, pay_no, source, outcome, trade_no, amount_minor, detail, created_at) "
            "SELECT a.*, pn_now_ms() FROM unnest($1, $2, $3, $4, $5, $6, $7, $8) AS a",
};

static void add_audits(struct pg_pipe *pipe, const struct settle_writes *writes)
{
    static const enum value_type types[] = { VALUE_I64S,  VALUE_TEXTS, VALUE_TEXTS, VALUE_TEXTS,
                                             VALUE_TEXTS, VALUE_TEXTS, VALUE_I64S,  VALUE_TEXTS };
    struct pg_array arrays[8];
    struct value values[8];
    for (size_t i = 0; i < 8; i++)
        arrays[i] = pg_array_start(pipe->tx, types[i]);
    for (size_t i = 0; i < writes->audit_count; i++) {
        const struct audit *audit = &writes->audits[i];
        pg_array_i64(&arrays[0], audit->audit_id);
        pg_array_text(&arrays[1], audit->channel);
        pg_array_text(&arrays[2], audit->pay_no);
        pg_array_text(&arrays[3], audit->source);
        pg_array_text(&arrays[4], audit->outcome);
        pg_array_text(&arrays[5], audit->trade_no);
        if (audit->amount_minor < 0)
            pg_array_null(&arrays[6]);
        else
            pg_array_i64(&arrays[6], audit->amount_minor);
        pg_array_text(&arrays[7], audit->detail);
    }
    for (size_t i = 0; i < 8; i++)
        values[i] = pg_array_end(&arrays[i]);
    pg_pipe_add(pipe, &insert_audits, values, 8, NULL);
}

/* A batch may name a subject more than once, a statement may not. */
static const struct sql put_schedule = {
    .name = "settle_schedule",
    .text = "INSERT INTO query_schedule AS s (subject, task, channel, version, due_at) "
            "SELECT n.subject, max(n.task), min(n.channel), " SCHEDULE_FIRST_VERSION ", pn_now_ms() + min(n.due_in_ms) "
            "FROM unnest($1, $2, $3, $4) AS n (subject, task, channel, due_in_ms) GROUP BY n.subject ORDER BY n.subject "
            "ON CONFLICT (subject) DO UPDATE SET " SCHEDULE_SOONER ", " SCHEDULE_GREATER,
};

static void add_schedule(struct pg_pipe *pipe, const struct settle_writes *writes)
{
    struct pg_array arrays[4];
    struct value values[4];
    for (size_t i = 0; i < 4; i++)
        arrays[i] = pg_array_start(pipe->tx, i == 2 ? VALUE_TEXTS : VALUE_I64S);
    for (size_t i = 0; i < writes->schedule_count; i++) {
        const struct schedule_entry *entry = &writes->schedule[i];
        pg_array_i64(&arrays[0], entry->subject);
        pg_array_i64(&arrays[1], entry->task);
        pg_array_text(&arrays[2], entry->channel);
        pg_array_i64(&arrays[3], entry->due_in_ms);
    }
    for (size_t i = 0; i < 4; i++)
        values[i] = pg_array_end(&arrays[i]);
    pg_pipe_add(pipe, &put_schedule, values, 4, NULL);
}

/* The statements whose counts are looked at before the commit. */
struct changed {
    PGresult *records, *orders, *outbox;
};

static void add_all(struct pg_pipe *pipe, const struct settle_writes *writes, struct changed *changed)
{
    if (writes->record_count > 0)
        add_records(pipe, writes, &changed->records);
    if (writes->order_count > 0)
        add_orders(pipe, writes, &changed->orders);
    if (writes->event_count > 0)
        add_events(pipe, writes);
    if (writes->outbox_count > 0)
        pg_outbox_insert(pipe, writes, &changed->outbox);
    if (writes->audit_count > 0)
        add_audits(pipe, writes);
    if (writes->schedule_count > 0)
        add_schedule(pipe, writes);
}

static bool all_met(const PGresult *result, size_t expected)
{
    return result == NULL || pg_changed(result) == (int64_t)expected;
}

enum rc pg_settle_store(struct tx *base, struct settle_writes *writes, struct error *err)
{
    struct pg_tx *tx = (struct pg_tx *)base;
    struct changed changed = { 0 };
    struct pg_pipe pipe;
    if (writes->record_count + writes->order_count + writes->event_count + writes->outbox_count + writes->audit_count +
            writes->schedule_count == 0)
        return RC_OK;
    tx->arrays_used = 0;
    pg_pipe_start(&pipe, tx);
    add_all(&pipe, writes, &changed);
    enum rc rc = pg_pipe_run(&pipe, err);
    if (rc == RC_OK && !all_met(changed.records, writes->record_count))
        rc = error_set(err, RC_RETRY, "a payment has changed in between");
    if (rc == RC_OK && !all_met(changed.orders, writes->order_count))
        rc = error_set(err, RC_RETRY, "an order has changed in between");
    if (rc == RC_OK)
        rc = pg_outbox_inserted(changed.outbox, writes, err);
    PQclear(changed.records);
    PQclear(changed.orders);
    PQclear(changed.outbox);
    return rc;
}
