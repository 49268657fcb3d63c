/*
 * Settings: every shape of tests/vectors/alipay-keys.json opens a channel and signs or verifies the recorded message; what must
 * be refused is refused with words that help, by the setting's name.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base64.h"
#include "unit/alipay_fixture.h"

static json_t *root;

/* Opens with one setting changed; fails as expected or gives the state. */
static int try_open(struct pn_call *call, const char *name, struct pn_str value, void **ret_state)
{
    static struct alipay_settings settings;

    settings = (struct alipay_settings){ .app_id = { NULL, 0 } };
    plugin_defaults(&pn_plugin, &settings);
    plugin_setting(&pn_plugin, &settings, "app_id", STR(ALIPAY_APP_ID));
    plugin_setting(&pn_plugin, &settings, "private_key", vectors_key("app", "private_pkcs1_pem"));
    plugin_setting(&pn_plugin, &settings, "alipay_public_key", vectors_key("alipay", "public_spki_base64"));
    if (name)
        plugin_setting(&pn_plugin, &settings, name, value);
    *call = plugin_call(0);
    return pn_plugin.channel->open(&settings, &plugin_host, call, ret_state);
}

static void assert_refused(const char *name, struct pn_str value, const char *words)
{
    struct pn_call call;
    void *state = &call;

    assert_int_equal(try_open(&call, name, value, &state), PN_BAD_CONFIG);
    assert_ptr_equal(state, &call);
    assert_int_equal(call.failures, 1);
    assert_string_equal(call.field, name);
    if (!strstr(call.text, words))
        fail_msg("\"%s\" does not say \"%s\"", call.text, words);
    plugin_call_free(&call);
}

static void private_key_signs(void **test_state)
{
    const json_t *item = *test_state;
    struct pn_str want = vector_str(root, "expected_sign");
    unsigned char signature[RSA_BYTES_MAX];
    char sign[BASE64_LEN(RSA_BYTES_MAX)];
    struct pn_call call;
    void *state;
    const struct alipay *alipay;

    assert_int_equal(try_open(&call, "private_key", vector_str(item, "text"), &state), PN_OK);
    alipay = state;
    assert_int_equal(rsa_key_size(alipay->own_key), 256);
    assert_true(rsa_sign(alipay->own_key, vector_str(root, "message"), signature));
    base64_encode(signature, 256, sign);
    assert_int_equal(want.len, BASE64_LEN(256));
    assert_memory_equal(sign, want.data, want.len);
    pn_plugin.channel->close(state);
    plugin_call_free(&call);
}

/* The recorded public key is the application's, so open is right to refuse it as Alipay's: after having read it. */
static void public_key_verifies(void **test_state)
{
    const json_t *item = *test_state;
    struct pn_str sign = vector_str(root, "expected_sign"), message = vector_str(root, "message");
    unsigned char signature[RSA_BYTES_MAX];
    struct rsa_key *key = NULL;
    size_t len = 0;

    assert_null(rsa_public_key_new(vector_str(item, "text"), &key));
    assert_true(base64_decode(sign.data, sign.len, signature, &len));
    assert_true(rsa_verify(key, message, signature, len));
    assert_false(rsa_verify(key, message, signature, len - 1));
    message.len--;
    assert_false(rsa_verify(key, message, signature, len));
    signature[100] ^= 1;
    assert_false(rsa_verify(key, vector_str(root, "message"), signature, len));
    rsa_key_free(key);
    assert_refused("alipay_public_key", vector_str(item, "text"), "is the public half of private_key");
}

static void refused_with_words(void **test_state)
{
    static const struct {
        const char *name, *words;
    } expected[] = {
        { "truncated base64", "cut off" },
        { "public key given as private", "is a public key; a private key is wanted" },
        { "empty string", "is empty" },
        { "not base64", "is neither PEM nor base64" },
        { "EC private key", "is not an RSA key" },
        { "PEM label and content disagree (PKCS#8 label, PKCS#1 content)", "does not hold what its PEM label says" },
        { "EC public key", "is not an RSA key" },
        { "1024-bit RSA key (should be refused or warned about for RSA2)", "fewer than 2048 bits" },
        { "private key given as public", "is a private key; a public key is wanted" },
    };
    const json_t *item = *test_state;
    const char *setting = str_is(vector_str(item, "kind"), "private") ? "private_key" : "alipay_public_key";

    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
        if (str_is(vector_str(item, "name"), expected[i].name)) {
            assert_refused(setting, vector_str(item, "text"), expected[i].words);
            return;
        }
    fail_msg("a case that this test does not know");
}

static void every_shape_of_alipays_key_opens(void **test_state)
{
    static const char *const shapes[] = { "public_spki_pem", "public_pkcs1_pem", "public_spki_base64", "public_pkcs1_base64" };

    (void)test_state;
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        struct pn_call call;
        void *state;

        assert_int_equal(try_open(&call, "alipay_public_key", vectors_key("alipay", shapes[i]), &state), PN_OK);
        pn_plugin.channel->close(state);
        plugin_call_free(&call);
    }
}

static void other_pastes_are_named(void **test_state)
{
    (void)test_state;
    assert_refused("private_key", STR("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "is a certificate");
    assert_refused("private_key", STR("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"),
                   "password");
    assert_refused("private_key",
                   STR("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END RSA PRIVATE KEY-----\n"),
                   "password");
    assert_refused("private_key", STR("-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n"), "not an RSA key");
    assert_refused("private_key", STR("-----BEGIN SOMETHING-----\nAAAA\n-----END SOMETHING-----\n"), "names no key");
    assert_refused("private_key", STR("-----BEGIN PRIVATE KEY-----\nAAAA\n"), "cut off");
    assert_refused("private_key", STR("-----BEGIN PRIVATE KEY"), "cut off");
    assert_refused("private_key", STR("-----BEGIN PRIVATE KEY-----\n\n-----END PRIVATE KEY-----"), "is empty");
    assert_refused("alipay_public_key", vectors_key("weak1024", "public_spki_pem"), "fewer than 2048 bits");
}

static void bytes_behind_the_key_are_refused(void **test_state)
{
    struct pn_str text = vectors_key("alipay", "public_spki_base64");
    char longer[1024];

    (void)test_state;
    assert_true(text.len + 5 < sizeof(longer));
    snprintf(longer, sizeof(longer), "%sAAAA", text.data);
    assert_refused("alipay_public_key", str_of(longer), "is not a whole RSA key");
}

/* While Alipay's key is changed, what either signed is believed. */
static void both_of_alipays_keys_are_believed(void **test_state)
{
    json_t *notices = vectors_load("alipay-notify");
    struct pn_str body = vector_str(json_array_get(json_object_get(notices, "cases"), 0), "body");
    struct pn_http_incoming incoming = { .size = sizeof(incoming), .body = body };
    struct pn_notification notice = { .size = sizeof(notice) };
    struct alipay_settings settings = { .app_id = { NULL, 0 } };
    struct pn_call call = plugin_call(0);
    void *state;

    (void)test_state;
    plugin_defaults(&pn_plugin, &settings);
    plugin_setting(&pn_plugin, &settings, "app_id", STR(ALIPAY_APP_ID));
    plugin_setting(&pn_plugin, &settings, "private_key", vectors_key("app", "private_pkcs1_pem"));
    plugin_setting(&pn_plugin, &settings, "alipay_public_key", vectors_key("wxpay_platform", "public_spki_pem"));
    assert_int_equal(pn_plugin.channel->open(&settings, &plugin_host, &call, &state), PN_OK);
    assert_int_equal(pn_plugin.channel->notification(state, &call, &incoming, &notice), PN_OK);
    assert_int_equal(notice.verdict, PN_REFUSED);
    pn_plugin.channel->close(state);
    plugin_setting(&pn_plugin, &settings, "alipay_public_key_next", vectors_key("alipay", "public_spki_base64"));
    assert_int_equal(pn_plugin.channel->open(&settings, &plugin_host, &call, &state), PN_OK);
    assert_int_equal(pn_plugin.channel->notification(state, &call, &incoming, &notice), PN_OK);
    assert_int_equal(notice.verdict, PN_AUTHENTIC);
    pn_plugin.channel->close(state);
    plugin_call_free(&call);
    assert_refused("alipay_public_key_next", STR("x"), "is neither PEM nor base64");
    assert_refused("alipay_public_key_next", vectors_key("app", "public_spki_base64"), "is the public half of private_key");
    json_decref(notices);
}

static void a_byte_order_mark_in_front_is_passed_over(void **test_state)
{
    struct pn_call call;
    char text[1024];
    void *state;

    (void)test_state;
    snprintf(text, sizeof(text), "\xef\xbb\xbf%s\r\n", vectors_key("alipay", "public_spki_base64").data);
    assert_int_equal(try_open(&call, "alipay_public_key", str_of(text), &state), PN_OK);
    pn_plugin.channel->close(state);
    plugin_call_free(&call);
}

static void identities_are_checked(void **test_state)
{
    (void)test_state;
    assert_refused("app_id", STR("wx0123456789"), "is not an application's number");
    assert_refused("app_id", STR(""), "is not an application's number");
    assert_refused("seller_id", STR("2021000199900001"), "begin with 2088");
    assert_refused("seller_id", STR("20880001999000100"), "16 digits");
}

int main(void)
{
    struct suite *suite = suite_new();
    int failed;

    root = vectors_load("alipay-keys");
    suite_add_cases(suite, "private key:", json_object_get(root, "private_forms"), 11, private_key_signs);
    suite_add_cases(suite, "public key:", json_object_get(root, "public_forms"), 5, public_key_verifies);
    suite_add_cases(suite, "refused:", json_object_get(root, "must_be_refused"), 11, refused_with_words);
    SUITE_ADD(suite, every_shape_of_alipays_key_opens);
    SUITE_ADD(suite, other_pastes_are_named);
    SUITE_ADD(suite, bytes_behind_the_key_are_refused);
    SUITE_ADD(suite, both_of_alipays_keys_are_believed);
    SUITE_ADD(suite, a_byte_order_mark_in_front_is_passed_over);
    SUITE_ADD(suite, identities_are_checked);
    failed = suite_run(suite, "alipay keys");
    json_decref(root);
    return failed;
}
