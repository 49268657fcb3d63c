/*
 * Opening the channel: settings that are wrong are named, and the client certificate is taken from PEM texts or from PKCS#12 as
 * WeChat has made it for years and as OpenSSL makes it today.
 */
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/provider.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "unit/wechat_fixture.h"

struct identity {
    EVP_PKEY *key;
    X509 *certificate;
    struct pn_str key_pem, certificate_pem;
};

static struct identity merchant, other;

static struct pn_str bio_text(BIO *bio)
{
    char *data = NULL;
    long len = BIO_get_mem_data(bio, &data);
    char *copy = malloc((size_t)len);

    if (!copy)
        abort();
    memcpy(copy, data, (size_t)len);
    BIO_free(bio);
    return (struct pn_str){ copy, (size_t)len };
}

static void identity_make(struct identity *identity, const char *name)
{
    BIO *key = BIO_new(BIO_s_mem()), *certificate = BIO_new(BIO_s_mem());

    identity->key = EVP_RSA_gen(2048);
    identity->certificate = X509_new();
    X509_gmtime_adj(X509_getm_notBefore(identity->certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(identity->certificate), 86400);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(identity->certificate), "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(identity->certificate, X509_get_subject_name(identity->certificate));
    X509_set_pubkey(identity->certificate, identity->key);
    if (!X509_sign(identity->certificate, identity->key, EVP_sha256()) || !PEM_write_bio_X509(certificate, identity->certificate) ||
        !PEM_write_bio_PrivateKey(key, identity->key, NULL, NULL, 0, NULL, NULL))
        abort();
    identity->key_pem = bio_text(key);
    identity->certificate_pem = bio_text(certificate);
}

static void identity_free(struct identity *identity)
{
    X509_free(identity->certificate);
    EVP_PKEY_free(identity->key);
    free((void *)(uintptr_t)identity->key_pem.data);
    free((void *)(uintptr_t)identity->certificate_pem.data);
}

static struct pn_str p12(const char *password, int key_cipher, int certificate_cipher)
{
    PKCS12 *bag = PKCS12_create(password, "x", merchant.key, merchant.certificate, NULL, key_cipher, certificate_cipher, 0, 0, 0);
    BIO *bio = BIO_new(BIO_s_mem());

    if (!bag || !i2d_PKCS12_bio(bio, bag))
        abort();
    PKCS12_free(bag);
    return bio_text(bio);
}

static void assert_opens(struct wechat_channel *channel)
{
    const struct wechat *wechat;
    struct pn_payment payment = wechat_payment(PN_REFUND, "native", STR("WN20240520S2"));
    struct pn_step step;
    BIO *bio;
    X509 *certificate;
    EVP_PKEY *key;

    if (wechat_channel_start(channel) != PN_OK)
        fail_msg("%s %s", channel->call.field, channel->call.text);
    payment.refund_no = STR("RF1");
    payment.refund_minor = 120;
    assert_int_equal(wechat_channel_request(channel, &payment, &step), PN_OK);
    wechat = channel->state;
    assert_str(step.next->client_certificate, wechat->client_certificate);
    bio = BIO_new_mem_buf(step.next->client_certificate.data, (int)step.next->client_certificate.len);
    certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    bio = BIO_new_mem_buf(step.next->client_key.data, (int)step.next->client_key.len);
    key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    BIO_free(bio);
    assert_int_equal(X509_cmp(certificate, merchant.certificate), 0);
    assert_int_equal(EVP_PKEY_eq(key, merchant.key), 1);
    X509_free(certificate);
    EVP_PKEY_free(key);
    payment.operation = PN_QUERY;
    assert_int_equal(wechat_channel_request(channel, &payment, &step), PN_OK);
    assert_null(step.next->client_certificate.data);
    assert_null(step.next->client_key.data);
    wechat_channel_close(channel);
}

static void assert_bad(struct wechat_channel *channel, const char *field, const char *says)
{
    assert_int_equal(wechat_channel_start(channel), PN_BAD_CONFIG);
    assert_string_equal(channel->call.field, field);
    if (!strstr(channel->call.text, says))
        fail_msg("\"%s\" does not say \"%s\"", channel->call.text, says);
    plugin_call_free(&channel->call);
}

static void assert_bad_setting(const char *name, const char *value, const char *says)
{
    struct wechat_channel channel;

    wechat_channel_settings(&channel, NULL);
    plugin_setting(&pn_plugin, &channel.settings, name, str_of(value));
    assert_bad(&channel, name, says);
}

static void a_wrong_setting_is_named(void **state)
{
    (void)state;
    assert_bad_setting("appid", "2021000199900001", "is not an appid");
    assert_bad_setting("appid", "wx", "is not an appid");
    assert_bad_setting("sub_appid", "wx&", "is not an appid");
    assert_bad_setting("mch_id", "190000000x", "is not a merchant's number");
    assert_bad_setting("sub_mch_id", "1", "is not a merchant's number");
    assert_bad_setting("api_key", "K7p2Qm9Xr4Tn8Vb1Zc6Ls3Hd5Gf0Jw2", "is not an API key");
    assert_bad_setting("api_key", "K7p2Qm9Xr4Tn8Vb1Zc6Ls3Hd5Gf0Jw2 ", "is not an API key");
    assert_bad_setting("wap_url", "https://shop.example/\"", "holds one of");
    assert_bad_setting("wap_name", "a\nb", "holds one of");
}

static void a_pem_pair_is_presented(void **state)
{
    struct wechat_channel channel;

    (void)state;
    wechat_channel_settings(&channel, NULL);
    plugin_setting(&pn_plugin, &channel.settings, "client_certificate", merchant.certificate_pem);
    plugin_setting(&pn_plugin, &channel.settings, "client_key", merchant.key_pem);
    assert_opens(&channel);
}

static void a_wrong_pem_pair_is_named(void **state)
{
    static const struct {
        const char *field, *says;
    } faults[] = {
        { "client_key", "go together" }, { "client_certificate", "go together" }, { "client_key", "not the key of" },
        { "client_certificate", "not a certificate" }, { "client_key", "not a private key" }, { "client_p12", "stands beside" },
    };
    const struct pn_str none = { NULL, 0 };
    const struct pn_str pairs[][3] = {
        { merchant.certificate_pem, none, none },
        { none, merchant.key_pem, none },
        { merchant.certificate_pem, other.key_pem, none },
        { merchant.key_pem, merchant.key_pem, none },
        { merchant.certificate_pem, STR("x"), none },
        { merchant.certificate_pem, merchant.key_pem, STR("x") },
    };
    struct wechat_channel channel;

    (void)state;
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        wechat_channel_settings(&channel, NULL);
        plugin_setting(&pn_plugin, &channel.settings, "client_certificate", pairs[i][0]);
        plugin_setting(&pn_plugin, &channel.settings, "client_key", pairs[i][1]);
        plugin_setting(&pn_plugin, &channel.settings, "client_p12", pairs[i][2]);
        assert_bad(&channel, faults[i].field, faults[i].says);
    }
}

static void open_p12(struct pn_str file, const char *password)
{
    struct wechat_channel channel;

    wechat_channel_settings(&channel, NULL);
    plugin_setting(&pn_plugin, &channel.settings, "client_p12", file);
    if (password)
        plugin_setting(&pn_plugin, &channel.settings, "client_p12_password", str_of(password));
    assert_opens(&channel);
    free((void *)(uintptr_t)file.data);
}

static void a_p12_is_opened_with_the_merchants_number(void **state)
{
    (void)state;
    open_p12(p12(WECHAT_MCH_ID, NID_aes_256_cbc, NID_aes_256_cbc), NULL);
    open_p12(p12("secret", NID_aes_256_cbc, NID_aes_256_cbc), "secret");
}

static void a_p12_of_the_old_kind_is_opened(void **state)
{
    OSSL_PROVIDER *legacy = OSSL_PROVIDER_load(NULL, "legacy"), *usual = OSSL_PROVIDER_load(NULL, "default");
    struct pn_str file;

    (void)state;
    assert_non_null(legacy); /* comes with Debian's libssl3 */
    file = p12(WECHAT_MCH_ID, NID_pbe_WithSHA1And3_Key_TripleDES_CBC, NID_pbe_WithSHA1And40BitRC2_CBC);
    OSSL_PROVIDER_unload(legacy);
    open_p12(file, NULL);
    OSSL_PROVIDER_unload(usual);
}

static void a_p12_that_cannot_be_opened_is_said(void **state)
{
    struct pn_str file = p12("secret", NID_aes_256_cbc, NID_aes_256_cbc);
    struct wechat_channel channel;

    (void)state;
    wechat_channel_settings(&channel, NULL);
    plugin_setting(&pn_plugin, &channel.settings, "client_p12", file);
    assert_bad(&channel, "client_p12", "wrong client_p12_password");
    plugin_setting(&pn_plugin, &channel.settings, "client_p12", merchant.certificate_pem);
    assert_bad(&channel, "client_p12", "not a PKCS#12 file");
    free((void *)(uintptr_t)file.data);
}

static void the_products_are_those_of_the_header(void **state)
{
    static const char *const names[] = { "native", "mweb", "jsapi", "app" };

    (void)state;
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(pn_plugin.channel->products[i]->name, names[i]);
    assert_null(pn_plugin.channel->products[4]);
    assert_string_equal(pn_plugin.name, "wechat");
}

int main(void)
{
    struct suite *suite = suite_new();
    int failed;

    identity_make(&merchant, "merchant");
    identity_make(&other, "other");
    SUITE_ADD(suite, a_wrong_setting_is_named);
    SUITE_ADD(suite, a_pem_pair_is_presented);
    SUITE_ADD(suite, a_wrong_pem_pair_is_named);
    SUITE_ADD(suite, a_p12_is_opened_with_the_merchants_number);
    SUITE_ADD(suite, a_p12_of_the_old_kind_is_opened);
    SUITE_ADD(suite, a_p12_that_cannot_be_opened_is_said);
    SUITE_ADD(suite, the_products_are_those_of_the_header);
    failed = suite_run(suite, "wechat open");
    identity_free(&merchant);
    identity_free(&other);
    return failed;
}
