/*
 * Orders and payments between store and provider, on a real SQLite store and a provider that answers at once: what a
 * transaction that runs twice may leave behind, and what brings back what was not ended.
 */
#include "config.h"

#include <poll.h>

#include "unit/pay_rig.h"

#include "store/driver.h"
#include "store/statement.h"

static struct store_driver driver; /* the real one, but for `write` */
static const struct store_driver *real;

/* ---- a store that loses a race once */

static struct race {
    tx_fn winner; /* what the other one does in between */
    tx_fn earlier; /* written before the next write */
    void *winner_arg;
    int claim_late_ms;   /* others get their chance before the schedule is looked at */
    bool lose, no_event; /* no_event: what writes an event fails */
    size_t spared;       /* but for so many */
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
    size_t before = rig.planned;
    if (racing->runs++ > 0 && race.winner)
        rc = race.winner(tx, race.winner_arg, err);
    if (rc == RC_OK)
        rc = racing->fn(tx, racing->arg, err);
    if (race.no_event && rig.planned > before && race.spared-- == 0)
        return error_set(err, RC_UNAVAILABLE, "the disk is full");
    return race.lose && racing->runs == 1 ? error_set(err, RC_RETRY, "lost a race") : rc;
}

static enum rc racing_write(struct store *base, enum lane lane, tx_fn fn, void *arg, struct error *err)
{
    struct racing racing = { .fn = fn, .arg = arg };
    tx_fn earlier = race.earlier;
    if (lane == LANE_POLL)
        (void)poll(NULL, 0, race.claim_late_ms);
    if (lane == LANE_WORK && earlier) {
        race.earlier = NULL;
        rig_write(earlier, race.winner_arg);
    }
    return real->write(base, lane, lose_once, &racing, err);
}

static enum rc pay_it(struct tx *tx, void *arg, struct error *err)
{
    const struct order *order = arg;
    struct order_change change = { .order_id = order->order_id, .from = ORDER_CLOSING, .to = ORDER_PAID, .paid_at = 1 };
    struct settle_writes writes = { .orders = &change, .order_count = 1 };
    return settle_store(tx, &writes, err);
}

/* ---- life */

static int open_rig(void **state)
{
    rig_open(state);
    rig.app.late_payment = LATE_ACCEPT;
    real = rig.store->driver;
    driver = *real;
    driver.write = racing_write;
    rig.store->driver = &driver;
    return 0;
}

static int close_rig(void **state)
{
    pay_drain(rig.pay);
    rig.store->driver = real;
    return rig_close(state);
}

/* ---- tests */

static void a_closing_that_runs_again_is_announced_once(void **state)
{
    (void)state;
    struct order order, closed;
    rig.planned = rig.committed = rig.aborted = 0;
    race = (struct race){ .lose = true };
    rig_write(rig_make_closing, &order);
    assert_int_equal(order_close_finish(rig.pay, order.order_id, rig.arena, &closed, NULL), RC_OK);
    assert_int_equal(closed.status, ORDER_CLOSED);
    assert_int_equal(rig.planned, 2);
    assert_int_equal(rig.aborted, 1);
    assert_int_equal(rig.committed, 1);
}

/* The payment came between the two runs: the first run's event was rolled back and must not leave the house. */
static void a_closing_that_a_payment_overtook_announces_nothing(void **state)
{
    (void)state;
    struct order order, after;
    rig.planned = rig.committed = rig.aborted = 0;
    rig_write(rig_make_closing, &order);
    race = (struct race){ .lose = true, .winner = pay_it, .winner_arg = &order };
    assert_int_equal(order_close_finish(rig.pay, order.order_id, rig.arena, &after, NULL), RC_OK);
    assert_int_equal(after.status, ORDER_PAID);
    assert_int_equal(rig.planned, 1);
    assert_int_equal(rig.committed, 0);
    assert_int_equal(rig.aborted, 1);
    rig_write(rig_read_order, &order);
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

static const struct caller caller = { .app = &rig.app };

static void close_order(int64_t order_id, struct closing *ret)
{
    *ret = (struct closing){ .lock = PTHREAD_MUTEX_INITIALIZER, .ended = PTHREAD_COND_INITIALIZER };
    pay_order_close(rig.pay, &caller, order_id, rig.arena, on_closed, ret);
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
    rig_write(rig_make_closing, &order);
    rig_write(rig_add_record, &order);
    provider_says(PN_STATE_CLOSED);
    race = (struct race){ .no_event = true };
    close_order(order.order_id, &closing);
    assert_int_equal(closing.rc, RC_UNAVAILABLE);
    rig_write(rig_read_order, &order);
    assert_int_equal(order.status, ORDER_CLOSING);
    assert_int_equal(rig_scheduled(), 1);

    race = (struct race){ 0 };
    close_order(order.order_id, &closing);
    assert_int_equal(closing.rc, RC_OK);
    assert_int_equal(closing.status, ORDER_CLOSED);
    assert_int_equal(rig_scheduled(), 0);
}

/* The same when people are called on the way. */
static void an_order_whose_payment_was_given_up_stays_scheduled_until_its_end(void **state)
{
    (void)state;
    struct order order;
    struct closing closing;
    race = (struct race){ 0 };
    rig_write(rig_make_closing, &order);
    rig_write(rig_add_record, &order);
    int64_t before = rig_scheduled();
    provider_says(PN_STATE_REFUNDED);
    provider.hides_total = true;
    race = (struct race){ .no_event = true, .spared = 1 };
    close_order(order.order_id, &closing);
    assert_int_equal(closing.rc, RC_UNAVAILABLE);
    rig_write(rig_read_order, &order);
    assert_int_equal(order.status, ORDER_CLOSING);
    assert_int_equal(rig_scheduled(), before + 1);

    race = (struct race){ 0 };
    close_order(order.order_id, &closing);
    assert_int_equal(closing.status, ORDER_CLOSED);
    assert_int_equal(rig_scheduled(), before);
}

/* Nothing in the schedule would bring it back if it were left half-way. */
static void an_order_without_open_payments_is_closed_at_once_or_not_at_all(void **state)
{
    (void)state;
    static const tx_fn before[] = { rig_make_unpaid, rig_make_closing };
    for (size_t i = 0; i < 2; i++) {
        struct order order, made;
        struct closing closing;
        race = (struct race){ 0 };
        rig_write(before[i], &order);
        rig_write(rig_read_order, &order);
        made = order;
        race = (struct race){ .no_event = true };
        close_order(order.order_id, &closing);
        assert_int_equal(closing.rc, RC_UNAVAILABLE);
        rig_write(rig_read_order, &order);
        assert_int_equal(order.status, made.status);

        race = (struct race){ .lose = true };
        size_t told = rig.committed;
        close_order(order.order_id, &closing);
        assert_int_equal(closing.rc, RC_OK);
        assert_int_equal(closing.status, ORDER_CLOSED);
        assert_int_equal(rig.committed, told + 1);
        rig_write(rig_read_order, &order);
        assert_int_equal(order.status, ORDER_CLOSED);
    }
}

static void an_answer_about_another_payment_closes_neither(void **state)
{
    (void)state;
    struct order order, other;
    struct closing closing;
    struct order_view view;
    race = (struct race){ 0 };
    rig_write(rig_make_closing, &order);
    rig_write(rig_add_record, &order);
    rig_write(rig_make_closing, &other);
    rig_write(rig_add_record, &other);
    assert_int_equal(pay_order_get(rig.pay, &caller, other.order_id, rig.arena, &view, NULL), RC_OK);
    provider_says(PN_STATE_CLOSED);
    provider.names = arena_printf(rig.arena, "%lld", (long long)view.records[0].pay_no);
    close_order(order.order_id, &closing);
    provider.names = NULL;
    assert_int_equal(closing.rc, RC_OK);
    assert_int_equal(closing.status, ORDER_CLOSING);
    assert_int_equal(pay_order_get(rig.pay, &caller, other.order_id, rig.arena, &view, NULL), RC_OK);
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

/* The first call was not answered, so a code may be out; the second one's refusal (it is there already, it is paid) does
 * not undo that. */
static void a_retry_that_is_declined_leaves_the_attempt_to_a_query(void **state)
{
    (void)state;
    struct order order;
    struct order_view view;
    struct made made;
    race = (struct race){ 0 };
    rig_write(rig_make_unpaid, &order);
    const struct payment_request attempt = { .order_id = order.order_id, .channel = "c", .idempotency_key = "k" };
    int64_t before = rig_scheduled();
    provider_says(PN_STATE_UNKNOWN);
    pay_payment_create(rig.pay, &caller, &attempt, rig.arena, on_made, &made);
    assert_int_equal(made.rc, RC_OK);
    assert_true(made.unknown);
    provider_says(PN_STATE_FAILED);
    pay_payment_create(rig.pay, &caller, &attempt, rig.arena, on_made, &made);
    assert_int_equal(made.rc, RC_DECLINED);
    assert_int_equal(pay_order_get(rig.pay, &caller, order.order_id, rig.arena, &view, NULL), RC_OK);
    assert_int_equal(view.record_count, 1);
    assert_int_equal(view.records[0].status, PAYMENT_UNPAID);
    assert_int_equal(rig_scheduled(), before + 1);
}

struct scheduled_now {
    int64_t pay_no, task, count;
};

static enum rc count_now(struct tx *tx, void *arg, struct error *err)
{
    static const struct sql count = {
        .name = "test_due", .text = "SELECT count(*) FROM query_schedule WHERE subject = $1 AND task = $2 AND due_at <= pn_now_ms()",
    };
    struct scheduled_now *now = arg;
    return tx_i64(tx, &count, VALUES(value_i64(now->pay_no), value_i64(now->task)), &now->count, err);
}

static bool is_to_be_closed_now(const struct pay_record *record)
{
    struct scheduled_now now = { record->pay_no, TASK_CLOSE, 0 };
    rig_write(count_now, &now);
    return now.count > 0;
}

static struct order contested;
static struct made overtaker;

static const char *key_of(const struct order *order)
{
    return arena_printf(rig.arena, "k%lld", (long long)order->order_id);
}

static void pay_contested(struct made *made)
{
    const struct payment_request attempt = { .order_id = contested.order_id, .channel = "c", .idempotency_key = key_of(&contested) };
    pay_payment_create(rig.pay, &caller, &attempt, rig.arena, on_made, made);
}

static void another_call_gets_a_code(void)
{
    provider_says(PN_STATE_UNPAID);
    provider.gives_code = true;
    pay_contested(&overtaker);
    provider_says(PN_STATE_FAILED);
}

/* Two calls with one key: the payer looks at the code of the one, and the provider refuses the other. */
static void a_refusal_does_not_undo_what_another_call_has_got_meanwhile(void **state)
{
    (void)state;
    for (int resumed = 0; resumed < 2; resumed++) {
        struct order_view view;
        struct made made;
        race = (struct race){ 0 };
        rig_write(rig_make_unpaid, &contested);
        if (resumed) {
            provider_says(PN_STATE_UNKNOWN);
            pay_contested(&made);
            assert_true(made.unknown);
        }
        provider_says(PN_STATE_FAILED);
        provider.meanwhile = another_call_gets_a_code;
        pay_contested(&made);
        assert_int_equal(overtaker.rc, RC_OK);
        assert_false(overtaker.unknown);
        assert_int_equal(made.rc, RC_OK);
        assert_false(made.unknown);
        assert_int_equal(pay_order_get(rig.pay, &caller, contested.order_id, rig.arena, &view, NULL), RC_OK);
        assert_int_equal(view.record_count, 1);
        assert_int_equal(view.records[0].status, PAYMENT_UNPAID);
        assert_false(is_to_be_closed_now(&view.records[0]));
    }
}

static struct closing contested_closing;

static void the_order_is_closed(void)
{
    provider_says(PN_STATE_NOT_FOUND);
    close_order(contested.order_id, &contested_closing);
    provider_says(PN_STATE_FAILED);
}

/* The closing has put its record off until after the expiry, for a code might be out. */
static void a_refusal_ends_the_wait_of_an_order_that_is_closing(void **state)
{
    (void)state;
    struct order_view view;
    struct made made;
    race = (struct race){ 0 };
    rig_write(rig_make_unpaid, &contested);
    provider_says(PN_STATE_FAILED);
    provider.meanwhile = the_order_is_closed;
    pay_contested(&made);
    assert_int_equal(contested_closing.rc, RC_OK);
    assert_int_equal(contested_closing.status, ORDER_CLOSING);
    assert_int_equal(made.rc, RC_DECLINED);
    assert_int_equal(pay_order_get(rig.pay, &caller, contested.order_id, rig.arena, &view, NULL), RC_OK);
    assert_int_equal(view.records[0].status, PAYMENT_CLOSED);
    assert_true(is_to_be_closed_now(&view.records[0]));
}

/* ---- late payments */

static enum rc make_closed(struct tx *tx, void *arg, struct error *err)
{
    struct order *order = arg;
    struct pay_record *records;
    size_t count;
    enum rc rc = rig_make_closing(tx, order, err);
    if (rc == RC_OK)
        rc = rig_add_record(tx, order, err);
    if (rc == RC_OK)
        rc = records_of_order(tx, order->order_id, rig.arena, &records, &count, err);
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
    provider_says(PN_STATE_PAID);
    for (int i = 0; i < ORDERS; i++)
        rig_write(make_closed, &orders[i]);
    assert_int_equal(follow_up_start(rig.pay->follow_up, NULL), RC_OK);
    int paid = 0;
    for (int round = 0; round < 20000 && paid < ORDERS; round++) {
        (void)poll(NULL, 0, 1);
        rig_write(rig_read_order, &orders[paid]);
        paid += orders[paid].status == ORDER_PAID;
    }
    assert_int_equal(paid, ORDERS);
    follow_up_stop(rig.pay->follow_up);
}

struct late {
    struct order order;
    struct pay_record record;
};

static enum rc pay_late(struct tx *tx, void *arg, struct error *err)
{
    struct late *late = arg;
    struct pay_record *records;
    size_t count;
    enum rc rc = make_closed(tx, &late->order, err);
    if (rc == RC_OK)
        rc = records_of_order(tx, late->order.order_id, rig.arena, &records, &count, err);
    if (rc)
        return rc;
    late->record = records[0];
    struct record_change change = { .pay_no = late->record.pay_no, .from = PAYMENT_CLOSED, .to = PAYMENT_PAID, .paid_at = 1 };
    return settle_store(tx, &(struct settle_writes){ .records = &change, .record_count = 1 }, err);
}

static enum rc accept_another(struct tx *tx, void *arg, struct error *err)
{
    const struct late *late = arg;
    return order_set_accepted(tx, late->order.order_id, 1, 1, 0, err);
}

static enum rc read_late(struct tx *tx, void *arg, struct error *err)
{
    struct late *late = arg;
    return record_get(tx, late->record.pay_no, rig.arena, &late->record, err);
}

/* Two late payments of one order: what comes to the second is the policy for second payments. */
static void a_late_payment_that_another_one_overtook_is_a_duplicate(void **state)
{
    (void)state;
    for (int refund = 0; refund < 2; refund++) {
        struct late late;
        race = (struct race){ 0 };
        rig_write(pay_late, &late);
        rig.app.duplicate_payment = refund ? DUPLICATE_REFUND : DUPLICATE_HOLD;
        race = (struct race){ .earlier = accept_another, .winner_arg = &late };
        assert_int_equal(rig_turn((struct scheduled){ .subject = late.record.pay_no, .task = TASK_POLICY }).kind, TASK_OVER);
        rig_write(read_late, &late);
        assert_int_equal(late.record.refunding_minor, refund ? 100 : 0);
        assert_int_equal(late.record.needs_review, !refund);
    }
    rig.app.duplicate_payment = DUPLICATE_HOLD;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_closing_that_runs_again_is_announced_once),
        cmocka_unit_test(an_order_whose_end_was_not_written_stays_scheduled),
        cmocka_unit_test(an_order_whose_payment_was_given_up_stays_scheduled_until_its_end),
        cmocka_unit_test(an_order_without_open_payments_is_closed_at_once_or_not_at_all),
        cmocka_unit_test(an_answer_about_another_payment_closes_neither),
        cmocka_unit_test(a_retry_that_is_declined_leaves_the_attempt_to_a_query),
        cmocka_unit_test(a_refusal_does_not_undo_what_another_call_has_got_meanwhile),
        cmocka_unit_test(a_refusal_ends_the_wait_of_an_order_that_is_closing),
        cmocka_unit_test(a_late_payment_that_a_follow_up_finds_is_accepted),
        cmocka_unit_test(a_late_payment_that_another_one_overtook_is_a_duplicate),
        cmocka_unit_test(a_closing_that_a_payment_overtook_announces_nothing),
    };
    return cmocka_run_group_tests_name("closing", tests, open_rig, close_rig);
}
