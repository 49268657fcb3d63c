/*
 * What can happen to a trade: opened, paid, closed, finished, refunded, expired; and which of it Alipay announces by itself
 * (protocol section 8). Called by the gateway, the payer's page and the control interface, with the trades locked.
 */
#include <string.h>

#include "alipay.h"
#include "text.h"

const char *alipay_status_text(enum trade_status status)
{
    static const char *const texts[] = {
        [TRADE_UNSEEN] = "UNSEEN", /* never leaves the control interface */
        [TRADE_WAITING] = "WAIT_BUYER_PAY",
        [TRADE_SUCCESS] = "TRADE_SUCCESS",
        [TRADE_FINISHED] = "TRADE_FINISHED",
        [TRADE_CLOSED] = "TRADE_CLOSED",
    };
    return texts[status];
}

static void announce_event(struct sandbox *sandbox, const struct trade *trade, enum announce announce, bool by_default,
                           const char *out_biz_no)
{
    say("trade %s: %s", trade->pay_no, alipay_status_text(trade->status));
    if (announce == ANNOUNCE_YES || (announce == ANNOUNCE_DEFAULT && by_default))
        alipay_notify(sandbox, trade, out_biz_no);
}

/* Whether closing and finishing are announced by default. */
static bool tells_more(const struct trade *trade)
{
    return trade->product == TRADE_WAP || trade->product == TRADE_APP;
}

static struct trade *expire(struct sandbox *sandbox, struct trade *trade)
{
    if (trade && trade->status <= TRADE_WAITING && clock_now_ms() >= trade->expires_ms) {
        /* What no payer has seen vanishes quietly. */
        enum announce announce = trade->status == TRADE_UNSEEN ? ANNOUNCE_NO : ANNOUNCE_DEFAULT;
        trade->status = TRADE_WAITING;
        alipay_event_close(sandbox, trade, announce);
    }
    return trade;
}

struct trade *alipay_find(struct sandbox *sandbox, const char *pay_no)
{
    return expire(sandbox, trades_find(sandbox->trades, pay_no));
}

struct trade *alipay_find_trade_no(struct sandbox *sandbox, const char *trade_no)
{
    return expire(sandbox, trades_find_trade_no(sandbox->trades, trade_no));
}

void alipay_expire_all(struct sandbox *sandbox)
{
    trades_lock(sandbox->trades);
    for (struct trade *trade = trades_first(sandbox->trades); trade; trade = trade->next)
        expire(sandbox, trade);
    trades_unlock(sandbox->trades);
}

void alipay_event_open(struct trade *trade)
{
    if (trade->status == TRADE_UNSEEN) {
        trade->status = TRADE_WAITING;
        trade->created_ms = clock_now_ms();
    }
}

const char *alipay_event_pay(struct sandbox *sandbox, struct trade *trade, enum announce announce)
{
    if (trade->status > TRADE_WAITING)
        return "the trade is paid or closed";
    alipay_event_open(trade);
    trade->status = TRADE_SUCCESS;
    trade->paid_ms = clock_now_ms();
    announce_event(sandbox, trade, announce, true, NULL);
    return NULL;
}

const char *alipay_event_close(struct sandbox *sandbox, struct trade *trade, enum announce announce)
{
    if (trade->status != TRADE_WAITING)
        return "only an unpaid trade that a payer has opened can be closed";
    trade->status = TRADE_CLOSED;
    trade->closed_ms = clock_now_ms();
    announce_event(sandbox, trade, announce, tells_more(trade), NULL);
    return NULL;
}

const char *alipay_event_expire(struct sandbox *sandbox, struct trade *trade)
{
    if (trade->status > TRADE_WAITING)
        return "only an unpaid trade expires";
    trade->expires_ms = clock_now_ms();
    expire(sandbox, trade);
    return NULL;
}

const char *alipay_event_finish(struct sandbox *sandbox, struct trade *trade, enum announce announce)
{
    if (trade->status != TRADE_SUCCESS)
        return "only a paid trade can be finished";
    trade->status = TRADE_FINISHED;
    announce_event(sandbox, trade, announce, tells_more(trade), NULL);
    return NULL;
}

const char *alipay_event_refund(struct sandbox *sandbox, struct trade *trade, int64_t fen, const char *out_request_no,
                                enum announce announce)
{
    if (trade->status != TRADE_SUCCESS)
        return "only a paid trade can be refunded";
    if (fen > trade->total_fen - trade->refunded_fen)
        return "that is more than what is left of the payment";
    if (out_request_no && trade_refund(trade, out_request_no))
        return "the trade has a refund of that out_request_no";
    struct refund *refund = trades_add_refund(sandbox->trades, trade, out_request_no, fen, clock_now_ms());
    return alipay_event_refund_end(sandbox, refund, REFUND_SUCCESS, announce);
}

int64_t alipay_refunded_fen(const struct trade *trade)
{
    int64_t fen = 0;
    for (const struct refund *refund = trade->refunds; refund; refund = refund->next)
        if (refund->status == REFUND_SUCCESS)
            fen += refund->fen;
    return fen;
}

/* The merchant's number, if there was one. */
static const char *biz_no(const struct refund *refund)
{
    const struct trade *trade = refund->trade;
    bool given = strcmp(refund->refund_no, refund->refund_id) != 0 && strcmp(refund->refund_no, trade->pay_no) != 0;
    return given ? refund->refund_no : trade->trade_no;
}

const char *alipay_event_refund_end(struct sandbox *sandbox, struct refund *refund, enum refund_status status,
                                    enum announce announce)
{
    struct trade *trade = refund->trade;
    if (refund->status != REFUND_PROCESSING)
        return "the refund has come to an end";
    refund_end(refund, status, clock_now_ms());
    if (status != REFUND_SUCCESS)
        return NULL;
    trade->refunded_ms = refund->done_ms;
    if (alipay_refunded_fen(trade) == trade->total_fen) {
        trade->status = TRADE_CLOSED;
        trade->closed_ms = refund->done_ms;
    }
    announce_event(sandbox, trade, announce, true, biz_no(refund));
    return NULL;
}

const char *alipay_event_tell(struct sandbox *sandbox, struct trade *trade)
{
    if (trade->status == TRADE_UNSEEN)
        return "no payer has opened the trade";
    if (!trade->notify_url)
        return "the trade has no notify_url";
    alipay_notify(sandbox, trade, alipay_refunded_fen(trade) ? trade->trade_no : NULL);
    return NULL;
}
