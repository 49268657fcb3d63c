/*
 * What Alipay sends to a merchant by itself: the asynchronous notice (protocol section 8) and the parameters of the payer's
 * way back (section 7). Called from handlers and from the notifier's thread; no state.
 */
#include <stdlib.h>
#include <string.h>

#include "alipay.h"
#include "keys.h"
#include "notifier.h"
#include "text.h"

#define SELLER_EMAIL "seller@sandbox.invalid"

#define MINUTES(n) (INT64_C(60000) * (n))
static const int64_t gaps_ms[] = {MINUTES(4),  MINUTES(10),  MINUTES(10), MINUTES(60),
                                  MINUTES(120), MINUTES(360), MINUTES(900)};

void alipay_change_fields(struct params *fields, const json_t *change)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)change, name, value)
        params_set(fields, name, json_string_value(value)); /* NULL for null: removes */
}

char *alipay_sign(struct keys *keys, const char *text, const struct fault_plan *plan)
{
    char *sign = keys_sign(keys, plan->wrong_key ? SIGN_STRANGER : SIGN_PROVIDER, text, strlen(text));
    if (plan->bad_signature)
        sign[10] = sign[10] == 'A' ? 'B' : 'A';
    return sign;
}

char *alipay_sign_notice(struct keys *keys, struct params *fields, const struct fault_plan *plan)
{
    static const char *const unsigned_names[] = {"sign", "sign_type", NULL};
    alipay_change_fields(fields, plan->change);
    char *text = params_sign_text(fields, unsigned_names, false);
    char *sign = alipay_sign(keys, text, plan);
    params_set(fields, "sign_type", "RSA2");
    params_set(fields, "sign", sign);
    json_t *tampering = fault_tampering(plan, "total_amount", "0.01");
    alipay_change_fields(fields, tampering);
    json_decref(tampering);
    free(text);
    free(sign);
    return params_encode(fields);
}

static void set_time(struct params *fields, const char *name, int64_t ms)
{
    char at[BEIJING_SIZE];
    beijing_text(ms, at);
    params_set(fields, name, at);
}

static char *compose(void *context, const struct params *fields, const struct fault_plan *plan)
{
    struct sandbox *sandbox = context;
    struct params attempt = params_copy(fields);
    set_time(&attempt, "notify_time", clock_now_ms());
    char *body = alipay_sign_notice(sandbox->keys, &attempt, plan);
    params_free(&attempt);
    return body;
}

static bool accepted(long status, const char *answer, size_t n)
{
    return status == 200 && n == 7 && memcmp(answer, "success", 7) == 0;
}

static const struct notice_style style = {
    .content_type = "application/x-www-form-urlencoded; charset=utf-8",
    .gaps_ms = gaps_ms,
    .gap_count = sizeof gaps_ms / sizeof *gaps_ms,
    .compose = compose,
    .accepted = accepted,
};

/* What stands in every notice, and in the way back. */
static void set_parties(struct params *fields, const struct sandbox *sandbox)
{
    params_set(fields, "charset", "utf-8");
    params_set(fields, "version", "1.0");
    params_set(fields, "app_id", sandbox->app_id);
    params_set(fields, "auth_app_id", sandbox->app_id);
    params_set(fields, "seller_id", sandbox->seller_id);
}

static struct params begin_notice(struct sandbox *sandbox)
{
    struct params fields = {0};
    char *id = trades_number(sandbox->trades, clock_now_ms());
    set_parties(&fields, sandbox);
    params_set(&fields, "notify_type", "trade_status_sync");
    params_set(&fields, "notify_id", id);
    params_set(&fields, "seller_email", SELLER_EMAIL);
    params_set(&fields, "buyer_id", ALIPAY_BUYER_ID);
    params_set(&fields, "buyer_logon_id", ALIPAY_BUYER_LOGON_ID);
    free(id);
    return fields;
}

static void set_paid(struct params *fields, const char *amount, int64_t paid_ms)
{
    char *bill = text_format("[{\"amount\":\"%s\",\"fundChannel\":\"ALIPAYACCOUNT\"}]", amount);
    params_set(fields, "receipt_amount", amount);
    params_set(fields, "invoice_amount", amount);
    params_set(fields, "buyer_pay_amount", amount);
    params_set(fields, "point_amount", "0.00");
    params_set(fields, "fund_bill_list", bill);
    set_time(fields, "gmt_payment", paid_ms);
    free(bill);
}

static void set_refunded(struct params *fields, const struct trade *trade, const char *out_biz_no)
{
    char *refunded = money_text(alipay_refunded_fen(trade));
    char at[BEIJING_SIZE];
    beijing_text(trade->refunded_ms, at);
    char *with_ms = text_format("%s.%03d", at, (int)(trade->refunded_ms % 1000));
    params_set(fields, "refund_fee", refunded);
    params_set(fields, "gmt_refund", with_ms);
    params_set(fields, "out_biz_no", out_biz_no);
    free(refunded);
    free(with_ms);
}

void alipay_notify(struct sandbox *sandbox, const struct trade *trade, const char *out_biz_no)
{
    if (!trade->notify_url)
        return;
    struct params fields = begin_notice(sandbox);
    char *amount = money_text(trade->total_fen);
    params_set(&fields, "out_trade_no", trade->pay_no);
    params_set(&fields, "trade_no", trade->trade_no);
    params_set(&fields, "trade_status", alipay_status_text(trade->status));
    params_set(&fields, "total_amount", amount);
    params_set(&fields, "subject", trade->subject);
    params_set(&fields, "body", trade->body);
    params_set(&fields, "passback_params", trade->passback_params);
    set_time(&fields, "gmt_create", trade->created_ms);
    if (trade->paid_ms)
        set_paid(&fields, amount, trade->paid_ms);
    if (alipay_refunded_fen(trade))
        set_refunded(&fields, trade, out_biz_no);
    if (trade->status == TRADE_CLOSED)
        set_time(&fields, "gmt_close", trade->closed_ms);
    notifier_add(sandbox->notifier, &(struct notice_order){.style = &style,
                                                           .pay_no = trade->pay_no,
                                                           .url = trade->notify_url,
                                                           .id = params_get(&fields, "notify_id"),
                                                           .about = alipay_status_text(trade->status),
                                                           .fields = fields});
    free(amount);
}

char *alipay_return_url(struct sandbox *sandbox, const struct trade *trade)
{
    struct params fields = {0};
    char *amount = money_text(trade->total_fen);
    set_parties(&fields, sandbox);
    params_set(&fields, "method", trade->product == TRADE_WAP ? "alipay.trade.wap.pay.return" : "alipay.trade.page.pay.return");
    params_set(&fields, "out_trade_no", trade->pay_no);
    params_set(&fields, "trade_no", trade->trade_no);
    params_set(&fields, "total_amount", amount);
    set_time(&fields, "timestamp", clock_now_ms());
    char *query = alipay_sign_notice(sandbox->keys, &fields, &(struct fault_plan){0});
    char *url = text_format("%s%c%s", trade->return_url, strchr(trade->return_url, '?') ? '&' : '?', query);
    params_free(&fields);
    free(amount);
    free(query);
    return url;
}

struct params alipay_sample_notice(struct sandbox *sandbox, const char *pay_no, const char *amount)
{
    int64_t now = clock_now_ms();
    struct params fields = begin_notice(sandbox);
    char *trade_no = trades_number(sandbox->trades, now);
    params_set(&fields, "out_trade_no", pay_no);
    params_set(&fields, "trade_no", trade_no);
    params_set(&fields, "trade_status", alipay_status_text(TRADE_SUCCESS));
    params_set(&fields, "total_amount", amount);
    params_set(&fields, "subject", "sandbox order");
    set_time(&fields, "gmt_create", now);
    set_time(&fields, "notify_time", now);
    set_paid(&fields, amount, now);
    free(trade_no);
    return fields;
}
