/*
 * The worker pool: a linked queue behind one mutex. HTTP threads, the committer and the client post; `threads` workers
 * run. main makes and stops it.
 */
#include "base/pool.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct job {
    struct job *next;
    pool_fn fn;
    void *arg;
};

struct pool {
    pthread_mutex_t lock; /* of everything below */
    pthread_cond_t work;  /* a job waits, or quit is set */
    pthread_cond_t idle;  /* nothing waits and nothing runs */
    struct job *first, **end;
    size_t waiting, running, queue_max;
    bool stopping, quit;
    size_t thread_count;
    pthread_t threads[];
};

static struct job *take(struct pool *pool)
{
    struct job *job = pool->first;
    pool->first = job->next;
    if (!pool->first)
        pool->end = &pool->first;
    pool->waiting--;
    pool->running++;
    return job;
}

static void *worker(void *arg)
{
    struct pool *pool = arg;
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (!pool->first && !pool->quit)
            pthread_cond_wait(&pool->work, &pool->lock);
        if (!pool->first)
            break;
        struct job *job = take(pool);
        pthread_mutex_unlock(&pool->lock);
        job->fn(job->arg);
        free(job);
        pthread_mutex_lock(&pool->lock);
        if (--pool->running == 0 && !pool->first)
            pthread_cond_broadcast(&pool->idle);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

static void name_thread(pthread_t thread, const char *name, size_t number)
{
    char text[16]; /* the system's limit */
    snprintf(text, sizeof text, "%.11s-%zu", name, number % 1000);
    pthread_setname_np(thread, text);
}

enum rc pool_new(size_t threads, size_t queue_max, const char *name, struct pool **ret_pool, struct error *err)
{
    struct pool *pool = calloc(1, sizeof *pool + threads * sizeof pool->threads[0]);
    if (!pool)
        return error_set(err, RC_NOMEM, "no memory for %zu workers", threads);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work, NULL);
    pthread_cond_init(&pool->idle, NULL);
    pool->end = &pool->first;
    pool->queue_max = queue_max;
    for (; pool->thread_count < threads; pool->thread_count++) {
        pthread_t *thread = &pool->threads[pool->thread_count];
        int failure = pthread_create(thread, NULL, worker, pool);
        if (failure) {
            pool_free(pool);
            return error_set(err, RC_UNAVAILABLE, "cannot start a worker thread: %s", strerror(failure));
        }
        name_thread(*thread, name, pool->thread_count);
    }
    *ret_pool = pool;
    return RC_OK;
}

static void enqueue(struct pool *pool, struct job *job)
{
    *pool->end = job;
    pool->end = &job->next;
    pool->waiting++;
    pthread_cond_signal(&pool->work);
}

static struct job *job_new(pool_fn fn, void *arg)
{
    struct job *job = malloc(sizeof *job);
    if (job)
        *job = (struct job){ .fn = fn, .arg = arg };
    return job;
}

enum rc pool_post(struct pool *pool, pool_fn fn, void *arg)
{
    struct job *job = job_new(fn, arg);
    if (!job)
        return RC_NOMEM;
    pthread_mutex_lock(&pool->lock);
    enum rc rc = pool->stopping ? RC_UNAVAILABLE : pool->waiting >= pool->queue_max ? RC_FULL : RC_OK;
    if (rc == RC_OK)
        enqueue(pool, job);
    pthread_mutex_unlock(&pool->lock);
    if (rc != RC_OK)
        free(job);
    return rc;
}

void pool_continue(struct pool *pool, pool_fn fn, void *arg)
{
    struct job *job = job_new(fn, arg);
    if (!job)
        abort();
    pthread_mutex_lock(&pool->lock);
    enqueue(pool, job);
    pthread_mutex_unlock(&pool->lock);
}

size_t pool_waiting(struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    size_t waiting = pool->waiting;
    pthread_mutex_unlock(&pool->lock);
    return waiting;
}

void pool_stop(struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    while (pool->first || pool->running)
        pthread_cond_wait(&pool->idle, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}

void pool_free(struct pool *pool)
{
    if (!pool)
        return;
    if (pool->thread_count)
        pool_stop(pool);
    pthread_mutex_lock(&pool->lock);
    pool->quit = true;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    for (size_t i = 0; i < pool->thread_count; i++)
        pthread_join(pool->threads[i], NULL);
    pthread_cond_destroy(&pool->idle);
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}
