/*
 * Certificate mode: every intermediate value of tests/vectors/alipay-cert.json, what then travels with requests, answers that
 * another certificate signed, and the settings that are refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "common/base64.h"
#include "common/form.h"
#include "common/pem.h"
#include "unit/alipay_fixture.h"

static json_t *root;
static struct alipay_channel channel;

static void assert_str(struct pn_str got, struct pn_str want)
{
    if (!str_eq(got, want))
        fail_msg("got \"%.*s\", wanted \"%.*s\"", (int)got.len, got.data ? got.data : "", (int)want.len, want.data ? want.data : "");
}

static struct pn_str input(const char *name)
{
    return vector_str(root, name);
}

static const json_t *expected(const char *name)
{
    return json_object_get(json_object_get(root, "expect"), name);
}

/* ---- the vectors */

static void assert_md5(struct pn_str text, struct pn_str want_hex)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    char hex[2 * EVP_MAX_MD_SIZE + 1] = "";

    assert_int_equal(EVP_Digest(text.data, text.len, digest, &len, EVP_md5(), NULL), 1);
    for (unsigned i = 0; i < len; i++)
        snprintf(hex + 2 * (size_t)i, 3, "%02x", digest[i]);
    assert_str(str_of(hex), want_hex);
}

static void assert_certificate(const struct certificate *certificate, const json_t *want)
{
    char text[512];

    assert_str(str_of(certificate->issuer), vector_str(want, "issuer_text"));
    assert_str(str_of(certificate->serial), vector_str(want, "serial_decimal"));
    snprintf(text, sizeof(text), "%s%s", certificate->issuer, certificate->serial);
    assert_str(str_of(text), vector_str(want, "md5_input"));
    assert_md5(str_of(text), vector_str(want, "sn"));
    assert_str(str_of(certificate->sn), vector_str(want, "sn"));
}

static void the_applications_certificate_reads_as_recorded(void **state)
{
    struct certificate *list;
    size_t count;

    (void)state;
    assert_null(certificates_read(input("app_cert_pem"), &list, &count));
    assert_int_equal(count, 1);
    assert_certificate(list, expected("app_cert"));
    assert_str(str_of(list->public_key), vectors_key("app", "public_spki_base64"));
    assert_true(list->is_rsa);
    assert_false(list->is_root);
    certificates_free(list, count);
}

static void the_first_of_alipays_chain_reads_as_recorded(void **state)
{
    struct certificate *list;
    size_t count;

    (void)state;
    assert_null(certificates_read(input("alipay_cert_pem_chain"), &list, &count));
    assert_int_equal(count, 2);
    assert_certificate(list, expected("alipay_cert"));
    assert_str(str_of(list->public_key), str_of(json_string_value(expected("alipay_public_key_from_cert_base64"))));
    assert_false(list->is_root);
    certificates_free(list, count);
}

static void every_root_reads_as_recorded(void **state)
{
    const json_t *roots = expected("roots");
    struct certificate *list;
    size_t count;

    (void)state;
    assert_null(certificates_read(input("root_bundle_pem"), &list, &count));
    assert_int_equal(count, json_array_size(roots));
    for (size_t i = 0; i < count; i++) {
        assert_certificate(&list[i], json_array_get(roots, i));
        assert_int_equal(list[i].is_rsa, json_is_true(json_object_get(json_array_get(roots, i), "counted")));
        assert_true(list[i].is_root);
    }
    certificates_free(list, count);
}

static void the_channel_has_the_recorded_numbers(void **state)
{
    const struct alipay *alipay = channel.state;

    (void)state;
    assert_string_equal(alipay->app_cert_sn, json_string_value(expected("app_cert_sn")));
    assert_string_equal(alipay->root_cert_sn, json_string_value(expected("alipay_root_cert_sn")));
    assert_int_equal(alipay->alipay_cert_count, 1);
    assert_string_equal(alipay->alipay_cert_sns[0], json_string_value(expected("alipay_cert_sn")));
    assert_int_equal(alipay->alipay_key_count, 1);
}

/* ---- requests */

static struct pn_kv_list query_of(struct pn_str text)
{
    static char room[16384];
    static struct pn_kv fields[32];
    const char *query = memchr(text.data, '?', text.len);
    struct pn_str rest = query ? (struct pn_str){ query + 1, text.len - (size_t)(query + 1 - text.data) } : text;
    size_t count = 0;

    assert_true(rest.len < sizeof(room) && form_count(rest) <= 32);
    assert_null(form_parse(rest, room, fields, &count));
    return (struct pn_kv_list){ fields, count };
}

static void assert_numbers_signed(struct pn_kv_list query, const struct pn_kv *content)
{
    struct pn_kv params[34];
    struct pn_str sign = kv_get(query, "sign");
    size_t count = 0;

    assert_str(kv_get(query, "app_cert_sn"), str_of(json_string_value(expected("app_cert_sn"))));
    assert_str(kv_get(query, "alipay_root_cert_sn"), str_of(json_string_value(expected("alipay_root_cert_sn"))));
    for (size_t i = 0; i < query.count; i++)
        if (!str_is(query.items[i].name, "sign"))
            params[count++] = query.items[i];
    if (content)
        params[count++] = *content;
    assert_int_equal(params_sign(channel.state, &channel.call, params, &count), PN_OK);
    assert_str(params[count - 1].value, sign);
}

/* The signature covers the numbers, wherever the parameters go. */
static void both_numbers_are_signed_with_every_request(void **state)
{
    static const enum pn_operation operations[] = { PN_QUERY, PN_CLOSE, PN_REFUND, PN_REFUND_QUERY, PN_PREPAY };
    static char text[4096];
    struct pn_kv content;
    struct pn_step step;
    size_t count = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
        struct pn_payment payment = alipay_payment(operations[i], "precreate", STR("42"));

        payment.refund_no = STR("RF1");
        payment.refund_minor = 1;
        assert_int_equal(alipay_channel_request(&channel, &payment, &step), PN_OK);
        assert_null(form_parse(step.next->body, text, &content, &count));
        assert_numbers_signed(query_of(step.next->urls.items[0]), &content);
    }
}

static void both_numbers_go_through_the_payers_hands(void **state)
{
    static const char *const products[] = { "wap", "page", "app" };
    struct pn_step step;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct pn_payment payment = alipay_payment(PN_PREPAY, products[i], STR("42"));

        payment.return_url = STR("https://shop.test.example/r");
        assert_int_equal(alipay_channel_request(&channel, &payment, &step), PN_OK);
        if (i < 2)
            assert_numbers_signed(query_of(step.done->url), &step.done->prepay_fields.items[0]);
        else
            assert_numbers_signed(query_of(step.done->prepay_fields.items[0].value), NULL);
    }
}

/* ---- answers */

static const char paid[] = "{\"code\":\"10000\",\"out_trade_no\":\"42\",\"trade_status\":\"TRADE_SUCCESS\",\"total_amount\":\"88.80\"}";

/* An answer with Alipay's signature; `more` stands between the node and the sign. */
static int respond(struct alipay_channel *with, const char *more, struct pn_step *ret_step)
{
    struct pn_payment payment = alipay_payment(PN_QUERY, "precreate", STR("42"));
    char *sign = alipay_signed(str_of(paid)), body[2048];
    int rc;

    snprintf(body, sizeof(body), "{\"alipay_trade_query_response\":%s,%s\"sign\":\"%s\"}", paid, more, sign);
    rc = alipay_channel_response(with, &payment, 200, str_of(body), ret_step);
    free(sign);
    return rc;
}

static void an_answer_with_our_certificate_is_believed(void **state)
{
    struct pn_step step;
    char more[96];

    (void)state;
    snprintf(more, sizeof(more), "\"alipay_cert_sn\":\"%s\",", json_string_value(expected("alipay_cert_sn")));
    assert_int_equal(respond(&channel, more, &step), PN_OK);
    assert_int_equal(step.done->state, PN_STATE_PAID);
    assert_int_equal(respond(&channel, "", &step), PN_OK); /* it need not say */
    assert_int_equal(step.done->state, PN_STATE_PAID);
}

static void assert_other_certificate(const char *more, const char *words)
{
    struct pn_step step;

    assert_int_equal(respond(&channel, more, &step), PN_UNKNOWN);
    assert_null(step.done);
    assert_int_equal(channel.call.failures, 1);
    if (!strstr(channel.call.text, words) || !strstr(channel.call.text, "alipayCertPublicKey_RSA2.crt") ||
        !strstr(channel.call.text, json_string_value(expected("alipay_cert_sn"))))
        fail_msg("\"%s\" does not say \"%s\"", channel.call.text, words);
}

static void an_answer_with_another_certificate_says_what_to_install(void **state)
{
    (void)state;
    assert_other_certificate("\"alipay_cert_sn\":\"0123456789abcdef0123456789abcdef\",",
                             "certificate 0123456789abcdef0123456789abcdef, not with");
    assert_other_certificate("\"alipay_cert_sn\":\"cert0123\",", "certificate unknown, not with");
    assert_other_certificate("\"alipay_cert_sn\":\"<b>0123456789abcdef012345678</b>\",", "certificate unknown, not with");
    assert_other_certificate("\"alipay_cert_sn\":\"\",", "certificate unknown, not with");
    assert_other_certificate("\"alipay_cert_sn\":7,", "certificate unknown, not with");
    assert_other_certificate("\"alipay_cert_sn\":null,", "certificate unknown, not with");
}

/* alipay-response-21 says cert0123: of interest in certificate mode only. */
static void without_certificates_their_number_does_not_matter(void **state)
{
    struct alipay_channel keys;
    struct pn_step step;

    (void)state;
    alipay_channel_open(&keys, NULL, false);
    assert_int_equal(respond(&keys, "\"alipay_cert_sn\":\"cert0123\",", &step), PN_OK);
    assert_int_equal(step.done->state, PN_STATE_PAID);
    alipay_channel_close(&keys);
}

static void an_answer_of_an_attacker_is_not_believed(void **state)
{
    json_t *answers = vectors_load("alipay-response");
    const json_t *item = json_array_get(json_object_get(answers, "cases"), 33);
    struct pn_payment payment = alipay_payment(PN_QUERY, "precreate", STR("PN20240520R1"));
    struct pn_str body = vector_bytes(item, "body");
    struct pn_step step;

    (void)state;
    assert_str(vector_str(item, "id"), STR("alipay-response-34"));
    assert_int_equal(alipay_channel_response(&channel, &payment, 200, body, &step), PN_UNKNOWN);
    assert_non_null(strstr(channel.call.text, "signature does not hold"));
    free((void *)(uintptr_t)body.data);
    json_decref(answers);
}

static void lack_of_memory_still_refuses_another_certificate(void **state)
{
    struct answer answer;

    (void)state;
    plugin_call_free(&channel.call);
    channel.call.allocs_left = 0;
    answer_read(channel.state, &channel.call, "alipay.trade.query",
                STR("{\"alipay_trade_query_response\":{},\"alipay_cert_sn\":\"x\",\"sign\":\"x\"}"), &answer);
    assert_int_equal(answer.trust, ANSWER_INVALID);
    assert_null(answer.node);
}

/* ---- notices */

static void notices_are_verified_with_the_key_of_the_certificate(void **state)
{
    json_t *notices = vectors_load("alipay-notify");
    struct pn_notification notice;

    (void)state;
    for (size_t i = 0; i < json_array_size(json_object_get(notices, "cases")); i++) {
        const json_t *item = json_array_get(json_object_get(notices, "cases"), i);
        struct pn_str body = vector_bytes(item, "body");

        struct alipay_channel keys;
        uint32_t verdict;

        alipay_channel_open(&keys, NULL, false);
        assert_int_equal(alipay_channel_notification(&keys, body, &notice), PN_OK);
        verdict = notice.verdict;
        alipay_channel_close(&keys);
        assert_int_equal(alipay_channel_notification(&channel, body, &notice), PN_OK);
        assert_int_equal(notice.verdict, verdict);
        free((void *)(uintptr_t)body.data);
    }
    json_decref(notices);
}

/* ---- settings */

static int try_open(const struct alipay_settings *settings, struct pn_call *call, void **ret_state)
{
    *call = plugin_call(0);
    return pn_plugin.channel->open(settings, &plugin_host, call, ret_state);
}

static void assert_refused(const struct alipay_settings *settings, const char *field, const char *words)
{
    struct pn_call call;
    void *state = &call;

    assert_int_equal(try_open(settings, &call, &state), PN_BAD_CONFIG);
    assert_ptr_equal(state, &call);
    assert_int_equal(call.failures, 1);
    assert_string_equal(call.field, field);
    if (!strstr(call.text, words))
        fail_msg("\"%s\" does not say \"%s\"", call.text, words);
    plugin_call_free(&call);
}

static void assert_setting_refused(const char *name, struct pn_str value, const char *words)
{
    struct alipay_settings settings;

    alipay_settings_certificates(&settings, root);
    plugin_setting(&pn_plugin, &settings, name, value);
    assert_refused(&settings, name, words);
}

static void half_of_the_certificates_are_refused(void **state)
{
    static const char *const names[] = { "app_cert", "alipay_cert", "alipay_root_cert" };
    struct pn_str absent = { NULL, 0 };
    struct alipay_settings settings;

    (void)state;
    for (size_t i = 0; i < 3; i++)
        assert_setting_refused(names[i], absent,
                               "is missing: certificate mode needs app_cert, alipay_cert and alipay_root_cert together");
    alipay_settings_certificates(&settings, root);
    settings.app_cert = settings.alipay_cert = settings.alipay_root_cert = absent;
    assert_refused(&settings, "alipay_public_key", "is missing: Alipay's public key is wanted or, in certificate mode, app_cert");
    settings.alipay_cert_next = input("alipay_cert_pem_chain");
    assert_refused(&settings, "app_cert", "is missing");
}

static void certificates_and_keys_together_are_refused(void **state)
{
    struct alipay_settings settings;

    (void)state;
    assert_setting_refused("alipay_public_key", vectors_key("alipay", "public_spki_base64"), "does not go with certificates");
    assert_setting_refused("alipay_public_key_next", vectors_key("alipay", "public_spki_base64"), "does not go with certificates");
    alipay_settings_keys(&settings);
    settings.alipay_root_cert = input("root_bundle_pem");
    assert_refused(&settings, "alipay_public_key", "does not go with certificates");
    alipay_settings_keys(&settings);
    settings.alipay_public_key = (struct pn_str){ NULL, 0 };
    settings.alipay_public_key_next = vectors_key("alipay", "public_spki_base64");
    assert_refused(&settings, "alipay_public_key", "is missing");
}

static void exchanged_certificates_are_named(void **state)
{
    (void)state;
    assert_setting_refused("app_cert", input("alipay_cert_pem_chain"), "is not the certificate of private_key");
    assert_setting_refused("app_cert", input("root_bundle_pem"), "is not the certificate of private_key");
    assert_setting_refused("alipay_cert", input("app_cert_pem"), "is the application's own certificate");
    assert_setting_refused("alipay_cert", input("root_bundle_pem"), "is a root certificate");
    assert_setting_refused("alipay_cert_next", input("app_cert_pem"), "is the application's own certificate");
}

/* The EC root alone. */
static void a_bundle_without_rsa_is_refused(void **state)
{
    static const char begin[] = "-----BEGIN CERTIFICATE-----";
    struct pn_str bundle = input("root_bundle_pem");
    const char *second = strstr(bundle.data + 1, begin), *third = second ? strstr(second + 1, begin) : NULL;

    (void)state;
    assert_non_null(third);
    assert_setting_refused("alipay_root_cert", (struct pn_str){ second, (size_t)(third - second) },
                           "no certificate with an RSA signature");
}

/* Alipay's own bundle has roots with the Chinese algorithms; this one is made up. */
static const char sm2_root[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBsjCCAVmgAwIBAgIUZ/bdICeFIDGmJ8JBLh2DWlc/q9MwCgYIKoEcz1UBg3Uw\n"
    "LzELMAkGA1UEBhMCQ04xDTALBgNVBAoMBFRlc3QxETAPBgNVBAMMCFNNMiBSb290\n"
    "MB4XDTI2MTEyMTE0NTEwMFoXDTI2MTIwMTE0NTEwMFowLzELMAkGA1UEBhMCQ04x\n"
    "DTALBgNVBAoMBFRlc3QxETAPBgNVBAMMCFNNMiBSb290MFkwEwYHKoZIzj0CAQYI\n"
    "KoEcz1UBgi0DQgAExdJcwDpGF16UcePwaHe1O7MrNrpwwTIWkZrEXinJaXtS3nRB\n"
    "1Xre1e6j9ZBStS45Mk76BGpcqOqQp/6+l2UXjKNTMFEwHQYDVR0OBBYEFJrhNVaJ\n"
    "5h4vZP6E0vSdXxNwO/T9MB8GA1UdIwQYMBaAFJrhNVaJ5h4vZP6E0vSdXxNwO/T9\n"
    "MA8GA1UdEwEB/wQFMAMBAf8wCgYIKoEcz1UBg3UDRwAwRAIgAvOtctIh5FLdx7WY\n"
    "2MvXeOt9+idyZuQjBLY3R2jCHR4CIBjZRSLkfkE9+Gi9HsdUUaMjaR7Nsgl5h1Ow\n"
    "NPP9HLNU\n"
    "-----END CERTIFICATE-----\n";

static void a_root_with_sm2_is_passed_over(void **state)
{
    struct pn_str bundle = input("root_bundle_pem");
    struct alipay_settings settings;
    struct pn_call call;
    char text[8192];
    void *opened;

    (void)state;
    snprintf(text, sizeof(text), "%s%s", sm2_root, bundle.data);
    alipay_settings_certificates(&settings, root);
    plugin_setting(&pn_plugin, &settings, "alipay_root_cert", str_of(text));
    assert_int_equal(try_open(&settings, &call, &opened), PN_OK);
    assert_string_equal(((struct alipay *)opened)->root_cert_sn, json_string_value(expected("alipay_root_cert_sn")));
    pn_plugin.channel->close(opened);
    plugin_call_free(&call);
}

static void what_is_no_certificate_is_named(void **state)
{
    struct pn_str pem = input("app_cert_pem");
    char text[4096];

    (void)state;
    assert_setting_refused("app_cert", STR("hello"), "holds no certificate in PEM");
    assert_setting_refused("app_cert", vectors_key("app", "public_spki_base64"), "holds no certificate in PEM");
    assert_setting_refused("app_cert", vectors_key("app", "private_pkcs8_pem"), "is a private key");
    assert_setting_refused("app_cert", vectors_key("app", "private_pkcs1_pem"), "is a private key");
    assert_setting_refused("alipay_cert", vectors_key("alipay", "public_spki_pem"), "is a public key");
    assert_setting_refused("app_cert", STR("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"),
                           "(CSR)");
    assert_setting_refused("app_cert", STR("-----BEGIN X-----\nAAAA\n-----END X-----\n"), "names no certificate");
    assert_setting_refused("app_cert", STR("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
                           "is not a whole certificate");
    assert_setting_refused("app_cert", STR("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"),
                           "is not a whole certificate");
    assert_setting_refused("app_cert", (struct pn_str){ pem.data, pem.len / 2 }, "is not a whole certificate");
    assert_setting_refused("private_key", pem, "is a certificate");
    /* A second one that is damaged. */
    snprintf(text, sizeof(text), "%s-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", pem.data);
    assert_setting_refused("app_cert", str_of(text), "is not a whole certificate");
}

static void bytes_behind_a_certificate_are_refused(void **state)
{
    struct pn_str pem = input("app_cert_pem");
    struct pn_str rest = pem, label, base64;
    unsigned char *der, longer[2048];
    char text[4096] = "-----BEGIN CERTIFICATE-----\n";
    size_t len = 0, at = strlen(text);

    (void)state;
    assert_int_equal(pem_next(&rest, &label, &base64), PEM_BLOCK);
    der = pem_decode(base64, &len);
    assert_non_null(der);
    assert_true(len + 1 < sizeof(longer));
    memcpy(longer, der, len);
    longer[len] = 0;
    OPENSSL_clear_free(der, base64.len + 1);
    base64_encode(longer, len + 1, text + at);
    at += BASE64_LEN(len + 1);
    snprintf(text + at, sizeof(text) - at, "\n-----END CERTIFICATE-----\n");
    assert_setting_refused("app_cert", str_of(text), "is not a whole certificate");
}

static void too_many_certificates_are_refused(void **state)
{
    struct pn_str pem = input("app_cert_pem");
    size_t times = CERTIFICATES_MAX + 1;
    char *text = test_malloc(times * pem.len);

    (void)state;
    for (size_t i = 0; i < times; i++)
        memcpy(text + i * pem.len, pem.data, pem.len);
    assert_setting_refused("app_cert", (struct pn_str){ text, times * pem.len }, "too many certificates");
    test_free(text);
}

/* CRLF, text around, one long line, and what Notepad puts in front. */
static void certificates_are_read_in_every_dress(void **state)
{
    struct pn_str pem = input("app_cert_pem");
    struct certificate *list;
    char text[8192];
    size_t n, count;

    (void)state;
    n = (size_t)snprintf(text, sizeof(text), "\xef\xbb\xbfSubject: somebody\r\n");
    for (size_t i = 0; i < pem.len; i++) {
        if (pem.data[i] == '\n')
            text[n++] = '\r';
        text[n++] = pem.data[i];
    }
    assert_null(certificates_read((struct pn_str){ text, n }, &list, &count));
    assert_certificate(list, expected("app_cert"));
    certificates_free(list, count);
    n = 0;
    for (size_t i = 0; i < pem.len; i++)
        if (pem.data[i] != '\n')
            text[n++] = pem.data[i];
    assert_null(certificates_read((struct pn_str){ text, n }, &list, &count));
    assert_certificate(list, expected("app_cert"));
    certificates_free(list, count);
}

/* While Alipay renews its certificate, what either signed is believed. */
static void both_of_alipays_certificates_are_believed(void **state)
{
    struct alipay_channel two = { .call = plugin_call(0) };
    struct pn_step step;
    char more[96];

    (void)state;
    alipay_settings_certificates(&two.settings, root);
    plugin_setting(&pn_plugin, &two.settings, "alipay_cert_next", input("alipay_cert_pem_chain"));
    assert_int_equal(try_open(&two.settings, &two.call, &two.state), PN_OK);
    assert_int_equal(((struct alipay *)two.state)->alipay_cert_count, 2);
    memset(((struct alipay *)two.state)->alipay_cert_sns[0], '0', CERTIFICATE_SN_SIZE - 1); /* the one that goes */
    snprintf(more, sizeof(more), "\"alipay_cert_sn\":\"%s\",", json_string_value(expected("alipay_cert_sn")));
    assert_int_equal(respond(&two, more, &step), PN_OK);
    assert_int_equal(respond(&two, "\"alipay_cert_sn\":\"00000000000000000000000000000000\",", &step), PN_OK);
    assert_int_equal(respond(&two, "\"alipay_cert_sn\":\"00000000000000000000000000000001\",", &step), PN_UNKNOWN);
    alipay_channel_close(&two);
}

int main(void)
{
    struct suite *suite = suite_new();
    int failed;

    root = vectors_load("alipay-cert");
    alipay_channel_open_certified(&channel, root);
    SUITE_ADD(suite, the_applications_certificate_reads_as_recorded);
    SUITE_ADD(suite, the_first_of_alipays_chain_reads_as_recorded);
    SUITE_ADD(suite, every_root_reads_as_recorded);
    SUITE_ADD(suite, the_channel_has_the_recorded_numbers);
    SUITE_ADD(suite, both_numbers_are_signed_with_every_request);
    SUITE_ADD(suite, both_numbers_go_through_the_payers_hands);
    SUITE_ADD(suite, an_answer_with_our_certificate_is_believed);
    SUITE_ADD(suite, an_answer_with_another_certificate_says_what_to_install);
    SUITE_ADD(suite, without_certificates_their_number_does_not_matter);
    SUITE_ADD(suite, an_answer_of_an_attacker_is_not_believed);
    SUITE_ADD(suite, lack_of_memory_still_refuses_another_certificate);
    SUITE_ADD(suite, notices_are_verified_with_the_key_of_the_certificate);
    SUITE_ADD(suite, half_of_the_certificates_are_refused);
    SUITE_ADD(suite, certificates_and_keys_together_are_refused);
    SUITE_ADD(suite, exchanged_certificates_are_named);
    SUITE_ADD(suite, a_bundle_without_rsa_is_refused);
    SUITE_ADD(suite, a_root_with_sm2_is_passed_over);
    SUITE_ADD(suite, what_is_no_certificate_is_named);
    SUITE_ADD(suite, bytes_behind_a_certificate_are_refused);
    SUITE_ADD(suite, too_many_certificates_are_refused);
    SUITE_ADD(suite, certificates_are_read_in_every_dress);
    SUITE_ADD(suite, both_of_alipays_certificates_are_believed);
    failed = suite_run(suite, "alipay certificates");
    alipay_channel_close(&channel);
    json_decref(root);
    return failed;
}
