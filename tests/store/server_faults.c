/*
 * What only a server of its own can do: freeze, die, restart, deadlock; and what its settings must not do to us. These
 * tests come last, because they break the server that all share.
 */
#include "config.h"

#include "fixture.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "store/statement.h"

TX(insert, struct order, return order_insert(tx, a, 1000, NULL, 0, err);)
TX(get, struct order, return order_get(tx, a->order_id, arena, a, err);)

static struct order new_order(void)
{
    return (struct order){ .order_id = new_id(), .app = "a", .out_business_id = new_name("n"), .name = "n", .amount_minor = 1,
                           .currency = "CNY", .status = ORDER_UNPAID };
}

/* Two transactions lock two orders crosswise; the server ends one, which is run again. */
struct crossing {
    pthread_barrier_t *both_hold_one;
    int64_t first, second;
    int runs;
    enum rc rc;
    struct arena *arena;
};
TX(lock_both, struct crossing, struct order order; a->runs++; enum rc rc = order_lock(tx, a->first, a->arena, &order, err);
   if (rc != RC_OK) return rc; if (a->runs == 1) pthread_barrier_wait(a->both_hold_one);
   return order_lock(tx, a->second, a->arena, &order, err);)

static void *cross(void *arg)
{
    struct crossing *crossing = arg;
    crossing->rc = store_write(store, LANE_WORK, lock_both, crossing, NULL);
    return NULL;
}

static void deadlock_is_run_again(void **state)
{
    (void)state;
    pthread_barrier_t barrier;
    pthread_barrier_init(&barrier, NULL, 2);
    int64_t a = make_order("a").order_id, b = make_order("a").order_id;
    struct crossing crossings[2] = {
        { .both_hold_one = &barrier, .first = a, .second = b, .arena = arena_new(0) },
        { .both_hold_one = &barrier, .first = b, .second = a, .arena = arena_new(0) },
    };
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, cross, &crossings[0]), 0);
    cross(&crossings[1]);
    pthread_join(thread, NULL);
    assert_int_equal(crossings[0].rc, RC_OK);
    assert_int_equal(crossings[1].rc, RC_OK);
    assert_true(crossings[0].runs + crossings[1].runs >= 3);
    arena_free(crossings[0].arena);
    arena_free(crossings[1].arena);
    pthread_barrier_destroy(&barrier);
}

/* A completion and a follow-up settlement at once, many times: no follow-up is ever left waiting for a row that is gone. */
enum { ROUNDS = 60 };
struct finisher {
    const char *sink;
    int64_t event_id;
};

static void *deliver(void *arg)
{
    struct finisher *finisher = arg;
    complete_one(finisher->event_id, finisher->sink, 77, OUTBOX_DELIVERED, 0);
    return NULL;
}

static void follow_up_is_never_left_behind_by_its_predecessor(void **state)
{
    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        struct order order = make_order("a");
        struct finisher finisher = { .sink = new_name("sink") };
        finisher.event_id = add_event(order.order_id, finisher.sink, NULL);
        struct outbox_row row;
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, deliver, &finisher), 0);
        int64_t second = add_event(order.order_id, finisher.sink, &row);
        pthread_join(thread, NULL);
        struct outbox_claimed *rows;
        if (!row.chained)
            continue;
        assert_int_equal(claim_rows(finisher.sink, 10, 5, &rows), 1);
        assert_int_equal(rows[0].event.event_id, second);
    }
}

static const struct sql show_sync = { .name = "test_sync", .text = "SELECT CASE current_setting('synchronous_commit') "
                                                                   "WHEN 'on' THEN 1 ELSE 0 END" };
TX(sync_commit, int64_t, return tx_i64(tx, &show_sync, NULL, 0, a, err);)

static void settlements_are_durable_whatever_the_server_defaults_to(void **state)
{
    (void)state;
    postgres_sql("ALTER DATABASE paynotify SET synchronous_commit = off");
    struct store *other = open_again(&(struct store_options){ .url = test_url() });
    int64_t on = -1;
    assert_int_equal(store_write(other, LANE_SETTLE, sync_commit, &on, NULL), RC_OK);
    assert_int_equal(on, 1);
    assert_int_equal(store_write(other, LANE_WORK, sync_commit, &on, NULL), RC_OK);
    assert_int_equal(on, 1);
    assert_int_equal(store_write(other, LANE_COMPLETE, sync_commit, &on, NULL), RC_OK);
    assert_int_equal(on, 0);
    store_close(other);
    postgres_sql("ALTER DATABASE paynotify RESET synchronous_commit");
}

/* As behind a connection pooler, or after DISCARD: the statements are gone, the connection stands. */
static const struct sql deallocate = { .name = "test_deallocate", .text = "DEALLOCATE ALL" };
TX(forget_statements, void, (void)a; return tx_exec(tx, &deallocate, NULL, 0, NULL, err);)

static void session_that_lost_its_statements_is_replaced(void **state)
{
    (void)state;
    struct store *other = open_again(&(struct store_options){ .url = test_url(), .connections = 1 });
    struct order order = new_order(), next = new_order();
    assert_int_equal(store_write(other, LANE_WORK, insert, &order, NULL), RC_OK);
    store_write(other, LANE_WORK, forget_statements, NULL, NULL); /* its COMMIT is among what is gone */
    assert_int_equal(store_write(other, LANE_WORK, insert, &next, NULL), RC_OK);
    store_close(other);
}

static void database_of_another_encoding_is_refused(void **state)
{
    (void)state;
    struct store *other = NULL;
    struct error err = { 0 };
    postgres_sql("DROP DATABASE IF EXISTS latin");
    postgres_sql("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'");
    const char *url = arena_printf(arena, "postgresql://postgres@/latin%s", strchr(test_url(), '?'));
    assert_int_equal(store_open(&(struct store_options){ .url = url }, &other, &err), RC_CONFIG);
    assert_non_null(strstr(err.text, "LATIN1"));
}

/* An update that touches an indexed column cannot be HOT. */
static void no_index_holds_what_a_settlement_changes(void **state)
{
    (void)state;
    assert_string_equal(postgres_sql("SELECT count(*) FROM pg_indexes WHERE tablename IN ('orders', 'pay_records') "
                                     "AND indexdef ~ 'status|trade_no|payer|paid_at|needs_review|refunded_minor|refunding_minor|paid_pay_no|"
                                     "last_event'"), "0");
    assert_string_equal(postgres_sql("SELECT string_agg(array_to_string(reloptions, ','), ';') FROM pg_class "
                                     "WHERE relname IN ('orders', 'pay_records')"), "fillfactor=80;fillfactor=80");
}

static void other_host_of_the_url_serves_when_the_first_does_not(void **state)
{
    (void)state;
    const char *query = strstr(test_url(), "port=");
    assert_non_null(query);
    struct store *other = open_again(&(struct store_options){
        .url = arena_printf(arena, "postgresql://postgres@127.0.0.1:1,127.0.0.1:%s/paynotify", query + strlen("port=")) });
    assert_int_equal(store_ping(other, NULL), RC_OK);
    store_close(other);
}

static void restart_of_the_server_is_not_even_noticed(void **state)
{
    (void)state;
    make_order("a");
    postgres_py("restart");
    struct order order = new_order();
    write_ok(insert, &order);
    read_ok(get, &order);
    assert_int_equal(store_ping(store, NULL), RC_OK);
}

TX(insert_then_kill, struct order, enum rc rc = order_insert(tx, a, 1000, NULL, 0, err); if (rc != RC_OK) return rc;
   postgres_py("kill"); struct order read; return order_get(tx, a->order_id, arena, &read, err);)

static void server_killed_in_a_transaction_leaves_nothing(void **state)
{
    (void)state;
    struct order order = new_order();
    assert_int_equal(write_rc(insert_then_kill, &order), RC_UNAVAILABLE);
    assert_int_equal(write_rc(insert, &order), RC_UNAVAILABLE);
    assert_int_not_equal(store_ping(store, NULL), RC_OK);
    postgres_py("start");
    struct error err = { 0 };
    int64_t until_ms = mono_ms() + 10000;
    enum rc rc;
    do
        rc = store_read(store, get, &order, &err);
    while (rc == RC_UNAVAILABLE && mono_ms() < until_ms);
    assert_int_equal(rc, RC_NOT_FOUND);
    write_ok(insert, &order);
}

/* With a short time-out, so that the test is quick; the store's own deadlines are a multiple of it. */
TX(insert_then_freeze, struct order, enum rc rc = order_insert(tx, a, 1000, NULL, 0, err); if (rc != RC_OK) return rc;
   postgres_py("freeze"); return RC_OK;)

static void frozen_server_fails_calls_and_nobody_hangs(void **state)
{
    (void)state;
    struct store *other = open_again(&(struct store_options){ .url = test_url(), .statement_timeout_ms = 700, .connections = 1 });
    struct order order = new_order();
    assert_int_equal(store_write(other, LANE_WORK, insert, &order, NULL), RC_OK);
    struct order next = new_order();
    /* Frozen between the statement and COMMIT: nobody knows. */
    assert_int_equal(store_write(other, LANE_SETTLE, insert_then_freeze, &next, NULL), RC_UNKNOWN);
    /* Frozen before: certainly not done. */
    struct order third = new_order();
    assert_int_equal(store_write(other, LANE_WORK, insert, &third, NULL), RC_TIMEOUT);
    enum rc rc = store_read(other, get, &order, NULL);
    assert_true(rc == RC_UNAVAILABLE || rc == RC_TIMEOUT);
    assert_int_not_equal(store_ping(other, NULL), RC_OK);
    postgres_py("thaw");
    int64_t until_ms = mono_ms() + 20000;
    do
        rc = store_read(other, get, &order, NULL);
    while (rc != RC_OK && mono_ms() < until_ms);
    assert_int_equal(rc, RC_OK);
    assert_int_equal(store_read(other, get, &third, NULL), RC_NOT_FOUND);
    assert_int_equal(store_write(other, LANE_SETTLE, insert, &third, NULL), RC_OK);
    store_close(other);
}

const struct CMUnitTest pg_tests[] = {
    cmocka_unit_test(deadlock_is_run_again),
    cmocka_unit_test(follow_up_is_never_left_behind_by_its_predecessor),
    cmocka_unit_test(settlements_are_durable_whatever_the_server_defaults_to),
    cmocka_unit_test(session_that_lost_its_statements_is_replaced),
    cmocka_unit_test(database_of_another_encoding_is_refused),
    cmocka_unit_test(no_index_holds_what_a_settlement_changes),
    cmocka_unit_test(other_host_of_the_url_serves_when_the_first_does_not),
    cmocka_unit_test(restart_of_the_server_is_not_even_noticed),
    cmocka_unit_test(server_killed_in_a_transaction_leaves_nothing),
    cmocka_unit_test(frozen_server_fails_calls_and_nobody_hangs),
};
const size_t pg_test_count = sizeof pg_tests / sizeof pg_tests[0];
