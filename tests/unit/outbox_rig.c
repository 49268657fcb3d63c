/* The rig of outbox_rig.h. */
#include "config.h"

#include "unit/outbox_rig.h"

#include <poll.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"

enum { PATIENCE_MS = 60000 };

static struct plugin *plugin_once(void)
{
    static struct plugin *plugin;
    struct error err = { 0 };
    char dir[512];
    const char *build = getenv("PN_BUILDDIR");
    (void)snprintf(dir, sizeof dir, "%s/tests/plugins/.libs", build ? build : ".");
    if (!plugin && plugin_load("scripted-sink", dir, PN_KIND_SINK, &plugin, &err) != RC_OK)
        fail_msg("%s", err.text);
    return plugin;
}

static void configure_sink(struct rig *rig, size_t i)
{
    static const char *const names[RIG_SINKS_MAX] = { "sink0", "sink1" };
    struct script *script = &rig->brokers[i].script;
    broker_init(&rig->brokers[i], 1000);
    memcpy(&rig->settings[i].script, &script, sizeof script);
    rig->sinks[i] = (struct config_sink){
        .name = names[i],
        .plugin = sink_plugin_new(plugin_once(), names[i], &rig->settings[i], rig->arena),
        .format = FORMAT_MQMESSAGE,
    };
}

void rig_open(struct rig *rig, size_t sinks)
{
    struct error err = { 0 };
    memset(rig, 0, sizeof *rig);
    (void)snprintf(rig->dir, sizeof rig->dir, "/tmp/paynotify-outbox-XXXXXX");
    assert_non_null(mkdtemp(rig->dir));
    (void)snprintf(rig->url, sizeof rig->url, "sqlite:%s/db", rig->dir);
    if (store_open(&(struct store_options){ .url = rig->url, .connections = 2, .statement_timeout_ms = 5000 }, &rig->store, &err))
        fail_msg("%s", err.text);
    rig->arena = arena_new(0);
    rig->incarnation = 1000;
    for (size_t i = 0; i < sinks; i++)
        configure_sink(rig, i);
    rig->config.sinks = rig->sinks;
    rig->config.sink_count = sinks;
    rig->policy = (struct policy){
        .retry_ms = { 1 }, .retry_steps = 1, .retry_max_ms = 1, .connect_first_ms = 5, .connect_max_ms = 20,
    };
}

void rig_start(struct rig *rig)
{
    struct error err = { 0 };
    const struct outbox_options options = {
        .config = &rig->config, .store = rig->store, .incarnation = ++rig->incarnation, .policy = &rig->policy,
    };
    if (outbox_new(&options, &rig->outbox, &err) || outbox_start(rig->outbox, &err))
        fail_msg("%s", err.text);
}

/* After any test: whatever was reserved has been given back. */
void rig_stop(struct rig *rig, int64_t drain_ms)
{
    if (!rig->outbox)
        return;
    outbox_stop(rig->outbox, drain_ms);
    for (size_t i = 0; i < rig->outbox->relay_count; i++) {
        assert_int_equal(rig->outbox->relays[i].held_events, 0);
        assert_int_equal(rig->outbox->relays[i].held_bytes, 0);
        assert_int_equal(rig->outbox->relays[i].slots.used, 0);
    }
    outbox_free(rig->outbox);
    rig->outbox = NULL;
}

void rig_remove(const struct rig *rig)
{
    static const char *const names[] = { "db", "db-wal", "db-shm", "db.lock" };
    char path[128];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", rig->dir, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(rig->dir);
}

void rig_close(struct rig *rig)
{
    rig_stop(rig, 0);
    store_close(rig->store);
    for (size_t i = 0; i < rig->config.sink_count; i++)
        broker_free(&rig->brokers[i]);
    arena_free(rig->arena);
    rig_remove(rig);
}

/* ---- committing */

struct commit {
    struct event *events;
    struct outbox_row *rows;
    size_t event_count, row_count;
};

static enum rc commit_tx(struct tx *tx, void *arg, struct error *err)
{
    struct commit *commit = arg;
    struct settle_writes writes = {
        .events = commit->events, .event_count = commit->event_count,
        .outbox = commit->rows, .outbox_count = commit->row_count,
    };
    return settle_store(tx, &writes, err);
}

void rig_write(struct rig *rig, tx_fn fn, void *arg)
{
    struct error err = { 0 };
    if (store_write(rig->store, LANE_SETTLE, fn, arg, &err) != RC_OK)
        fail_msg("%s", err.text);
}

static void commit_events(struct rig *rig, int64_t first_id, size_t count, int64_t order, int64_t predecessor, bool known)
{
    struct arena *arena = arena_new(0);
    struct commit commit = {
        .events = arena_alloc(arena, count * sizeof *commit.events),
        .rows = arena_alloc(arena, count * RIG_SINKS_MAX * sizeof *commit.rows),
        .event_count = count,
    };
    for (size_t i = 0; i < count; i++) {
        int64_t id = first_id + (int64_t)i;
        struct event *event = &commit.events[i];
        *event = (struct event){
            .event_id = id, .type = "payment.succeeded", .app = "shop", .order_type = id % 2 ? "60201" : "60202",
            .order_id = order ? order : id, .pay_no = id, .created_at = wall_ms(),
            .data = arena_printf(arena, "{\"out_business_id\":\"b%lld\",\"channel\":\"c\",\"amount\":\"1.00\"}", (long long)id),
            .predecessor = order ? predecessor : 0,
        };
        predecessor = id;
        struct outbox_row *rows;
        size_t n;
        outbox_plan(rig->outbox, event, arena, &rows, &n);
        if (n > 0)
            memcpy(commit.rows + commit.row_count, rows, n * sizeof *rows);
        commit.row_count += n;
    }
    rig_write(rig, commit_tx, &commit);
    if (known)
        outbox_committed(rig->outbox, commit.events, count, commit.rows, commit.row_count);
    else
        outbox_aborted(rig->outbox, commit.rows, commit.row_count);
    arena_free(arena);
}

void rig_commit(struct rig *rig, int64_t first_id, size_t count, int64_t order, int64_t predecessor)
{
    commit_events(rig, first_id, count, order, predecessor, true);
}

void rig_commit_unknown(struct rig *rig, int64_t first_id, size_t count, int64_t order, int64_t predecessor)
{
    commit_events(rig, first_id, count, order, predecessor, false);
}

/* ---- looking */

int64_t rig_number(struct rig *rig, const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_open_v2(rig->url + strlen("sqlite:"), &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    sqlite3_busy_timeout(db, 10000);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return number;
}

void rig_await_number(struct rig *rig, const char *sql, int64_t wanted)
{
    int64_t until = mono_ms() + PATIENCE_MS, number;
    while ((number = rig_number(rig, sql)) != wanted && mono_ms() < until)
        (void)poll(NULL, 0, 2);
    if (number != wanted)
        print_message("# %s\n", sql);
    assert_int_equal(number, wanted);
}

sqlite3 *rig_lock(struct rig *rig)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(rig->url + strlen("sqlite:"), &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 10000);
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    return db;
}

void rig_unlock(sqlite3 *lock)
{
    sqlite3_close(lock);
}

void rig_await_pending(struct rig *rig, int64_t pending)
{
    rig_await_number(rig, "SELECT count(*) FROM outbox", pending);
}

void rig_await_up(struct rig *rig, size_t sink)
{
    struct sink_status status[RIG_SINKS_MAX];
    for (int64_t until = mono_ms() + PATIENCE_MS; mono_ms() < until; (void)poll(NULL, 0, 1)) {
        outbox_sink_status(rig->outbox, status, RIG_SINKS_MAX);
        if (status[sink].state == SINK_UP)
            return;
    }
    fail_msg("the sink does not come up: %s", status[sink].reason);
}
