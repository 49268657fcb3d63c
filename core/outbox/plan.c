/*
 * The fast path's two ends: which sinks want an event and whether it may be handed over in memory (before the
 * transaction), and handing it over (after the commit). Called by core/pay through its event port, any thread; nothing
 * here waits for a store or a sink.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "outbox/internal.h"

static bool is_one_of(const char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; name && i < count; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static bool wants(const struct config_sink *sink, const struct event *event)
{
    return format_carries(sink->format, event->type) &&
           (!sink->events || is_one_of(sink->events, sink->event_count, event->type)) &&
           (!sink->apps || is_one_of(sink->apps, sink->app_count, event->app)) &&
           (!sink->order_types || is_one_of(sink->order_types, sink->order_type_count, event->order_type));
}

static bool may_lease(struct relay *relay, size_t bytes)
{
    return atomic_load(&relay->state) == RELAY_UP && !completion_full(relay->outbox->completion) && room_take(relay, bytes);
}

void outbox_plan(struct outbox *outbox, const struct event *event, struct arena *arena, struct outbox_row **ret_rows,
                 size_t *ret_count)
{
    size_t count = 0, bytes = payload_bytes(event);
    int64_t now = mono_ms();
    struct outbox_row *rows = arena_alloc(arena, outbox->relay_count * sizeof *rows);
    if (!rows)
        abort(); /* without its rows the event would be lost */
    for (size_t i = 0; i < outbox->relay_count; i++) {
        struct relay *relay = &outbox->relays[i];
        if (!wants(relay->config, event))
            continue;
        rows[count++] = (struct outbox_row){
            .event_id = event->event_id,
            .order_id = event->order_id,
            .sink = relay->name,
            .predecessor = event->predecessor,
            .leased = may_lease(relay, bytes),
            .claim = outbox->incarnation,
            .lease_ms = LEASE_MS,
            .planned_at = now,
            .planned_bytes = bytes,
        };
    }
    *ret_rows = rows;
    *ret_count = count;
}

static struct relay *find(struct outbox *outbox, const char *sink)
{
    for (size_t i = 0; i < outbox->relay_count; i++)
        if (outbox->relays[i].name == sink || strcmp(outbox->relays[i].name, sink) == 0)
            return &outbox->relays[i];
    return NULL;
}

/* Where the connection was lost at COMMIT the row may be there, leased to us and known to nobody: made due, it is claimed
 * like any other instead of lying until its lease ends. Where there is no row, nothing happens. */
static void give_back(struct outbox *outbox, struct relay *relay, const struct outbox_row *row)
{
    completion_add(outbox->completion, &(struct done){ .event_id = row->event_id, .sink = relay->name, .end = OUTBOX_BACK,
                                                       .lease_until = row->planned_at + row->lease_ms }, 1);
}

void outbox_aborted(struct outbox *outbox, const struct outbox_row *rows, size_t row_count)
{
    for (size_t i = 0; i < row_count; i++) {
        struct relay *relay = rows[i].leased ? find(outbox, rows[i].sink) : NULL;
        if (!relay)
            continue;
        room_give(relay, rows[i].planned_bytes);
        if (!rows[i].chained)
            give_back(outbox, relay, &rows[i]);
    }
}

/* Rows come in the order of their events: `at` remembers where the last one was found. */
static const struct event *event_of(const struct event *events, size_t count, int64_t event_id, size_t *at)
{
    for (size_t tried = 0; tried < count; tried++, *at = (*at + 1) % count)
        if (events[*at].event_id == event_id)
            return &events[*at];
    return NULL;
}

/* An item per row that goes over in memory; payload NULL for the others. One payload per event, shared by its rows. */
static void make_items(struct outbox *outbox, const struct event *events, size_t event_count, const struct outbox_row *rows,
                       size_t row_count, struct item *items)
{
    struct payload *payload = NULL; /* of the event before; the loop holds a reference */
    size_t at = 0;
    for (size_t i = 0; i < row_count; i++) {
        struct relay *relay = rows[i].leased ? find(outbox, rows[i].sink) : NULL;
        items[i].payload = NULL;
        if (!relay)
            continue;
        const struct event *event = rows[i].chained ? NULL : event_of(events, event_count, rows[i].event_id, &at);
        if (event && !(payload && payload->event.event_id == event->event_id)) {
            if (payload)
                payload_unref(payload);
            payload = payload_new(event);
        }
        if (!event || !payload) {
            room_give(relay, rows[i].planned_bytes);
            continue;
        }
        items[i] = (struct item){
            .payload = payload_ref(payload),
            .lease_until = rows[i].planned_at + rows[i].lease_ms,
            .bytes = rows[i].planned_bytes,
        };
    }
    if (payload)
        payload_unref(payload);
}

/* One relay's share, so that its lock is taken once. `share` has room for all. */
static void hand_over(struct relay *relay, const struct outbox_row *rows, size_t row_count, const struct item *items,
                      struct item *share)
{
    size_t n = 0;
    bool left_behind = false;
    for (size_t i = 0; i < row_count; i++) {
        if (rows[i].sink != relay->name && strcmp(rows[i].sink, relay->name) != 0)
            continue;
        if (items[i].payload)
            share[n++] = items[i];
        else if (!rows[i].leased && !rows[i].chained)
            left_behind = true;
    }
    if (n > 0)
        relay_push(relay, share, n);
    if (left_behind && atomic_load(&relay->state) == RELAY_UP) {
        atomic_store(&relay->backlog, true);
        backlog_check(relay);
    }
}

void outbox_committed(struct outbox *outbox, const struct event *events, size_t event_count, const struct outbox_row *rows,
                      size_t row_count)
{
    enum { FEW = 64 };
    struct item few[2 * FEW];
    if (row_count == 0)
        return;
    struct item *items = row_count <= FEW ? few : calloc(2 * row_count, sizeof *items);
    if (!items) { /* the rows are given back and claimed */
        outbox_aborted(outbox, rows, row_count);
        return;
    }
    make_items(outbox, events, event_count, rows, row_count, items);
    for (size_t i = 0; i < outbox->relay_count; i++)
        hand_over(&outbox->relays[i], rows, row_count, items, items + row_count);
    if (items != few)
        free(items);
}
