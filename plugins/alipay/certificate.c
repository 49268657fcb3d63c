/*
 * Reads certificates (X.509, PEM) for Alipay's certificate mode. What they are worth is not judged here: the operator who
 * installs them does. Called at open, alone.
 */
#include "alipay/certificate.h"

#include <limits.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base64.h"
#include "common/pem.h"
#include "common/str.h"

static const char broken[] = "is not a whole certificate: it may have been cut off when it was copied";
static const char unusable[] = "holds a certificate that OpenSSL cannot use, or memory is out";

/* ---- the parts of one */

/* What X509_NAME_print_ex writes as RFC 2253, but with UTF-8 as it is. */
static char *issuer_of(const X509 *x509)
{
    unsigned long form = XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB;
    BIO *bio = BIO_new(BIO_s_mem());
    char *bytes, *text = NULL;
    long len;

    if (bio && X509_NAME_print_ex(bio, X509_get_issuer_name(x509), 0, form) >= 0) {
        len = BIO_get_mem_data(bio, &bytes);
        text = strndup(len > 0 ? bytes : "", len > 0 ? (size_t)len : 0);
    }
    BIO_free(bio);
    return text;
}

static char *serial_of(const X509 *x509)
{
    BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(x509), NULL);
    char *decimal = number ? BN_bn2dec(number) : NULL, *text = decimal ? strdup(decimal) : NULL;

    OPENSSL_free(decimal);
    BN_free(number);
    return text;
}

static char *public_key_of(const X509 *x509)
{
    unsigned char *der = NULL;
    int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x509), &der);
    char *text = len > 0 ? calloc(1, BASE64_LEN((size_t)len) + 1) : NULL;

    if (text)
        base64_encode(der, (size_t)len, text);
    OPENSSL_free(der);
    return text;
}

/* The algorithms of PKCS #1; roots with SM2 or EC signatures do not count. */
static bool is_rsa_signed(const X509 *x509)
{
    static const char pkcs1[] = "1.2.840.113549.1.1.";
    const X509_ALGOR *algorithm = NULL;
    const ASN1_OBJECT *object = NULL;
    char oid[80];

    X509_get0_signature(NULL, &algorithm, x509);
    X509_ALGOR_get0(&object, NULL, NULL, algorithm);
    return OBJ_obj2txt(oid, sizeof(oid), object, 1) > 0 && strncmp(oid, pkcs1, sizeof(pkcs1) - 1) == 0;
}

static bool name_it(struct certificate *certificate)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool done = context && EVP_DigestInit_ex(context, EVP_md5(), NULL) == 1 &&
                EVP_DigestUpdate(context, certificate->issuer, strlen(certificate->issuer)) == 1 &&
                EVP_DigestUpdate(context, certificate->serial, strlen(certificate->serial)) == 1 &&
                EVP_DigestFinal_ex(context, digest, &len) == 1;

    for (unsigned i = 0; done && i < len && 2 * i + 2 < CERTIFICATE_SN_SIZE; i++)
        snprintf(certificate->sn + (size_t)2 * i, 3, "%02x", digest[i]);
    EVP_MD_CTX_free(context);
    return done;
}

static void release(struct certificate *certificate)
{
    free(certificate->issuer);
    free(certificate->serial);
    free(certificate->public_key);
}

static const char *read_x509(const X509 *x509, struct certificate *ret_certificate)
{
    struct certificate certificate = {
        .issuer = issuer_of(x509), .serial = serial_of(x509), .public_key = public_key_of(x509), .is_rsa = is_rsa_signed(x509),
        .is_root = X509_NAME_cmp(X509_get_subject_name(x509), X509_get_issuer_name(x509)) == 0,
    };

    if (!certificate.issuer || !certificate.serial || !certificate.public_key || !name_it(&certificate)) {
        release(&certificate);
        return unusable;
    }
    *ret_certificate = certificate;
    return NULL;
}

/* ---- a file of them */

/* What another PEM block in the place of a certificate means. */
static const char *label_fault(struct pn_str label)
{
    if (str_is(label, "CERTIFICATE") || str_is(label, "X509 CERTIFICATE"))
        return NULL;
    if (str_is(label, "CERTIFICATE REQUEST") || str_is(label, "NEW CERTIFICATE REQUEST"))
        return "is only the request for a certificate (CSR); what Alipay's console gave for it is wanted";
    if (label.len >= 11 && memcmp(label.data + label.len - 11, "PRIVATE KEY", 11) == 0)
        return "is a private key; a certificate is wanted here";
    if (str_is(label, "PUBLIC KEY") || str_is(label, "RSA PUBLIC KEY"))
        return "is a public key; a certificate is wanted here";
    return "has a PEM label that names no certificate";
}

static const char *read_block(struct pn_str label, struct pn_str base64, struct certificate *ret_certificate)
{
    const char *fault = label_fault(label);
    unsigned char *der;
    const unsigned char *at;
    size_t len = 0;
    X509 *x509 = NULL;

    if (fault)
        return fault;
    der = pem_decode(base64, &len);
    at = der;
    if (der && len <= LONG_MAX)
        x509 = d2i_X509(NULL, &at, (long)len);
    fault = x509 && at == der + len ? read_x509(x509, ret_certificate) : broken;
    X509_free(x509);
    OPENSSL_clear_free(der, base64.len + 1);
    return fault;
}

static const char *read_all(struct pn_str text, struct certificate list[CERTIFICATES_MAX], size_t *count)
{
    struct pn_str label, base64;
    const char *fault;

    for (;;) {
        switch (pem_next(&text, &label, &base64)) {
        case PEM_BLOCK:
            break;
        case PEM_CUT_OFF:
            return broken;
        default:
            return *count ? NULL : "holds no certificate in PEM (-----BEGIN CERTIFICATE-----)";
        }
        if (*count == CERTIFICATES_MAX)
            return "holds too many certificates";
        fault = read_block(label, base64, &list[*count]);
        if (fault)
            return fault;
        ++*count;
    }
}

const char *certificates_read(struct pn_str text, struct certificate **ret_list, size_t *ret_count)
{
    struct certificate *list = calloc(CERTIFICATES_MAX, sizeof(*list));
    size_t count = 0;
    const char *fault = list ? read_all(text, list, &count) : unusable;

    ERR_clear_error();
    if (fault) {
        certificates_free(list, count);
        return fault;
    }
    *ret_list = list;
    *ret_count = count;
    return NULL;
}

void certificates_free(struct certificate *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        release(&list[i]);
    free(list);
}
