/*
 * What WeChat sends to a merchant by itself: notices of payments, signed as the order was made, and of refunds, encrypted and
 * not signed (protocol sections 5 and 6). Called from handlers and from the notifier's thread; no state.
 */
#include <stdlib.h>
#include <string.h>

#include "notifier.h"
#include "text.h"
#include "wechat.h"
#include "xml.h"

#define SECONDS(n) (INT64_C(1000) * (n))
#define MINUTES(n) SECONDS(60 * (n))
#define HOURS(n) MINUTES(60 * (n))

static const int64_t gaps_ms[] = {SECONDS(15),  SECONDS(15), SECONDS(30), MINUTES(3), MINUTES(10), MINUTES(20), MINUTES(30), MINUTES(30),
                                  MINUTES(30), MINUTES(60), HOURS(3),    HOURS(3),   HOURS(3),    HOURS(6),    HOURS(6)};

/* ---------------------------------------------------------------------------------------------- bodies */

char *wechat_sign_notice(const struct wechat *wechat, bool hmac, struct params *fields, const struct fault_plan *plan)
{
    wechat_sign(wechat, hmac, fields, plan);
    return xml_write(fields, "xml");
}

char *wechat_seal_notice(const struct wechat *wechat, struct params *fields, const struct fault_plan *plan)
{
    struct params outer = {0};
    char nonce[WECHAT_KEY_LENGTH + 1];
    wechat_nonce(nonce);
    wechat_change_fields(fields, plan->change);
    char *inner = xml_write(fields, "root");
    char *sealed = wechat_encrypt(plan->wrong_key ? wechat->stranger_key : wechat->api_key, inner);
    if (plan->bad_signature)
        sealed[0] = sealed[0] == 'A' ? 'B' : 'A';
    params_set(&outer, "return_code", "SUCCESS");
    params_set(&outer, "appid", wechat->appid);
    params_set(&outer, "mch_id", wechat->mch_id);
    params_set(&outer, "nonce_str", nonce);
    params_set(&outer, "req_info", sealed);
    /* Without a signature, to tamper is to send other blocks: one of zeros. */
    json_t *tampering = fault_tampering(plan, "req_info", "AAAAAAAAAAAAAAAAAAAAAA==");
    wechat_change_fields(&outer, tampering);
    json_decref(tampering);
    char *body = xml_write(&outer, "xml");
    params_free(&outer);
    free(inner);
    free(sealed);
    return body;
}

static char *compose(struct sandbox *sandbox, bool hmac, const struct params *fields, const struct fault_plan *plan)
{
    struct params attempt = params_copy(fields);
    char *body = wechat_sign_notice(sandbox->wechat, hmac, &attempt, plan);
    params_free(&attempt);
    return body;
}

static char *compose_md5(void *context, const struct params *fields, const struct fault_plan *plan)
{
    return compose(context, false, fields, plan);
}

static char *compose_hmac(void *context, const struct params *fields, const struct fault_plan *plan)
{
    return compose(context, true, fields, plan);
}

static char *compose_refund(void *context, const struct params *fields, const struct fault_plan *plan)
{
    struct sandbox *sandbox = context;
    struct params attempt = params_copy(fields);
    char *body = wechat_seal_notice(sandbox->wechat, &attempt, plan);
    params_free(&attempt);
    return body;
}

static bool accepted(long status, const char *answer, size_t n)
{
    struct params params = {0};
    bool read = status == 200 && !xml_parse(&params, "xml", answer, n);
    const char *code = read ? params_get(&params, "return_code") : NULL;
    bool success = code && strcmp(code, "SUCCESS") == 0;
    params_free(&params);
    return success;
}

#define STYLE(compose_)                                                                                                     \
    {                                                                                                                       \
        .content_type = "text/xml; charset=utf-8", .gaps_ms = gaps_ms, .gap_count = sizeof gaps_ms / sizeof *gaps_ms,       \
        .compose = (compose_), .accepted = accepted                                                                         \
    }
static const struct notice_style md5_style = STYLE(compose_md5), hmac_style = STYLE(compose_hmac), refund_style = STYLE(compose_refund);

/* ---------------------------------------------------------------------------------------------- payments */

static void set_time(struct params *fields, const char *name, int64_t ms)
{
    char at[WECHAT_TIME_SIZE];
    wechat_time(ms, at);
    params_set(fields, name, at);
}

/* What the order costs stays total_fee; the payer's own money is the less. */
static void set_coupon(struct params *fields, const struct trade *trade)
{
    wechat_set_fen(fields, "settlement_total_fee", trade->total_fen - trade->coupon_fen);
    wechat_set_fen(fields, "coupon_fee", trade->coupon_fen);
    params_set(fields, "coupon_count", "1");
    params_set(fields, "coupon_type_0", "CASH");
    params_set(fields, "coupon_id_0", "10000");
    wechat_set_fen(fields, "coupon_fee_0", trade->coupon_fen);
}

void wechat_set_paid(struct params *fields, const struct trade *trade)
{
    static const char *const copied[] = {"device_info", "sub_openid", "trade_type", "attach"};
    const char *openid = wechat_order_text(trade, "openid");
    params_set(fields, "openid", openid ? openid : WECHAT_OPENID);
    params_set(fields, "is_subscribe", "N");
    for (size_t i = 0; i < sizeof copied / sizeof *copied; i++)
        params_set(fields, copied[i], wechat_order_text(trade, copied[i]));
    params_set(fields, "bank_type", "OTHERS");
    wechat_set_fen(fields, "total_fee", trade->total_fen);
    params_set(fields, "fee_type", "CNY");
    wechat_set_fen(fields, "cash_fee", trade->total_fen - trade->coupon_fen);
    params_set(fields, "cash_fee_type", "CNY");
    params_set(fields, "transaction_id", trade->trade_no);
    params_set(fields, "out_trade_no", trade->pay_no);
    set_time(fields, "time_end", trade->paid_ms);
    if (trade->coupon_fen)
        set_coupon(fields, trade);
}

static struct params begin_notice(const struct wechat *wechat, const char *result_code)
{
    struct params fields = {0};
    params_set(&fields, "return_code", "SUCCESS");
    params_set(&fields, "appid", wechat->appid);
    params_set(&fields, "mch_id", wechat->mch_id);
    params_set(&fields, "result_code", result_code);
    return fields;
}

/* A number of the notice, for the control interface: WeChat's notices carry none. */
static void add(struct sandbox *sandbox, const struct notice_style *style, const struct trade *trade, const char *url,
                const char *about, struct params fields)
{
    char *id = trades_number(sandbox->wechat->trades, clock_now_ms());
    notifier_add(sandbox->notifier,
                 &(struct notice_order){
                     .style = style, .pay_no = trade->pay_no, .url = url, .id = id, .about = about, .fields = fields});
    free(id);
}

void wechat_notify(struct sandbox *sandbox, const struct trade *trade, const char *err_code)
{
    struct params fields = begin_notice(sandbox->wechat, err_code ? "FAIL" : "SUCCESS");
    params_set(&fields, "sub_appid", wechat_order_text(trade, "sub_appid"));
    params_set(&fields, "sub_mch_id", wechat_order_text(trade, "sub_mch_id"));
    wechat_set_paid(&fields, trade);
    if (err_code) {
        params_set(&fields, "err_code", err_code);
        params_set(&fields, "err_code_des", "the payment failed");
    }
    add(sandbox, wechat_order_is_hmac(trade) ? &hmac_style : &md5_style, trade, trade->notify_url,
        err_code ? err_code : wechat_state(trade), fields);
}

struct params wechat_sample_notice(struct sandbox *sandbox)
{
    struct params fields = begin_notice(sandbox->wechat, "SUCCESS");
    char *number = trades_number(sandbox->wechat->trades, clock_now_ms());
    struct trade trade = {.pay_no = (char *)"000000", .trade_no = number, .total_fen = 1, .paid_ms = clock_now_ms()};
    params_set(&fields, "trade_type", "NATIVE");
    wechat_set_paid(&fields, &trade);
    free(number);
    return fields;
}

/* ---------------------------------------------------------------------------------------------- refunds */

static struct params refund_fields(const struct refund *refund)
{
    const struct trade *trade = refund->trade;
    char at[BEIJING_SIZE];
    struct params fields = {0};
    params_set(&fields, "transaction_id", trade->trade_no);
    params_set(&fields, "out_trade_no", trade->pay_no);
    params_set(&fields, "refund_id", refund->refund_id);
    params_set(&fields, "out_refund_no", refund->refund_no);
    wechat_set_fen(&fields, "total_fee", trade->total_fen);
    wechat_set_fen(&fields, "settlement_total_fee", trade->total_fen);
    wechat_set_fen(&fields, "refund_fee", refund->fen);
    wechat_set_fen(&fields, "settlement_refund_fee", refund->fen);
    params_set(&fields, "refund_status", wechat_refund_status(refund));
    if (refund->status == REFUND_SUCCESS) {
        beijing_text(refund->done_ms, at);
        params_set(&fields, "success_time", at);
    }
    params_set(&fields, "refund_recv_accout", "the payer's balance"); /* so spelt there */
    params_set(&fields, "refund_account", "REFUND_SOURCE_UNSETTLED_FUNDS");
    params_set(&fields, "refund_request_source", refund->notify_url ? "API" : "VENDOR_PLATFORM");
    return fields;
}

void wechat_notify_refund(struct sandbox *sandbox, const struct refund *refund, const char *url)
{
    char *about = text_format("refund %s", wechat_refund_status(refund));
    add(sandbox, &refund_style, refund->trade, url, about, refund_fields(refund));
    free(about);
}

struct params wechat_sample_refund_notice(struct sandbox *sandbox)
{
    char *number = trades_number(sandbox->wechat->trades, clock_now_ms());
    struct trade trade = {.pay_no = (char *)"000000", .trade_no = number, .total_fen = 1};
    struct refund refund = {.trade = &trade, .refund_no = (char *)"000000", .refund_id = number, .fen = 1,
                            .status = REFUND_SUCCESS, .done_ms = clock_now_ms()};
    struct params fields = refund_fields(&refund);
    free(number);
    return fields;
}
