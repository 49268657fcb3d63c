/*
 * The PostgreSQL store's insides, shared by its files. Every wait has a deadline: nothing here calls a libpq function
 * that blocks, so a frozen server fails calls instead of freezing them.
 */
#ifndef PN_STORE_PG_PG_H
#define PN_STORE_PG_PG_H

#include <libpq-fe.h>
#include <pthread.h>

#include "base/buf.h"
#include "store/driver.h"

enum { PG_STATEMENTS = 128, PG_STEPS = 32, PG_PARAMETERS = 20, PG_ARRAYS = 64, PG_LANES = 4, PG_RETRY_MS = 200 };

/* A connection of a lane; belongs to who took it from its pool. */
struct pg_conn {
    PGconn *pg;   /* NULL: not connected */
    bool durable; /* commits wait for the disk */
    int64_t timeout_ms;  /* of the lane: how long a call may take */
    bool served;  /* has answered since it was made: a loss may only mean that the server was restarted meanwhile */
    int64_t retry_at_ms; /* monotonic: not tried again before */
    struct error why;    /* the last failure to connect */
    const struct sql *prepared[PG_STATEMENTS]; /* open addressing by address */
    struct buf arrays[PG_ARRAYS];              /* memory of array parameters, kept */
};

/* One host of the URL, as libpq wants it. */
struct pg_target {
    const char *keywords[64], *values[64];
};

struct pg_pool {
    pthread_mutex_t mutex; /* guards free and free_count */
    pthread_cond_t given;
    struct pg_conn *conns, **free;
    size_t count, free_count;
    int64_t timeout_ms; /* of a call */
};

struct pg_store {
    struct store base;
    struct arena *arena; /* of the targets */
    struct pg_target *targets;
    size_t target_count;
    _Atomic size_t target; /* the host that answered last */
    struct pg_pool lanes[PG_LANES];
};

struct pg_tx {
    struct tx base;
    struct pg_store *store;
    struct pg_conn *conn;
    int64_t deadline_ms;
    bool read_only, begun;
    bool lost;          /* by its first exchange: nothing was done */
    enum rc failed;     /* of the statement that broke the transaction */
    size_t arrays_used; /* of conn->arrays, by the operation that runs */
};
extern const struct store_driver pg_driver;

/* connect.c */
enum rc pg_targets(struct pg_store *store, const char *url, struct error *err);
enum rc pg_connect(struct pg_store *store, struct pg_conn *conn, int64_t deadline_ms, struct error *err);
void pg_drop(struct pg_conn *conn); /* closes the connection and forgets its statements */

/* wait.c: waiting with a deadline. The next result, NULL where a statement's results end, RC_TIMEOUT or RC_UNAVAILABLE. */
enum rc pg_wait_socket(PGconn *pg, bool readable, bool writable, int64_t deadline_ms, struct error *err);
enum rc pg_next_result(PGconn *pg, int64_t deadline_ms, PGresult **ret_result, struct error *err);
/* Runs text (which may be several commands) outside pipeline mode; the last result is given when wanted. */
enum rc pg_simple(PGconn *pg, const char *text, const char *const *values, int count, int64_t deadline_ms,
                  PGresult **ret_result, struct error *err);
enum rc pg_failed(PGconn *pg, const PGresult *result, const struct sql *sql, struct error *err); /* as our code */
bool pg_session_spoiled(const PGresult *result); /* the server became a standby, or lost or outdated what we prepared */

/* pool.c */
enum rc pg_pool_init(struct pg_pool *pool, size_t count, bool durable, int64_t timeout_ms);
void pg_pool_free(struct pg_pool *pool); /* waits until all are given back */
enum rc pg_take(struct pg_store *store, enum lane lane, int64_t deadline_ms, struct pg_conn **ret_conn, struct error *err);
void pg_give(struct pg_store *store, enum lane lane, struct pg_conn *conn);

/* pipeline.c: several prepared statements in one round trip. */
struct pg_step {
    const struct sql *sql;
    bool prepares;
    PGresult **ret_result;
};
struct pg_pipe {
    struct pg_tx *tx;
    struct pg_step steps[PG_STEPS];
    size_t count;
    enum rc failed;
    bool spoiled; /* the session is of no more use, though the connection stands */
};
void pg_pipe_start(struct pg_pipe *pipe, struct pg_tx *tx); /* begins the transaction with it when it has not begun */
/* ret_result may be NULL; it is NULL until pg_pipe_run has succeeded, then the caller's to PQclear. */
void pg_pipe_add(struct pg_pipe *pipe, const struct sql *sql, const struct value *values, size_t count, PGresult **ret_result);
enum rc pg_pipe_run(struct pg_pipe *pipe, struct error *err);

/* array.c: array parameters in their binary form; memory is the connection's. */
struct pg_array {
    struct pg_tx *tx;
    struct buf *buf;
    enum value_type type;
    uint32_t count;
    bool nulls;
};
struct pg_array pg_array_start(struct pg_tx *tx, enum value_type type);
void pg_array_i64(struct pg_array *array, int64_t value);
void pg_array_id(struct pg_array *array, int64_t id); /* 0 is NULL */
void pg_array_bool(struct pg_array *array, bool value);
void pg_array_null(struct pg_array *array);
void pg_array_text(struct pg_array *array, const char *text); /* NULL is NULL */
struct value pg_array_end(struct pg_array *array);

/* tx.c */
enum rc pg_write(struct store *store, enum lane lane, tx_fn fn, void *arg, struct error *err);
enum rc pg_read(struct store *store, tx_fn fn, void *arg, struct error *err);
enum rc pg_ping(struct store *store, struct error *err);
enum rc pg_run(struct tx *tx, const struct sql *sql, const struct value *values, size_t count, struct arena *arena,
               each_row_fn each, void *ctx, int64_t *ret_changed, struct error *err);

/* rows.c */
int64_t pg_changed(const PGresult *result); /* rows that the statement touched */
enum rc pg_each(PGresult *result, struct arena *arena, each_row_fn each, void *ctx, struct error *err);
/* All rows into an array of items. */
enum rc pg_collect(PGresult *result, struct arena *arena, row_fn fn, size_t item_size, void **ret_items, size_t *ret_count,
                   struct error *err);

/* migrate.c */
enum rc pg_migrate(struct pg_store *store, struct error *err);

/* settle.c, outbox.c */
enum rc pg_settle_load(struct tx *tx, const int64_t *pay_nos, size_t count, struct arena *arena, struct order **ret_orders,
                       size_t *ret_order_count, struct pay_record **ret_records, size_t *ret_record_count, struct error *err);
enum rc pg_settle_store(struct tx *tx, struct settle_writes *writes, struct error *err);
void pg_outbox_insert(struct pg_pipe *pipe, const struct settle_writes *writes, PGresult **ret_result); /* insert.c */
enum rc pg_outbox_inserted(const PGresult *result, struct settle_writes *writes, struct error *err);
enum rc pg_outbox_claim(struct tx *tx, const char *sink, size_t limit, int64_t claim, int64_t lease_ms, struct arena *arena,
                        struct outbox_claimed **ret, size_t *ret_count, struct error *err);
enum rc pg_outbox_complete(struct tx *tx, const struct outbox_result *results, size_t count, size_t *ret_freed,
                           struct error *err);

#endif
