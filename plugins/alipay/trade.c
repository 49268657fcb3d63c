/*
 * What the fields of a trade mean: notices and query answers name them alike. Pure; any thread.
 */
#include "alipay/alipay.h"
#include "common/amount.h"
#include "common/beijing.h"

enum { YUAN_DECIMALS = 2 };

static bool read_status(struct pn_str status, uint32_t *ret_state)
{
    if (str_is(status, "TRADE_SUCCESS") || str_is(status, "TRADE_FINISHED"))
        *ret_state = PN_STATE_PAID;
    else if (str_is(status, "WAIT_BUYER_PAY"))
        *ret_state = PN_STATE_UNPAID;
    else if (str_is(status, "TRADE_CLOSED"))
        *ret_state = PN_STATE_CLOSED;
    else
        return false;
    return true;
}

/* PN_NOT_STATED when the field is absent. */
static bool read_amount(struct pn_kv_list fields, const char *name, int64_t *ret_minor)
{
    struct pn_str text = kv_get(fields, name);

    *ret_minor = PN_NOT_STATED;
    return !text.data || amount_parse(text, YUAN_DECIMALS, ret_minor);
}

/* The first of the names that is there. */
static struct pn_str first_of(struct pn_kv_list fields, const char *const *names)
{
    struct pn_str value = { NULL, 0 };

    for (; *names && !value.len; names++)
        value = kv_get(fields, *names);
    return value;
}

const char *trade_read(struct pn_kv_list fields, struct pn_result *result)
{
    static const char *const payers[] = { "buyer_id", "buyer_user_id", "buyer_open_id", NULL };
    static const char *const paid_at[] = { "gmt_payment", "send_pay_date", NULL };

    if (!read_status(kv_get(fields, "trade_status"), &result->state))
        return "unknown trade_status";
    if (!read_amount(fields, "total_amount", &result->total_minor))
        return "total_amount is not an amount";
    if (!read_amount(fields, "refund_fee", &result->refunded_minor))
        return "refund_fee is not an amount";
    result->pay_no = kv_get(fields, "out_trade_no");
    result->trade_no = kv_get(fields, "trade_no");
    result->currency = STR("CNY");
    result->payer = first_of(fields, payers);
    result->fields = fields;
    if (!beijing_parse(first_of(fields, paid_at), &result->paid_at_ms))
        result->paid_at_ms = 0;
    /* A plain payment may carry refund_fee=0.00; a refund says when it was made. */
    if (result->state != PN_STATE_UNPAID && result->refunded_minor > 0 && kv_get(fields, "gmt_refund").len) {
        result->state = PN_STATE_REFUNDED;
        result->refund_no = kv_get(fields, "out_biz_no");
    }
    /* A query that says closed and yet when it was paid: all of it went back. Only a hint that it was ever paid, so a
     * payment that the books do not know is not credited for it. */
    if (result->state == PN_STATE_CLOSED && kv_get(fields, "send_pay_date").len && result->refunded_minor == PN_NOT_STATED)
        result->refunded_minor = result->total_minor;
    return NULL;
}
