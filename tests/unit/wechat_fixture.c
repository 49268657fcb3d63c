/*
 * An opened WeChat Pay channel for the tests; see wechat_fixture.h.
 */
#include "unit/wechat_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

void wechat_channel_settings(struct wechat_channel *channel, const char *sign_type)
{
    *channel = (struct wechat_channel){ .call = plugin_call(INT64_C(1716181995000)) };
    plugin_defaults(&pn_plugin, &channel->settings);
    plugin_setting(&pn_plugin, &channel->settings, "appid", STR(WECHAT_APPID));
    plugin_setting(&pn_plugin, &channel->settings, "mch_id", STR(WECHAT_MCH_ID));
    plugin_setting(&pn_plugin, &channel->settings, "api_key", STR(WECHAT_API_KEY));
    if (sign_type)
        plugin_setting(&pn_plugin, &channel->settings, "sign_type", str_of(sign_type));
}

int wechat_channel_start(struct wechat_channel *channel)
{
    return pn_plugin.channel->open(&channel->settings, &plugin_host, &channel->call, &channel->state);
}

void wechat_channel_open(struct wechat_channel *channel, const char *sign_type)
{
    wechat_channel_settings(channel, sign_type);
    if (wechat_channel_start(channel) != PN_OK) {
        fprintf(stderr, "# open: %s %s\n", channel->call.field, channel->call.text);
        exit(99);
    }
}

void wechat_channel_close(struct wechat_channel *channel)
{
    plugin_call_free(&channel->call);
    pn_plugin.channel->close(channel->state);
}

int wechat_channel_request(struct wechat_channel *channel, const struct pn_payment *payment, struct pn_step *ret_step)
{
    plugin_call_free(&channel->call);
    *ret_step = (struct pn_step){ .size = sizeof(*ret_step) };
    return pn_plugin.channel->request(channel->state, &channel->call, payment, ret_step);
}

int wechat_channel_response(struct wechat_channel *channel, const struct pn_payment *payment, uint32_t round, int status,
                            struct pn_str body, struct pn_step *ret_step)
{
    struct pn_http_response response = { .size = sizeof(response), .status = status, .body = body };

    plugin_call_free(&channel->call);
    *ret_step = (struct pn_step){ .size = sizeof(*ret_step) };
    return pn_plugin.channel->response(channel->state, &channel->call, payment, round, &response, ret_step);
}

int wechat_channel_notification(struct wechat_channel *channel, struct pn_str body, struct pn_notification *ret)
{
    struct pn_http_incoming incoming = { .size = sizeof(incoming), .method = STR("POST"), .body = body };

    plugin_call_free(&channel->call);
    *ret = (struct pn_notification){ .size = sizeof(*ret) };
    return pn_plugin.channel->notification(channel->state, &channel->call, &incoming, ret);
}

struct pn_payment wechat_payment(enum pn_operation operation, const char *product, struct pn_str pay_no)
{
    return (struct pn_payment){
        .size = sizeof(struct pn_payment),
        .operation = operation,
        .pay_no = pay_no,
        .product = str_of(product),
        .name = STR("测试订单"),
        .currency = STR("CNY"),
        .amount_minor = 8880,
        .notify_url = STR("https://pay.test.example/notify/wechat"),
        .created_at_ms = INT64_C(1716181995000), /* 2024-05-20 13:13:15 in Beijing */
        .expires_at_ms = INT64_C(1716183795000),
    };
}

struct pn_str wechat_signed(struct wechat_channel *channel, struct pn_kv *fields, size_t count)
{
    struct pn_call call = plugin_call(0);
    char *body;
    size_t len;

    if (sign_fields(channel->state, &call, fields, &count, "sign") != PN_OK)
        abort();
    body = malloc(xml_write(fields, count, NULL));
    if (!body)
        abort();
    len = xml_write(fields, count, body);
    plugin_call_free(&call);
    return (struct pn_str){ body, len };
}

void assert_str(struct pn_str got, struct pn_str want)
{
    if (!str_eq(got, want))
        fail_msg("got \"%.*s\", wanted \"%.*s\"", (int)got.len, got.data ? got.data : "", (int)want.len, want.data ? want.data : "");
}
