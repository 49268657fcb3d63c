/*
 * The poller: one thread that claims rows which memory does not know of: left behind by a full queue, a sink that was
 * down, a retry, a freed successor, a dead process. Looks once a second, and at once when woken.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "outbox/internal.h"
#include "outbox/wait.h"

enum { LOOK_MS = 1000 };

void poller_wake(struct outbox *outbox, bool look)
{
    pthread_mutex_lock(&outbox->lock);
    outbox->poll_now = true;
    outbox->poll_look = outbox->poll_look || look;
    pthread_mutex_unlock(&outbox->lock);
    pthread_cond_signal(&outbox->poller_wake);
}

/* A claim is worth its transaction for a good part of the queue. */
static size_t claim_size(const struct relay *relay)
{
    size_t half = (size_t)relay->max_events / 2;
    return half == 0 ? 1 : half < CLAIM_MAX ? half : CLAIM_MAX;
}

static bool has_room(struct relay *relay)
{
    return atomic_load(&relay->held_events) + (int64_t)claim_size(relay) <= relay->max_events &&
           atomic_load(&relay->held_bytes) < relay->max_bytes && !completion_full(relay->outbox->completion);
}

static bool may_claim(struct relay *relay)
{
    return atomic_load(&relay->backlog) && atomic_load(&relay->state) == RELAY_UP && has_room(relay);
}

void backlog_check(struct relay *relay)
{
    if (may_claim(relay) && !atomic_exchange(&relay->poll_wanted, true))
        poller_wake(relay->outbox, false);
}

/* ---- looking */

struct look {
    struct outbox *outbox;
    struct arena *arena;
    const char **sinks;
    size_t count;
};

static enum rc look_job(struct tx *tx, void *arg, struct error *err)
{
    struct look *look = arg;
    arena_reset(look->arena);
    return outbox_due_sinks(tx, look->arena, &look->sinks, &look->count, err);
}

static enum rc look_for_due(struct outbox *outbox, struct arena *arena, struct error *err)
{
    struct look look = { .outbox = outbox, .arena = arena };
    enum rc rc = store_read(outbox->store, look_job, &look, err);
    for (size_t i = 0; rc == RC_OK && i < look.count; i++)
        for (size_t j = 0; j < outbox->relay_count; j++)
            if (strcmp(look.sinks[i], outbox->relays[j].name) == 0)
                atomic_store(&outbox->relays[j].backlog, true);
    return rc;
}

/* ---- claiming */

struct claim {
    struct relay *relay;
    struct arena *arena;
    size_t limit;
    struct outbox_claimed *rows;
    size_t count;
    bool more;
};

static enum rc claim_job(struct tx *tx, void *arg, struct error *err)
{
    struct claim *claim = arg;
    arena_reset(claim->arena);
    return outbox_claim(tx, claim->relay->name, claim->limit, claim->relay->outbox->incarnation, LEASE_MS, claim->arena,
                        &claim->rows, &claim->count, &claim->more, err);
}

static void hand_over(struct claim *claim, int64_t lease_until)
{
    struct relay *relay = claim->relay;
    struct item items[CLAIM_MAX];
    size_t n = 0, bytes = 0;
    for (size_t i = 0; i < claim->count; i++) {
        struct payload *payload = payload_new(&claim->rows[i].event);
        if (!payload)
            continue; /* claimed again when the lease is over */
        items[n] = (struct item){
            .payload = payload,
            .lease_until = lease_until,
            .bytes = payload_bytes(&payload->event),
            .attempts = claim->rows[i].attempts,
        };
        bytes += items[n++].bytes;
    }
    room_claimed(relay, claim->limit - n, bytes);
    relay_push(relay, items, n);
}

/* One batch for one sink. */
static enum rc claim_for(struct relay *relay, struct arena *arena, struct error *err)
{
    struct claim claim = { .relay = relay, .arena = arena, .limit = room_take_events(relay, claim_size(relay)) };
    if (claim.limit == 0)
        return RC_OK;
    atomic_store(&relay->backlog, false); /* before the look: what is committed after it sets it again */
    int64_t started = mono_ms();
    enum rc rc = store_write(relay->outbox->store, LANE_POLL, claim_job, &claim, err);
    if (rc) {
        room_claimed(relay, claim.limit, 0);
        atomic_store(&relay->backlog, true);
        return rc;
    }
    if (claim.more)
        atomic_store(&relay->backlog, true);
    hand_over(&claim, started + LEASE_MS);
    return RC_OK;
}

/* Turn by turn, so that a long backlog of one sink does not starve another. */
static enum rc claim_all(struct outbox *outbox, struct arena *arena, struct error *err)
{
    bool claimed = true;
    while (claimed) {
        claimed = false;
        for (size_t i = 0; i < outbox->relay_count; i++) {
            struct relay *relay = &outbox->relays[i];
            atomic_store(&relay->poll_wanted, false);
            if (!may_claim(relay))
                continue;
            enum rc rc = claim_for(relay, arena, err);
            if (rc)
                return rc;
            claimed = true;
        }
    }
    return RC_OK;
}

/* ---- the thread */

/* Waits for a wake-up or until `until`; after a failure only time ends it. False when the outbox stops. */
static bool rest(struct outbox *outbox, int64_t until, bool failed, bool *ret_look)
{
    pthread_mutex_lock(&outbox->lock);
    while (!outbox->stopping && (failed || !outbox->poll_now) && mono_ms() < until)
        wait_until(&outbox->poller_wake, &outbox->lock, until);
    *ret_look = outbox->poll_look || mono_ms() >= until;
    outbox->poll_now = outbox->poll_look = false;
    bool stopping = outbox->stopping;
    pthread_mutex_unlock(&outbox->lock);
    return !stopping;
}

void *poller_main(void *arg)
{
    static struct log_limit limit;
    struct outbox *outbox = arg;
    struct arena *arena = arena_new(0);
    int64_t next_look = 0;
    bool look = true, failed;
    pthread_setname_np(pthread_self(), "pn-poller");
    do {
        struct error err = { 0 };
        enum rc rc = look ? look_for_due(outbox, arena, &err) : RC_OK;
        int64_t now = mono_ms();
        if (look)
            next_look = now + LOOK_MS;
        if (rc == RC_OK)
            rc = claim_all(outbox, arena, &err);
        failed = rc != RC_OK;
        if (failed && log_allow(&limit, 6))
            log_warn("the outbox cannot be read", LOG_S("detail", err.text));
    } while (rest(outbox, failed ? mono_ms() + LOOK_MS : next_look, failed, &look));
    arena_free(arena);
    return NULL;
}
