/*
 * This process's node number: acquired at start, renewed by a thread of its own, given back at a clean stop. It feeds
 * base/ids, so no id is made without a living lease. main starts and stops it.
 */
#ifndef PN_STORE_NODE_H
#define PN_STORE_NODE_H

#include "store/store.h"

struct node;

/* Takes a number for `name` (which stands for a listening address, so a predecessor of that name is dead) and makes what
 * the predecessor held in the outbox and the schedule due at once. RC_CONFLICT while a process of that name still runs on the same books
 * (known by their URL without the password) on this machine. */
enum rc node_start(struct store *store, const char *shown_url, const char *name, struct node **ret_node, struct error *err);
int64_t node_incarnation(const struct node *node);

/* Ends the thread, gives back the number and what this process held in the schedule: whoever works on that has ended before.
 * NULL is fine. */
void node_stop(struct node *node);

#endif
