/*
 * What goes out to each channel's provider: see traffic.h. provider.c enters and leaves calls from workers and reports how
 * they went from the client's thread; the schedule asks for room; /readyz reads the state.
 */
#include "pay/traffic.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/log.h"

enum { IN_FLIGHT_DEFAULT = 512, WAIT_MAX_MS = 60 * 1000, OPERATIONS = PN_REFRESH + 1 };

struct traffic {
    const char *channel;
    size_t background_max;
    _Atomic size_t background; /* questions under way that nobody waits for */

    pthread_mutex_t lock; /* guards these two */
    struct breaker breaker;
    char reason[CHANNEL_REASON_MAX]; /* of the last failure */

    struct metric *state, *opened, *held_back;
};

static void traffic_init(struct traffic *traffic, const struct config_channel *channel)
{
    traffic->channel = channel->name;
    traffic->background_max =
        client_background_max(channel->max_in_flight ? (size_t)channel->max_in_flight : IN_FLIGHT_DEFAULT);
    traffic->breaker = (struct breaker){ .failures_max = channel->breaker_failures, .wait_ms = channel->breaker_wait_ms,
                                         .wait_max_ms = WAIT_MAX_MS };
    pthread_mutex_init(&traffic->lock, NULL);
    traffic->state = metric_gauge_of("paynotify_channel_breaker_state", "channel", channel->name,
                                     "0: calls go out; 1: one tries whether the provider answers again; 2: calls are held back.");
    traffic->opened = metric_counter_of("paynotify_channel_breaker_opened_total", "channel", channel->name,
                                        "Times that calls began to be held back, failed tries included.");
    traffic->held_back = metric_counter_of("paynotify_channel_held_back_total", "channel", channel->name,
                                           "Calls that were not sent, because the provider did not answer earlier ones.");
}

enum rc traffic_new(const struct config *config, struct traffic **ret_traffic, struct error *err)
{
    struct traffic *all = calloc(config->channel_count + 1, sizeof *all); /* ends with one without a name */
    if (!all)
        return error_set(err, RC_NOMEM, "out of memory");
    for (size_t i = 0; i < config->channel_count; i++)
        traffic_init(&all[i], &config->channels[i]);
    *ret_traffic = all;
    return RC_OK;
}

void traffic_free(struct traffic *traffic)
{
    for (struct traffic *one = traffic; one && one->channel; one++)
        pthread_mutex_destroy(&one->lock);
    free(traffic);
}

struct traffic *traffic_of(const struct pay *pay, const struct config_channel *channel)
{
    return &pay->traffic[channel - pay->config->channels];
}

/* ---- figures */

void traffic_enter(struct traffic *traffic, bool background)
{
    if (background)
        atomic_fetch_add(&traffic->background, 1);
}

void traffic_leave(struct traffic *traffic, bool background)
{
    if (background)
        atomic_fetch_sub(&traffic->background, 1);
}

void traffic_count(struct traffic *traffic, enum pn_operation operation, const char *outcome)
{
    static const char *const names[OPERATIONS] = {
        [PN_PREPAY] = "prepay", [PN_QUERY] = "query",               [PN_CLOSE] = "close",
        [PN_REFUND] = "refund", [PN_REFUND_QUERY] = "refund_query", [PN_REFRESH] = "refresh",
    };
    char labels[160];
    snprintf(labels, sizeof labels, "channel=\"%s\",operation=\"%s\",outcome=\"%s\"", traffic->channel, names[operation], outcome);
    metric_add(metric_counter("paynotify_channel_calls_total", labels, "Questions to providers, by what they came to."), 1);
}

/* ---- the breaker */

bool traffic_refuses(struct traffic *traffic)
{
    pthread_mutex_lock(&traffic->lock);
    bool refuses = breaker_refuses(&traffic->breaker, mono_ms());
    pthread_mutex_unlock(&traffic->lock);
    if (refuses)
        metric_add(traffic->held_back, 1);
    return refuses;
}

struct breaker_permit traffic_permit(struct traffic *traffic)
{
    pthread_mutex_lock(&traffic->lock);
    struct breaker_permit permit = breaker_permit(&traffic->breaker, mono_ms());
    metric_set(traffic->state, traffic->breaker.state);
    pthread_mutex_unlock(&traffic->lock);
    if (!permit.granted)
        metric_add(traffic->held_back, 1);
    return permit;
}

void traffic_answered(struct traffic *traffic)
{
    pthread_mutex_lock(&traffic->lock);
    bool was_closed = traffic->breaker.state == BREAKER_CLOSED;
    breaker_answered(&traffic->breaker);
    traffic->reason[0] = '\0';
    metric_set(traffic->state, BREAKER_CLOSED);
    pthread_mutex_unlock(&traffic->lock);
    if (!was_closed)
        log_notice("the provider answers again", LOG_S("channel", traffic->channel));
}

void traffic_failed(struct traffic *traffic, struct breaker_permit permit, const char *detail)
{
    uint32_t random = 0;
    (void)!getrandom(&random, sizeof random, GRND_NONBLOCK); /* without: no jitter */
    int64_t now = mono_ms();
    pthread_mutex_lock(&traffic->lock);
    bool opened = breaker_failed(&traffic->breaker, permit, now, random);
    int64_t wait = traffic->breaker.until_ms - now;
    snprintf(traffic->reason, sizeof traffic->reason, "%s", detail ? detail : "no answer");
    metric_set(traffic->state, traffic->breaker.state);
    pthread_mutex_unlock(&traffic->lock);
    if (!opened)
        return;
    metric_add(traffic->opened, 1);
    log_warn("the provider does not answer; calls are held back", LOG_S("channel", traffic->channel), LOG_I("wait_ms", wait),
             LOG_S("detail", detail));
}

void traffic_unused(struct traffic *traffic, struct breaker_permit permit)
{
    pthread_mutex_lock(&traffic->lock);
    breaker_unused(&traffic->breaker, permit, mono_ms());
    metric_set(traffic->state, traffic->breaker.state);
    pthread_mutex_unlock(&traffic->lock);
}

/* ---- for others */

size_t provider_room(struct pay *pay, const char *name)
{
    const struct config_channel *channel = config_channel_find(pay->config, name);
    if (!channel)
        return SIZE_MAX;
    struct traffic *traffic = traffic_of(pay, channel);
    pthread_mutex_lock(&traffic->lock);
    bool refuses = breaker_refuses(&traffic->breaker, mono_ms());
    bool closed = traffic->breaker.state == BREAKER_CLOSED;
    pthread_mutex_unlock(&traffic->lock);
    size_t taken = atomic_load(&traffic->background);
    if (!closed)
        return refuses || taken > 0 ? 0 : 1;
    return taken < traffic->background_max ? traffic->background_max - taken : 0;
}

size_t pay_channel_status(struct pay *pay, struct channel_status *ret, size_t max)
{
    static const enum channel_state states[] = {
        [BREAKER_CLOSED] = CHANNEL_UP, [BREAKER_HALF_OPEN] = CHANNEL_TRYING, [BREAKER_OPEN] = CHANNEL_HELD_BACK,
    };
    size_t count = 0;
    for (struct traffic *one = pay->traffic; one->channel && count < max; one++, count++) {
        struct channel_status *status = &ret[count];
        pthread_mutex_lock(&one->lock);
        *status = (struct channel_status){ .name = one->channel, .state = states[one->breaker.state] };
        memcpy(status->reason, one->reason, sizeof status->reason);
        pthread_mutex_unlock(&one->lock);
    }
    return count;
}
