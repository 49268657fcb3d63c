/*
 * The confirm window: every message that the broker has not confirmed yet, in a ring indexed by its delivery tag. Tags
 * count from 1 on each channel and come back in any order, one by one or as "all up to here". Nothing is allocated
 * after window_init.
 */
#ifndef PAYNOTIFY_RABBITMQ_WINDOW_H
#define PAYNOTIFY_RABBITMQ_WINDOW_H

#include <paynotify/plugin.h>
#include <stdbool.h>

enum window_state { WINDOW_FREE = 0, WINDOW_WAITING = 1, WINDOW_RETURNED = 2 };

struct window_entry {
    uint64_t ticket;
    struct pn_str id; /* of the event; the host keeps it until the ticket is settled */
    uint32_t state;   /* enum window_state; RETURNED: settled already, its confirm is still to come */
};

struct window {
    struct window_entry *ring;
    uint64_t mask;
    uint64_t oldest; /* the lowest tag that may be open */
    uint64_t next;   /* the tag of the next message */
    uint64_t hint;   /* where the search for a returned message begins */
    size_t open;     /* entries that are not free */
    size_t limit;
};

/* Called for every ticket that a confirm ends; not for those that were returned before. */
typedef void window_settle(void *context, uint64_t ticket);

int window_init(struct window *window, size_t limit); /* -1: no memory */
void window_free(struct window *window);

/* Forgets everything; the next tag is 1. */
void window_reset(struct window *window);

static inline bool window_is_full(const struct window *window)
{
    return window->open >= window->limit || window->next - window->oldest > window->mask;
}

/* Enters a message under the next tag. The window must not be full. */
void window_add(struct window *window, uint64_t ticket, struct pn_str id);

/* Ends `tag`, or everything up to it. Tag 0 with `multiple` means everything. False when no message ever had that
 * tag; a tag that was confirmed before changes nothing. */
bool window_confirm(struct window *window, uint64_t tag, bool multiple, window_settle *settle, void *context);

/* Finds the oldest waiting message with this id, marks it as returned and says its ticket. False when there is none. */
bool window_return(struct window *window, struct pn_str id, uint64_t *ret_ticket);

/* Ends everything that waits, in the order it was sent, and resets. */
void window_abandon(struct window *window, window_settle *settle, void *context);

#endif
