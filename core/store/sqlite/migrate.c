/*
 * Brings a SQLite file to this program's schema, in one transaction. Called once by sqlite_open, before any other
 * connection.
 */
#include "config.h"

#include "base/log.h"
#include "store/sqlite/sqlite.h"

static const struct sql make_table = {
    .name = "schema_table",
    .text = "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER PRIMARY KEY, applied_at INTEGER NOT NULL) STRICT",
};
static const struct sql get_version = {
    .name = "schema_get",
    .text = "SELECT coalesce(max(version), 0) FROM schema_version",
};
static const struct sql set_version = {
    .name = "schema_set",
    .text = "INSERT INTO schema_version (version, applied_at) VALUES ($1, pn_now_ms())",
};

static enum rc apply(struct sqlite_conn *conn, struct tx *tx, const struct migration *migration, struct error *err)
{
    enum rc rc = sqlite_simple(conn, migration->sql, err);
    if (rc == RC_OK)
        rc = tx_exec(tx, &set_version, VALUES(value_i64(migration->version)), NULL, err);
    if (rc != RC_OK)
        error_prefix(err, "schema %s", migration->name);
    else
        log_notice("schema applied", LOG_S("store", "sqlite"), LOG_S("migration", migration->name));
    return rc;
}

static enum rc apply_missing(struct sqlite_conn *conn, struct error *err)
{
    struct sqlite_tx tx = { .base.driver = &sqlite_driver, .conn = conn };
    int64_t version;
    enum rc rc = tx_exec(&tx.base, &make_table, NULL, 0, NULL, err);
    if (rc == RC_OK)
        rc = tx_i64(&tx.base, &get_version, NULL, 0, &version, err);
    if (rc != RC_OK)
        return rc;
    if (version > (int64_t)sqlite_migration_count)
        return error_set(err, RC_CONFIG, "the database has schema %lld, this program knows schemas up to %zu: it needs a newer "
                                         "paynotifyd", (long long)version, sqlite_migration_count);
    for (size_t i = (size_t)version; i < sqlite_migration_count && rc == RC_OK; i++)
        rc = apply(conn, &tx.base, &sqlite_migrations[i], err);
    return rc;
}

enum rc sqlite_migrate(struct sqlite_conn *conn, struct error *err)
{
    enum rc rc = sqlite_simple(conn, "BEGIN IMMEDIATE", err);
    if (rc != RC_OK)
        return rc;
    rc = apply_missing(conn, err);
    if (rc == RC_OK)
        rc = sqlite_simple(conn, "COMMIT", err);
    if (rc != RC_OK)
        sqlite_simple(conn, "ROLLBACK", NULL);
    return rc;
}
