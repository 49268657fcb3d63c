/*
 * What the files of core/outbox share: the outbox, its relays, and the calls between their threads.
 *
 * An event's way: outbox_plan reserves room (any thread) → outbox_committed or the poller queues it → the relay thread
 * submits it and keeps it in a slot → the sink settles the ticket → the outcome goes to the completion writer and the
 * room is given back. Room is held from the plan to the settlement, so it bounds everything in memory.
 */
#ifndef PN_OUTBOX_INTERNAL_H
#define PN_OUTBOX_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/metrics.h"
#include "outbox/completion.h"
#include "outbox/outbox.h"
#include "outbox/payload.h"
#include "outbox/policy.h"
#include "plugin/registry.h"

enum {
    LEASE_MS = 120 * 1000,
    DELIVERY_MAX_MS = 30 * 1000,  /* without an outcome for so long, the sink's connection is given up */
    LEASE_MARGIN_MS = 45 * 1000,  /* what a delivery may take, and writing its outcome down */
    CLAIM_MAX = 1024,
    SUBMIT_BURST = 256,           /* between two looks at the sink's sockets */
    PUMP_MS = 1000,
    CONNECT_MS = 10 * 1000,
    CALL_MAX_MS = 15 * 1000       /* the watchdog interrupts a call of a sink that takes longer */
};

/* One event for one sink, in memory. Holds a reference on its payload and its share of the room. */
struct item {
    struct payload *payload;
    int64_t lease_until; /* monotonic */
    size_t bytes;        /* of room */
    int attempts;        /* failed before */
};

/* What is in flight; see slots.c. */
struct slot {
    struct pn_event event; /* the sink's until the ticket is settled */
    struct item item;
    uint64_t generation; /* odd: in use */
    int64_t since;
    uint32_t next_free;
};
struct slots {
    struct slot *slots;
    uint32_t count, high, first_free, used;
};
enum rc slots_init(struct slots *slots, size_t count);
void slots_free(struct slots *slots);
struct slot *slots_take(struct slots *slots, uint64_t *ret_ticket); /* NULL: all in use */
struct slot *slots_find(struct slots *slots, uint64_t ticket);      /* NULL: no such delivery is in flight */
void slots_give(struct slots *slots, struct slot *slot);

enum relay_state { RELAY_DOWN, RELAY_UP, RELAY_PAUSED, RELAY_STOPPED };

struct relay {
    struct outbox *outbox;
    const struct config_sink *config;
    const char *name;
    int wake_fd; /* eventfd, for the relay's sleep in pump and between connects */

    _Atomic int state; /* enum relay_state; written by the relay's thread */
    _Atomic bool asleep;   /* a wake-up is wanted when something is queued */
    _Atomic bool stopping;
    _Atomic int64_t stop_at;
    _Atomic bool backlog;     /* the store has rows due that memory had no room for */
    _Atomic bool poll_wanted; /* the poller was woken for that and has not looked yet */
    _Atomic int64_t held_events, held_bytes; /* the room in use */
    int64_t max_events, max_bytes;
    _Atomic int64_t busy_since; /* monotonic ms; 0: not inside the sink */
    _Atomic uint32_t in_flight; /* a copy of slots.used for others */

    pthread_mutex_t lock; /* guards these */
    struct item *ring;
    size_t head, queued;
    char reason[160]; /* while down */
    enum { OPENING, OPENED, OPEN_FAILED } opened;
    struct error open_error;

    pthread_mutex_t sink_lock; /* held by the watchdog while it interrupts, and by the relay to make `sink` go away */
    struct sink *sink;

    pthread_t thread;
    bool running;

    /* the relay's thread only */
    struct slots slots;
    struct item batch[SUBMIT_BURST];
    size_t batch_at, batch_count;
    struct done done[SUBMIT_BURST];
    size_t done_count;
    struct buf scratch;
    uint64_t random;
    int failures;         /* connections in a row that came to nothing */
    int64_t retry_in_ms;  /* until the next try to connect: when what goes back is due */
    int64_t checked_at;

    struct metric *delivered, *retried, *dead, *returned, *expired, *queue_gauge, *in_flight_gauge, *up_gauge;
};

struct outbox {
    const struct config *config;
    struct store *store;
    int64_t incarnation;
    const struct policy *policy;
    struct completion *completion;

    struct relay *relays;
    size_t relay_count;

    pthread_mutex_t lock; /* guards these, and the opening of relays through `opened` */
    pthread_cond_t opened;
    pthread_cond_t poller_wake, watchdog_wake;
    bool poll_now, poll_look, stopping, watchdog_stop;

    pthread_t poller, watchdog;
    bool poller_running, watchdog_running, stopped;
};

/* room.c: any thread */
bool room_take(struct relay *relay, size_t bytes);
void room_give(struct relay *relay, size_t bytes);
size_t room_take_events(struct relay *relay, size_t wanted); /* for claims: as many as there is room for */
void room_claimed(struct relay *relay, size_t unused, size_t bytes); /* corrects the reservation of a claim */

/* queue.c: any thread. The items were reserved before, so there is room. Wakes the relay when it sleeps. */
void relay_push(struct relay *relay, const struct item *items, size_t count);
size_t relay_pop(struct relay *relay, struct item *ret_items, size_t max); /* the relay's thread */
void relay_wake(struct relay *relay);
void item_drop(struct relay *relay, const struct item *item); /* out of memory: reference and room are given back */

/* relay.c */
void *relay_main(void *relay);

/* sink.c: the relay's calls into its sink, under the eyes of the watchdog */
enum rc relay_open(struct relay *relay, struct error *err);
enum rc relay_connect(struct relay *relay, struct error *err);
bool relay_turn(struct relay *relay, bool submit); /* submit (or not) and pump once; false: the sink is down */
void relay_close(struct relay *relay);
void relay_give_back(struct relay *relay); /* everything in memory, due again in retry_in_ms */
void relay_drop(struct relay *relay);      /* what is not in flight; its rows are released otherwise */

/* poller.c */
void *poller_main(void *outbox);
void poller_wake(struct outbox *outbox, bool look); /* look: rows may have become due that nobody here knows of */
/* Wakes the poller when rows wait in the store and memory has room for a batch of them. Any thread. */
void backlog_check(struct relay *relay);

/* watchdog.c */
void *watchdog_main(void *outbox);

#endif
