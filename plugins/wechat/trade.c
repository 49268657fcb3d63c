/*
 * What the fields of a payment mean: notices and query answers name them alike. Pure; any thread.
 */
#include "common/amount.h"
#include "common/beijing.h"
#include "wechat/wechat.h"

bool trade_amount(struct pn_str text, int64_t *ret_minor)
{
    if (text.len > 1 && text.data[0] == '0')
        return false;
    return amount_parse(text, 0, ret_minor);
}

static struct pn_str first_of(struct pn_kv_list fields, const char *name, const char *other)
{
    struct pn_str value = kv_get(fields, name);

    return value.len ? value : kv_get(fields, other);
}

const char *trade_read(struct pn_kv_list fields, struct pn_result *result)
{
    struct pn_str fee_type = kv_get(fields, "fee_type");

    if (!trade_amount(kv_get(fields, "total_fee"), &result->total_minor))
        return "total_fee is missing or no amount";
    result->trade_no = kv_get(fields, "transaction_id");
    if (!result->trade_no.len)
        return "transaction_id is missing";
    result->pay_no = kv_get(fields, "out_trade_no");
    result->currency = fee_type.len ? fee_type : STR("CNY");
    result->payer = first_of(fields, "openid", "sub_openid");
    if (!beijing_parse_compact(kv_get(fields, "time_end"), &result->paid_at_ms))
        result->paid_at_ms = 0;
    result->state = PN_STATE_PAID;
    return NULL;
}

struct pn_result *trade_result(const struct wechat *wechat, struct pn_call *call, struct pn_kv_list fields)
{
    static const char *const names[MERCHANT_MAX] = { "appid", "mch_id", "sub_mch_id" };
    struct pn_result *result = wechat_alloc(wechat, call, sizeof(*result));
    struct pn_kv *merchant = wechat_alloc(wechat, call, MERCHANT_MAX * sizeof(*merchant));
    size_t count = 0;

    if (!result || !merchant)
        return NULL;
    for (size_t i = 0; i < MERCHANT_MAX; i++) {
        struct pn_str value = kv_get(fields, names[i]);

        if (value.len)
            merchant[count++] = (struct pn_kv){ str_of(names[i]), value };
    }
    result->size = sizeof(*result);
    result->total_minor = result->refunded_minor = PN_NOT_STATED;
    result->merchant = (struct pn_kv_list){ merchant, count };
    result->fields = fields;
    return result;
}
