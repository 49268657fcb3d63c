/*
 * The watchdog: interrupts a sink's call that does not come back, so that a frozen broker cannot freeze its relay, nor the
 * server's stop. One thread for all sinks.
 */
#include "config.h"

#include "base/clock.h"
#include "base/log.h"
#include "outbox/internal.h"
#include "outbox/wait.h"

enum { TICK_MS = 1000, STOPPING_MAX_MS = 3000 };

static void watch(struct relay *relay)
{
    int64_t since = atomic_load(&relay->busy_since);
    int64_t limit = atomic_load(&relay->stopping) ? STOPPING_MAX_MS : CALL_MAX_MS;
    if (since == 0 || mono_ms() - since < limit)
        return;
    log_warn("a sink's call does not come back and is interrupted", LOG_S("sink", relay->name), LOG_I("for_ms", mono_ms() - since));
    pthread_mutex_lock(&relay->sink_lock);
    if (relay->sink)
        sink_interrupt(relay->sink);
    pthread_mutex_unlock(&relay->sink_lock);
}

void *watchdog_main(void *arg)
{
    struct outbox *outbox = arg;
    pthread_setname_np(pthread_self(), "pn-watchdog");
    pthread_mutex_lock(&outbox->lock);
    while (!outbox->watchdog_stop) {
        wait_until(&outbox->watchdog_wake, &outbox->lock, mono_ms() + TICK_MS);
        pthread_mutex_unlock(&outbox->lock);
        for (size_t i = 0; i < outbox->relay_count; i++)
            watch(&outbox->relays[i]);
        pthread_mutex_lock(&outbox->lock);
    }
    pthread_mutex_unlock(&outbox->lock);
    return NULL;
}
