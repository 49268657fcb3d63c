/*
 * Hints: somebody says, without proof, that something happened to a payment. Nothing of it is believed; the provider is
 * asked, and its answer is settled like any other. How often is bounded, because anybody may send hints: the same one
 * counts for nothing while it is asked about and WINDOW_MS after that, and each channel has its tokens. HTTP threads and workers call
 * pay_hint; the rest runs on workers.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/ids.h"
#include "pay/internal.h"

enum { CHAINS = 256, WINDOW_MS = 5000, TOKENS_PER_SECOND = 20, TOKENS_MAX = 100, SOURCES = HINT_RETURN + 1 };

/* What was asked about lately. In its chain until WINDOW_MS after its end. */
struct hint {
    struct hint *next;
    struct pay *pay;
    const char *channel;
    int64_t pay_no, refund_no; /* refund_no 0: about the payment */
    int64_t until_ms;          /* 0: it is being asked */

    /* for the worker that asks */
    hint_done done; /* or NULL */
    void *arg;
    struct arena *arena;
    struct pay_record record;
    struct order order;
};

struct bucket {
    int64_t tokens, filled_ms; /* tokens in thousandths */
};

struct hints {
    pthread_mutex_t lock; /* guards everything */
    struct hint *chains[CHAINS];
    struct bucket *buckets; /* by channel, then by source */
};

enum rc hints_new(const struct config *config, struct hints **ret_hints, struct error *err)
{
    struct hints *hints = calloc(1, sizeof *hints);
    struct bucket *buckets = calloc(config->channel_count * SOURCES + 1, sizeof *buckets);
    if (!hints || !buckets) {
        free(hints);
        free(buckets);
        return error_set(err, RC_NOMEM, "out of memory");
    }
    for (size_t i = 0; i < config->channel_count * SOURCES; i++)
        buckets[i] = (struct bucket){ .tokens = TOKENS_MAX * 1000, .filled_ms = mono_ms() };
    hints->buckets = buckets;
    pthread_mutex_init(&hints->lock, NULL);
    *ret_hints = hints;
    return RC_OK;
}

void hints_free(struct hints *hints)
{
    if (!hints)
        return;
    for (size_t i = 0; i < CHAINS; i++)
        for (struct hint *hint = hints->chains[i], *next; hint; hint = next) {
            next = hint->next;
            free(hint);
        }
    pthread_mutex_destroy(&hints->lock);
    free(hints->buckets);
    free(hints);
}

static void count(const char *channel, const char *outcome)
{
    struct buf labels = { 0 };
    buf_addf(&labels, "channel=\"%s\",outcome=\"%s\"", channel, outcome);
    metric_add(metric_counter("paynotify_hints_total", buf_text(&labels), "Hints about payments, by what became of them."), 1);
    buf_free(&labels);
}

/* ---- the books of what was asked; the lock is held */

static struct hint **chain_of(struct hints *hints, int64_t pay_no)
{
    return &hints->chains[((uint64_t)pay_no * UINT64_C(0x9E3779B97F4A7C15)) >> 56];
}

/* The one that is being asked, or was lately; takes the others that have had their time out of the chain. */
static struct hint *find(struct hints *hints, const char *channel, int64_t pay_no, int64_t refund_no, int64_t now)
{
    struct hint *found = NULL;
    for (struct hint **link = chain_of(hints, pay_no); *link;) {
        struct hint *hint = *link;
        if (hint->until_ms && hint->until_ms <= now) {
            *link = hint->next;
            free(hint);
            continue;
        }
        if (hint->pay_no == pay_no && hint->refund_no == refund_no && hint->channel == channel)
            found = hint;
        link = &hint->next;
    }
    return found;
}

static bool take_token(struct bucket *bucket, int64_t now)
{
    bucket->tokens += (now - bucket->filled_ms) * TOKENS_PER_SECOND;
    bucket->filled_ms = now;
    if (bucket->tokens > TOKENS_MAX * 1000)
        bucket->tokens = TOKENS_MAX * 1000;
    if (bucket->tokens < 1000)
        return false;
    bucket->tokens -= 1000;
    return true;
}

/* ---- asking */

static void hint_end(struct hint *hint, bool answered, const char *outcome)
{
    struct hints *hints = hint->pay->hints;
    hint_done done = hint->done;
    void *arg = hint->arg;
    count(hint->channel, outcome);
    arena_free(hint->arena);
    hint->arena = NULL;
    pthread_mutex_lock(&hints->lock);
    hint->until_ms = mono_ms() + WINDOW_MS; /* from here on it may go at any time */
    pthread_mutex_unlock(&hints->lock);
    if (done)
        done(arg, answered);
}

static void inquired(void *arg, enum pn_state state, enum settle_outcome outcome, const struct error *err)
{
    (void)err;
    bool answered = state != PN_STATE_UNKNOWN && outcome != SETTLED_NOT;
    hint_end(arg, answered, answered ? "answered" : "unanswered");
}

static void ask_about_payment(struct hint *hint)
{
    provider_inquire(hint->pay, &(struct provider_ask){ .order = &hint->order, .record = &hint->record, .background = true },
                     hint->arena, inquired, hint);
}

/* A refund that is not in our books was made in the provider's console: its payment tells. */
static void refund_known(void *arg, bool learned)
{
    struct hint *hint = arg;
    if (learned)
        hint_end(hint, true, "answered");
    else
        ask_about_payment(hint);
}

static enum rc load_tx(struct tx *tx, void *arg, struct error *err)
{
    struct hint *hint = arg;
    enum rc rc = record_get(tx, hint->pay_no, hint->arena, &hint->record, err);
    return rc ? rc : order_get(tx, hint->record.order_id, hint->arena, &hint->order, err);
}

/* On a worker. */
static void look_into(void *arg)
{
    struct hint *hint = arg;
    struct error err = { 0 };
    hint->arena = arena_new(0);
    enum rc rc = store_read(hint->pay->store, load_tx, hint, &err);
    if (rc == RC_NOT_FOUND || (rc == RC_OK && strcmp(hint->record.channel, hint->channel) != 0))
        hint_end(hint, false, "no_such_payment");
    else if (rc)
        hint_end(hint, false, "unanswered");
    else if (hint->refund_no)
        refund_inquire(hint->pay, hint->refund_no, true, hint->arena, refund_known, hint);
    else
        ask_about_payment(hint);
}

/* ---- hints come in */

/* Under the lock: begins what was not asked about lately. The outcome when it does not, NULL otherwise. A question that has
 * left is not waited for: its answer may be older than what this hint is about, and its sender comes again. */
static const char *enter(struct pay *pay, const struct hint *wanted, size_t bucket, struct hint **ret_new)
{
    struct hints *hints = pay->hints;
    int64_t now = mono_ms();
    if (find(hints, wanted->channel, wanted->pay_no, wanted->refund_no, now))
        return "too_soon";
    if (!take_token(&hints->buckets[bucket], now))
        return "too_many";
    struct hint *hint = malloc(sizeof *hint);
    if (!hint)
        return "unanswered";
    *hint = *wanted;
    struct hint **chain = chain_of(hints, hint->pay_no);
    hint->next = *chain;
    *chain = hint;
    *ret_new = hint;
    return NULL;
}

void pay_hint(struct pay *pay, const char *channel_name, const char *pay_no, const char *refund_no, enum hint_source source,
              hint_done done, void *arg)
{
    const struct config_channel *channel = config_channel_find(pay->config, channel_name);
    struct hint wanted = { .pay = pay, .done = done, .arg = arg }, *begun = NULL;
    const char *outcome = "no_such_payment";
    if (channel && id_parse(pay_no, &wanted.pay_no)) {
        wanted.channel = channel->name;
        if (!refund_no || !id_parse(refund_no, &wanted.refund_no))
            wanted.refund_no = 0; /* no number of ours */
        pthread_mutex_lock(&pay->hints->lock);
        outcome = enter(pay, &wanted, (size_t)(channel - pay->config->channels) * SOURCES + (size_t)source, &begun);
        pthread_mutex_unlock(&pay->hints->lock);
    }
    if (outcome) {
        if (channel)
            count(channel->name, outcome);
        if (done)
            done(arg, false);
    } else if (begun && pool_post(pay->options.workers, look_into, begun) != RC_OK) {
        hint_end(begun, false, "too_many");
    }
}
