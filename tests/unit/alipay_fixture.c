/*
 * An opened Alipay channel for the tests; see alipay_fixture.h.
 */
#include "unit/alipay_fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base64.h"

static void common(struct alipay_settings *settings)
{
    *settings = (struct alipay_settings){ .app_id = { NULL, 0 } };
    plugin_defaults(&pn_plugin, settings);
    plugin_setting(&pn_plugin, settings, "app_id", STR(ALIPAY_APP_ID));
    plugin_setting(&pn_plugin, settings, "private_key", vectors_key("app", "private_pkcs8_base64"));
}

void alipay_settings_keys(struct alipay_settings *settings)
{
    common(settings);
    plugin_setting(&pn_plugin, settings, "alipay_public_key", vectors_key("alipay", "public_spki_base64"));
}

void alipay_settings_certificates(struct alipay_settings *settings, const json_t *certificates)
{
    common(settings);
    plugin_setting(&pn_plugin, settings, "app_cert", vector_str(certificates, "app_cert_pem"));
    plugin_setting(&pn_plugin, settings, "alipay_cert", vector_str(certificates, "alipay_cert_pem_chain"));
    plugin_setting(&pn_plugin, settings, "alipay_root_cert", vector_str(certificates, "root_bundle_pem"));
}

static void open_it(struct alipay_channel *channel)
{
    if (pn_plugin.channel->open(&channel->settings, &plugin_host, &channel->call, &channel->state) != PN_OK) {
        fprintf(stderr, "# open: %s %s\n", channel->call.field, channel->call.text);
        exit(99);
    }
}

void alipay_channel_open_certified(struct alipay_channel *channel, const json_t *certificates)
{
    *channel = (struct alipay_channel){ .call = plugin_call(INT64_C(1716182055000)) };
    alipay_settings_certificates(&channel->settings, certificates);
    open_it(channel);
}

void alipay_channel_open(struct alipay_channel *channel, const char *gateway, bool with_seller)
{
    struct alipay_settings *settings = &channel->settings;

    *channel = (struct alipay_channel){ .call = plugin_call(INT64_C(1716182055000)) };
    alipay_settings_keys(settings);
    if (gateway)
        plugin_setting(&pn_plugin, settings, "gateway", str_of(gateway));
    if (with_seller)
        plugin_setting(&pn_plugin, settings, "seller_id", STR(ALIPAY_SELLER_ID));
    open_it(channel);
}

void alipay_channel_close(struct alipay_channel *channel)
{
    plugin_call_free(&channel->call);
    pn_plugin.channel->close(channel->state);
}

int alipay_channel_request(struct alipay_channel *channel, const struct pn_payment *payment, struct pn_step *ret_step)
{
    plugin_call_free(&channel->call);
    *ret_step = (struct pn_step){ .size = sizeof(*ret_step) };
    return pn_plugin.channel->request(channel->state, &channel->call, payment, ret_step);
}

int alipay_channel_response(struct alipay_channel *channel, const struct pn_payment *payment, int status, struct pn_str body,
                            struct pn_step *ret_step)
{
    struct pn_http_response response = { .size = sizeof(response), .status = status, .body = body };

    plugin_call_free(&channel->call);
    *ret_step = (struct pn_step){ .size = sizeof(*ret_step) };
    return pn_plugin.channel->response(channel->state, &channel->call, payment, 1, &response, ret_step);
}

int alipay_channel_notification(struct alipay_channel *channel, struct pn_str body, struct pn_notification *ret)
{
    struct pn_http_incoming incoming = { .size = sizeof(incoming), .method = STR("POST"), .body = body };

    plugin_call_free(&channel->call);
    *ret = (struct pn_notification){ .size = sizeof(*ret) };
    return pn_plugin.channel->notification(channel->state, &channel->call, &incoming, ret);
}

struct pn_payment alipay_payment(enum pn_operation operation, const char *product, struct pn_str pay_no)
{
    return (struct pn_payment){
        .size = sizeof(struct pn_payment),
        .operation = operation,
        .pay_no = pay_no,
        .product = str_of(product),
        .name = STR("测试订单"),
        .currency = STR("CNY"),
        .amount_minor = 8880,
        .notify_url = STR("https://pay.test.example/notify/alipay"),
    };
}

char *alipay_signed(struct pn_str text)
{
    static struct rsa_key *key;
    unsigned char signature[RSA_BYTES_MAX];
    char *sign;

    if (!key && rsa_private_key_new(vectors_key("alipay", "private_pkcs8_base64"), &key))
        abort();
    sign = calloc(1, BASE64_LEN(rsa_key_size(key)) + 1);
    if (!sign || !rsa_sign(key, text, signature))
        abort();
    base64_encode(signature, rsa_key_size(key), sign);
    return sign;
}
