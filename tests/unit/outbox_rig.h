/*
 * An outbox with a real SQLite store, a real loaded plugin and a broker behind it, for the tests of core/outbox.
 */
#ifndef PN_TESTS_OUTBOX_RIG_H
#define PN_TESTS_OUTBOX_RIG_H

#include "outbox/internal.h"
#include "unit/broker.h"

enum { RIG_SINKS_MAX = 2 };

struct rig {
    char dir[64], url[128];
    struct arena *arena;
    struct store *store;
    struct config config;
    struct config_sink sinks[RIG_SINKS_MAX];
    struct script_settings settings[RIG_SINKS_MAX];
    struct broker brokers[RIG_SINKS_MAX];
    struct policy policy; /* fast, so that nobody waits */
    struct outbox *outbox;
    int64_t incarnation;
};

void rig_open(struct rig *rig, size_t sinks); /* the store and the configuration; sinks "sink0", "sink1" */
void rig_start(struct rig *rig);              /* the outbox; again after rig_stop */
void rig_stop(struct rig *rig, int64_t drain_ms);
void rig_close(struct rig *rig);
void rig_remove(const struct rig *rig); /* the files; rig_close does it too */

void rig_await_up(struct rig *rig, size_t sink);

/* Commits `count` events in one transaction, with ids from first_id on, and hands them over. `order` 0: an order each;
 * otherwise all of that order, chained behind `predecessor`. */
void rig_commit(struct rig *rig, int64_t first_id, size_t count, int64_t order, int64_t predecessor);
/* The same, but the connection is lost at COMMIT: the events are there, and nobody in this process knows. */
void rig_commit_unknown(struct rig *rig, int64_t first_id, size_t count, int64_t order, int64_t predecessor);

/* Waits until the store holds so many undelivered rows of all sinks. */
void rig_await_pending(struct rig *rig, int64_t pending);
int64_t rig_number(struct rig *rig, const char *sql); /* one number, straight from the database */
void rig_await_number(struct rig *rig, const char *sql, int64_t wanted);
/* Holds the database's write lock from outside, so that nothing can be written. */
struct sqlite3 *rig_lock(struct rig *rig);
void rig_unlock(struct sqlite3 *lock);
void rig_write(struct rig *rig, tx_fn fn, void *arg);

#endif
