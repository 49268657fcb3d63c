/*
 * RSA signatures on OpenSSL 3. The digest is fetched and a context is set up once per key; a call duplicates that context,
 * which costs a fraction of setting one up. Keys are made by open; signing and verifying run in any thread.
 */
#include "common/rsa.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdlib.h>

#include "common/rsa_key.h"

struct rsa_key {
    EVP_PKEY *pkey;
    EVP_MD *sha256;
    EVP_PKEY_CTX *ready; /* set up to sign (private) or to verify (public); only ever duplicated */
};

static bool set_up(struct rsa_key *key, bool is_private)
{
    key->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    key->ready = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);
    if (!key->sha256 || !key->ready)
        return false;
    if ((is_private ? EVP_PKEY_sign_init(key->ready) : EVP_PKEY_verify_init(key->ready)) != 1)
        return false;
    return EVP_PKEY_CTX_set_rsa_padding(key->ready, RSA_PKCS1_PADDING) == 1 &&
           EVP_PKEY_CTX_set_signature_md(key->ready, key->sha256) == 1;
}

static const char *key_new(struct pn_str text, bool is_private, struct rsa_key **ret_key)
{
    struct rsa_key *key = calloc(1, sizeof(*key));
    const char *fault;

    if (!key)
        return "cannot be read: out of memory";
    fault = rsa_key_decode(text, is_private, &key->pkey);
    if (!fault && EVP_PKEY_get_bits(key->pkey) < RSA_BITS_MIN)
        fault = "is an RSA key of fewer than 2048 bits, which is too weak";
    if (!fault && EVP_PKEY_get_size(key->pkey) > RSA_BYTES_MAX)
        fault = "is an RSA key of more than 8192 bits, which is too slow";
    if (!fault && !set_up(key, is_private))
        fault = "cannot be used: OpenSSL refuses it";
    ERR_clear_error();
    if (fault) {
        rsa_key_free(key);
        return fault;
    }
    *ret_key = key;
    return NULL;
}

const char *rsa_private_key_new(struct pn_str text, struct rsa_key **ret_key)
{
    return key_new(text, true, ret_key);
}

const char *rsa_public_key_new(struct pn_str text, struct rsa_key **ret_key)
{
    return key_new(text, false, ret_key);
}

void rsa_key_free(struct rsa_key *key)
{
    if (!key)
        return;
    EVP_PKEY_CTX_free(key->ready);
    EVP_MD_free(key->sha256);
    EVP_PKEY_free(key->pkey);
    free(key);
}

bool rsa_key_same(const struct rsa_key *a, const struct rsa_key *b)
{
    return EVP_PKEY_eq(a->pkey, b->pkey) == 1;
}

size_t rsa_key_size(const struct rsa_key *key)
{
    return (size_t)EVP_PKEY_get_size(key->pkey);
}

/* A context for this call, and the digest of text. */
static EVP_PKEY_CTX *begin(const struct rsa_key *key, struct pn_str text, unsigned char ret_digest[EVP_MAX_MD_SIZE],
                           size_t *ret_len)
{
    unsigned len = 0;

    if (EVP_Digest(text.data, text.len, ret_digest, &len, key->sha256, NULL) != 1)
        return NULL;
    *ret_len = len;
    return EVP_PKEY_CTX_dup(key->ready);
}

bool rsa_sign(const struct rsa_key *key, struct pn_str text, unsigned char *ret_signature)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    size_t digest_len = 0, len = rsa_key_size(key);
    EVP_PKEY_CTX *context = begin(key, text, digest, &digest_len);
    bool done = context && EVP_PKEY_sign(context, ret_signature, &len, digest, digest_len) == 1 && len == rsa_key_size(key);

    EVP_PKEY_CTX_free(context);
    if (!done)
        ERR_clear_error();
    return done;
}

bool rsa_verify(const struct rsa_key *key, struct pn_str text, const unsigned char *signature, size_t signature_len)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    size_t digest_len = 0;
    EVP_PKEY_CTX *context;
    bool holds;

    if (signature_len != rsa_key_size(key))
        return false;
    context = begin(key, text, digest, &digest_len);
    holds = context && EVP_PKEY_verify(context, signature, signature_len, digest, digest_len) == 1;
    EVP_PKEY_CTX_free(context);
    if (!holds)
        ERR_clear_error();
    return holds;
}
