/*
 * The outbox's two hot operations on SQLite: prepared statements in a loop. On the writer's thread, so nobody else claims
 * or completes at the same time.
 */
#include "config.h"

#include <string.h>

#include "store/sqlite/sqlite.h"

static const struct sql due = {
    .name = "outbox_due",
    .text = "SELECT o.event_id, o.attempts, e.type, e.app, e.order_type, e.order_id, e.pay_no, e.trade_no, e.created_at, e.data "
            "FROM outbox AS o JOIN events AS e ON e.event_id = o.event_id WHERE o.sink = $1 AND o.due_at <= pn_now_ms() "
            "ORDER BY o.due_at, o.event_id LIMIT $2",
};
static const struct sql lease = {
    .name = "outbox_lease",
    .text = "UPDATE outbox SET due_at = pn_now_ms() + $4, claim = $3 WHERE event_id = $1 AND sink = $2",
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

enum rc sqlite_outbox_claim(struct tx *tx, const char *sink, size_t limit, int64_t claim, int64_t lease_ms, struct arena *arena,
                            struct outbox_claimed **ret, size_t *ret_count, struct error *err)
{
    void *items;
    size_t count;
    char *name = arena_strdup(arena, sink);
    if (name == NULL)
        return error_set(err, RC_NOMEM, "no memory for the events");
    enum rc rc = tx_list(tx, &due, VALUES(value_text(sink), value_i64((int64_t)limit)), arena, claimed_from_row, sizeof **ret,
                         &items, &count, err);
    struct outbox_claimed *claimed = items;
    for (size_t i = 0; rc == RC_OK && i < count; i++) {
        claimed[i].sink = name;
        rc = tx_exec(tx, &lease,
                     VALUES(value_i64(claimed[i].event.event_id), value_text(sink), value_i64(claim), value_i64(lease_ms)), NULL,
                     err);
    }
    if (rc != RC_OK)
        return rc;
    *ret = claimed;
    *ret_count = count;
    return RC_OK;
}

static const struct sql record_end = {
    .name = "outbox_record_end",
    .text = "INSERT INTO delivery_history (event_id, sink, order_id, delivered, attempts, reason, created_at, finished_at) "
            "SELECT event_id, sink, order_id, $4, $5, $6, created_at, pn_now_ms() FROM outbox "
            "WHERE event_id = $1 AND sink = $2 AND claim = $3",
};
static const struct sql drop = {
    .name = "outbox_drop",
    .text = "DELETE FROM outbox WHERE event_id = $1 AND sink = $2 AND claim = $3",
};
static const struct sql later = {
    .name = "outbox_later",
    .text = "UPDATE outbox SET due_at = pn_now_ms() + $4, attempts = attempts + $5, claim = 0 "
            "WHERE event_id = $1 AND sink = $2 AND claim = $3",
};
static const struct sql free_successors = {
    .name = "outbox_free",
    .text = "UPDATE outbox SET due_at = pn_now_ms(), waits_for = NULL WHERE waits_for = $1 AND sink = $2",
};

/* *ret_done is false when the row is no longer ours. */
static enum rc finish(struct tx *tx, const struct outbox_result *result, bool *ret_done, struct error *err)
{
    int64_t changed;
    enum rc rc = tx_exec(tx, &record_end,
                         VALUES(value_i64(result->event_id), value_text(result->sink), value_i64(result->claim),
                                value_bool(result->end == OUTBOX_DELIVERED), value_i64(result->attempts),
                                value_text(result->reason)),
                         &changed, err);
    *ret_done = rc == RC_OK && changed > 0;
    if (!*ret_done)
        return rc;
    return tx_exec(tx, &drop, VALUES(value_i64(result->event_id), value_text(result->sink), value_i64(result->claim)), NULL, err);
}

static enum rc complete(struct tx *tx, const struct outbox_result *result, int64_t *ret_freed, struct error *err)
{
    if (result->end == OUTBOX_RETRY || result->end == OUTBOX_BACK)
        return tx_exec(tx, &later,
                       VALUES(value_i64(result->event_id), value_text(result->sink), value_i64(result->claim),
                              value_i64(result->retry_in_ms), value_i64(result->end == OUTBOX_RETRY)),
                       NULL, err);
    bool done;
    enum rc rc = finish(tx, result, &done, err);
    if (rc != RC_OK || !done)
        return rc;
    return tx_exec(tx, &free_successors, VALUES(value_i64(result->event_id), value_text(result->sink)), ret_freed, err);
}

enum rc sqlite_outbox_complete(struct tx *tx, const struct outbox_result *results, size_t count, size_t *ret_freed,
                               struct error *err)
{
    size_t freed = 0;
    for (size_t i = 0; i < count; i++) {
        int64_t here = 0;
        enum rc rc = complete(tx, &results[i], &here, err);
        if (rc != RC_OK)
            return rc;
        freed += (size_t)here;
    }
    *ret_freed = freed;
    return RC_OK;
}
