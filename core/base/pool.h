/*
 * A fixed pool of worker threads with a bounded queue. API calls run here as straight-line jobs; a job may wait for the
 * store, never for a provider.
 */
#ifndef PN_BASE_POOL_H
#define PN_BASE_POOL_H

#include <stddef.h>

#include "base/error.h"

struct pool;
typedef void (*pool_fn)(void *arg);

enum rc pool_new(size_t threads, size_t queue_max, const char *name, struct pool **ret_pool, struct error *err);

/* Any thread. RC_FULL when queue_max jobs wait, RC_UNAVAILABLE after pool_stop began; fn is then not run. */
enum rc pool_post(struct pool *pool, pool_fn fn, void *arg);

/* The same without the bound, for work that was already accepted (the second half of an asynchronous call). Accepted
 * until pool_free. Aborts when there is no memory for the entry. */
void pool_continue(struct pool *pool, pool_fn fn, void *arg);

size_t pool_waiting(struct pool *pool);
void pool_stop(struct pool *pool); /* takes no new posts; runs what was accepted; returns when idle */
void pool_free(struct pool *pool); /* stops, joins, frees; NULL is fine */

#endif
