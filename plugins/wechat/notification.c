/*
 * Judges notices of payments, which are signed, and of refunds, which are only encrypted and so never more than a hint. Called
 * by the HTTP threads for everything that arrives at /notify/<channel>; fields point into one copy of the body. Pure; any
 * thread.
 */
#include "wechat/wechat.h"

enum { NAME_LEN_MAX = 24, REQ_INFO_MAX = 16384 };

/* Without these a text is no payment notice, however well it is signed: the signed text does not escape '&' and '=', so that a
 * genuine signature can be cut into other elements, which then lack some of them. */
static const char *const mandatory[] = { "appid", "mch_id", "nonce_str", "openid", "out_trade_no", "result_code" };
static const char *const mandatory_paid[] = { "bank_type", "cash_fee", "time_end", "total_fee", "transaction_id" };

static const char *const known[] = {
    "appid",          "attach",       "bank_type",        "cash_fee",      "cash_fee_type",        "coupon_count",
    "coupon_fee",     "device_info",  "err_code",         "err_code_des",  "fee_type",             "is_subscribe",
    "mch_id",         "nonce_str",    "openid",           "out_trade_no",  "promotion_detail",     "result_code",
    "return_code",    "return_msg",   "settlement_total_fee", "sign_type", "sub_appid",            "sub_is_subscribe",
    "sub_mch_id",     "sub_openid",   "time_end",         "total_fee",     "trade_type",           "transaction_id",
};

#define COUNT(array_) (sizeof(array_) / sizeof((array_)[0]))

static struct pn_notification refused(const char *reason)
{
    return (struct pn_notification){ .verdict = PN_REFUSED, .reason = str_of(reason) };
}

/* ---- payments */

/* Whether "&known=" stands in the value: it may have been cut out of another notice. */
static bool looks_resplit(struct pn_str value)
{
    const char *end = value.data + value.len;

    for (const char *at = value.data; (at = memchr(at, '&', (size_t)(end - at))) != NULL;) {
        const char *name = ++at;
        const char *equals = memchr(name, '=', end - name < NAME_LEN_MAX ? (size_t)(end - name) : NAME_LEN_MAX);

        for (size_t i = 0; equals && i < COUNT(known); i++)
            if (str_is((struct pn_str){ name, (size_t)(equals - name) }, known[i]))
                return true;
    }
    return false;
}

static bool has_all(struct pn_kv_list fields, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!kv_get(fields, names[i]).len)
            return false;
    return true;
}

static const char *check_shape(struct pn_kv_list fields, bool paid)
{
    if (!has_all(fields, mandatory, COUNT(mandatory)) || (paid && !has_all(fields, mandatory_paid, COUNT(mandatory_paid))))
        return "a field that every payment notice has is missing";
    for (size_t i = 0; i < fields.count; i++)
        if (fields.items[i].value.len && looks_resplit(fields.items[i].value))
            return "a value holds the text of another field";
    return NULL;
}

/* A signed report of a payment that was made, or of an attempt that failed. */
static int judge_payment(const struct wechat *wechat, struct pn_call *call, const struct message *message,
                         struct pn_notification *ret)
{
    bool paid = str_is(kv_get(message->fields, "result_code"), "SUCCESS");
    const char *fault = message->trust == MESSAGE_SIGNED ? check_shape(message->fields, paid) : message->fault;
    struct pn_result *result;

    if (fault) {
        *ret = refused(fault);
        return PN_OK;
    }
    result = trade_result(wechat, call, message->fields);
    if (!result)
        return wechat_no_memory(wechat, call);
    if (paid) {
        fault = trade_read(message->fields, result);
    } else {
        result->state = PN_STATE_FAILED;
        result->pay_no = kv_get(message->fields, "out_trade_no");
        result->code = kv_get(message->fields, "err_code");
        result->message = kv_get(message->fields, "err_code_des");
    }
    *ret = fault ? refused(fault)
                 : (struct pn_notification){ .verdict = PN_AUTHENTIC, .result = result, .pay_no = result->pay_no };
    return PN_OK;
}

/* ---- refunds */

/* What was decrypted: ECB lets blocks be swapped and repeated, so nothing of it is a fact. */
static const char *check_refund(struct pn_kv_list fields)
{
    static const char *const names[] = { "out_refund_no", "out_trade_no", "refund_fee", "refund_id", "refund_status", "total_fee",
                                         "transaction_id" };
    struct pn_str status = kv_get(fields, "refund_status");
    int64_t total, refund;

    if (!has_all(fields, names, COUNT(names)))
        return "a field that every refund notice has is missing";
    if (!str_is(status, "SUCCESS") && !str_is(status, "CHANGE") && !str_is(status, "REFUNDCLOSE"))
        return "unknown refund_status";
    if (!trade_amount(kv_get(fields, "total_fee"), &total) || !trade_amount(kv_get(fields, "refund_fee"), &refund) || refund > total)
        return "an amount is no amount, or more was refunded than paid";
    return NULL;
}

static int open_refund(const struct wechat *wechat, struct pn_call *call, struct pn_str req_info, struct pn_kv_list *ret_fields,
                       const char **ret_fault)
{
    char *spare, *text;
    size_t len = 0;

    *ret_fault = "req_info cannot be read";
    if (!req_info.len || req_info.len > REQ_INFO_MAX)
        return PN_OK;
    spare = wechat_alloc(wechat, call, req_info.len);
    text = wechat_alloc(wechat, call, req_info.len);
    if (!spare || !text)
        return wechat_no_memory(wechat, call);
    if (!crypto_open_req_info(wechat, req_info, spare, text, &len))
        return PN_OK;
    return message_fields(wechat, call, (struct pn_str){ text, len }, "root", ret_fields, ret_fault);
}

static int judge_refund(const struct wechat *wechat, struct pn_call *call, const struct message *message, struct pn_notification *ret)
{
    struct pn_kv_list fields = { NULL, 0 };
    const char *fault = NULL;
    int rc = PN_OK;

    if (!str_is(kv_get(message->fields, "return_code"), "SUCCESS"))
        fault = message->fault;
    else if (!str_eq(kv_get(message->fields, "appid"), wechat->settings->appid) ||
             !str_eq(kv_get(message->fields, "mch_id"), wechat->settings->mch_id))
        fault = "a refund notice of another merchant";
    else
        rc = open_refund(wechat, call, kv_get(message->fields, "req_info"), &fields, &fault);
    if (rc != PN_OK)
        return rc;
    if (!fault)
        fault = check_refund(fields);
    *ret = fault ? refused(fault)
                 : (struct pn_notification){ .verdict = PN_HINT, .pay_no = kv_get(fields, "out_trade_no"),
                                             .refund_no = kv_get(fields, "out_refund_no") };
    return PN_OK;
}

static bool is_refund(struct pn_kv_list fields)
{
    for (size_t i = 0; i < fields.count; i++)
        if (str_is(fields.items[i].name, "req_info"))
            return true;
    return false;
}

int wechat_notification(const void *state, struct pn_call *call, const struct pn_http_incoming *incoming,
                        struct pn_notification *ret_notification)
{
    const struct wechat *wechat = state;
    struct pn_notification judged = { 0 };
    struct message message;
    int rc = message_read(wechat, call, incoming->body, &message);

    if (rc == PN_OK && is_refund(message.fields))
        rc = judge_refund(wechat, call, &message, &judged);
    else if (rc == PN_OK)
        rc = judge_payment(wechat, call, &message, &judged);
    if (rc != PN_OK)
        return rc;
    judged.size = ret_notification->size;
    *ret_notification = judged;
    return PN_OK;
}
