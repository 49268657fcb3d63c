/*
 * The relay thread of one sink: connect with back-off, deliver until the sink is down or the server stops, give back what
 * cannot be delivered now, drain at the end. No SQL here: rows come through the queue, outcomes go to the completion
 * writer.
 */
#include "config.h"

#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/log.h"
#include "outbox/internal.h"

static void set_state(struct relay *relay, enum relay_state state, const char *reason)
{
    pthread_mutex_lock(&relay->lock);
    (void)snprintf(relay->reason, sizeof relay->reason, "%s", reason);
    pthread_mutex_unlock(&relay->lock);
    atomic_store(&relay->state, state);
    metric_set(relay->up_gauge, state == RELAY_UP);
}

static void report_opened(struct relay *relay, enum rc rc)
{
    struct outbox *outbox = relay->outbox;
    pthread_mutex_lock(&outbox->lock);
    relay->opened = rc == RC_OK ? OPENED : OPEN_FAILED;
    pthread_cond_broadcast(&outbox->opened);
    pthread_mutex_unlock(&outbox->lock);
}

/* Sleeps while the sink is down or paused; what is handed over meanwhile (planned before, committed now) goes back. */
static void rest(struct relay *relay, int64_t until)
{
    while (!atomic_load(&relay->stopping)) {
        eventfd_t count;
        atomic_store(&relay->asleep, true);
        relay_give_back(relay);
        int64_t now = mono_ms();
        if (now >= until)
            break;
        int64_t left = until - now < 60000 ? until - now : 60000;
        struct pollfd wake = { .fd = relay->wake_fd, .events = POLLIN };
        if (!atomic_load(&relay->stopping) && poll(&wake, 1, (int)left) == 1)
            (void)eventfd_read(relay->wake_fd, &count);
    }
    atomic_store(&relay->asleep, false);
}

static void back_off(struct relay *relay, const char *reason)
{
    static struct log_limit limit;
    uint64_t random = 0;
    if (getrandom(&random, sizeof random, GRND_NONBLOCK) < 0)
        random = (uint64_t)mono_us();
    relay->failures++;
    relay->retry_in_ms = policy_connect(relay->outbox->policy, relay->failures, random);
    set_state(relay, RELAY_DOWN, reason);
    if (relay->failures == 1 || log_allow(&limit, 6))
        log_warn("sink is down", LOG_S("sink", relay->name), LOG_S("reason", reason), LOG_I("retry_in_ms", relay->retry_in_ms));
    rest(relay, mono_ms() + relay->retry_in_ms);
}

static void deliver(struct relay *relay)
{
    set_state(relay, RELAY_UP, "");
    log_info("sink is up", LOG_S("sink", relay->name));
    poller_wake(relay->outbox, true);
    relay->retry_in_ms = relay->outbox->policy->connect_first_ms;
    int64_t since = mono_ms();
    bool up = true;
    while (up && !atomic_load(&relay->stopping))
        up = relay_turn(relay, true);
    if (mono_ms() - since >= relay->outbox->policy->connect_max_ms)
        relay->failures = 0; /* a connection that stood for so long was a good one, even without a delivery */
    if (!up)
        back_off(relay, "the connection was lost");
}

static void drain(struct relay *relay)
{
    eventfd_t count;
    set_state(relay, RELAY_STOPPED, "the server is stopping");
    (void)eventfd_read(relay->wake_fd, &count);
    relay_drop(relay);
    while (relay->slots.used > 0 && mono_ms() < atomic_load(&relay->stop_at) && relay_turn(relay, false))
        ;
}

void *relay_main(void *arg)
{
    struct relay *relay = arg;
    struct error err = { 0 };
    char thread_name[16];
    (void)snprintf(thread_name, sizeof thread_name, "pn-%s", relay->name);
    pthread_setname_np(pthread_self(), thread_name);

    relay->random = (uint64_t)mono_us() | 1;
    enum rc rc = relay_open(relay, &err);
    relay->open_error = err;
    report_opened(relay, rc);
    if (rc)
        return NULL;
    if (relay->config->paused)
        rest(relay, INT64_MAX);
    while (!atomic_load(&relay->stopping)) {
        if (relay_connect(relay, &err) == RC_OK)
            deliver(relay);
        else
            back_off(relay, err.text);
    }
    drain(relay);
    relay_close(relay);
    return NULL;
}
