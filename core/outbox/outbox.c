/*
 * The outbox's life: made and started by main, stopped after the last settlement was committed; and how it stands, for
 * /readyz. The threads are in relay.c, completion.c, poller.c and watchdog.c.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "outbox/internal.h"
#include "outbox/wait.h"

enum { QUEUE_EVENTS = 4096, QUEUE_BYTES = 16 * 1024 * 1024, FLUSH_MS = 5000 };

/* ---- making */

static struct metric *sink_metric(struct metric *(*make)(const char *, const char *, const char *), const char *name,
                                  const struct relay *relay, const char *outcome, const char *help)
{
    struct buf labels = { 0 };
    buf_adds(&labels, "sink=");
    buf_add_json(&labels, relay->name);
    if (outcome)
        buf_addf(&labels, ",outcome=\"%s\"", outcome);
    struct metric *metric = make(name, buf_text(&labels), help);
    buf_free(&labels);
    return metric;
}

static void make_metrics(struct relay *relay)
{
    static const char name[] = "paynotify_deliveries_total", help[] = "Deliveries that ended, by outcome.";
    relay->delivered = sink_metric(metric_counter, name, relay, "delivered", help);
    relay->retried = sink_metric(metric_counter, name, relay, "retried", help);
    relay->dead = sink_metric(metric_counter, name, relay, "dead", help);
    relay->returned = sink_metric(metric_counter, name, relay, "returned", help);
    relay->expired = sink_metric(metric_counter, name, relay, "expired", help);
    relay->queue_gauge = sink_metric(metric_gauge, "paynotify_sink_queue", relay, NULL, "Events in memory that wait for the sink.");
    relay->in_flight_gauge = sink_metric(metric_gauge, "paynotify_sink_in_flight", relay, NULL, "Deliveries without an outcome yet.");
    relay->up_gauge = sink_metric(metric_gauge, "paynotify_sink_up", relay, NULL, "1 while the sink is connected.");
}

static enum rc relay_init(struct relay *relay, struct outbox *outbox, const struct config_sink *sink, struct error *err)
{
    const struct config_server *server = &outbox->config->server;
    relay->outbox = outbox;
    relay->config = sink;
    relay->name = sink->name;
    relay->max_events = server->sink_queue_events > 0 ? server->sink_queue_events : QUEUE_EVENTS;
    relay->max_bytes = server->sink_queue_bytes > 0 ? server->sink_queue_bytes : QUEUE_BYTES;
    relay->state = sink->paused ? RELAY_PAUSED : RELAY_DOWN;
    (void)snprintf(relay->reason, sizeof relay->reason, "%s", sink->paused ? "paused" : "not connected yet");
    pthread_mutex_init(&relay->lock, NULL);
    pthread_mutex_init(&relay->sink_lock, NULL);
    make_metrics(relay);
    relay->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (relay->wake_fd < 0)
        return error_set(err, RC_INTERNAL, "sink %s: eventfd: %s", sink->name, strerror(errno));
    relay->ring = calloc((size_t)relay->max_events, sizeof *relay->ring);
    enum rc rc = relay->ring ? slots_init(&relay->slots, (size_t)relay->max_events) : RC_NOMEM;
    return rc ? error_set(err, rc, "sink %s: no queue for %lld events", sink->name, (long long)relay->max_events) : RC_OK;
}

static void relay_clear(struct relay *relay)
{
    if (!relay->outbox)
        return;
    relay_drop(relay);
    if (relay->wake_fd >= 0)
        close(relay->wake_fd);
    slots_free(&relay->slots);
    buf_free(&relay->scratch);
    free(relay->ring);
    pthread_mutex_destroy(&relay->lock);
    pthread_mutex_destroy(&relay->sink_lock);
}

static void on_freed(void *arg)
{
    poller_wake(arg, true);
}

enum rc outbox_new(const struct outbox_options *options, struct outbox **ret_outbox, struct error *err)
{
    struct outbox *outbox = calloc(1, sizeof *outbox);
    size_t count = options->config->sink_count;
    if (outbox)
        outbox->relays = calloc(count ? count : 1, sizeof *outbox->relays);
    if (!outbox || !outbox->relays) {
        free(outbox);
        return error_set(err, RC_NOMEM, "no memory for the outbox");
    }
    outbox->config = options->config;
    outbox->store = options->store;
    outbox->incarnation = options->incarnation;
    outbox->policy = options->policy ? options->policy : &policy_default;
    outbox->relay_count = count;
    pthread_mutex_init(&outbox->lock, NULL);
    wait_init(&outbox->opened);
    wait_init(&outbox->poller_wake);
    wait_init(&outbox->watchdog_wake);
    enum rc rc = completion_new(outbox->store, outbox->incarnation, on_freed, outbox, &outbox->completion, err);
    for (size_t i = 0; rc == RC_OK && i < count; i++)
        rc = relay_init(&outbox->relays[i], outbox, &options->config->sinks[i], err);
    if (rc) {
        outbox_free(outbox);
        return rc;
    }
    *ret_outbox = outbox;
    return RC_OK;
}

/* ---- starting */

struct depths {
    struct arena *arena;
    struct outbox_depth *depths;
    size_t count;
};

static enum rc read_depths(struct tx *tx, void *arg, struct error *err)
{
    struct depths *depths = arg;
    return outbox_depths(tx, depths->arena, &depths->depths, &depths->count, err);
}

static bool is_configured(const struct outbox *outbox, const char *sink)
{
    for (size_t i = 0; i < outbox->relay_count; i++)
        if (strcmp(outbox->relays[i].name, sink) == 0)
            return true;
    return false;
}

/* What a sink that was taken out of the configuration still had to deliver is kept, and said. Counting a long outbox may
 * take longer than a statement may; that must not keep the server from starting. */
static void report_orphans(struct outbox *outbox)
{
    struct depths depths = { .arena = arena_new(0) };
    struct error err = { 0 };
    enum rc rc = store_read(outbox->store, read_depths, &depths, &err);
    if (rc)
        log_warn("what waits in the outbox could not be counted", LOG_S("detail", err.text));
    for (size_t i = 0; rc == RC_OK && i < depths.count; i++)
        if (!is_configured(outbox, depths.depths[i].sink))
            log_warn("events wait for a sink that is not configured; they are kept", LOG_S("sink", depths.depths[i].sink),
                     LOG_I("pending", depths.depths[i].pending));
    arena_free(depths.arena);
}

static bool start_thread(pthread_t *thread, bool *running, void *(*main_fn)(void *), void *arg)
{
    *running = pthread_create(thread, NULL, main_fn, arg) == 0;
    return *running;
}

static enum rc await_opened(struct outbox *outbox, struct error *err)
{
    enum rc rc = RC_OK;
    pthread_mutex_lock(&outbox->lock);
    for (size_t i = 0; i < outbox->relay_count; i++) {
        struct relay *relay = &outbox->relays[i];
        while (relay->opened == OPENING)
            pthread_cond_wait(&outbox->opened, &outbox->lock);
        if (relay->opened == OPENED || rc)
            continue;
        rc = relay->open_error.rc ? relay->open_error.rc : RC_INTERNAL;
        error_field(err, rc, relay->open_error.field, "sink %s: %s", relay->name, relay->open_error.text);
    }
    pthread_mutex_unlock(&outbox->lock);
    return rc;
}

enum rc outbox_start(struct outbox *outbox, struct error *err)
{
    report_orphans(outbox);
    bool started = start_thread(&outbox->watchdog, &outbox->watchdog_running, watchdog_main, outbox);
    for (size_t i = 0; started && i < outbox->relay_count; i++)
        started = start_thread(&outbox->relays[i].thread, &outbox->relays[i].running, relay_main, &outbox->relays[i]);
    started = started && start_thread(&outbox->poller, &outbox->poller_running, poller_main, outbox);
    enum rc rc = started ? await_opened(outbox, err) : error_set(err, RC_INTERNAL, "cannot start the outbox's threads");
    if (rc)
        outbox_stop(outbox, 0);
    return rc;
}

/* ---- stopping */

static void join(pthread_t thread, bool *running)
{
    if (*running)
        pthread_join(thread, NULL);
    *running = false;
}

static enum rc release_job(struct tx *tx, void *arg, struct error *err)
{
    size_t count;
    return outbox_release(tx, ((struct outbox *)arg)->incarnation, &count, err);
}

static void stop_relays(struct outbox *outbox, int64_t drain_ms)
{
    for (size_t i = 0; i < outbox->relay_count; i++) {
        struct relay *relay = &outbox->relays[i];
        atomic_store(&relay->stop_at, mono_ms() + drain_ms);
        atomic_store(&relay->stopping, true);
        relay_wake(relay);
    }
    for (size_t i = 0; i < outbox->relay_count; i++)
        join(outbox->relays[i].thread, &outbox->relays[i].running);
}

void outbox_stop(struct outbox *outbox, int64_t drain_ms)
{
    struct error err = { 0 };
    if (outbox->stopped)
        return;
    outbox->stopped = true;
    pthread_mutex_lock(&outbox->lock);
    outbox->stopping = true;
    pthread_mutex_unlock(&outbox->lock);
    pthread_cond_signal(&outbox->poller_wake);
    join(outbox->poller, &outbox->poller_running);

    stop_relays(outbox, drain_ms);
    pthread_mutex_lock(&outbox->lock);
    outbox->watchdog_stop = true;
    pthread_mutex_unlock(&outbox->lock);
    pthread_cond_signal(&outbox->watchdog_wake);
    join(outbox->watchdog, &outbox->watchdog_running);

    completion_stop(outbox->completion, FLUSH_MS);
    if (store_write(outbox->store, LANE_POLL, release_job, outbox, &err) != RC_OK)
        log_warn("what was not delivered is released when its lease is over", LOG_S("detail", err.text));
}

void outbox_free(struct outbox *outbox)
{
    if (!outbox)
        return;
    for (size_t i = 0; i < outbox->relay_count; i++)
        relay_clear(&outbox->relays[i]);
    completion_free(outbox->completion);
    pthread_mutex_destroy(&outbox->lock);
    pthread_cond_destroy(&outbox->opened);
    pthread_cond_destroy(&outbox->poller_wake);
    pthread_cond_destroy(&outbox->watchdog_wake);
    free(outbox->relays);
    free(outbox);
}

/* ---- looking */

size_t outbox_sink_status(struct outbox *outbox, struct sink_status *ret, size_t max)
{
    size_t count = outbox->relay_count < max ? outbox->relay_count : max;
    for (size_t i = 0; i < count; i++) {
        struct relay *relay = &outbox->relays[i];
        enum relay_state state = (enum relay_state)atomic_load(&relay->state);
        int64_t held = atomic_load(&relay->held_events), in_flight = atomic_load(&relay->in_flight);
        ret[i].name = relay->name;
        ret[i].state = state == RELAY_UP ? SINK_UP : state == RELAY_PAUSED ? SINK_PAUSED : SINK_DOWN;
        ret[i].in_flight = (size_t)in_flight;
        ret[i].queued = held > in_flight ? (size_t)(held - in_flight) : 0;
        pthread_mutex_lock(&relay->lock);
        memcpy(ret[i].reason, relay->reason, sizeof ret[i].reason);
        pthread_mutex_unlock(&relay->lock);
    }
    return count;
}
