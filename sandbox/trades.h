/*
 * The trades of one provider and their refunds: in memory, never forgotten while the sandbox runs. Every function but
 * trades_new, trades_free and trades_number is called between trades_lock and trades_unlock, and what they give is read and
 * changed only there.
 */
#ifndef SANDBOX_TRADES_H
#define SANDBOX_TRADES_H

#include <stdint.h>

#include "form.h"

enum trade_status {
    TRADE_UNSEEN,  /* a code was made, but no payer has opened it: to the merchant there is no such trade */
    TRADE_WAITING, /* WAIT_BUYER_PAY */
    TRADE_SUCCESS,
    TRADE_FINISHED,
    TRADE_CLOSED
};

enum trade_product { TRADE_WAP, TRADE_PAGE, TRADE_PRECREATE, TRADE_APP };

enum refund_status {
    REFUND_PROCESSING, /* accepted, and the money is on its way */
    REFUND_SUCCESS,
    REFUND_CLOSED, /* nothing moved: its money is free for another refund */
    REFUND_CHANGE  /* the payer's account took nothing: the merchant pays back by hand */
};

struct refund {
    struct refund *next; /* of the same trade, in the order they were made */
    struct trade *trade;
    char *refund_no; /* the merchant's number; of one made in the console: the provider's again */
    char *refund_id; /* the provider's */
    enum refund_status status;
    int64_t fen;
    char *reason, *notify_url;  /* NULL: not given */
    int64_t made_ms, done_ms; /* done_ms 0: not yet */
};

struct trade {
    struct trade *next; /* in the order they were made */
    char *pay_no;       /* the merchant's number */
    char *trade_no;     /* the provider's */
    enum trade_product product;
    enum trade_status status;
    char *subject;
    char *body, *passback_params, *notify_url, *return_url, *quit_url; /* NULL: not given */
    int64_t total_fen, refunded_fen; /* refunded_fen: of all refunds but closed ones */
    struct refund *refunds;
    struct params call;      /* WeChat Pay: what the order was made with */
    int64_t coupon_fen;      /* WeChat Pay: how much of it a coupon paid */
    const char *shown_state; /* WeChat Pay: what an unpaid order looks like for a while; NULL: as it is */
    int64_t created_ms, paid_ms, closed_ms, refunded_ms; /* 0: not (yet) */
    int64_t expires_ms;
};

struct trades;

struct trades *trades_new(void);
void trades_free(struct trades *trades);
void trades_lock(struct trades *trades);
void trades_unlock(struct trades *trades);

/* A new trade of that number, which must not exist yet, with a trade_no; everything else is the caller's to fill. */
struct trade *trades_add(struct trades *trades, const char *pay_no, int64_t now_ms);
struct trade *trades_find(struct trades *trades, const char *pay_no);
struct trade *trades_find_trade_no(struct trades *trades, const char *trade_no);
struct trade *trades_first(struct trades *trades);

/* A new refund of the trade that counts in its refunded_fen, processing. The caller has compared the sums and made sure that
 * the trade has no refund of that number. `refund_no` NULL: made in the provider's console. */
struct refund *trades_add_refund(struct trades *trades, struct trade *trade, const char *refund_no, int64_t fen, int64_t now_ms);
/* Moves it on; a closed one gives its money back to the trade. */
void refund_end(struct refund *refund, enum refund_status status, int64_t now_ms);
/* One that was closed is processed again, and its money counts again. */
void refund_reopen(struct refund *refund);
struct refund *trade_refund(const struct trade *trade, const char *refund_no);
/* By number over all trades; where several trades use one refund_no, the first that did. */
struct refund *trades_find_refund(struct trades *trades, const char *refund_no);
struct refund *trades_find_refund_id(struct trades *trades, const char *refund_id);

/* A new number in the provider's style: the day and 20 digits that never repeat in this run. The caller frees. */
char *trades_number(struct trades *trades, int64_t now_ms);

#endif
