/*
 * Answers to refund queries: numbered fields, one set per refund. Called by response.c. Pure; any thread.
 */
#include <stdio.h>

#include "wechat/wechat.h"

enum { NAME_MAX_LEN = 48 };

struct refund {
    struct pn_str number, id, status, amount;
};

static struct pn_str numbered(struct pn_kv_list fields, const char *name, size_t index)
{
    char full[NAME_MAX_LEN];

    snprintf(full, sizeof(full), "%s_%zu", name, index);
    return kv_get(fields, full);
}

/* False behind the last one. */
static bool get_refund(struct pn_kv_list fields, size_t index, struct refund *ret)
{
    *ret = (struct refund){
        .number = numbered(fields, "out_refund_no", index), .id = numbered(fields, "refund_id", index),
        .status = numbered(fields, "refund_status", index), .amount = numbered(fields, "refund_fee", index),
    };
    return ret->number.len > 0;
}

/* REFUNDCLOSE: nothing moved. CHANGE: the payer's account refuses and people must act, so the money may still go either way. */
static bool state_of(struct pn_str status, uint32_t *ret_state)
{
    if (str_is(status, "SUCCESS"))
        *ret_state = PN_STATE_REFUNDED;
    else if (str_is(status, "PROCESSING"))
        *ret_state = PN_STATE_PROCESSING;
    else if (str_is(status, "REFUNDCLOSE"))
        *ret_state = PN_STATE_FAILED;
    else if (str_is(status, "CHANGE"))
        *ret_state = PN_STATE_UNKNOWN;
    else
        return false;
    return true;
}

const char *refunds_read_one(const struct pn_payment *payment, struct pn_kv_list fields, struct pn_result *result)
{
    struct refund refund = { 0 };
    int64_t amount;

    for (size_t i = 0; get_refund(fields, i, &refund); i++)
        if (str_eq(refund.number, payment->refund_no))
            break;
    if (!refund.number.len)
        return "an answer about another refund";
    if (!trade_amount(refund.amount, &amount) || (payment->refund_minor > 0 && amount != payment->refund_minor))
        return "an answer with another amount of the refund";
    if (!state_of(refund.status, &result->state))
        return "unknown refund_status";
    result->refund_no = refund.number;
    result->code = refund.status;
    result->trade_no = kv_get(fields, "transaction_id");
    return NULL;
}

/* The sum of those that have succeeded, and how many are listed. */
static const char *add_up(struct pn_kv_list fields, int64_t *ret_sum, size_t *ret_count)
{
    struct refund refund;
    int64_t amount, sum = 0;
    uint32_t state;
    size_t i;

    for (i = 0; get_refund(fields, i, &refund); i++) {
        if (!trade_amount(refund.amount, &amount))
            return "the amount of a refund is missing or no amount";
        if (!state_of(refund.status, &state))
            return "unknown refund_status";
        if (state == PN_STATE_REFUNDED && __builtin_add_overflow(sum, amount, &sum))
            return "the refunds are larger than can be";
    }
    *ret_sum = sum;
    *ret_count = i;
    return NULL;
}

const char *refunds_read_all(struct pn_kv_list fields, struct pn_result *result)
{
    struct pn_str all = kv_get(fields, "total_refund_count");
    size_t listed = 0;
    int64_t sum = 0, count = 0;
    const char *fault = trade_read(fields, result);

    if (!fault)
        fault = add_up(fields, &sum, &listed);
    if (fault)
        return fault;
    if (sum > result->total_minor)
        return "more was refunded than paid";
    /* An answer lists ten at most; then the sum is more than is known here. */
    if (all.len && (!trade_amount(all, &count) || count > (int64_t)listed))
        return NULL;
    result->refunded_minor = sum;
    return NULL;
}
