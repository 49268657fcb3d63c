/*
 * Orders and payments between store and provider, on a real SQLite store and a provider that answers at once: what a
 * transaction that runs twice may leave behind, and what brings back what was not ended.
 */
#include "config.h"

#include <poll.h>

#include "unit/unit.h"

#include "base/clock.h"
#include "base/ids.h"
#include "pay/task.h"
#include "plugin/internal.h"
#include "store/driver.h"
#include "unit/scratch.h"

static struct store *store;
static struct store_driver driver; /* the real one, but for `write` */
static const struct store_driver *real;
static struct arena *arena;
static struct pay *pay;
static struct pool *workers;
static struct config config;
static _Atomic size_t planned, committed, aborted;

/* ---- a provider that answers at once */

static uint32_t provider_says; /* enum pn_state */
static const char *provider_names; /* another payment; NULL: the one it was asked about */

static int open_channel(const void *settings, const struct pn_host *host, struct pn_call *call, void **ret_state)
{
    (void)settings, (void)call;
    *ret_state = (void *)(uintptr_t)host;
    return PN_OK;
}

static int request(const void *state, struct pn_call *call, const struct pn_payment *payment, struct pn_step *ret_step)
{
    const struct pn_host *host = state;
    struct pn_result *done = host->alloc(call, sizeof *done);
    *done = (struct pn_result){ .size = sizeof *done, .state = provider_says, .pay_no = payment->pay_no,
                                .total_minor = payment->amount_minor, .refunded_minor = PN_NOT_STATED };
    if (provider_names)
        done->pay_no = (struct pn_str){ provider_names, strlen(provider_names) };
    ret_step->done = done;
    return PN_OK;
}

static const struct pn_product code = { sizeof code, PN_PREPAY_CODE_URL, "code", "code", "code", NULL, "CNY" };
static const struct pn_product *products[] = { &code, NULL };
static struct plugin provider = { .products = products, .channel = { .open = open_channel, .request = request } };
static struct config_channel channel = { .name = "c", .query_interval_ms = 30000 };
static struct config_app app = { .name = "a", .late_payment = LATE_ACCEPT };

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
    tx_fn winner; /* what the other one does in between */
    void *winner_arg;
    int claim_late_ms;   /* others get their chance before the schedule is looked at */
    bool lose, no_event; /* no_event: what writes an event fails */
} race;

struct racing {
    tx_fn fn;
    void *arg;
    int runs;
};

static enum rc lose_once(struct tx *tx, void *arg, struct error *err)
{
    struct racing *racing = arg;
    enum rc rc = RC_OK;
    size_t before = planned;
    if (racing->runs++ > 0 && race.winner)
        rc = race.winner(tx, race.winner_arg, err);
    if (rc == RC_OK)
        rc = racing->fn(tx, racing->arg, err);
    if (race.no_event && planned > before)
        return error_set(err, RC_UNAVAILABLE, "the disk is full");
    return race.lose && racing->runs == 1 ? error_set(err, RC_RETRY, "lost a race") : rc;
}

static enum rc racing_write(struct store *base, enum lane lane, tx_fn fn, void *arg, struct error *err)
{
    struct racing racing = { .fn = fn, .arg = arg };
    if (lane == LANE_POLL)
        (void)poll(NULL, 0, race.claim_late_ms);
    return real->write(base, lane, lose_once, &racing, err);
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

static enum rc add_record(struct tx *tx, void *arg, struct error *err)
{
    const struct order *order = arg;
    struct pay_record record = { .pay_no = id(), .order_id = order->order_id, .app = "a", .channel = "c", .product = "code",
                                 .amount_minor = 100, .currency = "CNY", .status = PAYMENT_UNPAID,
                                 .expires_at = order->expires_at };
    return record_insert(tx, &record, err);
}

static enum rc count_scheduled(struct tx *tx, void *arg, struct error *err)
{
    static const struct sql count = { .name = "test_scheduled", .text = "SELECT count(*) FROM query_schedule" };
    return tx_i64(tx, &count, NULL, 0, arg, err);
}

static int64_t scheduled(void)
{
    int64_t count;
    write_ok(count_scheduled, &count);
    return count;
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
    config.server.settle_queue = 64;
    config.server.settle_batch = 8;
    if (channel_open(&provider, "c", NULL, &channel.channel, &err) != RC_OK || pool_new(2, 8, "test", &workers, &err) != RC_OK)
        fail_msg("%s", err.text);
    config.apps = &app;
    config.app_count = 1;
    config.channels = &channel;
    config.channel_count = 1;
    const struct pay_options options = { .config = &config, .store = store, .workers = workers, .events = { NULL, plan, on_committed, on_aborted } };
    if (pay_new(&options, &pay, &err) != RC_OK || committer_start(pay->committer, &err) != RC_OK)
        fail_msg("%s", err.text);
    return 0;
}

static int close_store(void **state)
{
    (void)state;
    pay_drain(pay);
    pool_free(workers);
    pay_free(pay);
    channel_close(channel.channel);
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
    race = (struct race){ .lose = true };
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
    race = (struct race){ .lose = true, .winner = pay_it, .winner_arg = &order };
    assert_int_equal(order_close_finish(pay, order.order_id, arena, &after, NULL), RC_OK);
    assert_int_equal(after.status, ORDER_PAID);
    assert_int_equal(planned, 1);
    assert_int_equal(committed, 0);
    assert_int_equal(aborted, 1);
    write_ok(read_order, &order);
    assert_int_equal(order.last_event, 0);
}

struct closing {
    pthread_mutex_t lock;
    pthread_cond_t ended;
    bool done;
    enum rc rc;
    enum order_status status;
};

static void on_closed(void *arg, enum rc rc, const struct order *order, const struct error *err)
{
    struct closing *closing = arg;
    (void)err;
    pthread_mutex_lock(&closing->lock);
    closing->done = true;
    closing->rc = rc;
    closing->status = order ? order->status : 0;
    pthread_cond_signal(&closing->ended);
    pthread_mutex_unlock(&closing->lock);
}

static const struct caller caller = { .app = &app };

static void close_order(int64_t order_id, struct closing *ret)
{
    *ret = (struct closing){ .lock = PTHREAD_MUTEX_INITIALIZER, .ended = PTHREAD_COND_INITIALIZER };
    pay_order_close(pay, &caller, order_id, arena, on_closed, ret);
    pthread_mutex_lock(&ret->lock);
    while (!ret->done)
        pthread_cond_wait(&ret->ended, &ret->lock);
    pthread_mutex_unlock(&ret->lock);
}

/* As when the process dies between the two: the schedule must bring the order back, for nobody else does. */
static void an_order_whose_end_was_not_written_stays_scheduled(void **state)
{
    (void)state;
    struct order order;
    struct closing closing;
    write_ok(make_closing, &order);
    write_ok(add_record, &order);
    provider_says = PN_STATE_CLOSED;
    race = (struct race){ .no_event = true };
    close_order(order.order_id, &closing);
    assert_int_equal(closing.rc, RC_UNAVAILABLE);
    write_ok(read_order, &order);
    assert_int_equal(order.status, ORDER_CLOSING);
    assert_int_equal(scheduled(), 1);

    race = (struct race){ 0 };
    close_order(order.order_id, &closing);
    assert_int_equal(closing.rc, RC_OK);
    assert_int_equal(closing.status, ORDER_CLOSED);
    assert_int_equal(scheduled(), 0);
}

static void an_answer_about_another_payment_closes_neither(void **state)
{
    (void)state;
    struct order order, other;
    struct closing closing;
    struct order_view view;
    race = (struct race){ 0 };
    write_ok(make_closing, &order);
    write_ok(add_record, &order);
    write_ok(make_closing, &other);
    write_ok(add_record, &other);
    assert_int_equal(pay_order_get(pay, &caller, other.order_id, arena, &view, NULL), RC_OK);
    provider_says = PN_STATE_CLOSED;
    provider_names = arena_printf(arena, "%lld", (long long)view.records[0].pay_no);
    close_order(order.order_id, &closing);
    provider_names = NULL;
    assert_int_equal(closing.rc, RC_OK);
    assert_int_equal(closing.status, ORDER_CLOSING);
    assert_int_equal(pay_order_get(pay, &caller, other.order_id, arena, &view, NULL), RC_OK);
    assert_int_equal(view.records[0].status, PAYMENT_UNPAID);
}

/* ---- payments that are made again */

struct made {
    enum rc rc;
    bool unknown;
};

static void on_made(void *arg, enum rc rc, const struct payment_view *view, const struct error *err)
{
    struct made *made = arg;
    (void)err;
    *made = (struct made){ rc, view && view->unknown };
}

static enum rc make_unpaid(struct tx *tx, void *arg, struct error *err)
{
    struct order *order = arg;
    *order = (struct order){ .order_id = id(), .app = "a", .out_business_id = arena_printf(arena, "n%lld", (long long)id()),
                             .name = "n", .amount_minor = 100, .currency = "CNY", .status = ORDER_UNPAID };
    return order_insert(tx, order, 60000, NULL, 0, err);
}

/* The first call was not answered, so a code may be out; the second one's refusal (it is there already, it is paid) does
 * not undo that. */
static void a_retry_that_is_declined_leaves_the_attempt_to_a_query(void **state)
{
    (void)state;
    struct order order;
    struct order_view view;
    struct made made;
    race = (struct race){ 0 };
    write_ok(make_unpaid, &order);
    const struct payment_request attempt = { .order_id = order.order_id, .channel = "c", .idempotency_key = "k" };
    int64_t before = scheduled();
    provider_says = PN_STATE_UNKNOWN;
    pay_payment_create(pay, &caller, &attempt, arena, on_made, &made);
    assert_int_equal(made.rc, RC_OK);
    assert_true(made.unknown);
    provider_says = PN_STATE_FAILED;
    pay_payment_create(pay, &caller, &attempt, arena, on_made, &made);
    assert_int_equal(made.rc, RC_DECLINED);
    assert_int_equal(pay_order_get(pay, &caller, order.order_id, arena, &view, NULL), RC_OK);
    assert_int_equal(view.record_count, 1);
    assert_int_equal(view.records[0].status, PAYMENT_UNPAID);
    assert_int_equal(scheduled(), before + 1);
}

/* ---- late payments */

static enum rc make_closed(struct tx *tx, void *arg, struct error *err)
{
    struct order *order = arg;
    struct pay_record *records;
    size_t count;
    enum rc rc = make_closing(tx, order, err);
    if (rc == RC_OK)
        rc = add_record(tx, order, err);
    if (rc == RC_OK)
        rc = records_of_order(tx, order->order_id, arena, &records, &count, err);
    if (rc == RC_OK)
        rc = record_set_closed(tx, records[0].pay_no, err);
    if (rc == RC_OK)
        rc = order_set_closed(tx, order->order_id, 0, err);
    return rc ? rc : schedule_put(tx, &(struct schedule_entry){ records[0].pay_no, TASK_CHECK, records[0].channel, 0 }, err);
}

/* The settlement schedules the acceptance while the follow-up that asked is still to end. */
static void a_late_payment_that_a_follow_up_finds_is_accepted(void **state)
{
    (void)state;
    enum { ORDERS = 32 };
    struct order orders[ORDERS];
    race = (struct race){ .claim_late_ms = 50 };
    provider_says = PN_STATE_PAID;
    for (int i = 0; i < ORDERS; i++)
        write_ok(make_closed, &orders[i]);
    assert_int_equal(follow_up_start(pay->follow_up, NULL), RC_OK);
    int paid = 0;
    for (int round = 0; round < 20000 && paid < ORDERS; round++) {
        (void)poll(NULL, 0, 1);
        write_ok(read_order, &orders[paid]);
        paid += orders[paid].status == ORDER_PAID;
    }
    assert_int_equal(paid, ORDERS);
    follow_up_stop(pay->follow_up);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_closing_that_runs_again_is_announced_once),
        cmocka_unit_test(an_order_whose_end_was_not_written_stays_scheduled),
        cmocka_unit_test(an_answer_about_another_payment_closes_neither),
        cmocka_unit_test(a_retry_that_is_declined_leaves_the_attempt_to_a_query),
        cmocka_unit_test(a_late_payment_that_a_follow_up_finds_is_accepted),
        cmocka_unit_test(a_closing_that_a_payment_overtook_announces_nothing),
    };
    return cmocka_run_group_tests_name("closing", tests, open_store, close_store);
}
