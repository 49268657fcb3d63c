/*
 * Certificates as Alipay's certificate mode names them: by an MD5 over the issuer's name and the serial number.
 */
#ifndef PLUGINS_ALIPAY_CERTIFICATE_H
#define PLUGINS_ALIPAY_CERTIFICATE_H

#include <paynotify/plugin.h>
#include <stdbool.h>

enum { CERTIFICATES_MAX = 32, CERTIFICATE_SN_SIZE = 33 };

struct certificate {
    char *issuer;     /* "CN=…,OU=…,O=…,C=CN": RFC 2253, the most specific part first, UTF-8 */
    char *serial;     /* decimal */
    char *public_key; /* SubjectPublicKeyInfo, base64 */
    char sn[CERTIFICATE_SN_SIZE]; /* lower-case hex of MD5(issuer serial) */
    bool is_rsa;      /* its signature is RSA's, whatever the key */
    bool is_root;     /* issued by itself */
};

/*
 * The certificates of a PEM text in its order, at least one; other text around them is passed over, other PEM blocks are not.
 * Returns NULL, or what is wrong, to be put behind the setting's name. certificates_free takes what *ret_list came to.
 */
const char *certificates_read(struct pn_str text, struct certificate **ret_list, size_t *ret_count);
void certificates_free(struct certificate *list, size_t count); /* NULL is fine */

#endif
