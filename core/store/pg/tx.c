/*
 * Transactions on PostgreSQL: take a connection of the lane, run, commit; run again what lost a race. BEGIN travels with
 * the first statement. On the caller's thread, which blocks until the deadline at most.
 */
#include "config.h"

#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "store/pg/pg.h"

static const struct sql commit_sql = { .name = "commit", .text = "COMMIT" };
static const struct sql rollback_sql = { .name = "rollback", .text = "ROLLBACK" };

enum { PING_TIMEOUT_MS = 2000 };

enum rc pg_run(struct tx *base, const struct sql *sql, const struct value *values, size_t count, struct arena *arena,
               each_row_fn each, void *ctx, int64_t *ret_changed, struct error *err)
{
    struct pg_tx *tx = (struct pg_tx *)base;
    struct pg_pipe pipe;
    PGresult *result;
    pg_pipe_start(&pipe, tx);
    pg_pipe_add(&pipe, sql, values, count, &result);
    enum rc rc = pg_pipe_run(&pipe, err);
    if (rc == RC_OK && each != NULL)
        rc = pg_each(result, arena, each, ctx, err);
    if (rc == RC_OK && ret_changed != NULL)
        *ret_changed = pg_changed(result);
    PQclear(result);
    return rc;
}

static void roll_back(struct pg_tx *tx)
{
    if (!tx->begun || tx->conn->pg == NULL)
        return;
    struct pg_pipe pipe;
    tx->failed = RC_OK;
    pg_pipe_start(&pipe, tx);
    pg_pipe_add(&pipe, &rollback_sql, NULL, 0, NULL);
    if (pg_pipe_run(&pipe, NULL) != RC_OK && tx->conn->pg != NULL)
        pg_drop(tx->conn);
}

static enum rc commit(struct pg_tx *tx, struct error *err)
{
    if (tx->failed != RC_OK) {
        roll_back(tx);
        return error_set(err, RC_INTERNAL, "a statement failed and its transaction was to be committed");
    }
    if (!tx->begun)
        return RC_OK;
    struct pg_pipe pipe;
    PGresult *result;
    pg_pipe_start(&pipe, tx);
    pg_pipe_add(&pipe, &commit_sql, NULL, 0, &result);
    enum rc rc = pg_pipe_run(&pipe, err);
    if (rc != RC_OK && tx->conn->pg == NULL)
        return tx->read_only ? rc : error_set(err, RC_UNKNOWN, "the connection to PostgreSQL was lost at COMMIT");
    if (rc == RC_OK && strcmp(PQcmdStatus(result), "COMMIT") != 0)
        rc = error_set(err, RC_INTERNAL, "PostgreSQL rolled the transaction back at COMMIT");
    PQclear(result);
    return rc;
}

struct call {
    struct pg_store *store;
    enum lane lane;
    bool read_only;
    tx_fn fn;
    void *arg;
    int64_t deadline_ms;
};

/* *ret_lost: the connection was dead before anything was done, as after a restart of the server. */
static enum rc attempt(const struct call *call, bool *ret_lost, struct error *err)
{
    struct pg_tx tx = { .base.driver = &pg_driver, .store = call->store, .deadline_ms = call->deadline_ms,
                        .read_only = call->read_only };
    enum rc rc = pg_take(call->store, call->lane, call->deadline_ms, &tx.conn, err);
    if (rc != RC_OK)
        return rc;
    rc = call->fn(&tx.base, call->arg, err);
    if (rc == RC_OK)
        rc = commit(&tx, err);
    else
        roll_back(&tx);
    *ret_lost = tx.lost;
    pg_give(call->store, call->lane, tx.conn);
    return rc;
}

static enum rc run_call(const struct call *call, struct error *err)
{
    bool retried_lost = false;
    for (int tries = 0;;) {
        bool lost = false;
        enum rc rc = attempt(call, &lost, err);
        if (lost && !retried_lost) {
            retried_lost = true;
            continue;
        }
        if (rc != RC_RETRY || tries == TX_RETRIES || mono_ms() >= call->deadline_ms)
            return rc;
        int64_t pause_ms = retry_pause_ms(tries++);
        nanosleep(&(struct timespec){ .tv_nsec = pause_ms * 1000000 }, NULL);
    }
}

enum rc pg_write(struct store *base, enum lane lane, tx_fn fn, void *arg, struct error *err)
{
    struct pg_store *store = (struct pg_store *)base;
    struct call call = { .store = store, .lane = lane, .fn = fn, .arg = arg,
                         .deadline_ms = mono_ms() + store->lanes[lane].timeout_ms };
    return run_call(&call, err);
}

enum rc pg_read(struct store *base, tx_fn fn, void *arg, struct error *err)
{
    struct pg_store *store = (struct pg_store *)base;
    struct call call = { .store = store, .lane = LANE_WORK, .read_only = true, .fn = fn, .arg = arg,
                         .deadline_ms = mono_ms() + store->lanes[LANE_WORK].timeout_ms };
    return run_call(&call, err);
}

static enum rc look(struct tx *tx, void *arg, struct error *err)
{
    return tx_now(tx, arg, err);
}

/* On the poller's lane, whose statements are short: workers may all be busy and the store still be well. Not read-only, so
 * that a server which became a standby does not pass. */
enum rc pg_ping(struct store *base, struct error *err)
{
    struct pg_store *store = (struct pg_store *)base;
    int64_t now;
    struct call call = { .store = store, .lane = LANE_POLL, .fn = look, .arg = &now,
                         .deadline_ms = mono_ms() + PING_TIMEOUT_MS };
    return run_call(&call, err);
}
