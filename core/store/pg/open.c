/*
 * Life of the PostgreSQL store. store_open and store_close call in here, from main's thread.
 */
#include "config.h"

#include <stdlib.h>

#include "store/pg/pg.h"

static void close_store(struct store *base)
{
    struct pg_store *store = (struct pg_store *)base;
    for (size_t i = 0; i < PG_LANES; i++)
        pg_pool_free(&store->lanes[i]);
    arena_free(store->arena);
    free(store);
}

enum { SETTLE_TIMEOUT_MS = 3000 }; /* a notification is answered after 4 s whatever happens */

static enum rc init_lane(struct pg_store *store, int lane, const struct store_options *options)
{
    int64_t timeout_ms = options->statement_timeout_ms;
    if (lane == LANE_SETTLE && timeout_ms > SETTLE_TIMEOUT_MS)
        timeout_ms = SETTLE_TIMEOUT_MS;
    return pg_pool_init(&store->lanes[lane], lane == LANE_WORK ? (size_t)options->connections : 1, lane != LANE_COMPLETE,
                        timeout_ms);
}

enum rc pg_open(const struct store_options *options, struct store **ret_store, struct error *err)
{
    struct pg_store *store = calloc(1, sizeof *store);
    if (store == NULL)
        return error_set(err, RC_NOMEM, "no memory for the store");
    store->base.driver = &pg_driver;
    store->arena = arena_new(0);
    enum rc rc = RC_OK;
    for (int lane = 0; lane < PG_LANES; lane++)
        if (init_lane(store, lane, options) != RC_OK)
            rc = error_set(err, RC_NOMEM, "no memory for the store");
    if (rc == RC_OK)
        rc = pg_targets(store, options->url, err);
    if (rc == RC_OK)
        rc = pg_migrate(store, err);
    if (rc != RC_OK) {
        close_store(&store->base);
        return rc;
    }
    *ret_store = &store->base;
    return RC_OK;
}

const struct store_driver pg_driver = {
    .kind = "postgresql",
    .close = close_store,
    .ping = pg_ping,
    .write = pg_write,
    .read = pg_read,
    .run = pg_run,
    .settle_load = pg_settle_load,
    .settle_store = pg_settle_store,
    .outbox_claim = pg_outbox_claim,
    .outbox_complete = pg_outbox_complete,
};
