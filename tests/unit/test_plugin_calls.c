/*
 * Calls into a real channel and a real sink, and what the checks make of answers that no plugin should give.
 */
#include "unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "plugin/internal.h"
#include "scratch.h"

static struct pn_str text(const char *chars)
{
    return (struct pn_str){ chars, strlen(chars) };
}

static bool is(struct pn_str str, const char *chars)
{
    return str.len == strlen(chars) && memcmp(str.data, chars, str.len) == 0;
}

static void print_fault(void *arg, const struct setting *at, const char *what)
{
    (void) arg;
    fail_msg("%s: %s", at ? at->key : "section", what);
}

static void *settings_for(struct plugin *plugin, struct arena *arena, const char *key, const char *value)
{
    struct setting setting = { .key = key, .value = value, .line = 1, .file = "test" };
    void *settings = NULL;
    assert_int_equal(settings_fill(plugin, &setting, 1, NULL, "/", arena, print_fault, NULL, &settings), RC_OK);
    return settings;
}

/* ---- a channel that works */

static struct arena *arena;
static struct channel *channel;

static int open_channel(void **state)
{
    struct plugin *plugin;
    (void) state;
    arena = arena_new(0);
    if (plugin_load("good-channel", test_plugin_dir(), PN_KIND_CHANNEL, &plugin, NULL) != RC_OK)
        return -1;
    return channel_open(plugin, "main", settings_for(plugin, arena, "app_id", "2021"), &channel, NULL);
}

static int close_channel(void **state)
{
    (void) state;
    channel_close(channel);
    arena_free(arena);
    return 0;
}

static void products_are_found_by_name(void **state)
{
    (void) state;
    assert_string_equal(channel_name(channel), "main");
    assert_string_equal(channel_product(channel, "code")->params, "client_ip");
    assert_null(channel_product(channel, "nothing"));
    assert_null(channel_products(channel)[2]);
}

static void a_request_ends_in_a_result_or_in_something_to_send(void **state)
{
    struct pn_payment payment = { .size = sizeof payment, .operation = PN_PREPAY, .pay_no = text("123"), .amount_minor = 5 };
    struct pn_call call;
    struct pn_step step;
    (void) state;
    call_begin(&call, arena, "main");
    assert_int_equal(channel_request(channel, &call, &payment, &step), PN_OK);
    assert_null(step.next);
    assert_true(is(step.done->pay_no, "123"));
    payment.operation = PN_QUERY;
    assert_int_equal(channel_request(channel, &call, &payment, &step), PN_OK);
    assert_null(step.done);
    assert_true(is(step.next->urls.items[0], "https://gateway.example/"));
}

static void a_refusal_says_why_and_leaves_the_output_alone(void **state)
{
    struct pn_payment payment = { .size = sizeof payment, .operation = PN_REFUND };
    struct pn_call call;
    struct pn_step step = { .size = 77 };
    (void) state;
    call_begin(&call, arena, "main");
    assert_int_equal(channel_request(channel, &call, &payment, &step), PN_DECLINED);
    assert_string_equal(call.err.text, "the provider declines");
    assert_string_equal(call.err.field, "NO_MONEY");
    assert_int_equal(call.err.rc, RC_DECLINED);
    assert_int_equal(step.size, 77);
}

static void an_answer_is_checked_before_it_reaches_the_store(void **state)
{
    struct pn_payment payment = { .size = sizeof payment, .operation = PN_QUERY, .pay_no = text("123") };
    struct pn_http_response response = { .size = sizeof response, .status = 200, .body = text("T-1") };
    struct pn_call call;
    struct pn_step step;
    (void) state;
    call_begin(&call, arena, "main");
    assert_int_equal(channel_response(channel, &call, &payment, 1, &response, &step), PN_OK);
    assert_true(is(step.done->trade_no, "T-1"));
    response.body = text("not UTF-8: \xff");
    assert_int_equal(channel_response(channel, &call, &payment, 1, &response, &step), PN_INTERNAL);
    assert_true(call.err.text[0]);
    response.body = (struct pn_str){ "nul\0", 4 };
    assert_int_equal(channel_response(channel, &call, &payment, 1, &response, &step), PN_INTERNAL);
}

static void a_notification_is_judged_and_answered(void **state)
{
    struct pn_http_incoming incoming = { .size = sizeof incoming, .body = text("123") };
    struct pn_notification notification;
    struct pn_reply reply;
    struct pn_call call;
    (void) state;
    call_begin(&call, arena, "main");
    call.now_ms = 42;
    assert_int_equal(channel_notification(channel, &call, &incoming, &notification), PN_OK);
    assert_int_equal(notification.verdict, PN_AUTHENTIC);
    assert_int_equal(notification.result->paid_at_ms, 42);
    channel_reply(channel, &call, &incoming, true, &reply);
    assert_true(is(reply.body, "success"));
    channel_reply(channel, &call, &incoming, false, &reply);
    assert_true(is(reply.body, "failure"));
    incoming.body = (struct pn_str){ 0 };
    assert_int_equal(channel_notification(channel, &call, &incoming, &notification), PN_OK);
    assert_int_equal(notification.verdict, PN_REFUSED);
}

static void memory_beyond_the_call_s_limit_is_refused_by_the_host(void **state)
{
    struct arena *small = arena_new(2000);
    struct instance instance = { 0 };
    struct pn_call call;
    char bytes[64] = "";
    (void) state;
    instance_init(&instance, "main");
    call_begin(&call, small, "main");
    assert_non_null(instance.host.alloc(&call, 1000));
    assert_null(instance.host.alloc(&call, 5000));
    instance.host.random(&call, bytes, sizeof bytes);
    assert_true(memchr(bytes, 0, 1) == NULL || memcmp(bytes, bytes + 32, 32) != 0);
    assert_int_equal(instance.host.now_ms(&call), call.now_ms);
    assert_int_equal((instance.host.fail)(&call, 5, NULL, "a\nb"), PN_INTERNAL); /* not one of the codes */
    assert_string_equal(call.err.text, "a b");
    assert_int_equal((instance.host.fail)(NULL, PN_DECLINED, NULL, NULL), PN_DECLINED);
    arena_free(small);
}

static void a_channel_that_does_not_open_names_its_setting(void **state)
{
    struct plugin *plugin;
    struct channel *other = NULL;
    struct error err = { 0 };
    (void) state;
    assert_int_equal(plugin_load("good-channel", test_plugin_dir(), PN_KIND_CHANNEL, &plugin, NULL), RC_OK);
    assert_int_equal(channel_open(plugin, "bad", settings_for(plugin, arena, "app_id", "bad"), &other, &err), RC_CONFIG);
    assert_string_equal(err.field, "app_id");
    assert_null(other);
}

/* ---- answers that no plugin should give */

static struct pn_call call;

static struct pn_result sound_result(void)
{
    return (struct pn_result){ .size = sizeof(struct pn_result), .state = PN_STATE_PAID, .pay_no = text("1"),
                               .total_minor = PN_NOT_STATED, .refunded_minor = PN_NOT_STATED };
}

#define REFUSES_RESULT(change_)                       \
    do {                                              \
        struct pn_result result = sound_result();     \
        call_begin(&call, arena, "main");             \
        change_;                                      \
        assert_null(check_result(&call, &result));    \
        assert_int_equal(call.err.rc, RC_INTERNAL);   \
    } while (0)

static void unsound_results_are_refused(void **state)
{
    struct pn_kv kv = { { "app_id", 6 }, { "\xff", 1 } };
    (void) state;
    struct pn_result sound = sound_result();
    call_begin(&call, arena, "main");
    assert_non_null(check_result(&call, &sound));
    REFUSES_RESULT(result.size--);
    REFUSES_RESULT(result.state = 99);
    REFUSES_RESULT(result.pay_no = ((struct pn_str){ NULL, 3 }));
    REFUSES_RESULT(result.pay_no = ((struct pn_str){ "a\0b", 3 }));
    REFUSES_RESULT(result.trade_no.data = arena_alloc(arena, 1000); result.trade_no.len = 1000);
    REFUSES_RESULT(result.currency = text("\xc0\x80"));
    REFUSES_RESULT(result.total_minor = -2);
    REFUSES_RESULT(result.refunded_minor = INT64_MIN);
    REFUSES_RESULT(result.paid_at_ms = -1);
    REFUSES_RESULT(result.fields.count = 5);
    REFUSES_RESULT(result.fields.items = &kv; result.fields.count = 100000);
    REFUSES_RESULT(result.merchant.items = &kv; result.merchant.count = 1);
    REFUSES_RESULT(result.memory = ((struct pn_str){ "", 1 << 30 }));
    REFUSES_RESULT(result.prepay_kind = 99);
    REFUSES_RESULT(result.prepay_kind = PN_PREPAY_FORM);
    REFUSES_RESULT(result.prepay_kind = PN_PREPAY_FORM; result.url = text("javascript:alert(1)"));
    REFUSES_RESULT(result.prepay_kind = PN_PREPAY_REDIRECT; result.url = text("javascript:alert(1)"));
    REFUSES_RESULT(result.prepay_kind = PN_PREPAY_REDIRECT; result.url = text("https://x/\r\nSet-Cookie: a"));
    REFUSES_RESULT(result.prepay_kind = PN_PREPAY_CODE_URL);
    REFUSES_RESULT(result.prepay_kind = PN_PREPAY_APP_PARAMS);
}

static void informative_texts_are_mended_instead(void **state)
{
    struct pn_kv fields[2] = { { { "a", 1 }, { "\xff" "b", 2 } }, { { "c", 1 }, { "d", 1 } } };
    struct pn_result result = sound_result();
    char long_message[3000];
    (void) state;
    memset(long_message, 'm', sizeof long_message);
    result.fields = (struct pn_kv_list){ fields, 2 };
    result.payer = text("payer\xe4");
    result.message = (struct pn_str){ long_message, sizeof long_message };
    call_begin(&call, arena, "main");
    const struct pn_result *checked = check_result(&call, &result);
    assert_non_null(checked);
    assert_true(is(checked->fields.items[0].value, "\xef\xbf\xbd" "b"));
    assert_true(is(checked->fields.items[1].value, "d"));
    assert_true(is(checked->payer, "payer\xef\xbf\xbd"));
    assert_int_equal(checked->message.len, 1024);
    assert_true(is(fields[0].value, "\xff" "b")); /* the plugin's own memory is not written */
}

static void mended_texts_are_cut_between_characters(void **state)
{
    (void) state;
    assert_true(is(text_mended(arena, text("中文字"), 7), "中文"));
    assert_true(is(text_mended(arena, text("abc"), 3), "abc"));
    assert_null(text_mended(arena, (struct pn_str){ NULL, 5 }, 3).data);
}

static struct pn_http_request sound_request(const struct pn_str *url)
{
    return (struct pn_http_request){ .size = sizeof(struct pn_http_request), .method = text("POST"), .urls = { url, 1 } };
}

#define REFUSES_REQUEST(change_)                              \
    do {                                                      \
        struct pn_str url = text("https://x.example/");       \
        struct pn_http_request request = sound_request(&url); \
        call_begin(&call, arena, "main");                     \
        change_;                                              \
        assert_null(check_request(&call, &request));          \
    } while (0)

static void unsound_requests_are_refused(void **state)
{
    struct pn_kv header = { { "X-A", 3 }, { "a\r\nX-B: c", 9 } }, name = { { "X A", 3 }, { "a", 1 } };
    struct pn_str sound_url = text("https://x.example/");
    struct pn_http_request sound = sound_request(&sound_url);
    (void) state;
    call_begin(&call, arena, "main");
    assert_non_null(check_request(&call, &sound));
    REFUSES_REQUEST(request.size = 4);
    REFUSES_REQUEST(request.method = text("post"));
    REFUSES_REQUEST(request.method = text(""));
    REFUSES_REQUEST(request.urls.count = 0);
    REFUSES_REQUEST(request.urls.count = 1000);
    REFUSES_REQUEST(url = text("file:///etc/passwd"));
    REFUSES_REQUEST(url = text("https://"));
    REFUSES_REQUEST(url = text("https://x/ y"));
    REFUSES_REQUEST(url = text("https://x/\n"));
    REFUSES_REQUEST(request.headers.items = &header; request.headers.count = 1);
    REFUSES_REQUEST(request.headers.items = &name; request.headers.count = 1);
    REFUSES_REQUEST(request.headers.count = 1);
    REFUSES_REQUEST(request.body = ((struct pn_str){ "", 1 << 21 }));
    REFUSES_REQUEST(request.timeout_ms = -1);
    REFUSES_REQUEST(request.client_certificate = ((struct pn_str){ "c", 1 }));
    REFUSES_REQUEST(request.client_key = ((struct pn_str){ "k", 1 }));
}

static void a_step_is_exactly_one_of_two(void **state)
{
    struct pn_str url = text("https://x.example/");
    struct pn_http_request request = sound_request(&url);
    struct pn_result result = sound_result();
    (void) state;
    call_begin(&call, arena, "main");
    assert_false(check_step(&call, &(struct pn_step){ .size = sizeof(struct pn_step) }));
    assert_false(check_step(&call, &(struct pn_step){ .next = &request, .done = &result }));
    assert_true(check_step(&call, &(struct pn_step){ .next = &request }));
    assert_true(check_step(&call, &(struct pn_step){ .done = &result }));
}

static void unsound_notifications_and_replies_are_refused(void **state)
{
    struct pn_result result = sound_result();
    (void) state;
    call_begin(&call, arena, "main");
    assert_false(check_notification(&call, &(struct pn_notification){ .verdict = 0 }));
    assert_false(check_notification(&call, &(struct pn_notification){ .verdict = 4 }));
    assert_false(check_notification(&call, &(struct pn_notification){ .verdict = PN_AUTHENTIC }));
    assert_false(check_notification(&call, &(struct pn_notification){ .verdict = PN_HINT }));
    assert_true(check_notification(&call, &(struct pn_notification){ .verdict = PN_HINT, .pay_no = text("1") }));
    assert_true(check_notification(&call, &(struct pn_notification){ .verdict = PN_AUTHENTIC, .result = &result }));
    result.pay_no = text("");
    assert_false(check_notification(&call, &(struct pn_notification){ .verdict = PN_AUTHENTIC, .result = &result }));
    assert_true(check_reply(&(struct pn_reply){ .status = 204 }));
    assert_false(check_reply(&(struct pn_reply){ .status = 0 }));
    assert_false(check_reply(&(struct pn_reply){ .status = 200, .content_type = text("text/plain\r\nX: y") }));
    assert_false(check_reply(&(struct pn_reply){ .status = 200, .body = { "", 1 << 20 } }));
}

/* ---- a sink that works */

static int settled_count;
static enum pn_outcome last_outcome;

static void on_settled(void *arg, uint64_t ticket, enum pn_outcome outcome, const char *reason)
{
    assert_ptr_equal(arg, &settled_count);
    assert_true(ticket >= 100 && ticket < 104);
    assert_non_null(reason);
    last_outcome = outcome;
    settled_count++;
}

static void a_sink_delivers_and_settles_each_ticket_once(void **state)
{
    struct plugin *plugin;
    struct sink *sink;
    struct pn_event event = { .size = sizeof event, .attempt = 1, .id = text("7"), .type = text("payment.succeeded"), .body = text("{}") };
    const char *path = scratch_path("events");
    int wake[2];
    (void) state;
    settled_count = 0;
    assert_int_equal(pipe(wake), 0);
    assert_int_equal(plugin_load("good-sink", test_plugin_dir(), PN_KIND_SINK, &plugin, NULL), RC_OK);
    struct sink_plugin *ready = sink_plugin_new(plugin, "shop", settings_for(plugin, arena, "path", path), arena);
    assert_int_equal(sink_open(ready, on_settled, &settled_count, &sink, NULL), RC_OK);
    assert_int_equal(sink_connect(sink, 100, NULL), RC_OK);
    for (uint64_t ticket = 100; ticket < 103; ticket++)
        assert_int_equal(sink_submit(sink, &event, ticket), PN_SUBMITTED);
    assert_int_equal(sink_pump(sink, 0, wake[0]), PN_SUBMITTED);
    assert_int_equal(settled_count, 3);
    assert_int_equal(last_outcome, PN_DELIVERED);
    assert_int_equal(sink_submit(sink, &event, 103), PN_SUBMITTED);
    sink_interrupt(sink);
    sink_close(sink);
    sink_close(NULL);
    assert_int_equal(settled_count, 4);
    assert_int_equal(last_outcome, PN_UNAVAILABLE);
    char line[64];
    FILE *file = fopen(path, "r");
    assert_non_null(fgets(line, sizeof line, file));
    fclose(file);
    assert_string_equal(line, "7 payment.succeeded {}\n");
    close(wake[0]);
    close(wake[1]);
}

static void a_sink_that_does_not_open_names_its_setting(void **state)
{
    struct plugin *plugin;
    struct sink *sink = NULL;
    struct error err = { 0 };
    (void) state;
    assert_int_equal(plugin_load("good-sink", test_plugin_dir(), PN_KIND_SINK, &plugin, NULL), RC_OK);
    struct sink_plugin *ready = sink_plugin_new(plugin, "shop", settings_for(plugin, arena, "path", "/nowhere/at/all"), arena);
    assert_int_equal(sink_open(ready, on_settled, NULL, &sink, &err), RC_CONFIG);
    assert_string_equal(err.field, "path");
    assert_null(sink);
}

static int set_up(void **state)
{
    scratch_make();
    return open_channel(state);
}

static int tear_down(void **state)
{
    scratch_remove();
    return close_channel(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_are_found_by_name),
        cmocka_unit_test(a_request_ends_in_a_result_or_in_something_to_send),
        cmocka_unit_test(a_refusal_says_why_and_leaves_the_output_alone),
        cmocka_unit_test(an_answer_is_checked_before_it_reaches_the_store),
        cmocka_unit_test(a_notification_is_judged_and_answered),
        cmocka_unit_test(memory_beyond_the_call_s_limit_is_refused_by_the_host),
        cmocka_unit_test(a_channel_that_does_not_open_names_its_setting),
        cmocka_unit_test(unsound_results_are_refused),
        cmocka_unit_test(informative_texts_are_mended_instead),
        cmocka_unit_test(mended_texts_are_cut_between_characters),
        cmocka_unit_test(unsound_requests_are_refused),
        cmocka_unit_test(a_step_is_exactly_one_of_two),
        cmocka_unit_test(unsound_notifications_and_replies_are_refused),
        cmocka_unit_test(a_sink_delivers_and_settles_each_ticket_once),
        cmocka_unit_test(a_sink_that_does_not_open_names_its_setting),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
