/*
 * The keys of the sandbox: made in its folder at the first start, read back at later ones. The provider's private key
 * signs answers and notices, the application's public key verifies requests. Any thread, after keys_open.
 */
#ifndef SANDBOX_KEYS_H
#define SANDBOX_KEYS_H

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>

struct keys;

enum signer {
    SIGN_PROVIDER, /* as the provider does */
    SIGN_STRANGER  /* with a key that nobody trusts: for tests of the other side */
};

/* `dir` is made when it is missing. Files in it, private ones readable by their owner only:
 *   alipay-private.pem alipay-public.pem   the provider's pair
 *   app-private.pem app-public.pem         the merchant's application
 *   alipay-public.txt app-private.txt      the same as bare base64, as the provider's console and key tool give them
 * A missing file of a pair is made from the private key; an app-public.pem without its private key is the merchant's own
 * and is used. NULL: `ret_error` says what is wrong; the caller frees it. */
struct keys *keys_open(const char *dir, char **ret_error);
void keys_free(struct keys *keys);

/* For certificates: the provider's private key and the application's public one. Borrowed. */
EVP_PKEY *keys_provider(const struct keys *keys);
EVP_PKEY *keys_app(const struct keys *keys);

/* SHA256withRSA over `text`, base64 on one line. The caller frees. */
char *keys_sign(struct keys *keys, enum signer signer, const char *text, size_t n);
/* Whether `signature` (strict base64) is the application's over `text`. */
bool keys_verify_app(const struct keys *keys, const char *text, size_t n, const char *signature);

#endif
