/*
 * Alipay as the control interface sees it: the events of a trade by name. Called with the trades locked, from the threads of
 * the HTTP server.
 */
#include "alipay.h"

static const char *do_pay(struct sandbox *sandbox, struct trade *trade, const struct wish *wish)
{
    return alipay_event_pay(sandbox, trade, wish->announce);
}

static const char *do_close(struct sandbox *sandbox, struct trade *trade, const struct wish *wish)
{
    return alipay_event_close(sandbox, trade, wish->announce);
}

static const char *do_expire(struct sandbox *sandbox, struct trade *trade, const struct wish *wish)
{
    (void)wish;
    return alipay_event_expire(sandbox, trade);
}

static const char *do_finish(struct sandbox *sandbox, struct trade *trade, const struct wish *wish)
{
    return alipay_event_finish(sandbox, trade, wish->announce);
}

static const char *do_refund(struct sandbox *sandbox, struct trade *trade, const struct wish *wish)
{
    int64_t fen = wish->fen ? wish->fen : trade->total_fen - trade->refunded_fen;
    return alipay_event_refund(sandbox, trade, fen, wish->refund_no, wish->announce);
}

static const char *do_tell(struct sandbox *sandbox, struct trade *trade, const struct wish *wish)
{
    (void)wish;
    return alipay_event_tell(sandbox, trade);
}

static const struct trade_event events[] = {
    {"pay", do_pay},       {"close", do_close}, {"expire", do_expire}, {"finish", do_finish},
    {"refund", do_refund}, {"notify", do_tell}, {NULL, NULL},
};

static const char *do_succeed(struct sandbox *sandbox, struct refund *refund, const struct wish *wish)
{
    return alipay_event_refund_end(sandbox, refund, REFUND_SUCCESS, wish->announce);
}

static const char *do_fail(struct sandbox *sandbox, struct refund *refund, const struct wish *wish)
{
    return alipay_event_refund_end(sandbox, refund, REFUND_CLOSED, wish->announce);
}

static const struct refund_event refund_events[] = {{"succeed", do_succeed}, {"close", do_fail}, {NULL, NULL}};

static struct trades *book(const struct sandbox *sandbox)
{
    return sandbox->trades;
}

static const char *status(const struct trade *trade)
{
    return alipay_status_text(trade->status);
}

static const char *product(const struct trade *trade)
{
    static const char *const texts[] = {[TRADE_WAP] = "wap", [TRADE_PAGE] = "page", [TRADE_PRECREATE] = "precreate",
                                        [TRADE_APP] = "app"};
    return texts[trade->product];
}

const struct provider alipay_provider = {
    .name = "alipay",
    .trades = book,
    .find = alipay_find,
    .expire_all = alipay_expire_all,
    .status = status,
    .product = product,
    .events = events,
    .refund_events = refund_events,
};
