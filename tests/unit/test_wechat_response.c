/*
 * Answers: every case of tests/vectors/wechat-response.json is believed or not as recorded; then what each operation makes of
 * each code and state.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "unit/wechat_fixture.h"

static struct wechat_channel md5, hmac;

/* ---- the vectors */

static enum message_trust expected_trust(const json_t *item)
{
    struct pn_str signature = vector_str(json_object_get(item, "expect"), "signature");

    if (str_is(signature, "valid"))
        return MESSAGE_SIGNED;
    if (str_is(signature, "invalid"))
        return MESSAGE_INVALID;
    return str_is(signature, "missing") ? MESSAGE_UNSIGNED : MESSAGE_MALFORMED; /* a bill is no XML */
}

static struct wechat_channel *channel_of(const json_t *item)
{
    return str_is(vector_str(item, "sign_type"), "MD5") ? &md5 : &hmac;
}

static void trusted_as_recorded(void **state)
{
    const json_t *item = *state, *expect = json_object_get(item, "expect"), *value;
    struct wechat_channel *channel = channel_of(item);
    struct pn_str body = vector_bytes(item, "body");
    struct message message;
    const char *name;

    plugin_call_free(&channel->call);
    assert_int_equal(message_read(channel->state, &channel->call, body, &message), PN_OK);
    assert_int_equal(message.trust, expected_trust(item));
    assert_int_equal(message.trust == MESSAGE_SIGNED, message.fault == NULL);
    if (message.trust != MESSAGE_MALFORMED)
        json_object_foreach((json_t *)(uintptr_t)expect, name, value)
            if (strcmp(name, "err_code") == 0 || strcmp(name, "trade_state") == 0 || strcmp(name, "error_code") == 0 ||
                strcmp(name, "return_msg") == 0)
                assert_str(kv_get(message.fields, name), vector_str(expect, name));
    free((void *)(uintptr_t)body.data);
}

static enum pn_operation operation_of(struct pn_str api)
{
    if (str_is(api, "/pay/unifiedorder"))
        return PN_PREPAY;
    if (str_is(api, "/pay/orderquery"))
        return PN_QUERY;
    if (str_is(api, "/pay/closeorder"))
        return PN_CLOSE;
    if (str_is(api, "/secapi/pay/refund"))
        return PN_REFUND;
    return str_is(api, "/pay/refundquery") ? PN_REFUND_QUERY : PN_REFRESH; /* bills: not an operation */
}

static const struct outcome {
    const char *id;
    int rc;
    enum pn_state state; /* with PN_OK */
    int64_t total;
} outcomes[] = {
    { "wechat-response-01", PN_OK, PN_STATE_UNPAID, PN_NOT_STATED },
    { "wechat-response-02", PN_OK, PN_STATE_UNPAID, PN_NOT_STATED },
    { "wechat-response-03", PN_OK, PN_STATE_UNPAID, PN_NOT_STATED },
    { "wechat-response-04", PN_UNKNOWN, 0, 0 },
    { "wechat-response-05", PN_UNKNOWN, 0, 0 },
    { "wechat-response-06", PN_DECLINED, 0, 0 },
    { "wechat-response-07", PN_UNKNOWN, 0, 0 },
    { "wechat-response-08", PN_UNKNOWN, 0, 0 },
    { "wechat-response-09", PN_OK, PN_STATE_PAID, 8880 },
    { "wechat-response-11", PN_OK, PN_STATE_UNPAID, PN_NOT_STATED },
    { "wechat-response-12", PN_OK, PN_STATE_CLOSED, PN_NOT_STATED },
    { "wechat-response-13", PN_OK, PN_STATE_CLOSED, PN_NOT_STATED },
    { "wechat-response-14", PN_OK, PN_STATE_UNPAID, PN_NOT_STATED },
    { "wechat-response-15", PN_OK, PN_STATE_UNPAID, PN_NOT_STATED },
    { "wechat-response-16", PN_OK, PN_STATE_UNPAID, PN_NOT_STATED },
    { "wechat-response-17", PN_OK, PN_STATE_NOT_FOUND, PN_NOT_STATED },
    { "wechat-response-18", PN_OK, PN_STATE_CLOSED, PN_NOT_STATED },
    { "wechat-response-19", PN_OK, PN_STATE_UNKNOWN, PN_NOT_STATED },
    { "wechat-response-20", PN_OK, PN_STATE_PROCESSING, PN_NOT_STATED },
    { "wechat-response-21", PN_DECLINED, 0, 0 },
    { "wechat-response-22", PN_OK, PN_STATE_REFUNDED, PN_NOT_STATED },
    { "wechat-response-23", PN_UNKNOWN, 0, 0 },
    { "wechat-response-24", PN_UNKNOWN, 0, 0 },
    { "wechat-response-25", PN_UNKNOWN, 0, 0 },
    { "wechat-response-26", PN_UNKNOWN, 0, 0 },
    { "wechat-response-27", PN_UNSUPPORTED, 0, 0 },
    { "wechat-response-28", PN_UNSUPPORTED, 0, 0 },
};

static void answered_as_recorded(void **state)
{
    const json_t *item = *state;
    struct wechat_channel *channel = channel_of(item);
    bool is_mweb = str_is(vector_str(item, "id"), "wechat-response-02");
    struct pn_payment payment = wechat_payment(operation_of(vector_str(item, "api")), is_mweb ? "mweb" : "native", STR("WN20240520Q1"));
    struct pn_str body = vector_bytes(item, "body");
    struct pn_step step;
    int rc;

    payment.refund_no = STR("RF1");
    payment.refund_minor = 1;
    rc = wechat_channel_response(channel, &payment, 1, 200, body, &step);
    for (size_t i = 0; i < sizeof(outcomes) / sizeof(outcomes[0]); i++) {
        if (!str_is(vector_str(item, "id"), outcomes[i].id))
            continue;
        assert_int_equal(rc, outcomes[i].rc);
        assert_int_equal(channel->call.failures, rc == PN_OK ? 0 : 1);
        assert_null(step.next);
        if (rc == PN_OK) {
            assert_int_equal(step.done->state, outcomes[i].state);
            assert_int_equal(step.done->total_minor, outcomes[i].total);
            assert_str(step.done->pay_no, STR("WN20240520Q1"));
            assert_str(kv_get(step.done->merchant, "mch_id"), STR(WECHAT_MCH_ID));
        }
        free((void *)(uintptr_t)body.data);
        return;
    }
    /* REFUND: what was refunded is asked next */
    assert_str(vector_str(item, "id"), STR("wechat-response-10"));
    assert_int_equal(rc, PN_OK);
    assert_non_null(step.next);
    assert_non_null(memmem(step.next->urls.items[0].data, step.next->urls.items[0].len, "/pay/refundquery", 16));
    assert_non_null(memmem(step.next->body.data, step.next->body.len, "<out_trade_no><![CDATA[WN20240520Q1]]>", 38));
    free((void *)(uintptr_t)body.data);
}

/* ---- answers made here */

enum { FIELDS_MAX = 40 };

struct answer {
    struct pn_kv fields[FIELDS_MAX];
    size_t count;
};

static void add(struct answer *answer, const char *name, const char *value)
{
    answer->fields[answer->count++] = (struct pn_kv){ str_of(name), str_of(value) };
}

static struct answer answer_head(const char *result_code)
{
    struct answer answer = { .count = 0 };

    add(&answer, "return_code", "SUCCESS");
    add(&answer, "appid", WECHAT_APPID);
    add(&answer, "mch_id", WECHAT_MCH_ID);
    add(&answer, "nonce_str", "0ffdb2ddb10724a1");
    add(&answer, "result_code", result_code);
    return answer;
}

static int respond(const struct pn_payment *payment, uint32_t round, struct answer answer, struct pn_step *ret_step)
{
    struct pn_str body = wechat_signed(&hmac, answer.fields, answer.count);
    int rc = wechat_channel_response(&hmac, payment, round, 200, body, ret_step);

    free((void *)(uintptr_t)body.data);
    return rc;
}

static int refuse(enum pn_operation operation, const char *code, struct pn_step *ret_step)
{
    struct pn_payment payment = wechat_payment(operation, "native", STR("WN20240520Q1"));
    struct answer answer = answer_head("FAIL");

    payment.refund_no = STR("RF1");
    payment.refund_minor = 1;
    add(&answer, "err_code", code);
    add(&answer, "err_code_des", "说明\r\n x=1");
    return respond(&payment, 1, answer, ret_step);
}

static void assert_no_result(int rc, int want, const struct pn_step *step, const char *says)
{
    assert_int_equal(rc, want);
    assert_int_equal(hmac.call.failures, 1);
    assert_null(step->done);
    assert_null(step->next);
    if (!strstr(hmac.call.text, says))
        fail_msg("\"%s\" does not say \"%s\"", hmac.call.text, says);
}

static void an_unknown_code_is_an_unknown_outcome(void **state)
{
    static const enum pn_operation operations[] = { PN_PREPAY, PN_QUERY, PN_CLOSE, PN_REFUND, PN_REFUND_QUERY };
    static const char *const codes[] = { "SYSTEMERROR", "BIZERR_NEED_RETRY", "ERROR", "SOMETHING_NEW", "INVALID_REQUEST", "" };
    struct pn_step step;

    (void)state;
    for (size_t i = 0; i < 5; i++)
        for (size_t k = 0; k < 6; k++)
            assert_no_result(refuse(operations[i], codes[k], &step), PN_UNKNOWN, &step, codes[k]);
    assert_non_null(strstr(hmac.call.text, "说明   x＝1"));
}

static void a_certain_refusal_is_declined(void **state)
{
    static const char *const codes[] = { "NOAUTH", "APPID_NOT_EXIST", "MCHID_NOT_EXIST", "APPID_MCHID_NOT_MATCH", "LACK_PARAMS",
                                         "SIGNERROR", "NOTENOUGH" };
    struct pn_step step;

    (void)state;
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        assert_no_result(refuse(PN_PREPAY, codes[i], &step), PN_DECLINED, &step, codes[i]);
        assert_no_result(refuse(PN_REFUND, codes[i], &step), PN_DECLINED, &step, codes[i]);
        assert_no_result(refuse(PN_QUERY, codes[i], &step), PN_UNKNOWN, &step, codes[i]);
        assert_no_result(refuse(PN_CLOSE, codes[i], &step), PN_UNKNOWN, &step, codes[i]);
        assert_no_result(refuse(PN_REFUND_QUERY, codes[i], &step), PN_UNKNOWN, &step, codes[i]);
    }
    assert_no_result(refuse(PN_REFUND, "TRADE_OVERDUE", &step), PN_DECLINED, &step, "TRADE_OVERDUE");
    assert_no_result(refuse(PN_REFUND, "USER_ACCOUNT_ABNORMAL", &step), PN_DECLINED, &step, "USER_ACCOUNT_ABNORMAL");
    assert_no_result(refuse(PN_REFUND, "REFUND_FEE_INVALID", &step), PN_DECLINED, &step, "REFUND_FEE_INVALID");
    assert_no_result(refuse(PN_PREPAY, "TRADE_OVERDUE", &step), PN_UNKNOWN, &step, "TRADE_OVERDUE");
}

static void too_often_is_certainly_not_done(void **state)
{
    struct pn_step step;

    (void)state;
    assert_no_result(refuse(PN_PREPAY, "FREQUENCY_LIMITED", &step), PN_NOT_DONE, &step, "FREQUENCY_LIMITED");
    assert_no_result(refuse(PN_REFUND, "FREQUENCY_LIMITED", &step), PN_NOT_DONE, &step, "FREQUENCY_LIMITED");
    assert_no_result(refuse(PN_REFUND, "INVALID_REQ_TOO_MUCH", &step), PN_NOT_DONE, &step, "INVALID_REQ_TOO_MUCH");
    assert_no_result(refuse(PN_QUERY, "FREQUENCY_LIMITED", &step), PN_UNKNOWN, &step, "FREQUENCY_LIMITED");
}

static void what_is_not_there_is_not_found(void **state)
{
    struct pn_step step;

    (void)state;
    assert_int_equal(refuse(PN_QUERY, "ORDERNOTEXIST", &step), PN_OK);
    assert_int_equal(step.done->state, PN_STATE_NOT_FOUND);
    assert_str(step.done->code, STR("ORDERNOTEXIST"));
    assert_int_equal(refuse(PN_CLOSE, "ORDERNOTEXIST", &step), PN_OK);
    assert_int_equal(step.done->state, PN_STATE_NOT_FOUND);
    assert_int_equal(refuse(PN_REFUND_QUERY, "REFUNDNOTEXIST", &step), PN_OK);
    assert_int_equal(step.done->state, PN_STATE_NOT_FOUND);
    assert_str(step.done->refund_no, STR("RF1"));
    assert_int_equal(refuse(PN_CLOSE, "ORDERCLOSED", &step), PN_OK);
    assert_int_equal(step.done->state, PN_STATE_CLOSED);
}

static void an_answer_to_another_question_is_not_believed(void **state)
{
    static const struct {
        const char *name, *value;
    } others[] = {
        { "appid", "wx8f7e6d5c4b3a2910" }, { "mch_id", "1900000009" }, { "out_trade_no", "WN20240520Q2" }, { "out_trade_no", NULL },
        { "appid", NULL },
    };
    struct pn_payment payment = wechat_payment(PN_QUERY, "native", STR("WN20240520Q1"));
    struct pn_step step;

    (void)state;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        struct answer answer = answer_head("SUCCESS");

        add(&answer, "out_trade_no", "WN20240520Q1");
        add(&answer, "trade_state", "NOTPAY");
        for (size_t k = 0; k < answer.count; k++)
            if (str_is(answer.fields[k].name, others[i].name))
                answer.fields[k].value = str_of(others[i].value);
        assert_no_result(respond(&payment, 1, answer, &step), PN_UNKNOWN, &step, "an answer about another payment");
    }
}

static void a_paid_answer_without_an_amount_is_not_believed(void **state)
{
    struct pn_payment payment = wechat_payment(PN_QUERY, "native", STR("WN20240520Q1"));
    struct answer answer = answer_head("SUCCESS");
    struct pn_step step;

    (void)state;
    add(&answer, "out_trade_no", "WN20240520Q1");
    add(&answer, "trade_state", "SUCCESS");
    add(&answer, "transaction_id", "42");
    assert_no_result(respond(&payment, 1, answer, &step), PN_UNKNOWN, &step, "total_fee is missing");
    answer.fields[6].value = STR("BEYOND");
    assert_no_result(respond(&payment, 1, answer, &step), PN_UNKNOWN, &step, "unknown trade_state");
}

static void an_http_error_is_an_unknown_outcome(void **state)
{
    struct pn_payment payment = wechat_payment(PN_QUERY, "native", STR("WN20240520Q1"));
    struct pn_step step;
    int rc = wechat_channel_response(&hmac, &payment, 1, 502, STR("<html>"), &step);

    (void)state;
    assert_no_result(rc, PN_UNKNOWN, &step, "HTTP 502");
}

static void an_unsigned_refusal_is_only_words(void **state)
{
    static const char body[] = "<xml><return_code>FAIL</return_code><return_msg>签名错误</return_msg></xml>";
    struct pn_payment payment = wechat_payment(PN_PREPAY, "native", STR("WN20240520Q1"));
    struct pn_step step;
    int rc = wechat_channel_response(&hmac, &payment, 1, 200, STR(body), &step);

    (void)state;
    assert_no_result(rc, PN_UNKNOWN, &step, "签名错误");
}

/* ---- what the payer gets */

static int prepay(const char *product, const char *name, const char *value, const char *return_url, struct pn_step *ret_step)
{
    struct pn_payment payment = wechat_payment(PN_PREPAY, product, STR("WN20240520Q1"));
    struct answer answer = answer_head("SUCCESS");

    payment.return_url = str_of(return_url);
    add(&answer, name, value);
    return respond(&payment, 1, answer, ret_step);
}

static void a_native_order_gives_a_code(void **state)
{
    struct pn_step step;

    (void)state;
    assert_int_equal(prepay("native", "code_url", "weixin://wxpay/bizpayurl?pr=a2f672730", NULL, &step), PN_OK);
    assert_int_equal(step.done->prepay_kind, PN_PREPAY_CODE_URL);
    assert_str(step.done->url, STR("weixin://wxpay/bizpayurl?pr=a2f672730"));
    assert_int_equal(step.done->merchant.count, 2);
    assert_no_result(prepay("native", "prepay_id", "wx1", NULL, &step), PN_UNKNOWN, &step, "without code_url");
}

static void an_mweb_order_gives_a_page_and_the_way_back(void **state)
{
    static const char page[] = "https://wx.tenpay.com/cgi-bin/mmpayweb-bin/checkmweb?prepay_id=wx1&package=10";
    struct pn_step step;

    (void)state;
    assert_int_equal(prepay("mweb", "mweb_url", page, NULL, &step), PN_OK);
    assert_int_equal(step.done->prepay_kind, PN_PREPAY_REDIRECT);
    assert_str(step.done->url, STR(page));
    assert_int_equal(prepay("mweb", "mweb_url", page, "https://shop.example/o?id=1&x=中", &step), PN_OK);
    assert_str(step.done->url, STR("https://wx.tenpay.com/cgi-bin/mmpayweb-bin/checkmweb?prepay_id=wx1&package=10"
                                   "&redirect_url=https%3A%2F%2Fshop.example%2Fo%3Fid%3D1%26x%3D%E4%B8%AD"));
    assert_no_result(prepay("mweb", "mweb_url", "javascript:alert(1)", NULL, &step), PN_UNKNOWN, &step, "without mweb_url");
}

static void assert_signed_params(struct pn_kv_list list, const char *sign_name)
{
    struct pn_kv fields[8];
    struct pn_str text;
    size_t n = 0;

    for (size_t i = 0; i < list.count; i++)
        if (!str_is(list.items[i].name, sign_name))
            fields[n++] = list.items[i];
    assert_int_equal(n + 1, list.count);
    sign_sort(fields, n);
    assert_int_equal(sign_text(hmac.state, &hmac.call, fields, n, &text), PN_OK);
    assert_true(sign_holds(hmac.state, text, kv_get(list, sign_name)));
}

static void a_jsapi_order_gives_signed_parameters(void **state)
{
    struct pn_kv_list list;
    struct pn_step step;

    (void)state;
    assert_int_equal(prepay("jsapi", "prepay_id", "wx201410", NULL, &step), PN_OK);
    assert_int_equal(step.done->prepay_kind, PN_PREPAY_APP_PARAMS);
    list = step.done->prepay_fields;
    assert_int_equal(list.count, 6);
    assert_str(kv_get(list, "appId"), STR(WECHAT_APPID));
    assert_str(kv_get(list, "timeStamp"), STR("1716181995"));
    assert_str(kv_get(list, "nonceStr"), STR("5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a"));
    assert_str(kv_get(list, "package"), STR("prepay_id=wx201410"));
    assert_str(kv_get(list, "signType"), STR("HMAC-SHA256"));
    assert_signed_params(list, "paySign");
}

static void an_app_order_gives_signed_parameters(void **state)
{
    struct pn_kv_list list;
    struct pn_step step;

    (void)state;
    assert_int_equal(prepay("app", "prepay_id", "wx201410", NULL, &step), PN_OK);
    list = step.done->prepay_fields;
    assert_int_equal(list.count, 7);
    assert_str(kv_get(list, "appid"), STR(WECHAT_APPID));
    assert_str(kv_get(list, "partnerid"), STR(WECHAT_MCH_ID));
    assert_str(kv_get(list, "prepayid"), STR("wx201410"));
    assert_str(kv_get(list, "package"), STR("Sign=WXPay"));
    assert_str(kv_get(list, "noncestr"), STR("5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a"));
    assert_str(kv_get(list, "timestamp"), STR("1716181995"));
    assert_signed_params(list, "sign");
    assert_no_result(prepay("app", "code_url", "x", NULL, &step), PN_UNKNOWN, &step, "without prepay_id");
}

/* ---- refunds */

static struct answer refund_list(const char *count, const char *total_count)
{
    struct answer answer = answer_head("SUCCESS");

    add(&answer, "out_trade_no", "WN20240520Q1");
    add(&answer, "transaction_id", "42");
    add(&answer, "total_fee", "8880");
    add(&answer, "refund_count", count);
    if (total_count)
        add(&answer, "total_refund_count", total_count);
    return answer;
}

static void a_refunds_status_is_its_state(void **state)
{
    static const struct {
        const char *status;
        enum pn_state state;
    } statuses[] = {
        { "SUCCESS", PN_STATE_REFUNDED }, { "PROCESSING", PN_STATE_PROCESSING }, { "REFUNDCLOSE", PN_STATE_FAILED },
        { "CHANGE", PN_STATE_UNKNOWN },
    };
    struct pn_payment payment = wechat_payment(PN_REFUND_QUERY, "native", STR("WN20240520Q1"));
    struct pn_step step;

    (void)state;
    payment.refund_no = STR("RF2");
    payment.refund_minor = 120;
    for (size_t i = 0; i < 4; i++) {
        struct answer answer = refund_list("1", NULL);

        add(&answer, "out_refund_no_0", "RF2");
        add(&answer, "refund_fee_0", "120");
        add(&answer, "refund_status_0", statuses[i].status);
        assert_int_equal(respond(&payment, 1, answer, &step), PN_OK);
        assert_int_equal(step.done->state, statuses[i].state);
        assert_str(step.done->refund_no, STR("RF2"));
        assert_str(step.done->code, str_of(statuses[i].status));
        answer.fields[answer.count - 1].value = STR("NEW");
        assert_no_result(respond(&payment, 1, answer, &step), PN_UNKNOWN, &step, "unknown refund_status");
    }
}

static void another_refund_or_amount_is_not_believed(void **state)
{
    struct pn_payment payment = wechat_payment(PN_REFUND_QUERY, "native", STR("WN20240520Q1"));
    struct answer answer = refund_list("1", NULL);
    struct pn_step step;

    (void)state;
    add(&answer, "out_refund_no_0", "RF2");
    add(&answer, "refund_fee_0", "120");
    add(&answer, "refund_status_0", "SUCCESS");
    payment.refund_no = STR("RF3");
    payment.refund_minor = 120;
    assert_no_result(respond(&payment, 1, answer, &step), PN_UNKNOWN, &step, "another refund");
    payment.refund_no = STR("RF2");
    payment.refund_minor = 121;
    assert_no_result(respond(&payment, 1, answer, &step), PN_UNKNOWN, &step, "another amount");
    answer = answer_head("SUCCESS");
    add(&answer, "out_trade_no", "WN20240520Q1");
    add(&answer, "out_refund_no", "RF2");
    add(&answer, "refund_fee", "120");
    payment.operation = PN_REFUND;
    assert_no_result(respond(&payment, 1, answer, &step), PN_UNKNOWN, &step, "another amount");
    payment.refund_no = STR("RF3");
    assert_no_result(respond(&payment, 1, answer, &step), PN_UNKNOWN, &step, "another refund");
    payment.refund_no = STR("RF2");
    payment.refund_minor = 120;
    assert_int_equal(respond(&payment, 1, answer, &step), PN_OK);
    assert_int_equal(step.done->state, PN_STATE_PROCESSING);
}

static void a_query_that_finds_refunds_adds_up_what_succeeded(void **state)
{
    struct pn_payment payment = wechat_payment(PN_QUERY, "native", STR("WN20240520Q1"));
    struct answer answer = refund_list("3", "3");
    struct pn_step step;

    (void)state;
    for (char i = '0'; i < '3'; i++) {
        static char names[3][3][24];
        char (*name)[24] = names[i - '0'];

        snprintf(name[0], sizeof(name[0]), "out_refund_no_%c", i);
        snprintf(name[1], sizeof(name[1]), "refund_fee_%c", i);
        snprintf(name[2], sizeof(name[2]), "refund_status_%c", i);
        add(&answer, name[0], "RF");
        add(&answer, name[1], i == '1' ? "4000" : "100");
        add(&answer, name[2], i == '1' ? "PROCESSING" : "SUCCESS");
    }
    assert_int_equal(respond(&payment, 2, answer, &step), PN_OK);
    assert_int_equal(step.done->state, PN_STATE_PAID);
    assert_int_equal(step.done->total_minor, 8880);
    assert_int_equal(step.done->refunded_minor, 200);
    assert_str(step.done->trade_no, STR("42"));
    /* more refunds than are listed: the sum is not known */
    answer.fields[9].value = STR("12");
    assert_int_equal(respond(&payment, 2, answer, &step), PN_OK);
    assert_int_equal(step.done->state, PN_STATE_PAID);
    assert_int_equal(step.done->refunded_minor, PN_NOT_STATED);
    /* more than was paid */
    answer.fields[9].value = STR("3");
    answer.fields[11].value = STR("8881");
    assert_no_result(respond(&payment, 2, answer, &step), PN_UNKNOWN, &step, "more was refunded than paid");
}

int main(void)
{
    json_t *root = vectors_load("wechat-response"), *cases = json_object_get(root, "cases");
    struct suite *suite = suite_new();
    int failed;

    wechat_channel_open(&md5, "MD5");
    wechat_channel_open(&hmac, "HMAC-SHA256");
    suite_add_cases(suite, "trust", cases, 28, trusted_as_recorded);
    suite_add_cases(suite, "answer", cases, 28, answered_as_recorded);
    SUITE_ADD(suite, an_unknown_code_is_an_unknown_outcome);
    SUITE_ADD(suite, a_certain_refusal_is_declined);
    SUITE_ADD(suite, too_often_is_certainly_not_done);
    SUITE_ADD(suite, what_is_not_there_is_not_found);
    SUITE_ADD(suite, an_answer_to_another_question_is_not_believed);
    SUITE_ADD(suite, a_paid_answer_without_an_amount_is_not_believed);
    SUITE_ADD(suite, an_http_error_is_an_unknown_outcome);
    SUITE_ADD(suite, an_unsigned_refusal_is_only_words);
    SUITE_ADD(suite, a_native_order_gives_a_code);
    SUITE_ADD(suite, an_mweb_order_gives_a_page_and_the_way_back);
    SUITE_ADD(suite, a_jsapi_order_gives_signed_parameters);
    SUITE_ADD(suite, an_app_order_gives_signed_parameters);
    SUITE_ADD(suite, a_refunds_status_is_its_state);
    SUITE_ADD(suite, another_refund_or_amount_is_not_believed);
    SUITE_ADD(suite, a_query_that_finds_refunds_adds_up_what_succeeded);
    failed = suite_run(suite, "wechat response");
    wechat_channel_close(&hmac);
    wechat_channel_close(&md5);
    json_decref(root);
    return failed;
}
