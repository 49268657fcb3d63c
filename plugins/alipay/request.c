/*
 * From a payment to what Alipay is asked: the method, its business fields as JSON, the signed parameters, and where they go.
 * wap, page and app are never sent by the server but handed to the payer's browser or app. Pure; any thread.
 */
#include <stdlib.h>

#include "alipay/alipay.h"
#include "common/amount.h"
#include "common/beijing.h"
#include "common/form.h"

enum {
    SUBJECT_CHARS = 256,
    BODY_CHARS = 128, /* newer documents say 400 */
    REASON_CHARS = 256,
    NUMBER_MAX = 64,
    PARAMS_MAX = 16
};
#define AMOUNT_MAX INT64_C(10000000000)                 /* 100,000,000.00 yuan */
#define EXPIRY_MAX_MS (INT64_C(15) * 24 * 3600 * 1000) /* 15 days after the payment was made */

static const struct way {
    const char *product, *method, *product_code;
    enum pn_prepay_kind kind;
} ways[] = {
    { "wap", "alipay.trade.wap.pay", "QUICK_WAP_WAY", PN_PREPAY_FORM },
    { "page", "alipay.trade.page.pay", "FAST_INSTANT_TRADE_PAY", PN_PREPAY_FORM },
    { "precreate", "alipay.trade.precreate", NULL, PN_PREPAY_CODE_URL },
    { "app", "alipay.trade.app.pay", "QUICK_MSECURITY_PAY", PN_PREPAY_APP_PARAMS },
};

static const struct way *find_way(struct pn_str product)
{
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
        if (str_is(product, ways[i].product))
            return &ways[i];
    return NULL;
}

const char *alipay_method(const struct pn_payment *payment)
{
    const struct way *way;

    switch (payment->operation) {
    case PN_PREPAY:
        way = find_way(payment->product);
        return way ? way->method : NULL;
    case PN_QUERY:
        return "alipay.trade.query";
    case PN_CLOSE:
        return "alipay.trade.close";
    case PN_REFUND:
        return "alipay.trade.refund";
    case PN_REFUND_QUERY:
        return "alipay.trade.fastpay.refund.query";
    default:
        return NULL;
    }
}

/* False when the value could not be added. An empty value is left out. */
static bool put(json_t *object, const char *name, struct pn_str value)
{
    return value.len == 0 || json_object_set_new(object, name, json_stringn(value.data, value.len)) == 0;
}

static bool is_blank(struct pn_str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] != ' ')
            return false;
    return true;
}

static bool put_texts(json_t *object, const struct pn_payment *payment)
{
    char subject[4 * SUBJECT_CHARS], body[4 * BODY_CHARS];
    struct pn_str shown = { subject, subject_clean(payment->name, SUBJECT_CHARS, subject) };
    struct pn_str more = { body, subject_clean(payment->description, BODY_CHARS, body) };

    return put(object, "subject", is_blank(shown) ? payment->pay_no : shown) &&
           put(object, "body", is_blank(more) ? (struct pn_str){ NULL, 0 } : more);
}

/* The moment from which nobody may pay, counted from nothing that changes between two tries. */
static bool put_expiry(json_t *object, const struct pn_payment *payment)
{
    int64_t at = payment->expires_at_ms;
    char text[BEIJING_TEXT_MAX];

    if (at <= 0)
        return true;
    if (payment->created_at_ms > 0 && at > payment->created_at_ms + EXPIRY_MAX_MS)
        at = payment->created_at_ms + EXPIRY_MAX_MS;
    beijing_format(at, text);
    return put(object, "time_expire", str_of(text));
}

static bool put_prepay(json_t *object, const struct pn_payment *payment)
{
    const struct way *way = find_way(payment->product);
    char amount[AMOUNT_TEXT_MAX];

    amount_format(payment->amount_minor, 2, amount);
    return put(object, "total_amount", str_of(amount)) && put_texts(object, payment) &&
           put(object, "product_code", str_of(way->product_code)) &&
           (!str_is(payment->product, "wap") || put(object, "quit_url", payment->return_url)) &&
           put_expiry(object, payment);
}

/* Without out_request_no Alipay could not tell a repeated refund from a second one. */
static bool put_refund(json_t *object, const struct pn_payment *payment)
{
    char amount[AMOUNT_TEXT_MAX], reason[4 * REASON_CHARS];
    struct pn_str shown = { reason, subject_clean(payment->refund_reason, REASON_CHARS, reason) };

    amount_format(payment->refund_minor, 2, amount);
    return put(object, "refund_amount", str_of(amount)) &&
           put(object, "refund_reason", is_blank(shown) ? (struct pn_str){ NULL, 0 } : shown) &&
           put(object, "out_request_no", payment->refund_no);
}

static bool put_refund_query(json_t *object, const struct pn_payment *payment)
{
    return put(object, "out_request_no", payment->refund_no) &&
           json_object_set_new(object, "query_options", json_pack("[ss]", "refund_detail_item_list", "gmt_refund_pay")) == 0;
}

static bool put_operation(json_t *object, const struct pn_payment *payment)
{
    switch (payment->operation) {
    case PN_PREPAY:
        return put_prepay(object, payment);
    case PN_REFUND:
        return put_refund(object, payment);
    case PN_REFUND_QUERY:
        return put_refund_query(object, payment);
    default:
        return true;
    }
}

/* biz_content: what is signed is this text, and what is sent is this text. */
static int business(const struct alipay *alipay, struct pn_call *call, const struct pn_payment *payment, struct pn_str *ret_text)
{
    json_t *object = json_object();
    bool complete = object && put(object, "out_trade_no", payment->pay_no) && put_operation(object, payment);
    size_t size = complete ? json_dumpb(object, NULL, 0, JSON_COMPACT) : 0;
    char *text = size ? alipay_alloc(alipay, call, size) : NULL;

    if (text)
        json_dumpb(object, text, size, JSON_COMPACT);
    json_decref(object);
    if (!text)
        return alipay_no_memory(alipay, call);
    *ret_text = (struct pn_str){ text, size };
    return PN_OK;
}

static int check(const struct alipay *alipay, struct pn_call *call, const struct pn_payment *payment)
{
    bool refunds = payment->operation == PN_REFUND;
    int64_t amount = refunds ? payment->refund_minor : payment->amount_minor;

    if (!payment->pay_no.len)
        return alipay_fail(alipay, call, PN_BAD_INPUT, "pay_no", "is missing");
    if ((refunds || payment->operation == PN_REFUND_QUERY) && !(payment->refund_no.len && payment->refund_no.len <= NUMBER_MAX))
        return alipay_fail(alipay, call, PN_BAD_INPUT, "refund_no", "has 1 to 64 characters at Alipay");
    if (!refunds && payment->operation != PN_PREPAY)
        return PN_OK;
    if (!str_is(payment->currency, "CNY"))
        return alipay_fail(alipay, call, PN_BAD_INPUT, "currency", "Alipay takes CNY here");
    if (amount < 1 || amount > AMOUNT_MAX)
        return alipay_fail(alipay, call, PN_BAD_INPUT, "amount", "Alipay takes 0.01 to 100000000.00");
    return PN_OK;
}

/* What a PREPAY comes to; nothing for other operations. */
static enum pn_prepay_kind kind_of(const struct pn_payment *payment)
{
    return payment->operation == PN_PREPAY ? find_way(payment->product)->kind : PN_PREPAY_NONE;
}

/* Everything that is sent, signed: sign comes last. */
static int make_params(const struct alipay *alipay, struct pn_call *call, const struct pn_payment *payment,
                       struct pn_kv params[PARAMS_MAX], size_t *ret_count)
{
    const char *method = alipay_method(payment);
    char *timestamp = alipay_alloc(alipay, call, BEIJING_TEXT_MAX);
    struct pn_str content;
    size_t n = 0;
    int rc = timestamp ? business(alipay, call, payment, &content) : alipay_no_memory(alipay, call);

    if (rc != PN_OK)
        return rc;
    beijing_format(alipay->host->now_ms(call), timestamp);
    if (*alipay->app_cert_sn) {
        params[n++] = (struct pn_kv){ STR_INIT("app_cert_sn"), str_of(alipay->app_cert_sn) };
        params[n++] = (struct pn_kv){ STR_INIT("alipay_root_cert_sn"), str_of(alipay->root_cert_sn) };
    }
    params[n++] = (struct pn_kv){ STR_INIT("app_id"), alipay->settings->app_id };
    params[n++] = (struct pn_kv){ STR_INIT("biz_content"), content };
    params[n++] = (struct pn_kv){ STR_INIT("charset"), STR_INIT("utf-8") };
    params[n++] = (struct pn_kv){ STR_INIT("format"), STR_INIT("JSON") };
    params[n++] = (struct pn_kv){ STR_INIT("method"), str_of(method) };
    if (payment->operation == PN_PREPAY)
        params[n++] = (struct pn_kv){ STR_INIT("notify_url"), payment->notify_url };
    if (kind_of(payment) == PN_PREPAY_FORM)
        params[n++] = (struct pn_kv){ STR_INIT("return_url"), payment->return_url };
    params[n++] = (struct pn_kv){ STR_INIT("sign_type"), STR_INIT("RSA2") };
    params[n++] = (struct pn_kv){ STR_INIT("timestamp"), str_of(timestamp) };
    params[n++] = (struct pn_kv){ STR_INIT("version"), STR_INIT("1.0") };
    rc = params_sign(alipay, call, params, &n);
    *ret_count = n;
    return rc;
}

/* Takes biz_content out of the parameters: it travels in the body, everything else, charset above all, in the URL. */
static struct pn_kv take_content(struct pn_kv *params, size_t *count)
{
    struct pn_kv content = { { NULL, 0 }, { NULL, 0 } };
    size_t kept = 0;

    for (size_t i = 0; i < *count; i++)
        if (str_is(params[i].name, "biz_content"))
            content = params[i];
        else
            params[kept++] = params[i];
    *count = kept;
    return content;
}

int alipay_jump(const struct alipay *alipay, struct pn_call *call, struct pn_kv *params, size_t count, struct pn_str *ret_url,
                struct pn_kv_list *ret_hidden)
{
    struct pn_kv *hidden = alipay_alloc(alipay, call, sizeof(*hidden));

    if (!hidden)
        return alipay_no_memory(alipay, call);
    *hidden = take_content(params, &count);
    *ret_hidden = (struct pn_kv_list){ hidden, 1 };
    return params_url(alipay, call, alipay->settings->gateway, params, count, ret_url);
}

/* The order string: what an app hands to Alipay's SDK unchanged. */
static int make_order_string(const struct alipay *alipay, struct pn_call *call, const struct pn_kv *params, size_t count,
                             struct pn_kv_list *ret_fields)
{
    struct pn_kv *field = alipay_alloc(alipay, call, sizeof(*field));
    char *text = alipay_alloc(alipay, call, form_length(params, count));

    if (!field || !text)
        return alipay_no_memory(alipay, call);
    *field = (struct pn_kv){ STR_INIT("order_string"), { text, form_write(params, count, text) } };
    *ret_fields = (struct pn_kv_list){ field, 1 };
    return PN_OK;
}

static int hand_to_payer(const struct alipay *alipay, struct pn_call *call, const struct pn_payment *payment,
                         struct pn_kv *params, size_t count, struct pn_step *ret_step)
{
    struct pn_result *result = alipay_result(alipay, call, payment);
    int rc;

    if (!result)
        return alipay_no_memory(alipay, call);
    result->state = PN_STATE_UNPAID;
    result->merchant = (struct pn_kv_list){ alipay->merchant, alipay->merchant_count };
    result->prepay_kind = kind_of(payment);
    if (result->prepay_kind == PN_PREPAY_FORM)
        rc = alipay_jump(alipay, call, params, count, &result->url, &result->prepay_fields);
    else
        rc = make_order_string(alipay, call, params, count, &result->prepay_fields);
    if (rc == PN_OK)
        ret_step->done = result;
    return rc;
}

/* Every call of ours may be repeated: with the same numbers and data it comes to the same. */
static int send(const struct alipay *alipay, struct pn_call *call, struct pn_kv *params, size_t count, struct pn_step *ret_step)
{
    static const struct pn_kv headers[] = {
        { STR_INIT("Content-Type"), STR_INIT("application/x-www-form-urlencoded;charset=utf-8") },
    };
    struct pn_http_request *request = alipay_alloc(alipay, call, sizeof(*request));
    struct pn_str *url = alipay_alloc(alipay, call, sizeof(*url));
    struct pn_kv content = take_content(params, &count);
    char *body = alipay_alloc(alipay, call, form_length(&content, 1));
    int rc;

    if (!request || !url || !body)
        return alipay_no_memory(alipay, call);
    rc = params_url(alipay, call, alipay->settings->gateway, params, count, url);
    if (rc != PN_OK)
        return rc;
    request->size = sizeof(*request);
    request->flags = PN_HTTP_REPEATABLE;
    request->method = STR("POST");
    request->urls = (struct pn_list){ url, 1 };
    request->headers = (struct pn_kv_list){ headers, 1 };
    request->body = (struct pn_str){ body, form_write(&content, 1, body) };
    ret_step->next = request;
    return PN_OK;
}

int alipay_request(const void *state, struct pn_call *call, const struct pn_payment *payment, struct pn_step *ret_step)
{
    const struct alipay *alipay = state;
    struct pn_kv params[PARAMS_MAX];
    size_t count = 0;
    int rc;

    if (!alipay_method(payment))
        return alipay_fail(alipay, call, PN_UNSUPPORTED, NULL, "this operation or product is not supported");
    rc = check(alipay, call, payment);
    if (rc == PN_OK)
        rc = make_params(alipay, call, payment, params, &count);
    if (rc != PN_OK)
        return rc;
    if (kind_of(payment) == PN_PREPAY_FORM || kind_of(payment) == PN_PREPAY_APP_PARAMS)
        return hand_to_payer(alipay, call, payment, params, count, ret_step);
    return send(alipay, call, params, count, ret_step);
}
