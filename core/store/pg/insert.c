/*
 * Writing outbox rows on PostgreSQL, behind their predecessors where those are still pending. A part of settle_store, on
 * the committer's thread.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "store/pg/pg.h"

/* Rows whose place is known: no predecessor, or one that this very call inserts. */
static const struct sql insert_known = {
    .name = "outbox_insert",
    .text = "INSERT INTO outbox (event_id, sink, order_id, due_at, claim, waits_for, created_at) "
            "SELECT n.event_id, n.sink, n.order_id, CASE WHEN n.waits_for IS NULL THEN pn_now_ms() + n.lease_ms "
            "ELSE 9223372036854775807 END, n.claim, n.waits_for, pn_now_ms() "
            "FROM unnest($1, $2, $3, $4, $5, $6) AS n (event_id, sink, order_id, waits_for, claim, lease_ms)",
};

/*
 * Rows with a predecessor of an earlier transaction. FOR KEY SHARE makes a completion that is deleting it wait for us, and
 * us for it: either we find it gone, or its completer's second statement finds our row and frees it.
 */
static const struct sql insert_behind = {
    .name = "outbox_insert_behind",
    .text = "WITH n AS MATERIALIZED (SELECT * FROM unnest($1, $2, $3, $4, $5, $6) "
            "AS n (event_id, sink, order_id, predecessor, claim, lease_ms)), "
            "pending AS MATERIALIZED (SELECT o.event_id, o.sink FROM n JOIN outbox AS o ON o.event_id = n.predecessor "
            "AND o.sink = n.sink FOR KEY SHARE OF o), "
            "placed AS MATERIALIZED (SELECT n.*, EXISTS (SELECT 1 FROM pending AS p WHERE p.event_id = n.predecessor AND p.sink = n.sink) "
            "AS waits FROM n) "
            "INSERT INTO outbox (event_id, sink, order_id, due_at, claim, waits_for, created_at) "
            "SELECT event_id, sink, order_id, CASE WHEN waits THEN 9223372036854775807 ELSE pn_now_ms() + lease_ms END, "
            "CASE WHEN waits THEN 0 ELSE claim END, CASE WHEN waits THEN predecessor END, pn_now_ms() FROM placed "
            "RETURNING event_id, sink, waits_for",
};

static bool is_inserted_here(const struct settle_writes *writes, const struct outbox_row *row)
{
    for (size_t i = 0; i < writes->outbox_count; i++)
        if (writes->outbox[i].event_id == row->predecessor && strcmp(writes->outbox[i].sink, row->sink) == 0)
            return true;
    return false;
}

/* In the order in which completions delete, so that the two cannot deadlock. */
static int by_predecessor(const void *a, const void *b)
{
    const struct outbox_row *x = *(const struct outbox_row *const *)a, *y = *(const struct outbox_row *const *)b;
    if (x->predecessor != y->predecessor)
        return x->predecessor < y->predecessor ? -1 : 1;
    return strcmp(x->sink, y->sink);
}

static void start_arrays(struct pg_tx *tx, struct pg_array arrays[6])
{
    for (size_t i = 0; i < 6; i++)
        arrays[i] = pg_array_start(tx, i == 1 ? VALUE_TEXTS : VALUE_I64S);
}

static void add_row(struct pg_array arrays[6], const struct outbox_row *row, int64_t link, bool leased)
{
    pg_array_i64(&arrays[0], row->event_id);
    pg_array_text(&arrays[1], row->sink);
    pg_array_i64(&arrays[2], row->order_id);
    pg_array_id(&arrays[3], link);
    pg_array_i64(&arrays[4], leased ? row->claim : 0);
    pg_array_i64(&arrays[5], leased ? row->lease_ms : 0);
}

static void add_statement(struct pg_pipe *pipe, const struct sql *sql, struct pg_array arrays[6], PGresult **ret_result)
{
    struct value values[6];
    if (arrays[0].count == 0)
        return;
    for (size_t i = 0; i < 6; i++)
        values[i] = pg_array_end(&arrays[i]);
    pg_pipe_add(pipe, sql, values, 6, ret_result);
}

void pg_outbox_insert(struct pg_pipe *pipe, const struct settle_writes *writes, PGresult **ret_result)
{
    struct pg_array known[6], behind[6];
    struct outbox_row **rows = calloc(writes->outbox_count, sizeof(struct outbox_row *));
    size_t behind_count = 0;
    if (rows == NULL) {
        pipe->failed = RC_NOMEM;
        return;
    }
    start_arrays(pipe->tx, known);
    start_arrays(pipe->tx, behind);
    for (size_t i = 0; i < writes->outbox_count; i++) {
        struct outbox_row *row = &writes->outbox[i];
        row->chained = row->predecessor != 0 && is_inserted_here(writes, row);
        if (row->predecessor == 0 || row->chained)
            add_row(known, row, row->predecessor, row->leased && !row->chained);
        else
            rows[behind_count++] = row;
    }
    qsort(rows, behind_count, sizeof *rows, by_predecessor);
    for (size_t i = 0; i < behind_count; i++)
        add_row(behind, rows[i], rows[i]->predecessor, rows[i]->leased);
    free(rows);
    add_statement(pipe, &insert_known, known, NULL);
    add_statement(pipe, &insert_behind, behind, ret_result);
}

static enum rc note_chained(struct row *row, void *ctx, struct error *err)
{
    (void)err;
    struct settle_writes *writes = ctx;
    size_t len = 0;
    int64_t event_id = row_i64(row, 0);
    const char *sink = row->access->bytes(row, 1, &len);
    if (row_i64(row, 2) == 0)
        return RC_OK;
    for (size_t i = 0; i < writes->outbox_count; i++)
        if (writes->outbox[i].event_id == event_id && strcmp(writes->outbox[i].sink, sink) == 0)
            writes->outbox[i].chained = true;
    return RC_OK;
}

enum rc pg_outbox_inserted(const PGresult *result, struct settle_writes *writes, struct error *err)
{
    return result == NULL ? RC_OK : pg_each((PGresult *)result, NULL, note_chained, writes, err);
}
