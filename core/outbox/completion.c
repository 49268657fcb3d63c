/*
 * The completion writer of completion.h. One thread: collects outcomes for a moment, writes them in one transaction, and
 * keeps what could not be written until the leases end; after that the rows are claimed and delivered again, which is
 * the price of at-least-once and not a loss.
 */
#include "config.h"

#include "outbox/completion.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/text.h"
#include "outbox/wait.h"

enum { BATCH_MAX = 1000, LINGER_MS = 10, BACKLOG_MAX = 16 * 1024, RETRY_FIRST_MS = 100, RETRY_MAX_MS = 2000, REASON_MAX = 200 };

struct completion {
    struct store *store;
    int64_t claim;
    void (*freed)(void *arg);
    void *freed_arg;
    pthread_t thread;
    bool running;

    pthread_mutex_t lock; /* guards these */
    pthread_cond_t wake;
    struct done *waiting;
    size_t count, cap;
    bool stopping;
    int64_t stop_at; /* monotonic */

    _Atomic size_t backlog; /* waiting and being written */
    struct done batch[BATCH_MAX]; /* the thread's own, as is what follows */
    struct outbox_result results[BATCH_MAX];
    struct metric *batches, *written, *lost, *backlog_gauge;
};

/* ---- writing */

struct job {
    struct completion *completion;
    size_t from, count;
    size_t freed;
};

static enum rc write_job(struct tx *tx, void *arg, struct error *err)
{
    struct job *job = arg;
    job->freed = 0;
    return outbox_complete(tx, job->completion->results + job->from, job->count, &job->freed, err);
}

static enum rc write_range(struct completion *c, size_t from, size_t count, struct error *err)
{
    struct job job = { .completion = c, .from = from, .count = count };
    enum rc rc = store_write(c->store, LANE_COMPLETE, write_job, &job, err);
    if (rc == RC_OK) {
        metric_add(c->batches, 1);
        metric_add(c->written, (int64_t)count);
        if (job.freed > 0)
            c->freed(c->freed_arg);
    }
    return rc;
}

/* The store refuses something in the batch: everything else is written all the same. */
static enum rc write_singly(struct completion *c, size_t count, struct error *err)
{
    for (size_t i = 0; i < count; i++) {
        enum rc rc = write_range(c, i, 1, err);
        if (rc == RC_DATA)
            log_error("an outcome cannot be written; the event will be delivered again", LOG_S("sink", c->results[i].sink),
                      LOG_I("event_id", c->results[i].event_id), LOG_S("detail", err->text));
        else if (rc)
            return rc; /* what was written before stays written: doing it again finds nothing to do */
    }
    return RC_OK;
}

static enum rc write_batch(struct completion *c, size_t count, struct error *err)
{
    for (size_t i = 0; i < count; i++) {
        const struct done *done = &c->batch[i];
        c->results[i] = (struct outbox_result){
            .event_id = done->event_id,
            .sink = done->sink,
            .claim = c->claim,
            .end = done->end,
            .retry_in_ms = done->retry_in_ms,
            .attempts = done->attempts,
            .reason = done->reason,
        };
    }
    enum rc rc = write_range(c, 0, count, err);
    return rc == RC_DATA ? write_singly(c, count, err) : rc;
}

/* Forgets outcomes whose lease is over: their rows may be somebody else's by now. */
static size_t drop_expired(struct completion *c, size_t count)
{
    int64_t now = mono_ms();
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (c->batch[i].lease_until > now)
            c->batch[kept++] = c->batch[i];
        else
            free(c->batch[i].reason);
    }
    metric_add(c->lost, (int64_t)(count - kept));
    return kept;
}

/* True when it is no use to go on trying: the server is stopping and its time is up. */
static bool pause_or_give_up(struct completion *c, int64_t ms)
{
    pthread_mutex_lock(&c->lock);
    int64_t until = mono_ms() + ms;
    bool over;
    while (!(over = c->stopping && mono_ms() >= c->stop_at) && mono_ms() < until)
        wait_until(&c->wake, &c->lock, c->stopping && c->stop_at < until ? c->stop_at : until);
    pthread_mutex_unlock(&c->lock);
    return over;
}

/* False when it was given up. */
static bool settle_batch(struct completion *c, size_t count)
{
    static struct log_limit limit;
    size_t taken = count;
    bool over = false;
    for (int64_t pause = RETRY_FIRST_MS; count > 0; pause = pause * 2 < RETRY_MAX_MS ? pause * 2 : RETRY_MAX_MS) {
        struct error err = { 0 };
        if (write_batch(c, count, &err) == RC_OK)
            break;
        if (log_allow(&limit, 6))
            log_warn("outcomes of deliveries cannot be written yet", LOG_I("count", count), LOG_S("detail", err.text));
        if ((over = pause_or_give_up(c, pause)))
            break;
        count = drop_expired(c, count);
    }
    for (size_t i = 0; i < count; i++)
        free(c->batch[i].reason);
    size_t left = atomic_fetch_sub(&c->backlog, taken) - taken;
    metric_set(c->backlog_gauge, (int64_t)left);
    return !over;
}

/* ---- the thread */

/* A moment's waiting makes one transaction of many outcomes; deliveries themselves do not wait for it. */
static size_t take_batch(struct completion *c)
{
    pthread_mutex_lock(&c->lock);
    while (c->count == 0 && !c->stopping)
        pthread_cond_wait(&c->wake, &c->lock);
    int64_t until = mono_ms() + LINGER_MS;
    while (c->count < BATCH_MAX && !c->stopping && mono_ms() < until)
        wait_until(&c->wake, &c->lock, until);
    size_t n = c->count < BATCH_MAX ? c->count : BATCH_MAX;
    if (n > 0) {
        memcpy(c->batch, c->waiting, n * sizeof *c->batch);
        memmove(c->waiting, c->waiting + n, (c->count - n) * sizeof *c->waiting);
    }
    c->count -= n;
    pthread_mutex_unlock(&c->lock);
    return n;
}

static void *completion_main(void *arg)
{
    struct completion *c = arg;
    pthread_setname_np(pthread_self(), "pn-complete");
    for (size_t n; (n = take_batch(c)) > 0;)
        if (!settle_batch(c, n))
            break;
    return NULL;
}

/* ---- the others' side */

static bool grow(struct completion *c, size_t wanted)
{
    size_t cap = c->cap ? c->cap : BATCH_MAX;
    while (cap < wanted)
        cap *= 2;
    struct done *waiting = cap == c->cap ? c->waiting : realloc(c->waiting, cap * sizeof *waiting);
    if (!waiting)
        return false;
    c->waiting = waiting;
    c->cap = cap;
    return true;
}

void completion_add(struct completion *c, const struct done *items, size_t count)
{
    if (count == 0)
        return;
    atomic_fetch_add(&c->backlog, count);
    pthread_mutex_lock(&c->lock);
    size_t before = c->count;
    bool taken = grow(c, before + count);
    if (taken) {
        memcpy(c->waiting + before, items, count * sizeof *items);
        c->count += count;
    }
    /* the thread sleeps for the first one, and for a batch being full */
    bool wake = taken && (before == 0 || (before < BATCH_MAX && c->count >= BATCH_MAX));
    pthread_mutex_unlock(&c->lock);
    if (wake)
        pthread_cond_signal(&c->wake);
    if (!taken) {
        atomic_fetch_sub(&c->backlog, count);
        for (size_t i = 0; i < count; i++)
            free(items[i].reason);
    }
}

bool completion_full(struct completion *c)
{
    return atomic_load_explicit(&c->backlog, memory_order_relaxed) >= BACKLOG_MAX;
}

char *completion_reason(const char *text)
{
    if (!text || !*text)
        return NULL;
    size_t n = strnlen(text, REASON_MAX);
    while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
        n--; /* not in the middle of a character */
    if (!text_is_utf8(text, n))
        return strdup("the sink gave a reason that is no UTF-8");
    char *copy = strndup(text, n);
    for (char *c = copy; c && *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = ' ';
    return copy;
}

/* ---- life */

enum rc completion_new(struct store *store, int64_t claim, void (*freed)(void *arg), void *arg, struct completion **ret,
                       struct error *err)
{
    struct completion *c = calloc(1, sizeof *c);
    if (!c)
        return error_set(err, RC_NOMEM, "no memory for the completion writer");
    c->store = store;
    c->claim = claim;
    c->freed = freed;
    c->freed_arg = arg;
    c->batches = metric_counter("paynotify_completion_batches_total", NULL, "Transactions that settled deliveries.");
    c->written = metric_counter("paynotify_completions_total", NULL, "Deliveries settled in the store.");
    c->lost = metric_counter("paynotify_completions_expired_total", NULL, "Outcomes forgotten because the store was away for too long.");
    c->backlog_gauge = metric_gauge("paynotify_completion_backlog", NULL, "Outcomes that wait to be written.");
    pthread_mutex_init(&c->lock, NULL);
    wait_init(&c->wake);
    if (pthread_create(&c->thread, NULL, completion_main, c) != 0) {
        completion_free(c);
        return error_set(err, RC_INTERNAL, "cannot start the completion writer");
    }
    c->running = true;
    *ret = c;
    return RC_OK;
}

void completion_stop(struct completion *c, int64_t max_ms)
{
    if (!c || !c->running)
        return;
    pthread_mutex_lock(&c->lock);
    c->stopping = true;
    c->stop_at = mono_ms() + max_ms;
    pthread_mutex_unlock(&c->lock);
    pthread_cond_broadcast(&c->wake);
    pthread_join(c->thread, NULL);
    c->running = false;
}

void completion_free(struct completion *c)
{
    if (!c)
        return;
    completion_stop(c, 0);
    for (size_t i = 0; i < c->count; i++)
        free(c->waiting[i].reason);
    free(c->waiting);
    pthread_cond_destroy(&c->wake);
    pthread_mutex_destroy(&c->lock);
    free(c);
}
