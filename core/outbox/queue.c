/*
 * The queue in front of a relay: a ring under a lock, filled and emptied in batches, and an eventfd that is only written
 * when the relay sleeps. Any thread fills, the relay's thread empties.
 */
#include <stdlib.h>
#include <sys/eventfd.h>

#include "base/log.h"
#include "outbox/internal.h"

void item_drop(struct relay *relay, const struct item *item)
{
    payload_unref(item->payload);
    room_give(relay, item->bytes);
}

void relay_wake(struct relay *relay)
{
    (void)eventfd_write(relay->wake_fd, 1);
}

void relay_push(struct relay *relay, const struct item *items, size_t count)
{
    pthread_mutex_lock(&relay->lock);
    size_t max = (size_t)relay->max_events, taken = 0;
    for (; taken < count && relay->queued < max; taken++)
        relay->ring[(relay->head + relay->queued++) % max] = items[taken];
    pthread_mutex_unlock(&relay->lock);
    if (taken > 0 && atomic_exchange(&relay->asleep, false))
        relay_wake(relay);
    if (taken == count)
        return;
    log_error("a sink's queue holds more than was reserved; the rest waits for its lease to end", LOG_S("sink", relay->name),
              LOG_I("count", count - taken));
    for (; taken < count; taken++)
        item_drop(relay, &items[taken]);
}

size_t relay_pop(struct relay *relay, struct item *ret_items, size_t max)
{
    pthread_mutex_lock(&relay->lock);
    size_t n = relay->queued < max ? relay->queued : max;
    for (size_t i = 0; i < n; i++)
        ret_items[i] = relay->ring[(relay->head + i) % (size_t)relay->max_events];
    relay->head = (relay->head + n) % (size_t)relay->max_events;
    relay->queued -= n;
    pthread_mutex_unlock(&relay->lock);
    return n;
}
