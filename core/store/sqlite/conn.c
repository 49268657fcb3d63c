/*
 * One SQLite connection: opening with the settings that durability and speed need, the cache of prepared statements,
 * and running one of them. On the thread that holds the connection.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/sqlite/sqlite.h"

static void now_ms(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    (void)values;
    const struct sqlite_conn *conn = sqlite3_user_data(context);
    sqlite3_result_int64(context, conn->now_ms);
}

/*
 * synchronous=FULL: nothing is answered before it is on disk. Checkpoints are another thread's. Debian's library
 * overwrites deleted content with zeros unless told not to, which would double what a delivered event writes.
 */
static const char write_settings[] = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; "
                                     "PRAGMA foreign_keys = ON; PRAGMA secure_delete = OFF; PRAGMA temp_store = MEMORY; "
                                     "PRAGMA cache_size = -32000";
static const char read_settings[] = "PRAGMA temp_store = MEMORY; PRAGMA cache_size = -8000; PRAGMA query_only = ON";

enum rc sqlite_conn_open(struct sqlite_conn *conn, const char *path, bool writes, struct error *err)
{
    memset(conn, 0, sizeof *conn);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    int code = sqlite3_open_v2(path, &conn->db, flags, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_busy_timeout(conn->db, 5000);
    if (code == SQLITE_OK)
        code = sqlite3_create_function(conn->db, "pn_now_ms", 0, SQLITE_UTF8, conn, now_ms, NULL, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_exec(conn->db, writes ? write_settings : read_settings, NULL, NULL, NULL);
    if (code == SQLITE_OK)
        return RC_OK;
    error_set(err, RC_UNAVAILABLE, "%s: %s", path, conn->db == NULL ? "no memory" : sqlite3_errmsg(conn->db));
    sqlite_conn_close(conn);
    return RC_UNAVAILABLE;
}

void sqlite_conn_close(struct sqlite_conn *conn)
{
    for (size_t i = 0; i < SQLITE_STATEMENTS; i++)
        sqlite3_finalize(conn->prepared[i].stmt);
    sqlite3_close(conn->db);
    memset(conn, 0, sizeof *conn);
}

enum rc sqlite_failed(struct sqlite_conn *conn, int code, const struct sql *sql, struct error *err)
{
    const char *name = sql == NULL ? "transaction" : sql->name;
    int extended = sqlite3_extended_errcode(conn->db);
    if ((extended == SQLITE_CONSTRAINT_UNIQUE || extended == SQLITE_CONSTRAINT_PRIMARYKEY) && sql != NULL && sql->exists)
        return error_set(err, RC_EXISTS, "%s: a unique key is taken", name);
    switch (code & 0xff) {
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_TOOBIG:
    case SQLITE_RANGE:
        return error_set(err, RC_DATA, "%s: %s", name, sqlite3_errmsg(conn->db));
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PROTOCOL:
        return error_set(err, RC_UNAVAILABLE, "%s: %s", name, sqlite3_errmsg(conn->db));
    case SQLITE_NOMEM:
        return error_set(err, RC_NOMEM, "%s: %s", name, sqlite3_errmsg(conn->db));
    default:
        return error_set(err, RC_INTERNAL, "%s: %s", name, sqlite3_errmsg(conn->db));
    }
}

enum rc sqlite_simple(struct sqlite_conn *conn, const char *text, struct error *err)
{
    conn->now_ms = wall_ms();
    int code = sqlite3_exec(conn->db, text, NULL, NULL, NULL);
    return code == SQLITE_OK ? RC_OK : sqlite_failed(conn, code, NULL, err);
}

static enum rc prepare(struct sqlite_conn *conn, const struct sql *sql, struct sqlite_prepared **ret, struct error *err)
{
    size_t slot = ((uintptr_t)sql >> 4) % SQLITE_STATEMENTS;
    for (size_t probes = 0; probes < SQLITE_STATEMENTS; probes++, slot = (slot + 1) % SQLITE_STATEMENTS) {
        struct sqlite_prepared *prepared = &conn->prepared[slot];
        if (prepared->sql == NULL) {
            int code = sqlite3_prepare_v3(conn->db, sql->text, -1, SQLITE_PREPARE_PERSISTENT, &prepared->stmt, NULL);
            if (code != SQLITE_OK)
                return sqlite_failed(conn, code, sql, err);
            for (int i = 0; i < SQLITE_PARAMETERS; i++) {
                char name[8];
                snprintf(name, sizeof name, "$%d", i + 1);
                prepared->index[i] = sqlite3_bind_parameter_index(prepared->stmt, name);
            }
            prepared->sql = sql;
        }
        if (prepared->sql == sql) {
            *ret = prepared;
            return RC_OK;
        }
    }
    return error_set(err, RC_INTERNAL, "%s: too many statements", sql->name);
}

static int bind(const struct sqlite_prepared *prepared, const struct value *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct value *value = &values[i];
        int index = prepared->index[i], code;
        if (index == 0)
            continue;
        if (value->null)
            code = sqlite3_bind_null(prepared->stmt, index);
        else if (value->type == VALUE_TEXT)
            code = sqlite3_bind_text(prepared->stmt, index, value->bytes, (int)value->len, SQLITE_STATIC);
        else if (value->type == VALUE_BLOB)
            code = sqlite3_bind_blob(prepared->stmt, index, value->bytes == NULL ? "" : value->bytes, (int)value->len,
                                     SQLITE_STATIC);
        else
            code = sqlite3_bind_int64(prepared->stmt, index, value->i64);
        if (code != SQLITE_OK)
            return code;
    }
    return SQLITE_OK;
}

static int64_t column_i64(const struct row *row, int column)
{
    return sqlite3_column_int64(row->handle, column);
}

static const char *column_bytes(const struct row *row, int column, size_t *ret_len)
{
    if (sqlite3_column_type(row->handle, column) == SQLITE_NULL)
        return NULL;
    const char *bytes = sqlite3_column_blob(row->handle, column);
    *ret_len = (size_t)sqlite3_column_bytes(row->handle, column);
    return bytes == NULL ? "" : bytes; /* NULL stands for an empty blob, too */
}

static const struct row_access column_access = { column_i64, column_bytes };

/* Also steps past rows that nobody wants: with RETURNING, SQLite has done the work at the first one. */
static enum rc step(struct sqlite_conn *conn, const struct sqlite_prepared *prepared, struct arena *arena, each_row_fn each,
                    void *ctx, struct error *err)
{
    int code;
    while ((code = sqlite3_step(prepared->stmt)) == SQLITE_ROW) {
        struct row row = { .access = &column_access, .handle = prepared->stmt, .arena = arena };
        enum rc rc = each == NULL ? RC_OK : each(&row, ctx, err);
        if (rc != RC_OK)
            return rc;
    }
    return code == SQLITE_DONE ? RC_OK : sqlite_failed(conn, code, prepared->sql, err);
}

enum rc sqlite_run(struct tx *tx, const struct sql *sql, const struct value *values, size_t count, struct arena *arena,
                   each_row_fn each, void *ctx, int64_t *ret_changed, struct error *err)
{
    struct sqlite_tx *self = (struct sqlite_tx *)tx;
    struct sqlite_conn *conn = self->conn;
    struct sqlite_prepared *prepared = NULL;
    if (self->failed != RC_OK)
        return error_set(err, self->failed, "the transaction has failed already");
    enum rc rc = prepare(conn, sql, &prepared, err);
    if (rc != RC_OK)
        return self->failed = rc;
    conn->now_ms = wall_ms();
    int code = bind(prepared, values, count);
    rc = code == SQLITE_OK ? step(conn, prepared, arena, each, ctx, err) : sqlite_failed(conn, code, sql, err);
    if (rc == RC_OK && ret_changed != NULL)
        *ret_changed = sqlite3_changes64(conn->db);
    if (sqlite3_reset(prepared->stmt) != SQLITE_OK) /* repeats the error of the step, which is told already */
        self->failed = rc;
    return rc;
}
