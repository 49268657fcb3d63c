/*
 * The schedule's thread: one transaction per turn writes how tasks ended, removes what has nothing left to ask, and claims
 * what is due, for each channel as much as its provider may be asked at a time; workers do the tasks (task.c). So a query
 * that taught nothing costs no commit of its own, and a slow provider holds up no other.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "pay/backlog.h"
#include "pay/task.h"

enum {
    POLL_MS = 1000,      /* what other servers wrote, and what became due by itself, is found by then */
    GAP_MS = 20,         /* between turns, however often it is woken */
    GATHER_MS = 50,      /* ended tasks wait so long for company */
    GATHER_MAX = 128,    /* or for so many */
    CLAIM_MAX = 128,     /* rows of a channel in one turn, so that settlements never wait for long */
    PRUNE_MAX = 512,
    EXPIRIES_MAX = 32,   /* orders that are being ended at a time */
    IN_FLIGHT_DEFAULT = 512
};

/* One channel's part of the schedule, or the expiries. The follow-up's thread but for in_flight. */
struct feed {
    const char *channel; /* "" for expiries */
    size_t bound;        /* tasks at a time */
    int64_t lease_ms;
    size_t in_flight;    /* under the lock */
    size_t limit;        /* of this turn's claim */
    bool prune;          /* in this turn */
    int64_t prune_at;    /* monotonic */
    struct metric *in_flight_now;
};

/* One claimed row, until its end is written. */
struct flight {
    struct flight *next;
    struct follow_up *follow_up;
    struct feed *feed;
    struct arena *arena;
    struct scheduled scheduled;
    struct task_end end;
};

struct follow_up {
    struct pay *pay;
    pthread_t thread;
    bool running;
    struct feed *feeds;
    size_t feed_count;
    struct backlog *backlog;

    pthread_mutex_t lock; /* guards what follows, and in_flight */
    pthread_cond_t wake;
    struct flight *ended; /* not written yet, newest first */
    size_t ended_count;
    int64_t ended_at; /* monotonic: the oldest of them */
    int64_t quiet_until; /* monotonic: the store is away */
    bool woken, stopping;
};

/* ------------------------------------------------------------------------------------------------ tasks */

static void count_end(const struct flight *flight)
{
    static const char *const tasks[] = { [TASK_QUERY] = "query",   [TASK_CHECK] = "check",   [TASK_CLOSE] = "close",
                                         [TASK_POLICY] = "policy", [TASK_REFUND] = "refund", [TASK_EXPIRE] = "expire" };
    static const char *const answers[] = { [ANSWER_LEARNED] = "again", [ANSWER_UNKNOWN] = "unknown", [ANSWER_NOT_ASKED] = "not_asked" };
    unsigned task = flight->scheduled.task;
    char labels[64];
    snprintf(labels, sizeof labels, "task=\"%s\",end=\"%s\"", task < sizeof tasks / sizeof *tasks && tasks[task] ? tasks[task] : "other",
             flight->end.kind == TASK_AGAIN ? answers[flight->end.answer] : "done");
    metric_add(metric_counter("paynotify_schedule_tasks_total", labels, "What the schedule had done, by how it ended."), 1);
}

/* On a worker. */
static void landed(void *arg, const struct task_end *end)
{
    struct flight *flight = arg;
    struct follow_up *follow_up = flight->follow_up;
    flight->end = *end;
    arena_free(flight->arena);
    flight->arena = NULL;
    count_end(flight);

    pthread_mutex_lock(&follow_up->lock);
    metric_set(flight->feed->in_flight_now, (int64_t)--flight->feed->in_flight);
    if (follow_up->ended_count == 0)
        follow_up->ended_at = mono_ms();
    flight->next = follow_up->ended;
    follow_up->ended = flight;
    follow_up->ended_count++;
    if (follow_up->ended_count == 1 || follow_up->ended_count == GATHER_MAX)
        pthread_cond_signal(&follow_up->wake);
    pthread_mutex_unlock(&follow_up->lock);
}

static void take_off(void *arg)
{
    struct flight *flight = arg;
    task_run(flight->follow_up->pay, &flight->scheduled, flight->arena, landed, flight);
}

static void start_task(struct follow_up *follow_up, struct feed *feed, const struct scheduled *scheduled)
{
    struct flight *flight = calloc(1, sizeof *flight);
    if (!flight)
        return; /* the lease brings it back */
    *flight = (struct flight){ .follow_up = follow_up, .feed = feed, .arena = arena_new(0), .scheduled = *scheduled };
    flight->scheduled.channel = feed->channel;
    pthread_mutex_lock(&follow_up->lock);
    metric_set(feed->in_flight_now, (int64_t)++feed->in_flight);
    pthread_mutex_unlock(&follow_up->lock);
    pool_continue(follow_up->pay->options.workers, take_off, flight);
}

static void free_flights(struct flight *flight)
{
    while (flight) {
        struct flight *next = flight->next;
        free(flight);
        flight = next;
    }
}

/* ------------------------------------------------------------------------------------------------ one turn */

struct claim {
    struct scheduled *rows;
    size_t count, pruned;
};

struct turn {
    struct follow_up *follow_up;
    struct flight **ended; /* by subject, so that two servers cannot each wait for a row of the other */
    size_t ended_count;
    struct claim *claims; /* one for each feed */
    struct arena *arena;
};

static enum rc write_end(struct tx *tx, const struct flight *flight, struct error *err)
{
    const struct scheduled *scheduled = &flight->scheduled;
    switch (flight->end.kind) {
    case TASK_AGAIN:
        return schedule_again(tx, scheduled->subject, scheduled->version, flight->end.wait_ms, flight->end.answer, err);
    case TASK_OVER:
        return schedule_done(tx, scheduled->subject, scheduled->version, err);
    case TASK_LEFT:
        break;
    }
    return RC_OK;
}

static enum rc claim_feed(struct turn *turn, struct tx *tx, const struct feed *feed, struct claim *claim, struct error *err)
{
    enum rc rc = RC_OK;
    *claim = (struct claim){ 0 };
    if (feed->prune)
        rc = schedule_prune(tx, feed->channel, PRUNE_MAX, &claim->pruned, err);
    if (rc == RC_OK && feed->limit > 0)
        rc = schedule_claim(tx, feed->channel, feed->limit, turn->follow_up->pay->options.incarnation, feed->lease_ms, turn->arena,
                            &claim->rows, &claim->count, err);
    return rc;
}

static enum rc turn_tx(struct tx *tx, void *arg, struct error *err)
{
    struct turn *turn = arg;
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < turn->ended_count; i++)
        rc = write_end(tx, turn->ended[i], err);
    for (size_t i = 0; rc == RC_OK && i < turn->follow_up->feed_count; i++)
        rc = claim_feed(turn, tx, &turn->follow_up->feeds[i], &turn->claims[i], err);
    return rc;
}

static int by_subject(const void *a, const void *b)
{
    int64_t x = (*(struct flight *const *)a)->scheduled.subject, y = (*(struct flight *const *)b)->scheduled.subject;
    return (x > y) - (x < y);
}

/* Takes the ended tasks off the list, and says how much each feed may claim. */
static struct flight *prepare(struct follow_up *follow_up, size_t *ret_count)
{
    int64_t now = mono_ms();
    pthread_mutex_lock(&follow_up->lock);
    struct flight *ended = follow_up->ended;
    *ret_count = follow_up->ended_count;
    follow_up->ended = NULL;
    follow_up->ended_count = 0;
    for (size_t i = 0; i < follow_up->feed_count; i++) {
        struct feed *feed = &follow_up->feeds[i];
        feed->limit = feed->bound - feed->in_flight;
    }
    pthread_mutex_unlock(&follow_up->lock);
    for (size_t i = 0; i < follow_up->feed_count; i++) {
        struct feed *feed = &follow_up->feeds[i];
        size_t room = feed->channel[0] ? provider_room(follow_up->pay, feed->channel) : EXPIRIES_MAX;
        feed->limit = feed->limit < room ? feed->limit : room;
        feed->limit = feed->limit < CLAIM_MAX ? feed->limit : CLAIM_MAX;
        feed->prune = now >= feed->prune_at;
    }
    return ended;
}

static void start_claimed(struct follow_up *follow_up, const struct claim *claims)
{
    bool more = false;
    for (size_t i = 0; i < follow_up->feed_count; i++) {
        struct feed *feed = &follow_up->feeds[i];
        /* Where many were moot there are likely to be more; where most are open, looking again finds the same ones. */
        bool prune_on = claims[i].pruned >= PRUNE_MAX / 4;
        if (feed->prune)
            feed->prune_at = prune_on ? 0 : mono_ms() + POLL_MS;
        more = more || prune_on || (feed->limit > 0 && claims[i].count == feed->limit);
        for (size_t j = 0; j < claims[i].count; j++)
            start_task(follow_up, feed, &claims[i].rows[j]);
    }
    if (more)
        follow_up_wake(follow_up);
}

/* What could not be written is tried again with the next turn; when it has lost its lease by then, nothing happens. */
static void put_back(struct follow_up *follow_up, struct flight *ended, size_t count, const struct error *err)
{
    static struct log_limit limit;
    if (log_allow(&limit, 30))
        log_warn("the schedule cannot be read or written; it will be tried again", LOG_S("detail", err->text));
    struct flight *last = ended;
    while (last && last->next)
        last = last->next;
    pthread_mutex_lock(&follow_up->lock);
    if (last) {
        last->next = follow_up->ended;
        follow_up->ended = ended;
        follow_up->ended_count += count;
    }
    follow_up->quiet_until = mono_ms() + POLL_MS;
    pthread_mutex_unlock(&follow_up->lock);
}

static void take_turn(struct follow_up *follow_up)
{
    struct error err = { 0 };
    struct turn turn = { .follow_up = follow_up, .arena = arena_new(0) };
    struct flight *ended = prepare(follow_up, &turn.ended_count);
    turn.ended = arena_alloc(turn.arena, turn.ended_count * sizeof *turn.ended);
    turn.claims = arena_alloc(turn.arena, follow_up->feed_count * sizeof *turn.claims);
    enum rc rc = turn.ended && turn.claims ? RC_OK : error_set(&err, RC_NOMEM, "out of memory");
    size_t i = 0;
    for (struct flight *one = ended; rc == RC_OK && one; one = one->next)
        turn.ended[i++] = one;
    if (rc == RC_OK && turn.ended_count)
        qsort(turn.ended, turn.ended_count, sizeof *turn.ended, by_subject);
    if (rc == RC_OK)
        rc = store_write(follow_up->pay->store, LANE_POLL, turn_tx, &turn, &err);
    if (rc) {
        put_back(follow_up, ended, turn.ended_count, &err);
    } else {
        free_flights(ended);
        start_claimed(follow_up, turn.claims);
    }
    arena_free(turn.arena);
}

/* ------------------------------------------------------------------------------------------------ the thread */

static void wait_until(struct follow_up *follow_up, int64_t at_ms)
{
    struct timespec until = { .tv_sec = at_ms / 1000, .tv_nsec = at_ms % 1000 * 1000000 };
    pthread_cond_timedwait(&follow_up->wake, &follow_up->lock, &until);
}

/* When the next turn is due, as things are. Under the lock. */
static int64_t next_turn(const struct follow_up *follow_up, int64_t last_ms)
{
    int64_t at = last_ms + POLL_MS;
    if (follow_up->ended_count && follow_up->ended_at + GATHER_MS < at)
        at = follow_up->ended_at + GATHER_MS;
    if (follow_up->woken || follow_up->ended_count >= GATHER_MAX)
        at = last_ms;
    if (at < follow_up->quiet_until)
        at = follow_up->quiet_until;
    return at < last_ms + GAP_MS ? last_ms + GAP_MS : at;
}

/* False: the thread shall end. */
static bool wait_for_turn(struct follow_up *follow_up, int64_t last_ms)
{
    pthread_mutex_lock(&follow_up->lock);
    for (int64_t at; !follow_up->stopping && mono_ms() < (at = next_turn(follow_up, last_ms));)
        wait_until(follow_up, at);
    bool go_on = !follow_up->stopping;
    follow_up->woken = false;
    pthread_mutex_unlock(&follow_up->lock);
    return go_on;
}

static void *run(void *arg)
{
    struct follow_up *follow_up = arg;
    pthread_setname_np(pthread_self(), "pn-follow-up");
    for (int64_t last_ms = mono_ms() - GAP_MS; wait_for_turn(follow_up, last_ms);) {
        last_ms = mono_ms();
        take_turn(follow_up);
        backlog_look(follow_up->backlog);
    }
    return NULL;
}

static void make_feeds(struct follow_up *follow_up)
{
    const struct config *config = follow_up->pay->config;
    for (size_t i = 0; i < config->channel_count; i++) {
        const struct config_channel *channel = &config->channels[i];
        size_t max = channel->max_in_flight ? (size_t)channel->max_in_flight : IN_FLIGHT_DEFAULT;
        follow_up->feeds[i] = (struct feed){ .channel = channel->name, .bound = client_background_max(max),
                                             .lease_ms = record_lease_ms(follow_up->pay, channel->name) };
    }
    follow_up->feeds[config->channel_count] =
        (struct feed){ .channel = "", .bound = EXPIRIES_MAX, .lease_ms = record_lease_ms(follow_up->pay, "") };
    follow_up->feed_count = config->channel_count + 1;
    for (size_t i = 0; i < follow_up->feed_count; i++)
        follow_up->feeds[i].in_flight_now = metric_gauge_of("paynotify_schedule_in_flight", "channel",
                                                            backlog_label(follow_up->feeds[i].channel),
                                                            "Tasks of the schedule under way.");
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
    follow_up->feeds = calloc(pay->config->channel_count + 1, sizeof *follow_up->feeds);
    follow_up->backlog = backlog_new(pay);
    if (!follow_up->feeds || !follow_up->backlog) {
        follow_up_free(follow_up);
        return error_set(err, RC_NOMEM, "out of memory");
    }
    make_feeds(follow_up);
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
    free_flights(follow_up->ended);
    backlog_free(follow_up->backlog);
    free(follow_up->feeds);
    pthread_mutex_destroy(&follow_up->lock);
    pthread_cond_destroy(&follow_up->wake);
    free(follow_up);
}
