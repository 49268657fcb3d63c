/*
 * The far side of a scripted sink: takes messages, and confirms, refuses, holds back or breaks down as a test says. The
 * sink's functions run on the relay's thread, everything else on the test's; one lock between them.
 */
#ifndef PN_TESTS_BROKER_H
#define PN_TESTS_BROKER_H

#include <pthread.h>
#include <stdbool.h>

#include "plugins/scripted_sink.h"

enum { BROKER_MAX = 1 << 17 };

struct message {
    int64_t id, order;
    uint64_t ticket;
    int attempt;
    int outcome; /* 0: not decided yet */
};

struct broker {
    struct script script; /* first: the sink's functions get its address */
    pthread_mutex_t lock; /* guards everything below */
    pthread_cond_t changed;
    int control_fd; /* wakes a pump when the test changed something */

    bool refuse_connections, break_down; /* break_down: the next submit or pump finds the connection gone */
    bool hold;      /* confirm nothing until told */
    bool backwards; /* confirm the newest first */
    bool hang;      /* the next pump does not come back until interrupted */
    size_t window;
    int (*decide)(struct broker *broker, const struct message *message); /* an enum pn_outcome; NULL: delivered */
    size_t break_after; /* messages; 0: never */

    struct message *messages; /* everything that was submitted, in order */
    size_t count, settled, delivered;
    size_t *open; /* indexes of what is in flight */
    size_t open_count, open_max;
    size_t connects, interrupts;
};

void broker_init(struct broker *broker, size_t window);
int broker_refuse_to_open(struct script *script, struct pn_call *call); /* for script.open */
void broker_free(struct broker *broker);

/* Changes something under the lock and wakes the sink: broker_change(b, b->hold = false). */
#define broker_change(broker_, statement_)                                                                          \
    do {                                                                                                             \
        pthread_mutex_lock(&(broker_)->lock);                                                                        \
        statement_;                                                                                                  \
        pthread_mutex_unlock(&(broker_)->lock);                                                                      \
        broker_wake(broker_);                                                                                        \
    } while (0)
void broker_wake(struct broker *broker);

/* Waits until so many messages were submitted, or delivered; false after a minute. */
bool broker_await_count(struct broker *broker, size_t count);
bool broker_await_delivered(struct broker *broker, size_t count);

#endif
