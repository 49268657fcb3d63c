/*
 * Test certificates on disk: a CA that is thrown away after it has signed the server's certificate and the merchant's, as
 * WeChat's console hands the latter out. Called by main before any thread starts.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "text.h"
#include "wechat.h"

#define TEN_YEARS (10L * 365 * 24 * 3600)

struct identity {
    EVP_PKEY *key;
    X509 *certificate;
};

static void free_identity(struct identity *identity)
{
    EVP_PKEY_free(identity->key);
    X509_free(identity->certificate);
}

/* ---------------------------------------------------------------------------------------------- making */

static bool add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    bool done = extension && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return done;
}

static bool name_it(X509 *certificate, const char *name)
{
    X509_NAME *subject = X509_get_subject_name(certificate);
    unsigned char serial[8];
    if (RAND_bytes(serial, sizeof serial) != 1)
        return false;
    serial[0] &= 0x7F; /* a positive number */
    BIGNUM *number = BN_bin2bn(serial, sizeof serial, NULL);
    bool done = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) &&
                X509_NAME_add_entry_by_txt(subject, "O", MBSTRING_UTF8, (const unsigned char *)"paynotify-sandbox", -1, -1, 0) &&
                X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1, -1, 0);
    BN_free(number);
    return done;
}

/* A key and a certificate over it; without `issuer` it signs itself and may sign others. */
static struct identity make_identity(const char *name, const struct identity *issuer, const char *usage, const char *hosts)
{
    struct identity made = {.key = need(issuer ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256")), .certificate = need(X509_new())};
    X509 *certificate = made.certificate, *signer = issuer ? issuer->certificate : certificate;
    bool done = X509_set_version(certificate, X509_VERSION_3) == 1 && name_it(certificate, name) &&
                X509_set_issuer_name(certificate, X509_get_subject_name(signer)) == 1 &&
                X509_gmtime_adj(X509_getm_notBefore(certificate), -3600) && X509_gmtime_adj(X509_getm_notAfter(certificate), TEN_YEARS) &&
                X509_set_pubkey(certificate, made.key) == 1 &&
                add_extension(certificate, signer, NID_basic_constraints, issuer ? "critical,CA:FALSE" : "critical,CA:TRUE") &&
                (!usage || add_extension(certificate, signer, NID_ext_key_usage, usage)) &&
                (!hosts || add_extension(certificate, signer, NID_subject_alt_name, hosts)) &&
                X509_sign(certificate, issuer ? issuer->key : made.key, EVP_sha256()) > 0;
    need(done ? certificate : NULL);
    return made;
}

/* ---------------------------------------------------------------------------------------------- files */

/* False: errno says why. */
static bool write_file(const char *dir, const char *name, mode_t mode, BIO *contents)
{
    char *path = text_format("%s/%s", dir, name), *bytes;
    long n = BIO_get_mem_data(contents, &bytes);
    unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    bool done = fd >= 0 && write(fd, bytes, (size_t)n) == n;
    int saved = errno;
    if (fd >= 0 && close(fd) != 0)
        done = false;
    free(path);
    errno = saved;
    return done;
}

static bool write_certificate(const char *dir, const char *name, X509 *certificate)
{
    BIO *out = need(BIO_new(BIO_s_mem()));
    bool done = PEM_write_bio_X509(out, certificate) == 1 && write_file(dir, name, 0644, out);
    BIO_free(out);
    return done;
}

static bool write_key(const char *dir, const char *name, EVP_PKEY *key)
{
    BIO *out = need(BIO_new(BIO_s_mem()));
    bool done = PEM_write_bio_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL) == 1 && write_file(dir, name, 0600, out);
    BIO_free(out);
    return done;
}

static bool write_p12(const char *dir, const char *name, const struct identity *identity, const char *password)
{
    BIO *out = need(BIO_new(BIO_s_mem()));
    PKCS12 *bundle = need(PKCS12_create(password, "apiclient", identity->key, identity->certificate, NULL, 0, 0, 0, 0, 0));
    bool done = i2d_PKCS12_bio(out, bundle) == 1 && write_file(dir, name, 0600, out);
    PKCS12_free(bundle);
    BIO_free(out);
    return done;
}

/* NULL: errno says why. The caller frees. */
static char *read_file(const char *dir, const char *name)
{
    char *path = text_format("%s/%s", dir, name), text[16384];
    FILE *in = fopen(path, "re");
    free(path);
    if (!in)
        return NULL;
    size_t n = fread(text, 1, sizeof text - 1, in);
    fclose(in);
    text[n] = '\0';
    return text_copy(text);
}

static bool make_all(const char *dir, const char *mch_id)
{
    struct identity ca = make_identity("Sandbox CA", NULL, NULL, NULL);
    struct identity server = make_identity("api.mch.weixin.qq.com (sandbox)", &ca, "serverAuth", "DNS:localhost,IP:127.0.0.1,IP:::1");
    struct identity client = make_identity(mch_id, &ca, "clientAuth", NULL);
    /* The CA's certificate comes last: where it is, everything is. */
    bool done = write_certificate(dir, "wechat-server.pem", server.certificate) && write_key(dir, "wechat-server-key.pem", server.key) &&
                write_certificate(dir, "apiclient_cert.pem", client.certificate) && write_key(dir, "apiclient_key.pem", client.key) &&
                write_p12(dir, "apiclient_cert.p12", &client, mch_id) && write_certificate(dir, "wechat-ca.pem", ca.certificate);
    int saved = errno;
    free_identity(&ca);
    free_identity(&server);
    free_identity(&client);
    errno = saved;
    return done;
}

bool wechat_certificates(const char *dir, const char *mch_id, struct server_tls *ret_tls, char **ret_error)
{
    char *path = text_format("%s/wechat-ca.pem", dir);
    bool there = access(path, R_OK) == 0;
    free(path);
    if (!there && !make_all(dir, mch_id)) {
        *ret_error = text_format("%s: the certificates cannot be written: %s", dir, strerror(errno));
        return false;
    }
    struct server_tls tls = {.certificate = read_file(dir, "wechat-server.pem"),
                             .key = read_file(dir, "wechat-server-key.pem"),
                             .client_ca = read_file(dir, "wechat-ca.pem")};
    if (!tls.certificate || !tls.key || !tls.client_ca) {
        *ret_error = text_format("%s: the certificates cannot be read: %s; without wechat-ca.pem they are made anew", dir,
                                 strerror(errno));
        server_tls_free(&tls);
        return false;
    }
    *ret_tls = tls;
    return true;
}
