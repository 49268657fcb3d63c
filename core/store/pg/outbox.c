/*
 * Claiming and completing outbox rows on PostgreSQL. On the poller's and the completion writer's threads.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "store/pg/pg.h"

/* MATERIALIZED: without the fence the planner may lock more than the limit. NO KEY UPDATE: follow-ups hold KEY SHARE. */
static const struct sql claim_rows = {
    .name = "outbox_claim",
    .text = "WITH due AS MATERIALIZED (SELECT event_id, sink FROM outbox WHERE sink = $1 AND due_at <= pn_now_ms() "
            "ORDER BY due_at LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED), "
            "taken AS (UPDATE outbox AS o SET due_at = pn_now_ms() + $4, claim = $3 FROM due "
            "WHERE o.event_id = due.event_id AND o.sink = due.sink RETURNING o.event_id, o.attempts) "
            "SELECT e.event_id, t.attempts, e.type, e.app, e.order_type, e.order_id, e.pay_no, e.trade_no, e.created_at, e.data "
            "FROM taken AS t JOIN events AS e ON e.event_id = t.event_id ORDER BY e.event_id",
};

static void claimed_from_row(struct row *row, void *ret_claimed)
{
    struct outbox_claimed *claimed = ret_claimed;
    claimed->event.event_id = row_i64(row, 0);
    claimed->attempts = (int)row_i64(row, 1);
    claimed->event.type = row_text(row, 2);
    claimed->event.app = row_text(row, 3);
    claimed->event.order_type = row_text(row, 4);
    claimed->event.order_id = row_i64(row, 5);
    claimed->event.pay_no = row_i64(row, 6);
    claimed->event.trade_no = row_text(row, 7);
    claimed->event.created_at = row_i64(row, 8);
    claimed->event.data = row_text(row, 9);
}

enum rc pg_outbox_claim(struct tx *tx, const char *sink, size_t limit, int64_t claim, int64_t lease_ms, struct arena *arena,
                        struct outbox_claimed **ret, size_t *ret_count, struct error *err)
{
    void *items;
    size_t count;
    char *name = arena_strdup(arena, sink);
    if (name == NULL)
        return error_set(err, RC_NOMEM, "no memory for the events");
    enum rc rc = tx_list(tx, &claim_rows,
                         VALUES(value_text(sink), value_i64((int64_t)limit), value_i64(claim), value_i64(lease_ms)), arena,
                         claimed_from_row, sizeof **ret, &items, &count, err);
    if (rc != RC_OK)
        return rc;
    struct outbox_claimed *claimed = items;
    for (size_t i = 0; i < count; i++)
        claimed[i].sink = name;
    *ret = claimed;
    *ret_count = count;
    return RC_OK;
}

/* The claim is the fence: a row that another process has taken since is left alone. */
static const struct sql finish = {
    .name = "outbox_finish",
    .text = "WITH done AS (DELETE FROM outbox AS o USING unnest($1, $2, $3, $4, $5, $6) "
            "AS r (event_id, sink, claim, delivered, attempts, reason) "
            "WHERE o.event_id = r.event_id AND o.sink = r.sink AND o.claim = r.claim "
            "RETURNING o.event_id, o.sink, o.order_id, r.delivered, r.attempts, r.reason, o.created_at) "
            "INSERT INTO delivery_history (event_id, sink, order_id, delivered, attempts, reason, created_at, finished_at) "
            "SELECT done.*, pn_now_ms() FROM done",
};

/* A statement of its own, whose snapshot is taken when the rows are deleted: it sees every follow-up that found them. */
static const struct sql free_successors = {
    .name = "outbox_free",
    .text = "UPDATE outbox AS s SET due_at = pn_now_ms(), waits_for = NULL FROM unnest($1, $2) AS d (event_id, sink) "
            "WHERE s.waits_for = d.event_id AND s.sink = d.sink "
            "AND NOT EXISTS (SELECT 1 FROM outbox AS p WHERE p.event_id = d.event_id AND p.sink = d.sink)",
};

static const struct sql later = {
    .name = "outbox_later",
    .text = "UPDATE outbox AS o SET due_at = pn_now_ms() + r.retry_in_ms, attempts = o.attempts + r.failed, claim = 0 "
            "FROM unnest($1, $2, $3, $4, $5) AS r (event_id, sink, claim, retry_in_ms, failed) "
            "WHERE o.event_id = r.event_id AND o.sink = r.sink AND o.claim = r.claim",
};

/* Rows are locked in one order everywhere. */
static int by_row(const void *a, const void *b)
{
    const struct outbox_result *x = *(const struct outbox_result *const *)a, *y = *(const struct outbox_result *const *)b;
    if (x->event_id != y->event_id)
        return x->event_id < y->event_id ? -1 : 1;
    return strcmp(x->sink, y->sink);
}

static bool is_end(const struct outbox_result *result)
{
    return result->end == OUTBOX_DELIVERED || result->end == OUTBOX_DEAD;
}

static void add_finish(struct pg_pipe *pipe, const struct outbox_result **sorted, size_t count, PGresult **ret_freed)
{
    static const enum value_type types[] = { VALUE_I64S, VALUE_TEXTS, VALUE_I64S, VALUE_BOOLS, VALUE_I64S, VALUE_TEXTS };
    struct pg_array arrays[6];
    struct value values[6];
    for (size_t i = 0; i < 6; i++)
        arrays[i] = pg_array_start(pipe->tx, types[i]);
    for (size_t i = 0; i < count; i++) {
        const struct outbox_result *result = sorted[i];
        if (!is_end(result))
            continue;
        pg_array_i64(&arrays[0], result->event_id);
        pg_array_text(&arrays[1], result->sink);
        pg_array_i64(&arrays[2], result->claim);
        pg_array_bool(&arrays[3], result->end == OUTBOX_DELIVERED);
        pg_array_i64(&arrays[4], result->attempts);
        pg_array_text(&arrays[5], result->reason);
    }
    if (arrays[0].count == 0)
        return;
    for (size_t i = 0; i < 6; i++)
        values[i] = pg_array_end(&arrays[i]);
    pg_pipe_add(pipe, &finish, values, 6, NULL);
    pg_pipe_add(pipe, &free_successors, values, 2, ret_freed);
}

static void add_later(struct pg_pipe *pipe, const struct outbox_result **sorted, size_t count)
{
    struct pg_array arrays[5];
    struct value values[5];
    for (size_t i = 0; i < 5; i++)
        arrays[i] = pg_array_start(pipe->tx, i == 1 ? VALUE_TEXTS : VALUE_I64S);
    for (size_t i = 0; i < count; i++) {
        const struct outbox_result *result = sorted[i];
        if (is_end(result))
            continue;
        pg_array_i64(&arrays[0], result->event_id);
        pg_array_text(&arrays[1], result->sink);
        pg_array_i64(&arrays[2], result->claim);
        pg_array_i64(&arrays[3], result->retry_in_ms);
        pg_array_i64(&arrays[4], result->end == OUTBOX_RETRY);
    }
    if (arrays[0].count == 0)
        return;
    for (size_t i = 0; i < 5; i++)
        values[i] = pg_array_end(&arrays[i]);
    pg_pipe_add(pipe, &later, values, 5, NULL);
}

enum rc pg_outbox_complete(struct tx *base, const struct outbox_result *results, size_t count, size_t *ret_freed,
                           struct error *err)
{
    struct pg_tx *tx = (struct pg_tx *)base;
    struct pg_pipe pipe;
    PGresult *freed = NULL;
    const struct outbox_result **sorted = calloc(count + 1, sizeof(struct outbox_result *));
    if (sorted == NULL)
        return error_set(err, RC_NOMEM, "no memory for the completion");
    for (size_t i = 0; i < count; i++)
        sorted[i] = &results[i];
    qsort(sorted, count, sizeof *sorted, by_row);
    tx->arrays_used = 0;
    pg_pipe_start(&pipe, tx);
    add_finish(&pipe, sorted, count, &freed);
    add_later(&pipe, sorted, count);
    free(sorted);
    enum rc rc = pg_pipe_run(&pipe, err);
    if (rc == RC_OK)
        *ret_freed = freed == NULL ? 0 : (size_t)pg_changed(freed);
    PQclear(freed);
    return rc;
}
