/*
 * The table of deliveries in flight. A ticket is the slot's index and its generation, so that a ticket that a sink settles
 * twice, late or out of thin air is caught. The relay's thread only.
 */
#include <stdlib.h>

#include "outbox/internal.h"

enum { INDEX_BITS = 20 };
static const uint32_t NO_SLOT = UINT32_MAX;

enum rc slots_init(struct slots *slots, size_t count)
{
    if (count == 0 || count >= 1U << INDEX_BITS)
        return RC_CONFIG;
    *slots = (struct slots){ .slots = calloc(count, sizeof *slots->slots), .count = (uint32_t)count, .first_free = NO_SLOT };
    return slots->slots ? RC_OK : RC_NOMEM;
}

void slots_free(struct slots *slots)
{
    free(slots->slots);
    slots->slots = NULL;
}

/* Slots given back are taken first, so that the table touches no more memory than was ever in flight at once. */
struct slot *slots_take(struct slots *slots, uint64_t *ret_ticket)
{
    uint32_t index = slots->first_free;
    if (index != NO_SLOT)
        slots->first_free = slots->slots[index].next_free;
    else if (slots->high < slots->count)
        index = slots->high++;
    else
        return NULL;
    struct slot *slot = &slots->slots[index];
    slot->generation++;
    slots->used++;
    *ret_ticket = slot->generation << INDEX_BITS | index;
    return slot;
}

struct slot *slots_find(struct slots *slots, uint64_t ticket)
{
    uint64_t index = ticket & ((1U << INDEX_BITS) - 1);
    if (index >= slots->high)
        return NULL;
    struct slot *slot = &slots->slots[index];
    return (slot->generation & 1) && slot->generation == ticket >> INDEX_BITS ? slot : NULL;
}

void slots_give(struct slots *slots, struct slot *slot)
{
    slot->generation++;
    slot->next_free = slots->first_free;
    slots->first_free = (uint32_t)(slot - slots->slots);
    slots->used--;
}
