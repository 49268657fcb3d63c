/*
 * Refunds: what is asked of Alipay, byte for byte as in tests/vectors/alipay-sign.json; which answers are certain and which
 * leave the outcome open; what each refusal comes to.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/form.h"
#include "unit/alipay_fixture.h"

static struct alipay_channel channel;

static void assert_str(struct pn_str got, struct pn_str want)
{
    if (!str_eq(got, want))
        fail_msg("got \"%.*s\", wanted \"%.*s\"", (int)got.len, got.data ? got.data : "", (int)want.len, want.data ? want.data : "");
}

static struct pn_payment refund(enum pn_operation operation)
{
    struct pn_payment payment = alipay_payment(operation, "wap", STR("42"));

    payment.refund_no = STR("RF1");
    payment.refund_minor = 100;
    return payment;
}

/* ---- what is asked */

/* The parameters of a call, encoded in the order in which they were signed, as the vectors have them. */
static void assert_asked_as_recorded(const struct pn_payment *payment, size_t number, const char *id)
{
    json_t *root = vectors_load("alipay-sign");
    const json_t *item = json_array_get(json_object_get(root, "cases"), number);
    static char text[16384], all[16384];
    struct pn_kv fields[32], sign = { { NULL, 0 }, { NULL, 0 } };
    struct pn_step step;
    struct pn_str url;
    const char *query;
    size_t count = 0, more = 0, kept = 0;

    assert_str(vector_str(item, "id"), str_of(id));
    assert_int_equal(alipay_channel_request(&channel, payment, &step), PN_OK);
    url = step.next->urls.items[0];
    query = memchr(url.data, '?', url.len);
    assert_non_null(query);
    assert_true(url.len + step.next->body.len < sizeof(text));
    assert_null(form_parse((struct pn_str){ query + 1, url.len - (size_t)(query + 1 - url.data) }, text, fields, &count));
    assert_null(form_parse(step.next->body, text + url.len, fields + count, &more));
    count += more;
    for (size_t i = 0; i < count; i++)
        if (str_is(fields[i].name, "sign"))
            sign = fields[i];
        else
            fields[kept++] = fields[i];
    params_sort(fields, kept);
    fields[kept++] = sign;
    assert_str((struct pn_str){ all, form_write(fields, kept, all) }, vector_str(item, "encoded_sorted_query"));
    assert_int_equal(step.next->flags, PN_HTTP_REPEATABLE);
    json_decref(root);
}

static void a_refund_is_asked_for_as_recorded(void **state)
{
    struct pn_payment payment = refund(PN_REFUND);

    (void)state;
    payment.pay_no = STR("PN20240520131415000003");
    payment.refund_no = STR("RFPN20240520131415000003");
    payment.refund_reason = STR("正常退款");
    assert_asked_as_recorded(&payment, 8, "alipay-sign-09");
}

static void a_refund_query_is_asked_as_recorded(void **state)
{
    struct pn_payment payment = refund(PN_REFUND_QUERY);

    (void)state;
    payment.pay_no = STR("PN20240520131415000003");
    payment.refund_no = STR("RFPN20240520131415000003");
    assert_asked_as_recorded(&payment, 9, "alipay-sign-10");
}

static void assert_content(const struct pn_payment *payment, const char *want)
{
    static char text[4096];
    struct pn_kv body;
    struct pn_step step;
    size_t count = 0;

    assert_int_equal(alipay_channel_request(&channel, payment, &step), PN_OK);
    assert_true(step.next->body.len < sizeof(text));
    assert_null(form_parse(step.next->body, text, &body, &count));
    assert_str(body.value, str_of(want));
}

static void a_full_refund_names_its_number_too(void **state)
{
    struct pn_payment payment = refund(PN_REFUND);

    (void)state;
    payment.refund_minor = payment.amount_minor;
    assert_content(&payment, "{\"out_trade_no\":\"42\",\"refund_amount\":\"88.80\",\"out_request_no\":\"RF1\"}");
    payment.refund_reason = STR(" \n ");
    assert_content(&payment, "{\"out_trade_no\":\"42\",\"refund_amount\":\"88.80\",\"out_request_no\":\"RF1\"}");
    payment.refund_reason = STR("a&b=c/d\x01");
    assert_content(&payment, "{\"out_trade_no\":\"42\",\"refund_amount\":\"88.80\",\"refund_reason\":\"a＆b＝c／d \","
                             "\"out_request_no\":\"RF1\"}");
}

static void assert_fails(struct pn_payment payment, const char *field)
{
    struct pn_step step;

    assert_int_equal(alipay_channel_request(&channel, &payment, &step), PN_BAD_INPUT);
    assert_int_equal(channel.call.failures, 1);
    assert_string_equal(channel.call.field, field);
    assert_null(step.next);
}

static void a_refund_without_number_or_amount_is_never_sent(void **state)
{
    static const enum pn_operation operations[] = { PN_REFUND, PN_REFUND_QUERY };
    static const char number[] = "12345678901234567890123456789012345678901234567890123456789012345";
    struct pn_payment payment;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        payment = refund(operations[i]);
        payment.refund_no = (struct pn_str){ NULL, 0 };
        assert_fails(payment, "refund_no");
        payment.refund_no = str_of(number);
        assert_fails(payment, "refund_no");
    }
    payment = refund(PN_REFUND);
    payment.refund_minor = 0;
    assert_fails(payment, "amount");
    payment.refund_minor = INT64_C(10000000001);
    assert_fails(payment, "amount");
    payment = refund(PN_REFUND);
    payment.currency = STR("USD");
    assert_fails(payment, "currency");
}

/* ---- what is answered */

static int respond(enum pn_operation operation, const char *node, struct pn_step *ret_step)
{
    struct pn_payment payment = refund(operation);
    char *sign = alipay_signed(str_of(node)), body[2048];
    int rc;

    snprintf(body, sizeof(body), "{\"alipay_trade_%s_response\":%s,\"sign\":\"%s\"}",
             operation == PN_REFUND ? "refund" : "fastpay_refund_query", node, sign);
    rc = alipay_channel_response(&channel, &payment, 200, str_of(body), ret_step);
    free(sign);
    return rc;
}

static int refuse(enum pn_operation operation, const char *code, const char *sub_code, struct pn_step *ret_step)
{
    char node[256];

    snprintf(node, sizeof(node), "{\"code\":\"%s\",\"msg\":\"m\",\"sub_code\":\"%s\",\"sub_msg\":\"交易\"}", code, sub_code);
    return respond(operation, node, ret_step);
}

static void assert_no_result(int rc, int want, const struct pn_step *step, const char *text)
{
    assert_int_equal(rc, want);
    assert_int_equal(channel.call.failures, 1);
    assert_int_equal(channel.call.rc, want);
    assert_null(step->done);
    assert_null(step->next);
    if (!strstr(channel.call.text, text))
        fail_msg("\"%s\" does not say \"%s\"", channel.call.text, text);
}

static void money_that_moved_is_refunded_and_the_fee_is_the_total(void **state)
{
    struct pn_step step;

    (void)state;
    assert_int_equal(respond(PN_REFUND,
                             "{\"code\":\"10000\",\"msg\":\"Success\",\"out_trade_no\":\"42\",\"trade_no\":\"T1\",\"fund_change\":\"Y\","
                             "\"refund_fee\":\"51.00\",\"refund_detail_item_list\":[{\"amount\":\"1.00\"}]}",
                             &step),
                     PN_OK);
    assert_int_equal(step.done->state, PN_STATE_REFUNDED);
    assert_str(step.done->pay_no, STR("42"));
    assert_str(step.done->refund_no, STR("RF1"));
    assert_str(step.done->trade_no, STR("T1"));
    assert_str(step.done->currency, STR("CNY"));
    assert_int_equal(step.done->refunded_minor, 5100); /* of which this refund is 1.00 */
    assert_int_equal(step.done->total_minor, PN_NOT_STATED);
    assert_str(kv_get(step.done->fields, "refund_detail_item_list"), STR("[{\"amount\":\"1.00\"}]"));
}

static void a_total_that_is_not_stated_is_not_invented(void **state)
{
    struct pn_step step;

    (void)state;
    assert_int_equal(respond(PN_REFUND, "{\"code\":\"10000\",\"out_trade_no\":\"42\",\"fund_change\":\"Y\"}", &step), PN_OK);
    assert_int_equal(step.done->state, PN_STATE_REFUNDED);
    assert_int_equal(step.done->refunded_minor, PN_NOT_STATED);
}

static void accepted_without_moved_money_is_unknown(void **state)
{
    static const char *const rests[] = { "", ",\"fund_change\":\"N\"", ",\"fund_change\":\"y\"", ",\"fund_change\":true",
                                         ",\"fund_change\":\"N\",\"refund_fee\":\"1.00\"" };
    struct pn_step step;

    (void)state;
    for (size_t i = 0; i < sizeof(rests) / sizeof(rests[0]); i++) {
        char node[160];

        snprintf(node, sizeof(node), "{\"code\":\"10000\",\"out_trade_no\":\"42\"%s}", rests[i]);
        assert_int_equal(respond(PN_REFUND, node, &step), PN_OK);
        assert_int_equal(step.done->state, PN_STATE_UNKNOWN);
        assert_str(step.done->refund_no, STR("RF1"));
        assert_int_equal(step.done->refunded_minor, PN_NOT_STATED);
    }
}

static void strange_amounts_and_strangers_are_unknown(void **state)
{
    static const struct {
        enum pn_operation operation;
        const char *rest, *text;
    } strange[] = {
        { PN_REFUND, "\"out_trade_no\":\"42\",\"fund_change\":\"Y\",\"refund_fee\":\"0.99\"", "less was refunded" },
        { PN_REFUND, "\"out_trade_no\":\"42\",\"fund_change\":\"Y\",\"refund_fee\":1.00", "refund_fee is not an amount" },
        { PN_REFUND, "\"out_trade_no\":\"42\",\"fund_change\":\"Y\",\"refund_fee\":\"-1.00\"", "refund_fee is not an amount" },
        { PN_REFUND, "\"out_trade_no\":\"43\",\"fund_change\":\"Y\",\"refund_fee\":\"1.00\"", "another payment" },
        { PN_REFUND, "\"fund_change\":\"Y\",\"refund_fee\":\"1.00\"", "another payment" },
        { PN_REFUND_QUERY, "\"out_trade_no\":\"43\",\"out_request_no\":\"RF1\",\"refund_status\":\"REFUND_SUCCESS\"", "another payment" },
        { PN_REFUND_QUERY, "\"out_request_no\":\"RF1\",\"refund_status\":\"REFUND_SUCCESS\"", "another refund" },
        { PN_REFUND_QUERY, "\"out_trade_no\":\"42\",\"refund_status\":\"REFUND_SUCCESS\"", "another refund" },
        { PN_REFUND_QUERY, "\"out_trade_no\":\"42\",\"out_request_no\":\"RF2\",\"refund_status\":\"REFUND_SUCCESS\"", "another refund" },
        { PN_REFUND_QUERY, "\"out_trade_no\":\"42\",\"out_request_no\":\"RF1\",\"refund_status\":\"REFUND_SUCCESS\",\"refund_amount\":\"2\"",
          "another amount" },
        { PN_REFUND_QUERY, "\"out_trade_no\":\"42\",\"out_request_no\":\"RF1\",\"refund_status\":\"REFUND_SUCCESS\",\"refund_amount\":1",
          "another amount" },
        { PN_REFUND_QUERY, "\"out_trade_no\":\"42\",\"out_request_no\":\"RF1\",\"refund_status\":\"REFUND_SUCCESS\",\"total_amount\":\"x\"",
          "total_amount is not an amount" },
    };
    struct pn_step step;

    (void)state;
    for (size_t i = 0; i < sizeof(strange) / sizeof(strange[0]); i++) {
        char node[320];

        snprintf(node, sizeof(node), "{\"code\":\"10000\",%s}", strange[i].rest);
        assert_no_result(respond(strange[i].operation, node, &step), PN_UNKNOWN, &step, strange[i].text);
    }
}

static void a_query_that_finds_the_refund_says_so(void **state)
{
    struct pn_step step;

    (void)state;
    assert_int_equal(respond(PN_REFUND_QUERY,
                             "{\"code\":\"10000\",\"out_trade_no\":\"42\",\"out_request_no\":\"RF1\",\"trade_no\":\"T1\","
                             "\"refund_status\":\"REFUND_SUCCESS\",\"refund_amount\":\"1\",\"total_amount\":\"88.80\"}",
                             &step),
                     PN_OK);
    assert_int_equal(step.done->state, PN_STATE_REFUNDED);
    assert_str(step.done->refund_no, STR("RF1"));
    assert_str(step.done->trade_no, STR("T1"));
    assert_int_equal(step.done->total_minor, 8880);
    assert_int_equal(step.done->refunded_minor, PN_NOT_STATED); /* refund_amount is this refund, not the total */
    assert_str(kv_get(step.done->fields, "refund_amount"), STR("1"));
}

static void a_query_that_finds_nothing_leaves_it_open(void **state)
{
    static const char *const nodes[] = {
        "{\"code\":\"10000\",\"msg\":\"Success\"}",
        "{\"code\":\"10000\",\"out_trade_no\":\"42\",\"out_request_no\":\"RF1\",\"refund_amount\":\"1.00\"}",
        "{\"code\":\"10000\",\"out_trade_no\":\"42\",\"out_request_no\":\"RF1\",\"refund_status\":\"REFUND_PROCESSING\"}",
        "{\"code\":\"10000\",\"refund_status\":\"REFUND_FAIL\"}",
        "{\"code\":\"10000\",\"refund_status\":null}",
    };
    struct pn_step step;

    (void)state;
    for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++) {
        assert_int_equal(respond(PN_REFUND_QUERY, nodes[i], &step), PN_OK);
        assert_int_equal(step.done->state, PN_STATE_UNKNOWN);
        assert_str(step.done->refund_no, STR("RF1"));
    }
}

static void a_certain_refusal_is_declined_with_its_code(void **state)
{
    static const char *const sub_codes[] = {
        "ACQ.TRADE_NOT_EXIST", "ACQ.SELLER_BALANCE_NOT_ENOUGH", "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL", "ACQ.REASON_TRADE_REFUND_FEE_ERR",
        "ACQ.TRADE_HAS_FINISHED", "ACQ.TRADE_NOT_ALLOW_REFUND", "ACQ.REASON_TRADE_BEEN_FREEZEN", "ACQ.INVALID_PARAMETER",
        "ACQ.ACCESS_FORBIDDEN", "ACQ.PARTNER_ERROR",
    };
    static const char *const codes[] = { "20001", "40001", "40002", "40003", "40006" };
    struct pn_step step;

    (void)state;
    for (size_t i = 0; i < sizeof(sub_codes) / sizeof(sub_codes[0]); i++)
        assert_no_result(refuse(PN_REFUND, "40004", sub_codes[i], &step), PN_DECLINED, &step, sub_codes[i]);
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        assert_no_result(refuse(PN_REFUND, codes[i], "isv.x", &step), PN_DECLINED, &step, "isv.x");
    assert_no_result(refuse(PN_REFUND, "40005", "isv.app-call-limited", &step), PN_NOT_DONE, &step, "isv.app-call-limited");
}

/* A refund that an earlier try has made closes the trade, and what has its number may be it. */
static void other_refusals_leave_a_refund_open(void **state)
{
    static const char *const sub_codes[] = {
        "ACQ.SYSTEM_ERROR", "AQC.SYSTEM_ERROR", "ACQ.DISCORDANT_REPEAT_REQUEST", "ACQ.REASON_TRADE_STATUS_INVALID",
        "ACQ.TRADE_STATUS_ERROR", "ACQ.TRADE_HAS_CLOSE", "ACQ.SOMETHING_NEW",
    };
    struct pn_step step;

    (void)state;
    for (size_t i = 0; i < sizeof(sub_codes) / sizeof(sub_codes[0]); i++)
        assert_no_result(refuse(PN_REFUND, "40004", sub_codes[i], &step), PN_UNKNOWN, &step, sub_codes[i]);
    assert_no_result(refuse(PN_REFUND, "20000", "aop.unknow-error", &step), PN_UNKNOWN, &step, "aop.unknow-error");
    assert_no_result(refuse(PN_REFUND, "99999", "", &step), PN_UNKNOWN, &step, "99999");
    assert_no_result(respond(PN_REFUND, "{}", &step), PN_UNKNOWN, &step, "");
    assert_no_result(respond(PN_REFUND, "{\"code\":10000,\"out_trade_no\":\"42\",\"fund_change\":\"Y\"}", &step), PN_UNKNOWN, &step, "");
}

static void a_refund_query_that_is_refused_teaches_nothing(void **state)
{
    static const char *const codes[] = { "20000", "20001", "40001", "40002", "40003", "40005", "40006", "99999" };
    struct pn_step step;

    (void)state;
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        assert_no_result(refuse(PN_REFUND_QUERY, codes[i], "", &step), PN_UNKNOWN, &step, codes[i]);
    assert_no_result(refuse(PN_REFUND_QUERY, "40004", "ACQ.TRADE_NOT_EXIST", &step), PN_UNKNOWN, &step, "ACQ.TRADE_NOT_EXIST");
}

/* The refund's answer is no answer to the refund query, and the other way round. */
static void an_answer_to_another_method_is_not_believed(void **state)
{
    struct pn_payment payment = refund(PN_REFUND_QUERY);
    static const char node[] = "{\"code\":\"10000\",\"out_trade_no\":\"42\",\"fund_change\":\"Y\"}";
    char *sign = alipay_signed(str_of(node)), body[1024];
    struct pn_step step;

    (void)state;
    snprintf(body, sizeof(body), "{\"alipay_trade_refund_response\":%s,\"sign\":\"%s\"}", node, sign);
    assert_no_result(alipay_channel_response(&channel, &payment, 200, str_of(body), &step), PN_UNKNOWN, &step, "not one to this method");
    free(sign);
}

static void lack_of_memory_is_an_internal_fault(void **state)
{
    static const enum pn_operation operations[] = { PN_REFUND, PN_REFUND_QUERY };
    static const char node[] = "{\"code\":\"10000\",\"out_trade_no\":\"42\",\"fund_change\":\"Y\",\"out_request_no\":\"RF1\","
                               "\"refund_status\":\"REFUND_SUCCESS\"}";
    char *sign = alipay_signed(str_of(node)), bodies[2][1024];

    (void)state;
    snprintf(bodies[0], sizeof(bodies[0]), "{\"alipay_trade_refund_response\":%s,\"sign\":\"%s\"}", node, sign);
    snprintf(bodies[1], sizeof(bodies[1]), "{\"alipay_trade_fastpay_refund_query_response\":%s,\"sign\":\"%s\"}", node,
             sign);
    for (size_t i = 0; i < 2; i++) {
        struct pn_payment payment = refund(operations[i]);
        struct pn_http_response response = { .size = sizeof(response), .status = 200, .body = str_of(bodies[i]) };
        int rc = PN_INTERNAL;

        for (size_t allowed = 0; rc != PN_OK; allowed++) {
            struct pn_step step = { .size = sizeof(step) };

            plugin_call_free(&channel.call);
            channel.call.allocs_left = allowed;
            rc = pn_plugin.channel->response(channel.state, &channel.call, &payment, 1, &response, &step);
            assert_true(rc == PN_OK || (rc == PN_INTERNAL && !step.done));
            assert_true(allowed < 100);
        }
    }
    free(sign);
}

int main(void)
{
    struct suite *suite = suite_new();
    int failed;

    alipay_channel_open(&channel, NULL, true);
    SUITE_ADD(suite, a_refund_is_asked_for_as_recorded);
    SUITE_ADD(suite, a_refund_query_is_asked_as_recorded);
    SUITE_ADD(suite, a_full_refund_names_its_number_too);
    SUITE_ADD(suite, a_refund_without_number_or_amount_is_never_sent);
    SUITE_ADD(suite, money_that_moved_is_refunded_and_the_fee_is_the_total);
    SUITE_ADD(suite, a_total_that_is_not_stated_is_not_invented);
    SUITE_ADD(suite, accepted_without_moved_money_is_unknown);
    SUITE_ADD(suite, strange_amounts_and_strangers_are_unknown);
    SUITE_ADD(suite, a_query_that_finds_the_refund_says_so);
    SUITE_ADD(suite, a_query_that_finds_nothing_leaves_it_open);
    SUITE_ADD(suite, a_certain_refusal_is_declined_with_its_code);
    SUITE_ADD(suite, other_refusals_leave_a_refund_open);
    SUITE_ADD(suite, a_refund_query_that_is_refused_teaches_nothing);
    SUITE_ADD(suite, an_answer_to_another_method_is_not_believed);
    SUITE_ADD(suite, lack_of_memory_is_an_internal_fault);
    failed = suite_run(suite, "alipay refund");
    alipay_channel_close(&channel);
    return failed;
}
