/*
 * Gateway answers: every case of tests/vectors/alipay-response.json is believed or not as recorded, and read from the signed
 * bytes; then what each operation makes of each code.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/charset.h"
#include "unit/alipay_fixture.h"

static struct alipay_channel channel;

static void assert_str(struct pn_str got, struct pn_str want)
{
    if (!str_eq(got, want))
        fail_msg("got \"%.*s\", wanted \"%.*s\"", (int)got.len, got.data ? got.data : "", (int)want.len, want.data ? want.data : "");
}

/* ---- the vectors */

static enum answer_trust expected_trust(struct pn_str signature)
{
    if (str_is(signature, "valid") || str_is(signature, "valid-after-unescaping-slashes"))
        return ANSWER_SIGNED;
    if (str_is(signature, "invalid"))
        return ANSWER_INVALID;
    if (str_is(signature, "missing"))
        return ANSWER_UNSIGNED;
    assert_true(str_is(signature, "malformed"));
    return ANSWER_MALFORMED;
}

/* The answer's signature, its signed piece, and every member that `expect` names. */
static void trusted_as_recorded(void **state)
{
    const json_t *item = *state, *expect = json_object_get(item, "expect"), *value;
    struct pn_str body = vector_bytes(item, "body");
    struct answer answer;
    const char *name;

    plugin_call_free(&channel.call);
    answer_read(channel.state, &channel.call, vector_str(item, "method").data, body, &answer);
    assert_int_equal(answer.trust, expected_trust(vector_str(expect, "signature")));
    if (answer.trust == ANSWER_SIGNED) {
        struct pn_str want = vector_bytes(item, "signed_text");

        if (str_is(vector_str(expect, "signature"), "valid"))
            assert_str(answer.node_text, want);
        else
            assert_null(memmem(answer.node_text.data, answer.node_text.len, "\\/", 2));
        free((void *)(uintptr_t)want.data);
        assert_null(answer.fault);
    } else {
        assert_non_null(answer.fault);
    }
    if (answer.trust == ANSWER_SIGNED || answer.trust == ANSWER_UNSIGNED)
        json_object_foreach((json_t *)(uintptr_t)expect, name, value)
            if (strcmp(name, "code") == 0 || strcmp(name, "sub_code") == 0 || strcmp(name, "out_trade_no") == 0 ||
                strcmp(name, "total_amount") == 0 || strcmp(name, "trade_no") == 0 || strcmp(name, "subject") == 0 ||
                strcmp(name, "trade_status") == 0 || strcmp(name, "fund_change") == 0 || strcmp(name, "refund_fee") == 0 ||
                strcmp(name, "refund_status") == 0)
                assert_str(vector_str(answer.node, name), vector_str(expect, name));
    json_decref(answer.node);
    free((void *)(uintptr_t)body.data);
}

static enum pn_operation operation_of(struct pn_str method)
{
    if (str_is(method, "alipay.trade.query"))
        return PN_QUERY;
    if (str_is(method, "alipay.trade.close"))
        return PN_CLOSE;
    if (str_is(method, "alipay.trade.precreate"))
        return PN_PREPAY;
    if (str_is(method, "alipay.trade.refund"))
        return PN_REFUND;
    assert_true(str_is(method, "alipay.trade.fastpay.refund.query"));
    return PN_REFUND_QUERY;
}

/* What the channel's response comes to: anything that is not Alipay's word is unknown. */
static void answered_as_recorded(void **state)
{
    const json_t *item = *state, *expect = json_object_get(item, "expect");
    bool is_signed = expected_trust(vector_str(expect, "signature")) == ANSWER_SIGNED;
    struct pn_payment payment = alipay_payment(operation_of(vector_str(item, "method")), "precreate", STR("PN20240520R1"));
    struct pn_str body = vector_bytes(item, "body"), code = vector_str(expect, "code"), status = vector_str(expect, "trade_status");
    struct pn_step step;
    int rc;

    payment.refund_no = STR("RF1");
    payment.refund_minor = 1;
    rc = alipay_channel_response(&channel, &payment, 200, body, &step);
    if (!is_signed || str_is(code, "20000") || str_is(vector_str(expect, "sub_code"), "ACQ.TRADE_HAS_SUCCESS") ||
               str_is(code, "40002")) {
        assert_int_equal(rc, PN_UNKNOWN);
        assert_int_equal(channel.call.failures, 1);
        if (code.len)
            assert_non_null(strstr(channel.call.text, vector_str(expect, "sub_code").data));
    } else {
        assert_int_equal(rc, PN_OK);
        assert_null(step.next);
        assert_str(step.done->pay_no, STR("PN20240520R1"));
        if (status.len)
            assert_int_equal(step.done->state, str_is(status, "TRADE_SUCCESS") ? PN_STATE_PAID : PN_STATE_UNPAID);
        if (status.len)
            assert_int_equal(step.done->total_minor, 8880);
        if (str_is(vector_str(expect, "sub_code"), "ACQ.TRADE_NOT_EXIST"))
            assert_int_equal(step.done->state, PN_STATE_NOT_FOUND);
        if (payment.operation == PN_REFUND || payment.operation == PN_REFUND_QUERY) {
            bool certain = str_is(vector_str(expect, "fund_change"), "Y") ||
                           str_is(vector_str(expect, "refund_status"), "REFUND_SUCCESS");

            assert_int_equal(step.done->state, certain ? PN_STATE_REFUNDED : PN_STATE_UNKNOWN);
            assert_str(step.done->refund_no, STR("RF1"));
            assert_int_equal(step.done->refunded_minor, certain && payment.operation == PN_REFUND ? 1 : PN_NOT_STATED);
            assert_int_equal(step.done->total_minor, certain && payment.operation == PN_REFUND_QUERY ? 8880 : PN_NOT_STATED);
        }
        if (payment.operation == PN_PREPAY)
            assert_memory_equal(step.done->url.data, "https://qr.alipay.com/", 22);
        assert_int_equal(step.done->merchant.count, payment.operation == PN_PREPAY ? 2 : 0);
        for (size_t i = 0; i < step.done->fields.count; i++)
            assert_true(utf8_valid(step.done->fields.items[i].value));
    }
    free((void *)(uintptr_t)body.data);
}

/* ---- answers made here, signed by Alipay's test key */

/* Puts the node into an answer to the operation and reads it. */
static int respond(enum pn_operation operation, const char *node, struct pn_step *ret_step)
{
    static const char *const names[] = { [PN_PREPAY] = "precreate", [PN_QUERY] = "query", [PN_CLOSE] = "close" };
    struct pn_payment payment = alipay_payment(operation, "precreate", STR("42"));
    char *sign = alipay_signed(str_of(node)), body[2048];
    int rc;

    snprintf(body, sizeof(body), "{\"alipay_trade_%s_response\":%s,\"sign\":\"%s\"}", names[operation], node, sign);
    rc = alipay_channel_response(&channel, &payment, 200, str_of(body), ret_step);
    free(sign);
    return rc;
}

static int refuse(enum pn_operation operation, const char *code, const char *sub_code, struct pn_step *ret_step)
{
    char node[256];

    snprintf(node, sizeof(node), "{\"code\":\"%s\",\"msg\":\"m\",\"sub_code\":\"%s\",\"sub_msg\":\"交易 \\u0007 x\"}", code, sub_code);
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

static void a_close_that_finds_nothing_says_so(void **state)
{
    struct pn_step step;

    (void)state;
    assert_int_equal(refuse(PN_CLOSE, "40004", "ACQ.TRADE_NOT_EXIST", &step), PN_OK);
    assert_int_equal(step.done->state, PN_STATE_NOT_FOUND);
    assert_str(step.done->code, STR("ACQ.TRADE_NOT_EXIST"));
    assert_str(step.done->message, STR("交易 \a x"));
    assert_str(step.done->pay_no, STR("42"));
}

static void a_close_refused_by_status_asks_for_another_query(void **state)
{
    struct pn_step step;

    (void)state;
    assert_int_equal(refuse(PN_CLOSE, "40004", "ACQ.REASON_TRADE_STATUS_INVALID", &step), PN_OK);
    assert_int_equal(step.done->state, PN_STATE_UNKNOWN);
    assert_int_equal(refuse(PN_CLOSE, "40004", "ACQ.TRADE_STATUS_ERROR", &step), PN_OK);
    assert_int_equal(step.done->state, PN_STATE_UNKNOWN);
    assert_int_equal(refuse(PN_CLOSE, "40004", "ACQ.TRADE_HAS_CLOSE", &step), PN_OK);
    assert_int_equal(step.done->state, PN_STATE_CLOSED);
    assert_int_equal(respond(PN_CLOSE, "{\"code\":\"10000\",\"out_trade_no\":\"42\"}", &step), PN_OK);
    assert_int_equal(step.done->state, PN_STATE_CLOSED);
}

static void an_unknown_code_is_an_unknown_outcome(void **state)
{
    static const enum pn_operation operations[] = { PN_PREPAY, PN_QUERY, PN_CLOSE };
    static const char *const sub_codes[] = { "ACQ.SYSTEM_ERROR", "AQC.SYSTEM_ERROR", "ACQ.SOMETHING_NEW", "" };
    struct pn_step step;
    int rc;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        for (size_t k = 0; k < 4; k++) {
            rc = refuse(operations[i], "40004", sub_codes[k], &step);
            assert_no_result(rc, PN_UNKNOWN, &step, *sub_codes[k] ? sub_codes[k] : "40004");
        }
        rc = refuse(operations[i], "20000", "aop.unknow-error", &step);
        assert_no_result(rc, PN_UNKNOWN, &step, "aop.unknow-error 交易   x");
        rc = refuse(operations[i], "99999", "", &step);
        assert_no_result(rc, PN_UNKNOWN, &step, "99999");
        rc = respond(operations[i], "{}", &step);
        assert_no_result(rc, PN_UNKNOWN, &step, "");
        rc = respond(operations[i], "{\"code\":10000,\"out_trade_no\":\"42\"}", &step);
        assert_no_result(rc, PN_UNKNOWN, &step, "");
    }
}

static void a_certain_refusal_of_a_payment_is_declined(void **state)
{
    struct pn_step step;
    int rc;

    (void)state;
    rc = refuse(PN_PREPAY, "40004", "ACQ.ACCESS_FORBIDDEN", &step);
    assert_no_result(rc, PN_DECLINED, &step, "ACQ.ACCESS_FORBIDDEN");
    rc = refuse(PN_PREPAY, "40004", "ACQ.TRADE_HAS_CLOSE", &step);
    assert_no_result(rc, PN_DECLINED, &step, "ACQ.TRADE_HAS_CLOSE");
    rc = refuse(PN_PREPAY, "40006", "isv.insufficient-isv-permissions", &step);
    assert_no_result(rc, PN_DECLINED, &step, "isv.insufficient-isv-permissions");
    rc = refuse(PN_PREPAY, "40005", "isv.app-call-limited", &step);
    assert_no_result(rc, PN_NOT_DONE, &step, "isv.app-call-limited");
}

static void paid_or_changed_in_the_meantime_is_unknown(void **state)
{
    struct pn_step step;
    int rc;

    (void)state;
    rc = refuse(PN_PREPAY, "40004", "ACQ.TRADE_HAS_SUCCESS", &step);
    assert_no_result(rc, PN_UNKNOWN, &step, "ACQ.TRADE_HAS_SUCCESS");
    rc = refuse(PN_PREPAY, "40004", "ACQ.CONTEXT_INCONSISTENT", &step);
    assert_no_result(rc, PN_UNKNOWN, &step, "ACQ.CONTEXT_INCONSISTENT");
}

static void a_query_that_is_refused_teaches_nothing(void **state)
{
    static const char *const codes[] = { "20001", "40001", "40002", "40003", "40005", "40006" };
    struct pn_step step;
    int rc;

    (void)state;
    for (size_t i = 0; i < 6; i++) {
        rc = refuse(PN_QUERY, codes[i], "", &step);
        assert_no_result(rc, PN_UNKNOWN, &step, codes[i]);
    }
}

static void an_answer_about_another_payment_is_not_believed(void **state)
{
    static const char *const nodes[] = {
        "{\"code\":\"10000\",\"out_trade_no\":\"43\",\"trade_status\":\"TRADE_SUCCESS\",\"total_amount\":\"88.80\",\"qr_code\":\"q\"}",
        "{\"code\":\"10000\",\"trade_status\":\"TRADE_SUCCESS\",\"total_amount\":\"88.80\",\"qr_code\":\"q\"}",
        "{\"code\":\"40004\",\"sub_code\":\"ACQ.TRADE_NOT_EXIST\",\"out_trade_no\":\"43\"}",
    };
    static const enum pn_operation operations[] = { PN_PREPAY, PN_QUERY, PN_CLOSE };
    struct pn_step step;

    (void)state;
    for (size_t i = 0; i < 3; i++)
        for (size_t k = 0; k < 3; k++) {
            int rc = respond(operations[k], nodes[i], &step);

            assert_no_result(rc, PN_UNKNOWN, &step, "an answer about another payment");
        }
}

static void a_query_reads_the_trade(void **state)
{
    struct pn_step step;

    (void)state;
    assert_int_equal(respond(PN_QUERY,
                             "{\"code\":\"10000\",\"out_trade_no\":\"42\",\"trade_no\":\"T1\",\"trade_status\":\"TRADE_FINISHED\","
                             "\"total_amount\":\"88.8\",\"send_pay_date\":\"2024-05-20 13:14:20\",\"buyer_user_id\":\"2088x\","
                             "\"fund_bill_list\":[{\"amount\":\"88.80\"}],\"n\":7,\"flag\":true}",
                             &step),
                     PN_OK);
    assert_int_equal(step.done->state, PN_STATE_PAID);
    assert_int_equal(step.done->total_minor, 8880);
    assert_int_equal(step.done->refunded_minor, PN_NOT_STATED);
    assert_int_equal(step.done->paid_at_ms, INT64_C(1716182060000));
    assert_str(step.done->trade_no, STR("T1"));
    assert_str(step.done->payer, STR("2088x"));
    assert_int_equal(step.done->merchant.count, 0);
    assert_str(kv_get(step.done->fields, "fund_bill_list"), STR("[{\"amount\":\"88.80\"}]"));
    assert_str(kv_get(step.done->fields, "n"), STR("7"));
    assert_str(kv_get(step.done->fields, "flag"), STR("true"));
    assert_int_equal(respond(PN_QUERY,
                             "{\"code\":\"10000\",\"out_trade_no\":\"42\",\"trade_status\":\"TRADE_CLOSED\",\"total_amount\":\"88.80\"}",
                             &step),
                     PN_OK);
    assert_int_equal(step.done->state, PN_STATE_CLOSED);
    assert_int_equal(step.done->refunded_minor, PN_NOT_STATED);
}

static void a_trade_that_is_closed_although_it_was_paid_states_that_all_went_back(void **state)
{
    struct pn_step step;

    (void)state;
    assert_int_equal(respond(PN_QUERY,
                             "{\"code\":\"10000\",\"out_trade_no\":\"42\",\"trade_no\":\"T1\",\"trade_status\":\"TRADE_CLOSED\","
                             "\"total_amount\":\"88.80\",\"send_pay_date\":\"2024-05-20 13:14:20\"}",
                             &step),
                     PN_OK);
    assert_int_equal(step.done->state, PN_STATE_CLOSED);
    assert_int_equal(step.done->total_minor, 8880);
    assert_int_equal(step.done->refunded_minor, 8880);
    assert_int_equal(step.done->paid_at_ms, INT64_C(1716182060000));
    assert_int_equal(step.done->refund_no.len, 0);
}

static void a_query_with_a_strange_trade_is_unknown(void **state)
{
    static const struct {
        const char *rest, *text;
    } strange[] = {
        { "\"trade_status\":\"TRADE_SUCCESS\"", "without total_amount" },
        { "\"trade_status\":\"TRADE_SUCCESS\",\"total_amount\":88.80", "without total_amount" },
        { "\"trade_status\":\"TRADE_SUCCESS\",\"total_amount\":\"88.801\"", "total_amount is not an amount" },
        { "\"trade_status\":\"TRADE_PENDING\",\"total_amount\":\"88.80\"", "unknown trade_status" },
        { "\"total_amount\":\"88.80\"", "unknown trade_status" },
    };
    struct pn_step step;

    (void)state;
    for (size_t i = 0; i < sizeof(strange) / sizeof(strange[0]); i++) {
        char node[256];

        snprintf(node, sizeof(node), "{\"code\":\"10000\",\"out_trade_no\":\"42\",%s}", strange[i].rest);
        assert_no_result(respond(PN_QUERY, node, &step), PN_UNKNOWN, &step, strange[i].text);
    }
}

static void a_qr_code_answer_needs_a_code(void **state)
{
    struct pn_step step;

    (void)state;
    assert_no_result(respond(PN_PREPAY, "{\"code\":\"10000\",\"out_trade_no\":\"42\"}", &step), PN_UNKNOWN, &step, "without qr_code");
    assert_int_equal(respond(PN_PREPAY, "{\"code\":\"10000\",\"out_trade_no\":\"42\",\"qr_code\":\"https:\\/\\/qr\"}", &step), PN_OK);
    assert_str(step.done->url, STR("https://qr"));
    assert_int_equal(step.done->prepay_kind, PN_PREPAY_CODE_URL);
    assert_int_equal(step.done->state, PN_STATE_UNPAID);
}

static void other_http_statuses_are_unknown(void **state)
{
    struct pn_payment payment = alipay_payment(PN_QUERY, "precreate", STR("42"));
    struct pn_step step;

    (void)state;
    assert_no_result(alipay_channel_response(&channel, &payment, 502, STR(""), &step), PN_UNKNOWN, &step, "HTTP 502");
    assert_no_result(alipay_channel_response(&channel, &payment, 302, STR("{}"), &step), PN_UNKNOWN, &step, "HTTP 302");
}

static void malformed_answers_are_unknown(void **state)
{
    static const char *const bodies[] = {
        "", "null", "[]", "\"x\"", "{}", "{\"sign\":\"x\"}", "{\"alipay_trade_query_response\":[]}", "\xff\xff\xff",
        "{\"alipay_trade_query_response\":{},\"error_response\":{}}", "{\"alipay_trade_query_response\":{},\"sign\":7}",
        "{\"alipay_trade_query_respons\\u0065\":{}}", "{\"alipay_trade_query_response\":{\"a\":1,\"a\":2}}",
        "{\"alipay_trade_query_response\":{\"a\":\"\\u0000\"}}",
    };
    struct pn_payment payment = alipay_payment(PN_QUERY, "precreate", STR("42"));
    struct pn_step step;

    (void)state;
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
        assert_no_result(alipay_channel_response(&channel, &payment, 200, str_of(bodies[i]), &step), PN_UNKNOWN, &step, "");
}

/* 0x5c, a backslash to a naive scanner, is the second byte of many GBK characters: here right before the quote. */
static void gbk_with_backslash_bytes_is_cut_out_rightly(void **state)
{
    static const char node[] = "{\"code\":\"40004\",\"sub_code\":\"ACQ.TRADE_NOT_EXIST\",\"sub_msg\":\"\xd5\x5c\"}";
    struct pn_step step;

    (void)state;
    assert_int_equal(respond(PN_QUERY, node, &step), PN_OK);
    assert_int_equal(step.done->state, PN_STATE_NOT_FOUND);
    assert_str(step.done->message, STR("誠"));
}

static void the_scanner_finds_only_top_level_members(void **state)
{
    static const struct {
        const char *text, *value;
    } cases[] = {
        { "{\"n\":{\"a\":[1,{\"b\":\"]}\\\"\"}]}}", "{\"a\":[1,{\"b\":\"]}\\\"\"}]}" },
        { " { \"x\" : 1.5e3 , \"n\" : \"v\" } ", "\"v\"" },
        { "{\"x\":\"\\\\\",\"n\":true}", "true" },
        { "{\"x\":{\"n\":1},\"n\":null}", "null" },
        { "{\"x\":{\"n\":1}}", NULL },
        { "{\"n\":1,\"n\":2}", NULL },
        { "{\"n\":1", NULL },
        { "{\"n\":", NULL },
        { "{\"n", NULL },
        { "{\"n\":[1", NULL },
        { "{}", NULL },
        { "", NULL },
        { "[]", NULL },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct pn_str value = STR("untouched");

        assert_int_equal(json_raw_member(str_of(cases[i].text), false, "n", &value), cases[i].value != NULL);
        assert_str(value, cases[i].value ? str_of(cases[i].value) : STR("untouched"));
    }
}

static void deep_nesting_ends_in_bounds(void **state)
{
    enum { DEPTH = 400000 };
    struct pn_payment payment = alipay_payment(PN_QUERY, "precreate", STR("42"));
    char *body = test_malloc(2 * DEPTH + 64);
    struct pn_step step;
    int length = snprintf(body, 64, "{\"alipay_trade_query_response\":{\"a\":");

    (void)state;
    memset(body + length, '[', DEPTH);
    memset(body + length + DEPTH, ']', DEPTH);
    memcpy(body + length + 2 * DEPTH, "}}", 3);
    assert_no_result(alipay_channel_response(&channel, &payment, 200, str_of(body), &step), PN_UNKNOWN, &step, "not JSON");
    test_free(body);
}

static void lack_of_memory_is_an_internal_fault(void **state)
{
    json_t *root = vectors_load("alipay-response");
    struct pn_str body = vector_str(json_array_get(json_object_get(root, "cases"), 0), "body");
    struct pn_payment payment = alipay_payment(PN_QUERY, "precreate", STR("PN20240520R1"));
    struct pn_http_response response = { .size = sizeof(response), .status = 200, .body = body };
    int rc = PN_INTERNAL;

    (void)state;
    for (size_t allowed = 0; rc != PN_OK; allowed++) {
        struct pn_step step = { .size = sizeof(step) };

        plugin_call_free(&channel.call);
        channel.call.allocs_left = allowed;
        rc = pn_plugin.channel->response(channel.state, &channel.call, &payment, 1, &response, &step);
        assert_true(rc == PN_OK || (rc == PN_INTERNAL && !step.done));
        assert_true(allowed < 100);
    }
    json_decref(root);
}

int main(void)
{
    json_t *root = vectors_load("alipay-response");
    struct suite *suite = suite_new();
    int failed;

    alipay_channel_open(&channel, NULL, true);
    suite_add_cases(suite, "response", json_object_get(root, "cases"), 45, trusted_as_recorded);
    suite_add_cases(suite, "response", json_object_get(root, "cases"), 45, answered_as_recorded);
    SUITE_ADD(suite, a_close_that_finds_nothing_says_so);
    SUITE_ADD(suite, a_close_refused_by_status_asks_for_another_query);
    SUITE_ADD(suite, an_unknown_code_is_an_unknown_outcome);
    SUITE_ADD(suite, a_certain_refusal_of_a_payment_is_declined);
    SUITE_ADD(suite, paid_or_changed_in_the_meantime_is_unknown);
    SUITE_ADD(suite, a_query_that_is_refused_teaches_nothing);
    SUITE_ADD(suite, an_answer_about_another_payment_is_not_believed);
    SUITE_ADD(suite, a_query_reads_the_trade);
    SUITE_ADD(suite, a_trade_that_is_closed_although_it_was_paid_states_that_all_went_back);
    SUITE_ADD(suite, a_query_with_a_strange_trade_is_unknown);
    SUITE_ADD(suite, a_qr_code_answer_needs_a_code);
    SUITE_ADD(suite, other_http_statuses_are_unknown);
    SUITE_ADD(suite, malformed_answers_are_unknown);
    SUITE_ADD(suite, gbk_with_backslash_bytes_is_cut_out_rightly);
    SUITE_ADD(suite, the_scanner_finds_only_top_level_members);
    SUITE_ADD(suite, deep_nesting_ends_in_bounds);
    SUITE_ADD(suite, lack_of_memory_is_an_internal_fault);
    failed = suite_run(suite, "alipay response");
    alipay_channel_close(&channel);
    json_decref(root);
    return failed;
}
