/*
 * From the text of a setting to an OpenSSL key; used by rsa.c alone.
 */
#ifndef PLUGINS_COMMON_RSA_KEY_H
#define PLUGINS_COMMON_RSA_KEY_H

#include <openssl/types.h>
#include <paynotify/plugin.h>
#include <stdbool.h>

/* NULL, or what is wrong (see rsa.h). Leaves OpenSSL's error queue as it comes. */
const char *rsa_key_decode(struct pn_str text, bool is_private, EVP_PKEY **ret_pkey);

#endif
