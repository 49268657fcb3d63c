/*
 * Test certificates for Alipay's certificate mode (protocol section 9): of the merchant's application, of the provider, and the
 * roots. Made beside the keys at the first start, read back at later ones; read-only afterwards, any thread.
 */
#ifndef SANDBOX_CERTIFICATES_H
#define SANDBOX_CERTIFICATES_H

#include "keys.h"

struct certificates {
    char *app_sn, *provider_sn, *root_sn; /* as the protocol numbers certificates */
};

/* Files in `dir`: app-cert.crt, alipay-cert.crt (with its issuer behind it) and alipay-root.crt (two RSA roots and one of
 * another kind between them). All are made anew when one is missing or is not of these keys. NULL: `ret_error` says what is
 * wrong; the caller frees it. */
struct certificates *certificates_open(const char *dir, const struct keys *keys, char **ret_error);
void certificates_free(struct certificates *certificates);

#endif
