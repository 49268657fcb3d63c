/*
 * Makes and reads the test certificates; see certificates.h. Runs in main before any thread.
 */
#include "certificates.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

#define ROOT_BITS 2048
#define VALID_DAYS 3650
#define APP_FILE "app-cert.crt"
#define PROVIDER_FILE "alipay-cert.crt"
#define ROOT_FILE "alipay-root.crt"

/* ---------------------------------------------------------------------------------------------- numbers of certificates */

static void write_escaped(FILE *out, const unsigned char *text, int n)
{
    for (int i = 0; i < n; i++) {
        bool edge = (i == 0 && (text[i] == ' ' || text[i] == '#')) || (i == n - 1 && text[i] == ' ');
        if (edge || strchr(",+\"\\<>;", text[i]))
            putc('\\', out);
        putc(text[i], out);
    }
}

/* RFC 2253: the last part first, no blanks. The caller frees. */
static char *issuer_text(const X509 *x509)
{
    char *text = NULL;
    size_t length;
    FILE *out = need(open_memstream(&text, &length));
    const X509_NAME *name = X509_get_issuer_name(x509);
    for (int last = X509_NAME_entry_count(name) - 1, i = last; i >= 0; i--) {
        const X509_NAME_ENTRY *entry = X509_NAME_get_entry(name, i);
        unsigned char *value = NULL;
        int n = ASN1_STRING_to_UTF8(&value, X509_NAME_ENTRY_get_data(entry));
        fprintf(out, "%s%s=", i == last ? "" : ",", OBJ_nid2sn(OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry))));
        write_escaped(out, value, n);
        OPENSSL_free(value);
    }
    fclose(out);
    return need(text);
}

/* MD5 over the issuer and the serial number in decimal, in hex: always 32 digits. The caller frees. */
static char *number_of(const X509 *x509)
{
    BIGNUM *serial = need(ASN1_INTEGER_to_BN(X509_get0_serialNumber(x509), NULL));
    char *decimal = need(BN_bn2dec(serial)), *issuer = issuer_text(x509);
    char *text = text_format("%s%s", issuer, decimal), *number = need(calloc(1, 33));
    unsigned char digest[EVP_MAX_MD_SIZE];
    need(EVP_Digest(text, strlen(text), digest, NULL, EVP_md5(), NULL) == 1 ? digest : NULL);
    for (size_t i = 0; i < 16; i++)
        snprintf(number + 2 * i, 3, "%02x", digest[i]);
    OPENSSL_free(decimal);
    BN_free(serial);
    free(issuer);
    free(text);
    return number;
}

static bool is_rsa_signed(const X509 *x509)
{
    int kind = NID_undef;
    OBJ_find_sigid_algs(X509_get_signature_nid(x509), NULL, &kind);
    return kind == NID_rsaEncryption;
}

/* ---------------------------------------------------------------------------------------------- reading */

static FILE *open_file(const char *dir, const char *name, const char *mode)
{
    char *path = text_format("%s/%s", dir, name);
    FILE *file = fopen(path, mode);
    free(path);
    return file;
}

/* The number of the first certificate in the file. NULL: there is none, or it is not of this key. */
static char *read_leaf(const char *dir, const char *name, const EVP_PKEY *key)
{
    FILE *in = open_file(dir, name, "re");
    X509 *x509 = in ? PEM_read_X509(in, NULL, NULL, NULL) : NULL;
    char *number = x509 && EVP_PKEY_eq(X509_get0_pubkey(x509), key) == 1 ? number_of(x509) : NULL;
    X509_free(x509);
    if (in)
        fclose(in);
    return number;
}

/* The numbers of the roots that RSA signed, joined; NULL: there is none. */
static char *read_roots(const char *dir)
{
    FILE *in = open_file(dir, ROOT_FILE, "re");
    char *joined = NULL;
    for (X509 *x509; in && (x509 = PEM_read_X509(in, NULL, NULL, NULL)); X509_free(x509)) {
        if (!is_rsa_signed(x509))
            continue;
        char *number = number_of(x509), *before = joined;
        joined = before ? text_format("%s_%s", before, number) : text_copy(number);
        free(before);
        free(number);
    }
    if (in)
        fclose(in);
    return joined;
}

static bool read_all(const char *dir, const struct keys *keys, struct certificates *ret_certificates)
{
    struct certificates found = {.app_sn = read_leaf(dir, APP_FILE, keys_app(keys)),
                                 .provider_sn = read_leaf(dir, PROVIDER_FILE, keys_provider(keys)),
                                 .root_sn = read_roots(dir)};
    *ret_certificates = found;
    return found.app_sn && found.provider_sn && found.root_sn;
}

static void release(struct certificates *certificates)
{
    free(certificates->app_sn);
    free(certificates->provider_sn);
    free(certificates->root_sn);
}

/* ---------------------------------------------------------------------------------------------- making */

/* A name in the order in which certificates hold it: the country first. The caller frees. */
static X509_NAME *make_name(const char *unit, const char *common_name)
{
    const char *const parts[][2] = {{"C", "CN"}, {"O", "paynotify-sandbox"}, {"OU", unit}, {"CN", common_name}};
    X509_NAME *name = need(X509_NAME_new());
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        X509_NAME_add_entry_by_txt(name, parts[i][0], MBSTRING_UTF8, (const unsigned char *)parts[i][1], -1, -1, 0);
    return name;
}

/* Random numbers of 16 bytes, as real ones have: more than any integer of C. */
static void set_serial(X509 *x509)
{
    unsigned char bytes[16];
    need(RAND_bytes(bytes, sizeof bytes) == 1 ? bytes : NULL);
    bytes[0] = (unsigned char)(bytes[0] & 0x7f) | 0x40;
    BIGNUM *number = need(BN_bin2bn(bytes, sizeof bytes, NULL));
    BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x509));
    BN_free(number);
}

static X509 *make_certificate(EVP_PKEY *key, const X509_NAME *subject, EVP_PKEY *issuer_key, const X509_NAME *issuer)
{
    X509 *x509 = need(X509_new());
    X509_set_version(x509, X509_VERSION_3);
    set_serial(x509);
    X509_set_subject_name(x509, subject);
    X509_set_issuer_name(x509, issuer);
    X509_gmtime_adj(X509_getm_notBefore(x509), -24L * 3600);
    X509_gmtime_adj(X509_getm_notAfter(x509), VALID_DAYS * 24L * 3600);
    X509_set_pubkey(x509, key);
    if (X509_NAME_cmp(subject, issuer) == 0) {
        X509_EXTENSION *is_authority = need(X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "critical,CA:TRUE"));
        X509_add_ext(x509, is_authority, -1);
        X509_EXTENSION_free(is_authority);
    }
    need(X509_sign(x509, issuer_key, EVP_sha256()) > 0 ? x509 : NULL);
    return x509;
}

static bool write_file(const char *dir, const char *name, X509 *const *list, size_t count)
{
    FILE *out = open_file(dir, name, "we");
    bool done = out != NULL;
    for (size_t i = 0; done && i < count; i++)
        done = PEM_write_X509(out, list[i]) == 1;
    if (out && fclose(out) != 0)
        done = false;
    return done;
}

/* The roots' private keys are forgotten: nobody needs another certificate of theirs. */
static bool make_all(const char *dir, const struct keys *keys)
{
    EVP_PKEY *rsa = need(EVP_RSA_gen(ROOT_BITS)), *ec = need(EVP_EC_gen("P-256"));
    X509_NAME *first = make_name("Certification Authority", "Sandbox Root R1");
    X509_NAME *second = make_name("Certification Authority", "Sandbox Root E1");
    X509_NAME *third = make_name("Certification Authority", "Sandbox Root R2");
    X509_NAME *app_name = make_name("Merchant", "Sandbox Merchant"), *provider_name = make_name("Alipay", "Sandbox Alipay");
    X509 *roots[] = {make_certificate(rsa, first, rsa, first), make_certificate(ec, second, ec, second),
                     make_certificate(rsa, third, rsa, third)};
    X509 *app = make_certificate(keys_app(keys), app_name, rsa, first);
    X509 *provider = make_certificate(keys_provider(keys), provider_name, rsa, first);
    bool done = write_file(dir, ROOT_FILE, roots, 3) && write_file(dir, APP_FILE, &app, 1) &&
                write_file(dir, PROVIDER_FILE, (X509 *[]){provider, roots[0]}, 2);
    int saved = errno;
    for (size_t i = 0; i < 3; i++)
        X509_free(roots[i]);
    X509_free(app);
    X509_free(provider);
    X509_NAME_free(first);
    X509_NAME_free(second);
    X509_NAME_free(third);
    X509_NAME_free(app_name);
    X509_NAME_free(provider_name);
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(ec);
    errno = saved;
    return done;
}

struct certificates *certificates_open(const char *dir, const struct keys *keys, char **ret_error)
{
    struct certificates *certificates = need(calloc(1, sizeof *certificates));
    if (read_all(dir, keys, certificates))
        return certificates;
    release(certificates);
    *certificates = (struct certificates){0};
    if (!make_all(dir, keys))
        *ret_error = text_format("%s: the certificates cannot be written: %s", dir, strerror(errno));
    else if (!read_all(dir, keys, certificates))
        *ret_error = text_format("%s: the certificates cannot be read back", dir);
    else
        return certificates;
    certificates_free(certificates);
    return NULL;
}

void certificates_free(struct certificates *certificates)
{
    if (!certificates)
        return;
    release(certificates);
    free(certificates);
}
