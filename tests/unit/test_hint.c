/*
 * Hints against a real SQLite store and a provider that counts how often it is asked: nothing of a hint is believed, its
 * sender learns whether the provider answered, and a flood of hints asks little. A payer who comes back is one of them.
 */
#include "config.h"

#include <poll.h>
#include <semaphore.h>

#include "unit/unit.h"

#include "base/clock.h"
#include "base/ids.h"
#include "pay/internal.h"
#include "plugin/internal.h"
#include "unit/scratch.h"

static struct store *store;
static struct arena *arena;
static struct pay *pay;
static struct pool *workers;
static struct config config;
static struct config_app app = { .name = "a" };

/* ---- the provider */

static _Atomic uint32_t provider_says;
static _Atomic int asked;
static _Atomic bool held;          /* it answers only when it is let */
static sem_t is_asked, may_answer;

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
    asked++;
    if (held) {
        sem_post(&is_asked);
        sem_wait(&may_answer);
    }
    ret_step->done = done;
    return PN_OK;
}

static const struct pn_product code = { sizeof code, PN_PREPAY_CODE_URL, "code", "code", "code", NULL, "CNY" };
static const struct pn_product *products[] = { &code, NULL };
static struct plugin provider = { .products = products, .channel = { .open = open_channel, .request = request } };
static struct config_channel channels[] = { { .name = "c" }, { .name = "other" } };

/* ---- the outbox */

static void plan(void *ctx, const struct event *event, struct arena *to, struct outbox_row **ret_rows, size_t *ret_count)
{
    (void)ctx, (void)event, (void)to;
    *ret_rows = NULL;
    *ret_count = 0;
}

static void committed(void *ctx, const struct event *events, size_t event_count, const struct outbox_row *rows, size_t row_count)
{
    (void)ctx, (void)events, (void)event_count, (void)rows, (void)row_count;
}

static void aborted(void *ctx, const struct outbox_row *rows, size_t row_count)
{
    (void)ctx, (void)rows, (void)row_count;
}

/* ---- rows */

static int64_t id(void)
{
    int64_t made;
    assert_int_equal(ids_next(&made), RC_OK);
    return made;
}

static enum rc make_payment(struct tx *tx, void *arg, struct error *err)
{
    struct pay_record *record = arg;
    struct order order = { .order_id = id(), .app = "a", .out_business_id = arena_printf(arena, "n%lld", (long long)id()),
                           .name = "n", .amount_minor = 100, .currency = "CNY", .status = ORDER_UNPAID };
    *record = (struct pay_record){ .pay_no = id(), .order_id = order.order_id, .app = "a", .channel = "c", .product = "code",
                                   .amount_minor = 100, .currency = "CNY", .status = PAYMENT_UNPAID };
    enum rc rc = order_insert(tx, &order, 60000, NULL, 0, err);
    record->expires_at = order.expires_at;
    if (rc == RC_OK)
        rc = record_insert(tx, record, err);
    return rc ? rc : record_set_prepay(tx, record->pay_no, "", prepay_shown, err);
}

static const char *payment(void)
{
    struct pay_record record;
    struct error err = { 0 };
    if (store_write(store, LANE_WORK, make_payment, &record, &err) != RC_OK)
        fail_msg("%s", err.text);
    return arena_printf(arena, "%lld", (long long)record.pay_no);
}

static enum rc read_record(struct tx *tx, void *arg, struct error *err)
{
    struct pay_record *record = arg;
    return record_get(tx, record->pay_no, arena, record, err);
}

static enum payment_status status_of(const char *pay_no)
{
    struct pay_record record = { 0 };
    assert_true(id_parse(pay_no, &record.pay_no));
    assert_int_equal(store_read(store, read_record, &record, NULL), RC_OK);
    return record.status;
}

/* ---- hints and their ends */

struct end {
    sem_t ready;
    bool answered;
};

static void on_end(void *arg, bool answered)
{
    struct end *end = arg;
    end->answered = answered;
    sem_post(&end->ready);
}

static void begin(struct end *end, const char *channel, const char *pay_no, const char *refund_no)
{
    sem_init(&end->ready, 0, 0);
    pay_hint(pay, channel, pay_no, refund_no, HINT_NOTICE, on_end, end);
}

static bool await(struct end *end)
{
    sem_wait(&end->ready);
    return end->answered;
}

static bool hint(const char *channel, const char *pay_no)
{
    struct end end;
    begin(&end, channel, pay_no, NULL);
    return await(&end);
}

/* A server of its own for each test, so that none lives on what another left of the tokens. */
static int set_up(void **state)
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
    config.server.settle_queue = config.server.settle_batch = 1024;
    for (int i = 0; i < 2; i++)
        assert_int_equal(channel_open(&provider, channels[i].name, NULL, &channels[i].channel, &err), RC_OK);
    assert_int_equal(pool_new(2, 4096, "test", &workers, &err), RC_OK);
    config.apps = &app;
    config.app_count = 1;
    config.channels = channels;
    config.channel_count = 2;
    const struct pay_options options = { .config = &config, .store = store, .workers = workers,
                                         .events = { NULL, plan, committed, aborted } };
    if (pay_new(&options, &pay, &err) != RC_OK || committer_start(pay->committer, &err) != RC_OK)
        fail_msg("%s", err.text);
    provider_says = PN_STATE_UNPAID;
    asked = 0;
    held = false;
    sem_init(&is_asked, 0, 0);
    sem_init(&may_answer, 0, 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    pay_drain(pay);
    pool_free(workers);
    pay_free(pay);
    for (int i = 0; i < 2; i++)
        channel_close(channels[i].channel);
    store_close(store);
    arena_free(arena);
    scratch_remove();
    return 0;
}

/* ---- tests */

static void only_what_the_provider_answers_counts(void **state)
{
    (void)state;
    const char *unpaid = payment(), *paid = payment();
    assert_true(hint("c", unpaid));
    assert_int_equal(status_of(unpaid), PAYMENT_UNPAID);
    provider_says = PN_STATE_PAID;
    assert_true(hint("c", paid));
    assert_int_equal(status_of(paid), PAYMENT_PAID);
    assert_int_equal(asked, 2);
}

static void a_provider_that_does_not_answer_leaves_the_hint_open(void **state)
{
    (void)state;
    provider_says = PN_STATE_UNKNOWN;
    assert_false(hint("c", payment()));
    assert_int_equal(asked, 1);
}

static void hints_about_nothing_of_ours_ask_nobody(void **state)
{
    (void)state;
    const char *known = payment();
    static const char *const bad[] = { "", "0", "-1", "01", "1e3", "x", "99999999999999999999", "123456789" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(hint("c", bad[i]));
    assert_false(hint("other", known));
    assert_false(hint("nobody", known));
    assert_int_equal(asked, 0);
    assert_true(hint("c", known));
}

static void the_same_hint_again_and_again_asks_once(void **state)
{
    (void)state;
    const char *pay_no = payment();
    assert_true(hint("c", pay_no));
    for (int i = 0; i < 1000; i++)
        assert_false(hint("c", pay_no));
    assert_int_equal(asked, 1);
}

/* What they are about may have happened after the question left. */
static void hints_that_come_while_the_provider_is_asked_must_come_again(void **state)
{
    (void)state;
    struct end first;
    const char *pay_no = payment();
    held = true;
    provider_says = PN_STATE_PAID;
    begin(&first, "c", pay_no, NULL);
    sem_wait(&is_asked);
    for (int i = 0; i < 50; i++)
        assert_false(hint("c", pay_no));
    sem_post(&may_answer);
    assert_true(await(&first));
    assert_int_equal(asked, 1);
    assert_int_equal(status_of(pay_no), PAYMENT_PAID);
}

/* ---- coming back by a link of ours */

static enum rc come_back(const char *link, struct pay_return *ret)
{
    struct error err = { 0 };
    return pay_return_open(pay, link, arena, ret, &err);
}

static const char *link_of(const char *pay_no, const char *purpose)
{
    int64_t number;
    assert_true(id_parse(pay_no, &number));
    return arena_printf(arena, "%s-%s", pay_no, link_sign(pay->links, purpose, number, arena));
}

static void coming_back_asks_and_shows_what_the_books_say(void **state)
{
    (void)state;
    struct pay_return shown;
    const char *pay_no = payment(), *link = link_of(pay_no, "return");
    provider_says = PN_STATE_PAID;
    assert_int_equal(come_back(link, &shown), RC_OK);
    assert_int_equal(shown.state, RETURN_WAITING);
    while (status_of(pay_no) != PAYMENT_PAID)
        (void)poll(NULL, 0, 1);
    assert_int_equal(come_back(link, &shown), RC_OK);
    assert_int_equal(shown.state, RETURN_PAID);
    assert_int_equal(asked, 1); /* and what is paid is not asked about */
}

static void a_link_that_is_none_of_ours_asks_nobody(void **state)
{
    (void)state;
    struct pay_return shown;
    const char *pay_no = payment(), *good = link_of(pay_no, "return");
    size_t len = strlen(good);
    char *bad = arena_strdup(arena, good);
    for (size_t i = 0; i < len; i++) {
        for (int bit = 0; bit < 8; bit++) {
            bad[i] = (char)(good[i] ^ (1 << bit));
            bool same_hex = i > strlen(pay_no) && (bad[i] | 0x20) == (good[i] | 0x20);
            if (bad[i] && !same_hex)
                assert_int_equal(come_back(bad, &shown), RC_NOT_FOUND);
        }
        bad[i] = good[i];
        assert_int_equal(come_back(arena_strndup(arena, good, i), &shown), RC_NOT_FOUND);
    }
    const char *const others[] = { "", "-", "--", "x-y", link_of(pay_no, "pay"), arena_printf(arena, "%s0", good),
                                   link_of("123456789", "return") };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_int_equal(come_back(others[i], &shown), RC_NOT_FOUND);
    assert_int_equal(asked, 0);
}

/* Different payments, so nothing is shared: each channel has so many tokens, and gets few more a second. */
static void a_flood_about_many_payments_asks_a_bounded_number(void **state)
{
    (void)state;
    enum { COUNT = 400 };
    static struct end ends[COUNT];
    const char *pay_nos[COUNT];
    for (int i = 0; i < COUNT; i++)
        pay_nos[i] = payment();
    int64_t start = mono_ms();
    int answered = 0;
    for (int i = 0; i < COUNT; i++)
        begin(&ends[i], "c", pay_nos[i], NULL);
    int64_t took = mono_ms() - start;
    for (int i = 0; i < COUNT; i++)
        answered += await(&ends[i]);
    assert_int_equal(answered, asked);
    assert_in_range(answered, 100, 101 + 20 * took / 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(only_what_the_provider_answers_counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_provider_that_does_not_answer_leaves_the_hint_open, set_up, tear_down),
        cmocka_unit_test_setup_teardown(hints_about_nothing_of_ours_ask_nobody, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_same_hint_again_and_again_asks_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(hints_that_come_while_the_provider_is_asked_must_come_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(coming_back_asks_and_shows_what_the_books_say, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_link_that_is_none_of_ours_asks_nobody, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_flood_about_many_payments_asks_a_bounded_number, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("hint", tests, NULL, NULL);
}
