/*
 * Group commit of settlements (design §7). HTTP threads and workers queue facts with pay_settle; one thread takes
 * everything that waits, up to a batch, settles it in one transaction (batch.c), and only after the commit tells each
 * caller its outcome.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ids.h"
#include "pay/batch.h"

struct committer {
    struct pay *pay;
    pthread_t thread;
    bool running;
    size_t queue_max, batch_max;
    struct metric *outcomes[SETTLED_NOT + 1];
    struct metric *batches, *waiting;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t wake;
    struct item *first, **last;
    size_t count;
    bool accepting, stopping;
};

static bool parse_pay_no(const struct pn_str *text, int64_t *ret_pay_no)
{
    char digits[ID_TEXT_MAX];
    if (text->len == 0 || text->len >= sizeof digits)
        return false;
    memcpy(digits, text->data, text->len);
    digits[text->len] = '\0';
    return strlen(digits) == text->len && id_parse(digits, ret_pay_no);
}

static enum rc enqueue(struct committer *committer, struct item *item, struct error *err)
{
    enum rc rc = RC_OK;
    pthread_mutex_lock(&committer->lock);
    if (!committer->accepting)
        rc = RC_UNAVAILABLE;
    else if (committer->count >= committer->queue_max)
        rc = RC_FULL;
    else {
        *committer->last = item;
        committer->last = &item->next;
        if (committer->count++ == 0)
            pthread_cond_signal(&committer->wake);
    }
    pthread_mutex_unlock(&committer->lock);
    if (rc)
        error_set(err, rc, rc == RC_FULL ? "the settlement queue is full" : "the server is stopping");
    return rc;
}

enum rc refund_settle(struct pay *pay, const char *channel, const char *source, const struct pn_result *result, int64_t calls,
                      settle_done done, void *arg, struct error *err)
{
    int64_t pay_no;
    if (!parse_pay_no(&result->pay_no, &pay_no)) {
        metric_add(pay->committer->outcomes[SETTLED_UNKNOWN_PAYMENT], 1);
        return error_set(err, RC_NOT_FOUND, "no payment of that number");
    }
    struct item *item = item_new(channel, source, result, pay_no);
    if (!item)
        return error_set(err, RC_NOMEM, "out of memory");
    item->fact.calls = calls;
    item->done = done;
    item->arg = arg;
    enum rc rc = enqueue(pay->committer, item, err);
    if (rc)
        free(item);
    return rc;
}

enum rc pay_settle(struct pay *pay, const char *channel, const char *source, const struct pn_result *result, settle_done done,
                   void *arg, struct error *err)
{
    return refund_settle(pay, channel, source, result, 0, done, arg, err);
}

static void finish(struct committer *committer, struct item **items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        metric_add(committer->outcomes[items[i]->outcome], 1);
        if (items[i]->done)
            items[i]->done(items[i]->arg, items[i]->outcome);
        free(items[i]);
    }
}

/* Waits for items and takes up to a batch; 0 when the thread shall end. */
static size_t take(struct committer *committer, struct item **ret_items)
{
    size_t n = 0;
    pthread_mutex_lock(&committer->lock);
    while (!committer->first && !committer->stopping)
        pthread_cond_wait(&committer->wake, &committer->lock);
    while (committer->first && n < committer->batch_max) {
        ret_items[n++] = committer->first;
        committer->first = committer->first->next;
    }
    if (!committer->first)
        committer->last = &committer->first;
    committer->count -= n;
    metric_set(committer->waiting, (int64_t)committer->count);
    pthread_mutex_unlock(&committer->lock);
    return n;
}

static void *run(void *arg)
{
    struct committer *committer = arg;
    struct arena *arena = arena_new(0);
    struct item **items = calloc(committer->batch_max, sizeof *items);
    pthread_setname_np(pthread_self(), "pn-committer");
    if (!items)
        abort(); /* at start, before anything was accepted */

    for (size_t n; (n = take(committer, items)) > 0;) {
        metric_add(committer->batches, 1);
        /* One item that the store cannot hold must not spoil the others' settlement. */
        if (batch_settle(committer->pay, arena, items, n) == RC_DATA && n > 1)
            for (size_t i = 0; i < n; i++)
                batch_settle(committer->pay, arena, &items[i], 1);
        finish(committer, items, n);
    }
    free(items);
    arena_free(arena);
    return NULL;
}

enum rc committer_new(struct pay *pay, struct committer **ret_committer, struct error *err)
{
    struct committer *committer = calloc(1, sizeof *committer);
    if (!committer)
        return error_set(err, RC_NOMEM, "out of memory");
    committer->pay = pay;
    committer->queue_max = (size_t)pay->config->server.settle_queue;
    committer->batch_max = (size_t)pay->config->server.settle_batch;
    committer->last = &committer->first;
    pthread_mutex_init(&committer->lock, NULL);
    pthread_cond_init(&committer->wake, NULL);
    for (int i = 0; i <= SETTLED_NOT; i++) {
        char label[64];
        snprintf(label, sizeof label, "outcome=\"%s\"", settle_outcome_name((enum settle_outcome)i));
        committer->outcomes[i] = metric_counter("paynotify_settlements_total", label, "What providers said, by outcome.");
    }
    committer->batches = metric_counter("paynotify_settlement_batches_total", NULL, "Transactions that settled something.");
    committer->waiting = metric_gauge("paynotify_settlements_waiting", NULL, "Settlements that wait for the committer.");
    *ret_committer = committer;
    return RC_OK;
}

enum rc committer_start(struct committer *committer, struct error *err)
{
    committer->accepting = true;
    if (pthread_create(&committer->thread, NULL, run, committer) != 0)
        return error_set(err, RC_INTERNAL, "cannot start the committer thread");
    committer->running = true;
    return RC_OK;
}

void committer_drain(struct committer *committer)
{
    pthread_mutex_lock(&committer->lock);
    committer->accepting = false;
    committer->stopping = true;
    pthread_cond_signal(&committer->wake);
    pthread_mutex_unlock(&committer->lock);
    if (committer->running)
        pthread_join(committer->thread, NULL);
    committer->running = false;
}

void committer_free(struct committer *committer)
{
    if (!committer)
        return;
    committer_drain(committer);
    pthread_mutex_destroy(&committer->lock);
    pthread_cond_destroy(&committer->wake);
    free(committer);
}
