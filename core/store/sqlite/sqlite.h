/*
 * The SQLite store's insides, shared by its files. One writer thread owns the only writing connection; readers come from
 * a small pool; checkpoints run on a thread and connection of their own.
 */
#ifndef PN_STORE_SQLITE_SQLITE_H
#define PN_STORE_SQLITE_SQLITE_H

#include <pthread.h>
#include <sqlite3.h>

#include "store/driver.h"

enum { SQLITE_READERS = 4, SQLITE_STATEMENTS = 128, SQLITE_PARAMETERS = 20 };

/* A statement prepared on one connection. SQLite numbers named parameters by first appearance: index[i] is that of $i+1. */
struct sqlite_prepared {
    const struct sql *sql;
    sqlite3_stmt *stmt;
    int index[SQLITE_PARAMETERS];
};

/* Belongs to one thread at a time. */
struct sqlite_conn {
    sqlite3 *db;
    int64_t now_ms; /* pn_now_ms() of the statement that runs */
    struct sqlite_prepared prepared[SQLITE_STATEMENTS]; /* open addressing by the address of sql */
};

enum rc sqlite_conn_open(struct sqlite_conn *conn, const char *path, bool writes, struct error *err);
void sqlite_conn_close(struct sqlite_conn *conn);
enum rc sqlite_simple(struct sqlite_conn *conn, const char *text, struct error *err); /* BEGIN, COMMIT, PRAGMA … */
/* What went wrong on this connection, as our code. */
enum rc sqlite_failed(struct sqlite_conn *conn, int code, const struct sql *sql, struct error *err);
enum rc sqlite_migrate(struct sqlite_conn *conn, struct error *err);

/* A second process on the same file would break the one-writer rule: *ret_fd holds the lock until it is closed. */
enum rc sqlite_lock(const char *path, int *ret_fd, struct error *err);

struct sqlite_tx {
    struct tx base;
    struct sqlite_conn *conn;
    enum rc failed; /* of a statement: the transaction is not committed any more, as on PostgreSQL */
};
extern const struct store_driver sqlite_driver;

struct sqlite_writer;
enum rc sqlite_writer_start(const char *path, struct sqlite_writer **ret_writer, struct error *err);
void sqlite_writer_stop(struct sqlite_writer *writer); /* runs what waits; NULL is fine */
enum rc sqlite_writer_run(struct sqlite_writer *writer, enum lane lane, int64_t timeout_ms, tx_fn fn, void *arg, struct error *err);
int64_t sqlite_writer_busy_ms(struct sqlite_writer *writer); /* how long the batch in hand has taken; 0: idle */

struct sqlite_checkpointer;
enum rc sqlite_checkpointer_start(const char *path, struct sqlite_checkpointer **ret_checkpointer, struct error *err);
void sqlite_checkpointer_stop(struct sqlite_checkpointer *checkpointer);
void sqlite_checkpointer_note(struct sqlite_checkpointer *checkpointer, int wal_pages); /* the writer, after each commit */

/* The vtable's operations, one file each. */
enum rc sqlite_run(struct tx *tx, const struct sql *sql, const struct value *values, size_t count, struct arena *arena,
                   each_row_fn each, void *ctx, int64_t *ret_changed, struct error *err);
enum rc sqlite_settle_load(struct tx *tx, const int64_t *pay_nos, size_t count, struct arena *arena, struct order **ret_orders,
                           size_t *ret_order_count, struct pay_record **ret_records, size_t *ret_record_count,
                           struct error *err);
enum rc sqlite_settle_store(struct tx *tx, struct settle_writes *writes, struct error *err);
enum rc sqlite_outbox_claim(struct tx *tx, const char *sink, size_t limit, int64_t claim, int64_t lease_ms, struct arena *arena,
                            struct outbox_claimed **ret, size_t *ret_count, struct error *err);
enum rc sqlite_outbox_complete(struct tx *tx, const struct outbox_result *results, size_t count, size_t *ret_freed,
                               struct error *err);

#endif
