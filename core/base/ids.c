/*
 * The snowflake generator. Any thread takes ids without a lock; the store's lease keeper calls ids_lease and
 * ids_revoke. Two words of state: the lease, and the last (millisecond, sequence) given out.
 */
#include "base/ids.h"

#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"

enum { NODE_BITS = 10, SEQUENCE_BITS = 12, SEQUENCE_MAX = (1 << SEQUENCE_BITS) - 1, NODE_MAX = (1 << NODE_BITS) - 1 };

static const int64_t epoch_ms = INT64_C(1704067200000); /* 2024-01-01T00:00:00Z */

static _Atomic int64_t lease; /* until (monotonic ms) << NODE_BITS | node; 0: none */
static _Atomic int64_t last;  /* ms since the epoch << SEQUENCE_BITS | sequence; only ever grows */

void ids_lease(int node, int64_t floor_wall_ms, int64_t lease_until_mono_ms)
{
    int64_t floor = floor_wall_ms > epoch_ms ? (floor_wall_ms - epoch_ms) << SEQUENCE_BITS | SEQUENCE_MAX : 0;
    int64_t seen = atomic_load(&last);
    while (seen < floor && !atomic_compare_exchange_weak(&last, &seen, floor))
        ;
    /* After the floor, so that nobody takes an id of the new node below it. */
    atomic_store(&lease, lease_until_mono_ms << NODE_BITS | (node & NODE_MAX));
}

void ids_revoke(void)
{
    atomic_store(&lease, 0);
}

/* The successor of `seen`, or -1 when this millisecond is used up and the next one is about to come. When the clock was
 * set back, or the floor lies ahead of it, ids run ahead of the clock rather than wait for it. */
static int64_t successor(int64_t seen, int64_t now)
{
    int64_t ms = seen >> SEQUENCE_BITS;
    if (now > ms)
        return now << SEQUENCE_BITS;
    if ((seen & SEQUENCE_MAX) == SEQUENCE_MAX && ms == now)
        return -1;
    return seen + 1; /* carries into the millisecond */
}

enum rc ids_next(int64_t *ret_id)
{
    int64_t seen = atomic_load_explicit(&last, memory_order_relaxed);
    for (;;) {
        int64_t held = atomic_load(&lease);
        if (!held || mono_ms() >= held >> NODE_BITS)
            return RC_UNAVAILABLE;
        int64_t next = successor(seen, wall_ms() - epoch_ms);
        if (next < 0) {
            nanosleep(&(struct timespec){ .tv_nsec = 50000 }, NULL);
            seen = atomic_load_explicit(&last, memory_order_relaxed);
            continue;
        }
        if (!atomic_compare_exchange_weak(&last, &seen, next))
            continue;
        *ret_id = next >> SEQUENCE_BITS << (NODE_BITS + SEQUENCE_BITS) | (held & NODE_MAX) << SEQUENCE_BITS | (next & SEQUENCE_MAX);
        return RC_OK;
    }
}

int64_t ids_time_ms(int64_t id)
{
    return (id >> (NODE_BITS + SEQUENCE_BITS)) + epoch_ms;
}

const char *id_format(int64_t id, char ret_text[ID_TEXT_MAX])
{
    /* By hand: every event and every parameter holds a few of them. */
    char digits[ID_TEXT_MAX], *p = digits + sizeof digits;
    uint64_t rest = id < 0 ? -(uint64_t) id : (uint64_t) id;
    *--p = 0;
    do {
        *--p = (char) ('0' + rest % 10);
        rest /= 10;
    } while (rest);
    if (id < 0)
        *--p = '-';
    memcpy(ret_text, p, (size_t) (digits + sizeof digits - p));
    return ret_text;
}

bool id_parse(const char *text, int64_t *ret_id)
{
    if (!text || text[0] < '1' || text[0] > '9')
        return false;
    int64_t value = 0;
    for (; *text; text++)
        if (*text < '0' || *text > '9' || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, *text - '0', &value))
            return false;
    *ret_id = value;
    return true;
}
