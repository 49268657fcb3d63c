/*
 * Stands in for plugins/common/rsa.c: keys are empty, signatures of 256 bytes hold. See alipay_believer.h.
 */
#include "fuzz/alipay_believer.h"

#include <stdio.h>
#include <stdlib.h>

#include "alipay/alipay.h"
#include "common/charset.h"

struct rsa_key {
    bool is_private;
};

static struct rsa_key keys[2] = { { true }, { false } };

const char *rsa_private_key_new(struct pn_str text, struct rsa_key **ret_key)
{
    (void)text;
    *ret_key = &keys[0];
    return NULL;
}

const char *rsa_public_key_new(struct pn_str text, struct rsa_key **ret_key)
{
    (void)text;
    *ret_key = &keys[1];
    return NULL;
}

void rsa_key_free(struct rsa_key *key)
{
    (void)key;
}

bool rsa_key_same(const struct rsa_key *a, const struct rsa_key *b)
{
    return a == b;
}

size_t rsa_key_size(const struct rsa_key *key)
{
    (void)key;
    return 256;
}

bool rsa_sign(const struct rsa_key *key, struct pn_str text, unsigned char *ret_signature)
{
    (void)key;
    (void)text;
    memset(ret_signature, 0x5a, 256);
    return true;
}

bool rsa_verify(const struct rsa_key *key, struct pn_str text, const unsigned char *signature, size_t signature_len)
{
    (void)key;
    (void)text;
    (void)signature;
    return signature_len == 256;
}

const void *believer(void)
{
    static struct alipay_settings settings;
    static struct pn_call call;
    static void *state;

    if (state)
        return state;
    call = plugin_call(0);
    plugin_defaults(&pn_plugin, &settings);
    plugin_setting(&pn_plugin, &settings, "app_id", STR("2021000199900001"));
    plugin_setting(&pn_plugin, &settings, "alipay_public_key", STR("believed"));
    if (pn_plugin.channel->open(&settings, &plugin_host, &call, &state) != PN_OK)
        abort();
    return state;
}

const void *certified_believer(void)
{
    static struct alipay certified;

    if (!certified.host) {
        certified = *(const struct alipay *)believer();
        snprintf(certified.alipay_cert_sns[0], CERTIFICATE_SN_SIZE, "%s", BELIEVER_CERT_SN);
        certified.alipay_cert_count = 1;
    }
    return &certified;
}

static void check_text(struct pn_str text)
{
    if (!utf8_valid(text) || (text.len && memchr(text.data, '\0', text.len)))
        abort();
}

void believer_check(const struct pn_result *result)
{
    if (result->size != sizeof(*result) || result->state > PN_STATE_NOT_FOUND || result->total_minor < PN_NOT_STATED ||
        result->refunded_minor < PN_NOT_STATED || result->paid_at_ms < 0)
        abort();
    if (result->state == PN_STATE_REFUNDED && !result->pay_no.len)
        abort();
    if (result->state == PN_STATE_PAID && result->total_minor == PN_NOT_STATED)
        abort();
    check_text(result->pay_no);
    check_text(result->trade_no);
    check_text(result->refund_no);
    check_text(result->payer);
    check_text(result->code);
    check_text(result->message);
    check_text(result->url);
    for (size_t i = 0; i < result->merchant.count; i++)
        check_text(result->merchant.items[i].value);
    for (size_t i = 0; i < result->fields.count; i++) {
        check_text(result->fields.items[i].name);
        check_text(result->fields.items[i].value);
    }
}
