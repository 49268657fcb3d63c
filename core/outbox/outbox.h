/*
 * Delivery: one relay thread per sink drives its plugin, one completion writer settles outcomes, one poller claims what
 * was left behind. The fast path hands freshly committed events to the relays in memory. See design §7.
 */
#ifndef PN_OUTBOX_OUTBOX_H
#define PN_OUTBOX_OUTBOX_H

#include "base/arena.h"
#include "config/config.h"
#include "store/store.h"

struct outbox;
struct policy;

struct outbox_options {
    const struct config *config; /* its sinks and queue sizes */
    struct store *store;
    int64_t incarnation;         /* of this process: the claim token of its rows */
    const struct policy *policy; /* when to try again; NULL: the default (policy.h) */
};

enum rc outbox_new(const struct outbox_options *options, struct outbox **ret_outbox, struct error *err);
/* Opens the sinks and starts the threads; RC_CONFIG or what the plugin said when a sink cannot be opened. Logs what sinks
 * that are not configured any more still had to deliver. A sink that cannot be reached is no failure. */
enum rc outbox_start(struct outbox *outbox, struct error *err);

/* Before the transaction: the rows that `event` needs, one per sink that wants it, in the arena. A row comes back
 * `leased` when its sink is up and has room, which is then reserved until outbox_committed or outbox_aborted. The
 * predecessor and ids are taken from the event. Any thread. */
void outbox_plan(struct outbox *outbox, const struct event *event, struct arena *arena, struct outbox_row **ret_rows,
                 size_t *ret_count);

/* After the commit: hands leased, unchained rows to their relays (copies what it needs), gives back the room of chained ones, and
 * wakes the poller for rows that are due. `events` are those that the rows name. */
void outbox_committed(struct outbox *outbox, const struct event *events, size_t event_count, const struct outbox_row *rows,
                      size_t row_count);
/* The transaction did not commit, or nobody knows: gives back what was reserved. */
void outbox_aborted(struct outbox *outbox, const struct outbox_row *rows, size_t row_count);

/* Stops relays, waits up to drain_ms for confirms, writes what is known, releases the rest. */
void outbox_stop(struct outbox *outbox, int64_t drain_ms);
void outbox_free(struct outbox *outbox);

struct sink_status {
    const char *name;
    enum { SINK_UP, SINK_DOWN, SINK_PAUSED } state;
    size_t queued, in_flight;
    char reason[160]; /* while down */
};
size_t outbox_sink_status(struct outbox *outbox, struct sink_status *ret, size_t max); /* for /readyz; any thread */

#endif
