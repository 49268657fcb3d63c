/*
 * Brings the database to this program's schema: one server at a time (advisory lock), each migration in its own
 * transaction. Called once by pg_open on a connection of its own, outside pipeline mode.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "store/pg/pg.h"

enum { CONNECT_MS = 10000, MIGRATE_MS = 300000 };

/* The number is ours alone: "paynotif" in ASCII. Held until the connection ends. */
static const char lock[] = "SELECT set_config('statement_timeout', '0', false), pg_advisory_lock(8097887120212126054)";
static const char make_table[] =
    "CREATE TABLE IF NOT EXISTS schema_version (version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())";
static const char get_version[] = "SELECT coalesce(max(version), 0) FROM schema_version";
static const char set_version[] = "INSERT INTO schema_version (version) VALUES ($1)";

static enum rc apply(PGconn *pg, const struct migration *migration, int64_t deadline_ms, struct error *err)
{
    char version[16];
    snprintf(version, sizeof version, "%d", migration->version);
    const char *values[] = { version };
    enum rc rc = pg_simple(pg, "BEGIN", NULL, 0, deadline_ms, NULL, err);
    if (rc == RC_OK)
        rc = pg_simple(pg, migration->sql, NULL, 0, deadline_ms, NULL, err);
    if (rc == RC_OK)
        rc = pg_simple(pg, set_version, values, 1, deadline_ms, NULL, err);
    if (rc == RC_OK)
        rc = pg_simple(pg, "COMMIT", NULL, 0, deadline_ms, NULL, err);
    if (rc != RC_OK)
        error_prefix(err, "schema %s", migration->name);
    else
        log_notice("schema applied", LOG_S("store", "postgresql"), LOG_S("migration", migration->name));
    return rc;
}

/* Everything that is stored was checked to be UTF-8; another encoding would refuse or change some of it. */
static enum rc check_encoding(PGconn *pg, struct error *err)
{
    const char *encoding = PQparameterStatus(pg, "server_encoding");
    if (encoding == NULL || strcmp(encoding, "UTF8") == 0)
        return RC_OK;
    return error_set(err, RC_CONFIG, "the database's encoding is %s; create it with ENCODING 'UTF8'", encoding);
}

static enum rc apply_missing(PGconn *pg, struct error *err)
{
    int64_t deadline_ms = mono_ms() + MIGRATE_MS;
    PGresult *result = NULL;
    enum rc rc = check_encoding(pg, err);
    if (rc == RC_OK)
        rc = pg_simple(pg, lock, NULL, 0, deadline_ms, NULL, err);
    if (rc == RC_OK)
        rc = pg_simple(pg, make_table, NULL, 0, deadline_ms, NULL, err);
    if (rc == RC_OK)
        rc = pg_simple(pg, get_version, NULL, 0, deadline_ms, &result, err);
    if (rc != RC_OK)
        return rc;
    size_t version = strtoul(PQgetvalue(result, 0, 0), NULL, 10);
    PQclear(result);
    if (version > pg_migration_count)
        return error_set(err, RC_CONFIG,
                         "the database has schema %zu, this program knows schemas up to %zu: it needs a newer paynotifyd", version,
                         pg_migration_count);
    for (size_t i = version; i < pg_migration_count && rc == RC_OK; i++)
        rc = apply(pg, &pg_migrations[i], deadline_ms, err);
    return rc;
}

enum rc pg_migrate(struct pg_store *store, struct error *err)
{
    struct pg_conn *conn = calloc(1, sizeof *conn);
    if (conn == NULL)
        return error_set(err, RC_NOMEM, "no memory for the store");
    conn->durable = true;
    conn->timeout_ms = CONNECT_MS;
    enum rc rc = pg_connect(store, conn, mono_ms() + CONNECT_MS, err);
    if (rc == RC_OK) {
        PQexitPipelineMode(conn->pg);
        rc = apply_missing(conn->pg, err);
    }
    pg_drop(conn);
    free(conn);
    return rc;
}
