/*
 * The one writer: a thread with the only writing connection. Callers of store_write post a job and wait; the thread takes
 * all that wait, runs each in a savepoint of its own and commits them together, so that under load they share one fsync
 * and a lone job commits at once. Settlements go first.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "store/sqlite/sqlite.h"

enum { BATCH_MAX = 64 };

/* Lives on its caller's stack, who waits until `done`. */
struct job {
    struct job *next;
    tx_fn fn;
    void *arg;
    struct error *err;
    enum rc rc;
    bool done;
    pthread_cond_t finished;
};

struct queue {
    struct job *first, **last;
};

struct sqlite_writer {
    pthread_t thread;
    pthread_mutex_t mutex; /* guards what follows up to conn */
    pthread_cond_t wake;
    struct queue settlements, others;
    bool stopping;
    int64_t batch_began_ms; /* 0: idle */
    struct sqlite_conn conn; /* the thread's */
    struct sqlite_checkpointer *checkpointer;
    int wal_pages; /* the thread's: told by the hook at each commit */
};

static void queue_push(struct queue *queue, struct job *job)
{
    *queue->last = job;
    queue->last = &job->next;
}

static struct job *queue_pop(struct queue *queue)
{
    struct job *job = queue->first;
    if (job == NULL)
        return NULL;
    queue->first = job->next;
    if (queue->first == NULL)
        queue->last = &queue->first;
    return job;
}

static bool queue_remove(struct queue *queue, struct job *job)
{
    for (struct job **at = &queue->first; *at != NULL; at = &(*at)->next) {
        if (*at != job)
            continue;
        *at = job->next;
        if (queue->last == &job->next)
            queue->last = at;
        return true;
    }
    return false;
}

static size_t take_batch(struct sqlite_writer *writer, struct job **ret_jobs)
{
    size_t count = 0;
    struct job *job;
    while (count < BATCH_MAX && (job = queue_pop(&writer->settlements)) != NULL)
        ret_jobs[count++] = job;
    while (count < BATCH_MAX && (job = queue_pop(&writer->others)) != NULL)
        ret_jobs[count++] = job;
    return count;
}

static const struct sql begin = { .name = "begin", .text = "BEGIN IMMEDIATE" };
static const struct sql commit = { .name = "commit", .text = "COMMIT" };
static const struct sql roll_back = { .name = "rollback", .text = "ROLLBACK" };
static const struct sql savepoint = { .name = "savepoint", .text = "SAVEPOINT job" };
static const struct sql release = { .name = "release", .text = "RELEASE job" };
static const struct sql back_to = { .name = "back_to", .text = "ROLLBACK TO job" };

static enum rc command(struct sqlite_conn *conn, const struct sql *sql, struct error *err)
{
    struct sqlite_tx tx = { .base.driver = &sqlite_driver, .conn = conn };
    return tx_exec(&tx.base, sql, NULL, 0, NULL, err);
}

/* Runs one job in a savepoint, so that its failure takes nothing else along. */
static enum rc run_job(struct sqlite_conn *conn, struct job *job)
{
    for (int attempt = 0;; attempt++) {
        struct sqlite_tx tx = { .base.driver = &sqlite_driver, .conn = conn };
        enum rc rc = command(conn, &savepoint, job->err);
        if (rc == RC_OK)
            rc = job->fn(&tx.base, job->arg, job->err);
        if (rc == RC_OK && tx.failed != RC_OK)
            rc = error_set(job->err, RC_INTERNAL, "a statement failed and its transaction was to be committed");
        if (rc == RC_OK)
            rc = command(conn, &release, job->err);
        if (rc == RC_OK || sqlite3_get_autocommit(conn->db))
            return rc;
        enum rc undone = command(conn, &back_to, NULL);
        if (undone == RC_OK)
            undone = command(conn, &release, NULL);
        if (rc != RC_RETRY || undone != RC_OK || attempt == TX_RETRIES)
            return rc;
    }
}

static void fail_all(struct job **jobs, size_t count, enum rc rc, const struct error *why)
{
    for (size_t i = 0; i < count; i++) {
        if (jobs[i]->rc != RC_OK)
            continue;
        jobs[i]->rc = rc;
        error_set(jobs[i]->err, rc, "%s", why->text);
    }
}

/* After an I/O error while the log is written to disk nobody knows what the next recovery finds there. */
static enum rc commit_batch(struct sqlite_conn *conn, struct error *err)
{
    enum rc rc = command(conn, &commit, err);
    if (rc != RC_OK && (sqlite3_errcode(conn->db) & 0xff) == SQLITE_IOERR)
        rc = error_set(err, RC_UNKNOWN, "commit: %s", sqlite3_errmsg(conn->db));
    return rc;
}

static void run_batch(struct sqlite_writer *writer, struct job **jobs, size_t count)
{
    struct sqlite_conn *conn = &writer->conn;
    struct error why = { 0 };
    enum rc rc = command(conn, &begin, &why);
    if (rc != RC_OK) {
        fail_all(jobs, count, rc, &why);
        return;
    }
    size_t ran = 0;
    bool wrote = false;
    for (; ran < count && !sqlite3_get_autocommit(conn->db); ran++) {
        jobs[ran]->rc = run_job(conn, jobs[ran]);
        wrote |= jobs[ran]->rc == RC_OK;
    }
    if (sqlite3_get_autocommit(conn->db)) {
        /* A full disk or an I/O error makes SQLite roll back everything, and those before it with it. */
        error_set(&why, RC_UNAVAILABLE, "the store rolled the batch back: %s", sqlite3_errmsg(conn->db));
        fail_all(jobs, count, RC_UNAVAILABLE, &why);
        return;
    }
    rc = wrote ? commit_batch(conn, &why) : RC_OK;
    if (rc != RC_OK)
        fail_all(jobs, count, rc, &why);
    if (!sqlite3_get_autocommit(conn->db))
        command(conn, &roll_back, NULL);
    sqlite_checkpointer_note(writer->checkpointer, writer->wal_pages);
}

static void *run(void *arg)
{
    struct sqlite_writer *writer = arg;
    struct job *jobs[BATCH_MAX];
    pthread_mutex_lock(&writer->mutex);
    for (;;) {
        size_t count = take_batch(writer, jobs);
        if (count == 0 && writer->stopping)
            break;
        if (count == 0) {
            pthread_cond_wait(&writer->wake, &writer->mutex);
            continue;
        }
        writer->batch_began_ms = mono_ms();
        pthread_mutex_unlock(&writer->mutex);
        run_batch(writer, jobs, count);
        pthread_mutex_lock(&writer->mutex);
        writer->batch_began_ms = 0;
        for (size_t i = 0; i < count; i++) {
            jobs[i]->done = true;
            pthread_cond_signal(&jobs[i]->finished);
        }
    }
    pthread_mutex_unlock(&writer->mutex);
    return NULL;
}

static struct timespec after(int64_t ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000)
        until.tv_sec++, until.tv_nsec -= 1000000000;
    return until;
}

enum rc sqlite_writer_run(struct sqlite_writer *writer, enum lane lane, int64_t timeout_ms, tx_fn fn, void *arg, struct error *err)
{
    struct job job = { .fn = fn, .arg = arg, .err = err, .rc = RC_OK, .finished = PTHREAD_COND_INITIALIZER };
    struct queue *queue = lane == LANE_SETTLE ? &writer->settlements : &writer->others;
    struct timespec until = after(timeout_ms);
    bool left = false;

    pthread_mutex_lock(&writer->mutex);
    queue_push(queue, &job);
    pthread_cond_signal(&writer->wake);
    int code = 0;
    while (!job.done && !left) {
        if (code == 0)
            code = pthread_cond_clockwait(&job.finished, &writer->mutex, CLOCK_MONOTONIC, &until);
        else if (!(left = queue_remove(queue, &job))) /* it runs: the thread uses our frame */
            pthread_cond_wait(&job.finished, &writer->mutex);
    }
    pthread_mutex_unlock(&writer->mutex);
    pthread_cond_destroy(&job.finished);
    return left ? error_set(err, RC_TIMEOUT, "the store's writer did not get to it in time") : job.rc;
}

int64_t sqlite_writer_busy_ms(struct sqlite_writer *writer)
{
    pthread_mutex_lock(&writer->mutex);
    int64_t began_ms = writer->batch_began_ms;
    pthread_mutex_unlock(&writer->mutex);
    return began_ms == 0 ? 0 : mono_ms() - began_ms;
}

static int note_pages(void *arg, sqlite3 *db, const char *name, int pages)
{
    (void)db;
    (void)name;
    struct sqlite_writer *writer = arg;
    writer->wal_pages = pages;
    return SQLITE_OK;
}

enum rc sqlite_writer_start(const char *path, struct sqlite_writer **ret_writer, struct error *err)
{
    struct sqlite_writer *writer = calloc(1, sizeof *writer);
    if (writer == NULL)
        return error_set(err, RC_NOMEM, "no memory for the store");
    pthread_mutex_init(&writer->mutex, NULL);
    pthread_cond_init(&writer->wake, NULL);
    writer->settlements.last = &writer->settlements.first;
    writer->others.last = &writer->others.first;
    enum rc rc = sqlite_conn_open(&writer->conn, path, true, err);
    if (rc == RC_OK)
        rc = sqlite_checkpointer_start(path, &writer->checkpointer, err);
    if (rc == RC_OK) {
        sqlite3_wal_hook(writer->conn.db, note_pages, writer);
        if (pthread_create(&writer->thread, NULL, run, writer) != 0)
            rc = error_set(err, RC_INTERNAL, "cannot start the writer thread");
    }
    if (rc != RC_OK) {
        sqlite_checkpointer_stop(writer->checkpointer);
        sqlite_conn_close(&writer->conn);
        free(writer);
        return rc;
    }
    *ret_writer = writer;
    return RC_OK;
}

void sqlite_writer_stop(struct sqlite_writer *writer)
{
    if (writer == NULL)
        return;
    pthread_mutex_lock(&writer->mutex);
    writer->stopping = true;
    pthread_cond_signal(&writer->wake);
    pthread_mutex_unlock(&writer->mutex);
    pthread_join(writer->thread, NULL);
    sqlite_checkpointer_stop(writer->checkpointer);
    sqlite_conn_close(&writer->conn);
    pthread_cond_destroy(&writer->wake);
    pthread_mutex_destroy(&writer->mutex);
    free(writer);
}
