/*
 * The lanes: small pools of connections, so that settlements never queue behind anything else. A connection is made when
 * it is first taken, and again after it was lost, at most every PG_RETRY_MS. Any thread.
 */
#include "config.h"

#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "store/pg/pg.h"

enum rc pg_pool_init(struct pg_pool *pool, size_t count, bool durable, int64_t timeout_ms)
{
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->given, NULL);
    pool->conns = calloc(count, sizeof *pool->conns);
    pool->free = calloc(count, sizeof(struct pg_conn *));
    if (pool->conns == NULL || pool->free == NULL)
        return RC_NOMEM;
    pool->count = pool->free_count = count;
    pool->timeout_ms = timeout_ms;
    for (size_t i = 0; i < count; i++) {
        pool->conns[i].durable = durable;
        pool->conns[i].timeout_ms = timeout_ms;
        pool->free[i] = &pool->conns[i];
    }
    return RC_OK;
}

void pg_pool_free(struct pg_pool *pool)
{
    pthread_mutex_lock(&pool->mutex);
    while (pool->free_count < pool->count)
        pthread_cond_wait(&pool->given, &pool->mutex);
    pthread_mutex_unlock(&pool->mutex);
    for (size_t i = 0; i < pool->count; i++) {
        pg_drop(&pool->conns[i]);
        for (size_t j = 0; j < PG_ARRAYS; j++)
            buf_free(&pool->conns[i].arrays[j]);
    }
    free(pool->conns);
    free(pool->free);
    pthread_cond_destroy(&pool->given);
    pthread_mutex_destroy(&pool->mutex);
}

static struct pg_conn *take_free(struct pg_pool *pool, int64_t deadline_ms)
{
    struct timespec until = { .tv_sec = deadline_ms / 1000, .tv_nsec = deadline_ms % 1000 * 1000000 };
    int code = 0;
    pthread_mutex_lock(&pool->mutex);
    while (pool->free_count == 0 && code == 0)
        code = pthread_cond_clockwait(&pool->given, &pool->mutex, CLOCK_MONOTONIC, &until);
    struct pg_conn *conn = pool->free_count == 0 ? NULL : pool->free[--pool->free_count];
    pthread_mutex_unlock(&pool->mutex);
    return conn;
}

void pg_give(struct pg_store *store, enum lane lane, struct pg_conn *conn)
{
    struct pg_pool *pool = &store->lanes[lane];
    pthread_mutex_lock(&pool->mutex);
    pool->free[pool->free_count++] = conn;
    pthread_cond_signal(&pool->given);
    pthread_mutex_unlock(&pool->mutex);
}

static enum rc connected(struct pg_store *store, struct pg_conn *conn, int64_t deadline_ms, struct error *err)
{
    if (conn->pg != NULL)
        return RC_OK;
    if (mono_ms() < conn->retry_at_ms)
        return error_set(err, conn->why.rc, "%s", conn->why.text);
    enum rc rc = pg_connect(store, conn, deadline_ms, &conn->why);
    if (rc == RC_OK)
        return RC_OK;
    conn->retry_at_ms = mono_ms() + PG_RETRY_MS;
    conn->why.rc = rc;
    return error_set(err, rc, "%s", conn->why.text);
}

enum rc pg_take(struct pg_store *store, enum lane lane, int64_t deadline_ms, struct pg_conn **ret_conn, struct error *err)
{
    struct pg_conn *conn = take_free(&store->lanes[lane], deadline_ms);
    if (conn == NULL)
        return error_set(err, RC_TIMEOUT, "all connections to PostgreSQL are busy");
    enum rc rc = connected(store, conn, deadline_ms, err);
    if (rc != RC_OK) {
        pg_give(store, lane, conn);
        return rc;
    }
    *ret_conn = conn;
    return RC_OK;
}
