/*
 * The book of trades; see trades.h. One mutex, held by the callers.
 */
#include "trades.h"

#include <pthread.h>
#include <search.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

struct trades {
    pthread_mutex_t lock;
    struct trade *first, *last;
    void *by_pay_no, *by_trade_no, *by_refund_no, *by_refund_id; /* trees of tsearch */
    atomic_uint_fast64_t number;
};

static int compare_pay_no(const void *a, const void *b)
{
    return strcmp(((const struct trade *)a)->pay_no, ((const struct trade *)b)->pay_no);
}

static int compare_trade_no(const void *a, const void *b)
{
    return strcmp(((const struct trade *)a)->trade_no, ((const struct trade *)b)->trade_no);
}

static int compare_refund_no(const void *a, const void *b)
{
    return strcmp(((const struct refund *)a)->refund_no, ((const struct refund *)b)->refund_no);
}

static int compare_refund_id(const void *a, const void *b)
{
    return strcmp(((const struct refund *)a)->refund_id, ((const struct refund *)b)->refund_id);
}

struct trades *trades_new(void)
{
    struct trades *trades = need(calloc(1, sizeof *trades));
    pthread_mutex_init(&trades->lock, NULL);
    /* Starting at the clock keeps numbers apart from those of an earlier run. */
    atomic_init(&trades->number, (uint_fast64_t)clock_now_ms() * 100);
    return trades;
}

static void keep(void *entry)
{
    (void)entry;
}

static void free_refund(struct refund *refund)
{
    free(refund->refund_no);
    free(refund->refund_id);
    free(refund->reason);
    free(refund->notify_url);
    free(refund);
}

static void free_trade(struct trade *trade)
{
    for (struct refund *refund = trade->refunds, *next; refund; refund = next) {
        next = refund->next;
        free_refund(refund);
    }
    free(trade->pay_no);
    free(trade->trade_no);
    free(trade->subject);
    free(trade->body);
    free(trade->passback_params);
    free(trade->notify_url);
    free(trade->return_url);
    free(trade->quit_url);
    params_free(&trade->call);
    free(trade);
}

void trades_free(struct trades *trades)
{
    if (!trades)
        return;
    tdestroy(trades->by_pay_no, keep);
    tdestroy(trades->by_trade_no, keep);
    tdestroy(trades->by_refund_no, keep);
    tdestroy(trades->by_refund_id, keep);
    for (struct trade *trade = trades->first, *next; trade; trade = next) {
        next = trade->next;
        free_trade(trade);
    }
    pthread_mutex_destroy(&trades->lock);
    free(trades);
}

void trades_lock(struct trades *trades)
{
    pthread_mutex_lock(&trades->lock);
}

void trades_unlock(struct trades *trades)
{
    pthread_mutex_unlock(&trades->lock);
}

char *trades_number(struct trades *trades, int64_t now_ms)
{
    char at[BEIJING_SIZE];
    beijing_text(now_ms, at);
    unsigned long long serial = atomic_fetch_add(&trades->number, 1);
    return text_format("%.4s%.2s%.2s2200%016llu", at, at + 5, at + 8, serial % 10000000000000000ULL);
}

struct trade *trades_add(struct trades *trades, const char *pay_no, int64_t now_ms)
{
    struct trade *trade = need(calloc(1, sizeof *trade));
    trade->pay_no = text_copy(pay_no);
    trade->trade_no = trades_number(trades, now_ms);
    if (trades->last)
        trades->last->next = trade;
    else
        trades->first = trade;
    trades->last = trade;
    need(tsearch(trade, &trades->by_pay_no, compare_pay_no));
    need(tsearch(trade, &trades->by_trade_no, compare_trade_no));
    return trade;
}

struct trade *trades_find(struct trades *trades, const char *pay_no)
{
    struct trade key = {.pay_no = (char *)pay_no};
    struct trade **found = tfind(&key, &trades->by_pay_no, compare_pay_no);
    return found ? *found : NULL;
}

struct trade *trades_find_trade_no(struct trades *trades, const char *trade_no)
{
    struct trade key = {.trade_no = (char *)trade_no};
    struct trade **found = tfind(&key, &trades->by_trade_no, compare_trade_no);
    return found ? *found : NULL;
}

struct trade *trades_first(struct trades *trades)
{
    return trades->first;
}

/* ---------------------------------------------------------------------------------------------- refunds */

struct refund *trades_add_refund(struct trades *trades, struct trade *trade, const char *refund_no, int64_t fen, int64_t now_ms)
{
    struct refund *refund = need(calloc(1, sizeof *refund)), **end = &trade->refunds;
    refund->trade = trade;
    refund->refund_id = trades_number(trades, now_ms);
    refund->refund_no = text_copy(refund_no ? refund_no : refund->refund_id);
    refund->fen = fen;
    refund->made_ms = now_ms;
    trade->refunded_fen += fen;
    while (*end)
        end = &(*end)->next;
    *end = refund;
    need(tsearch(refund, &trades->by_refund_no, compare_refund_no));
    need(tsearch(refund, &trades->by_refund_id, compare_refund_id));
    return refund;
}

void refund_end(struct refund *refund, enum refund_status status, int64_t now_ms)
{
    if (status == REFUND_CLOSED && refund->status != REFUND_CLOSED)
        refund->trade->refunded_fen -= refund->fen;
    refund->status = status;
    refund->done_ms = now_ms;
}

void refund_reopen(struct refund *refund)
{
    refund->trade->refunded_fen += refund->fen;
    refund->status = REFUND_PROCESSING;
    refund->done_ms = 0;
}

struct refund *trade_refund(const struct trade *trade, const char *refund_no)
{
    struct refund *refund = trade->refunds;
    while (refund && strcmp(refund->refund_no, refund_no) != 0)
        refund = refund->next;
    return refund;
}

struct refund *trades_find_refund(struct trades *trades, const char *refund_no)
{
    struct refund key = {.refund_no = (char *)refund_no};
    struct refund **found = tfind(&key, &trades->by_refund_no, compare_refund_no);
    return found ? *found : NULL;
}

struct refund *trades_find_refund_id(struct trades *trades, const char *refund_id)
{
    struct refund key = {.refund_id = (char *)refund_id};
    struct refund **found = tfind(&key, &trades->by_refund_id, compare_refund_id);
    return found ? *found : NULL;
}
