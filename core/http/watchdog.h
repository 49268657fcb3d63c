/*
 * Every open connection and when it is cut: slow senders and idle ones hold a connection for a bounded time, however
 * they trickle. libmicrohttpd's own time-out starts anew with every byte.
 */
#ifndef PN_HTTP_WATCHDOG_H
#define PN_HTTP_WATCHDOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/error.h"

struct watchdog;

struct http_connection {
    int fd;
    struct sockaddr_storage peer;
    bool used; /* has carried a request before */
    _Atomic bool busy, idle;
    _Atomic int64_t cut_at_ms; /* monotonic; INT64_MAX: not now */
    struct http_connection *next, *prev; /* under the watchdog's lock */
};

enum rc watchdog_new(int64_t receive_ms, int64_t idle_ms, int64_t send_ms, struct watchdog **ret, struct error *err);

/* HTTP threads, from libmicrohttpd's connection callback; the descriptor is open until watchdog_leave has returned. */
struct http_connection *watchdog_enter(struct watchdog *watchdog, int fd, const struct sockaddr *peer, socklen_t peer_len);
void watchdog_leave(struct watchdog *watchdog, struct http_connection *connection);

/* What the connection does from now on. HTTP thread of the connection. */
void watchdog_receives(struct watchdog *watchdog, struct http_connection *connection); /* a request has begun to arrive */
void watchdog_waits(struct http_connection *connection);                               /* it is complete; we work */
void watchdog_sends(struct watchdog *watchdog, struct http_connection *connection);    /* the answer goes out */
void watchdog_idles(struct watchdog *watchdog, struct http_connection *connection);    /* kept alive */

/* Connections with a request that is complete and whose answer has not left yet. */
size_t watchdog_busy(struct watchdog *watchdog);
size_t watchdog_connections(struct watchdog *watchdog);
void watchdog_free(struct watchdog *watchdog); /* joins the thread; connections must have left */

#endif
