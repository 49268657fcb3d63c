/*
 * The schedule's thread: takes what is due, with a lease, and lets workers ask the providers: siblings of a paid record,
 * closings that could not end at once, payments that an app's policy accepts late. At most FLIGHT_MAX at a time.
 */
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "pay/internal.h"

enum { FLIGHT_MAX = 64, POLL_MS = 1000, LEASE_MS = 60 * 1000, AGAIN_MS = 10 * 1000 };

struct follow_up {
    struct pay *pay;
    pthread_t thread;
    bool running;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t wake;
    size_t in_flight;
    bool woken, stopping;
};

/* One record being looked after. */
struct task {
    struct follow_up *follow_up;
    struct arena *arena;
    struct scheduled scheduled;
    struct pay_record record;
    struct order order;
};

static void task_end(struct task *task)
{
    struct follow_up *follow_up = task->follow_up;
    arena_free(task->arena);
    free(task);
    pthread_mutex_lock(&follow_up->lock);
    follow_up->in_flight--;
    pthread_cond_signal(&follow_up->wake);
    pthread_mutex_unlock(&follow_up->lock);
}

static void task_failed(struct task *task, const struct error *err)
{
    static struct log_limit limit;
    if (log_allow(&limit, 30))
        log_warn("a follow-up will be tried again", LOG_I("subject", task->scheduled.subject), LOG_S("detail", err->text));
    task_end(task);
}

static enum rc done_tx(struct tx *tx, void *arg, struct error *err)
{
    struct task *task = arg;
    return schedule_done(tx, task->scheduled.subject, task->scheduled.version, err);
}

static enum rc again_tx(struct tx *tx, void *arg, struct error *err)
{
    struct task *task = arg;
    return schedule_again(tx, task->scheduled.subject, task->scheduled.version, AGAIN_MS, ANSWER_UNKNOWN, err);
}

static void task_write(struct task *task, tx_fn fn)
{
    struct error err = { 0 };
    if (store_write(task->follow_up->pay->store, LANE_WORK, fn, task, &err) != RC_OK)
        task_failed(task, &err);
    else
        task_end(task);
}

static void closed(void *arg)
{
    struct task *task = arg;
    struct error err = { 0 };
    if (task->order.status == ORDER_CLOSING &&
        order_close_finish(task->follow_up->pay, task->order.order_id, task->arena, &task->order, &err) != RC_OK)
        task_failed(task, &err);
    else
        task_end(task);
}

static void inquired(void *arg, enum pn_state state, enum settle_outcome outcome, const struct error *err)
{
    struct task *task = arg;
    (void)err;
    bool learned = state != PN_STATE_UNKNOWN && outcome != SETTLED_NOT;
    if (outcome == SETTLED_LATE) /* the settlement has scheduled what comes of it */
        task_end(task);
    else
        task_write(task, learned ? done_tx : again_tx);
}

/* A record that is not open any more: accept it when it came late and the app wants that, or finish its order. */
static void look_after_settled(struct task *task)
{
    struct pay *pay = task->follow_up->pay;
    struct error err = { 0 };
    const struct config_app *app = config_app_find(pay->config, task->order.app);
    enum rc rc = RC_OK;
    if (task->record.status == PAYMENT_PAID && task->order.status == ORDER_CLOSED && app && app->late_payment == LATE_ACCEPT)
        rc = payment_accept(pay, task->record.pay_no, &err);
    else if (task->order.status == ORDER_CLOSING)
        rc = order_close_finish(pay, task->order.order_id, task->arena, &task->order, &err);
    if (rc == RC_CONFLICT) {
        log_notice("a late payment could not be accepted", LOG_I("pay_no", task->record.pay_no), LOG_S("detail", err.text));
        rc = RC_OK;
    }
    if (rc)
        task_failed(task, &err);
    else
        task_write(task, done_tx);
}

static void carried(void *arg)
{
    task_end(arg);
}

static enum rc load_tx(struct tx *tx, void *arg, struct error *err)
{
    struct task *task = arg;
    enum rc rc = record_get(tx, task->scheduled.subject, task->arena, &task->record, err);
    return rc ? rc : order_get(tx, task->record.order_id, task->arena, &task->order, err);
}

/* On a worker. */
static void look_after(void *arg)
{
    struct task *task = arg;
    struct pay *pay = task->follow_up->pay;
    struct error err = { 0 };
    if (task->scheduled.task == TASK_REFUND) {
        refund_carry_on(pay, &task->scheduled, task->arena, carried, task);
        return;
    }
    enum rc rc = store_read(pay->store, load_tx, task, &err);
    if (rc == RC_NOT_FOUND)
        task_write(task, done_tx);
    else if (rc)
        task_failed(task, &err);
    else if (task->record.status == PAYMENT_PAID || task->record.status == PAYMENT_REFUNDED ||
             (task->record.status == PAYMENT_CLOSED && task->order.status == ORDER_CLOSING))
        look_after_settled(task);
    else if (task->scheduled.task == TASK_CLOSE && task->record.status == PAYMENT_UNPAID)
        record_close_at_provider(pay, &task->order, &task->record, &task->scheduled, true, task->arena, closed, task);
    else
        provider_inquire(pay, &(struct provider_ask){ .order = &task->order, .record = &task->record, .background = true },
                         task->arena, inquired, task);
}

/* ------------------------------------------------------------------------------------------------ the thread */

struct claim {
    const char *channel;
    int64_t claim;
    size_t limit;
    struct arena *arena;
    struct scheduled *found;
    size_t count;
};

static enum rc claim_tx(struct tx *tx, void *arg, struct error *err)
{
    struct claim *claim = arg;
    return schedule_claim(tx, claim->channel, claim->limit, claim->claim, LEASE_MS, claim->arena, &claim->found, &claim->count, err);
}

static void start_task(struct follow_up *follow_up, const struct scheduled *scheduled)
{
    struct task *task = calloc(1, sizeof *task);
    if (!task)
        return; /* the lease brings it back */
    *task = (struct task){ .follow_up = follow_up, .arena = arena_new(0), .scheduled = *scheduled };
    pthread_mutex_lock(&follow_up->lock);
    follow_up->in_flight++;
    pthread_mutex_unlock(&follow_up->lock);
    pool_continue(follow_up->pay->options.workers, look_after, task);
}

static size_t claim_and_start(struct follow_up *follow_up, const char *channel, size_t limit)
{
    struct error err = { 0 };
    struct claim claim = { .channel = channel, .claim = follow_up->pay->options.incarnation, .limit = limit, .arena = arena_new(0) };
    if (store_write(follow_up->pay->store, LANE_POLL, claim_tx, &claim, &err) == RC_OK)
        for (size_t i = 0; i < claim.count; i++)
            start_task(follow_up, &claim.found[i]);
    else
        claim.count = 0;
    arena_free(claim.arena);
    return claim.count;
}

/* Waits until there is something to do; the number of free places, or 0 to end. */
static size_t wait_for_work(struct follow_up *follow_up)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += POLL_MS / 1000;
    pthread_mutex_lock(&follow_up->lock);
    int timed_out = 0;
    while (!follow_up->stopping && ((!follow_up->woken && !timed_out) || follow_up->in_flight >= FLIGHT_MAX)) {
        if (timed_out)
            pthread_cond_wait(&follow_up->wake, &follow_up->lock);
        else
            timed_out = pthread_cond_timedwait(&follow_up->wake, &follow_up->lock, &until) != 0;
    }
    size_t places = follow_up->stopping ? 0 : FLIGHT_MAX - follow_up->in_flight;
    follow_up->woken = false;
    pthread_mutex_unlock(&follow_up->lock);
    return places;
}

static void *run(void *arg)
{
    struct follow_up *follow_up = arg;
    pthread_setname_np(pthread_self(), "pn-follow-up");
    for (size_t places; (places = wait_for_work(follow_up)) > 0;)
        for (size_t i = 0; i < follow_up->pay->config->channel_count; i++)
            if (claim_and_start(follow_up, follow_up->pay->config->channels[i].name, places) == places)
                follow_up_wake(follow_up);
    return NULL;
}

enum rc follow_up_new(struct pay *pay, struct follow_up **ret_follow_up, struct error *err)
{
    struct follow_up *follow_up = calloc(1, sizeof *follow_up);
    if (!follow_up)
        return error_set(err, RC_NOMEM, "out of memory");
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&follow_up->wake, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&follow_up->lock, NULL);
    follow_up->pay = pay;
    *ret_follow_up = follow_up;
    return RC_OK;
}

enum rc follow_up_start(struct follow_up *follow_up, struct error *err)
{
    if (pthread_create(&follow_up->thread, NULL, run, follow_up) != 0)
        return error_set(err, RC_INTERNAL, "cannot start the follow-up thread");
    follow_up->running = true;
    return RC_OK;
}

void follow_up_wake(struct follow_up *follow_up)
{
    pthread_mutex_lock(&follow_up->lock);
    follow_up->woken = true;
    pthread_cond_signal(&follow_up->wake);
    pthread_mutex_unlock(&follow_up->lock);
}

void follow_up_stop(struct follow_up *follow_up)
{
    pthread_mutex_lock(&follow_up->lock);
    follow_up->stopping = true;
    pthread_cond_signal(&follow_up->wake);
    pthread_mutex_unlock(&follow_up->lock);
    if (follow_up->running)
        pthread_join(follow_up->thread, NULL);
    follow_up->running = false;
}

void follow_up_free(struct follow_up *follow_up)
{
    if (!follow_up)
        return;
    follow_up_stop(follow_up);
    pthread_mutex_destroy(&follow_up->lock);
    pthread_cond_destroy(&follow_up->wake);
    free(follow_up);
}
