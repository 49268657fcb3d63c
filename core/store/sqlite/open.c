/*
 * Life of the SQLite store: the lock against a second process, the schema, the threads and the pool of readers.
 * store_open and store_close call in here, from main's thread; reads and pings from any.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/sqlite/sqlite.h"

struct sqlite_store {
    struct store base;
    int64_t timeout_ms;
    int lock_fd;
    struct sqlite_writer *writer;
    pthread_mutex_t mutex; /* guards free_readers and free_count */
    pthread_cond_t freed;
    struct sqlite_conn readers[SQLITE_READERS];
    struct sqlite_conn *free_readers[SQLITE_READERS];
    size_t free_count, reader_count;
};

enum rc sqlite_lock(const char *path, int *ret_fd, struct error *err)
{
    char name[PATH_MAX];
    if (snprintf(name, sizeof name, "%s.lock", path) >= (int)sizeof name)
        return error_set(err, RC_CONFIG, "the path of the database is too long");
    int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (fd < 0)
        return error_set(err, RC_UNAVAILABLE, "%s: %s", name, strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        char pid[24] = "";
        ssize_t n = pread(fd, pid, sizeof pid - 1, 0);
        pid[n > 0 ? strcspn(pid, "\n") : 0] = '\0';
        close(fd);
        return error_set(err, RC_UNAVAILABLE,
                         "%s is in use by another process%s%s; SQLite serves one paynotifyd only, several need PostgreSQL", path,
                         pid[0] == '\0' ? "" : ", pid ", pid);
    }
    char pid[24];
    int len = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, pid, (size_t)len, 0) != len) {
        error_set(err, RC_UNAVAILABLE, "%s: %s", name, strerror(errno));
        close(fd);
        return RC_UNAVAILABLE;
    }
    *ret_fd = fd;
    return RC_OK;
}

/* Makes the file, readable for its owner and group only, and names it without links, so that the lock beside it is one. */
static enum rc real_path(const char *path, char ret_path[PATH_MAX], struct error *err)
{
    if (path[0] == '\0' || path[0] == ':')
        return error_field(err, RC_CONFIG, "url", "sqlite: needs the path of a file");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (fd < 0)
        return error_set(err, RC_UNAVAILABLE, "%s: %s", path, strerror(errno));
    close(fd);
    if (realpath(path, ret_path) == NULL)
        return error_set(err, RC_UNAVAILABLE, "%s: %s", path, strerror(errno));
    return RC_OK;
}

static void close_store(struct store *base)
{
    struct sqlite_store *store = (struct sqlite_store *)base;
    sqlite_writer_stop(store->writer);
    pthread_mutex_lock(&store->mutex);
    while (store->free_count < store->reader_count)
        pthread_cond_wait(&store->freed, &store->mutex);
    pthread_mutex_unlock(&store->mutex);
    for (size_t i = 0; i < SQLITE_READERS; i++)
        sqlite_conn_close(&store->readers[i]);
    if (store->lock_fd >= 0)
        close(store->lock_fd);
    pthread_cond_destroy(&store->freed);
    pthread_mutex_destroy(&store->mutex);
    free(store);
}

static enum rc migrate(const char *path, struct error *err)
{
    struct sqlite_conn *conn = calloc(1, sizeof *conn);
    if (conn == NULL)
        return error_set(err, RC_NOMEM, "no memory for the store");
    enum rc rc = sqlite_conn_open(conn, path, true, err);
    if (rc == RC_OK)
        rc = sqlite_migrate(conn, err);
    sqlite_conn_close(conn);
    free(conn);
    return rc;
}

enum rc sqlite_open(const char *path, const struct store_options *options, struct store **ret_store, struct error *err)
{
    char real[PATH_MAX];
    enum rc rc = real_path(path, real, err);
    if (rc != RC_OK)
        return rc;
    struct sqlite_store *store = calloc(1, sizeof *store);
    if (store == NULL)
        return error_set(err, RC_NOMEM, "no memory for the store");
    store->base.driver = &sqlite_driver;
    store->timeout_ms = options->statement_timeout_ms;
    store->lock_fd = -1;
    pthread_mutex_init(&store->mutex, NULL);
    pthread_cond_init(&store->freed, NULL);

    rc = sqlite_lock(real, &store->lock_fd, err);
    if (rc == RC_OK)
        rc = migrate(real, err);
    if (rc == RC_OK)
        rc = sqlite_writer_start(real, &store->writer, err);
    for (size_t i = 0; rc == RC_OK && i < SQLITE_READERS; i++) {
        rc = sqlite_conn_open(&store->readers[i], real, false, err);
        store->free_readers[store->free_count++] = &store->readers[i];
    }
    store->reader_count = store->free_count;
    if (rc != RC_OK) {
        close_store(&store->base);
        return rc;
    }
    *ret_store = &store->base;
    return RC_OK;
}

static enum rc take_reader(struct sqlite_store *store, int64_t timeout_ms, struct sqlite_conn **ret, struct error *err)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += timeout_ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000)
        until.tv_sec++, until.tv_nsec -= 1000000000;
    int code = 0;
    pthread_mutex_lock(&store->mutex);
    while (store->free_count == 0 && code == 0)
        code = pthread_cond_clockwait(&store->freed, &store->mutex, CLOCK_MONOTONIC, &until);
    struct sqlite_conn *conn = store->free_count == 0 ? NULL : store->free_readers[--store->free_count];
    pthread_mutex_unlock(&store->mutex);
    if (conn == NULL)
        return error_set(err, RC_TIMEOUT, "all readers of the store are busy");
    *ret = conn;
    return RC_OK;
}

static void give_reader(struct sqlite_store *store, struct sqlite_conn *conn)
{
    pthread_mutex_lock(&store->mutex);
    store->free_readers[store->free_count++] = conn;
    pthread_cond_signal(&store->freed);
    pthread_mutex_unlock(&store->mutex);
}

static const struct sql begin = { .name = "begin_read", .text = "BEGIN" };
static const struct sql end = { .name = "end_read", .text = "ROLLBACK" };

/* In one transaction, so that the statements of one read see the same books. */
static enum rc read_within(struct sqlite_store *store, int64_t timeout_ms, tx_fn fn, void *arg, struct error *err)
{
    struct sqlite_conn *conn = NULL;
    enum rc rc = take_reader(store, timeout_ms, &conn, err);
    if (rc != RC_OK)
        return rc;
    struct sqlite_tx tx = { .base.driver = &sqlite_driver, .conn = conn };
    rc = tx_exec(&tx.base, &begin, NULL, 0, NULL, err);
    if (rc == RC_OK) {
        rc = fn(&tx.base, arg, err);
        tx_exec(&tx.base, &end, NULL, 0, NULL, NULL);
    }
    give_reader(store, conn);
    return rc;
}

static enum rc read_store(struct store *base, tx_fn fn, void *arg, struct error *err)
{
    struct sqlite_store *store = (struct sqlite_store *)base;
    return read_within(store, store->timeout_ms, fn, arg, err);
}

static enum rc write_store(struct store *base, enum lane lane, tx_fn fn, void *arg, struct error *err)
{
    struct sqlite_store *store = (struct sqlite_store *)base;
    return sqlite_writer_run(store->writer, lane, store->timeout_ms, fn, arg, err);
}

enum { PING_MS = 2000 };

static enum rc look(struct tx *tx, void *arg, struct error *err)
{
    return tx_now(tx, arg, err);
}

static enum rc ping(struct store *base, struct error *err)
{
    struct sqlite_store *store = (struct sqlite_store *)base;
    int64_t busy_ms = sqlite_writer_busy_ms(store->writer), now;
    if (busy_ms > PING_MS)
        return error_set(err, RC_UNAVAILABLE, "the store's writer has been busy for %lld ms", (long long)busy_ms);
    return read_within(store, PING_MS, look, &now, err);
}

const struct store_driver sqlite_driver = {
    .kind = "sqlite",
    .close = close_store,
    .ping = ping,
    .write = write_store,
    .read = read_store,
    .run = sqlite_run,
    .settle_load = sqlite_settle_load,
    .settle_store = sqlite_settle_store,
    .outbox_claim = sqlite_outbox_claim,
    .outbox_complete = sqlite_outbox_complete,
};
