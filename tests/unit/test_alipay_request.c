/*
 * What the channel asks of Alipay: browser forms as in tests/vectors/alipay-form.json, calls to the gateway, the texts that a
 * payer sees, expiry, and what is refused.
 */
#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base64.h"
#include "common/beijing.h"
#include "common/form.h"
#include "unit/alipay_fixture.h"

enum { FIELDS_MAX = 32 };
#define GATEWAY "https://openapi.alipay.com/gateway.do"

static struct alipay_channel channel;

static void assert_str(struct pn_str got, struct pn_str want)
{
    if (!str_eq(got, want))
        fail_msg("got \"%.*s\", wanted \"%.*s\"", (int)got.len, got.data ? got.data : "", (int)want.len, want.data ? want.data : "");
}

/* ---- reading what was made */

struct made {
    char text[16384];
    struct pn_kv fields[FIELDS_MAX]; /* of the URL's query, and biz_content last */
    size_t count;
    json_t *content;
};

static void read_made(struct made *made, const char *gateway, struct pn_str url, struct pn_str content)
{
    size_t base = strlen(gateway);
    struct pn_str query = { url.data + base + 1, url.len - base - 1 };

    assert_true(url.len > base + 1);
    assert_memory_equal(url.data, gateway, base);
    assert_int_equal(url.data[base], '?');
    assert_true(form_count(query) < FIELDS_MAX && query.len < sizeof(made->text));
    assert_null(form_parse(query, made->text, made->fields, &made->count));
    made->fields[made->count++] = (struct pn_kv){ STR("biz_content"), content };
    made->content = json_loadb(content.data, content.len, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(made->content);
}

static struct pn_str param(const struct made *made, const char *name)
{
    return kv_get((struct pn_kv_list){ made->fields, made->count }, name);
}

/* The signature holds over everything that is sent. */
static void assert_signed(const struct made *made)
{
    static struct rsa_key *key;
    struct pn_kv fields[FIELDS_MAX];
    unsigned char signature[RSA_BYTES_MAX];
    struct pn_str text, sign = param(made, "sign");
    size_t n = 0, len = 0;

    if (!key)
        assert_null(rsa_public_key_new(vectors_key("app", "public_spki_pem"), &key));
    for (size_t i = 0; i < made->count; i++)
        if (!str_is(made->fields[i].name, "sign"))
            fields[n++] = made->fields[i];
    params_sort(fields, n);
    assert_int_equal(params_join(channel.state, &channel.call, fields, n, &text), PN_OK);
    assert_true(base64_decode(sign.data, sign.len, signature, &len));
    assert_true(rsa_verify(key, text, signature, len));
}

/* A browser payment, from the descriptor's table to the parameters. The caller frees ret->content. */
static const struct pn_result *make_form(const struct pn_payment *payment, const char *gateway, struct made *ret)
{
    struct pn_step step;

    assert_int_equal(alipay_channel_request(&channel, payment, &step), PN_OK);
    assert_null(step.next);
    assert_non_null(step.done);
    assert_int_equal(step.done->prepay_kind, PN_PREPAY_FORM);
    assert_int_equal(step.done->prepay_fields.count, 1);
    assert_str(step.done->prepay_fields.items[0].name, STR("biz_content"));
    read_made(ret, gateway, step.done->url, step.done->prepay_fields.items[0].value);
    assert_signed(ret);
    return step.done;
}

/* A call to the gateway. The caller frees ret->content. */
static const struct pn_http_request *make_call(const struct pn_payment *payment, struct made *ret)
{
    static char text[16384];
    struct pn_kv body[2];
    struct pn_step step;
    size_t count = 0;

    assert_int_equal(alipay_channel_request(&channel, payment, &step), PN_OK);
    assert_null(step.done);
    assert_non_null(step.next);
    assert_str(step.next->method, STR("POST"));
    assert_int_equal(step.next->urls.count, 1);
    assert_int_equal(form_count(step.next->body), 1);
    assert_null(form_parse(step.next->body, text, body, &count));
    assert_str(body[0].name, STR("biz_content"));
    assert_int_equal(step.next->headers.count, 1);
    assert_str(step.next->headers.items[0].value, STR("application/x-www-form-urlencoded;charset=utf-8"));
    read_made(ret, GATEWAY, step.next->urls.items[0], body[0].value);
    assert_signed(ret);
    return step.next;
}

static struct pn_str content(const struct made *made, const char *name)
{
    return vector_str(made->content, name);
}

/* ---- the vectors */

static void assert_names(const json_t *names, const struct made *made)
{
    assert_int_equal(json_array_size(names), made->count - 1);
    for (size_t i = 0; i < json_array_size(names); i++)
        assert_non_null(param(made, json_string_value(json_array_get(names, i))).data);
}

static void assert_get_query(struct made *made, struct pn_str want)
{
    char *text = test_malloc(form_length(made->fields, made->count));

    params_sort(made->fields, made->count);
    assert_str((struct pn_str){ text, form_write(made->fields, made->count, text) }, want);
    test_free(text);
}

/* Whatever the parameters are: what goes where, and the signature over all. */
static void jumps_as_recorded(void **state)
{
    const json_t *item = *state, *expect = json_object_get(item, "expect"), *pairs = json_object_get(expect, "params");
    struct pn_kv params[FIELDS_MAX];
    size_t count = json_array_size(pairs);
    struct pn_kv_list hidden;
    struct pn_str url;
    struct made made;

    alipay_channel_close(&channel);
    alipay_channel_open(&channel, vector_str(item, "gateway").data, false);
    for (size_t i = 0; i < count; i++)
        params[i] = (struct pn_kv){ str_of(json_string_value(json_array_get(json_array_get(pairs, i), 0))),
                                    str_of(json_string_value(json_array_get(json_array_get(pairs, i), 1))) };
    assert_int_equal(params_sign(channel.state, &channel.call, params, &count), PN_OK);
    assert_str(params[count - 1].value, vector_str(expect, "sign"));
    assert_int_equal(alipay_jump(channel.state, &channel.call, params, count, &url, &hidden), PN_OK);
    assert_int_equal(hidden.count, 1);
    read_made(&made, vector_str(item, "gateway").data, url, hidden.items[0].value);
    assert_signed(&made);
    assert_names(json_object_get(expect, "action_url_params"), &made);
    assert_str(param(&made, "charset"), STR("utf-8"));
    for (size_t i = 0; i < json_array_size(pairs); i++)
        assert_str(param(&made, json_string_value(json_array_get(json_array_get(pairs, i), 0))),
                   str_of(json_string_value(json_array_get(json_array_get(pairs, i), 1))));
    assert_get_query(&made, vector_str(expect, "get_url_params_sorted_query"));
    json_decref(made.content);
}

/* The cases without a forbidden character come out of the descriptor's PREPAY exactly as recorded. */
static void prepay_gives_the_recorded_form(void **state)
{
    static const size_t cases[] = { 0, 1, 5 };
    json_t *root = vectors_load("alipay-form");

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const json_t *item = json_array_get(json_object_get(root, "cases"), cases[i]);
        const json_t *input = json_object_get(item, "input"), *common = json_object_get(input, "common");
        const json_t *business = json_object_get(input, "biz_content");
        const char *product = str_is(vector_str(item, "method"), "alipay.trade.wap.pay") ? "wap" : "page";
        struct pn_payment payment = alipay_payment(PN_PREPAY, product, vector_str(business, "out_trade_no"));
        struct made made;

        alipay_channel_close(&channel);
        alipay_channel_open(&channel, vector_str(item, "gateway").data, false);
        assert_true(beijing_parse(vector_str(common, "timestamp"), &channel.call.now_ms));
        payment.notify_url = vector_str(common, "notify_url");
        payment.return_url = vector_str(common, "return_url");
        payment.name = vector_str(business, "subject");
        make_form(&payment, vector_str(item, "gateway").data, &made);
        assert_str(param(&made, "sign"), vector_str(json_object_get(item, "expect"), "sign"));
        json_decref(made.content);
    }
    json_decref(root);
    alipay_channel_close(&channel);
    alipay_channel_open(&channel, NULL, true);
}

/* ---- the operations */

static void a_phone_form_says_everything(void **state)
{
    struct pn_payment payment = alipay_payment(PN_PREPAY, "wap", STR("1234567890123456789"));
    const struct pn_result *result;
    struct made made;

    (void)state;
    payment.description = STR("两件");
    payment.return_url = STR("https://shop.test.example/r?a=1&b=2");
    payment.created_at_ms = INT64_C(1716182055000);
    payment.expires_at_ms = INT64_C(1716183855999);
    result = make_form(&payment, GATEWAY, &made);
    assert_int_equal(result->state, PN_STATE_UNPAID);
    assert_str(result->pay_no, payment.pay_no);
    assert_int_equal(result->total_minor, PN_NOT_STATED);
    assert_int_equal(result->merchant.count, 2);
    assert_str(kv_get(result->merchant, "app_id"), STR(ALIPAY_APP_ID));
    assert_str(kv_get(result->merchant, "seller_id"), STR(ALIPAY_SELLER_ID));
    assert_str(param(&made, "method"), STR("alipay.trade.wap.pay"));
    assert_str(param(&made, "timestamp"), STR("2024-05-20 13:14:15"));
    assert_str(param(&made, "notify_url"), payment.notify_url);
    assert_str(param(&made, "return_url"), payment.return_url);
    assert_str(param(&made, "biz_content"),
               STR("{\"out_trade_no\":\"1234567890123456789\",\"total_amount\":\"88.80\",\"subject\":\"测试订单\","
                   "\"body\":\"两件\",\"product_code\":\"QUICK_WAP_WAY\",\"quit_url\":\"https://shop.test.example/r?a=1&b=2\","
                   "\"time_expire\":\"2024-05-20 13:44:15\"}"));
    json_decref(made.content);
}

static void a_desktop_form_has_no_way_back_and_its_own_product_code(void **state)
{
    struct pn_payment payment = alipay_payment(PN_PREPAY, "page", STR("1"));
    struct made made;

    (void)state;
    payment.return_url = STR("https://shop.test.example/r");
    make_form(&payment, GATEWAY, &made);
    assert_str(param(&made, "method"), STR("alipay.trade.page.pay"));
    assert_str(content(&made, "product_code"), STR("FAST_INSTANT_TRADE_PAY"));
    assert_int_equal(json_object_size(made.content), 4);
    json_decref(made.content);
}

static void a_qr_code_is_asked_of_the_gateway(void **state)
{
    struct pn_payment payment = alipay_payment(PN_PREPAY, "precreate", STR("77"));
    const struct pn_http_request *request;
    struct made made;

    (void)state;
    payment.return_url = STR("https://shop.test.example/r");
    request = make_call(&payment, &made);
    assert_int_equal(request->flags, PN_HTTP_REPEATABLE);
    assert_str(param(&made, "method"), STR("alipay.trade.precreate"));
    assert_str(param(&made, "charset"), STR("utf-8"));
    assert_str(param(&made, "notify_url"), payment.notify_url);
    assert_null(param(&made, "return_url").data);
    assert_str(param(&made, "biz_content"), STR("{\"out_trade_no\":\"77\",\"total_amount\":\"88.80\",\"subject\":\"测试订单\"}"));
    json_decref(made.content);
}

/* alipay-sign-05, byte for byte: what the app hands to Alipay's SDK. */
static void an_app_gets_the_recorded_order_string(void **state)
{
    json_t *root = vectors_load("alipay-sign");
    const json_t *item = json_array_get(json_object_get(root, "cases"), 4);
    struct pn_payment payment = alipay_payment(PN_PREPAY, "app", STR("PN20240520131415000005"));
    struct pn_step step;

    (void)state;
    assert_str(vector_str(item, "id"), STR("alipay-sign-05"));
    payment.amount_minor = INT64_C(10000000000);
    payment.return_url = STR("https://shop.test.example/r"); /* apps have none */
    assert_int_equal(alipay_channel_request(&channel, &payment, &step), PN_OK);
    assert_null(step.next);
    assert_int_equal(step.done->prepay_kind, PN_PREPAY_APP_PARAMS);
    assert_int_equal(step.done->state, PN_STATE_UNPAID);
    assert_int_equal(step.done->merchant.count, 2);
    assert_null(step.done->url.data);
    assert_int_equal(step.done->prepay_fields.count, 1);
    assert_str(step.done->prepay_fields.items[0].name, STR("order_string"));
    assert_str(step.done->prepay_fields.items[0].value, vector_str(item, "encoded_sorted_query"));
    json_decref(root);
}

static void query_and_close_name_the_payment_only(void **state)
{
    static const struct {
        enum pn_operation operation;
        const char *method;
    } calls[] = { { PN_QUERY, "alipay.trade.query" }, { PN_CLOSE, "alipay.trade.close" } };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct pn_payment payment = alipay_payment(calls[i].operation, "wap", STR("77"));
        struct made made;

        make_call(&payment, &made);
        assert_str(param(&made, "method"), str_of(calls[i].method));
        assert_null(param(&made, "notify_url").data);
        assert_str(param(&made, "biz_content"), STR("{\"out_trade_no\":\"77\"}"));
        json_decref(made.content);
    }
}

static void a_gateway_with_a_query_string_keeps_it(void **state)
{
    struct pn_payment payment = alipay_payment(PN_QUERY, "wap", STR("77"));
    struct pn_step step;
    const char start[] = "http://127.0.0.1:9/gateway.do?tenant=a&";

    (void)state;
    alipay_channel_close(&channel);
    alipay_channel_open(&channel, "http://127.0.0.1:9/gateway.do?tenant=a", false);
    assert_int_equal(alipay_channel_request(&channel, &payment, &step), PN_OK);
    assert_memory_equal(step.next->urls.items[0].data, start, sizeof(start) - 1);
    alipay_channel_close(&channel);
    alipay_channel_open(&channel, NULL, true);
}

/* ---- texts and times */

static void assert_subject(const char *name, const char *want)
{
    struct pn_payment payment = alipay_payment(PN_PREPAY, "page", STR("42"));
    struct made made;

    payment.name = str_of(name);
    make_form(&payment, GATEWAY, &made);
    assert_str(content(&made, "subject"), str_of(want));
    json_decref(made.content);
}

static void forbidden_characters_in_a_name_are_replaced(void **state)
{
    (void)state;
    assert_subject("a/b=c&d", "a／b＝c＆d");
    assert_subject("line1\nline2\r\n\tend\x01\x7f", "line1 line2   end  ");
    assert_subject("x\xc2\x85y\xe2\x80\xa8z", "x y z");
    assert_subject("\"quotes\" 'single' <tag> \\ %41 +", "\"quotes\" 'single' <tag> \\ %41 +");
    assert_subject("😀é字", "😀é字");
    assert_subject("bad \xff\xfe utf-8 \xe6\xb5", "bad ?? utf-8 ??");
}

static void an_order_without_a_name_gets_its_number(void **state)
{
    (void)state;
    assert_subject("", "42");
    assert_subject(" \n ", "42");
    assert_subject(NULL, "42");
}

static void long_texts_are_cut_at_a_character(void **state)
{
    static const char unit[] = "\xf0\x9f\x98\x80/"; /* one of four bytes, one that grows to three */
    char name[300 * (sizeof(unit) - 1) + 1];
    struct pn_payment payment = alipay_payment(PN_PREPAY, "page", STR("42"));
    struct made made;

    (void)state;
    for (size_t i = 0; i < 300; i++)
        memcpy(name + i * (sizeof(unit) - 1), unit, sizeof(unit));
    payment.name = payment.description = str_of(name);
    make_form(&payment, GATEWAY, &made);
    assert_int_equal(content(&made, "subject").len, 128 * 7);
    assert_int_equal(content(&made, "body").len, 64 * 7);
    assert_memory_equal(content(&made, "subject").data, "\xf0\x9f\x98\x80／\xf0\x9f\x98\x80／", 14);
    json_decref(made.content);
}

static void the_expiry_is_never_beyond_fifteen_days(void **state)
{
    struct pn_payment payment = alipay_payment(PN_PREPAY, "page", STR("42"));
    struct made made;

    (void)state;
    payment.created_at_ms = INT64_C(1716182055000);
    payment.expires_at_ms = payment.created_at_ms + INT64_C(30) * 24 * 3600 * 1000;
    make_form(&payment, GATEWAY, &made);
    assert_str(content(&made, "time_expire"), STR("2024-06-04 13:14:15"));
    json_decref(made.content);
    payment.expires_at_ms = 0;
    make_form(&payment, GATEWAY, &made);
    assert_null(content(&made, "time_expire").data);
    json_decref(made.content);
}

static void amounts_are_written_with_two_decimals(void **state)
{
    static const struct {
        int64_t minor;
        const char *text;
    } amounts[] = { { 1, "0.01" }, { 10, "0.10" }, { 100, "1.00" }, { INT64_C(10000000000), "100000000.00" } };

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct pn_payment payment = alipay_payment(PN_PREPAY, "precreate", STR("42"));
        struct made made;

        payment.amount_minor = amounts[i].minor;
        make_call(&payment, &made);
        assert_str(content(&made, "total_amount"), str_of(amounts[i].text));
        json_decref(made.content);
    }
}

/* ---- refusals */

static void assert_fails(struct pn_payment payment, int rc, const char *field)
{
    struct pn_step step;

    assert_int_equal(alipay_channel_request(&channel, &payment, &step), rc);
    assert_int_equal(channel.call.failures, 1);
    assert_int_equal(channel.call.rc, rc);
    assert_string_equal(channel.call.field, field);
    assert_null(step.next);
    assert_null(step.done);
}

static void what_alipay_cannot_take_is_refused_before_it_is_sent(void **state)
{
    struct pn_payment payment = alipay_payment(PN_PREPAY, "wap", STR("42"));

    (void)state;
    payment.currency = STR("USD");
    assert_fails(payment, PN_BAD_INPUT, "currency");
    payment = alipay_payment(PN_PREPAY, "wap", STR("42"));
    payment.amount_minor = 0;
    assert_fails(payment, PN_BAD_INPUT, "amount");
    payment.amount_minor = INT64_C(10000000001);
    assert_fails(payment, PN_BAD_INPUT, "amount");
    assert_fails(alipay_payment(PN_QUERY, "wap", STR("")), PN_BAD_INPUT, "pay_no");
}

static void other_operations_are_not_supported(void **state)
{
    (void)state;
    assert_fails(alipay_payment(PN_PREPAY, "face", STR("42")), PN_UNSUPPORTED, "");
    assert_fails(alipay_payment(PN_REFRESH, "wap", STR("42")), PN_UNSUPPORTED, "");
}

static void lack_of_memory_is_an_internal_fault(void **state)
{
    static const char *const products[] = { "wap", "precreate", "app" };

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct pn_payment payment = alipay_payment(PN_PREPAY, products[i], STR("42"));
        struct pn_step step = { .size = sizeof(step) };
        int rc = PN_INTERNAL;

        for (size_t allowed = 0; rc != PN_OK; allowed++) {
            plugin_call_free(&channel.call);
            channel.call.allocs_left = allowed;
            rc = pn_plugin.channel->request(channel.state, &channel.call, &payment, &step);
            assert_true(rc == PN_OK || (rc == PN_INTERNAL && !step.done && !step.next));
            assert_true(allowed < 20);
        }
    }
}

static void the_descriptor_lists_four_ways_to_pay(void **state)
{
    const struct pn_product *const *products = pn_plugin.channel->products;

    (void)state;
    assert_int_equal(pn_plugin.magic, PN_PLUGIN_MAGIC);
    assert_int_equal(pn_plugin.kind, PN_KIND_CHANNEL);
    assert_int_equal(pn_plugin.settings_size, sizeof(struct alipay_settings));
    assert_string_equal(products[0]->name, "wap");
    assert_string_equal(products[1]->name, "page");
    assert_string_equal(products[2]->name, "precreate");
    assert_int_equal(products[2]->prepay_kind, PN_PREPAY_CODE_URL);
    assert_string_equal(products[3]->name, "app");
    assert_int_equal(products[3]->prepay_kind, PN_PREPAY_APP_PARAMS);
    assert_null(products[4]);
}

int main(void)
{
    json_t *root = vectors_load("alipay-form");
    struct suite *suite = suite_new();
    int failed;

    alipay_channel_open(&channel, NULL, true);
    suite_add_cases(suite, "form", json_object_get(root, "cases"), 7, jumps_as_recorded);
    SUITE_ADD(suite, prepay_gives_the_recorded_form);
    SUITE_ADD(suite, a_phone_form_says_everything);
    SUITE_ADD(suite, a_desktop_form_has_no_way_back_and_its_own_product_code);
    SUITE_ADD(suite, a_qr_code_is_asked_of_the_gateway);
    SUITE_ADD(suite, an_app_gets_the_recorded_order_string);
    SUITE_ADD(suite, query_and_close_name_the_payment_only);
    SUITE_ADD(suite, a_gateway_with_a_query_string_keeps_it);
    SUITE_ADD(suite, forbidden_characters_in_a_name_are_replaced);
    SUITE_ADD(suite, an_order_without_a_name_gets_its_number);
    SUITE_ADD(suite, long_texts_are_cut_at_a_character);
    SUITE_ADD(suite, the_expiry_is_never_beyond_fifteen_days);
    SUITE_ADD(suite, amounts_are_written_with_two_decimals);
    SUITE_ADD(suite, what_alipay_cannot_take_is_refused_before_it_is_sent);
    SUITE_ADD(suite, other_operations_are_not_supported);
    SUITE_ADD(suite, lack_of_memory_is_an_internal_fault);
    SUITE_ADD(suite, the_descriptor_lists_four_ways_to_pay);
    failed = suite_run(suite, "alipay request");
    alipay_channel_close(&channel);
    json_decref(root);
    return failed;
}
