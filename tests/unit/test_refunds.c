/*
 * Refunds on a real SQLite store, with a provider that says what the test wrote down, in order: what each answer means,
 * what is asked next, and what is left in the books and in the schedule.
 */
#include "config.h"

#include <string.h>

#include "unit/unit.h"

#include "base/clock.h"
#include "base/ids.h"
#include "pay/internal.h"
#include "pay/refund.h"
#include "plugin/internal.h"
#include "store/driver.h"
#include "store/statement.h"
#include "unit/scratch.h"

enum { PAID = 1000, SLOW_MS = 60000 };

static struct store *store;
static struct arena *arena;
static struct pay *pay;
static struct pool *workers;
static struct config config;

/* ---- a provider that follows a script */

struct line {
    uint32_t operation;
    int rc;         /* PN_NOT_DONE: it did not leave; PN_UNKNOWN: it left, and no answer came */
    uint32_t state; /* with PN_OK */
    int64_t total_back;
    const char *names_refund; /* NULL: the one it was asked about */
};

static struct {
    pthread_mutex_t lock;
    const struct line *lines;
    size_t count, next;
    char numbers[16][ID_TEXT_MAX]; /* of the refunds, as asked for */
    int64_t amounts[16];
    tx_fn meanwhile; /* done to the refund while the provider has the call */
} script = { .lock = PTHREAD_MUTEX_INITIALIZER };

static int open_channel(const void *settings, const struct pn_host *host, struct pn_call *call, void **ret_state)
{
    (void)settings, (void)call;
    *ret_state = (void *)(uintptr_t)host;
    return PN_OK;
}

static struct pn_str str(const char *text)
{
    return (struct pn_str){ text, text ? strlen(text) : 0 };
}

static const struct line *next_line(const struct pn_payment *payment)
{
    pthread_mutex_lock(&script.lock);
    const struct line *line = script.next < script.count ? &script.lines[script.next] : NULL;
    if (line && line->operation == payment->operation && script.next < 16) {
        memcpy(script.numbers[script.next], payment->refund_no.data, payment->refund_no.len + 1);
        script.amounts[script.next] = payment->refund_minor;
    }
    script.next++;
    pthread_mutex_unlock(&script.lock);
    return line && line->operation == payment->operation ? line : NULL;
}

static void do_meanwhile(const struct pn_payment *payment)
{
    int64_t refund_no;
    tx_fn what = script.meanwhile;
    script.meanwhile = NULL;
    assert_true(id_parse(payment->refund_no.data, &refund_no));
    assert_int_equal(store_write(store, LANE_WORK, what, &refund_no, NULL), RC_OK);
}

static int request(const void *state, struct pn_call *call, const struct pn_payment *payment, struct pn_step *ret_step)
{
    const struct pn_host *host = state;
    const struct line *line = next_line(payment);
    if (!line)
        return (host->fail)(call, PN_UNKNOWN, NULL, "the test did not expect this call");
    if (script.meanwhile)
        do_meanwhile(payment);
    if (line->rc != PN_OK)
        return (host->fail)(call, line->rc, NULL, "E.CODE in the provider's words");
    struct pn_result *done = host->alloc(call, sizeof *done);
    *done = (struct pn_result){ .size = sizeof *done, .state = line->state, .pay_no = payment->pay_no,
                                .refund_no = line->names_refund ? str(line->names_refund) : payment->refund_no,
                                .total_minor = PN_NOT_STATED, .refunded_minor = line->total_back ? line->total_back : PN_NOT_STATED };
    ret_step->done = done;
    return PN_OK;
}

#define SAYS(...)                                                                                                                 \
    do {                                                                                                                          \
        static const struct line lines_[] = { __VA_ARGS__ };                                                                      \
        script.lines = lines_;                                                                                                    \
        script.count = sizeof lines_ / sizeof *lines_;                                                                            \
        script.next = 0;                                                                                                          \
    } while (0)
#define SAYS_NOTHING_MORE() assert_int_equal(script.next, script.count)

static const struct pn_product code = { sizeof code, PN_PREPAY_CODE_URL, "code", "code", "code", NULL, "CNY" };
static const struct pn_product *products[] = { &code, NULL };
static struct plugin provider = { .products = products, .channel = { .open = open_channel, .request = request } };
static struct config_channel channel = { .name = "c" };
static struct config_app apps[] = { { .name = "a" }, { .name = "b" }, { .name = "o", .role = ROLE_OPERATOR } };
static const struct caller caller = { .app = &apps[0] }, stranger = { .app = &apps[1] }, operator = { .app = &apps[2] };

/* ---- the outbox */

static void plan(void *ctx, const struct event *event, struct arena *to, struct outbox_row **ret_rows, size_t *ret_count)
{
    (void)ctx, (void)event, (void)to;
    *ret_rows = NULL;
    *ret_count = 0;
}

static void on_committed(void *ctx, const struct event *events, size_t event_count, const struct outbox_row *rows, size_t row_count)
{
    (void)ctx, (void)events, (void)event_count, (void)rows, (void)row_count;
}

static void on_aborted(void *ctx, const struct outbox_row *rows, size_t row_count)
{
    (void)ctx, (void)rows, (void)row_count;
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
    ids_lease(1, 0, mono_ms() + 600000);
    config.server.link_key_file = arena_strdup(arena, scratch_path("link.key"));
    config.server.settle_queue = config.server.settle_batch = 64;
    if (channel_open(&provider, "c", NULL, &channel.channel, &err) != RC_OK || pool_new(4, 64, "test", &workers, &err) != RC_OK)
        fail_msg("%s", err.text);
    config.apps = apps;
    config.app_count = 3;
    config.channels = &channel;
    config.channel_count = 1;
    const struct pay_options options = { .config = &config, .store = store, .workers = workers, .incarnation = 7,
                                         .events = { NULL, plan, on_committed, on_aborted } };
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
    store_close(store);
    arena_free(arena);
    scratch_remove();
    return 0;
}

/* ---- rows */

static void write_ok(tx_fn fn, void *arg)
{
    struct error err = { 0 };
    if (store_write(store, LANE_WORK, fn, arg, &err) != RC_OK)
        fail_msg("%s", err.text);
}

static int64_t id(void)
{
    int64_t made;
    assert_int_equal(ids_next(&made), RC_OK);
    return made;
}

struct payment {
    int64_t order_id, pay_no;
    enum order_status order_status; /* of an order that this payment paid, when it says paid */
    bool other_paid;                /* another payment paid the order */
};

static enum rc insert_payment(struct tx *tx, void *arg, struct error *err)
{
    struct payment *payment = arg;
    struct order order = { .order_id = payment->order_id, .app = "a", .out_business_id = arena_printf(arena, "n%lld", (long long)id()),
                           .name = "n", .amount_minor = PAID, .currency = "CNY", .status = ORDER_UNPAID };
    enum rc rc = order_insert(tx, &order, 60000, NULL, 0, err);
    struct pay_record record = { .pay_no = payment->pay_no, .order_id = order.order_id, .app = "a", .channel = "c", .product = "code",
                                 .amount_minor = PAID, .currency = "CNY", .status = PAYMENT_UNPAID, .expires_at = order.expires_at };
    return rc ? rc : record_insert(tx, &record, err);
}

static enum rc pay_it(struct tx *tx, void *arg, struct error *err)
{
    const struct payment *payment = arg;
    struct record_change record = { .pay_no = payment->pay_no, .from = PAYMENT_UNPAID, .to = PAYMENT_PAID, .paid_at = 1 };
    struct order_change order = { .order_id = payment->order_id, .from = ORDER_UNPAID, .to = payment->order_status, .paid_at = 1,
                                  .paid_pay_no = payment->other_paid ? 1 : payment->pay_no };
    struct settle_writes writes = { .records = &record, .record_count = 1, .orders = &order, .order_count = 1 };
    return settle_store(tx, &writes, err);
}

static struct payment make_unpaid(void)
{
    struct payment payment = { .order_id = id(), .pay_no = id() };
    write_ok(insert_payment, &payment);
    return payment;
}

static struct payment make_paid(void)
{
    struct payment payment = make_unpaid();
    payment.order_status = ORDER_PAID;
    write_ok(pay_it, &payment);
    return payment;
}

struct books {
    int64_t pay_no;
    struct pay_record record;
    struct order order;
    struct refund *refunds;
    size_t refund_count;
};

static enum rc read_books(struct tx *tx, void *arg, struct error *err)
{
    struct books *books = arg;
    enum rc rc = record_get(tx, books->pay_no, arena, &books->record, err);
    if (rc == RC_OK)
        rc = order_get(tx, books->record.order_id, arena, &books->order, err);
    return rc ? rc : refunds_of_record(tx, books->pay_no, arena, &books->refunds, &books->refund_count, err);
}

static struct books books_of(const struct payment *payment)
{
    struct books books = { .pay_no = payment->pay_no };
    write_ok(read_books, &books);
    return books;
}

struct scheduled_row {
    int64_t subject, wait_ms;
    bool there;
};

static enum rc read_row(struct tx *tx, void *arg, struct error *err)
{
    static const struct sql wait = { .name = "test_wait", .text = "SELECT due_at - pn_now_ms() FROM query_schedule WHERE subject = $1" };
    struct scheduled_row *row = arg;
    enum rc rc = tx_i64(tx, &wait, VALUES(value_i64(row->subject)), &row->wait_ms, err);
    row->there = rc == RC_OK;
    return rc == RC_NOT_FOUND ? RC_OK : rc;
}

static struct scheduled_row row_of(int64_t subject)
{
    struct scheduled_row row = { .subject = subject };
    write_ok(read_row, &row);
    return row;
}

/* Between nine and eleven tenths of it, less the time that the test took meanwhile. */
static void assert_waits(int64_t refund_no, int64_t wait_ms)
{
    struct scheduled_row row = row_of(refund_no);
    assert_true(row.there);
    assert_true(row.wait_ms > wait_ms * 9 / 10 - SLOW_MS && row.wait_ms <= wait_ms * 11 / 10);
}

static enum rc count_events(struct tx *tx, void *arg, struct error *err)
{
    static const struct sql count = { .name = "test_events", .text = "SELECT count(*) FROM events WHERE order_id = $1" };
    struct scheduled_row *row = arg;
    return tx_i64(tx, &count, VALUES(value_i64(row->subject)), &row->wait_ms, err);
}

static int64_t events_of(const struct payment *payment)
{
    struct scheduled_row row = { .subject = payment->order_id };
    write_ok(count_events, &row);
    return row.wait_ms;
}

/* ---- calls */

struct answer {
    pthread_mutex_t lock;
    pthread_cond_t came;
    bool done;
    enum rc rc;
    struct refund_view view;
    char text[464], field[48];
};

static void answer_comes(struct answer *answer)
{
    pthread_mutex_lock(&answer->lock);
    answer->done = true;
    pthread_cond_signal(&answer->came);
    pthread_mutex_unlock(&answer->lock);
}

static void on_refund(void *arg, enum rc rc, const struct refund_view *view, const struct error *err)
{
    struct answer *answer = arg;
    answer->rc = rc;
    if (view)
        answer->view = *view;
    if (rc) {
        memcpy(answer->text, err->text, sizeof answer->text);
        memcpy(answer->field, err->field, sizeof answer->field);
    }
    answer_comes(answer);
}

static void wait_answer(struct answer *answer)
{
    pthread_mutex_lock(&answer->lock);
    while (!answer->done)
        pthread_cond_wait(&answer->came, &answer->lock);
    pthread_mutex_unlock(&answer->lock);
}

static struct answer new_answer(void)
{
    return (struct answer){ .lock = PTHREAD_MUTEX_INITIALIZER, .came = PTHREAD_COND_INITIALIZER };
}

static struct answer refund_as(const struct caller *who, const struct payment *payment, const char *number, const char *amount)
{
    struct refund_request refund = { .pay_no = payment->pay_no, .out_refund_id = number, .amount = amount };
    struct answer answer = new_answer();
    pay_refund_create(pay, who, &refund, arena, on_refund, &answer);
    wait_answer(&answer);
    return answer;
}

static const char *fresh_number(void)
{
    return arena_printf(arena, "r%lld", (long long)id());
}

static struct answer refund(const struct payment *payment, const char *amount)
{
    return refund_as(&caller, payment, fresh_number(), amount);
}

static struct answer retry(int64_t refund_no)
{
    struct answer answer = new_answer();
    pay_refund_retry(pay, &caller, refund_no, arena, on_refund, &answer);
    wait_answer(&answer);
    return answer;
}

static enum rc make_due(struct tx *tx, void *arg, struct error *err)
{
    static const struct sql due = { .name = "test_due", .text = "UPDATE query_schedule SET due_at = 1, claim = 0 WHERE subject = $1" };
    int64_t *subject = arg;
    return tx_exec(tx, &due, VALUES(value_i64(*subject)), NULL, err);
}

struct claim {
    struct scheduled *found;
    size_t count;
};

static enum rc claim_it(struct tx *tx, void *arg, struct error *err)
{
    struct claim *claim = arg;
    return schedule_claim(tx, "c", 1, 7, 60000, arena, &claim->found, &claim->count, err);
}

static void on_carried(void *arg)
{
    answer_comes(arg);
}

/* The schedule's turn, as if its time had come. */
static void turn(int64_t refund_no)
{
    struct answer answer = new_answer();
    struct claim claim;
    write_ok(make_due, &refund_no);
    write_ok(claim_it, &claim);
    assert_int_equal(claim.count, 1);
    assert_int_equal(claim.found->subject, refund_no);
    assert_int_equal(claim.found->task, TASK_REFUND);
    refund_carry_on(pay, claim.found, arena, on_carried, &answer);
    wait_answer(&answer);
}

/* ---- the happy ways */

static void what_the_provider_confirms_has_succeeded(void **state)
{
    (void)state;
    struct payment payment = make_paid();
    SAYS({ PN_REFUND, PN_OK, PN_STATE_REFUNDED, 300, NULL });
    struct answer answer = refund(&payment, "3.00");
    assert_int_equal(answer.rc, RC_OK);
    assert_true(answer.view.created);
    assert_int_equal(answer.view.refund.status, REFUND_SUCCEEDED);
    assert_true(answer.view.refund.finished_at > 0);
    assert_int_equal(answer.view.record.refunded_minor, 300);
    assert_int_equal(answer.view.record.refunding_minor, 0);
    assert_int_equal(answer.view.record.status, PAYMENT_PAID);
    assert_int_equal(answer.view.order.refunded_minor, 300);
    assert_int_equal(answer.view.order.status, ORDER_PAID);
    assert_int_equal(script.amounts[0], 300);
    char digits[ID_TEXT_MAX];
    assert_string_equal(script.numbers[0], id_format(answer.view.refund.refund_no, digits));
    assert_false(row_of(answer.view.refund.refund_no).there);
    assert_int_equal(events_of(&payment), 1);

    SAYS({ PN_REFUND, PN_OK, PN_STATE_REFUNDED, 0, NULL });
    answer = refund(&payment, NULL);
    assert_int_equal(answer.view.refund.amount_minor, 700);
    assert_int_equal(answer.view.record.status, PAYMENT_REFUNDED);
    assert_int_equal(answer.view.order.status, ORDER_REFUNDED);
    assert_int_equal(answer.view.order.refunded_minor, PAID);
    assert_int_equal(events_of(&payment), 2);
}

static void what_the_provider_works_on_is_asked_about(void **state)
{
    (void)state;
    struct payment payment = make_paid();
    SAYS({ PN_REFUND, PN_OK, PN_STATE_PROCESSING, 0, NULL });
    struct answer answer = refund(&payment, "3.00");
    int64_t refund_no = answer.view.refund.refund_no;
    assert_int_equal(answer.view.refund.status, REFUND_PROCESSING);
    assert_int_equal(answer.view.record.refunding_minor, 300);
    assert_waits(refund_no, 10000);
    SAYS({ PN_REFUND_QUERY, PN_OK, PN_STATE_PROCESSING, 0, NULL });
    turn(refund_no);
    assert_waits(refund_no, 30000);
    SAYS({ PN_REFUND_QUERY, PN_OK, PN_STATE_UNKNOWN, 0, NULL }); /* and is not asked for again */
    turn(refund_no);
    SAYS_NOTHING_MORE();
    assert_int_equal(books_of(&payment).refunds[0].status, REFUND_PROCESSING);
    SAYS({ PN_REFUND_QUERY, PN_OK, PN_STATE_REFUNDED, 0, NULL });
    turn(refund_no);
    assert_int_equal(books_of(&payment).refunds[0].status, REFUND_SUCCEEDED);
    assert_false(row_of(refund_no).there);
    assert_int_equal(events_of(&payment), 1);
}

static void what_the_provider_gives_up_has_failed_and_is_free_again(void **state)
{
    (void)state;
    struct payment payment = make_paid();
    SAYS({ PN_REFUND, PN_OK, PN_STATE_PROCESSING, 0, NULL });
    struct answer answer = refund(&payment, NULL);
    SAYS({ PN_REFUND_QUERY, PN_OK, PN_STATE_FAILED, 0, NULL });
    turn(answer.view.refund.refund_no);
    struct books books = books_of(&payment);
    assert_int_equal(books.refunds[0].status, REFUND_FAILED);
    assert_int_equal(books.record.refunding_minor, 0);
    assert_int_equal(books.record.refunded_minor, 0);
    assert_int_equal(events_of(&payment), 1);
    assert_false(row_of(answer.view.refund.refund_no).there);
}

/* ---- refusals and silence */

static void a_refusal_of_the_only_call_is_a_failure(void **state)
{
    (void)state;
    static const int refusals[] = { PN_DECLINED, PN_BAD_INPUT, PN_UNSUPPORTED, PN_INTERNAL };
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        struct payment payment = make_paid();
        struct line line = { PN_REFUND, refusals[i], 0, 0, NULL };
        script.lines = &line;
        script.count = 1;
        script.next = 0;
        struct answer answer = refund(&payment, NULL);
        assert_int_equal(answer.rc, RC_OK);
        assert_int_equal(answer.view.refund.status, REFUND_FAILED);
        assert_string_equal(answer.view.refund.message, "E.CODE in the provider's words");
        assert_int_equal(answer.view.record.refunding_minor, 0);
        assert_false(row_of(answer.view.refund.refund_no).there);
        assert_true(row_of(payment.pay_no).there); /* it may have been refunded at the provider: that is asked about */
    }
}

static void silence_is_unknown_and_found_out_later(void **state)
{
    (void)state;
    struct payment payment = make_paid();
    SAYS({ PN_REFUND, PN_UNKNOWN, 0, 0, NULL });
    struct answer answer = refund(&payment, NULL);
    int64_t refund_no = answer.view.refund.refund_no;
    assert_int_equal(answer.rc, RC_OK);
    assert_int_equal(answer.view.refund.status, REFUND_UNKNOWN);
    assert_int_equal(answer.view.record.refunding_minor, PAID);
    assert_waits(refund_no, 10000);
    assert_int_equal(events_of(&payment), 0);
    SAYS({ PN_REFUND_QUERY, PN_OK, PN_STATE_REFUNDED, 0, NULL });
    turn(refund_no);
    struct books books = books_of(&payment);
    assert_int_equal(books.refunds[0].status, REFUND_SUCCEEDED);
    assert_int_equal(books.record.status, PAYMENT_REFUNDED);
    assert_int_equal(books.order.status, ORDER_REFUNDED);
    assert_false(row_of(refund_no).there);
}

static void an_answer_about_something_else_is_unknown(void **state)
{
    (void)state;
    struct payment payment = make_paid();
    SAYS({ PN_REFUND, PN_OK, PN_STATE_REFUNDED, 0, "4711" });
    assert_int_equal(refund(&payment, "1.00").view.refund.status, REFUND_UNKNOWN);
    SAYS({ PN_REFUND, PN_OK, PN_STATE_REFUNDED, 99, NULL }); /* in all, less than this one */
    assert_int_equal(refund(&payment, "1.00").view.refund.status, REFUND_UNKNOWN);
    SAYS({ PN_REFUND, PN_OK, PN_STATE_UNKNOWN, 0, NULL });
    assert_int_equal(refund(&payment, "1.00").view.refund.status, REFUND_UNKNOWN);
    assert_int_equal(books_of(&payment).record.refunding_minor, 300);
    assert_int_equal(events_of(&payment), 0);
}

static void what_is_not_found_is_asked_for_again_under_its_number(void **state)
{
    (void)state;
    static const uint32_t absent[] = { PN_STATE_NOT_FOUND, PN_STATE_UNKNOWN };
    for (size_t i = 0; i < 2; i++) {
        struct payment payment = make_paid();
        SAYS({ PN_REFUND, PN_UNKNOWN, 0, 0, NULL });
        struct answer answer = refund(&payment, NULL);
        struct line lines[] = { { PN_REFUND_QUERY, PN_OK, absent[i], 0, NULL }, { PN_REFUND, PN_OK, PN_STATE_REFUNDED, 0, NULL } };
        script.lines = lines;
        script.count = 2;
        script.next = 0;
        turn(answer.view.refund.refund_no);
        SAYS_NOTHING_MORE();
        char digits[ID_TEXT_MAX];
        assert_string_equal(script.numbers[1], id_format(answer.view.refund.refund_no, digits));
        assert_int_equal(books_of(&payment).refunds[0].status, REFUND_SUCCEEDED);
    }
}

/* The refusal speaks of its own call only: whether the first one arrived, a last question tells. */
static void a_refusal_after_a_doubt_needs_the_provider_not_to_know_it(void **state)
{
    (void)state;
    struct payment payment = make_paid();
    SAYS({ PN_REFUND, PN_UNKNOWN, 0, 0, NULL });
    struct answer answer = refund(&payment, NULL);
    int64_t refund_no = answer.view.refund.refund_no;
    SAYS({ PN_REFUND_QUERY, PN_OK, PN_STATE_NOT_FOUND, 0, NULL }, { PN_REFUND, PN_DECLINED, 0, 0, NULL },
         { PN_REFUND_QUERY, PN_OK, PN_STATE_UNKNOWN, 0, NULL });
    turn(refund_no);
    SAYS_NOTHING_MORE();
    assert_int_equal(books_of(&payment).refunds[0].status, REFUND_UNKNOWN);
    assert_int_equal(books_of(&payment).record.refunding_minor, PAID);
    SAYS({ PN_REFUND_QUERY, PN_OK, PN_STATE_NOT_FOUND, 0, NULL }, { PN_REFUND, PN_DECLINED, 0, 0, NULL },
         { PN_REFUND_QUERY, PN_OK, PN_STATE_NOT_FOUND, 0, NULL });
    turn(refund_no);
    SAYS_NOTHING_MORE();
    struct books books = books_of(&payment);
    assert_int_equal(books.refunds[0].status, REFUND_FAILED);
    assert_string_equal(books.refunds[0].message, "E.CODE in the provider's words");
    assert_int_equal(books.record.refunding_minor, 0);
    assert_false(row_of(refund_no).there);
}

static void what_never_left_is_sent_later_and_is_in_no_doubt(void **state)
{
    (void)state;
    struct payment payment = make_paid();
    SAYS({ PN_REFUND, PN_NOT_DONE, 0, 0, NULL });
    struct answer answer = refund(&payment, NULL);
    int64_t refund_no = answer.view.refund.refund_no;
    assert_int_equal(answer.view.refund.status, REFUND_CREATED);
    assert_false(books_of(&payment).refunds[0].doubt);
    assert_waits(refund_no, 10000);
    SAYS({ PN_REFUND, PN_NOT_DONE, 0, 0, NULL });
    turn(refund_no);
    assert_waits(refund_no, 20000);
    assert_int_equal(books_of(&payment).record.refunding_minor, PAID);
    SAYS({ PN_REFUND, PN_DECLINED, 0, 0, NULL }); /* so this is the only call */
    turn(refund_no);
    assert_int_equal(books_of(&payment).refunds[0].status, REFUND_FAILED);
}

static void an_unsent_repeat_leaves_the_doubt(void **state)
{
    (void)state;
    struct payment payment = make_paid();
    SAYS({ PN_REFUND, PN_UNKNOWN, 0, 0, NULL });
    struct answer answer = refund(&payment, NULL);
    SAYS({ PN_REFUND_QUERY, PN_OK, PN_STATE_NOT_FOUND, 0, NULL }, { PN_REFUND, PN_NOT_DONE, 0, 0, NULL });
    turn(answer.view.refund.refund_no);
    SAYS_NOTHING_MORE();
    assert_true(books_of(&payment).refunds[0].doubt);
    SAYS({ PN_REFUND_QUERY, PN_NOT_DONE, 0, 0, NULL });
    turn(answer.view.refund.refund_no);
    SAYS_NOTHING_MORE();
    assert_true(books_of(&payment).refunds[0].doubt);
    assert_int_equal(books_of(&payment).refunds[0].status, REFUND_UNKNOWN);
}

static void unknown_for_days_is_for_people(void **state)
{
    (void)state;
    enum { TURNS = 8 };
    struct payment payment = make_paid();
    SAYS({ PN_REFUND, PN_OK, PN_STATE_PROCESSING, 0, NULL });
    int64_t refund_no = refund(&payment, NULL).view.refund.refund_no;
    for (int i = 0; i < TURNS; i++) {
        assert_true(row_of(refund_no).there);
        SAYS({ PN_REFUND_QUERY, PN_UNKNOWN, 0, 0, NULL });
        turn(refund_no);
        assert_int_equal(books_of(&payment).record.needs_review, 0);
    }
    SAYS({ PN_REFUND_QUERY, PN_UNKNOWN, 0, 0, NULL });
    turn(refund_no);
    struct books books = books_of(&payment);
    assert_true(books.record.needs_review);
    assert_int_equal(books.refunds[0].status, REFUND_PROCESSING);
    assert_int_equal(books.record.refunding_minor, PAID);
    assert_int_equal(events_of(&payment), 1);
    assert_true(books.order.last_event > 0);
    assert_false(row_of(refund_no).there);
    SAYS({ PN_REFUND_QUERY, PN_OK, PN_STATE_REFUNDED, 0, NULL }); /* and when somebody asks, it goes on */
    assert_int_equal(retry(refund_no).view.refund.status, REFUND_SUCCEEDED);
}

/* ---- crashes */

static enum rc forget_the_answer(struct tx *tx, void *arg, struct error *err)
{
    const struct payment *payment = arg;
    struct refund crashed = { .refund_no = id(), .pay_no = payment->pay_no, .order_id = payment->order_id, .app = "a", .channel = "c",
                              .source = "api", .amount_minor = 100, .currency = "CNY", .status = REFUND_CREATED, .doubt = true };
    enum rc rc = refund_insert(tx, &crashed, err);
    if (rc == RC_OK)
        rc = refund_reserve(tx, payment->pay_no, 100, err);
    return rc ? rc : schedule_put(tx, &(struct schedule_entry){ crashed.refund_no, TASK_REFUND, "c", 60000 }, err);
}

/* As after a crash between the call and its answer: nobody knows whether it left. */
static void a_crash_between_call_and_answer_is_a_doubt(void **state)
{
    (void)state;
    struct payment payment = make_paid();
    write_ok(forget_the_answer, &payment);
    int64_t refund_no = books_of(&payment).refunds[0].refund_no;
    SAYS({ PN_REFUND_QUERY, PN_OK, PN_STATE_NOT_FOUND, 0, NULL }, { PN_REFUND, PN_DECLINED, 0, 0, NULL },
         { PN_REFUND_QUERY, PN_OK, PN_STATE_UNKNOWN, 0, NULL });
    turn(refund_no);
    SAYS_NOTHING_MORE();
    assert_int_equal(books_of(&payment).refunds[0].status, REFUND_UNKNOWN);
    SAYS({ PN_REFUND_QUERY, PN_OK, PN_STATE_REFUNDED, 0, NULL });
    turn(refund_no);
    assert_int_equal(books_of(&payment).refunds[0].status, REFUND_SUCCEEDED);
}

/* ---- numbers and sums */

static void the_same_number_is_the_same_refund(void **state)
{
    (void)state;
    struct payment payment = make_paid(), other = make_paid();
    const char *number = fresh_number();
    SAYS({ PN_REFUND, PN_OK, PN_STATE_REFUNDED, 0, NULL });
    struct answer first = refund_as(&caller, &payment, number, "3.00");
    struct answer again = refund_as(&caller, &payment, number, "3.00");
    SAYS_NOTHING_MORE();
    assert_int_equal(again.rc, RC_OK);
    assert_false(again.view.created);
    assert_int_equal(again.view.refund.refund_no, first.view.refund.refund_no);
    assert_int_equal(refund_as(&caller, &payment, number, NULL).rc, RC_OK);
    assert_int_equal(refund_as(&operator, &payment, number, NULL).view.refund.refund_no, first.view.refund.refund_no);
    struct answer differs = refund_as(&caller, &payment, number, "3.01");
    assert_int_equal(differs.rc, RC_CONFLICT);
    assert_string_equal(differs.field, "out_refund_id");
    assert_int_equal(refund_as(&caller, &other, number, "3.00").rc, RC_CONFLICT);
    assert_int_equal(books_of(&payment).refund_count, 1);
    assert_int_equal(books_of(&other).refund_count, 0);
}

static void no_more_is_taken_than_is_left(void **state)
{
    (void)state;
    struct payment payment = make_paid();
    SAYS({ PN_REFUND, PN_OK, PN_STATE_REFUNDED, 0, NULL }, { PN_REFUND, PN_UNKNOWN, 0, 0, NULL });
    assert_int_equal(refund(&payment, "4.00").rc, RC_OK);
    assert_int_equal(refund(&payment, "3.50").view.refund.status, REFUND_UNKNOWN); /* counts, too */
    struct answer answer = refund(&payment, "2.51");
    assert_int_equal(answer.rc, RC_CONFLICT);
    assert_string_equal(answer.field, "amount");
    assert_non_null(strstr(answer.text, "2.50 CNY"));
    SAYS({ PN_REFUND, PN_OK, PN_STATE_REFUNDED, 0, NULL });
    assert_int_equal(refund(&payment, "2.50").view.refund.status, REFUND_SUCCEEDED);
    answer = refund(&payment, "0.01");
    assert_int_equal(answer.rc, RC_CONFLICT);
    assert_non_null(strstr(answer.text, "nothing"));
    assert_int_equal(refund(&payment, "0").rc, RC_BAD_INPUT);
    assert_int_equal(refund(&payment, "0.001").rc, RC_BAD_INPUT);
    assert_int_equal(refund(&payment, "-1").rc, RC_BAD_INPUT);
}

static void only_ones_own_paid_payments_are_refunded(void **state)
{
    (void)state;
    struct payment payment = make_paid(), unpaid = make_unpaid(), nobodys = { .pay_no = 1 };
    SAYS({ PN_REFUND, PN_OK, PN_STATE_REFUNDED, 0, NULL });
    assert_int_equal(refund_as(&stranger, &payment, fresh_number(), NULL).rc, RC_NOT_FOUND);
    assert_int_equal(refund(&unpaid, NULL).rc, RC_CONFLICT);
    assert_int_equal(refund(&nobodys, NULL).rc, RC_NOT_FOUND);
    struct answer answer = refund_as(&operator, &payment, fresh_number(), NULL);
    assert_int_equal(answer.view.refund.status, REFUND_SUCCEEDED);
    assert_string_equal(answer.view.refund.app, "a");
}

/* ---- retry */

static void a_failed_refund_is_tried_again_under_its_number(void **state)
{
    (void)state;
    struct payment payment = make_paid();
    SAYS({ PN_REFUND, PN_DECLINED, 0, 0, NULL });
    struct answer failed = refund(&payment, "6.00");
    int64_t refund_no = failed.view.refund.refund_no;
    SAYS({ PN_REFUND, PN_DECLINED, 0, 0, NULL }); /* in no doubt: it failed for certain, twice */
    assert_int_equal(retry(refund_no).view.refund.status, REFUND_FAILED);
    SAYS({ PN_REFUND, PN_OK, PN_STATE_REFUNDED, 0, NULL });
    struct answer answer = retry(refund_no);
    char digits[ID_TEXT_MAX];
    assert_string_equal(script.numbers[0], id_format(refund_no, digits));
    assert_int_equal(answer.rc, RC_OK);
    assert_int_equal(answer.view.refund.status, REFUND_SUCCEEDED);
    assert_int_equal(answer.view.record.refunded_minor, 600);
    assert_int_equal(answer.view.record.refunding_minor, 0);
    assert_int_equal(events_of(&payment), 3);
    assert_int_equal(retry(refund_no).rc, RC_CONFLICT);
    assert_int_equal(retry(1).rc, RC_NOT_FOUND);
}

static void a_retry_takes_no_more_than_is_left(void **state)
{
    (void)state;
    struct payment payment = make_paid();
    SAYS({ PN_REFUND, PN_DECLINED, 0, 0, NULL }, { PN_REFUND, PN_OK, PN_STATE_REFUNDED, 0, NULL });
    int64_t refund_no = refund(&payment, "6.00").view.refund.refund_no;
    assert_int_equal(refund(&payment, "5.00").view.refund.status, REFUND_SUCCEEDED);
    assert_int_equal(retry(refund_no).rc, RC_CONFLICT);
    assert_int_equal(books_of(&payment).refunds[0].status, REFUND_FAILED);
    assert_int_equal(books_of(&payment).record.refunding_minor, 0);
}

static void a_retry_of_what_has_not_ended_asks_now(void **state)
{
    (void)state;
    struct payment payment = make_paid();
    SAYS({ PN_REFUND, PN_NOT_DONE, 0, 0, NULL });
    int64_t refund_no = refund(&payment, NULL).view.refund.refund_no;
    SAYS({ PN_REFUND, PN_UNKNOWN, 0, 0, NULL });
    assert_int_equal(retry(refund_no).view.refund.status, REFUND_UNKNOWN);
    SAYS({ PN_REFUND_QUERY, PN_OK, PN_STATE_PROCESSING, 0, NULL });
    assert_int_equal(retry(refund_no).view.refund.status, REFUND_PROCESSING);
    assert_int_equal(books_of(&payment).record.refunding_minor, PAID);
}

static bool learned;

static void on_inquired(void *arg, bool is_learned)
{
    learned = is_learned;
    answer_comes(arg);
}

static void inquire(int64_t refund_no)
{
    struct answer answer = new_answer();
    refund_inquire(pay, refund_no, false, arena, on_inquired, &answer);
    wait_answer(&answer);
}

/* ---- somebody else asks meanwhile */

static enum rc put_now(struct tx *tx, void *arg, struct error *err)
{
    const int64_t *refund_no = arg;
    return schedule_put(tx, &(struct schedule_entry){ *refund_no, TASK_REFUND, "c", 0 }, err);
}

static enum rc ask_now(struct tx *tx, void *arg, struct error *err)
{
    const int64_t *refund_no = arg;
    enum rc rc = put_now(tx, arg, err);
    return rc ? rc : refund_set_doubt(tx, *refund_no, true, err);
}

/* Then this refusal is not about the only call. */
static void a_refusal_is_no_failure_when_another_has_asked_too(void **state)
{
    (void)state;
    struct payment payment = make_paid();
    SAYS({ PN_REFUND, PN_DECLINED, 0, 0, NULL });
    script.meanwhile = ask_now;
    struct answer answer = refund(&payment, NULL);
    assert_int_equal(answer.view.refund.status, REFUND_CREATED);
    assert_int_equal(answer.view.record.refunding_minor, answer.view.refund.amount_minor);
    struct scheduled_row row = row_of(answer.view.refund.refund_no);
    assert_true(row.there);
    assert_true(row.wait_ms <= 0); /* as the other one wanted it */
}

/* Under the same number the provider may go on telling of the first try while the second waits there. */
static void an_old_failure_is_not_believed_of_a_retry_until_it_has_settled_down(void **state)
{
    (void)state;
    struct payment payment = make_paid();
    SAYS({ PN_REFUND, PN_DECLINED, 0, 0, NULL });
    int64_t refund_no = refund(&payment, "6.00").view.refund.refund_no;
    SAYS({ PN_REFUND, PN_UNKNOWN, 0, 0, NULL });
    assert_int_equal(retry(refund_no).view.refund.status, REFUND_UNKNOWN);
    SAYS({ PN_REFUND_QUERY, PN_OK, PN_STATE_FAILED, 0, NULL });
    inquire(refund_no); /* whoever only asks leaves it to the schedule */
    turn(refund_no);
    assert_int_equal(books_of(&payment).refunds[0].status, REFUND_UNKNOWN);
    SAYS({ PN_REFUND_QUERY, PN_OK, PN_STATE_FAILED, 0, NULL });
    turn(refund_no);
    assert_int_equal(books_of(&payment).refunds[0].status, REFUND_FAILED);
}

static void the_cause_of_a_retry_is_that_of_its_time(void **state)
{
    (void)state;
    struct payment payment = make_unpaid();
    payment.order_status = ORDER_CLOSED;
    payment.other_paid = true;
    write_ok(pay_it, &payment);
    SAYS({ PN_REFUND, PN_DECLINED, 0, 0, NULL });
    struct answer failed = refund(&payment, NULL);
    assert_string_equal(failed.view.refund.cause, "late");
    assert_int_equal(payment_accept(pay, payment.pay_no, NULL), RC_OK);
    SAYS({ PN_REFUND, PN_OK, PN_STATE_REFUNDED, 0, NULL });
    struct answer again = retry(failed.view.refund.refund_no);
    assert_null(again.view.refund.cause);
    assert_int_equal(again.view.order.status, ORDER_REFUNDED);
}

static void an_unsent_call_leaves_anothers_doubt(void **state)
{
    (void)state;
    struct payment payment = make_paid();
    SAYS({ PN_REFUND, PN_NOT_DONE, 0, 0, NULL });
    script.meanwhile = put_now;
    refund(&payment, NULL);
    assert_true(books_of(&payment).refunds[0].doubt);
}

/* As after a crash between the settlement and the schedule. */
static void an_ended_refund_leaves_the_schedule_without_a_question(void **state)
{
    (void)state;
    struct payment payment = make_paid();
    SAYS({ PN_REFUND, PN_OK, PN_STATE_REFUNDED, 0, NULL });
    int64_t refund_no = refund(&payment, NULL).view.refund.refund_no;
    write_ok(put_now, &refund_no);
    turn(refund_no);
    SAYS_NOTHING_MORE();
    assert_false(row_of(refund_no).there);
    assert_int_equal(events_of(&payment), 1);
}

/* ---- policies */

static void a_policy_refunds_what_is_not_its_orders_once(void **state)
{
    (void)state;
    struct payment payment = make_unpaid();
    payment.order_status = ORDER_PAID;
    payment.other_paid = true;
    write_ok(pay_it, &payment);
    struct error err = { 0 };
    assert_int_equal(refund_by_policy(pay, payment.pay_no, &err), RC_OK);
    assert_int_equal(refund_by_policy(pay, payment.pay_no, &err), RC_OK);
    struct books books = books_of(&payment);
    assert_int_equal(books.refund_count, 1);
    assert_string_equal(books.refunds[0].source, "policy");
    assert_string_equal(books.refunds[0].cause, "duplicate");
    assert_null(books.refunds[0].out_refund_id);
    assert_false(books.refunds[0].doubt);
    assert_int_equal(books.record.refunding_minor, PAID);
    SAYS({ PN_REFUND, PN_OK, PN_STATE_REFUNDED, 0, NULL });
    turn(books.refunds[0].refund_no);
    books = books_of(&payment);
    assert_int_equal(books.refunds[0].status, REFUND_SUCCEEDED);
    assert_int_equal(books.record.status, PAYMENT_REFUNDED);
    assert_int_equal(books.order.status, ORDER_PAID);
    assert_int_equal(books.order.refunded_minor, 0);
    assert_int_equal(events_of(&payment), 1);

    struct payment wanted = make_paid();
    assert_int_equal(refund_by_policy(pay, wanted.pay_no, &err), RC_OK);
    assert_int_equal(books_of(&wanted).refund_count, 0);
}

/* ---- only a question */


static void a_question_settles_what_it_learns_and_nothing_else(void **state)
{
    (void)state;
    struct payment payment = make_paid();
    SAYS({ PN_REFUND, PN_OK, PN_STATE_PROCESSING, 0, NULL }, { PN_REFUND_QUERY, PN_UNKNOWN, 0, 0, NULL },
         { PN_REFUND_QUERY, PN_OK, PN_STATE_NOT_FOUND, 0, NULL }, { PN_REFUND_QUERY, PN_OK, PN_STATE_REFUNDED, 0, "1" },
         { PN_REFUND_QUERY, PN_OK, PN_STATE_REFUNDED, 0, NULL });
    int64_t refund_no = refund(&payment, NULL).view.refund.refund_no;
    for (int i = 0; i < 3; i++) {
        inquire(refund_no);
        assert_false(learned);
        assert_int_equal(books_of(&payment).refunds[0].status, REFUND_PROCESSING);
    }
    inquire(refund_no);
    assert_true(learned);
    assert_int_equal(books_of(&payment).refunds[0].status, REFUND_SUCCEEDED);
    inquire(refund_no); /* nothing to ask any more */
    assert_true(learned);
    SAYS_NOTHING_MORE();
    inquire(1);
    assert_false(learned);
}

static struct answer get(const struct caller *who, int64_t refund_no, bool refresh)
{
    struct answer answer = new_answer();
    pay_refund_get(pay, who, refund_no, refresh, arena, on_refund, &answer);
    wait_answer(&answer);
    return answer;
}

static void a_refund_is_read_and_refreshed_by_its_own_app(void **state)
{
    (void)state;
    struct payment payment = make_paid();
    SAYS({ PN_REFUND, PN_OK, PN_STATE_PROCESSING, 0, NULL });
    int64_t refund_no = refund(&payment, NULL).view.refund.refund_no;
    assert_int_equal(get(&caller, refund_no, false).view.refund.status, REFUND_PROCESSING);
    assert_int_equal(get(&stranger, refund_no, true).rc, RC_NOT_FOUND);
    assert_int_equal(get(&operator, refund_no, false).rc, RC_OK);
    SAYS_NOTHING_MORE();
    SAYS({ PN_REFUND_QUERY, PN_OK, PN_STATE_REFUNDED, 0, NULL });
    assert_int_equal(get(&caller, refund_no, true).view.refund.status, REFUND_SUCCEEDED);
    assert_int_equal(get(&caller, refund_no, true).view.refund.status, REFUND_SUCCEEDED);
    SAYS_NOTHING_MORE();
    struct refund *list;
    size_t count;
    struct refund_filter mine = { .pay_no = payment.pay_no, .limit = 10 }, theirs = mine;
    assert_int_equal(pay_refund_list(pay, &caller, &mine, arena, &list, &count, NULL), RC_OK);
    assert_int_equal(count, 1);
    assert_int_equal(pay_refund_list(pay, &stranger, &theirs, arena, &list, &count, NULL), RC_OK);
    assert_int_equal(count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_provider_confirms_has_succeeded),
        cmocka_unit_test(what_the_provider_works_on_is_asked_about),
        cmocka_unit_test(what_the_provider_gives_up_has_failed_and_is_free_again),
        cmocka_unit_test(a_refusal_of_the_only_call_is_a_failure),
        cmocka_unit_test(silence_is_unknown_and_found_out_later),
        cmocka_unit_test(an_answer_about_something_else_is_unknown),
        cmocka_unit_test(what_is_not_found_is_asked_for_again_under_its_number),
        cmocka_unit_test(a_refusal_after_a_doubt_needs_the_provider_not_to_know_it),
        cmocka_unit_test(what_never_left_is_sent_later_and_is_in_no_doubt),
        cmocka_unit_test(an_unsent_repeat_leaves_the_doubt),
        cmocka_unit_test(unknown_for_days_is_for_people),
        cmocka_unit_test(a_crash_between_call_and_answer_is_a_doubt),
        cmocka_unit_test(an_ended_refund_leaves_the_schedule_without_a_question),
        cmocka_unit_test(the_same_number_is_the_same_refund),
        cmocka_unit_test(no_more_is_taken_than_is_left),
        cmocka_unit_test(only_ones_own_paid_payments_are_refunded),
        cmocka_unit_test(a_failed_refund_is_tried_again_under_its_number),
        cmocka_unit_test(a_retry_takes_no_more_than_is_left),
        cmocka_unit_test(a_retry_of_what_has_not_ended_asks_now),
        cmocka_unit_test(a_refusal_is_no_failure_when_another_has_asked_too),
        cmocka_unit_test(an_old_failure_is_not_believed_of_a_retry_until_it_has_settled_down),
        cmocka_unit_test(the_cause_of_a_retry_is_that_of_its_time),
        cmocka_unit_test(an_unsent_call_leaves_anothers_doubt),
        cmocka_unit_test(a_policy_refunds_what_is_not_its_orders_once),
        cmocka_unit_test(a_question_settles_what_it_learns_and_nothing_else),
        cmocka_unit_test(a_refund_is_read_and_refreshed_by_its_own_app),
    };
    return cmocka_run_group_tests_name("refunds", tests, open_store, close_store);
}
