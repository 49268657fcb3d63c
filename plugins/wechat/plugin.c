/*
 * The WeChat Pay channel: its descriptor, settings and products; opening and closing; replies. Everything else of the plugin
 * reads the state that open makes.
 */
#include <libxml/parser.h>
#include <openssl/crypto.h>
#include <stdlib.h>

#include "wechat/wechat.h"

enum { API_KEY_LEN = 32, WAP_NAME_MAX = 64, WAP_URL_MAX = 256 };

#define MAIN_HOST "https://api.mch.weixin.qq.com"
#define SECOND_HOST "https://api2.mch.weixin.qq.com"

#define OPTION(name_, type_, flags_, default_, choices_, help_) \
    { #name_, (type_), (flags_), offsetof(struct wechat_settings, name_), (default_), (choices_), 0, 0, (help_) }

static const struct pn_option options[] = {
    OPTION(appid, PN_OPT_STRING, PN_OPT_REQUIRED, NULL, NULL, "The number of the official account, mini program or app (wx…)"),
    OPTION(mch_id, PN_OPT_STRING, PN_OPT_REQUIRED, NULL, NULL, "The merchant's number"),
    OPTION(api_key, PN_OPT_STRING, PN_OPT_REQUIRED | PN_OPT_SECRET, NULL, NULL,
           "The API key (v2) of the merchant platform: 32 letters and digits"),
    OPTION(sign_type, PN_OPT_ENUM, 0, "HMAC-SHA256", "HMAC-SHA256|MD5", "How messages are signed; no other way is believed"),
    OPTION(sub_appid, PN_OPT_STRING, 0, NULL, NULL, "For service providers: the appid of the merchant served"),
    OPTION(sub_mch_id, PN_OPT_STRING, 0, NULL, NULL, "For service providers: the number of the merchant served"),
    OPTION(url, PN_OPT_URL, 0, MAIN_HOST, "http|https", "Where requests go, without the path of a call"),
    OPTION(backup_url, PN_OPT_URL, 0, NULL, "http|https",
           "Where they go when url cannot be reached; default: WeChat's second site, unless url is changed"),
    OPTION(server_ip, PN_OPT_STRING, 0, "127.0.0.1", NULL, "The address that WeChat is told where the payer's is not known"),
    OPTION(wap_url, PN_OPT_URL, 0, NULL, "http|https", "Product mweb: the shop's site; default: the origin of public_url"),
    OPTION(wap_name, PN_OPT_STRING, 0, "Shop", NULL, "Product mweb: the shop's name"),
    OPTION(client_certificate, PN_OPT_BYTES, 0, NULL, NULL, "For refunds: the merchant's certificate in PEM (apiclient_cert.pem)"),
    OPTION(client_key, PN_OPT_BYTES, PN_OPT_SECRET, NULL, NULL, "For refunds: its private key in PEM (apiclient_key.pem)"),
    OPTION(client_p12, PN_OPT_BYTES, PN_OPT_SECRET, NULL, NULL, "For refunds: both in one PKCS#12 file (apiclient_cert.p12)"),
    OPTION(client_p12_password, PN_OPT_STRING, PN_OPT_SECRET, NULL, NULL, "The password of client_p12; default: mch_id"),
};

static const struct pn_product native = { sizeof(native),         PN_PREPAY_CODE_URL, "native", "微信支付（扫码）",
                                          "WeChat Pay (QR code)", NULL,               "CNY" };
static const struct pn_product mweb = { sizeof(mweb),                 PN_PREPAY_REDIRECT, "mweb", "微信支付（手机网页）",
                                        "WeChat Pay (phone browser)", "client_ip",        "CNY" };
static const struct pn_product jsapi = { sizeof(jsapi),                PN_PREPAY_APP_PARAMS, "jsapi", "微信支付（微信内）",
                                         "WeChat Pay (inside WeChat)", "openid",             "CNY" };
static const struct pn_product app = { sizeof(app),        PN_PREPAY_APP_PARAMS, "app", "微信支付（应用）",
                                       "WeChat Pay (app)", NULL,                 "CNY" };
static const struct pn_product *const products[] = { &native, &mweb, &jsapi, &app, NULL };

int wechat_fail(const struct wechat *wechat, struct pn_call *call, int rc, const char *field, const char *text)
{
    return wechat->host->fail(call, rc, field, text);
}

int wechat_no_memory(const struct wechat *wechat, struct pn_call *call)
{
    return wechat_fail(wechat, call, PN_INTERNAL, NULL, "out of memory");
}

bool wechat_keep(const struct wechat *wechat, struct pn_call *call, struct pn_str *text)
{
    char *copy;

    if (text->len == 0)
        return true;
    copy = wechat_alloc(wechat, call, text->len);
    if (!copy)
        return false;
    memcpy(copy, text->data, text->len);
    text->data = copy;
    return true;
}

static void wechat_close(void *state)
{
    struct wechat *wechat = state;

    certificate_close(wechat);
    crypto_close(&wechat->crypto);
    OPENSSL_cleanse(wechat->refund_key, sizeof(wechat->refund_key));
    free(wechat);
}

static bool is_appid(struct pn_str text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((text.data[i] < '0' || text.data[i] > '9') && (text.data[i] < 'a' || text.data[i] > 'z'))
            return false;
    return text.len > 2 && text.len <= 32 && memcmp(text.data, "wx", 2) == 0;
}

static bool is_api_key(struct pn_str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] <= ' ' || text.data[i] > '~')
            return false;
    return text.len == API_KEY_LEN;
}

/* Goes into JSON and XML as it is. */
static bool is_plain(struct pn_str text, size_t max)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.data[i] < ' ' || strchr("\"\\&=", text.data[i]))
            return false;
    return text.len <= max;
}

/* NULL, or what is wrong with *ret_field. */
static const char *check(const struct wechat_settings *settings, const char **ret_field)
{
    *ret_field = "appid";
    if (!is_appid(settings->appid))
        return "is not an appid: wx and then letters and digits, such as wxd930ea5d5a258f4f";
    *ret_field = "sub_appid";
    if (settings->sub_appid.len && !is_appid(settings->sub_appid))
        return "is not an appid: wx and then letters and digits";
    *ret_field = "mch_id";
    if (!str_is_digits(settings->mch_id, 8, 32))
        return "is not a merchant's number: digits, such as 1900000001";
    *ret_field = "sub_mch_id";
    if (settings->sub_mch_id.len && !str_is_digits(settings->sub_mch_id, 8, 32))
        return "is not a merchant's number: digits, such as 1900000001";
    *ret_field = "api_key";
    if (!is_api_key(settings->api_key))
        return "is not an API key: it has 32 letters and digits";
    *ret_field = "wap_url";
    if (!is_plain(settings->wap_url, WAP_URL_MAX))
        return "is too long, or holds one of \" \\ & =";
    *ret_field = "wap_name";
    if (!is_plain(settings->wap_name, WAP_NAME_MAX))
        return "is too long, or holds one of \" \\ & =";
    return NULL;
}

static void add_host(struct wechat *wechat, struct pn_str url)
{
    while (url.len && url.data[url.len - 1] == '/')
        url.len--;
    wechat->hosts[wechat->host_count++] = url;
}

/* A test system's requests must not end up at the real one, so the second site belongs to the main one alone. */
static void set_hosts(struct wechat *wechat)
{
    const struct wechat_settings *settings = wechat->settings;

    add_host(wechat, settings->url);
    if (settings->backup_url.len)
        add_host(wechat, settings->backup_url);
    else if (str_is(wechat->hosts[0], MAIN_HOST))
        add_host(wechat, STR(SECOND_HOST));
}

static void add_merchant(struct wechat *wechat, const char *name, struct pn_str value)
{
    if (value.len)
        wechat->merchant[wechat->merchant_count++] = (struct pn_kv){ str_of(name), value };
}

/* PN_OK, or what kind of fault *ret_fault in *ret_field is. */
static int set_up(struct wechat *wechat, const char **ret_field, const char **ret_fault)
{
    const struct wechat_settings *settings = wechat->settings;

    *ret_fault = check(settings, ret_field);
    if (*ret_fault)
        return PN_BAD_CONFIG;
    *ret_field = NULL;
    *ret_fault = crypto_open(&wechat->crypto);
    if (!*ret_fault && !crypto_refund_key(&wechat->crypto, settings->api_key, wechat->refund_key))
        *ret_fault = "OpenSSL cannot make the key of refund notices";
    if (*ret_fault)
        return PN_INTERNAL;
    *ret_fault = certificate_open(wechat, ret_field);
    return *ret_fault ? PN_BAD_CONFIG : PN_OK;
}

static int wechat_open(const void *settings, const struct pn_host *host, struct pn_call *call, void **ret_state)
{
    struct wechat *wechat = calloc(1, sizeof(*wechat));
    const char *field = NULL, *fault = NULL;
    int rc;

    if (!wechat)
        return host->fail(call, PN_INTERNAL, NULL, "out of memory");
    wechat->host = host;
    wechat->settings = settings;
    rc = set_up(wechat, &field, &fault);
    if (rc != PN_OK) {
        wechat_close(wechat);
        return host->fail(call, rc, field, fault);
    }
    wechat->is_hmac = str_is(wechat->settings->sign_type, "HMAC-SHA256");
    set_hosts(wechat);
    add_merchant(wechat, "appid", wechat->settings->appid);
    add_merchant(wechat, "mch_id", wechat->settings->mch_id);
    add_merchant(wechat, "sub_mch_id", wechat->settings->sub_mch_id);
    xmlInitParser(); /* before threads use it */
    *ret_state = wechat;
    return PN_OK;
}

static int wechat_reply(const void *state, struct pn_call *call, const struct pn_http_incoming *incoming, int accepted,
                        struct pn_reply *ret_reply)
{
    (void)state;
    (void)call;
    (void)incoming;
    ret_reply->status = 200;
    ret_reply->content_type = STR("text/xml; charset=utf-8");
    ret_reply->body =
        accepted ? STR("<xml><return_code><![CDATA[SUCCESS]]></return_code><return_msg><![CDATA[OK]]></return_msg></xml>")
                 : STR("<xml><return_code><![CDATA[FAIL]]></return_code><return_msg><![CDATA[FAIL]]></return_msg></xml>");
    return PN_OK;
}

static const struct pn_channel channel = {
    .size = sizeof(channel),
    .products = products,
    .open = wechat_open,
    .close = wechat_close,
    .request = wechat_request,
    .response = wechat_response,
    .notification = wechat_notification,
    .reply = wechat_reply,
};

const struct pn_plugin pn_plugin = {
    PN_PLUGIN_HEAD(PN_KIND_CHANNEL, struct wechat_settings, "wechat", "0.1.0"),
    .summary = "WeChat Pay: QR codes, phone browser, inside WeChat, apps; refunds (API v2)",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .channel = &channel,
};
