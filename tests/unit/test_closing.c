/*
 * The end of an order, on a real SQLite store: what a transaction that runs twice may leave behind, and what brings an
 * order back whose end was not written.
 */
#include "config.h"

#include "unit/unit.h"

#include "base/clock.h"
#include "base/ids.h"
#include "pay/internal.h"
#include "store/driver.h"
#include "unit/scratch.h"

static struct store *store;
static struct store_driver driver; /* the real one, but for `write` */
static const struct store_driver *real;
static struct arena *arena;
static struct pay *pay;
static struct config config;
static size_t planned, committed, aborted;

/* ---- the outbox */

static void plan(void *ctx, const struct event *event, struct arena *to, struct outbox_row **ret_rows, size_t *ret_count)
{
    (void)ctx;
    *ret_rows = arena_alloc(to, sizeof **ret_rows);
    **ret_rows = (struct outbox_row){ .event_id = event->event_id, .order_id = event->order_id, .sink = "s" };
    *ret_count = 1;
    planned++;
}

static void on_committed(void *ctx, const struct event *events, size_t event_count, const struct outbox_row *rows, size_t row_count)
{
    (void)ctx, (void)events, (void)event_count, (void)rows;
    committed += row_count;
}

static void on_aborted(void *ctx, const struct outbox_row *rows, size_t row_count)
{
    (void)ctx, (void)rows;
    aborted += row_count;
}

/* ---- a store that loses a race once */

static struct race {
    tx_fn fn, winner; /* winner: what the other one does in between */
    void *arg, *winner_arg;
    int runs;
} race;

static enum rc lose_once(struct tx *tx, void *arg, struct error *err)
{
    (void)arg;
    enum rc rc = RC_OK;
    if (race.runs++ > 0 && race.winner)
        rc = race.winner(tx, race.winner_arg, err);
    if (rc == RC_OK)
        rc = race.fn(tx, race.arg, err);
    return race.runs == 1 ? error_set(err, RC_RETRY, "lost a race") : rc;
}

static enum rc racing_write(struct store *base, enum lane lane, tx_fn fn, void *arg, struct error *err)
{
    race.fn = fn;
    race.arg = arg;
    race.runs = 0;
    return real->write(base, lane, lose_once, NULL, err);
}

static void write_ok(tx_fn fn, void *arg)
{
    struct error err = { 0 };
    if (real->write(store, LANE_WORK, fn, arg, &err) != RC_OK)
        fail_msg("%s", err.text);
}

/* ---- rows */

static int64_t id(void)
{
    int64_t made;
    assert_int_equal(ids_next(&made), RC_OK);
    return made;
}

static enum rc make_closing(struct tx *tx, void *arg, struct error *err)
{
    struct order *order = arg;
    *order = (struct order){ .order_id = id(), .app = "a", .out_business_id = arena_printf(arena, "n%lld", (long long)id()),
                             .name = "n", .amount_minor = 100, .currency = "CNY", .status = ORDER_UNPAID };
    enum rc rc = order_insert(tx, order, 60000, NULL, 0, err);
    return rc ? rc : order_set_closing(tx, order->order_id, err);
}

static enum rc read_order(struct tx *tx, void *arg, struct error *err)
{
    struct order *order = arg;
    return order_get(tx, order->order_id, arena, order, err);
}

static enum rc pay_it(struct tx *tx, void *arg, struct error *err)
{
    const struct order *order = arg;
    struct order_change change = { .order_id = order->order_id, .from = ORDER_CLOSING, .to = ORDER_PAID, .paid_at = 1 };
    struct settle_writes writes = { .orders = &change, .order_count = 1 };
    return settle_store(tx, &writes, err);
}

/* ---- life */

static int open_store(void **state)
{
    (void)state;
    struct error err = { 0 };
    arena = arena_new(0);
    scratch_make();
    const char *url = arena_printf(arena, "sqlite:%s", scratch_path("db"));
    if (store_open(&(struct store_options){ .url = url, .statement_timeout_ms = 5000 }, &store, &err) != RC_OK)
        fail_msg("%s", err.text);
    real = store->driver;
    driver = *real;
    driver.write = racing_write;
    store->driver = &driver;
    ids_lease(1, 0, mono_ms() + 600000);
    config.server.link_key_file = arena_strdup(arena, scratch_path("link.key"));
    config.server.settle_queue = config.server.settle_batch = 8;
    const struct pay_options options = { .config = &config, .store = store, .events = { NULL, plan, on_committed, on_aborted } };
    if (pay_new(&options, &pay, &err) != RC_OK)
        fail_msg("%s", err.text);
    return 0;
}

static int close_store(void **state)
{
    (void)state;
    pay_free(pay);
    store->driver = real;
    store_close(store);
    arena_free(arena);
    scratch_remove();
    return 0;
}

/* ---- tests */

static void a_closing_that_runs_again_is_announced_once(void **state)
{
    (void)state;
    struct order order, closed;
    planned = committed = aborted = 0;
    race = (struct race){ 0 };
    write_ok(make_closing, &order);
    assert_int_equal(order_close_finish(pay, order.order_id, arena, &closed, NULL), RC_OK);
    assert_int_equal(closed.status, ORDER_CLOSED);
    assert_int_equal(planned, 2);
    assert_int_equal(aborted, 1);
    assert_int_equal(committed, 1);
}

/* The payment came between the two runs: the first run's event was rolled back and must not leave the house. */
static void a_closing_that_a_payment_overtook_announces_nothing(void **state)
{
    (void)state;
    struct order order, after;
    planned = committed = aborted = 0;
    write_ok(make_closing, &order);
    race = (struct race){ .winner = pay_it, .winner_arg = &order };
    assert_int_equal(order_close_finish(pay, order.order_id, arena, &after, NULL), RC_OK);
    assert_int_equal(after.status, ORDER_PAID);
    assert_int_equal(planned, 1);
    assert_int_equal(committed, 0);
    assert_int_equal(aborted, 1);
    write_ok(read_order, &order);
    assert_int_equal(order.last_event, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_closing_that_runs_again_is_announced_once),
        cmocka_unit_test(a_closing_that_a_payment_overtook_announces_nothing),
    };
    return cmocka_run_group_tests_name("closing", tests, open_store, close_store);
}
