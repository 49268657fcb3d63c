/*
 * Several prepared statements in one round trip, each prepared on the way when the connection does not have it yet.
 * On the transaction's thread.
 */
#include "config.h"

#include <endian.h>
#include <string.h>

#include "store/pg/pg.h"

static const struct sql begin = { .name = "begin", .text = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE" };
static const struct sql begin_read = { .name = "begin_read", .text = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY" };

/* The place of `sql` in the cache: where it is, or the empty place where it belongs. NULL when the cache is full. */
static const struct sql **cache_slot(struct pg_conn *conn, const struct sql *sql)
{
    size_t slot = ((uintptr_t)sql >> 4) % PG_STATEMENTS;
    for (size_t i = 0; i < PG_STATEMENTS; i++, slot = (slot + 1) % PG_STATEMENTS)
        if (conn->prepared[slot] == sql || conn->prepared[slot] == NULL)
            return &conn->prepared[slot];
    return NULL;
}

static bool is_prepared(const struct pg_pipe *pipe, const struct sql *sql)
{
    const struct sql **slot = cache_slot(pipe->tx->conn, sql);
    if (slot != NULL && *slot == sql)
        return true;
    for (size_t i = 0; i < pipe->count; i++)
        if (pipe->steps[i].prepares && pipe->steps[i].sql == sql)
            return true;
    return false;
}

void pg_pipe_start(struct pg_pipe *pipe, struct pg_tx *tx)
{
    pipe->tx = tx;
    pipe->count = 0;
    pipe->spoiled = false;
    pipe->failed = tx->failed;
    if (!tx->begun)
        pg_pipe_add(pipe, tx->read_only ? &begin_read : &begin, NULL, 0, NULL);
}

static void add_step(struct pg_pipe *pipe, struct pg_step step)
{
    if (pipe->count < PG_STEPS)
        pipe->steps[pipe->count++] = step;
    else
        pipe->failed = RC_INTERNAL;
}

static void add_prepare(struct pg_pipe *pipe, const struct sql *sql, const struct value *values, size_t count)
{
    /* From pg_type: int8, bool, text, bytea and the arrays of the first three. */
    static const Oid types[] = {
        [VALUE_I64] = 20,    [VALUE_BOOL] = 16,    [VALUE_TEXT] = 25,    [VALUE_BLOB] = 17,
        [VALUE_I64S] = 1016, [VALUE_BOOLS] = 1000, [VALUE_TEXTS] = 1009,
    };
    Oid oids[PG_PARAMETERS];
    for (size_t i = 0; i < count; i++)
        oids[i] = types[values[i].type];
    if (!PQsendPrepare(pipe->tx->conn->pg, sql->name, sql->pg != NULL ? sql->pg : sql->text, (int)count, oids))
        pipe->failed = RC_UNAVAILABLE;
    else
        add_step(pipe, (struct pg_step){ .sql = sql, .prepares = true });
}

void pg_pipe_add(struct pg_pipe *pipe, const struct sql *sql, const struct value *values, size_t count, PGresult **ret_result)
{
    if (ret_result != NULL)
        *ret_result = NULL;
    if (pipe->failed != RC_OK)
        return;
    if (!is_prepared(pipe, sql))
        add_prepare(pipe, sql, values, count);
    int64_t numbers[PG_PARAMETERS];
    char truths[PG_PARAMETERS];
    const char *bytes[PG_PARAMETERS];
    int lengths[PG_PARAMETERS], formats[PG_PARAMETERS];
    for (size_t i = 0; i < count; i++) {
        const struct value *value = &values[i];
        formats[i] = 1; /* binary; a text's is the same as its text */
        lengths[i] = (int)value->len;
        bytes[i] = value->bytes == NULL ? "" : value->bytes;
        if (value->type == VALUE_I64) {
            numbers[i] = (int64_t)htobe64((uint64_t)value->i64);
            bytes[i] = (const char *)&numbers[i];
            lengths[i] = sizeof numbers[i];
        } else if (value->type == VALUE_BOOL) {
            truths[i] = value->i64 != 0;
            bytes[i] = &truths[i];
            lengths[i] = 1;
        } else if (value->type >= VALUE_I64S && value->bytes == NULL) {
            pipe->failed = RC_NOMEM; /* array.c had no memory */
            return;
        }
        if (value->null)
            bytes[i] = NULL;
    }
    if (pipe->failed == RC_OK && !PQsendQueryPrepared(pipe->tx->conn->pg, sql->name, (int)count, bytes, lengths, formats, 1))
        pipe->failed = RC_UNAVAILABLE;
    else
        add_step(pipe, (struct pg_step){ .sql = sql, .ret_result = ret_result });
}

/* Reads the one result of a step; a statement's end (NULL) belongs to it. */
static enum rc read_step(struct pg_pipe *pipe, const struct pg_step *step, struct error *err, enum rc *refused)
{
    struct pg_conn *conn = pipe->tx->conn;
    PGresult *result = NULL, *end = NULL;
    enum rc rc = pg_next_result(conn->pg, pipe->tx->deadline_ms, &result, err);
    if (rc != RC_OK)
        return rc;
    ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) {
        if (step->prepares && cache_slot(conn, step->sql) != NULL)
            *cache_slot(conn, step->sql) = step->sql;
        if (step->ret_result != NULL)
            *step->ret_result = result, result = NULL;
    } else if (status != PGRES_PIPELINE_ABORTED && *refused == RC_OK) {
        *refused = pg_failed(conn->pg, result, step->sql, err);
        pipe->spoiled = pg_session_spoiled(result);
    }
    PQclear(result);
    if (PQstatus(conn->pg) == CONNECTION_BAD)
        return *refused != RC_OK ? *refused : error_set(err, RC_UNAVAILABLE, "the connection to PostgreSQL is lost");
    rc = pg_next_result(conn->pg, pipe->tx->deadline_ms, &end, err);
    PQclear(end);
    return rc;
}

static enum rc read_all(struct pg_pipe *pipe, enum rc *refused, struct error *err)
{
    for (size_t i = 0; i < pipe->count; i++) {
        enum rc rc = read_step(pipe, &pipe->steps[i], err, refused);
        if (rc != RC_OK)
            return rc;
    }
    PGresult *sync = NULL;
    enum rc rc = pg_next_result(pipe->tx->conn->pg, pipe->tx->deadline_ms, &sync, err);
    if (rc == RC_OK && PQresultStatus(sync) != PGRES_PIPELINE_SYNC)
        rc = error_set(err, RC_UNAVAILABLE, "PostgreSQL: the connection is out of step");
    PQclear(sync);
    return rc;
}

static void forget_results(struct pg_pipe *pipe)
{
    for (size_t i = 0; i < pipe->count; i++) {
        if (pipe->steps[i].ret_result == NULL)
            continue;
        PQclear(*pipe->steps[i].ret_result);
        *pipe->steps[i].ret_result = NULL;
    }
}

enum rc pg_pipe_run(struct pg_pipe *pipe, struct error *err)
{
    struct pg_tx *tx = pipe->tx;
    if (tx->failed != RC_OK)
        return error_set(err, tx->failed, "the transaction has failed already");
    enum rc rc = pipe->failed, refused = RC_OK;
    if (rc != RC_OK)
        error_set(err, rc, rc == RC_UNAVAILABLE ? "the connection to PostgreSQL is lost" : "a statement could not be sent");
    else if (!PQpipelineSync(tx->conn->pg))
        rc = error_set(err, RC_UNAVAILABLE, "the connection to PostgreSQL is lost");
    if (rc == RC_OK)
        rc = read_all(pipe, &refused, err);
    if (rc != RC_OK) {
        /* Nobody knows what is still under way on it. */
        tx->lost = !tx->begun && tx->conn->served && rc == RC_UNAVAILABLE;
        pg_drop(tx->conn);
    } else if (refused != RC_OK) {
        rc = refused;
        if (pipe->spoiled)
            pg_drop(tx->conn);
    } else {
        tx->conn->served = true;
    }
    tx->begun = true;
    if (rc != RC_OK) {
        tx->failed = rc;
        forget_results(pipe);
    }
    return rc;
}
