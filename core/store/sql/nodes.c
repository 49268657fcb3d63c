/*
 * Worker numbers as leases. Every number has its row from the start (schema), so that taking one is an update of one row
 * and two servers cannot take the same. Called by main at start and stop, and by its lease thread.
 */
#include "config.h"

#include "store/statement.h"

struct held {
    int64_t node, incarnation, lease_until, now;
};

static void held_from_row(struct row *row, void *ret_held)
{
    struct held *held = ret_held;
    held->node = row_i64(row, 0);
    held->incarnation = row_i64(row, 1);
    held->lease_until = row_i64(row, 2);
    held->now = row_i64(row, 3);
}

#define HELD "SELECT node, incarnation, lease_until, pn_now_ms() FROM nodes "

static const struct sql by_name = {
    .name = "node_by_name",
    .text = HELD "WHERE name = $1",
    .pg = HELD "WHERE name = $1 FOR UPDATE",
};

static const struct sql lapsed = {
    .name = "node_lapsed",
    .text = HELD "WHERE lease_until < pn_now_ms() ORDER BY lease_until, node LIMIT 1",
    .pg = HELD "WHERE lease_until < pn_now_ms() ORDER BY lease_until, node LIMIT 1 FOR UPDATE SKIP LOCKED",
};

static const struct sql take = {
    .name = "node_take",
    .text = "UPDATE nodes SET name = $2, incarnation = $3, lease_until = pn_now_ms() + $4 WHERE node = $1",
    .exists = true,
};

static enum rc find(struct tx *tx, const char *name, struct arena *arena, struct held *ret, bool *ret_own, struct error *err)
{
    enum rc rc = tx_one(tx, &by_name, VALUES(value_text(name)), arena, held_from_row, ret, sizeof *ret, err);
    *ret_own = rc == RC_OK;
    if (rc != RC_NOT_FOUND)
        return rc;
    rc = tx_one(tx, &lapsed, NULL, 0, arena, held_from_row, ret, sizeof *ret, err);
    return rc == RC_NOT_FOUND ? error_set(err, RC_FULL, "all 1024 node numbers are taken") : rc;
}

enum rc node_acquire(struct tx *tx, const char *name, int64_t incarnation, int64_t lease_ms, int *ret_node,
                     int64_t *ret_predecessor, int64_t *ret_floor_ms, struct error *err)
{
    struct held held;
    bool own;
    struct arena *arena = arena_new(0);
    enum rc rc = find(tx, name, arena, &held, &own, err);
    arena_free(arena);
    if (rc != RC_OK)
        return rc;
    rc = tx_exec(tx, &take, VALUES(value_i64(held.node), value_text(name), value_i64(incarnation), value_i64(lease_ms)), NULL, err);
    if (rc == RC_EXISTS) /* the same name, started twice at once: the other one is there now */
        return error_set(err, RC_RETRY, "another server of the same name is starting");
    if (rc != RC_OK)
        return rc;
    *ret_node = (int)held.node;
    *ret_predecessor = own ? held.incarnation : 0;
    /* Our own predecessor is dead, so it gave out nothing after now, however long its lease would have run. */
    *ret_floor_ms = held.lease_until < held.now ? held.lease_until : held.now;
    return RC_OK;
}

static const struct sql renew = {
    .name = "node_renew",
    .text = "UPDATE nodes SET lease_until = pn_now_ms() + $3 WHERE node = $1 AND incarnation = $2",
};

enum rc node_renew(struct tx *tx, int node, int64_t incarnation, int64_t lease_ms, struct error *err)
{
    int64_t changed;
    enum rc rc = tx_exec(tx, &renew, VALUES(value_i64(node), value_i64(incarnation), value_i64(lease_ms)), &changed, err);
    if (rc == RC_OK && changed == 0)
        return error_set(err, RC_CONFLICT, "another server has taken node number %d", node);
    return rc;
}

/* The name stays, so that the next start gets the same number; nothing is left to release then. */
static const struct sql release = {
    .name = "node_release",
    .text = "UPDATE nodes SET lease_until = pn_now_ms(), incarnation = 0 WHERE node = $1 AND incarnation = $2",
};

enum rc node_release(struct tx *tx, int node, int64_t incarnation, struct error *err)
{
    int64_t changed;
    enum rc rc = tx_exec(tx, &release, VALUES(value_i64(node), value_i64(incarnation)), &changed, err);
    if (rc == RC_OK && changed == 0)
        return error_set(err, RC_CONFLICT, "another server has taken node number %d", node);
    return rc;
}
