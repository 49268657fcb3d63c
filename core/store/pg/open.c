/* The PostgreSQL store. */
#include "config.h"

#include "store/driver.h"

enum rc pg_open(const struct store_options *options, struct store **ret_store, struct error *err)
{
    (void)options;
    (void)ret_store;
    return error_set(err, RC_CONFIG, "this build has no PostgreSQL store yet");
}
