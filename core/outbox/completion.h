/*
 * The completion writer: outcomes of deliveries, written to the store in batches by one thread. Relays add, main's
 * outbox_stop flushes.
 */
#ifndef PN_OUTBOX_COMPLETION_H
#define PN_OUTBOX_COMPLETION_H

#include "store/store.h"

struct completion;

/* The end of one delivery. */
struct done {
    int64_t event_id;
    const char *sink; /* lives as long as the outbox */
    enum outbox_end end;
    int attempts;
    int64_t retry_in_ms;
    int64_t lease_until; /* monotonic; nobody else touches the row before */
    char *reason;        /* malloced, passes to the writer; NULL: none */
};

/* `freed` is called on the writer's thread when events became due because their predecessor is done. */
enum rc completion_new(struct store *store, int64_t claim, void (*freed)(void *arg), void *arg, struct completion **ret,
                       struct error *err);

/* Takes the outcomes over. Never blocks, never refuses. Any thread. */
void completion_add(struct completion *completion, const struct done *items, size_t count);

/* So much waits to be written that no more should be delivered before. Any thread. */
bool completion_full(struct completion *completion);

/* Writes what is there, for at most max_ms, and ends the thread. */
void completion_stop(struct completion *completion, int64_t max_ms);
void completion_free(struct completion *completion);

/* A copy of a plugin's reason that the store takes: UTF-8, one line, bounded. NULL for none, and without memory. */
char *completion_reason(const char *text);

#endif
