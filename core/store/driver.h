/*
 * What a store implements: life, transactions, one prepared statement, and the few hot operations that SQLite does best
 * as a loop and PostgreSQL as arrays. Included by store.c, statement.c and the two drivers only.
 */
#ifndef PN_STORE_DRIVER_H
#define PN_STORE_DRIVER_H

#include "store/statement.h"

typedef enum rc (*each_row_fn)(struct row *row, void *ctx, struct error *err); /* not RC_OK stops and is returned */

struct store_driver {
    const char *kind;
    void (*close)(struct store *store);
    enum rc (*ping)(struct store *store, struct error *err);
    enum rc (*write)(struct store *store, enum lane lane, tx_fn fn, void *arg, struct error *err);
    enum rc (*read)(struct store *store, tx_fn fn, void *arg, struct error *err);

    enum rc (*run)(struct tx *tx, const struct sql *sql, const struct value *values, size_t count, struct arena *arena,
                   each_row_fn each, void *ctx, int64_t *ret_changed, struct error *err);

    enum rc (*settle_load)(struct tx *tx, const int64_t *pay_nos, size_t count, struct arena *arena, struct order **ret_orders,
                           size_t *ret_order_count, struct pay_record **ret_records, size_t *ret_record_count,
                           struct error *err);
    enum rc (*settle_store)(struct tx *tx, struct settle_writes *writes, struct error *err);
    enum rc (*outbox_claim)(struct tx *tx, const char *sink, size_t limit, int64_t claim, int64_t lease_ms, struct arena *arena,
                            struct outbox_claimed **ret, size_t *ret_count, struct error *err);
    enum rc (*outbox_complete)(struct tx *tx, const struct outbox_result *results, size_t count, size_t *ret_freed,
                               struct error *err);
};

/* First member of each driver's own. */
struct store {
    const struct store_driver *driver;
};
struct tx {
    const struct store_driver *driver;
};

enum rc sqlite_open(const char *path, const struct store_options *options, struct store **ret_store, struct error *err);
enum rc pg_open(const struct store_options *options, struct store **ret_store, struct error *err);

/* Made from schema/<store>/NNNN_*.sql at build time; versions count from 1 without gaps. */
struct migration {
    int version;
    const char *name, *sql;
};
extern const struct migration sqlite_migrations[], pg_migrations[];
extern const size_t sqlite_migration_count, pg_migration_count;

/* sql/refund_states.c: the part of settle_store that both stores do alike: refunds and totals. */
enum rc settle_store_refunds(struct tx *tx, struct settle_writes *writes, struct error *err);

enum { TX_RETRIES = 5 };
int64_t retry_pause_ms(int attempt); /* grows, with chance in it, so that two losers do not meet again */

#endif
