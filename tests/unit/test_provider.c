/*
 * Questions to a provider over real sockets (http_peer.h), with a channel that asks what the test tells it to: what an end
 * means to the caller, when calls are held back, and how much room is left for the schedule.
 */
#include "config.h"

#include <poll.h>
#include <semaphore.h>
#include <stdio.h>

#include "unit/unit.h"

#include "pay/traffic.h"
#include "plugin/internal.h"
#include "unit/http_peer.h"
#include "unit/scratch.h"

enum { FAILURES = 3, WAIT_MS = 600 * 1000, PLACES = 4, BACKGROUND = 3 };

static struct peer peer;
static struct pay pay;
static struct config config;
static struct config_channel channel = { .name = "c", .timeout_ms = 30000 };

/* ---- the channel */

static const char *urls[2];   /* by round; NULL: no call any more */
static int response_rc;       /* of the last round */
static char url_text[4][64];

static int open_channel(const void *settings, const struct pn_host *host, struct pn_call *call, void **ret_state)
{
    (void)settings, (void)call;
    *ret_state = (void *)(uintptr_t)host;
    return PN_OK;
}

static int step(const struct pn_host *host, struct pn_call *call, const char *url, int rc, struct pn_step *ret_step)
{
    if (!url && rc != PN_OK)
        return (host->fail)(call, rc, NULL, "as the test wants it");
    if (!url) {
        struct pn_result *done = host->alloc(call, sizeof *done);
        *done = (struct pn_result){ .size = sizeof *done, .state = PN_STATE_UNPAID, .total_minor = PN_NOT_STATED,
                                    .refunded_minor = PN_NOT_STATED };
        ret_step->done = done;
        return PN_OK;
    }
    struct pn_http_request *next = host->alloc(call, sizeof *next);
    struct pn_str *list = host->alloc(call, sizeof *list);
    *list = (struct pn_str){ url, strlen(url) };
    *next = (struct pn_http_request){ .size = sizeof *next, .method = { "GET", 3 }, .urls = { list, 1 } };
    ret_step->next = next;
    return PN_OK;
}

static int request(const void *state, struct pn_call *call, const struct pn_payment *payment, struct pn_step *ret_step)
{
    (void)payment;
    return step(state, call, urls[0], PN_OK, ret_step);
}

static int response(const void *state, struct pn_call *call, const struct pn_payment *payment, uint32_t round,
                    const struct pn_http_response *answer, struct pn_step *ret_step)
{
    (void)payment, (void)answer;
    return step(state, call, round == 1 ? urls[1] : NULL, response_rc, ret_step);
}

static struct plugin provider = { .channel = { .open = open_channel, .request = request, .response = response } };

static const char *url(int which, uint16_t port, const char *path)
{
    (void)snprintf(url_text[which], sizeof url_text[which], "http://127.0.0.1:%d%s", port, path);
    return url_text[which];
}

static void works(void)
{
    urls[0] = url(0, peer.port, "/echo");
    urls[1] = NULL;
    response_rc = PN_OK;
}

static void is_down(void)
{
    works();
    urls[0] = url(1, peer_closed_port(), "/echo");
}

/* ---- questions */

struct question {
    struct arena *arena;
    sem_t ended;
    enum rc rc;
    bool called;
};

static const struct order order = { .order_id = 1, .name = "n", .currency = "CNY", .amount_minor = 100 };
static const struct pay_record record = { .pay_no = 2, .order_id = 1, .channel = "c", .product = "code", .currency = "CNY" };

static void on_end(void *arg, enum rc rc, const struct pn_result *result, bool called, const struct error *err)
{
    struct question *question = arg;
    (void)result;
    assert_true(rc == RC_OK || err->text[0]);
    question->rc = rc;
    question->called = called;
    sem_post(&question->ended);
}

static void begin(struct question *question, bool background)
{
    *question = (struct question){ .arena = arena_new(0) };
    sem_init(&question->ended, 0, 0);
    const struct provider_ask ask = { .order = &order, .record = &record, .operation = PN_QUERY, .background = background };
    provider_call(&pay, &ask, question->arena, on_end, question);
}

static enum rc await(struct question *question)
{
    sem_wait(&question->ended);
    arena_free(question->arena);
    return question->rc;
}

static enum rc ask(void)
{
    struct question question;
    begin(&question, false);
    return await(&question);
}

static enum channel_state state_now(void)
{
    struct channel_status status[2];
    assert_int_equal(pay_channel_status(&pay, status, 2), 1);
    assert_string_equal(status[0].name, "c");
    assert_true(status[0].state == CHANNEL_UP || status[0].reason[0]);
    return status[0].state;
}

/* ---- tests */

static void a_refusal_is_an_answer(void **state)
{
    (void)state;
    works();
    response_rc = PN_DECLINED;
    for (int i = 0; i < 3 * FAILURES; i++)
        assert_int_equal(ask(), RC_DECLINED);
    urls[0] = url(0, peer.port, "/redirect"); /* as an HTTP error is */
    response_rc = PN_UNKNOWN;
    for (int i = 0; i < 3 * FAILURES; i++)
        assert_int_equal(ask(), RC_UNKNOWN);
    assert_int_equal(state_now(), CHANNEL_UP);
}

static void what_broke_off_is_unknown(void **state)
{
    (void)state;
    works();
    urls[0] = url(0, peer.port, "/half");
    assert_int_equal(ask(), RC_UNKNOWN);
    channel.timeout_ms = 1500;
    urls[0] = url(0, peer.port, "/hang");
    assert_int_equal(ask(), RC_UNKNOWN);
    channel.timeout_ms = 30000;
}

static void a_second_round_that_cannot_leave_undoes_nothing(void **state)
{
    (void)state;
    is_down();
    assert_int_equal(ask(), RC_UNAVAILABLE);
    works();
    urls[1] = url(1, peer_closed_port(), "/echo");
    assert_int_equal(ask(), RC_UNKNOWN);
}

static void after_so_many_failures_nothing_is_sent(void **state)
{
    (void)state;
    is_down();
    for (int i = 0; i < FAILURES; i++) {
        assert_true(provider_room(&pay, "c") > 0);
        assert_int_equal(ask(), RC_UNAVAILABLE);
    }
    assert_int_equal(state_now(), CHANNEL_HELD_BACK);
    assert_int_equal(provider_room(&pay, "c"), 0);
    works(); /* it is back, and nobody tries before the wait is over */
    int before = peer.requests;
    struct question question;
    begin(&question, false);
    assert_int_equal(await(&question), RC_UNAVAILABLE);
    assert_false(question.called);
    assert_int_equal(peer.requests, before);
    urls[0] = NULL; /* what takes no call is not held back */
    assert_int_equal(ask(), RC_OK);
    assert_int_equal(state_now(), CHANNEL_HELD_BACK);
}

static void one_call_probes_and_an_answer_frees_all(void **state)
{
    (void)state;
    is_down();
    for (int i = 0; i < FAILURES; i++)
        (void)ask();
    works();
    while (provider_room(&pay, "c") == 0)
        (void)poll(NULL, 0, 1);
    assert_int_equal(provider_room(&pay, "c"), 1);
    struct question probe;
    peer.released = 0;
    int before = peer.requests;
    urls[0] = url(0, peer.port, "/hold");
    begin(&probe, true);
    while (peer.requests == before)
        (void)poll(NULL, 0, 1);
    assert_int_equal(provider_room(&pay, "c"), 0);
    assert_int_equal(ask(), RC_UNAVAILABLE);
    peer.released = 1;
    assert_int_equal(await(&probe), RC_OK);
    assert_int_equal(state_now(), CHANNEL_UP);
    assert_int_equal(provider_room(&pay, "c"), BACKGROUND);
    works();
    assert_int_equal(ask(), RC_OK);
}

static void room_is_what_the_schedule_may_begin(void **state)
{
    (void)state;
    struct question questions[BACKGROUND];
    works();
    peer.released = 0;
    urls[0] = url(0, peer.port, "/hold");
    for (int i = 0; i < BACKGROUND; i++) {
        assert_int_equal(provider_room(&pay, "c"), BACKGROUND - i);
        begin(&questions[i], true);
    }
    assert_int_equal(provider_room(&pay, "c"), 0);
    assert_int_equal(provider_room(&pay, "gone"), SIZE_MAX);
    urls[0] = url(1, peer.port, "/echo");
    assert_int_equal(ask(), RC_OK); /* a caller finds his place */
    peer.released = 1;
    for (int i = 0; i < BACKGROUND; i++)
        assert_int_equal(await(&questions[i]), RC_OK);
    assert_int_equal(provider_room(&pay, "c"), BACKGROUND);
}

static int set_up_with(int64_t wait_ms)
{
    scratch_make();
    channel.max_in_flight = PLACES;
    channel.breaker_failures = FAILURES;
    channel.breaker_wait_ms = wait_ms;
    config = (struct config){ .channels = &channel, .channel_count = 1 };
    config.server.public_url = "https://pay.example.com";
    pay = (struct pay){ .config = &config };
    struct error err = { 0 };
    bool ok = channel_open(&provider, "c", NULL, &channel.channel, &err) == RC_OK &&
              links_open(scratch_path("link.key"), &pay.links, &err) == RC_OK && traffic_new(&config, &pay.traffic, &err) == RC_OK &&
              client_new(NULL, &pay.options.client, &err) == RC_OK &&
              pool_new(2, 64, "test", &pay.options.workers, &err) == RC_OK;
    peer_start(&peer);
    return ok ? 0 : -1;
}

static int set_up(void **state)
{
    (void)state;
    return set_up_with(WAIT_MS);
}

static int set_up_impatient(void **state)
{
    (void)state;
    return set_up_with(100);
}

static int tear_down(void **state)
{
    (void)state;
    client_stop(pay.options.client);
    pool_free(pay.options.workers);
    client_free(pay.options.client);
    peer_stop(&peer);
    traffic_free(pay.traffic);
    links_free(pay.links);
    channel_close(channel.channel);
    scratch_remove();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_refusal_is_an_answer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_broke_off_is_unknown, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_second_round_that_cannot_leave_undoes_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(after_so_many_failures_nothing_is_sent, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_call_probes_and_an_answer_frees_all, set_up_impatient, tear_down),
        cmocka_unit_test_setup_teardown(room_is_what_the_schedule_may_begin, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("provider", tests, NULL, NULL);
}
