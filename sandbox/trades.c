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
    void *by_pay_no, *by_trade_no; /* trees of tsearch */
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

struct trades *trades_new(void)
{
    struct trades *trades = need(calloc(1, sizeof *trades));
    pthread_mutex_init(&trades->lock, NULL);
    /* Starting at the clock keeps numbers apart from those of an earlier run. */
    atomic_init(&trades->number, (uint_fast64_t)clock_now_ms() * 100);
    return trades;
}

static void keep(void *trade)
{
    (void)trade;
}

static void free_trade(struct trade *trade)
{
    free(trade->pay_no);
    free(trade->trade_no);
    free(trade->subject);
    free(trade->body);
    free(trade->passback_params);
    free(trade->notify_url);
    free(trade->return_url);
    free(trade->quit_url);
    free(trade);
}

void trades_free(struct trades *trades)
{
    if (!trades)
        return;
    tdestroy(trades->by_pay_no, keep);
    tdestroy(trades->by_trade_no, keep);
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
