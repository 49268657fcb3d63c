/*
 * The door of the store: picks the driver by URL and passes calls on. What both drivers share on the way is here.
 * Any thread.
 */
#include "config.h"

#include "store/store.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "store/driver.h"

enum rc store_open(const struct store_options *options, struct store **ret_store, struct error *err)
{
    struct store_options filled = *options;
    if (filled.url == NULL)
        return error_field(err, RC_CONFIG, "url", "the store's url is missing");
    if (filled.connections <= 0)
        filled.connections = 8;
    if (filled.statement_timeout_ms <= 0)
        filled.statement_timeout_ms = 5000;
    if (strncmp(filled.url, "sqlite:", 7) == 0)
        return sqlite_open(filled.url + 7, &filled, ret_store, err);
    if (strncmp(filled.url, "postgresql://", 13) == 0 || strncmp(filled.url, "postgres://", 11) == 0)
        return pg_open(&filled, ret_store, err);
    /* The text may hold a password, so it is not repeated. */
    return error_field(err, RC_CONFIG, "url", "the store's url must begin with sqlite: or postgresql://");
}

void store_close(struct store *store)
{
    if (store != NULL)
        store->driver->close(store);
}

const char *store_kind(const struct store *store)
{
    return store->driver->kind;
}

enum rc store_ping(struct store *store, struct error *err)
{
    return store->driver->ping(store, err);
}

enum rc store_write(struct store *store, enum lane lane, tx_fn fn, void *arg, struct error *err)
{
    return store->driver->write(store, lane, fn, arg, err);
}

enum rc store_read(struct store *store, tx_fn fn, void *arg, struct error *err)
{
    return store->driver->read(store, fn, arg, err);
}

int64_t retry_pause_ms(int attempt)
{
    return 1 + mono_us() % (4 * (attempt + 1));
}
