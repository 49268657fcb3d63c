/*
 * Reads RSA keys as people paste them: PEM, or the bare base64 that the providers' consoles and tools show. Our own reading of
 * PEM (find the label, drop white space, decode strictly, hand the DER to OpenSSL under that label's structure only) can say
 * in words what is wrong, which OpenSSL's cannot. Called at open.
 */
#include "common/rsa_key.h"

#include <openssl/crypto.h>
#include <openssl/decoder.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "common/base64.h"
#include "common/str.h"

/* The structures that a DER text can have, and the PEM labels that promise them. */
static const struct shape {
    const char *label;
    const char *structure; /* as OpenSSL's decoders name it */
    bool is_private;
} shapes[] = {
    { "PRIVATE KEY", "PrivateKeyInfo", true },
    { "RSA PRIVATE KEY", "type-specific", true },
    { "PUBLIC KEY", "SubjectPublicKeyInfo", false },
    { "RSA PUBLIC KEY", "type-specific", false },
};
enum { SHAPES = sizeof(shapes) / sizeof(shapes[0]) };

static const char broken[] = "is not a whole key: it may have been cut off when it was copied";

/* The key in exactly this shape, or NULL. Nothing may stand behind it. */
static EVP_PKEY *decode_der(const unsigned char *der, size_t len, const struct shape *shape)
{
    EVP_PKEY *pkey = NULL;
    int selection = shape->is_private ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY;
    OSSL_DECODER_CTX *context =
        OSSL_DECODER_CTX_new_for_pkey(&pkey, "DER", shape->structure, NULL, selection, NULL, NULL);

    if (!context)
        return NULL;
    if (OSSL_DECODER_from_data(context, &der, &len) != 1 || len > 0) {
        EVP_PKEY_free(pkey);
        pkey = NULL;
    }
    OSSL_DECODER_CTX_free(context);
    return pkey;
}

static const char *accept(EVP_PKEY *pkey, const struct shape *shape, bool want_private, EVP_PKEY **ret_pkey)
{
    const char *fault = NULL;

    if (!EVP_PKEY_is_a(pkey, "RSA"))
        fault = "is not an RSA key";
    else if (want_private && !shape->is_private)
        fault = "is a public key; a private key is wanted here";
    else if (!want_private && shape->is_private)
        fault = "is a private key; a public key is wanted here";
    if (fault)
        EVP_PKEY_free(pkey);
    else
        *ret_pkey = pkey;
    return fault;
}

/* label absent: any shape. */
static const char *from_der(const unsigned char *der, size_t len, struct pn_str label, bool want_private, EVP_PKEY **ret_pkey)
{
    bool known = false;

    for (size_t i = 0; i < SHAPES; i++) {
        EVP_PKEY *pkey;

        if (label.data && !str_is(label, shapes[i].label))
            continue;
        known = true;
        pkey = decode_der(der, len, &shapes[i]);
        if (pkey)
            return accept(pkey, &shapes[i], want_private, ret_pkey);
    }
    if (known)
        return label.data ? "does not hold what its PEM label says, or has been cut off" : broken;
    if (str_is(label, "CERTIFICATE"))
        return "is a certificate; a key is wanted here";
    if (str_is(label, "ENCRYPTED PRIVATE KEY"))
        return "is protected by a password; write it without (openssl pkey -in … -out …)";
    return str_is(label, "EC PRIVATE KEY") ? "is not an RSA key" : "has a PEM label that names no key";
}

/* text without white space, decoded. The caller frees it with OPENSSL_clear_free(…, text.len + 1). */
static unsigned char *from_base64(struct pn_str text, size_t *ret_len)
{
    char *packed = OPENSSL_malloc(text.len + 1);
    unsigned char *der = OPENSSL_malloc(text.len + 1);
    size_t n = 0;

    if (packed && der) {
        for (size_t i = 0; i < text.len; i++)
            if (!memchr(" \t\r\n", text.data[i], 4))
                packed[n++] = text.data[i];
        if (!base64_decode(packed, n, der, ret_len)) {
            OPENSSL_clear_free(der, text.len + 1);
            der = NULL;
        }
    }
    OPENSSL_clear_free(packed, text.len + 1);
    return der;
}

static const char *find(struct pn_str text, const char *word)
{
    return text.len ? memmem(text.data, text.len, word, strlen(word)) : NULL;
}

/* Cuts the base64 out of a PEM text. ret_label stays absent when there is no PEM. */
static const char *unwrap(struct pn_str text, struct pn_str *ret_base64, struct pn_str *ret_label)
{
    static const char begin[] = "-----BEGIN ", dashes[] = "-----", end[] = "-----END ";
    const char *limit = text.data + text.len, *from = find(text, begin), *stop;
    struct pn_str label, rest;

    if (!from) {
        *ret_base64 = text;
        return NULL;
    }
    from += sizeof(begin) - 1;
    stop = find((struct pn_str){ from, (size_t)(limit - from) }, dashes);
    if (!stop)
        return broken;
    label = (struct pn_str){ from, (size_t)(stop - from) };
    from = stop + sizeof(dashes) - 1;
    rest = (struct pn_str){ from, (size_t)(limit - from) };
    stop = find(rest, end);
    if (!stop)
        return broken;
    *ret_label = label;
    *ret_base64 = (struct pn_str){ from, (size_t)(stop - from) };
    return NULL;
}

const char *rsa_key_decode(struct pn_str text, bool is_private, EVP_PKEY **ret_pkey)
{
    struct pn_str base64 = { NULL, 0 }, label = { NULL, 0 };
    unsigned char *der;
    size_t der_len = 0;
    const char *fault = unwrap(text, &base64, &label);

    if (fault)
        return fault;
    if (find(base64, "Proc-Type:"))
        return "is protected by a password; write it without (openssl pkey -in … -out …)";
    der = from_base64(base64, &der_len);
    if (!der)
        return "is neither PEM nor base64: it may be the wrong file, or have been cut off when it was copied";
    fault = der_len ? from_der(der, der_len, label, is_private, ret_pkey) : "is empty";
    OPENSSL_clear_free(der, base64.len + 1);
    return fault;
}
