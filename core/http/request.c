/*
 * Life of struct http_request: the pool of used ones, references, and the claim that decides who answers. Any thread.
 */
#include "http/request.h"

#include <microhttpd.h>
#include <pthread.h>
#include <stdlib.h>

enum {
    ARENA_LIMIT = 16 * 1024 * 1024,
    KEEP_ARENA_MAX = 64 * 1024, /* what a request may hold to be kept for the next one */
    KEEP_BODY_MAX = 8 * 1024,
    KEEP_MAX = 512
};

struct request_pool {
    pthread_mutex_t lock;
    struct http_request *unused;
    size_t unused_count;
    size_t living;
};

struct request_pool *request_pool_new(void)
{
    struct request_pool *pool = calloc(1, sizeof *pool);
    if (!pool)
        return NULL;
    pthread_mutex_init(&pool->lock, NULL);
    return pool;
}

static void destroy(struct http_request *request)
{
    arena_free(request->arena);
    buf_free(&request->body);
    free(request);
}

void request_pool_free(struct request_pool *pool)
{
    if (!pool)
        return;
    while (pool->unused) {
        struct http_request *request = pool->unused;
        pool->unused = request->pool_next;
        destroy(request);
    }
    if (pool->living)
        return;
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

size_t request_pool_living(struct request_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    size_t living = pool->living;
    pthread_mutex_unlock(&pool->lock);
    return living;
}

struct http_request *request_new(struct request_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    struct http_request *request = pool->unused;
    if (request) {
        pool->unused = request->pool_next;
        pool->unused_count--;
    }
    pool->living++;
    pthread_mutex_unlock(&pool->lock);

    struct arena *arena = request ? request->arena : arena_new(ARENA_LIMIT);
    struct buf body = request ? request->body : (struct buf){ 0 };
    if (!request)
        request = malloc(sizeof *request);
    if (!request) {
        arena_free(arena);
        pthread_mutex_lock(&pool->lock);
        pool->living--;
        pthread_mutex_unlock(&pool->lock);
        return NULL;
    }
    *request = (struct http_request){ .arena = arena, .body = body, .pool = pool, .refs = 1, .deadline_class = -1 };
    return request;
}

void request_ref(struct http_request *request)
{
    atomic_fetch_add_explicit(&request->refs, 1, memory_order_relaxed);
}

static void recycle(struct http_request *request)
{
    struct request_pool *pool = request->pool;
    if (request->response)
        MHD_destroy_response(request->response);
    bool keep = arena_used(request->arena) <= KEEP_ARENA_MAX && request->body.cap <= KEEP_BODY_MAX;
    if (keep) {
        arena_reset(request->arena);
        buf_clear(&request->body);
    }
    pthread_mutex_lock(&pool->lock);
    pool->living--;
    keep = keep && pool->unused_count < KEEP_MAX;
    if (keep) {
        request->pool_next = pool->unused;
        pool->unused = request;
        pool->unused_count++;
    }
    pthread_mutex_unlock(&pool->lock);
    if (!keep)
        destroy(request);
}

void request_unref(struct http_request *request)
{
    if (atomic_fetch_sub_explicit(&request->refs, 1, memory_order_acq_rel) == 1)
        recycle(request);
}

bool request_claim(struct http_request *request)
{
    int expected = REQUEST_OPEN;
    return atomic_compare_exchange_strong(&request->state, &expected, REQUEST_CLAIMED);
}

bool request_is_open(const struct http_request *request)
{
    return atomic_load(&request->state) == REQUEST_OPEN;
}
