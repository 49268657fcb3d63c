/*
 * Notices: every case of tests/vectors/alipay-notify.json is judged as recorded, is read into the same fields, gives the same
 * signed text, and gets the right reply. What the books decide (amount, order, merchant) is mirrored here in a few lines.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/amount.h"
#include "common/form.h"
#include "unit/alipay_fixture.h"

static struct alipay_channel channel;

static void assert_str(struct pn_str got, struct pn_str want)
{
    if (!str_eq(got, want))
        fail_msg("got \"%.*s\", wanted \"%.*s\"", (int)got.len, got.data ? got.data : "", (int)want.len, want.data ? want.data : "");
}

/* ---- the server's part */

/* The one order that is ours, and to whom it was addressed. */
static bool books_accept(const struct pn_result *result)
{
    return str_is(result->pay_no, "PN20240520N1001") && result->total_minor == 8880 &&
           str_is(kv_get(result->merchant, "app_id"), ALIPAY_APP_ID) &&
           str_is(kv_get(result->merchant, "seller_id"), ALIPAY_SELLER_ID) && str_is(result->currency, "CNY");
}

static struct pn_str reply_text(bool accepted)
{
    struct pn_http_incoming incoming = { .size = sizeof(incoming) };
    struct pn_reply reply = { .size = sizeof(reply) };

    assert_int_equal(pn_plugin.channel->reply(channel.state, &channel.call, &incoming, accepted, &reply), PN_OK);
    assert_int_equal(reply.status, 200);
    assert_str(reply.content_type, STR("text/plain"));
    return reply.body;
}

/* ---- expectations */

/* What decoded_params says of a parameter, as UTF-8. */
static struct pn_str decoded(const json_t *item, const char *name)
{
    const json_t *pair;
    size_t i;

    json_array_foreach(json_object_get(item, "decoded_params"), i, pair) {
        const json_t *value = json_array_get(pair, 1);

        if (strcmp(json_string_value(json_array_get(pair, 0)), name) == 0)
            return json_is_string(value) ? (struct pn_str){ json_string_value(value), json_string_length(value) }
                                         : vector_str(value, "text");
    }
    return (struct pn_str){ NULL, 0 };
}

static int64_t decoded_minor(const json_t *item, const char *name)
{
    int64_t minor = PN_NOT_STATED;

    if (decoded(item, name).data)
        assert_true(amount_parse(decoded(item, name), 2, &minor));
    return minor;
}

static enum pn_state expected_state(const json_t *item, struct pn_str event)
{
    if (str_is(event, "created"))
        return PN_STATE_UNPAID;
    if (str_is(event, "closed_unpaid"))
        return PN_STATE_CLOSED;
    if (str_is(event, "refund_full") || str_is(event, "refund_partial"))
        return PN_STATE_REFUNDED;
    assert_true(str_is(event, "paid") || str_is(event, "finished") || str_is(event, "duplicate"));
    assert_true(str_is(decoded(item, "trade_status"), "TRADE_SUCCESS") || str_is(decoded(item, "trade_status"), "TRADE_FINISHED"));
    return PN_STATE_PAID;
}

/* All that was sent, except sign and sign_type, in UTF-8 and once. */
static void assert_fields(const json_t *item, const struct pn_result *result)
{
    size_t set_aside = decoded(item, "sign_type").data ? 2 : 1;

    assert_int_equal(result->fields.count, json_array_size(json_object_get(item, "decoded_params")) - set_aside);
    assert_null(kv_get(result->fields, "sign").data);
    assert_null(kv_get(result->fields, "sign_type").data);
    for (size_t i = 0; i < result->fields.count; i++) {
        char name[64];

        snprintf(name, sizeof(name), "%.*s", (int)result->fields.items[i].name.len, result->fields.items[i].name.data);
        assert_str(result->fields.items[i].value, decoded(item, name));
    }
}

static void assert_result(const json_t *item, const struct pn_result *result)
{
    bool refund = result->state == PN_STATE_REFUNDED;

    assert_int_equal(result->size, sizeof(*result));
    assert_str(result->pay_no, decoded(item, "out_trade_no"));
    assert_str(result->trade_no, decoded(item, "trade_no"));
    assert_str(result->payer, decoded(item, "buyer_id"));
    assert_int_equal(result->total_minor, decoded_minor(item, "total_amount"));
    assert_int_equal(result->refunded_minor, decoded_minor(item, "refund_fee"));
    assert_str(result->refund_no, refund ? decoded(item, "out_biz_no") : (struct pn_str){ NULL, 0 });
    /* 2024-05-20 13:14:20 in Beijing */
    assert_int_equal(result->paid_at_ms, decoded(item, "gmt_payment").len ? INT64_C(1716182060000) : 0);
    assert_fields(item, result);
}

/* Parses the body by hand as far as the signed text. */
static void assert_signed_text(const json_t *item, struct pn_str body)
{
    struct pn_str want = vector_bytes(item, "sign_string"), got;
    size_t most = form_count(body), count = 0, kept = 0;
    struct pn_kv *fields = test_calloc(most + 1, sizeof(*fields));
    char *text = test_malloc(body.len + 1);

    assert_null(form_parse(body, text, fields, &count));
    for (size_t i = 0; i < count; i++)
        if (!str_is(fields[i].name, "sign") && !str_is(fields[i].name, "sign_type"))
            fields[kept++] = fields[i];
    params_sort(fields, kept);
    assert_int_equal(params_join(channel.state, &channel.call, fields, kept, &got), PN_OK);
    assert_int_equal(got.len, want.len);
    assert_memory_equal(got.data, want.data, want.len);
    test_free(text);
    test_free(fields);
    free((void *)(uintptr_t)want.data);
}

static bool is_about_the_signature(struct pn_str reason)
{
    return str_is(reason, "the signature does not hold") || str_is(reason, "there is no sign") ||
           str_is(reason, "sign_type is not RSA2") || (reason.len > 8 && memcmp(reason.data, "sign is ", 8) == 0);
}

static void judged_as_recorded(void **state)
{
    const json_t *item = *state, *expect = json_object_get(item, "expect");
    bool valid = str_is(vector_str(expect, "signature"), "valid"), accept = str_is(vector_str(expect, "business"), "accept");
    struct pn_str body = vector_bytes(item, "body");
    struct pn_notification notice;
    bool accepted;

    assert_int_equal(alipay_channel_notification(&channel, body, &notice), PN_OK);
    accepted = notice.verdict == PN_AUTHENTIC && books_accept(notice.result);
    if (!valid)
        assert_int_equal(notice.verdict, PN_REFUSED);
    if (notice.verdict == PN_REFUSED) {
        assert_null(notice.result);
        assert_true(notice.reason.len > 0);
        assert_false(valid && is_about_the_signature(notice.reason));
    } else {
        assert_int_equal(notice.verdict, PN_AUTHENTIC);
        assert_result(item, notice.result);
    }
    if (accepted)
        assert_int_equal(notice.result->state, expected_state(item, vector_str(expect, "event")));
    assert_int_equal(accepted, accept);
    assert_str(reply_text(accepted), str_is(vector_str(expect, "reply"), "success") ? STR("success") : STR("fail"));
    if (vector_has(item, "sign_string") || vector_has(item, "sign_string_b64"))
        assert_signed_text(item, body);
    free((void *)(uintptr_t)body.data);
}

/* ---- more cases, signed by Alipay's test key */

static const struct pn_kv plain[] = {
    { STR_INIT("app_id"), STR_INIT(ALIPAY_APP_ID) },
    { STR_INIT("charset"), STR_INIT("utf-8") },
    { STR_INIT("notify_id"), STR_INIT("2024052000222") },
    { STR_INIT("notify_time"), STR_INIT("2024-05-20 13:14:21") },
    { STR_INIT("notify_type"), STR_INIT("trade_status_sync") },
    { STR_INIT("out_trade_no"), STR_INIT("PN20240520N1001") },
    { STR_INIT("seller_id"), STR_INIT(ALIPAY_SELLER_ID) },
    { STR_INIT("total_amount"), STR_INIT("88.80") },
    { STR_INIT("trade_no"), STR_INIT("2024052022001420") },
    { STR_INIT("trade_status"), STR_INIT("TRADE_SUCCESS") },
    { STR_INIT("version"), STR_INIT("1.0") },
};
enum { PLAIN = sizeof(plain) / sizeof(plain[0]) };

/* Judges the plain notice with some parameters changed, added, or (value absent) left out; its signature holds. */
static void judge(const struct pn_kv *changes, size_t count, struct pn_notification *ret)
{
    struct pn_kv fields[300];
    size_t n = 0;
    struct pn_str text;
    char *sign, *body;

    for (size_t i = 0; i < PLAIN; i++) {
        bool changed = false;

        for (size_t k = 0; k < count; k++)
            changed = changed || str_eq(plain[i].name, changes[k].name);
        if (!changed)
            fields[n++] = plain[i];
    }
    for (size_t k = 0; k < count; k++)
        if (changes[k].value.data)
            fields[n++] = changes[k];
    params_sort(fields, n);
    plugin_call_free(&channel.call);
    assert_int_equal(params_join(channel.state, &channel.call, fields, n, &text), PN_OK);
    sign = alipay_signed(text);
    fields[n++] = (struct pn_kv){ STR("sign"), str_of(sign) };
    fields[n++] = (struct pn_kv){ STR("sign_type"), STR("RSA2") };
    body = test_malloc(form_length(fields, n));
    assert_int_equal(alipay_channel_notification(&channel, (struct pn_str){ body, form_write(fields, n, body) }, ret), PN_OK);
    test_free(body);
    free(sign);
}

#define CHANGES(...) (const struct pn_kv[]){ __VA_ARGS__ }, sizeof((const struct pn_kv[]){ __VA_ARGS__ }) / sizeof(struct pn_kv)
#define KV(name_, value_) { STR_INIT(name_), STR_INIT(value_) }

/* A browser's way back from a payment, with the same changes, or posted as if it were a notice. */
static void come_back(const char *method, const struct pn_kv *changes, size_t count, struct pn_notification *ret)
{
    static const struct pn_kv usual[] = {
        KV("app_id", ALIPAY_APP_ID), KV("charset", "utf-8"), KV("method", "alipay.trade.wap.pay.return"),
        KV("out_trade_no", "PN20240520N1001"), KV("seller_id", ALIPAY_SELLER_ID), KV("timestamp", "2024-05-20 13:14:30"),
        KV("total_amount", "88.80"), KV("trade_no", "20240520220014200205004000001"), KV("version", "1.0"),
    };
    enum { USUAL = sizeof(usual) / sizeof(usual[0]) };
    struct pn_kv fields[USUAL + 2];
    struct pn_http_incoming incoming = { .size = sizeof(incoming), .method = str_of(method) };
    struct pn_str text;
    size_t n = 0;
    char *sign, *query;

    for (size_t i = 0; i < USUAL; i++) {
        struct pn_kv field = usual[i];

        for (size_t k = 0; k < count; k++)
            field = str_eq(field.name, changes[k].name) ? changes[k] : field;
        if (field.value.data)
            fields[n++] = field;
    }
    plugin_call_free(&channel.call);
    assert_int_equal(params_join(channel.state, &channel.call, fields, n, &text), PN_OK);
    sign = alipay_signed(text);
    fields[n++] = (struct pn_kv){ STR("sign"), str_of(sign) };
    fields[n++] = (struct pn_kv){ STR("sign_type"), STR("RSA2") };
    query = test_malloc(form_length(fields, n));
    text = (struct pn_str){ query, form_write(fields, n, query) };
    if (str_is(incoming.method, "GET"))
        incoming.query = text;
    else
        incoming.body = text;
    *ret = (struct pn_notification){ .size = sizeof(*ret) };
    assert_int_equal(pn_plugin.channel->notification(channel.state, &channel.call, &incoming, ret), PN_OK);
    test_free(query);
    free(sign);
}

static void assert_refused(const struct pn_notification *notice, const char *reason)
{
    assert_int_equal(notice->verdict, PN_REFUSED);
    assert_str(notice->reason, str_of(reason));
}

static void a_missing_mandatory_parameter_is_refused(void **state)
{
    struct pn_notification notice;

    (void)state;
    judge(NULL, 0, &notice);
    assert_int_equal(notice.verdict, PN_AUTHENTIC);
    for (size_t i = 0; i < PLAIN; i++) {
        struct pn_kv without = { plain[i].name, { NULL, 0 } }, empty = { plain[i].name, STR("") };

        judge(&without, 1, &notice);
        assert_refused(&notice, "a parameter that every trade notice has is missing");
        judge(&empty, 1, &notice);
        assert_refused(&notice, "a parameter that every trade notice has is missing");
    }
}

static void the_text_of_another_parameter_in_a_value_is_refused(void **state)
{
    struct pn_notification notice;

    (void)state;
    judge(CHANGES(KV("zz", "1&out_trade_no=2")), &notice);
    assert_refused(&notice, "a value holds the text of another parameter");
    judge(CHANGES(KV("body", "&&&voucher_detail_list=")), &notice);
    assert_refused(&notice, "a value holds the text of another parameter");
    judge(CHANGES(KV("body", "a & b = c &amp; x&y=z &out_trade_no =1&total_amount")), &notice);
    assert_int_equal(notice.verdict, PN_AUTHENTIC);
}

/* A genuine refund notice, cut so that what tells it from a payment becomes part of a name. */
static void the_text_of_another_parameter_in_a_name_is_refused(void **state)
{
    struct pn_notification notice;

    (void)state;
    judge(CHANGES(KV("gmt_payment=2024-05-20 13:14:20&gmt_refund", "2024-05-20 15:00:00"), KV("refund_fee", "88.80")), &notice);
    assert_refused(&notice, "a name holds the text of another parameter");
    judge(CHANGES(KV("a&b", "1")), &notice);
    assert_refused(&notice, "a name holds the text of another parameter");
}

/* It is signed, and it is no report: it says which payment, and not what became of it. */
static void a_browser_that_comes_back_is_a_hint(void **state)
{
    static const char *const needed[] = { "app_id", "out_trade_no", "timestamp", "trade_no" };
    struct pn_notification notice;

    (void)state;
    come_back("GET", NULL, 0, &notice);
    assert_int_equal(notice.verdict, PN_HINT);
    assert_str(notice.pay_no, STR("PN20240520N1001"));
    assert_null(notice.result);
    come_back("POST", NULL, 0, &notice);
    assert_refused(&notice, "a parameter that every trade notice has is missing");
    for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
        struct pn_kv without = { str_of(needed[i]), { NULL, 0 } };

        come_back("GET", &without, 1, &notice);
        assert_refused(&notice, "a parameter that every return has is missing");
    }
    come_back("GET", CHANGES(KV("total_amount", "1&trade_status=TRADE_SUCCESS")), &notice);
    assert_refused(&notice, "a value holds the text of another parameter");
}

static void an_unsigned_way_back_is_refused(void **state)
{
    static const char *const queries[] = { "", "out_trade_no=PN20240520N1001", "app_id=1&out_trade_no=1&timestamp=1&trade_no=1&sign=AAAA",
                                           "out_trade_no=1&out_trade_no=2", "%zz=1" };

    (void)state;
    for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
        struct pn_http_incoming incoming = { .size = sizeof(incoming), .method = STR("GET"), .query = str_of(queries[i]) };
        struct pn_notification notice = { .size = sizeof(notice) };

        plugin_call_free(&channel.call);
        assert_int_equal(pn_plugin.channel->notification(channel.state, &channel.call, &incoming, &notice), PN_OK);
        assert_int_equal(notice.verdict, PN_REFUSED);
        assert_true(notice.reason.len > 0);
    }
}

static void odd_amounts_are_refused(void **state)
{
    static const char *const odd[] = { "", "88.800", "+88.80", "-88.80", "8.88e1", " 88.80", "88.80 ", "88,80", "88.", ".80",
                                       "0x58",  "92233720368547758.08", "184467440737095604.96", "\xd9\xa8\xd9\xa8", "NaN" };
    struct pn_notification notice;

    (void)state;
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        struct pn_kv total = { STR("total_amount"), str_of(odd[i]) };
        struct pn_kv refund = { STR("refund_fee"), str_of(odd[i]) };

        judge(&total, 1, &notice);
        assert_int_equal(notice.verdict, PN_REFUSED);
        judge(&refund, 1, &notice);
        assert_refused(&notice, "refund_fee is not an amount");
    }
}

static void the_charset_decides_how_text_is_read(void **state)
{
    struct pn_notification notice;

    (void)state;
    judge(CHANGES(KV("charset", "UTF-8"), KV("subject", "\xe6\xb5\x8b")), &notice);
    assert_int_equal(notice.verdict, PN_AUTHENTIC);
    assert_str(kv_get(notice.result->fields, "subject"), STR("测"));
    judge(CHANGES(KV("charset", "gb2312"), KV("subject", "\xb2\xe2")), &notice);
    assert_str(kv_get(notice.result->fields, "subject"), STR("测"));
    judge(CHANGES(KV("charset", "gb18030"), KV("subject", "\x94\x39\xfc\x36")), &notice);
    assert_str(kv_get(notice.result->fields, "subject"), STR("😀"));
    judge(CHANGES(KV("subject", "\xb2\xe2")), &notice);
    assert_refused(&notice, "a parameter is not UTF-8");
    judge(CHANGES(KV("charset", "GBK"), KV("subject", "\xb2")), &notice);
    assert_refused(&notice, "a parameter is not in the charset of the notice");
    judge(CHANGES(KV("charset", "iso-8859-1")), &notice);
    assert_refused(&notice, "unknown charset");
}

static void refunds_are_told_from_payments_by_time_and_sum(void **state)
{
    struct pn_notification notice;

    (void)state;
    judge(CHANGES(KV("refund_fee", "1.00"), KV("out_biz_no", "R1")), &notice);
    assert_int_equal(notice.result->state, PN_STATE_PAID);
    assert_null(notice.result->refund_no.data);
    judge(CHANGES(KV("gmt_refund", "2024-05-21 10:00:00.3"), KV("refund_fee", "0.00")), &notice);
    assert_int_equal(notice.result->state, PN_STATE_PAID);
    judge(CHANGES(KV("gmt_refund", "2024-05-21 10:00:00.3"), KV("refund_fee", "1"), KV("trade_status", "TRADE_FINISHED")), &notice);
    assert_int_equal(notice.result->state, PN_STATE_REFUNDED);
    assert_int_equal(notice.result->refunded_minor, 100);
    assert_int_equal(notice.result->total_minor, 8880);
}

static void the_payer_and_the_time_of_paying_may_be_missing(void **state)
{
    struct pn_notification notice;

    (void)state;
    judge(CHANGES(KV("buyer_open_id", "074a1CcTG1LelxKe4xQC0zgNdId0nxi95b5lsNpazWYoCo5")), &notice);
    assert_str(notice.result->payer, STR("074a1CcTG1LelxKe4xQC0zgNdId0nxi95b5lsNpazWYoCo5"));
    assert_int_equal(notice.result->paid_at_ms, 0);
    judge(CHANGES(KV("gmt_payment", "yesterday")), &notice);
    assert_null(notice.result->payer.data);
    assert_int_equal(notice.result->paid_at_ms, 0);
}

static void too_many_parameters_are_refused_before_any_work(void **state)
{
    static char body[65536];
    struct pn_notification notice;

    (void)state;
    for (size_t i = 0; i < sizeof(body); i += 4)
        memcpy(body + i, "a=b&", 4);
    assert_int_equal(alipay_channel_notification(&channel, (struct pn_str){ body, sizeof(body) }, &notice), PN_OK);
    assert_refused(&notice, "too many parameters");
    memset(body, '%', sizeof(body));
    assert_int_equal(alipay_channel_notification(&channel, (struct pn_str){ body, sizeof(body) }, &notice), PN_OK);
    assert_refused(&notice, "not a form: a piece without name or '='");
}

static void lack_of_memory_is_the_plugins_fault_not_the_notices(void **state)
{
    json_t *root = vectors_load("alipay-notify");
    struct pn_str body = vector_str(json_array_get(json_object_get(root, "cases"), 23), "body");
    struct pn_http_incoming incoming = { .size = sizeof(incoming), .body = body };
    struct pn_notification notice = { .size = sizeof(notice) };
    int rc = PN_INTERNAL;

    (void)state;
    for (size_t allowed = 0; rc != PN_OK; allowed++) {
        plugin_call_free(&channel.call);
        channel.call.allocs_left = allowed;
        notice.verdict = 0;
        rc = pn_plugin.channel->notification(channel.state, &channel.call, &incoming, &notice);
        if (rc != PN_OK) {
            assert_int_equal(rc, PN_INTERNAL);
            assert_int_equal(notice.verdict, 0);
        }
        assert_true(allowed < 20);
    }
    assert_int_equal(notice.verdict, PN_AUTHENTIC);
    json_decref(root);
}

/* ---- threads */

struct judge {
    pthread_t thread;
    struct pn_str good, bad;
    int wrong;
};

static void *judge_many(void *arg)
{
    struct judge *judge = arg;
    struct pn_call call = plugin_call(0);

    for (int i = 0; i < 500; i++) {
        struct pn_http_incoming incoming = { .size = sizeof(incoming), .body = i % 2 ? judge->good : judge->bad };
        struct pn_notification notice = { .size = sizeof(notice) };
        int rc = pn_plugin.channel->notification(channel.state, &call, &incoming, &notice);

        judge->wrong += rc != PN_OK || notice.verdict != (i % 2 ? PN_AUTHENTIC : PN_REFUSED);
        plugin_call_free(&call);
    }
    return NULL;
}

static void many_threads_share_one_channel(void **state)
{
    json_t *root = vectors_load("alipay-notify"), *cases = json_object_get(root, "cases");
    struct judge judges[4];

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        /* Each thread converts GBK as well, or verifies in vain. */
        judges[i] = (struct judge){ .good = vector_str(json_array_get(cases, i % 2 ? 23 : 0), "body"),
                                    .bad = vector_str(json_array_get(cases, 26), "body") };
        assert_int_equal(pthread_create(&judges[i].thread, NULL, judge_many, &judges[i]), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(judges[i].thread, NULL), 0);
        assert_int_equal(judges[i].wrong, 0);
    }
    json_decref(root);
}

int main(void)
{
    json_t *root = vectors_load("alipay-notify");
    struct suite *suite = suite_new();
    int failed;

    alipay_channel_open(&channel, NULL, true);
    suite_add_cases(suite, "notify", json_object_get(root, "cases"), 75, judged_as_recorded);
    SUITE_ADD(suite, a_missing_mandatory_parameter_is_refused);
    SUITE_ADD(suite, the_text_of_another_parameter_in_a_value_is_refused);
    SUITE_ADD(suite, the_text_of_another_parameter_in_a_name_is_refused);
    SUITE_ADD(suite, a_browser_that_comes_back_is_a_hint);
    SUITE_ADD(suite, an_unsigned_way_back_is_refused);
    SUITE_ADD(suite, odd_amounts_are_refused);
    SUITE_ADD(suite, the_charset_decides_how_text_is_read);
    SUITE_ADD(suite, refunds_are_told_from_payments_by_time_and_sum);
    SUITE_ADD(suite, the_payer_and_the_time_of_paying_may_be_missing);
    SUITE_ADD(suite, too_many_parameters_are_refused_before_any_work);
    SUITE_ADD(suite, lack_of_memory_is_the_plugins_fault_not_the_notices);
    SUITE_ADD(suite, many_threads_share_one_channel);
    failed = suite_run(suite, "alipay notify");
    alipay_channel_close(&channel);
    json_decref(root);
    return failed;
}
