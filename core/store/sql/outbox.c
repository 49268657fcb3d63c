/*
 * The outbox outside the two hot paths: releasing what a dead process held, and looking. Called by core/outbox; claiming
 * and completing are the drivers'.
 */
#include "config.h"

#include "store/driver.h"

static const struct sql release = {
    .name = "outbox_release",
    .text = "UPDATE outbox SET due_at = pn_now_ms(), claim = 0 WHERE claim = $1 AND waits_for IS NULL",
};

enum rc outbox_release(struct tx *tx, int64_t claim, size_t *ret_count, struct error *err)
{
    int64_t changed = 0;
    /* 0 is nobody's: those rows keep the time they are due. */
    enum rc rc = claim == 0 ? RC_OK : tx_exec(tx, &release, VALUES(value_i64(claim)), &changed, err);
    if (rc == RC_OK)
        *ret_count = (size_t)changed;
    return rc;
}

static const struct sql depths = {
    .name = "outbox_depths",
    .text = "SELECT sink, count(*), count(*) FILTER (WHERE due_at <= pn_now_ms()), min(created_at) FROM outbox GROUP BY sink "
            "ORDER BY sink",
};

static void depth_from_row(struct row *row, void *ret_depth)
{
    struct outbox_depth *depth = ret_depth;
    depth->sink = row_text(row, 0);
    depth->pending = row_i64(row, 1);
    depth->due = row_i64(row, 2);
    depth->oldest_created_at = row_i64(row, 3);
}

enum rc outbox_depths(struct tx *tx, struct arena *arena, struct outbox_depth **ret, size_t *ret_count, struct error *err)
{
    void *items;
    enum rc rc = tx_list(tx, &depths, NULL, 0, arena, depth_from_row, sizeof **ret, &items, ret_count, err);
    if (rc == RC_OK)
        *ret = items;
    return rc;
}

/* Hops from sink to sink through the index (sink, due_at): as many probes as there are sinks, however long the outbox. */
static const struct sql due_sinks = {
    .name = "outbox_due_sinks",
    .text = "WITH RECURSIVE sinks (sink) AS (SELECT min(sink) FROM outbox UNION ALL "
            "SELECT (SELECT min(o.sink) FROM outbox AS o WHERE o.sink > sinks.sink) FROM sinks WHERE sinks.sink IS NOT NULL) "
            "SELECT sink FROM sinks WHERE sink IS NOT NULL AND EXISTS "
            "(SELECT 1 FROM outbox AS o WHERE o.sink = sinks.sink AND o.due_at <= pn_now_ms())",
};

static void name_from_row(struct row *row, void *ret_name)
{
    *(const char **)ret_name = row_text(row, 0);
}

enum rc outbox_due_sinks(struct tx *tx, struct arena *arena, const char ***ret, size_t *ret_count, struct error *err)
{
    void *items;
    enum rc rc = tx_list(tx, &due_sinks, NULL, 0, arena, name_from_row, sizeof **ret, &items, ret_count, err);
    if (rc == RC_OK)
        *ret = items;
    return rc;
}

enum rc outbox_claim(struct tx *tx, const char *sink, size_t limit, int64_t claim, int64_t lease_ms, struct arena *arena,
                     struct outbox_claimed **ret, size_t *ret_count, bool *ret_more, struct error *err)
{
    enum rc rc = tx->driver->outbox_claim(tx, sink, limit, claim, lease_ms, arena, ret, ret_count, err);
    if (rc == RC_OK)
        *ret_more = *ret_count == limit;
    return rc;
}

enum rc outbox_complete(struct tx *tx, const struct outbox_result *results, size_t count, size_t *ret_freed, struct error *err)
{
    return tx->driver->outbox_complete(tx, results, count, ret_freed, err);
}
