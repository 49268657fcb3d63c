/*
 * Reads RSA keys as people paste them: PEM, or the bare base64 that the providers' consoles and tools show. Our own reading of
 * PEM (find the label, drop white space, decode strictly, hand the DER to OpenSSL under that label's structure only) can say
 * in words what is wrong, which OpenSSL's cannot. Called at open.
 */
#include "common/rsa_key.h"

#include <limits.h>
#include <openssl/asn1.h>
#include <openssl/crypto.h>
#include <openssl/decoder.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "common/pem.h"
#include "common/str.h"

/* The structures that a key's DER can have, the PEM labels that promise them, and what their first elements are. */
static const struct shape {
    const char *label;
    const char *structure; /* as OpenSSL's decoders name it */
    bool is_private;
    int first, second;
    int elements; /* 0: any number */
} shapes[] = {
    { "PRIVATE KEY", "PrivateKeyInfo", true, V_ASN1_INTEGER, V_ASN1_SEQUENCE, 0 },
    { "RSA PRIVATE KEY", "type-specific", true, V_ASN1_INTEGER, V_ASN1_INTEGER, 9 },
    { "PUBLIC KEY", "SubjectPublicKeyInfo", false, V_ASN1_SEQUENCE, V_ASN1_BIT_STRING, 2 },
    { "RSA PUBLIC KEY", "type-specific", false, V_ASN1_INTEGER, V_ASN1_INTEGER, 2 },
};
enum { SHAPES = sizeof(shapes) / sizeof(shapes[0]) };

static const char broken[] = "is not a whole RSA key: it may have been cut off when it was copied";

/* Moves *at behind an element, or into it. False when it does not fit into what is left. */
static bool element(const unsigned char **at, const unsigned char *end, bool enter, int *ret_tag, long *ret_len)
{
    int class;
    int flags = ASN1_get_object(at, ret_len, ret_tag, &class, end - *at);

    if (flags & 0x81) /* does not fit, or has no length of its own */
        return false;
    if (!enter)
        *at += *ret_len;
    return true;
}

/* What the whole of der is, or NULL. OpenSSL's decoders are too forgiving to be asked. */
static const struct shape *recognise(const unsigned char *der, size_t len)
{
    const unsigned char *at = der, *end = der + len;
    int tag, tags[2] = { 0, 0 }, count = 0;
    long inner;

    if (len > LONG_MAX || !element(&at, end, true, &tag, &inner) || tag != V_ASN1_SEQUENCE || at + inner != end)
        return NULL;
    for (; at < end; count++) {
        if (!element(&at, end, false, &tag, &inner))
            return NULL;
        if (count < 2)
            tags[count] = tag;
    }
    for (size_t i = 0; i < SHAPES; i++)
        if (tags[0] == shapes[i].first && tags[1] == shapes[i].second && (!shapes[i].elements || count == shapes[i].elements))
            return &shapes[i];
    return NULL;
}

static EVP_PKEY *decode(const unsigned char *der, size_t len, const struct shape *shape)
{
    EVP_PKEY *pkey = NULL;
    int selection = shape->is_private ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY;
    OSSL_DECODER_CTX *context = OSSL_DECODER_CTX_new_for_pkey(&pkey, "DER", shape->structure, NULL, selection, NULL, NULL);

    if (context)
        OSSL_DECODER_from_data(context, &der, &len);
    OSSL_DECODER_CTX_free(context);
    return pkey;
}

/* What a label means that is none of a key's. */
static const char *label_fault(struct pn_str label)
{
    if (str_is(label, "CERTIFICATE"))
        return "is a certificate; a key is wanted here";
    if (str_is(label, "ENCRYPTED PRIVATE KEY"))
        return "is protected by a password; write it without (openssl pkey -in … -out …)";
    if (str_is(label, "EC PRIVATE KEY"))
        return "is not an RSA key";
    for (size_t i = 0; i < SHAPES; i++)
        if (str_is(label, shapes[i].label))
            return NULL;
    return "has a PEM label that names no key";
}

/* label absent: any shape. */
static const char *from_der(const unsigned char *der, size_t len, struct pn_str label, bool want_private, EVP_PKEY **ret_pkey)
{
    const struct shape *shape = recognise(der, len);
    EVP_PKEY *pkey;

    if (!shape)
        return broken;
    if (label.data && !str_is(label, shape->label))
        return "does not hold what its PEM label says";
    if (want_private != shape->is_private)
        return want_private ? "is a public key; a private key is wanted here" : "is a private key; a public key is wanted here";
    pkey = decode(der, len, shape);
    if (!pkey)
        return broken;
    if (!EVP_PKEY_is_a(pkey, "RSA")) {
        EVP_PKEY_free(pkey);
        return "is not an RSA key";
    }
    *ret_pkey = pkey;
    return NULL;
}

/* Cuts the base64 out of the text. ret_label stays absent when there is no PEM. */
static const char *unwrap(struct pn_str text, struct pn_str *ret_base64, struct pn_str *ret_label)
{
    struct pn_str rest = text;
    size_t mark = text.len >= 3 && memcmp(text.data, "\xef\xbb\xbf", 3) == 0 ? 3 : 0; /* what Notepad puts in front */

    switch (pem_next(&rest, ret_label, ret_base64)) {
    case PEM_BLOCK:
        return NULL;
    case PEM_CUT_OFF:
        return broken;
    default:
        *ret_base64 = (struct pn_str){ text.data + mark, text.len - mark };
        return NULL;
    }
}

const char *rsa_key_decode(struct pn_str text, bool is_private, EVP_PKEY **ret_pkey)
{
    struct pn_str base64 = { NULL, 0 }, label = { NULL, 0 };
    unsigned char *der;
    size_t der_len = 0;
    const char *fault = unwrap(text, &base64, &label);

    if (!fault && label.data)
        fault = label_fault(label);
    if (fault)
        return fault;
    if (base64.len && memmem(base64.data, base64.len, "Proc-Type:", 10))
        return "is protected by a password; write it without (openssl pkey -in … -out …)";
    der = pem_decode(base64, &der_len);
    if (!der)
        return "is neither PEM nor base64: it may be the wrong file, or have been cut off when it was copied";
    fault = der_len ? from_der(der, der_len, label, is_private, ret_pkey) : "is empty";
    OPENSSL_clear_free(der, base64.len + 1);
    return fault;
}
