/*
 * The ring of unconfirmed messages. Used by sink.c and incoming.c, on the sink's thread.
 */
#include "window.h"

#include <stdlib.h>
#include <string.h>

int window_init(struct window *window, size_t limit)
{
    size_t size = 2;
    while (size < limit * 2) /* room for confirms out of order: one late tag must not hold up the rest at once */
        size *= 2;
    *window = (struct window){ .ring = calloc(size, sizeof *window->ring), .mask = size - 1, .limit = limit };
    if (!window->ring)
        return -1;
    window_reset(window);
    return 0;
}

void window_free(struct window *window)
{
    free(window->ring);
    window->ring = NULL;
}

void window_reset(struct window *window)
{
    memset(window->ring, 0, (window->mask + 1) * sizeof *window->ring);
    window->oldest = window->next = window->hint = 1;
    window->open = 0;
}

static struct window_entry *entry_of(const struct window *window, uint64_t tag)
{
    return &window->ring[tag & window->mask];
}

void window_add(struct window *window, uint64_t ticket, struct pn_str id)
{
    *entry_of(window, window->next) = (struct window_entry){ ticket, id, WINDOW_WAITING };
    window->next++;
    window->open++;
}

/* Frees the entry before it tells anyone, so that nothing is ever settled twice. */
static void finish(struct window *window, uint64_t tag, window_settle *settle, void *context)
{
    struct window_entry *entry = entry_of(window, tag);
    uint32_t state = entry->state;
    if (state == WINDOW_FREE)
        return;
    entry->state = WINDOW_FREE;
    window->open--;
    if (state == WINDOW_WAITING)
        settle(context, entry->ticket);
}

bool window_confirm(struct window *window, uint64_t tag, bool multiple, window_settle *settle, void *context)
{
    if (tag == 0 && multiple)
        tag = window->next - 1;
    else if (tag == 0 || tag >= window->next)
        return false;
    if (tag < window->oldest)
        return true;
    if (multiple)
        for (uint64_t each = window->oldest; each <= tag; each++)
            finish(window, each, settle, context);
    else
        finish(window, tag, settle, context);
    while (window->oldest < window->next && entry_of(window, window->oldest)->state == WINDOW_FREE)
        window->oldest++;
    return true;
}

static bool has_id(const struct window_entry *entry, struct pn_str id)
{
    return entry->state == WINDOW_WAITING && id.len > 0 && entry->id.len == id.len &&
           !memcmp(entry->id.data, id.data, id.len);
}

bool window_return(struct window *window, struct pn_str id, uint64_t *ret_ticket)
{
    uint64_t span = window->next - window->oldest;
    uint64_t start = window->hint > window->oldest && window->hint < window->next ? window->hint : window->oldest;
    for (uint64_t i = 0; i < span; i++) {
        uint64_t tag = start + i < window->next ? start + i : start + i - span;
        struct window_entry *entry = entry_of(window, tag);
        if (has_id(entry, id)) {
            entry->state = WINDOW_RETURNED;
            window->hint = tag + 1; /* returns come in the order of sending */
            *ret_ticket = entry->ticket;
            return true;
        }
    }
    return false;
}

void window_abandon(struct window *window, window_settle *settle, void *context)
{
    for (uint64_t tag = window->oldest; tag < window->next; tag++)
        finish(window, tag, settle, context);
    window_reset(window);
}
