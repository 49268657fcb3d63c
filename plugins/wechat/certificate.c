/*
 * The merchant's client certificate and its key, as two PEM texts: checked as they are configured, or taken out of the PKCS#12
 * file that WeChat hands out. Only open and close call this.
 */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <stdlib.h>

#include "wechat/wechat.h"

enum { FILE_MAX = 65536 };

/* Instead of OpenSSL's question on the terminal. */
static int no_password(char *ret_text, int size, int writing, void *arg)
{
    (void)ret_text, (void)size, (void)writing, (void)arg;
    return -1;
}

static void cleanse(struct pn_str *text)
{
    char *bytes = (char *)(uintptr_t)text->data; /* our own copy */

    if (bytes)
        OPENSSL_cleanse(bytes, text->len);
    free(bytes);
    *text = (struct pn_str){ NULL, 0 };
}

static bool copy(struct pn_str text, struct pn_str *ret)
{
    char *bytes = malloc(text.len + 1);

    if (!bytes)
        return false;
    memcpy(bytes, text.data, text.len);
    bytes[text.len] = '\0';
    *ret = (struct pn_str){ bytes, text.len };
    return true;
}

static bool copy_bio(BIO *bio, struct pn_str *ret)
{
    char *data = NULL;
    long len = BIO_get_mem_data(bio, &data);

    return data && len > 0 && copy((struct pn_str){ data, (size_t)len }, ret);
}

static BIO *reader(struct pn_str text)
{
    return text.len <= FILE_MAX ? BIO_new_mem_buf(text.data, (int)text.len) : NULL;
}

/* ---- PEM */

static const char *check_pair(struct pn_str certificate_text, struct pn_str key_text, const char **ret_field)
{
    BIO *certificate_bio = reader(certificate_text), *key_bio = reader(key_text);
    X509 *certificate = certificate_bio ? PEM_read_bio_X509(certificate_bio, NULL, no_password, NULL) : NULL;
    EVP_PKEY *key = key_bio ? PEM_read_bio_PrivateKey(key_bio, NULL, no_password, NULL) : NULL;
    const char *fault = NULL;

    *ret_field = certificate ? "client_key" : "client_certificate";
    if (!certificate)
        fault = "is not a certificate in PEM";
    else if (!key)
        fault = "is not a private key in PEM without a password";
    else if (!X509_check_private_key(certificate, key))
        fault = "is not the key of client_certificate";
    EVP_PKEY_free(key);
    X509_free(certificate);
    BIO_free(key_bio);
    BIO_free(certificate_bio);
    return fault;
}

static const char *open_pair(struct wechat *wechat, const char **ret_field)
{
    const struct wechat_settings *settings = wechat->settings;
    const char *fault;

    *ret_field = settings->client_key.len ? "client_certificate" : "client_key";
    if (!settings->client_key.len || !settings->client_certificate.len)
        return "is missing: client_certificate and client_key go together";
    fault = check_pair(settings->client_certificate, settings->client_key, ret_field);
    if (fault)
        return fault;
    if (!copy(settings->client_certificate, &wechat->client_certificate) || !copy(settings->client_key, &wechat->client_key))
        return "cannot be kept: out of memory";
    return NULL;
}

/* ---- PKCS#12 */

static bool write_pair(struct wechat *wechat, X509 *certificate, STACK_OF(X509) *chain, EVP_PKEY *key)
{
    BIO *certificates = BIO_new(BIO_s_mem()), *keys = BIO_new(BIO_s_secmem());
    bool written = certificates && keys && PEM_write_bio_X509(certificates, certificate) &&
                   PEM_write_bio_PrivateKey(keys, key, NULL, NULL, 0, NULL, NULL);

    for (int i = 0; written && i < sk_X509_num(chain); i++)
        written = PEM_write_bio_X509(certificates, sk_X509_value(chain, i));
    written = written && copy_bio(certificates, &wechat->client_certificate) && copy_bio(keys, &wechat->client_key);
    BIO_free(keys);
    BIO_free(certificates);
    return written;
}

static const char *unpack(struct wechat *wechat, PKCS12 *bag)
{
    struct pn_str password = wechat->settings->client_p12_password;
    STACK_OF(X509) *chain = NULL;
    X509 *certificate = NULL;
    EVP_PKEY *key = NULL;
    const char *fault = NULL;

    /* WeChat's files have the merchant's number as their password. */
    if (!password.len)
        password = wechat->settings->mch_id;
    if (!PKCS12_parse(bag, password.data, &key, &certificate, &chain))
        fault = "cannot be opened: a wrong client_p12_password (mch_id by default), or OpenSSL lacks its legacy provider";
    else if (!certificate || !key || !write_pair(wechat, certificate, chain, key))
        fault = "holds no certificate with its key";
    sk_X509_pop_free(chain, X509_free);
    X509_free(certificate);
    EVP_PKEY_free(key);
    return fault;
}

/* The files that WeChat made for years are encrypted with RC2, which lives in OpenSSL's legacy provider. */
static const char *open_p12(struct wechat *wechat, const char **ret_field)
{
    OSSL_PROVIDER *legacy = OSSL_PROVIDER_load(wechat->crypto.library, "legacy");
    BIO *bio = reader(wechat->settings->client_p12);
    PKCS12 *bag = PKCS12_init_ex(NID_pkcs7_data, wechat->crypto.library, NULL);
    const char *fault = "is not a PKCS#12 file";

    *ret_field = "client_p12";
    if (bio && bag && d2i_PKCS12_bio(bio, &bag))
        fault = unpack(wechat, bag);
    PKCS12_free(bag);
    BIO_free(bio);
    if (legacy)
        OSSL_PROVIDER_unload(legacy);
    return fault;
}

const char *certificate_open(struct wechat *wechat, const char **ret_field)
{
    const struct wechat_settings *settings = wechat->settings;
    const char *fault = NULL;

    if (settings->client_p12.len && (settings->client_certificate.len || settings->client_key.len)) {
        *ret_field = "client_p12";
        return "stands beside client_certificate and client_key: one of them is enough";
    }
    if (settings->client_p12.len)
        fault = open_p12(wechat, ret_field);
    else if (settings->client_certificate.len || settings->client_key.len)
        fault = open_pair(wechat, ret_field);
    ERR_clear_error();
    return fault;
}

void certificate_close(struct wechat *wechat)
{
    cleanse(&wechat->client_certificate);
    cleanse(&wechat->client_key);
}
