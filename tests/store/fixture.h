/*
 * What the store's tests share: the store under test, ids, rows made with few words. The suite runs against the store
 * that PN_TEST_STORE_URL names, empty at the start; each test makes rows of its own under fresh ids and names.
 */
#ifndef PN_TESTS_STORE_FIXTURE_H
#define PN_TESTS_STORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "store/store.h"

extern struct store *store; /* open throughout the suite */
extern struct arena *arena; /* emptied before each test */

const char *test_url(void);
const char *test_pg_dir(void); /* of the private server, for postgres.py; NULL on SQLite */
bool on_postgres(void);
int64_t new_id(void);
int64_t db_now(void); /* the database's clock */
const char *new_name(const char *prefix); /* in the arena */
struct store *open_again(const struct store_options *options); /* another store_open on the same books; PostgreSQL only */
const char *side_url(void);  /* of a database of the test's own beside the suite's, empty on PostgreSQL */
void drop_side(void);        /* before and after, for SQLite */
void postgres_py(const char *verb);            /* freeze, thaw, kill, start … of tests/integration/postgres.py */
const char *postgres_sql(const char *sql);     /* through psql */

/* Defines a transaction function whose argument is called `a`. */
#define TX(name, type, ...)                                                                                                       \
    static enum rc name(struct tx *tx, void *arg, struct error *err)                                                              \
    {                                                                                                                             \
        type *a = arg;                                                                                                            \
        __VA_ARGS__                                                                                                               \
    }

enum rc write_rc(tx_fn fn, void *arg); /* LANE_WORK */
enum rc read_rc(tx_fn fn, void *arg);
void write_ok(tx_fn fn, void *arg); /* fails the test with the error's text */
void read_ok(tx_fn fn, void *arg);

struct order make_order(const char *app);               /* inserted, 88.80 CNY, unpaid, expires in 60 s */
struct pay_record make_record(const struct order *order); /* inserted, unpaid */
struct order get_order(int64_t order_id);
struct pay_record get_record(int64_t pay_no);

/* Pays a record of an unpaid order as settlement does: loads, changes, one event, one outbox row for `sink` (NULL: none).
 * Returns the event's id; *ret_row (or NULL) is the outbox row as it came back. */
int64_t pay(const struct pay_record *record, const char *sink, bool leased, int64_t claim, struct outbox_row *ret_row);
/* Adds an event of the order behind its last one, with an outbox row for `sink`. */
int64_t add_event(int64_t order_id, const char *sink, struct outbox_row *ret_row);
size_t claim_rows(const char *sink, size_t limit, int64_t claim, struct outbox_claimed **ret);
size_t complete_one(int64_t event_id, const char *sink, int64_t claim, enum outbox_end end, int64_t retry_in_ms);
int64_t depth(const char *sink, bool due);

extern const struct CMUnitTest order_tests[], record_tests[], settle_tests[], refund_tests[], refund_sum_tests[], outbox_tests[],
    chain_tests[], schedule_tests[], upkeep_tests[], lease_tests[], takeover_tests[], tx_tests[], life_tests[], file_tests[], pg_tests[];
extern const size_t order_test_count, record_test_count, settle_test_count, refund_test_count, refund_sum_test_count,
    outbox_test_count, chain_test_count, schedule_test_count, upkeep_test_count, lease_test_count, takeover_test_count, tx_test_count,
    life_test_count, file_test_count, pg_test_count;

#endif
