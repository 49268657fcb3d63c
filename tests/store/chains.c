/*
 * Chains under load: threads settle events of the same orders in overlapping batches while others claim and complete
 * them in every way. Whatever happens, each order's events leave each sink's outbox in their order, once, and none stays.
 */
#include "config.h"

#include "fixture.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/ids.h"

enum { ORDERS = 12, SETTLERS = 3, DELIVERERS = 3, ROUNDS = 40, BATCH = 5, SINKS = 2, CLAIM = 9 };
enum { EVENTS = SETTLERS * ROUNDS * BATCH };

struct scene {
    int64_t pay_nos[ORDERS], order_ids[ORDERS];
    const char *sinks[SINKS];
    pthread_mutex_t mutex; /* guards ended and last */
    size_t ended;
    int64_t last[ORDERS][SINKS]; /* the event that ended last */
    bool disordered, failed;
};

struct actor {
    struct scene *scene;
    struct arena *arena;
    unsigned seed;
    int64_t claim;
    const char *sink;
    int64_t pay_nos[BATCH];
    struct outbox_claimed *rows;
    struct outbox_result results[CLAIM];
    size_t count;
    enum rc rc;
};

static unsigned chance(struct actor *actor, unsigned below)
{
    actor->seed = actor->seed * 1103515245u + 12345u;
    return (actor->seed >> 16) % below;
}

/* One event for each order of the batch, behind its last one, for both sinks. */
static enum rc add_events(struct tx *tx, void *arg, struct error *err)
{
    struct actor *actor = arg;
    struct order *orders;
    struct pay_record *records;
    size_t order_count, record_count;
    arena_reset(actor->arena);
    enum rc rc = settle_load(tx, actor->pay_nos, BATCH, actor->arena, &orders, &order_count, &records, &record_count, err);
    if (rc != RC_OK)
        return rc;
    struct order_change changes[BATCH];
    struct event events[BATCH];
    struct outbox_row rows[BATCH * SINKS];
    for (size_t i = 0; i < order_count; i++) {
        int64_t id;
        if (ids_next(&id) != RC_OK)
            return RC_INTERNAL;
        events[i] = (struct event){ .event_id = id, .type = "t", .app = "a", .order_id = orders[i].order_id, .data = "{}" };
        changes[i] = (struct order_change){ .order_id = orders[i].order_id, .from = orders[i].status, .to = orders[i].status,
                                            .last_event = id };
        for (size_t j = 0; j < SINKS; j++)
            rows[i * SINKS + j] = (struct outbox_row){ .event_id = id, .order_id = orders[i].order_id,
                                                       .sink = actor->scene->sinks[j], .predecessor = orders[i].last_event };
    }
    struct settle_writes writes = {
        .orders = changes, .order_count = order_count, .events = events, .event_count = order_count, .outbox = rows,
        .outbox_count = order_count * SINKS,
    };
    return settle_store(tx, &writes, err);
}

static void *settle(void *arg)
{
    struct actor *actor = arg;
    for (int round = 0; round < ROUNDS && actor->rc == RC_OK; round++) {
        unsigned first = chance(actor, ORDERS);
        for (unsigned i = 0; i < BATCH; i++)
            actor->pay_nos[i] = actor->scene->pay_nos[(first + i * 5) % ORDERS]; /* 5 and 12 share no factor: all differ */
        actor->rc = store_write(store, LANE_WORK, add_events, actor, NULL);
    }
    pthread_mutex_lock(&actor->scene->mutex);
    actor->scene->failed |= actor->rc != RC_OK;
    pthread_mutex_unlock(&actor->scene->mutex);
    return NULL;
}

static enum rc claim(struct tx *tx, void *arg, struct error *err)
{
    struct actor *actor = arg;
    bool more;
    arena_reset(actor->arena);
    return outbox_claim(tx, actor->sink, CLAIM, actor->claim, 600000, actor->arena, &actor->rows, &actor->count, &more, err);
}

static enum rc complete(struct tx *tx, void *arg, struct error *err)
{
    struct actor *actor = arg;
    size_t freed;
    return outbox_complete(tx, actor->results, actor->count, &freed, err);
}

/* Before the completion commits nobody can have the follow-up, so the order of these notes is the order of delivery. */
static void note_end(struct scene *scene, const struct outbox_claimed *row)
{
    size_t order = 0, sink = strcmp(row->sink, scene->sinks[0]) == 0 ? 0 : 1;
    while (scene->order_ids[order] != row->event.order_id)
        order++;
    pthread_mutex_lock(&scene->mutex);
    scene->disordered |= row->event.event_id <= scene->last[order][sink];
    scene->last[order][sink] = row->event.event_id;
    scene->ended++;
    pthread_mutex_unlock(&scene->mutex);
}

static void *deliver(void *arg)
{
    struct actor *actor = arg;
    static const enum outbox_end ends[] = { OUTBOX_DELIVERED, OUTBOX_DELIVERED, OUTBOX_DELIVERED, OUTBOX_DEAD, OUTBOX_RETRY,
                                            OUTBOX_BACK };
    for (bool all = false; !all && actor->rc == RC_OK;) {
        actor->sink = actor->scene->sinks[chance(actor, SINKS)];
        actor->rc = store_write(store, LANE_POLL, claim, actor, NULL);
        for (size_t i = 0; actor->rc == RC_OK && i < actor->count; i++) {
            const struct outbox_claimed *row = &actor->rows[i];
            enum outbox_end end = ends[chance(actor, 6)];
            if (end == OUTBOX_DELIVERED || end == OUTBOX_DEAD)
                note_end(actor->scene, row);
            actor->results[actor->count - 1 - i] = (struct outbox_result){ .event_id = row->event.event_id, .sink = row->sink,
                                                                           .claim = actor->claim, .end = end, .attempts = 1 };
        }
        if (actor->rc == RC_OK && actor->count > 0)
            actor->rc = store_write(store, LANE_COMPLETE, complete, actor, NULL);
        pthread_mutex_lock(&actor->scene->mutex);
        all = actor->scene->failed || actor->scene->ended == (size_t)EVENTS * SINKS;
        actor->scene->failed |= actor->rc != RC_OK;
        pthread_mutex_unlock(&actor->scene->mutex);
    }
    return NULL;
}

static void events_of_an_order_leave_in_order_whatever_happens(void **state)
{
    (void)state;
    static struct scene scene = { .mutex = PTHREAD_MUTEX_INITIALIZER };
    static struct actor actors[SETTLERS + DELIVERERS];
    pthread_t threads[SETTLERS + DELIVERERS];
    for (int i = 0; i < ORDERS; i++) {
        struct order order = make_order("a");
        scene.order_ids[i] = order.order_id;
        scene.pay_nos[i] = make_record(&order).pay_no;
    }
    for (int i = 0; i < SINKS; i++)
        scene.sinks[i] = new_name("chain");
    for (unsigned i = 0; i < SETTLERS + DELIVERERS; i++) {
        actors[i] = (struct actor){ .scene = &scene, .arena = arena_new(0), .seed = i + 1, .claim = 1000 + i };
        assert_int_equal(pthread_create(&threads[i], NULL, i < SETTLERS ? settle : deliver, &actors[i]), 0);
    }
    for (int i = 0; i < SETTLERS + DELIVERERS; i++) {
        pthread_join(threads[i], NULL);
        arena_free(actors[i].arena);
        assert_int_equal(actors[i].rc, RC_OK);
    }
    assert_false(scene.disordered);
    assert_int_equal(scene.ended, EVENTS * SINKS);
    assert_int_equal(depth(scene.sinks[0], false) + depth(scene.sinks[1], false), 0);
}

const struct CMUnitTest chain_tests[] = {
    cmocka_unit_test(events_of_an_order_leave_in_order_whatever_happens),
};
const size_t chain_test_count = sizeof chain_tests / sizeof chain_tests[0];
