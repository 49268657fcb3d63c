/*
 * What can happen to an order at WeChat: paid, closed, expired, refunded; and what WeChat announces by itself: payments, and
 * refunds whose call asked for it. Called by the gateway, the payer's pages and the control interface, with the trades locked.
 */
#include <stdlib.h>
#include <string.h>

#include "text.h"
#include "wechat.h"

#define CODE_URL "weixin://wxpay/bizpayurl?pr="

const char *wechat_state(const struct trade *trade)
{
    if (trade->status == TRADE_CLOSED)
        return "CLOSED";
    if (trade->status == TRADE_SUCCESS)
        return trade->refunded_fen ? "REFUND" : "SUCCESS";
    return trade->shown_state ? trade->shown_state : "NOTPAY";
}

const char *wechat_refund_status(const struct refund *refund)
{
    static const char *const texts[] = {[REFUND_PROCESSING] = "PROCESSING",
                                        [REFUND_SUCCESS] = "SUCCESS",
                                        [REFUND_CLOSED] = "REFUNDCLOSE",
                                        [REFUND_CHANGE] = "CHANGE"};
    return texts[refund->status];
}

const char *wechat_order_text(const struct trade *trade, const char *name)
{
    return params_get(&trade->call, name);
}

bool wechat_order_is_hmac(const struct trade *trade)
{
    const char *type = wechat_order_text(trade, "sign_type");
    return type && strcmp(type, "HMAC-SHA256") == 0;
}

char *wechat_prepay_id(const struct trade *trade)
{
    return text_format("wx%s", trade->trade_no);
}

static void close_trade(struct trade *trade)
{
    trade->status = TRADE_CLOSED;
    trade->closed_ms = clock_now_ms();
    say("order %s: CLOSED", trade->pay_no);
}

static struct trade *expire(struct trade *trade)
{
    if (trade && trade->status == TRADE_WAITING && clock_now_ms() >= trade->expires_ms)
        close_trade(trade);
    return trade;
}

struct trade *wechat_find(struct sandbox *sandbox, const char *number)
{
    struct trades *trades = sandbox->wechat->trades;
    struct trade *trade = trades_find(trades, number);
    if (!trade && strncmp(number, CODE_URL, strlen(CODE_URL)) == 0)
        number += strlen(CODE_URL);
    if (!trade && strncmp(number, "wx", 2) == 0)
        number += 2;
    return expire(trade ? trade : trades_find_trade_no(trades, number));
}

void wechat_expire_all(struct sandbox *sandbox)
{
    struct trades *trades = sandbox->wechat->trades;
    trades_lock(trades);
    for (struct trade *trade = trades_first(trades); trade; trade = trade->next)
        expire(trade);
    trades_unlock(trades);
}

const char *wechat_event_pay(struct sandbox *sandbox, struct trade *trade, int64_t coupon_fen, enum announce announce)
{
    if (trade->status != TRADE_WAITING)
        return "the order is paid or closed";
    if (coupon_fen >= trade->total_fen)
        return "a coupon pays less than the whole";
    trade->coupon_fen = coupon_fen;
    trade->status = TRADE_SUCCESS;
    trade->paid_ms = clock_now_ms();
    say("order %s: SUCCESS", trade->pay_no);
    if (announce != ANNOUNCE_NO)
        wechat_notify(sandbox, trade, NULL);
    return NULL;
}

const char *wechat_event_close(struct trade *trade)
{
    if (trade->status != TRADE_WAITING)
        return "only an unpaid order can be closed";
    close_trade(trade);
    return NULL;
}

const char *wechat_event_expire(struct trade *trade)
{
    if (trade->status != TRADE_WAITING)
        return "only an unpaid order expires";
    trade->expires_ms = clock_now_ms();
    expire(trade);
    return NULL;
}

const char *wechat_event_show(struct trade *trade, const char *state)
{
    if (trade->status != TRADE_WAITING)
        return "the order is paid or closed";
    trade->shown_state = state;
    return NULL;
}

/* ---------------------------------------------------------------------------------------------- refunds */

static void announce_refund(struct sandbox *sandbox, const struct refund *refund, const struct wish *wish)
{
    const char *url = wish->notify_url ? wish->notify_url : refund->notify_url;
    say("refund %s of %s: %s", refund->refund_id, refund->trade->pay_no, wechat_refund_status(refund));
    if (!url && wish->announce == ANNOUNCE_YES)
        url = refund->trade->notify_url;
    if (url && wish->announce != ANNOUNCE_NO)
        wechat_notify_refund(sandbox, refund, url);
}

const char *wechat_event_refund_end(struct sandbox *sandbox, struct refund *refund, enum refund_status status,
                                    const struct wish *wish)
{
    if (refund->status != REFUND_PROCESSING)
        return "the refund has come to an end";
    refund_end(refund, status, clock_now_ms());
    announce_refund(sandbox, refund, wish);
    return NULL;
}

const char *wechat_event_refund(struct sandbox *sandbox, struct trade *trade, const struct wish *wish)
{
    struct trades *trades = sandbox->wechat->trades;
    int64_t rest = trade->total_fen - trade->refunded_fen, fen = wish->fen ? wish->fen : rest;
    if (trade->status != TRADE_SUCCESS)
        return "only a paid order can be refunded";
    if (fen > rest || fen == 0)
        return "that is more than what is left of the payment";
    if (wish->refund_no && trades_find_refund(trades, wish->refund_no))
        return "there is a refund of that out_refund_no";
    struct refund *refund = trades_add_refund(trades, trade, wish->refund_no, fen, clock_now_ms());
    refund_end(refund, REFUND_SUCCESS, refund->made_ms);
    announce_refund(sandbox, refund, wish);
    return NULL;
}
