/*
 * What the channel asks of WeChat: paths and hosts, the fields of each operation, their signature, the texts that a payer sees,
 * expiry, and what is refused before anything is sent.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "unit/wechat_fixture.h"

static struct wechat_channel channel;

#define NUMBER "WN20240520S2"
#define FULL_AND "\xef\xbc\x86"
#define FULL_EQUALS "\xef\xbc\x9d"

/* ---- reading what was made */

struct made {
    const struct pn_http_request *request;
    char text[XML_BYTES_MAX];
    struct pn_kv fields[XML_ELEMENTS_MAX];
    size_t count;
};

static struct made made;

static struct pn_str param(const char *name)
{
    return kv_get((struct pn_kv_list){ made.fields, made.count }, name);
}

/* A request whose signature holds over everything that is sent. */
static void make(struct wechat_channel *from, const struct pn_payment *payment, const char *path)
{
    struct pn_step step;
    struct pn_str text;
    size_t path_len = strlen(path);

    if (wechat_channel_request(from, payment, &step) != PN_OK)
        fail_msg("%s %s", from->call.field, from->call.text);
    assert_null(step.done);
    made.request = step.next;
    assert_str(step.next->method, STR("POST"));
    assert_int_equal(step.next->flags, PN_HTTP_REPEATABLE);
    assert_str(step.next->headers.items[0].value, STR("text/xml; charset=utf-8"));
    for (size_t i = 0; i < step.next->urls.count; i++) {
        struct pn_str url = step.next->urls.items[i];

        assert_true(url.len > path_len);
        assert_str((struct pn_str){ url.data + url.len - path_len, path_len }, str_of(path));
    }
    assert_null(xml_read(step.next->body, "xml", made.text, made.fields, &made.count));
    sign_sort(made.fields, made.count);
    assert_int_equal(sign_text(from->state, &from->call, made.fields, made.count, &text), PN_OK);
    assert_true(sign_holds(from->state, text, param("sign")));
    assert_str(param("appid"), STR(WECHAT_APPID));
    assert_str(param("mch_id"), STR(WECHAT_MCH_ID));
    assert_str(param("sign_type"), from->settings.sign_type);
    assert_int_equal(param("nonce_str").len, 32);
}

static void assert_refused(const struct pn_payment *payment, int rc, const char *field)
{
    struct pn_step step;

    assert_int_equal(wechat_channel_request(&channel, payment, &step), rc);
    assert_null(step.next);
    assert_null(step.done);
    assert_int_equal(channel.call.failures, 1);
    assert_string_equal(channel.call.field, field);
}

/* ---- orders */

static void a_native_order(void **state)
{
    struct pn_payment payment = wechat_payment(PN_PREPAY, "native", STR(NUMBER));

    (void)state;
    make(&channel, &payment, "/pay/unifiedorder");
    assert_str(param("out_trade_no"), STR(NUMBER));
    assert_str(param("trade_type"), STR("NATIVE"));
    assert_str(param("body"), STR("测试订单"));
    assert_str(param("total_fee"), STR("8880"));
    assert_str(param("fee_type"), STR("CNY"));
    assert_str(param("notify_url"), STR("https://pay.test.example/notify/wechat"));
    assert_str(param("spbill_create_ip"), STR("127.0.0.1"));
    assert_str(param("product_id"), STR(NUMBER));
    assert_str(param("time_start"), STR("20240520131315"));
    assert_str(param("time_expire"), STR("20240520134315"));
    assert_null(param("openid").data);
    assert_null(param("scene_info").data);
    assert_null(param("sub_mch_id").data);
    assert_null(made.request->client_certificate.data);
}

static void an_mweb_order_names_the_payer_and_the_site(void **state)
{
    struct pn_payment payment = wechat_payment(PN_PREPAY, "mweb", STR(NUMBER));
    struct pn_kv ip = { STR("client_ip"), STR("2001:db8::7") };

    (void)state;
    payment.params = (struct pn_kv_list){ &ip, 1 };
    make(&channel, &payment, "/pay/unifiedorder");
    assert_str(param("trade_type"), STR("MWEB"));
    assert_str(param("spbill_create_ip"), STR("2001:db8::7"));
    assert_str(param("scene_info"),
               STR("{\"h5_info\":{\"type\":\"Wap\",\"wap_url\":\"https://pay.test.example\",\"wap_name\":\"Shop\"}}"));
    payment.params.count = 0;
    assert_refused(&payment, PN_BAD_INPUT, "client_ip");
}

static void a_jsapi_order_names_the_payer(void **state)
{
    struct pn_payment payment = wechat_payment(PN_PREPAY, "jsapi", STR(NUMBER));
    struct pn_kv openid = { STR("openid"), STR("oUpF8uMuAJO") };

    (void)state;
    payment.params = (struct pn_kv_list){ &openid, 1 };
    make(&channel, &payment, "/pay/unifiedorder");
    assert_str(param("trade_type"), STR("JSAPI"));
    assert_str(param("openid"), STR("oUpF8uMuAJO"));
    assert_null(param("product_id").data);
    payment.params.count = 0;
    assert_refused(&payment, PN_BAD_INPUT, "openid");
}

static void an_app_order(void **state)
{
    struct pn_payment payment = wechat_payment(PN_PREPAY, "app", STR(NUMBER));

    (void)state;
    make(&channel, &payment, "/pay/unifiedorder");
    assert_str(param("trade_type"), STR("APP"));
}

/* WeChat answers a repeated order only when nothing about it has changed. */
static void an_order_repeated_later_is_the_same(void **state)
{
    struct pn_payment payment = wechat_payment(PN_PREPAY, "native", STR(NUMBER));
    static struct pn_kv first[XML_ELEMENTS_MAX];
    static char text[XML_BYTES_MAX];
    size_t count = 0;
    struct pn_kv ip = { STR("client_ip"), STR("192.0.2.1") };

    (void)state;
    make(&channel, &payment, "/pay/unifiedorder");
    assert_null(xml_read(made.request->body, "xml", text, first, &count));
    channel.call.now_ms += 600000;
    payment.params = (struct pn_kv_list){ &ip, 1 };
    make(&channel, &payment, "/pay/unifiedorder");
    channel.call.now_ms -= 600000;
    assert_int_equal(made.count, count);
    for (size_t i = 0; i < count; i++) {
        char name[XML_NAME_MAX + 1];

        snprintf(name, sizeof(name), "%.*s", (int)first[i].name.len, first[i].name.data);
        assert_str(param(name), first[i].value);
    }
}

static void an_expiry_is_at_least_a_minute_away(void **state)
{
    struct pn_payment payment = wechat_payment(PN_PREPAY, "native", STR(NUMBER));

    (void)state;
    payment.expires_at_ms = payment.created_at_ms + 5000;
    make(&channel, &payment, "/pay/unifiedorder");
    assert_str(param("time_expire"), STR("20240520131415"));
    payment.expires_at_ms = 0;
    make(&channel, &payment, "/pay/unifiedorder");
    assert_null(param("time_expire").data);
    assert_null(param("time_start").data);
}

static void a_name_never_refuses_an_order(void **state)
{
    static const struct {
        const char *name, *body;
    } names[] = {
        { "a&total_fee=1", "a" FULL_AND "total_fee" FULL_EQUALS "1" },
        { "tea 😀🎉", "tea ??" },
        { "l1\nl2\t<b>]]>\"'", "l1 l2 <b>]]>\"'" },
        { "\xff\xfe x", "?? x" },
        { "", NUMBER },
        { "  \n ", NUMBER },
        { "\xef\xbf\xbf", "?" },
    };
    struct pn_payment payment = wechat_payment(PN_PREPAY, "native", STR(NUMBER));

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        payment.name = str_of(names[i].name);
        make(&channel, &payment, "/pay/unifiedorder");
        assert_str(param("body"), str_of(names[i].body));
    }
}

static void a_long_name_is_cut_at_a_character(void **state)
{
    struct pn_payment payment = wechat_payment(PN_PREPAY, "native", STR(NUMBER));
    char name[600];

    (void)state;
    for (size_t i = 0; i < sizeof(name); i += 3)
        memcpy(name + i, "中", 3);
    payment.name = (struct pn_str){ name, sizeof(name) };
    make(&channel, &payment, "/pay/unifiedorder");
    assert_str(param("body"), (struct pn_str){ name, 126 });
}

/* ---- the other operations */

static void queries_and_closing_name_the_order(void **state)
{
    struct pn_payment payment = wechat_payment(PN_QUERY, "native", STR(NUMBER));

    (void)state;
    make(&channel, &payment, "/pay/orderquery");
    assert_int_equal(made.count, 6);
    assert_str(param("out_trade_no"), STR(NUMBER));
    payment.operation = PN_CLOSE;
    make(&channel, &payment, "/pay/closeorder");
    assert_int_equal(made.count, 6);
    assert_str(param("out_trade_no"), STR(NUMBER));
    payment.operation = PN_REFUND_QUERY;
    payment.refund_no = STR("RF1");
    make(&channel, &payment, "/pay/refundquery");
    assert_int_equal(made.count, 6);
    assert_str(param("out_refund_no"), STR("RF1"));
}

static void assert_refund_fields(struct wechat_channel *from, const struct pn_payment *payment)
{
    make(from, payment, "/secapi/pay/refund");
    assert_str(param("out_trade_no"), STR(NUMBER));
    assert_str(param("out_refund_no"), STR("RF1"));
    assert_str(param("total_fee"), STR("8880"));
    assert_str(param("refund_fee"), STR("120"));
    assert_str(param("notify_url"), STR("https://pay.test.example/notify/wechat"));
    assert_str(param("refund_desc"), STR("商品" FULL_AND "已售完"));
}

static void a_refund_needs_the_certificate_over_https(void **state)
{
    struct pn_payment payment = wechat_payment(PN_REFUND, "native", STR(NUMBER));
    struct wechat_channel plain;

    (void)state;
    payment.refund_no = STR("RF1");
    payment.refund_minor = 120;
    payment.refund_reason = STR("商品&已售完");
    assert_refused(&payment, PN_UNSUPPORTED, "client_p12");
    wechat_channel_settings(&plain, "MD5");
    plugin_setting(&pn_plugin, &plain.settings, "url", STR("http://127.0.0.1:9/test/"));
    assert_int_equal(wechat_channel_start(&plain), PN_OK);
    assert_refund_fields(&plain, &payment);
    assert_int_equal(made.request->urls.count, 1);
    assert_str(made.request->urls.items[0], STR("http://127.0.0.1:9/test/secapi/pay/refund"));
    wechat_channel_close(&plain);
}

static void what_cannot_be_is_refused_before_anything_is_sent(void **state)
{
    struct pn_payment payment = wechat_payment(PN_PREPAY, "native", STR(NUMBER));

    (void)state;
    payment.currency = STR("USD");
    assert_refused(&payment, PN_BAD_INPUT, "currency");
    payment = wechat_payment(PN_PREPAY, "native", STR(NUMBER));
    payment.amount_minor = 0;
    assert_refused(&payment, PN_BAD_INPUT, "amount");
    payment.amount_minor = INT64_MAX;
    assert_refused(&payment, PN_BAD_INPUT, "amount");
    payment = wechat_payment(PN_PREPAY, "wap", STR(NUMBER));
    assert_refused(&payment, PN_UNSUPPORTED, "");
    payment = wechat_payment(PN_QUERY, "native", STR("12345"));
    assert_refused(&payment, PN_BAD_INPUT, "pay_no");
    payment.pay_no = STR("123456789012345678901234567890123");
    assert_refused(&payment, PN_BAD_INPUT, "pay_no");
    payment.pay_no = STR("1234567&8");
    assert_refused(&payment, PN_BAD_INPUT, "pay_no");
    payment = wechat_payment(PN_REFUND, "native", STR(NUMBER));
    assert_refused(&payment, PN_BAD_INPUT, "refund_no");
    payment.refund_no = STR("RF1");
    assert_refused(&payment, PN_BAD_INPUT, "amount");
    payment.refund_minor = 8881;
    assert_refused(&payment, PN_BAD_INPUT, "amount");
    payment = wechat_payment(PN_REFRESH, "native", STR(NUMBER));
    assert_refused(&payment, PN_UNSUPPORTED, "");
}

/* ---- hosts */

static void the_second_site_follows_the_main_one_alone(void **state)
{
    struct pn_payment payment = wechat_payment(PN_QUERY, "native", STR(NUMBER));
    struct wechat_channel other;

    (void)state;
    make(&channel, &payment, "/pay/orderquery");
    assert_int_equal(made.request->urls.count, 2);
    assert_str(made.request->urls.items[0], STR("https://api.mch.weixin.qq.com/pay/orderquery"));
    assert_str(made.request->urls.items[1], STR("https://api2.mch.weixin.qq.com/pay/orderquery"));
    wechat_channel_settings(&other, "MD5");
    plugin_setting(&pn_plugin, &other.settings, "url", STR("https://apihk.mch.weixin.qq.com"));
    plugin_setting(&pn_plugin, &other.settings, "backup_url", STR("https://api.mch.weixin.qq.com/"));
    assert_int_equal(wechat_channel_start(&other), PN_OK);
    make(&other, &payment, "/pay/orderquery");
    assert_int_equal(made.request->urls.count, 2);
    assert_str(made.request->urls.items[1], STR("https://api.mch.weixin.qq.com/pay/orderquery"));
    wechat_channel_close(&other);
}

/* ---- service providers */

static void a_service_provider_names_the_merchant_served(void **state)
{
    struct pn_payment payment = wechat_payment(PN_PREPAY, "jsapi", STR(NUMBER));
    struct pn_kv openid = { STR("openid"), STR("oUpF8uMuAJO") };
    struct wechat_channel served;

    (void)state;
    wechat_channel_settings(&served, NULL);
    plugin_setting(&pn_plugin, &served.settings, "sub_appid", STR("wx8f7e6d5c4b3a2910"));
    plugin_setting(&pn_plugin, &served.settings, "sub_mch_id", STR("1900000002"));
    assert_int_equal(wechat_channel_start(&served), PN_OK);
    payment.params = (struct pn_kv_list){ &openid, 1 };
    make(&served, &payment, "/pay/unifiedorder");
    assert_str(param("sub_appid"), STR("wx8f7e6d5c4b3a2910"));
    assert_str(param("sub_mch_id"), STR("1900000002"));
    assert_str(param("sub_openid"), STR("oUpF8uMuAJO"));
    assert_null(param("openid").data);
    assert_str(param("sign_type"), STR("HMAC-SHA256"));
    wechat_channel_close(&served);
}

static void lack_of_memory_is_said(void **state)
{
    struct pn_payment payment = wechat_payment(PN_PREPAY, "native", STR(NUMBER));
    struct pn_step step = { .size = sizeof(step) };
    int rc = PN_INTERNAL;

    (void)state;
    for (size_t allowed = 0; rc != PN_OK; allowed++) {
        plugin_call_free(&channel.call);
        channel.call.allocs_left = allowed;
        rc = pn_plugin.channel->request(channel.state, &channel.call, &payment, &step);
        assert_true(rc == PN_OK || (rc == PN_INTERNAL && !step.next && channel.call.failures == 1));
        assert_true(allowed < 64);
    }
    channel.call.allocs_left = (size_t)-1;
}

int main(void)
{
    struct suite *suite = suite_new();
    int failed;

    wechat_channel_open(&channel, "MD5");
    SUITE_ADD(suite, a_native_order);
    SUITE_ADD(suite, an_mweb_order_names_the_payer_and_the_site);
    SUITE_ADD(suite, a_jsapi_order_names_the_payer);
    SUITE_ADD(suite, an_app_order);
    SUITE_ADD(suite, an_order_repeated_later_is_the_same);
    SUITE_ADD(suite, an_expiry_is_at_least_a_minute_away);
    SUITE_ADD(suite, a_name_never_refuses_an_order);
    SUITE_ADD(suite, a_long_name_is_cut_at_a_character);
    SUITE_ADD(suite, queries_and_closing_name_the_order);
    SUITE_ADD(suite, a_refund_needs_the_certificate_over_https);
    SUITE_ADD(suite, what_cannot_be_is_refused_before_anything_is_sent);
    SUITE_ADD(suite, the_second_site_follows_the_main_one_alone);
    SUITE_ADD(suite, a_service_provider_names_the_merchant_served);
    SUITE_ADD(suite, lack_of_memory_is_said);
    failed = suite_run(suite, "wechat request");
    wechat_channel_close(&channel);
    return failed;
}
