/*
 * Making a PostgreSQL connection without ever blocking beyond a deadline, host by host, and setting up its session.
 * Called through pool.c by whoever needs a connection, and by migrate.c.
 */
#include "config.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "store/pg/pg.h"

/* What the URL may override. libpq waits for a silent peer by the kernel's time-outs, which are minutes. */
static const struct {
    const char *keyword, *value;
} defaults[] = {
    { "fallback_application_name", "paynotify" }, { "target_session_attrs", "read-write" }, { "tcp_user_timeout", "5000" },
    { "keepalives_idle", "10" },                  { "keepalives_interval", "5" },           { "keepalives_count", "3" },
};
enum { DEFAULTS = sizeof defaults / sizeof defaults[0] };

/* The part number `index` of a comma-separated list; the last part serves for all that follow. */
static const char *part(struct arena *arena, const char *list, size_t index)
{
    if (list == NULL)
        return NULL;
    while (index > 0 && strchr(list, ',') != NULL) {
        list = strchr(list, ',') + 1;
        index--;
    }
    return arena_strndup(arena, list, strcspn(list, ","));
}

static size_t parts(const char *list)
{
    size_t count = 1;
    for (; list != NULL && *list != '\0'; list++)
        count += *list == ',';
    return count;
}

static const char *option(const PQconninfoOption *options, const char *keyword)
{
    for (; options->keyword != NULL; options++)
        if (strcmp(options->keyword, keyword) == 0)
            return options->val;
    return NULL;
}

static bool is_listed(const char *keyword)
{
    return strcmp(keyword, "host") == 0 || strcmp(keyword, "hostaddr") == 0 || strcmp(keyword, "port") == 0;
}

static void fill_target(struct pg_store *store, struct pg_target *target, const PQconninfoOption *options, size_t index)
{
    size_t n = 0;
    enum { ROOM = sizeof target->keywords / sizeof target->keywords[0] - DEFAULTS - 2 };
    for (const PQconninfoOption *o = options; o->keyword != NULL && n < ROOM; o++) {
        if (o->val == NULL)
            continue;
        target->keywords[n] = arena_strdup(store->arena, o->keyword);
        target->values[n++] = is_listed(o->keyword) ? part(store->arena, o->val, index) : arena_strdup(store->arena, o->val);
    }
    for (size_t i = 0; i < DEFAULTS; i++) {
        if (option(options, defaults[i].keyword) != NULL)
            continue;
        target->keywords[n] = defaults[i].keyword;
        target->values[n++] = defaults[i].value;
    }
    target->keywords[n] = "client_encoding";
    target->values[n] = "UTF8";
}

/* libpq tries the hosts of a list by itself, but without a time-out for each when it does not block. */
enum rc pg_targets(struct pg_store *store, const char *url, struct error *err)
{
    char *message = NULL;
    PQconninfoOption *options = PQconninfoParse(url, &message);
    PQfreemem(message); /* it may repeat the URL, and with it the password */
    if (options == NULL)
        return error_field(err, RC_CONFIG, "url", "the store's url is not a PostgreSQL URL that libpq understands");
    const char *hosts = option(options, "hostaddr");
    if (hosts == NULL)
        hosts = option(options, "host");
    store->target_count = parts(hosts);
    store->targets = arena_alloc(store->arena, store->target_count * sizeof *store->targets);
    for (size_t i = 0; store->targets != NULL && i < store->target_count; i++)
        fill_target(store, &store->targets[i], options, i);
    PQconninfoFree(options);
    return store->targets == NULL ? error_set(err, RC_NOMEM, "no memory for the store") : RC_OK;
}

static void ignore_notice(void *arg, const PGresult *result)
{
    (void)arg;
    (void)result;
}

static enum rc connect_one(const struct pg_target *target, int64_t deadline_ms, PGconn **ret_pg, struct error *err)
{
    PGconn *pg = PQconnectStartParams(target->keywords, target->values, 0);
    if (pg == NULL)
        return error_set(err, RC_NOMEM, "no memory for a connection");
    PQsetNoticeReceiver(pg, ignore_notice, NULL);
    enum rc rc = RC_OK;
    PostgresPollingStatusType status = PQstatus(pg) == CONNECTION_BAD ? PGRES_POLLING_FAILED : PGRES_POLLING_WRITING;
    while (rc == RC_OK && status != PGRES_POLLING_OK && status != PGRES_POLLING_FAILED) {
        rc = pg_wait_socket(pg, status == PGRES_POLLING_READING, status == PGRES_POLLING_WRITING, deadline_ms, err);
        if (rc == RC_OK)
            status = PQconnectPoll(pg);
    }
    if (rc == RC_OK && status == PGRES_POLLING_FAILED) {
        const char *message = PQerrorMessage(pg);
        rc = error_set(err, RC_UNAVAILABLE, "PostgreSQL: %.*s", (int)strcspn(message, "\n"), message);
    }
    if (rc != RC_OK || PQsetnonblocking(pg, 1) != 0) {
        PQfinish(pg);
        return rc == RC_OK ? error_set(err, RC_UNAVAILABLE, "PostgreSQL: the connection was lost at once") : RC_UNAVAILABLE;
    }
    *ret_pg = pg;
    return RC_OK;
}

/*
 * All our statements are key look-ups by arrays or cursors. A generic plan made while a table was still empty would scan
 * it for ever, so the planner is told to prefer indexes and nested loops; planning anew for each call costs more than the
 * call. A settlement is never acknowledged before it is on disk, whatever the server's default says.
 */
static const char session[] =
    "SELECT set_config('statement_timeout', $1, false), set_config('idle_in_transaction_session_timeout', $2, false), "
    "set_config('synchronous_commit', CASE WHEN $3 = 'off' THEN 'off' WHEN current_setting('synchronous_commit') = 'off' "
    "THEN 'on' ELSE current_setting('synchronous_commit') END, false), current_setting('fsync'), "
    "set_config('plan_cache_mode', 'force_generic_plan', false), set_config('jit', 'off', false), "
    "set_config('enable_seqscan', 'off', false), set_config('enable_bitmapscan', 'off', false), "
    "set_config('enable_hashjoin', 'off', false), set_config('enable_mergejoin', 'off', false), "
    "set_config('client_min_messages', 'error', false)";

static enum rc set_up(const struct pg_conn *conn, PGconn *pg, int64_t deadline_ms, struct error *err)
{
    char timeout[24], idle[24];
    /* The server gives up a little earlier than we do: its clean error keeps the connection. */
    snprintf(timeout, sizeof timeout, "%lld", (long long)(conn->timeout_ms * 9 / 10));
    snprintf(idle, sizeof idle, "%lld", (long long)(conn->timeout_ms * 2));
    const char *values[] = { timeout, idle, conn->durable ? "on" : "off" };
    PGresult *result = NULL;
    enum rc rc = pg_simple(pg, session, values, 3, deadline_ms, &result, err);
    if (rc != RC_OK)
        return rc;
    static struct log_limit limit;
    if (conn->durable && strcmp(PQgetvalue(result, 0, 2), "off") == 0)
        rc = error_set(err, RC_CONFIG, "PostgreSQL refuses synchronous_commit; settlements need it");
    else if (strcmp(PQgetvalue(result, 0, 3), "off") == 0 && log_allow(&limit, 1))
        log_warn("PostgreSQL runs with fsync = off: a crash of its machine loses payments that were answered success");
    PQclear(result);
    if (rc == RC_OK && !PQenterPipelineMode(pg))
        rc = error_set(err, RC_INTERNAL, "libpq: pipeline mode is refused");
    return rc;
}

enum rc pg_connect(struct pg_store *store, struct pg_conn *conn, int64_t deadline_ms, struct error *err)
{
    size_t first = atomic_load(&store->target);
    enum rc rc = RC_UNAVAILABLE;
    for (size_t i = 0; i < store->target_count; i++) {
        size_t index = (first + i) % store->target_count;
        int64_t now_ms = mono_ms(), share_ms = (deadline_ms - now_ms) / (int64_t)(store->target_count - i);
        PGconn *pg = NULL;
        rc = connect_one(&store->targets[index], now_ms + share_ms, &pg, err);
        if (rc == RC_OK && (rc = set_up(conn, pg, now_ms + share_ms, err)) != RC_OK)
            PQfinish(pg);
        if (rc != RC_OK)
            continue;
        atomic_store(&store->target, index);
        conn->pg = pg;
        conn->served = false;
        return RC_OK;
    }
    return rc == RC_CONFIG ? rc : RC_UNAVAILABLE;
}

void pg_drop(struct pg_conn *conn)
{
    PQfinish(conn->pg);
    conn->pg = NULL;
    memset(conn->prepared, 0, sizeof conn->prepared);
}
