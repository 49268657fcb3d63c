/*
 * The Alipay channel: its descriptor, settings and products; opening and closing. Everything else of the plugin reads the
 * state that open makes.
 */
#include <stdio.h>
#include <stdlib.h>

#include "alipay/alipay.h"
#include "common/charset.h"

#define OPTION(name_, type_, flags_, default_, choices_, help_) \
    { #name_, (type_), (flags_), offsetof(struct alipay_settings, name_), (default_), (choices_), 0, 0, (help_) }

static const struct pn_option options[] = {
    OPTION(app_id, PN_OPT_STRING, PN_OPT_REQUIRED, NULL, NULL, "The application's number on Alipay's open platform"),
    OPTION(private_key, PN_OPT_BYTES, PN_OPT_REQUIRED | PN_OPT_SECRET, NULL, NULL,
           "The application's RSA private key, 2048 bits or more; PEM or bare base64, PKCS#1 or PKCS#8"),
    OPTION(alipay_public_key, PN_OPT_BYTES, 0, NULL, NULL,
           "Alipay's public key as the console shows it, not the application's own; required without certificates"),
    OPTION(alipay_public_key_next, PN_OPT_BYTES, 0, NULL, NULL,
           "A second key of Alipay's that is believed too, while one is being changed for the other"),
    OPTION(app_cert, PN_OPT_BYTES, 0, NULL, NULL,
           "Certificate mode, instead of alipay_public_key: the application's certificate (appCertPublicKey_….crt)"),
    OPTION(alipay_cert, PN_OPT_BYTES, 0, NULL, NULL, "Certificate mode: Alipay's certificate (alipayCertPublicKey_RSA2.crt)"),
    OPTION(alipay_root_cert, PN_OPT_BYTES, 0, NULL, NULL, "Certificate mode: Alipay's root certificates (alipayRootCert.crt)"),
    OPTION(alipay_cert_next, PN_OPT_BYTES, 0, NULL, NULL,
           "Certificate mode: a second certificate of Alipay's that is believed too, while it is being renewed"),
    OPTION(gateway, PN_OPT_URL, 0, "https://openapi.alipay.com/gateway.do", "http|https",
           "Where requests go; another one for Alipay's sandbox"),
    OPTION(seller_id, PN_OPT_STRING, 0, NULL, NULL, "The payee's number (2088…): payments to anybody else are refused"),
};

static const struct pn_product wap = { sizeof(wap),         PN_PREPAY_FORM, "wap", "支付宝（手机网页）",
                                       "Alipay (phone browser)", NULL,           "CNY" };
static const struct pn_product page = { sizeof(page),          PN_PREPAY_FORM, "page", "支付宝（电脑网页）",
                                        "Alipay (desktop browser)", NULL,           "CNY" };
static const struct pn_product precreate = { sizeof(precreate),  PN_PREPAY_CODE_URL, "precreate", "支付宝（扫码）",
                                             "Alipay (QR code)", NULL,               "CNY" };
static const struct pn_product app = { sizeof(app),          PN_PREPAY_APP_PARAMS, "app", "支付宝（手机应用）",
                                       "Alipay (mobile app)", NULL,                 "CNY" };
static const struct pn_product *const products[] = { &wap, &page, &precreate, &app, NULL };

int alipay_fail(const struct alipay *alipay, struct pn_call *call, int rc, const char *field, const char *text)
{
    return alipay->host->fail(call, rc, field, text);
}

int alipay_no_memory(const struct alipay *alipay, struct pn_call *call)
{
    return alipay_fail(alipay, call, PN_INTERNAL, NULL, "out of memory");
}

bool alipay_keep(const struct alipay *alipay, struct pn_call *call, struct pn_str *text)
{
    char *copy;

    if (text->len == 0)
        return true;
    copy = alipay_alloc(alipay, call, text->len);
    if (!copy)
        return false;
    memcpy(copy, text->data, text->len);
    text->data = copy;
    return true;
}

struct pn_result *alipay_result(const struct alipay *alipay, struct pn_call *call, const struct pn_payment *payment)
{
    struct pn_result *result = alipay_alloc(alipay, call, sizeof(*result));

    if (!result)
        return NULL;
    result->size = sizeof(*result);
    result->pay_no = payment->pay_no;
    result->total_minor = result->refunded_minor = PN_NOT_STATED;
    return alipay_keep(alipay, call, &result->pay_no) ? result : NULL;
}

static void alipay_close(void *state)
{
    struct alipay *alipay = state;

    keys_close(alipay);
    gb18030_release(alipay->gb18030);
    free(alipay);
}

static bool is_payee(struct pn_str number)
{
    return str_is_digits(number, 16, 16) && memcmp(number.data, "2088", 4) == 0;
}

/* NULL, or what is wrong with *ret_field. */
static const char *check(struct alipay *alipay, const char **ret_field)
{
    const struct alipay_settings *settings = alipay->settings;

    *ret_field = "app_id";
    if (!str_is_digits(settings->app_id, 1, 32))
        return "is not an application's number: up to 32 digits, such as 2021000199900001";
    *ret_field = "seller_id";
    if (settings->seller_id.len && !is_payee(settings->seller_id))
        return "is not a payee's number: 16 digits that begin with 2088";
    return keys_open(alipay, ret_field);
}

static int alipay_open(const void *settings, const struct pn_host *host, struct pn_call *call, void **ret_state)
{
    struct alipay *alipay = calloc(1, sizeof(*alipay));
    const char *field, *fault;

    if (!alipay)
        return host->fail(call, PN_INTERNAL, NULL, "out of memory");
    alipay->host = host;
    alipay->settings = settings;
    fault = check(alipay, &field);
    if (fault) {
        alipay_close(alipay);
        return host->fail(call, PN_BAD_CONFIG, field, fault);
    }
    alipay->merchant[alipay->merchant_count++] = (struct pn_kv){ STR_INIT("app_id"), alipay->settings->app_id };
    if (alipay->settings->seller_id.len)
        alipay->merchant[alipay->merchant_count++] = (struct pn_kv){ STR_INIT("seller_id"), alipay->settings->seller_id };
    alipay->gb18030 = gb18030_keep();
    if (!alipay->gb18030)
        host->log(host, call, PN_LOG_WARN, "this C library cannot read GBK: notices and answers in it will not be believed");
    json_object_seed(0); /* reads the system's randomness now rather than in a payment */
    *ret_state = alipay;
    return PN_OK;
}

static int alipay_reply(const void *state, struct pn_call *call, const struct pn_http_incoming *incoming, int accepted,
                        struct pn_reply *ret_reply)
{
    (void)state;
    (void)call;
    (void)incoming;
    ret_reply->status = 200;
    ret_reply->content_type = STR("text/plain");
    ret_reply->body = accepted ? STR("success") : STR("fail");
    return PN_OK;
}

static const struct pn_channel channel = {
    .size = sizeof(channel),
    .products = products,
    .open = alipay_open,
    .close = alipay_close,
    .request = alipay_request,
    .response = alipay_response,
    .notification = alipay_notification,
    .reply = alipay_reply,
};

const struct pn_plugin pn_plugin = {
    PN_PLUGIN_HEAD(PN_KIND_CHANNEL, struct alipay_settings, "alipay", "0.1.0"),
    .summary = "Alipay: phone and desktop browsers, QR codes, apps; refunds; RSA2 keys or certificates",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .channel = &channel,
};
