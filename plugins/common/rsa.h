/*
 * RSA keys in every shape in which people paste them, and PKCS#1 v1.5 signatures with SHA-256 ("RSA2", "SHA256withRSA"). A key
 * is parsed once, at open; afterwards any number of threads sign or verify with it.
 */
#ifndef PLUGINS_COMMON_RSA_H
#define PLUGINS_COMMON_RSA_H

#include <paynotify/plugin.h>
#include <stdbool.h>

struct rsa_key;

enum { RSA_BITS_MIN = 2048, RSA_BYTES_MAX = 1024 };

/*
 * Private: PKCS#1 or PKCS#8; public: SubjectPublicKeyInfo or PKCS#1; each as PEM (also with text in front of it) or as the
 * bare base64 of the DER, with any white space. A PEM label must tell the truth.
 * Returns NULL, or what is wrong, to be put behind the setting's name: "is a public key; a private key is wanted".
 */
const char *rsa_private_key_new(struct pn_str text, struct rsa_key **ret_key);
const char *rsa_public_key_new(struct pn_str text, struct rsa_key **ret_key);
void rsa_key_free(struct rsa_key *key); /* NULL is fine */

/* Whether both have the same public half. */
bool rsa_key_same(const struct rsa_key *a, const struct rsa_key *b);

/* The length of a signature in bytes. */
size_t rsa_key_size(const struct rsa_key *key);

/* ret_signature has rsa_key_size bytes. False only for a fault of the library. */
bool rsa_sign(const struct rsa_key *key, struct pn_str text, unsigned char *ret_signature);

bool rsa_verify(const struct rsa_key *key, struct pn_str text, const unsigned char *signature, size_t signature_len);

#endif
