/*
 * What the channel signs and verifies with, from its settings: either Alipay's public key alone, or certificates, whose numbers
 * then travel with every request. Called at open and close, alone.
 */
#include <stdlib.h>

#include "alipay/alipay.h"

/* ---- Alipay's public key */

static const char *add_key(struct alipay *alipay, struct pn_str text)
{
    struct rsa_key **key = &alipay->alipay_keys[alipay->alipay_key_count];
    const char *fault = rsa_public_key_new(text, key);

    if (!fault)
        alipay->alipay_key_count++;
    return fault;
}

static bool is_own(const struct alipay *alipay)
{
    return rsa_key_same(alipay->own_key, alipay->alipay_keys[alipay->alipay_key_count - 1]);
}

static const char *add_public_key(struct alipay *alipay, struct pn_str text)
{
    const char *fault = add_key(alipay, text);

    if (!fault && is_own(alipay))
        fault = "is the public half of private_key; what is wanted is Alipay's own public key, which the console shows after the "
                "application's has been uploaded";
    return fault;
}

static const char *open_keys(struct alipay *alipay, const char **ret_field)
{
    const struct alipay_settings *settings = alipay->settings;
    const char *fault;

    *ret_field = "alipay_public_key";
    fault = add_public_key(alipay, settings->alipay_public_key);
    if (fault || !settings->alipay_public_key_next.len)
        return fault;
    *ret_field = "alipay_public_key_next";
    return add_public_key(alipay, settings->alipay_public_key_next);
}

/* ---- certificates */

/* The first of the file; what follows is the chain up to its root. */
static const char *own_certificate(struct alipay *alipay, const struct certificate *first)
{
    struct rsa_key *key = NULL;
    const char *fault = rsa_public_key_new(str_of(first->public_key), &key);

    if (!fault && !rsa_key_same(alipay->own_key, key))
        fault = "is not the certificate of private_key; what is wanted is the application's own (appCertPublicKey_<app_id>.crt)";
    rsa_key_free(key);
    memcpy(alipay->app_cert_sn, first->sn, sizeof(first->sn));
    return fault;
}

static const char *alipays_certificate(struct alipay *alipay, const struct certificate *first)
{
    const char *fault;

    if (first->is_root)
        return "is a root certificate; what is wanted is Alipay's own (alipayCertPublicKey_RSA2.crt)";
    fault = add_key(alipay, str_of(first->public_key));
    if (fault)
        return fault;
    if (is_own(alipay))
        return "is the application's own certificate; what is wanted is Alipay's (alipayCertPublicKey_RSA2.crt)";
    memcpy(alipay->alipay_cert_sns[alipay->alipay_cert_count++], first->sn, sizeof(first->sn));
    return NULL;
}

/* Every certificate whose signature is RSA's, in the order of the file. */
static const char *roots(struct alipay *alipay, const struct certificate *list, size_t count)
{
    char *to = calloc(count, CERTIFICATE_SN_SIZE);

    if (!to)
        return "cannot be read: out of memory";
    alipay->root_cert_sn = to;
    for (size_t i = 0; i < count; i++) {
        if (!list[i].is_rsa)
            continue;
        if (to != alipay->root_cert_sn)
            *to++ = '_';
        memcpy(to, list[i].sn, CERTIFICATE_SN_SIZE);
        to += CERTIFICATE_SN_SIZE - 1;
    }
    return to == alipay->root_cert_sn ? "holds no certificate with an RSA signature; Alipay's alipayRootCert.crt is wanted" : NULL;
}

enum certificate_role { OWN, ALIPAYS, ROOTS };

static const char *add_certificates(struct alipay *alipay, struct pn_str text, enum certificate_role role)
{
    struct certificate *list = NULL;
    size_t count = 0;
    const char *fault = certificates_read(text, &list, &count);

    if (fault)
        return fault;
    if (role == OWN)
        fault = own_certificate(alipay, list);
    else if (role == ALIPAYS)
        fault = alipays_certificate(alipay, list);
    else
        fault = roots(alipay, list, count);
    certificates_free(list, count);
    return fault;
}

static const char *open_certificates(struct alipay *alipay, const char **ret_field)
{
    const struct alipay_settings *settings = alipay->settings;
    const struct {
        const char *name;
        struct pn_str text;
        enum certificate_role role;
        bool required;
    } wanted[] = {
        { "app_cert", settings->app_cert, OWN, true },
        { "alipay_cert", settings->alipay_cert, ALIPAYS, true },
        { "alipay_root_cert", settings->alipay_root_cert, ROOTS, true },
        { "alipay_cert_next", settings->alipay_cert_next, ALIPAYS, false },
    };
    const char *fault = NULL;

    for (size_t i = 0; !fault && i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        *ret_field = wanted[i].name;
        if (wanted[i].text.len)
            fault = add_certificates(alipay, wanted[i].text, wanted[i].role);
        else if (wanted[i].required)
            fault = "is missing: certificate mode needs app_cert, alipay_cert and alipay_root_cert together";
    }
    return fault;
}

/* ---- both */

const char *keys_open(struct alipay *alipay, const char **ret_field)
{
    const struct alipay_settings *settings = alipay->settings;
    bool certified = settings->app_cert.len || settings->alipay_cert.len || settings->alipay_root_cert.len ||
                     settings->alipay_cert_next.len;
    const char *fault;

    *ret_field = "private_key";
    fault = rsa_private_key_new(settings->private_key, &alipay->own_key);
    if (fault)
        return fault;
    *ret_field = settings->alipay_public_key.len ? "alipay_public_key" : "alipay_public_key_next";
    if (certified && (settings->alipay_public_key.len || settings->alipay_public_key_next.len))
        return "does not go with certificates: in certificate mode Alipay's key is that of alipay_cert";
    if (certified)
        return open_certificates(alipay, ret_field);
    *ret_field = "alipay_public_key";
    if (!settings->alipay_public_key.data)
        return "is missing: Alipay's public key is wanted or, in certificate mode, app_cert, alipay_cert and alipay_root_cert";
    return open_keys(alipay, ret_field);
}

void keys_close(struct alipay *alipay)
{
    rsa_key_free(alipay->own_key);
    for (size_t i = 0; i < alipay->alipay_key_count; i++)
        rsa_key_free(alipay->alipay_keys[i]);
    free(alipay->root_cert_sn);
}
