/*
 * Notices of payments: every case of tests/vectors/wechat-notify.json is judged as recorded, gives the same signed text, and
 * gets the right reply. What the books decide (amount, order, merchant) is mirrored here in a few lines.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "unit/wechat_fixture.h"

static struct wechat_channel md5, hmac;

static struct wechat_channel *channel_of(const json_t *item)
{
    return str_is(vector_str(item, "sign_type"), "MD5") ? &md5 : &hmac;
}

/* The one order that is ours, and to whom it was addressed: what core compares with its books. */
static bool books_accept(const struct pn_result *result)
{
    struct pn_str sub = kv_get(result->merchant, "sub_mch_id");

    return result->state == PN_STATE_PAID && str_is(result->pay_no, "WN20240520N1001") && result->total_minor == 8880 &&
           str_is(result->currency, "CNY") && str_is(kv_get(result->merchant, "appid"), WECHAT_APPID) &&
           str_is(kv_get(result->merchant, "mch_id"), WECHAT_MCH_ID) && (!sub.len || str_is(sub, "1900000002"));
}

static void assert_reply(struct wechat_channel *channel, bool accepted, struct pn_str want)
{
    struct pn_http_incoming incoming = { .size = sizeof(incoming) };
    struct pn_reply reply = { .size = sizeof(reply) };
    char word[64];

    assert_int_equal(pn_plugin.channel->reply(channel->state, &channel->call, &incoming, accepted, &reply), PN_OK);
    assert_int_equal(reply.status, 200);
    assert_str(reply.content_type, STR("text/xml; charset=utf-8"));
    snprintf(word, sizeof(word), "<return_code><![CDATA[%.*s]]></return_code>", (int)want.len, want.data);
    assert_non_null(memmem(reply.body.data, reply.body.len, word, strlen(word)));
}

static struct pn_str param(const json_t *item, const char *name)
{
    const json_t *pair;
    size_t i;

    json_array_foreach(json_object_get(item, "params"), i, pair)
        if (strcmp(json_string_value(json_array_get(pair, 0)), name) == 0)
            return (struct pn_str){ json_string_value(json_array_get(pair, 1)), json_string_length(json_array_get(pair, 1)) };
    return (struct pn_str){ NULL, 0 };
}

static void assert_result(const json_t *item, const struct pn_result *result)
{
    assert_int_equal(result->size, sizeof(*result));
    assert_str(result->pay_no, param(item, "out_trade_no"));
    assert_int_equal(result->refunded_minor, PN_NOT_STATED);
    assert_null(kv_get(result->fields, "sign").data);
    for (size_t i = 0; i < result->fields.count; i++) {
        char name[XML_NAME_MAX + 1];

        snprintf(name, sizeof(name), "%.*s", (int)result->fields.items[i].name.len, result->fields.items[i].name.data);
        assert_str(result->fields.items[i].value, param(item, name));
    }
    if (result->state != PN_STATE_PAID)
        return;
    assert_str(result->trade_no, param(item, "transaction_id"));
    assert_str(result->payer, param(item, "openid"));
    /* 2024-05-20 13:14:20 in Beijing */
    assert_int_equal(result->paid_at_ms, INT64_C(1716182060000));
}

static void assert_signed_text(const json_t *item, struct wechat_channel *channel, struct pn_str body)
{
    struct pn_str want = vector_str(item, "sign_string"), got;
    struct message message;

    assert_int_equal(message_read(channel->state, &channel->call, body, &message), PN_OK);
    assert_int_equal(sign_text(channel->state, &channel->call, message.fields.items, message.fields.count, &got), PN_OK);
    assert_true(want.len > got.len);
    assert_str(got, (struct pn_str){ want.data, got.len });
    assert_memory_equal(want.data + got.len, "&key=", 5);
}

static void judged_as_recorded(void **state)
{
    const json_t *item = *state, *expect = json_object_get(item, "expect");
    bool valid = str_is(vector_str(expect, "signature"), "valid"), accept = str_is(vector_str(expect, "business"), "accept");
    struct wechat_channel *channel = channel_of(item);
    struct pn_str body = vector_bytes(item, "body");
    struct pn_notification notice;
    bool acknowledged;

    assert_int_equal(wechat_channel_notification(channel, body, &notice), PN_OK);
    assert_int_not_equal(notice.verdict, PN_HINT);
    if (!valid)
        assert_int_equal(notice.verdict, PN_REFUSED);
    if (notice.verdict == PN_REFUSED) {
        assert_null(notice.result);
        assert_true(notice.reason.len > 0);
        assert_false(valid && str_is(notice.reason, "the signature does not hold"));
    } else {
        assert_int_equal(notice.verdict, PN_AUTHENTIC);
        assert_result(item, notice.result);
    }
    assert_int_equal(notice.verdict == PN_AUTHENTIC && books_accept(notice.result), accept);
    acknowledged = accept || (notice.verdict == PN_AUTHENTIC && notice.result->state == PN_STATE_FAILED);
    assert_reply(channel, acknowledged, vector_str(expect, "reply"));
    if (valid && vector_has(item, "sign_string"))
        assert_signed_text(item, channel, body);
    free((void *)(uintptr_t)body.data);
}

/* Only what is configured is believed: the other half of the valid cases. */
static void refused_where_the_other_way_of_signing_is_configured(void **state)
{
    const json_t *item = *state;
    struct wechat_channel *other = channel_of(item) == &md5 ? &hmac : &md5;
    struct pn_str body = vector_bytes(item, "body");
    struct pn_notification notice;

    assert_int_equal(wechat_channel_notification(other, body, &notice), PN_OK);
    assert_int_equal(notice.verdict, PN_REFUSED);
    free((void *)(uintptr_t)body.data);
}

/* ---- more cases, signed with the merchant's key */

static const struct pn_kv plain[] = {
    { STR_INIT("appid"), STR_INIT(WECHAT_APPID) },       { STR_INIT("bank_type"), STR_INIT("CFT") },
    { STR_INIT("cash_fee"), STR_INIT("8880") },          { STR_INIT("mch_id"), STR_INIT(WECHAT_MCH_ID) },
    { STR_INIT("nonce_str"), STR_INIT("eb49bbdde384") }, { STR_INIT("openid"), STR_INIT("oUpF8uMuAJO") },
    { STR_INIT("out_trade_no"), STR_INIT("WN20240520N1001") }, { STR_INIT("result_code"), STR_INIT("SUCCESS") },
    { STR_INIT("return_code"), STR_INIT("SUCCESS") },    { STR_INIT("time_end"), STR_INIT("20240520131420") },
    { STR_INIT("total_fee"), STR_INIT("8880") },         { STR_INIT("transaction_id"), STR_INIT("4200002201") },
};
enum { PLAIN = sizeof(plain) / sizeof(plain[0]) };

/* Judges the plain notice with one field changed, added, or (value absent) left out; its signature holds. */
static void judge(struct pn_kv change, struct pn_notification *ret)
{
    struct pn_kv fields[PLAIN + 2];
    struct pn_str body;
    size_t n = 0;

    for (size_t i = 0; i < PLAIN; i++)
        if (!str_eq(plain[i].name, change.name))
            fields[n++] = plain[i];
    if (change.value.data)
        fields[n++] = change;
    body = wechat_signed(&hmac, fields, n);
    assert_int_equal(wechat_channel_notification(&hmac, body, ret), PN_OK);
    free((void *)(uintptr_t)body.data);
}

static void assert_refused(const struct pn_notification *notice, const char *reason)
{
    assert_int_equal(notice->verdict, PN_REFUSED);
    assert_str(notice->reason, str_of(reason));
}

static void a_missing_mandatory_field_is_refused(void **state)
{
    struct pn_notification notice;

    (void)state;
    judge((struct pn_kv){ STR("attach"), STR("x") }, &notice);
    assert_int_equal(notice.verdict, PN_AUTHENTIC);
    for (size_t i = 0; i < PLAIN; i++) {
        judge((struct pn_kv){ plain[i].name, { NULL, 0 } }, &notice);
        assert_int_equal(notice.verdict, PN_REFUSED);
    }
    judge((struct pn_kv){ STR("openid"), STR("") }, &notice);
    assert_refused(&notice, "a field that every payment notice has is missing");
}

static void the_text_of_another_field_in_a_value_is_refused(void **state)
{
    struct pn_notification notice;

    (void)state;
    judge((struct pn_kv){ STR("zz"), STR("1&out_trade_no=2") }, &notice);
    assert_refused(&notice, "a value holds the text of another field");
    judge((struct pn_kv){ STR("attach"), STR("&&&total_fee=") }, &notice);
    assert_refused(&notice, "a value holds the text of another field");
    judge((struct pn_kv){ STR("attach"), STR("a & b = c &amp; x&y=z &total_fee =1&total_fee") }, &notice);
    assert_int_equal(notice.verdict, PN_AUTHENTIC);
}

static void odd_amounts_are_refused(void **state)
{
    static const char *const odd[] = { "88.80", "+8880", "-8880", "8.88e3", " 8880", "8880 ", "08880", "00", "8,880", "8880.", "0x22b0",
                                       "9223372036854775808", "18446744073709560496", "\xd9\xa8\xd9\xa8", "NaN" };
    struct pn_notification notice;

    (void)state;
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        judge((struct pn_kv){ STR("total_fee"), str_of(odd[i]) }, &notice);
        assert_refused(&notice, "total_fee is missing or no amount");
    }
    judge((struct pn_kv){ STR("total_fee"), STR("9223372036854775807") }, &notice);
    assert_int_equal(notice.result->total_minor, INT64_MAX);
}

static void another_currency_is_told_to_the_books(void **state)
{
    struct pn_notification notice;

    (void)state;
    judge((struct pn_kv){ STR("fee_type"), STR("USD") }, &notice);
    assert_str(notice.result->currency, STR("USD"));
    judge((struct pn_kv){ STR("fee_type"), { NULL, 0 } }, &notice);
    assert_str(notice.result->currency, STR("CNY"));
}

static void an_odd_time_of_paying_is_not_stated(void **state)
{
    static const char *const odd[] = { "yesterday", "20240230131420", "2024052013142", "202405201314200", "2024-05-20 13:14:20" };
    struct pn_notification notice;

    (void)state;
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        judge((struct pn_kv){ STR("time_end"), str_of(odd[i]) }, &notice);
        assert_int_equal(notice.verdict, PN_AUTHENTIC);
        assert_int_equal(notice.result->paid_at_ms, 0);
    }
}

static void a_sub_merchants_notice_names_it(void **state)
{
    struct pn_notification notice;

    (void)state;
    judge((struct pn_kv){ STR("sub_mch_id"), STR("1900000002") }, &notice);
    assert_int_equal(notice.result->merchant.count, 3);
    assert_str(kv_get(notice.result->merchant, "sub_mch_id"), STR("1900000002"));
}

static void lack_of_memory_is_the_plugins_fault_not_the_notices(void **state)
{
    struct pn_kv fields[PLAIN + 1];
    struct pn_http_incoming incoming = { .size = sizeof(incoming) };
    struct pn_notification notice = { .size = sizeof(notice) };
    int rc = PN_INTERNAL;

    (void)state;
    memcpy(fields, plain, sizeof(plain));
    incoming.body = wechat_signed(&hmac, fields, PLAIN);
    for (size_t allowed = 0; rc != PN_OK; allowed++) {
        plugin_call_free(&hmac.call);
        hmac.call.allocs_left = allowed;
        notice.verdict = 0;
        rc = pn_plugin.channel->notification(hmac.state, &hmac.call, &incoming, &notice);
        if (rc != PN_OK) {
            assert_int_equal(rc, PN_INTERNAL);
            assert_int_equal(notice.verdict, 0);
            assert_int_equal(hmac.call.failures, 1);
        }
        assert_true(allowed < 32);
    }
    assert_int_equal(notice.verdict, PN_AUTHENTIC);
    hmac.call.allocs_left = (size_t)-1;
    free((void *)(uintptr_t)incoming.body.data);
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
        int rc = pn_plugin.channel->notification(md5.state, &call, &incoming, &notice);

        judge->wrong += rc != PN_OK || notice.verdict != (i % 2 ? PN_AUTHENTIC : PN_REFUSED);
        plugin_call_free(&call);
    }
    return NULL;
}

static void many_threads_share_one_channel(void **state)
{
    json_t *root = vectors_load("wechat-notify"), *cases = json_object_get(root, "cases");
    struct pn_str good = vector_bytes(json_array_get(cases, 0), "body"), bad = vector_bytes(json_array_get(cases, 83), "body");
    struct judge judges[4];

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        judges[i] = (struct judge){ .good = good, .bad = bad };
        assert_int_equal(pthread_create(&judges[i].thread, NULL, judge_many, &judges[i]), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(judges[i].thread, NULL), 0);
        assert_int_equal(judges[i].wrong, 0);
    }
    free((void *)(uintptr_t)good.data);
    free((void *)(uintptr_t)bad.data);
    json_decref(root);
}

int main(void)
{
    json_t *root = vectors_load("wechat-notify"), *cases = json_object_get(root, "cases");
    struct suite *suite = suite_new();
    int failed;

    wechat_channel_open(&md5, "MD5");
    wechat_channel_open(&hmac, "HMAC-SHA256");
    suite_add_cases(suite, "notify", cases, 95, judged_as_recorded);
    suite_add_cases(suite, "other sign_type", cases, 95, refused_where_the_other_way_of_signing_is_configured);
    SUITE_ADD(suite, a_missing_mandatory_field_is_refused);
    SUITE_ADD(suite, the_text_of_another_field_in_a_value_is_refused);
    SUITE_ADD(suite, odd_amounts_are_refused);
    SUITE_ADD(suite, another_currency_is_told_to_the_books);
    SUITE_ADD(suite, an_odd_time_of_paying_is_not_stated);
    SUITE_ADD(suite, a_sub_merchants_notice_names_it);
    SUITE_ADD(suite, lack_of_memory_is_the_plugins_fault_not_the_notices);
    SUITE_ADD(suite, many_threads_share_one_channel);
    failed = suite_run(suite, "wechat notify");
    wechat_channel_close(&hmac);
    wechat_channel_close(&md5);
    json_decref(root);
    return failed;
}
