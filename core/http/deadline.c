/*
 * The deadline thread. Each class has one constant time, so its list is in order of time by appending. The thread is
 * only woken for a request when it sleeps past that request's deadline, which under load is next to never.
 */
#include "http/deadline.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "http/request.h"

struct deadlines {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    struct {
        struct http_request *first, *last;
        int64_t ms;
    } lists[DEADLINE_CLASSES];
    int64_t sleeps_until_ms;
    size_t waiting;
    bool closed, ends;
    deadline_fn expired;
    void *arg;
};

static void append(struct deadlines *d, struct http_request *request, enum deadline_class class)
{
    request->deadline_class = (int) class;
    request->deadline_next = NULL;
    request->deadline_prev = d->lists[class].last;
    if (d->lists[class].last)
        d->lists[class].last->deadline_next = request;
    else
        d->lists[class].first = request;
    d->lists[class].last = request;
    d->waiting++;
}

static void unlink_request(struct deadlines *d, struct http_request *request)
{
    int class = request->deadline_class;
    if (class < 0)
        return;
    if (request->deadline_prev)
        request->deadline_prev->deadline_next = request->deadline_next;
    else
        d->lists[class].first = request->deadline_next;
    if (request->deadline_next)
        request->deadline_next->deadline_prev = request->deadline_prev;
    else
        d->lists[class].last = request->deadline_prev;
    request->deadline_class = -1;
    d->waiting--;
}

/* The lock is held. A request whose time is up (or any, when closing), taken out with a reference; NULL: none. */
static struct http_request *take_due(struct deadlines *d, int64_t now, bool closing)
{
    for (int class = 0; class < DEADLINE_CLASSES; class ++) {
        struct http_request *request = d->lists[class].first;
        if (!request || (!closing && request->deadline_at_ms > now))
            continue;
        unlink_request(d, request);
        request_ref(request);
        return request;
    }
    return NULL;
}

/* When to look again: at the first deadline, but no later than the shortest class from now, so that a request which
 * comes in meanwhile need not wake the thread. INT64_MAX: when somebody comes. */
static int64_t next_look(const struct deadlines *d, int64_t now)
{
    if (d->waiting == 0)
        return INT64_MAX;
    int64_t at = INT64_MAX;
    for (int class = 0; class < DEADLINE_CLASSES; class ++) {
        int64_t latest = now + d->lists[class].ms;
        if (latest < at)
            at = latest;
        const struct http_request *first = d->lists[class].first;
        if (first && first->deadline_at_ms < at)
            at = first->deadline_at_ms;
    }
    return at;
}

static void sleep_until(struct deadlines *d, int64_t at_ms)
{
    d->sleeps_until_ms = at_ms;
    if (at_ms == INT64_MAX) {
        pthread_cond_wait(&d->changed, &d->lock);
        return;
    }
    struct timespec at = { .tv_sec = at_ms / 1000, .tv_nsec = (at_ms % 1000) * 1000000 };
    pthread_cond_timedwait(&d->changed, &d->lock, &at);
}

static void *deadline_thread(void *arg)
{
    struct deadlines *d = arg;
    pthread_mutex_lock(&d->lock);
    while (!d->ends) {
        int64_t now = mono_ms();
        struct http_request *request = take_due(d, now, false);
        if (!request) {
            sleep_until(d, next_look(d, now));
            continue;
        }
        pthread_mutex_unlock(&d->lock);
        d->expired(d->arg, request, false);
        request_unref(request);
        pthread_mutex_lock(&d->lock);
    }
    pthread_mutex_unlock(&d->lock);
    return NULL;
}

enum rc deadlines_new(const int64_t ms[DEADLINE_CLASSES], deadline_fn expired, void *arg, struct deadlines **ret,
                      struct error *err)
{
    struct deadlines *d = calloc(1, sizeof *d);
    if (!d)
        return error_set(err, RC_NOMEM, "no memory for the deadlines");
    for (int class = 0; class < DEADLINE_CLASSES; class ++)
        d->lists[class].ms = ms[class];
    d->expired = expired;
    d->arg = arg;
    pthread_mutex_init(&d->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&d->changed, &attr);
    pthread_condattr_destroy(&attr);
    if (pthread_create(&d->thread, NULL, deadline_thread, d) != 0) {
        free(d);
        return error_set(err, RC_INTERNAL, "cannot start the deadline thread");
    }
    *ret = d;
    return RC_OK;
}

bool deadlines_add(struct deadlines *d, struct http_request *request, enum deadline_class class)
{
    request->deadline_at_ms = mono_ms() + d->lists[class].ms;
    pthread_mutex_lock(&d->lock);
    bool open = !d->closed;
    if (open) {
        append(d, request, class);
        if (request->deadline_at_ms < d->sleeps_until_ms)
            pthread_cond_signal(&d->changed);
    }
    pthread_mutex_unlock(&d->lock);
    return open;
}

void deadlines_remove(struct deadlines *d, struct http_request *request)
{
    pthread_mutex_lock(&d->lock);
    unlink_request(d, request);
    pthread_mutex_unlock(&d->lock);
}

void deadlines_close(struct deadlines *d)
{
    pthread_mutex_lock(&d->lock);
    d->closed = true;
    for (struct http_request *request; (request = take_due(d, 0, true));) {
        pthread_mutex_unlock(&d->lock);
        d->expired(d->arg, request, true);
        request_unref(request);
        pthread_mutex_lock(&d->lock);
    }
    pthread_mutex_unlock(&d->lock);
}

size_t deadlines_waiting(struct deadlines *d)
{
    pthread_mutex_lock(&d->lock);
    size_t waiting = d->waiting;
    pthread_mutex_unlock(&d->lock);
    return waiting;
}

void deadlines_free(struct deadlines *d)
{
    if (!d)
        return;
    pthread_mutex_lock(&d->lock);
    d->ends = true;
    pthread_cond_signal(&d->changed);
    pthread_mutex_unlock(&d->lock);
    pthread_join(d->thread, NULL);
    pthread_cond_destroy(&d->changed);
    pthread_mutex_destroy(&d->lock);
    free(d);
}
