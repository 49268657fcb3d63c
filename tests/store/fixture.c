/*
 * See fixture.h.
 */
#include "config.h"

#include "fixture.h"

#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/ids.h"

extern char **environ;

struct store *store;
struct arena *arena;

const char *test_url(void)
{
    return getenv("PN_TEST_STORE_URL");
}

const char *test_pg_dir(void)
{
    return getenv("PN_TEST_PG_DIR");
}

bool on_postgres(void)
{
    return strcmp(store_kind(store), "postgresql") == 0;
}

int64_t new_id(void)
{
    int64_t id;
    assert_int_equal(ids_next(&id), RC_OK);
    return id;
}

const char *new_name(const char *prefix)
{
    return arena_printf(arena, "%s-%lld", prefix, (long long)new_id());
}

struct store *open_again(const struct store_options *options)
{
    struct store *other;
    struct error err = { 0 };
    if (store_open(options, &other, &err) != RC_OK)
        fail_msg("%s", err.text);
    return other;
}

/* Runs tests/integration/postgres.py and gives what it printed. */
static char *run_helper(const char *verb, const char *argument)
{
    static char output[4096];
    const char *srcdir = getenv("PN_SRCDIR");
    char script[4096];
    snprintf(script, sizeof script, "%s/tests/integration/postgres.py", srcdir == NULL ? "." : srcdir);
    char *argv[] = { "python3", script, (char *)verb, (char *)test_pg_dir(), (char *)argument, NULL };
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    posix_spawn_file_actions_addclose(&actions, ends[1]);
    pid_t pid;
    assert_int_equal(posix_spawnp(&pid, "python3", &actions, NULL, argv, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    size_t len = 0;
    ssize_t n;
    while (len < sizeof output - 1 && (n = read(ends[0], output + len, sizeof output - 1 - len)) > 0)
        len += (size_t)n;
    close(ends[0]);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    while (len > 0 && output[len - 1] == '\n')
        len--;
    output[len] = '\0';
    return output;
}

void postgres_py(const char *verb)
{
    run_helper(verb, NULL);
}

const char *postgres_sql(const char *sql)
{
    return run_helper("psql", sql);
}

const char *side_url(void)
{
    if (!on_postgres())
        return arena_printf(arena, "%s.side", test_url());
    postgres_sql("DROP DATABASE IF EXISTS side");
    postgres_sql("CREATE DATABASE side");
    return arena_printf(arena, "postgresql://postgres@/side%s", strchr(test_url(), '?'));
}

void drop_side(void)
{
    if (on_postgres())
        return;
    static const char *const endings[] = { "", "-wal", "-shm", ".lock" };
    for (size_t i = 0; i < 4; i++)
        unlink(arena_printf(arena, "%s.side%s", test_url() + strlen("sqlite:"), endings[i]));
}

enum rc write_rc(tx_fn fn, void *arg)
{
    return store_write(store, LANE_WORK, fn, arg, NULL);
}

enum rc read_rc(tx_fn fn, void *arg)
{
    return store_read(store, fn, arg, NULL);
}

void write_ok(tx_fn fn, void *arg)
{
    struct error err = { 0 };
    if (store_write(store, LANE_WORK, fn, arg, &err) != RC_OK)
        fail_msg("%s", err.text);
}

void read_ok(tx_fn fn, void *arg)
{
    struct error err = { 0 };
    if (store_read(store, fn, arg, &err) != RC_OK)
        fail_msg("%s", err.text);
}

TX(now_tx, int64_t, return tx_now(tx, a, err);)

int64_t db_now(void)
{
    int64_t ms;
    read_ok(now_tx, &ms);
    return ms;
}

TX(insert_order, struct order, return order_insert(tx, a, 60000, NULL, 0, err);)

struct order make_order(const char *app)
{
    struct order order = {
        .order_id = new_id(), .app = app, .out_business_id = new_name("number"), .user_id = "u1", .name = "A course",
        .amount_minor = 8880, .currency = "CNY", .status = ORDER_UNPAID,
    };
    write_ok(insert_order, &order);
    return order;
}

TX(insert_record, struct pay_record, return record_insert(tx, a, err);)

struct pay_record make_record(const struct order *order)
{
    struct pay_record record = {
        .pay_no = new_id(), .order_id = order->order_id, .app = order->app, .channel = "one", .product = "page",
        .amount_minor = order->amount_minor, .currency = order->currency, .status = PAYMENT_UNPAID,
        .expires_at = order->expires_at,
    };
    write_ok(insert_record, &record);
    return record;
}

TX(load_order, struct order, return order_get(tx, a->order_id, arena, a, err);)

struct order get_order(int64_t order_id)
{
    struct order order = { .order_id = order_id };
    read_ok(load_order, &order);
    return order;
}

TX(load_record, struct pay_record, return record_get(tx, a->pay_no, arena, a, err);)

struct pay_record get_record(int64_t pay_no)
{
    struct pay_record record = { .pay_no = pay_no };
    read_ok(load_record, &record);
    return record;
}

TX(store_writes, struct settle_writes, return settle_store(tx, a, err);)

int64_t pay(const struct pay_record *record, const char *sink, bool leased, int64_t claim, struct outbox_row *ret_row)
{
    const char *trade_no = new_name("trade");
    struct order order = get_order(record->order_id);
    struct event event = {
        .event_id = new_id(), .type = "payment.succeeded", .app = record->app, .order_id = record->order_id,
        .pay_no = record->pay_no, .trade_no = trade_no, .created_at = 1700000000123, .data = "{\"a\":1}",
        .predecessor = order.last_event,
    };
    struct record_change record_change = {
        .pay_no = record->pay_no, .from = PAYMENT_UNPAID, .to = PAYMENT_PAID, .trade_no = trade_no, .payer = "payer",
        .paid_at = 1700000000000,
    };
    struct order_change order_change = {
        .order_id = record->order_id, .from = ORDER_UNPAID, .to = ORDER_PAID, .paid_pay_no = record->pay_no,
        .paid_at = 1700000000000, .last_event = event.event_id,
    };
    struct outbox_row row = {
        .event_id = event.event_id, .order_id = record->order_id, .sink = sink, .predecessor = event.predecessor,
        .leased = leased, .claim = claim, .lease_ms = 60000,
    };
    struct settle_writes writes = {
        .records = &record_change, .record_count = 1, .orders = &order_change, .order_count = 1, .events = &event,
        .event_count = 1, .outbox = &row, .outbox_count = sink == NULL ? 0 : 1,
    };
    write_ok(store_writes, &writes);
    if (ret_row != NULL)
        *ret_row = row;
    return event.event_id;
}

int64_t add_event(int64_t order_id, const char *sink, struct outbox_row *ret_row)
{
    struct order order = get_order(order_id);
    struct event event = {
        .event_id = new_id(), .type = "payment.duplicate", .app = order.app, .order_id = order_id, .created_at = 1700000000456,
        .data = "{}", .predecessor = order.last_event,
    };
    struct order_change change = {
        .order_id = order_id, .from = order.status, .to = order.status, .last_event = event.event_id,
    };
    struct outbox_row row = {
        .event_id = event.event_id, .order_id = order_id, .sink = sink, .predecessor = event.predecessor, .leased = true,
        .claim = 77, .lease_ms = 60000,
    };
    struct settle_writes writes = {
        .orders = &change, .order_count = 1, .events = &event, .event_count = 1, .outbox = &row, .outbox_count = 1,
    };
    write_ok(store_writes, &writes);
    if (ret_row != NULL)
        *ret_row = row;
    return event.event_id;
}

struct claim_call {
    const char *sink;
    size_t limit, count;
    int64_t claim;
    struct outbox_claimed *rows;
    bool more;
};
TX(claim_some, struct claim_call,
   return outbox_claim(tx, a->sink, a->limit, a->claim, 60000, arena, &a->rows, &a->count, &a->more, err);)

size_t claim_rows(const char *sink, size_t limit, int64_t claim, struct outbox_claimed **ret)
{
    struct claim_call call = { .sink = sink, .limit = limit, .claim = claim };
    struct error err = { 0 };
    if (store_write(store, LANE_POLL, claim_some, &call, &err) != RC_OK)
        fail_msg("%s", err.text);
    if (ret != NULL)
        *ret = call.rows;
    return call.count;
}

struct complete_call {
    struct outbox_result result;
    size_t freed;
};
TX(complete, struct complete_call, return outbox_complete(tx, &a->result, 1, &a->freed, err);)

size_t complete_one(int64_t event_id, const char *sink, int64_t claim, enum outbox_end end, int64_t retry_in_ms)
{
    struct complete_call call = {
        .result = { .event_id = event_id, .sink = sink, .claim = claim, .end = end, .retry_in_ms = retry_in_ms, .attempts = 1 },
    };
    struct error err = { 0 };
    if (store_write(store, LANE_COMPLETE, complete, &call, &err) != RC_OK)
        fail_msg("%s", err.text);
    return call.freed;
}

struct depths {
    struct outbox_depth *rows;
    size_t count;
};
TX(look, struct depths, return outbox_depths(tx, arena, &a->rows, &a->count, err);)

int64_t depth(const char *sink, bool due)
{
    struct depths all = { 0 };
    read_ok(look, &all);
    for (size_t i = 0; i < all.count; i++)
        if (strcmp(all.rows[i].sink, sink) == 0)
            return due ? all.rows[i].due : all.rows[i].pending;
    return 0;
}
