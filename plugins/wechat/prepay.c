/*
 * What the payer gets after a unifiedorder: a QR text, a page to go to, or signed parameters for the app or the page inside
 * WeChat. Called by response.c. Pure; any thread.
 */
#include <inttypes.h>
#include <stdio.h>

#include "common/form.h"
#include "wechat/wechat.h"

enum { APP_PARAMS_MAX = 7, SECONDS_LEN = 24, URL_LEN_MAX = 4096 };

static struct pn_str join(const struct wechat *wechat, struct pn_call *call, struct pn_str a, struct pn_str b)
{
    char *text = wechat_alloc(wechat, call, a.len + b.len + 1);

    if (!text)
        return (struct pn_str){ NULL, 0 };
    memcpy(text, a.data, a.len);
    memcpy(text + a.len, b.data, b.len);
    return (struct pn_str){ text, a.len + b.len };
}

/* mweb_url, with the way back to the shop behind it. */
static int read_mweb(const struct wechat *wechat, struct pn_call *call, const struct pn_payment *payment, struct pn_kv_list fields,
                     struct pn_result *result)
{
    struct pn_kv back = { STR("redirect_url"), payment->return_url };
    struct pn_str url = kv_get(fields, "mweb_url");
    char *text, *to;

    if (url.len < 8 || url.len > URL_LEN_MAX || memcmp(url.data, "http", 4) != 0)
        return wechat_fail(wechat, call, PN_UNKNOWN, NULL, "an answer without mweb_url");
    result->prepay_kind = PN_PREPAY_REDIRECT;
    result->url = url;
    if (!payment->return_url.len)
        return PN_OK;
    text = to = wechat_alloc(wechat, call, url.len + 1 + form_length(&back, 1));
    if (!text)
        return wechat_no_memory(wechat, call);
    memcpy(to, url.data, url.len);
    to += url.len;
    *to++ = memchr(url.data, '?', url.len) ? '&' : '?';
    to += form_write(&back, 1, to);
    result->url = (struct pn_str){ text, (size_t)(to - text) };
    return PN_OK;
}

static int read_native(const struct wechat *wechat, struct pn_call *call, struct pn_kv_list fields, struct pn_result *result)
{
    result->url = kv_get(fields, "code_url");
    if (!result->url.len)
        return wechat_fail(wechat, call, PN_UNKNOWN, NULL, "an answer without code_url");
    result->prepay_kind = PN_PREPAY_CODE_URL;
    return PN_OK;
}

/* For a page inside WeChat: these five names, so cased. */
static void put_jsapi(const struct wechat *wechat, struct pn_str package, struct pn_str nonce, struct pn_str seconds,
                      struct pn_kv params[APP_PARAMS_MAX], size_t *ret_count)
{
    const struct wechat_settings *settings = wechat->settings;
    size_t n = 0;

    params[n++] = (struct pn_kv){ STR("appId"), settings->sub_appid.len ? settings->sub_appid : settings->appid };
    params[n++] = (struct pn_kv){ STR("timeStamp"), seconds };
    params[n++] = (struct pn_kv){ STR("nonceStr"), nonce };
    params[n++] = (struct pn_kv){ STR("package"), package };
    params[n++] = (struct pn_kv){ STR("signType"), settings->sign_type };
    *ret_count = n;
}

/* For a phone's app: these six. */
static void put_app(const struct wechat *wechat, struct pn_str prepay_id, struct pn_str nonce, struct pn_str seconds,
                    struct pn_kv params[APP_PARAMS_MAX], size_t *ret_count)
{
    const struct wechat_settings *settings = wechat->settings;
    size_t n = 0;

    params[n++] = (struct pn_kv){ STR("appid"), settings->sub_appid.len ? settings->sub_appid : settings->appid };
    params[n++] = (struct pn_kv){ STR("partnerid"), settings->sub_mch_id.len ? settings->sub_mch_id : settings->mch_id };
    params[n++] = (struct pn_kv){ STR("prepayid"), prepay_id };
    params[n++] = (struct pn_kv){ STR("package"), STR("Sign=WXPay") };
    params[n++] = (struct pn_kv){ STR("noncestr"), nonce };
    params[n++] = (struct pn_kv){ STR("timestamp"), seconds };
    *ret_count = n;
}

static int read_app(const struct wechat *wechat, struct pn_call *call, const struct pn_payment *payment, struct pn_kv_list fields,
                    struct pn_result *result)
{
    struct pn_str prepay_id = kv_get(fields, "prepay_id"), nonce, package;
    struct pn_kv *params = wechat_alloc(wechat, call, APP_PARAMS_MAX * sizeof(*params));
    char *seconds = wechat_alloc(wechat, call, SECONDS_LEN);
    bool is_app = str_is(payment->product, "app");
    size_t count = 0;
    int rc;

    if (!prepay_id.len)
        return wechat_fail(wechat, call, PN_UNKNOWN, NULL, "an answer without prepay_id");
    package = join(wechat, call, STR("prepay_id="), prepay_id);
    if (!params || !seconds || !package.data || !request_nonce(wechat, call, &nonce))
        return wechat_no_memory(wechat, call);
    snprintf(seconds, SECONDS_LEN, "%" PRId64, wechat->host->now_ms(call) / 1000);
    if (is_app)
        put_app(wechat, prepay_id, nonce, str_of(seconds), params, &count);
    else
        put_jsapi(wechat, package, nonce, str_of(seconds), params, &count);
    rc = sign_fields(wechat, call, params, &count, is_app ? "sign" : "paySign");
    result->prepay_kind = PN_PREPAY_APP_PARAMS;
    result->prepay_fields = (struct pn_kv_list){ params, count };
    return rc;
}

int prepay_read(const struct wechat *wechat, struct pn_call *call, const struct pn_payment *payment, struct pn_kv_list fields,
                struct pn_result *result)
{
    result->state = PN_STATE_UNPAID;
    result->merchant = (struct pn_kv_list){ wechat->merchant, wechat->merchant_count };
    if (str_is(payment->product, "native"))
        return read_native(wechat, call, fields, result);
    if (str_is(payment->product, "mweb"))
        return read_mweb(wechat, call, payment, fields, result);
    return read_app(wechat, call, payment, fields, result);
}
