/*
 * Notices of refunds: every case of tests/vectors/wechat-refund-notify.json is decrypted or not as recorded. What is read is
 * never more than a hint: nothing signs these notices.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base64.h"
#include "unit/wechat_fixture.h"

static struct wechat_channel channel;

static bool begins(struct pn_str text, const char *prefix)
{
    return text.len >= strlen(prefix) && memcmp(text.data, prefix, strlen(prefix)) == 0;
}

static void decrypted_as_recorded(void **state)
{
    const json_t *item = *state, *expect = json_object_get(item, "expect");
    struct pn_str req_info = vector_str(item, "req_info"), plaintext = vector_str(item, "plaintext");
    char *spare = test_malloc(req_info.len + 1), *text = test_malloc(req_info.len + 1);
    size_t len = 0;
    bool opened = req_info.len && crypto_open_req_info(channel.state, req_info, spare, text, &len);

    if (begins(vector_str(expect, "decrypt"), "ok"))
        assert_true(opened);
    else if (str_is(vector_str(expect, "decrypt"), "fail"))
        assert_false(opened);
    if (str_is(vector_str(expect, "decrypt"), "ok"))
        assert_str((struct pn_str){ text, len }, plaintext);
    test_free(spare);
    test_free(text);
}

/* The value of a field of the plain text, found without our parser. */
static struct pn_str plain_field(const json_t *item, const char *name)
{
    struct pn_str text = vector_str(item, "plaintext");
    char opening[64];
    const char *at, *end;

    snprintf(opening, sizeof(opening), "<%s><![CDATA[", name);
    at = memmem(text.data, text.len, opening, strlen(opening));
    assert_non_null(at);
    at += strlen(opening);
    end = strstr(at, "]]>");
    assert_non_null(end);
    return (struct pn_str){ at, (size_t)(end - at) };
}

static void judged_as_recorded(void **state)
{
    const json_t *item = *state, *expect = json_object_get(item, "expect");
    bool acceptable = str_is(vector_str(expect, "reply"), "SUCCESS") || str_is(vector_str(expect, "business"), "reject");
    struct pn_str body = vector_bytes(item, "body");
    struct pn_notification notice;

    assert_int_equal(wechat_channel_notification(&channel, body, &notice), PN_OK);
    assert_null(notice.result);
    if (acceptable) {
        assert_int_equal(notice.verdict, PN_HINT);
        assert_str(notice.pay_no, plain_field(item, "out_trade_no"));
        assert_str(notice.refund_no, plain_field(item, "out_refund_no"));
    } else {
        assert_int_equal(notice.verdict, PN_REFUSED);
        assert_true(notice.reason.len > 0);
    }
    free((void *)(uintptr_t)body.data);
}

/* ---- notices made here */

/* Encrypts as WeChat does; base64 into the arena of nobody: the caller frees it. */
static struct pn_str encrypted(struct pn_str text)
{
    const struct wechat *wechat = channel.state;
    unsigned char *bytes = test_malloc(text.len + 32);
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    int first = 0, last = 0;
    char *base64;
    size_t len;

    assert_true(EVP_EncryptInit_ex(context, EVP_aes_256_ecb(), NULL, wechat->refund_key, NULL));
    assert_true(EVP_EncryptUpdate(context, bytes, &first, (const unsigned char *)text.data, (int)text.len));
    assert_true(EVP_EncryptFinal_ex(context, bytes + first, &last));
    EVP_CIPHER_CTX_free(context);
    len = (size_t)(first + last);
    base64 = test_malloc(BASE64_LEN(len));
    base64_encode(bytes, len, base64);
    test_free(bytes);
    return (struct pn_str){ base64, BASE64_LEN(len) };
}

static void judge(const char *appid, const char *plaintext, struct pn_notification *ret)
{
    struct pn_str req_info = encrypted(str_of(plaintext));
    struct pn_kv fields[] = {
        { STR("return_code"), STR("SUCCESS") }, { STR("appid"), str_of(appid) }, { STR("mch_id"), STR(WECHAT_MCH_ID) },
        { STR("nonce_str"), STR("953cbdb77f65") }, { STR("req_info"), req_info },
    };
    char *body = test_malloc(xml_write(fields, 5, NULL));

    assert_int_equal(wechat_channel_notification(&channel, (struct pn_str){ body, xml_write(fields, 5, body) }, ret), PN_OK);
    test_free(body);
    test_free((void *)(uintptr_t)req_info.data);
}

static void assert_refused(const struct pn_notification *notice, const char *reason)
{
    assert_int_equal(notice->verdict, PN_REFUSED);
    assert_str(notice->reason, str_of(reason));
}

#define PLAIN(status_, total_, refund_)                                                                               \
    "<root><transaction_id>42</transaction_id><out_trade_no>WN20240520Q1</out_trade_no><refund_id>50</refund_id>"     \
    "<out_refund_no>RF1</out_refund_no><total_fee>" total_ "</total_fee><refund_fee>" refund_ "</refund_fee>"          \
    "<refund_status>" status_ "</refund_status></root>"

static void what_is_encrypted_must_make_sense(void **state)
{
    struct pn_notification notice;

    (void)state;
    judge(WECHAT_APPID, PLAIN("SUCCESS", "8880", "1"), &notice);
    assert_int_equal(notice.verdict, PN_HINT);
    judge(WECHAT_APPID, PLAIN("PROCESSING", "8880", "1"), &notice);
    assert_refused(&notice, "unknown refund_status");
    judge(WECHAT_APPID, PLAIN("SUCCESS", "8880", "8881"), &notice);
    assert_refused(&notice, "an amount is no amount, or more was refunded than paid");
    judge(WECHAT_APPID, PLAIN("SUCCESS", "88.80", "1"), &notice);
    assert_refused(&notice, "an amount is no amount, or more was refunded than paid");
    judge(WECHAT_APPID, PLAIN("SUCCESS", "8880", ""), &notice);
    assert_refused(&notice, "a field that every refund notice has is missing");
    judge("wx8f7e6d5c4b3a2910", PLAIN("SUCCESS", "8880", "1"), &notice);
    assert_refused(&notice, "a refund notice of another merchant");
}

static void a_payment_inside_a_refund_notice_is_no_payment(void **state)
{
    struct pn_notification notice;

    (void)state;
    judge(WECHAT_APPID, "<xml><return_code>SUCCESS</return_code><result_code>SUCCESS</result_code></xml>", &notice);
    assert_refused(&notice, "the root element has another name");
}

int main(void)
{
    json_t *root = vectors_load("wechat-refund-notify"), *cases = json_object_get(root, "cases");
    struct suite *suite = suite_new();
    int failed;

    wechat_channel_open(&channel, "MD5");
    suite_add_cases(suite, "decryption", cases, 24, decrypted_as_recorded);
    suite_add_cases(suite, "refund notify", cases, 24, judged_as_recorded);
    SUITE_ADD(suite, what_is_encrypted_must_make_sense);
    SUITE_ADD(suite, a_payment_inside_a_refund_notice_is_no_payment);
    failed = suite_run(suite, "wechat refund notify");
    wechat_channel_close(&channel);
    json_decref(root);
    return failed;
}
