/*
 * The trades that the sandbox knows: in memory, never forgotten while it runs. Every function but trades_new and
 * trades_free is called between trades_lock and trades_unlock, and a struct trade is read and changed only there.
 */
#ifndef SANDBOX_TRADES_H
#define SANDBOX_TRADES_H

#include <stdint.h>

enum trade_status {
    TRADE_UNSEEN,  /* a code was made, but no payer has opened it: to the merchant there is no such trade */
    TRADE_WAITING, /* WAIT_BUYER_PAY */
    TRADE_SUCCESS,
    TRADE_FINISHED,
    TRADE_CLOSED
};

enum trade_product { TRADE_WAP, TRADE_PAGE, TRADE_PRECREATE };

struct trade {
    struct trade *next; /* in the order they were made */
    char *pay_no;       /* the merchant's number */
    char *trade_no;     /* the provider's */
    enum trade_product product;
    enum trade_status status;
    char *subject;
    char *body, *passback_params, *notify_url, *return_url, *quit_url; /* NULL: not given */
    int64_t total_fen, refunded_fen;
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

/* A new number in the provider's style: the day and 20 digits that never repeat in this run. The caller frees. */
char *trades_number(struct trades *trades, int64_t now_ms);

#endif
