/*
 * An opened Alipay channel for the tests, with the keys and the merchant of the test vectors.
 */
#ifndef TESTS_UNIT_ALIPAY_FIXTURE_H
#define TESTS_UNIT_ALIPAY_FIXTURE_H

#include "alipay/alipay.h"
#include "unit/plugin_host.h"
#include "unit/vectors.h"

#define ALIPAY_APP_ID "2021000199900001"
#define ALIPAY_SELLER_ID "2088000199900010"

struct alipay_channel {
    struct alipay_settings settings;
    struct pn_call call;
    void *state; /* struct alipay */
};

/* The settings of the vectors, with Alipay's public key or with certificates (a loaded alipay-cert.json). */
void alipay_settings_keys(struct alipay_settings *settings);
void alipay_settings_certificates(struct alipay_settings *settings, const json_t *certificates);

/* Through the descriptor alone. Ends the process on failure. gateway NULL: the default. */
void alipay_channel_open(struct alipay_channel *channel, const char *gateway, bool with_seller);

/* The same in certificate mode. */
void alipay_channel_open_certified(struct alipay_channel *channel, const json_t *certificates);
void alipay_channel_close(struct alipay_channel *channel);

/* The channel's calls, each of which forgets the one before. */
int alipay_channel_request(struct alipay_channel *channel, const struct pn_payment *payment, struct pn_step *ret_step);
int alipay_channel_response(struct alipay_channel *channel, const struct pn_payment *payment, int status, struct pn_str body,
                            struct pn_step *ret_step);
int alipay_channel_notification(struct alipay_channel *channel, struct pn_str body, struct pn_notification *ret);

/* A payment as the vectors have them. */
struct pn_payment alipay_payment(enum pn_operation operation, const char *product, struct pn_str pay_no);

/* The base64 signature of text by Alipay's test key. The caller frees it. */
char *alipay_signed(struct pn_str text);

#endif
