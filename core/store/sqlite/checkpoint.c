/*
 * Moves pages from the write-ahead log into the database, off the writer's thread: a checkpoint costs two fsyncs and much
 * copying, which no payment should wait for. A thread and a connection of its own; the writer only tells how long the log
 * is.
 */
#include "config.h"

#include <stdlib.h>

#include "base/log.h"
#include "store/sqlite/sqlite.h"

/* In pages of 4 KiB: checkpoint from 4 MiB on; from 64 MiB on also start the log anew, which makes the writer wait shortly
 * for what the passive checkpoint left over. */
enum { PAGES_PASSIVE = 1000, PAGES_TRUNCATE = 16000, TRUNCATE_WAIT_MS = 20 };

struct sqlite_checkpointer {
    pthread_t thread;
    pthread_mutex_t mutex; /* guards pages and stopping */
    pthread_cond_t wake;
    int pages;
    bool stopping;
    struct sqlite_conn conn; /* the thread's */
};

static void checkpoint(struct sqlite_conn *conn, int mode)
{
    int code = sqlite3_wal_checkpoint_v2(conn->db, NULL, mode, NULL, NULL);
    static struct log_limit limit;
    if (code != SQLITE_OK && (code & 0xff) != SQLITE_BUSY && (code & 0xff) != SQLITE_LOCKED && log_allow(&limit, 6))
        log_warn("checkpoint failed", LOG_S("store", "sqlite"), LOG_S("error", sqlite3_errstr(code)));
}

static void *run(void *arg)
{
    struct sqlite_checkpointer *self = arg;
    pthread_mutex_lock(&self->mutex);
    while (!self->stopping) {
        int pages = self->pages;
        if (pages < PAGES_PASSIVE) {
            pthread_cond_wait(&self->wake, &self->mutex);
            continue;
        }
        self->pages = 0;
        pthread_mutex_unlock(&self->mutex);
        checkpoint(&self->conn, SQLITE_CHECKPOINT_PASSIVE);
        if (pages >= PAGES_TRUNCATE)
            checkpoint(&self->conn, SQLITE_CHECKPOINT_TRUNCATE);
        pthread_mutex_lock(&self->mutex);
    }
    pthread_mutex_unlock(&self->mutex);
    return NULL;
}

enum rc sqlite_checkpointer_start(const char *path, struct sqlite_checkpointer **ret_checkpointer, struct error *err)
{
    struct sqlite_checkpointer *self = calloc(1, sizeof *self);
    if (self == NULL)
        return error_set(err, RC_NOMEM, "no memory for the store");
    enum rc rc = sqlite_conn_open(&self->conn, path, true, err);
    if (rc == RC_OK)
        sqlite3_busy_timeout(self->conn.db, TRUNCATE_WAIT_MS); /* it holds the write lock while it waits for readers */
    pthread_mutex_init(&self->mutex, NULL);
    pthread_cond_init(&self->wake, NULL);
    if (rc == RC_OK && pthread_create(&self->thread, NULL, run, self) != 0)
        rc = error_set(err, RC_INTERNAL, "cannot start the checkpoint thread");
    if (rc != RC_OK) {
        sqlite_conn_close(&self->conn);
        free(self);
        return rc;
    }
    *ret_checkpointer = self;
    return RC_OK;
}

void sqlite_checkpointer_stop(struct sqlite_checkpointer *self)
{
    if (self == NULL)
        return;
    pthread_mutex_lock(&self->mutex);
    self->stopping = true;
    pthread_cond_signal(&self->wake);
    pthread_mutex_unlock(&self->mutex);
    pthread_join(self->thread, NULL);
    sqlite_conn_close(&self->conn);
    pthread_cond_destroy(&self->wake);
    pthread_mutex_destroy(&self->mutex);
    free(self);
}

void sqlite_checkpointer_note(struct sqlite_checkpointer *self, int wal_pages)
{
    if (wal_pages < PAGES_PASSIVE)
        return;
    pthread_mutex_lock(&self->mutex);
    self->pages = wal_pages;
    pthread_cond_signal(&self->wake);
    pthread_mutex_unlock(&self->mutex);
}
