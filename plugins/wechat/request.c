/*
 * From a payment to what WeChat is asked: the path, the fields, their signature, as XML to the main host and the second site.
 * Every call of ours may be repeated: with the same number and data it comes to the same. Called on a worker. Pure; any thread.
 */
#include <stdio.h>

#include "common/amount.h"
#include "common/beijing.h"
#include "wechat/wechat.h"

enum { PARAMS_MAX = 24, BODY_MAX = 128, REFUND_DESC_MAX = 80, NONCE_BYTES = 16, NUMBER_MIN = 6, NUMBER_MAX = 32, REFUND_NO_MAX = 64 };
#define AMOUNT_MAX INT64_C(10000000000)   /* 100,000,000.00 yuan */
#define EXPIRY_MIN_MS (INT64_C(60) * 1000) /* WeChat wants a minute between time_start and time_expire */

struct making {
    const struct wechat *wechat;
    struct pn_call *call;
    const struct pn_payment *payment;
    struct pn_kv params[PARAMS_MAX];
    size_t count;
    bool failed; /* no memory */
};

static const struct way {
    const char *product, *trade_type;
} ways[] = {
    { "native", "NATIVE" },
    { "mweb", "MWEB" },
    { "jsapi", "JSAPI" },
    { "app", "APP" },
};

static const char *trade_type(struct pn_str product)
{
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
        if (str_is(product, ways[i].product))
            return ways[i].trade_type;
    return NULL;
}

static const char *path_of(uint32_t operation)
{
    switch (operation) {
    case PN_PREPAY:
        return "/pay/unifiedorder";
    case PN_QUERY:
        return "/pay/orderquery";
    case PN_CLOSE:
        return "/pay/closeorder";
    case PN_REFUND:
        return "/secapi/pay/refund";
    case PN_REFUND_QUERY:
        return "/pay/refundquery";
    default:
        return NULL;
    }
}

/* ---- fields */

/* An empty value is left out. */
static void put(struct making *making, const char *name, struct pn_str value)
{
    if (value.len)
        making->params[making->count++] = (struct pn_kv){ str_of(name), value };
}

/* Of `text`, which is not going to live on. */
static void put_copy(struct making *making, const char *name, struct pn_str text)
{
    if (wechat_keep(making->wechat, making->call, &text))
        put(making, name, text);
    else
        making->failed = true;
}

static void put_amount(struct making *making, const char *name, int64_t minor)
{
    char text[AMOUNT_TEXT_MAX];

    amount_format(minor, 0, text);
    put_copy(making, name, str_of(text));
}

static void put_time(struct making *making, const char *name, int64_t ms)
{
    char text[BEIJING_COMPACT_MAX];

    beijing_format_compact(ms, text);
    put_copy(making, name, str_of(text));
}

static bool is_blank(struct pn_str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] != ' ')
            return false;
    return true;
}

static void put_body(struct making *making)
{
    char text[BODY_MAX];
    struct pn_str shown = { text, body_clean(making->payment->name, sizeof(text), text) };

    put_copy(making, "body", is_blank(shown) ? making->payment->pay_no : shown);
}

/* Counted from nothing that changes between two tries: a repeated order must be the same to the letter. */
static void put_times(struct making *making)
{
    int64_t start = making->payment->created_at_ms, end = making->payment->expires_at_ms;

    if (start <= 0 || end <= 0)
        return;
    put_time(making, "time_start", start);
    put_time(making, "time_expire", end < start + EXPIRY_MIN_MS ? start + EXPIRY_MIN_MS : end);
}

/* "https://host" of a URL. */
static struct pn_str origin(struct pn_str url)
{
    const char *host = memmem(url.data, url.len, "://", 3);
    const char *end = host ? memchr(host + 3, '/', url.len - (size_t)(host + 3 - url.data)) : NULL;

    return end ? (struct pn_str){ url.data, (size_t)(end - url.data) } : url;
}

/* Which site the payer comes from; open has seen to it that nothing in these texts needs escaping. */
static void put_scene(struct making *making)
{
    const struct wechat_settings *settings = making->wechat->settings;
    struct pn_str url = settings->wap_url.len ? settings->wap_url : origin(making->payment->notify_url);
    size_t size = url.len + settings->wap_name.len + 80;
    char *text = wechat_alloc(making->wechat, making->call, size);
    int len;

    if (!text) {
        making->failed = true;
        return;
    }
    len = snprintf(text, size, "{\"h5_info\":{\"type\":\"Wap\",\"wap_url\":\"%.*s\",\"wap_name\":\"%.*s\"}}", (int)url.len, url.data,
                   (int)settings->wap_name.len, settings->wap_name.data);
    put(making, "scene_info", (struct pn_str){ text, (size_t)len });
}

static void put_prepay(struct making *making)
{
    const struct wechat_settings *settings = making->wechat->settings;
    const struct pn_payment *payment = making->payment;
    struct pn_str client_ip = kv_get(payment->params, "client_ip");
    const char *type = trade_type(payment->product);
    bool is_native = str_is(payment->product, "native");

    put_body(making);
    put_amount(making, "total_fee", payment->amount_minor);
    put(making, "fee_type", STR("CNY"));
    put(making, "notify_url", payment->notify_url);
    put(making, "trade_type", str_of(type));
    /* A code is scanned by somebody whose address nobody knows yet. */
    put(making, "spbill_create_ip", client_ip.len && !is_native ? client_ip : settings->server_ip);
    put_times(making);
    if (is_native)
        put(making, "product_id", payment->pay_no);
    if (str_is(payment->product, "jsapi"))
        put(making, settings->sub_appid.len ? "sub_openid" : "openid", kv_get(payment->params, "openid"));
    if (str_is(payment->product, "mweb"))
        put_scene(making);
}

static void put_refund(struct making *making)
{
    const struct pn_payment *payment = making->payment;
    char text[REFUND_DESC_MAX];
    struct pn_str reason = { text, body_clean(payment->refund_reason, sizeof(text), text) };

    put(making, "out_refund_no", payment->refund_no);
    put_amount(making, "total_fee", payment->amount_minor);
    put_amount(making, "refund_fee", payment->refund_minor);
    put(making, "notify_url", payment->notify_url);
    if (!is_blank(reason))
        put_copy(making, "refund_desc", reason);
}

static void put_operation(struct making *making, uint32_t operation)
{
    const struct pn_payment *payment = making->payment;
    bool one_refund = operation == PN_REFUND_QUERY && payment->operation == PN_REFUND_QUERY;

    if (one_refund)
        put(making, "out_refund_no", payment->refund_no);
    else
        put(making, "out_trade_no", payment->pay_no);
    if (operation == PN_PREPAY)
        put_prepay(making);
    if (operation == PN_REFUND)
        put_refund(making);
}

bool request_nonce(const struct wechat *wechat, struct pn_call *call, struct pn_str *ret_nonce)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char bytes[NONCE_BYTES];
    char *text = wechat_alloc(wechat, call, 2 * NONCE_BYTES);

    if (!text)
        return false;
    wechat->host->random(call, bytes, sizeof(bytes));
    for (size_t i = 0; i < NONCE_BYTES; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
    }
    *ret_nonce = (struct pn_str){ text, 2 * NONCE_BYTES };
    return true;
}

static int make_params(struct making *making, uint32_t operation)
{
    const struct wechat_settings *settings = making->wechat->settings;
    struct pn_str nonce;

    if (!request_nonce(making->wechat, making->call, &nonce))
        return wechat_no_memory(making->wechat, making->call);
    put(making, "appid", settings->appid);
    put(making, "mch_id", settings->mch_id);
    put(making, "sub_appid", settings->sub_appid);
    put(making, "sub_mch_id", settings->sub_mch_id);
    put(making, "nonce_str", nonce);
    put(making, "sign_type", settings->sign_type);
    put_operation(making, operation);
    if (making->failed)
        return wechat_no_memory(making->wechat, making->call);
    return sign_fields(making->wechat, making->call, making->params, &making->count, "sign");
}

/* ---- the HTTP request */

static bool put_urls(const struct making *making, const char *path, struct pn_list *ret_urls)
{
    const struct wechat *wechat = making->wechat;
    struct pn_str *urls = wechat_alloc(wechat, making->call, wechat->host_count * sizeof(*urls));
    size_t path_len = strlen(path);

    for (size_t i = 0; urls && i < wechat->host_count; i++) {
        struct pn_str host = wechat->hosts[i];
        char *text = wechat_alloc(wechat, making->call, host.len + path_len);

        if (!text)
            return false;
        memcpy(text, host.data, host.len);
        memcpy(text + host.len, path, path_len);
        urls[i] = (struct pn_str){ text, host.len + path_len };
    }
    *ret_urls = (struct pn_list){ urls, wechat->host_count };
    return urls;
}

int request_make(const struct wechat *wechat, struct pn_call *call, const struct pn_payment *payment, uint32_t operation,
                 const struct pn_http_request **ret_request)
{
    static const struct pn_kv headers[] = { { STR_INIT("Content-Type"), STR_INIT("text/xml; charset=utf-8") } };
    struct making making = { .wechat = wechat, .call = call, .payment = payment };
    struct pn_http_request *request = wechat_alloc(wechat, call, sizeof(*request));
    int rc = request ? make_params(&making, operation) : wechat_no_memory(wechat, call);
    char *body;

    if (rc != PN_OK)
        return rc;
    body = wechat_alloc(wechat, call, xml_write(making.params, making.count, NULL));
    if (!body || !put_urls(&making, path_of(operation), &request->urls))
        return wechat_no_memory(wechat, call);
    request->size = sizeof(*request);
    request->flags = PN_HTTP_REPEATABLE;
    request->method = STR("POST");
    request->headers = (struct pn_kv_list){ headers, 1 };
    request->body = (struct pn_str){ body, xml_write(making.params, making.count, body) };
    if (operation == PN_REFUND) {
        request->client_certificate = wechat->client_certificate;
        request->client_key = wechat->client_key;
    }
    *ret_request = request;
    return PN_OK;
}

/* ---- what is refused before anything is sent */

static bool is_number(struct pn_str text, size_t min, size_t max, const char *others)
{
    if (text.len < min || text.len > max)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];

        if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c && strchr(others, c))))
            return false;
    }
    return true;
}

static int check_prepay(const struct wechat *wechat, struct pn_call *call, const struct pn_payment *payment)
{
    if (!trade_type(payment->product))
        return wechat_fail(wechat, call, PN_UNSUPPORTED, NULL, "this product is not supported");
    if (!str_is(payment->currency, "CNY"))
        return wechat_fail(wechat, call, PN_BAD_INPUT, "currency", "WeChat Pay takes CNY here");
    if (payment->amount_minor < 1 || payment->amount_minor > AMOUNT_MAX)
        return wechat_fail(wechat, call, PN_BAD_INPUT, "amount", "WeChat Pay takes 0.01 to 100000000.00");
    if (str_is(payment->product, "jsapi") && !kv_get(payment->params, "openid").len)
        return wechat_fail(wechat, call, PN_BAD_INPUT, "openid", "is required by product jsapi");
    if (str_is(payment->product, "mweb") && !kv_get(payment->params, "client_ip").len)
        return wechat_fail(wechat, call, PN_BAD_INPUT, "client_ip", "is required by product mweb");
    return PN_OK;
}

static int check_refund(const struct wechat *wechat, struct pn_call *call, const struct pn_payment *payment)
{
    if (payment->refund_minor < 1 || payment->refund_minor > payment->amount_minor)
        return wechat_fail(wechat, call, PN_BAD_INPUT, "amount", "a refund is at least 0.01 and at most what was paid");
    if (!wechat->client_certificate.len && memcmp(wechat->hosts[0].data, "https", 5) == 0)
        return wechat_fail(wechat, call, PN_UNSUPPORTED, "client_p12",
                           "WeChat refunds only with the merchant's certificate: set client_p12, or client_certificate and client_key");
    return PN_OK;
}

static int check(const struct wechat *wechat, struct pn_call *call, const struct pn_payment *payment)
{
    uint32_t operation = payment->operation;
    bool is_refund = operation == PN_REFUND || operation == PN_REFUND_QUERY;

    if (!path_of(operation))
        return wechat_fail(wechat, call, PN_UNSUPPORTED, NULL, "this operation is not supported");
    if (!is_number(payment->pay_no, NUMBER_MIN, NUMBER_MAX, "_-|*"))
        return wechat_fail(wechat, call, PN_BAD_INPUT, "pay_no", "WeChat Pay takes 6 to 32 letters and digits");
    if (is_refund && !is_number(payment->refund_no, 1, REFUND_NO_MAX, "_-|*@"))
        return wechat_fail(wechat, call, PN_BAD_INPUT, "refund_no", "WeChat Pay takes 1 to 64 letters and digits");
    if (operation == PN_PREPAY)
        return check_prepay(wechat, call, payment);
    return operation == PN_REFUND ? check_refund(wechat, call, payment) : PN_OK;
}

int wechat_request(const void *state, struct pn_call *call, const struct pn_payment *payment, struct pn_step *ret_step)
{
    const struct wechat *wechat = state;
    const struct pn_http_request *request = NULL;
    int rc = check(wechat, call, payment);

    if (rc == PN_OK)
        rc = request_make(wechat, call, payment, payment->operation, &request);
    if (rc == PN_OK)
        ret_step->next = request;
    return rc;
}
