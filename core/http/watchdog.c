/*
 * The watchdog thread looks at all connections a few times per receive time-out and shuts down the sockets of those
 * whose time is up; libmicrohttpd then sees them closed by the peer and cleans up on its own thread. A request only
 * stores its new time in its connection, so it costs the hot path no lock.
 */
#include "http/watchdog.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/metrics.h"

struct watchdog {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    struct http_connection *first;
    size_t count;
    int64_t receive_ms, idle_ms, send_ms;
    bool ends;
    struct metric *open, *cut;
};

/* libmicrohttpd's epoll loop misses an end of stream that arrived together with the last request, and would keep the dead
 * connection for as long as an idle one. One look per idle period finds those. */
static bool peer_has_gone(struct http_connection *c)
{
    char byte;
    if (!atomic_exchange_explicit(&c->idle, false, memory_order_relaxed))
        return false;
    return recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

/* The lock is held, so no descriptor in the list can be closed and used again meanwhile. */
static void cut_late(struct watchdog *w)
{
    int64_t now = mono_ms();
    for (struct http_connection *c = w->first; c; c = c->next) {
        bool late = atomic_load_explicit(&c->cut_at_ms, memory_order_relaxed) <= now;
        if (!late && !peer_has_gone(c))
            continue;
        atomic_store_explicit(&c->cut_at_ms, INT64_MAX, memory_order_relaxed);
        shutdown(c->fd, SHUT_RDWR);
        metric_add(w->cut, late);
    }
}

static void *watchdog_thread(void *arg)
{
    struct watchdog *w = arg;
    int64_t pause_ms = w->receive_ms / 8 < 1000 ? w->receive_ms / 8 + 1 : 1000;
    pthread_mutex_lock(&w->lock);
    while (!w->ends) {
        if (!w->first) {
            pthread_cond_wait(&w->changed, &w->lock);
            continue;
        }
        int64_t at_ms = mono_ms() + pause_ms;
        struct timespec at = { .tv_sec = at_ms / 1000, .tv_nsec = (at_ms % 1000) * 1000000 };
        pthread_cond_timedwait(&w->changed, &w->lock, &at);
        cut_late(w);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

enum rc watchdog_new(int64_t receive_ms, int64_t idle_ms, int64_t send_ms, struct watchdog **ret, struct error *err)
{
    struct watchdog *w = calloc(1, sizeof *w);
    if (!w)
        return error_set(err, RC_NOMEM, "no memory for the connection watchdog");
    w->receive_ms = receive_ms;
    w->idle_ms = idle_ms;
    w->send_ms = send_ms;
    w->open = metric_gauge("paynotify_http_connections", NULL, "Open HTTP connections.");
    w->cut = metric_counter("paynotify_http_connections_cut_total", NULL, "Connections cut because they were too slow or idle.");
    pthread_mutex_init(&w->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&w->changed, &attr);
    pthread_condattr_destroy(&attr);
    if (pthread_create(&w->thread, NULL, watchdog_thread, w) != 0) {
        free(w);
        return error_set(err, RC_INTERNAL, "cannot start the connection watchdog");
    }
    *ret = w;
    return RC_OK;
}

static void set_cut(struct http_connection *c, int64_t at_ms)
{
    atomic_store_explicit(&c->cut_at_ms, at_ms, memory_order_relaxed);
}

struct http_connection *watchdog_enter(struct watchdog *w, int fd, const struct sockaddr *peer, socklen_t peer_len)
{
    struct http_connection *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->fd = fd;
    if (peer && peer_len <= sizeof c->peer)
        memcpy(&c->peer, peer, peer_len);
    set_cut(c, mono_ms() + w->receive_ms);
    pthread_mutex_lock(&w->lock);
    c->next = w->first;
    if (c->next)
        c->next->prev = c;
    else
        pthread_cond_signal(&w->changed);
    w->first = c;
    w->count++;
    pthread_mutex_unlock(&w->lock);
    metric_add(w->open, 1);
    return c;
}

void watchdog_leave(struct watchdog *w, struct http_connection *c)
{
    pthread_mutex_lock(&w->lock);
    if (c->prev)
        c->prev->next = c->next;
    else
        w->first = c->next;
    if (c->next)
        c->next->prev = c->prev;
    w->count--;
    pthread_mutex_unlock(&w->lock);
    metric_add(w->open, -1);
    free(c);
}

/* The first request's time runs from the connection's beginning. */
void watchdog_receives(struct watchdog *w, struct http_connection *c)
{
    if (c->used)
        set_cut(c, mono_ms() + w->receive_ms);
    atomic_store_explicit(&c->idle, false, memory_order_relaxed);
    c->used = true;
}

void watchdog_waits(struct http_connection *c)
{
    set_cut(c, INT64_MAX);
    atomic_store_explicit(&c->busy, true, memory_order_relaxed);
}

void watchdog_sends(struct watchdog *w, struct http_connection *c)
{
    set_cut(c, mono_ms() + w->send_ms);
}

void watchdog_idles(struct watchdog *w, struct http_connection *c)
{
    set_cut(c, mono_ms() + w->idle_ms);
    atomic_store_explicit(&c->busy, false, memory_order_relaxed);
    atomic_store_explicit(&c->idle, true, memory_order_relaxed);
}

size_t watchdog_busy(struct watchdog *w)
{
    size_t busy = 0;
    pthread_mutex_lock(&w->lock);
    for (const struct http_connection *c = w->first; c; c = c->next)
        busy += atomic_load(&c->busy);
    pthread_mutex_unlock(&w->lock);
    return busy;
}

size_t watchdog_connections(struct watchdog *w)
{
    pthread_mutex_lock(&w->lock);
    size_t count = w->count;
    pthread_mutex_unlock(&w->lock);
    return count;
}

void watchdog_free(struct watchdog *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->ends = true;
    pthread_cond_signal(&w->changed);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->lock);
    free(w);
}
