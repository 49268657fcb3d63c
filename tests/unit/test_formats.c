/* The bodies that consumers of the reference systems parse, byte for byte, and what happens to data that is broken. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "outbox/formats.h"
#include "outbox/json.h"

static const struct event event_base = {
    .event_id = 7265123456789012345,
    .type = "payment.succeeded",
    .app = "learning",
    .order_type = "60201",
    .order_id = 7265123456789012000,
    .pay_no = 7265123456789012001,
    .trade_no = "2024052022001412345678901234",
    .created_at = 1716182060123,
    .data = "{\"id\":\"7265123456789012345\",\"type\":\"payment.succeeded\",\"time\":\"2024-05-20T05:14:20.123Z\","
            "\"app\":\"learning\",\"order_id\":\"7265123456789012000\",\"out_business_id\":\"1680123456789012345\","
            "\"order_type\":\"60201\",\"pay_no\":\"7265123456789012001\",\"channel\":\"wallet\","
            "\"trade_no\":\"2024052022001412345678901234\",\"payer\":\"2088102116773037\",\"amount\":\"88.80\","
            "\"refunded_amount\":\"0.00\",\"currency\":\"CNY\",\"order_status\":600002,\"payment_status\":601002,"
            "\"paid_at\":\"2024-05-20T05:14:20Z\",\"provider\":{\"out_trade_no\":\"7265123456789012001\","
            "\"sign\":\"secret\",\"nonce_str\":\"n\",\"total_fee\":\"8880\",\"return_code\":\"x\"}}",
};

static struct pn_event *render(enum event_format format, const struct event *event)
{
    struct buf scratch = { 0 };
    struct pn_event *made = NULL;
    assert_int_equal(format_render(format, event, &scratch, &made), RC_OK);
    buf_free(&scratch);
    assert_int_equal(made->body.data[made->body.len], 0);
    json_t *parsed = json_loadb(made->body.data, made->body.len, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(parsed);
    json_decref(parsed);
    return made;
}

static enum rc refusal(const char *data)
{
    struct event event = event_base;
    struct buf scratch = { 0 };
    struct pn_event *made = NULL;
    event.data = data;
    enum rc rc = format_render(FORMAT_MQMESSAGE, &event, &scratch, &made);
    buf_free(&scratch);
    free(made);
    return rc;
}

static void check_text(struct pn_str text, const char *wanted)
{
    assert_string_equal(text.data, wanted);
    assert_int_equal(text.len, strlen(wanted));
}

static void mqmessage_has_the_five_fields_and_everything_else_under_payment(void **state)
{
    (void)state;
    struct pn_event *made = render(FORMAT_MQMESSAGE, &event_base);
    check_text(made->body,
        "{\"id\":7265123456789012345,\"messageType\":\"payresult_notify\",\"businessKey1\":\"1680123456789012345\","
        "\"businessKey2\":\"60201\",\"businessKey3\":null,\"payment\":{\"pay_no\":\"7265123456789012001\","
        "\"trade_no\":\"2024052022001412345678901234\",\"channel\":\"wallet\",\"amount\":\"88.80\",\"currency\":\"CNY\","
        "\"paid_at\":\"2024-05-20T05:14:20Z\",\"app\":\"learning\",\"order_id\":\"7265123456789012000\","
        "\"payer\":\"2088102116773037\"}}");
    assert_true(made->body.len < 400);
    check_text(made->content_type, "application/json");
    assert_null(made->content_encoding.data);
    free(made);
}

static void the_event_carries_what_a_sink_may_route_by(void **state)
{
    (void)state;
    struct pn_event *made = render(FORMAT_MQMESSAGE, &event_base);
    check_text(made->id, "7265123456789012345");
    check_text(made->type, "payment.succeeded");
    check_text(made->app, "learning");
    check_text(made->order_id, "7265123456789012000");
    check_text(made->out_business_id, "1680123456789012345");
    check_text(made->order_type, "60201");
    check_text(made->pay_no, "7265123456789012001");
    check_text(made->channel, "wallet");
    assert_int_equal(made->created_at_ms, 1716182060123);
    assert_int_equal(made->attempt, 1);
    free(made);
}

static void what_is_missing_is_null_or_left_out(void **state)
{
    (void)state;
    struct event event = event_base;
    event.order_type = NULL;
    event.data = "{\"out_business_id\":\"1\",\"pay_no\":null, \"amount\" : \"1.00\"}";
    struct pn_event *made = render(FORMAT_MQMESSAGE, &event);
    check_text(made->body, "{\"id\":7265123456789012345,\"messageType\":\"payresult_notify\",\"businessKey1\":\"1\",\"businessKey2\":null,"
                           "\"businessKey3\":null,\"payment\":{\"amount\":\"1.00\"}}");
    assert_null(made->order_type.data);
    assert_null(made->channel.data);
    free(made);
}

static void attach_is_passed_on_as_the_caller_wrote_it(void **state)
{
    (void)state;
    struct event event = event_base;
    event.data = "{\"out_business_id\":\"1\",\"attach\":{\"coupon\":[1,{\"a\":null}],\"t\":\"\\\"}\"},\"amount\":\"1.00\"}";
    struct pn_event *made = render(FORMAT_MQMESSAGE, &event);
    assert_non_null(strstr(made->body.data, "\"amount\":\"1.00\",\"attach\":{\"coupon\":[1,{\"a\":null}],\"t\":\"\\\"}\"}}}"));
    free(made);
}

static void provider_has_the_shops_number_and_no_secrets(void **state)
{
    (void)state;
    struct pn_event *made = render(FORMAT_PROVIDER, &event_base);
    check_text(made->body, "{\"out_trade_no\":\"1680123456789012345\",\"pay_no\":\"7265123456789012001\",\"return_code\":\"SUCCESS\","
                           "\"result_code\":\"SUCCESS\",\"total_fee\":\"8880\","
                           "\"transaction_id\":\"2024052022001412345678901234\",\"time_end\":\"20240520131420\"}");
    check_text(made->content_type, "text/plain");
    check_text(made->content_encoding, "UTF-8");
    free(made);
}

static void the_providers_own_transaction_id_and_time_stay(void **state)
{
    (void)state;
    struct event event = event_base;
    event.data = "{\"out_business_id\":\"1\",\"pay_no\":\"2\",\"trade_no\":\"t\",\"paid_at\":\"2024-05-20T05:14:20Z\","
                 "\"provider\":{\"transaction_id\":\"own\",\"time_end\":\"20990101000000\"}}";
    struct pn_event *made = render(FORMAT_PROVIDER, &event);
    check_text(made->body, "{\"out_trade_no\":\"1\",\"pay_no\":\"2\",\"return_code\":\"SUCCESS\",\"result_code\":\"SUCCESS\","
                           "\"transaction_id\":\"own\",\"time_end\":\"20990101000000\"}");
    free(made);
}

static void escapes_reach_the_sink_as_text_and_the_body_as_they_are(void **state)
{
    (void)state;
    struct event event = event_base;
    event.data = "{\"out_business_id\":\"a\\\"\\u4e91\\ud83d\\ude00\\n/\\/\xe4\xba\x91\"}";
    struct pn_event *made = render(FORMAT_MQMESSAGE, &event);
    check_text(made->out_business_id, "a\"\xe4\xba\x91\xf0\x9f\x98\x80\n//\xe4\xba\x91");
    assert_non_null(strstr(made->body.data, "\"businessKey1\":\"a\\\"\\u4e91\\ud83d\\ude00\\n/\\/\xe4\xba\x91\""));
    free(made);
}

static void broken_data_is_refused(void **state)
{
    (void)state;
    static const char *const broken[] = {
        "", " ", "{", "}", "[]", "1", "null", "{}x", "{,}", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{\"a\":1 \"b\":2}", "{a:1}",
        "{\"a\":01}", "{\"a\":-}", "{\"a\":1.}", "{\"a\":1e}", "{\"a\":.5}", "{\"a\":+1}", "{\"a\":tru}", "{\"a\":nul}", "{\"a\":\"}",
        "{\"a\":\"\\x\"}", "{\"a\":\"\\u12g4\"}", "{\"a\":\"\\u12\"}", "{\"a\":\"\\", "{\"a\":\"\n\"}", "{\"a\":[1,]}", "{\"a\":[1}}",
        "{\"a\":{\"b\":1]}", "{\"a\":[}", "{\"a\":{\"b\"}}", "{\"a\":{1:2}}", "{\"a\":{\"b\":1,}}", "{\"a\":[[[]}", "{\"a\":1}}",
        "{\"out_business_id\":1}", "{\"out_business_id\":\"\\ud800\"}", "{\"out_business_id\":\"\\udc00x\"}",
        "{\"out_business_id\":\"\\u0000\"}", "{\"channel\":[]}",
    };
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        if (refusal(broken[i]) != RC_DATA)
            print_message("# taken: %s\n", broken[i]);
        assert_int_equal(refusal(broken[i]), RC_DATA);
    }
}

static void nesting_is_bounded(void **state)
{
    (void)state;
    for (int depth = 60; depth < 70; depth++) {
        struct buf text = { 0 };
        buf_adds(&text, "{\"a\":");
        for (int i = 0; i < depth; i++)
            buf_adds(&text, i % 2 ? "{\"b\":" : "[");
        buf_addc(&text, '1');
        for (int i = depth; i-- > 0;)
            buf_addc(&text, i % 2 ? '}' : ']');
        buf_addc(&text, '}');
        assert_int_equal(refusal(buf_text(&text)), depth <= 64 ? RC_OK : RC_DATA);
        buf_free(&text);
    }
}

static void odd_but_right_data_is_taken(void **state)
{
    (void)state;
    static const char *const fine[] = {
        "{}", " {\t}\r\n", "{\"\":\"\"}", "{\"a\":[]}", "{\"a\":{}}", "{\"a\":[{},[],[[]],{\"b\":[]}]}", "{\"a\":-0.5e+10,\"b\":0}",
        "{\"a\":1E5}", "{\"a\":[true,false,null]}", "{ \"a\" : [ 1 , 2 ] , \"b\" : { \"c\" : 1 } }", "{\"a\":1,\"a\":2}",
    };
    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++) {
        if (refusal(fine[i]) != RC_OK)
            print_message("# refused: %s\n", fine[i]);
        assert_int_equal(refusal(fine[i]), RC_OK);
    }
}

static void nothing_but_a_success_is_carried(void **state)
{
    (void)state;
    static const char *const others[] = { "payment.late", "payment.duplicate", "payment.review", "order.closed", "refund.succeeded",
                                          "refund.failed", "", "payment.succeeded2" };
    for (enum event_format format = FORMAT_MQMESSAGE; format <= FORMAT_PROVIDER; format++) {
        assert_true(format_carries(format, "payment.succeeded"));
        for (size_t i = 0; i < sizeof others / sizeof *others; i++)
            assert_false(format_carries(format, others[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mqmessage_has_the_five_fields_and_everything_else_under_payment),
        cmocka_unit_test(the_event_carries_what_a_sink_may_route_by),
        cmocka_unit_test(what_is_missing_is_null_or_left_out),
        cmocka_unit_test(attach_is_passed_on_as_the_caller_wrote_it),
        cmocka_unit_test(provider_has_the_shops_number_and_no_secrets),
        cmocka_unit_test(the_providers_own_transaction_id_and_time_stay),
        cmocka_unit_test(escapes_reach_the_sink_as_text_and_the_body_as_they_are),
        cmocka_unit_test(broken_data_is_refused),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(odd_but_right_data_is_taken),
        cmocka_unit_test(nothing_but_a_success_is_carried),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
