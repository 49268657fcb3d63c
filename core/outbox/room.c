/*
 * Room: how many events and bytes a sink may hold in memory, from plan to settlement. Two counters without a lock; any
 * thread.
 */
#include "outbox/internal.h"

static bool take(_Atomic int64_t *held, int64_t n, int64_t max)
{
    int64_t before = atomic_fetch_add(held, n);
    if (before + n <= max || before == 0) /* a single huge event always has room */
        return true;
    atomic_fetch_sub(held, n);
    return false;
}

bool room_take(struct relay *relay, size_t bytes)
{
    if (!take(&relay->held_events, 1, relay->max_events))
        return false;
    if (take(&relay->held_bytes, (int64_t)bytes, relay->max_bytes))
        return true;
    atomic_fetch_sub(&relay->held_events, 1);
    return false;
}

void room_give(struct relay *relay, size_t bytes)
{
    atomic_fetch_sub(&relay->held_bytes, (int64_t)bytes);
    atomic_fetch_sub(&relay->held_events, 1);
}

size_t room_take_events(struct relay *relay, size_t wanted)
{
    int64_t held = atomic_load(&relay->held_events);
    for (;;) {
        int64_t free_events = relay->max_events - held;
        if (free_events <= 0 || atomic_load(&relay->held_bytes) >= relay->max_bytes)
            return 0;
        int64_t taken = (int64_t)wanted < free_events ? (int64_t)wanted : free_events;
        if (atomic_compare_exchange_weak(&relay->held_events, &held, held + taken))
            return (size_t)taken;
    }
}

void room_claimed(struct relay *relay, size_t unused, size_t bytes)
{
    atomic_fetch_sub(&relay->held_events, (int64_t)unused);
    atomic_fetch_add(&relay->held_bytes, (int64_t)bytes);
}
