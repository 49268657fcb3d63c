/*
 * The relay's calls into its sink: open, connect, one turn of submitting and pumping, close, and what the sink reports.
 * Everything runs on the relay's thread; `busy_since` lets the watchdog see a call that does not come back.
 */
#include <sys/eventfd.h>

#include "base/clock.h"
#include "base/log.h"
#include "outbox/internal.h"

enum { HELD_PUMP_MS = 50, DRAIN_PUMP_MS = 100, CHECK_MS = 1000 };

static void enter(struct relay *relay)
{
    atomic_store(&relay->busy_since, mono_ms());
}

static void leave(struct relay *relay)
{
    atomic_store(&relay->busy_since, 0);
}

static uint64_t next_random(struct relay *relay)
{
    relay->random ^= relay->random << 13;
    relay->random ^= relay->random >> 7;
    relay->random ^= relay->random << 17;
    return relay->random;
}

/* ---- outcomes */

static void flush(struct relay *relay)
{
    completion_add(relay->outbox->completion, relay->done, relay->done_count);
    relay->done_count = 0;
}

/* Notes the end of a delivery and lets go of its event. */
static void end_item(struct relay *relay, const struct item *item, enum outbox_end end, const char *reason)
{
    bool tried = end != OUTBOX_BACK;
    struct done *done = &relay->done[relay->done_count++];
    *done = (struct done){
        .event_id = item->payload->event.event_id,
        .sink = relay->name,
        .end = end,
        .attempts = item->attempts + tried,
        .lease_until = item->lease_until,
        .reason = completion_reason(reason),
    };
    if (end == OUTBOX_RETRY)
        done->retry_in_ms = policy_retry(relay->outbox->policy, done->attempts, next_random(relay));
    else if (end == OUTBOX_BACK)
        done->retry_in_ms = relay->retry_in_ms;
    item_drop(relay, item);
    if (relay->done_count == sizeof relay->done / sizeof *relay->done)
        flush(relay);
}

static void end_slot(struct relay *relay, struct slot *slot, enum outbox_end end, const char *reason)
{
    struct item item = slot->item;
    slots_give(&relay->slots, slot);
    end_item(relay, &item, end, reason);
}

/* host->settle: the sink ends a delivery from inside one of the calls below. */
static void on_settled(void *arg, uint64_t ticket, enum pn_outcome outcome, const char *reason)
{
    static struct log_limit limit;
    struct relay *relay = arg;
    struct slot *slot = slots_find(&relay->slots, ticket);
    if (!slot) {
        if (log_allow(&limit, 6))
            log_error("a sink settled a delivery that is not in flight", LOG_S("sink", relay->name));
        return;
    }
    switch (outcome) {
    case PN_DELIVERED:
        metric_add(relay->delivered, 1);
        relay->failures = 0;
        end_slot(relay, slot, OUTBOX_DELIVERED, NULL);
        break;
    case PN_REJECTED:
        metric_add(relay->dead, 1);
        end_slot(relay, slot, OUTBOX_DEAD, reason);
        break;
    case PN_UNAVAILABLE:
        metric_add(relay->returned, 1);
        end_slot(relay, slot, OUTBOX_BACK, reason);
        break;
    default:
        metric_add(relay->retried, 1);
        end_slot(relay, slot, OUTBOX_RETRY, reason);
    }
}

/* ---- submitting */

enum progress { ALL_SENT, MORE, WINDOW_FULL, HELD, DOWN };

/* False: there is nothing to send. */
static bool refill(struct relay *relay)
{
    if (relay->batch_at < relay->batch_count)
        return true;
    relay->batch_at = 0;
    relay->batch_count = relay_pop(relay, relay->batch, SUBMIT_BURST);
    return relay->batch_count > 0;
}

static enum pn_submit submit_rendered(struct relay *relay, const struct item *item, const struct pn_event *event, int64_t now)
{
    uint64_t ticket;
    struct slot *slot = slots_take(&relay->slots, &ticket);
    if (!slot)
        return PN_WINDOW_FULL;
    slot->event = *event;
    slot->event.attempt = (uint32_t)item->attempts + 1;
    slot->item = *item;
    slot->since = now;
    enum pn_submit answer = sink_submit(relay->sink, &slot->event, ticket);
    if (answer != PN_SUBMITTED && slots_find(&relay->slots, ticket) == slot)
        slots_give(&relay->slots, slot);
    else
        relay->batch_at++; /* taken, or already settled */
    return answer;
}

/* The item at the front of the batch: submitted, or ended without the sink. */
static enum pn_submit submit_front(struct relay *relay, int64_t now)
{
    const struct item *item = &relay->batch[relay->batch_at];
    const struct pn_event *event = NULL;
    if (item->lease_until - now < LEASE_MARGIN_MS) {
        metric_add(relay->expired, 1);
        item_drop(relay, item);
        relay->batch_at++;
        return PN_SUBMITTED;
    }
    enum rc rc = payload_render(item->payload, relay->config->format, &relay->scratch, &event);
    if (rc == RC_OK)
        return submit_rendered(relay, item, event, now);
    metric_add(rc == RC_DATA ? relay->dead : relay->retried, 1);
    if (rc == RC_DATA)
        end_item(relay, item, OUTBOX_DEAD, "the event's data cannot be read");
    else
        end_item(relay, item, OUTBOX_RETRY, "no memory");
    relay->batch_at++;
    return PN_SUBMITTED;
}

static enum progress submit_some(struct relay *relay)
{
    if (completion_full(relay->outbox->completion))
        return HELD;
    int64_t now = mono_ms();
    for (int i = 0; i < SUBMIT_BURST; i++) {
        if (!refill(relay))
            return ALL_SENT;
        enum pn_submit answer = submit_front(relay, now);
        if (answer != PN_SUBMITTED)
            return answer == PN_WINDOW_FULL ? WINDOW_FULL : DOWN;
    }
    return MORE;
}

/* ---- a turn */

/* Says that a wake-up is wanted, unless something came in meanwhile. */
static bool fall_asleep(struct relay *relay)
{
    atomic_store(&relay->asleep, true);
    pthread_mutex_lock(&relay->lock);
    bool empty = relay->queued == 0;
    pthread_mutex_unlock(&relay->lock);
    if (!empty || atomic_load(&relay->stopping))
        atomic_store(&relay->asleep, false);
    return atomic_load(&relay->asleep);
}

/* Reads the eventfd empty, whoever took `asleep` away: a writer may be late, and what it leaves would end every later
 * sleep at once. */
static void wake_up(struct relay *relay)
{
    eventfd_t count;
    atomic_store(&relay->asleep, false);
    (void)eventfd_read(relay->wake_fd, &count);
}

static bool pump(struct relay *relay, int64_t timeout_ms, bool may_sleep)
{
    bool sleeps = may_sleep && fall_asleep(relay);
    enum pn_submit answer = sink_pump(relay->sink, may_sleep && !sleeps ? 0 : timeout_ms, relay->wake_fd);
    if (may_sleep)
        wake_up(relay);
    return answer != PN_SINK_DOWN;
}

/* A sink that keeps a delivery for too long has lost it: its connection is given up, and everything is sent again. */
static void check_stuck(struct relay *relay)
{
    static struct log_limit limit;
    int64_t now = mono_ms();
    if (now - relay->checked_at < CHECK_MS)
        return;
    relay->checked_at = now;
    for (uint32_t i = 0; i < relay->slots.high; i++) {
        const struct slot *slot = &relay->slots.slots[i];
        if (!(slot->generation & 1) || now - slot->since < DELIVERY_MAX_MS)
            continue;
        if (log_allow(&limit, 6))
            log_warn("a sink does not confirm; its connection is given up", LOG_S("sink", relay->name),
                     LOG_I("in_flight", relay->slots.used));
        sink_interrupt(relay->sink);
        return;
    }
}

static void show_state(struct relay *relay)
{
    atomic_store_explicit(&relay->in_flight, relay->slots.used, memory_order_relaxed);
    metric_set(relay->in_flight_gauge, relay->slots.used);
    metric_set(relay->queue_gauge, atomic_load_explicit(&relay->held_events, memory_order_relaxed) - relay->slots.used);
}

bool relay_turn(struct relay *relay, bool submit)
{
    enter(relay);
    enum progress progress = submit ? submit_some(relay) : HELD;
    bool up = progress != DOWN;
    if (up) {
        int64_t timeout_ms = progress == MORE ? 0 : progress != HELD ? PUMP_MS : submit ? HELD_PUMP_MS : DRAIN_PUMP_MS;
        up = pump(relay, timeout_ms, progress == ALL_SENT);
    }
    leave(relay);
    flush(relay);
    check_stuck(relay);
    show_state(relay);
    backlog_check(relay);
    return up;
}

/* ---- life */

enum rc relay_open(struct relay *relay, struct error *err)
{
    struct sink *sink;
    enum rc rc = sink_open(relay->config->plugin, on_settled, relay, &sink, err);
    if (rc)
        return rc;
    pthread_mutex_lock(&relay->sink_lock);
    relay->sink = sink;
    pthread_mutex_unlock(&relay->sink_lock);
    return RC_OK;
}

enum rc relay_connect(struct relay *relay, struct error *err)
{
    enter(relay);
    enum rc rc = sink_connect(relay->sink, CONNECT_MS, err);
    leave(relay);
    return rc;
}

void relay_give_back(struct relay *relay)
{
    for (uint32_t i = 0; i < relay->slots.high; i++) {
        struct slot *slot = &relay->slots.slots[i];
        if (!(slot->generation & 1))
            continue;
        log_error("a sink went down without settling a delivery", LOG_S("sink", relay->name));
        end_slot(relay, slot, OUTBOX_BACK, NULL);
    }
    while (refill(relay)) {
        metric_add(relay->returned, 1);
        end_item(relay, &relay->batch[relay->batch_at++], OUTBOX_BACK, NULL);
    }
    flush(relay);
    show_state(relay);
}

void relay_drop(struct relay *relay)
{
    while (refill(relay))
        item_drop(relay, &relay->batch[relay->batch_at++]);
}

void relay_close(struct relay *relay)
{
    pthread_mutex_lock(&relay->sink_lock);
    struct sink *sink = relay->sink;
    relay->sink = NULL;
    pthread_mutex_unlock(&relay->sink_lock);
    relay->retry_in_ms = 0;
    sink_close(sink);
    relay_give_back(relay);
}
