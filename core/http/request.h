/*
 * One HTTP request from its first line to its answer. Reference-counted: the connection holds one reference, every job
 * or callback that will answer holds another. Its arena belongs to whoever works on it at the moment; who only wants to
 * answer in somebody else's place (deadline, shutdown) claims the request and uses memory of his own.
 */
#ifndef PN_HTTP_REQUEST_H
#define PN_HTTP_REQUEST_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "http/language.h"
#include "pay/pay.h"

struct MHD_Connection;
struct MHD_Response;
struct http_connection;
struct http_route;
struct http_server;
struct request_pool;

enum request_state { REQUEST_OPEN, REQUEST_CLAIMED, REQUEST_ANSWERED };
enum request_phase { PHASE_HEAD, PHASE_BODY, PHASE_RUN };

struct http_request {
    /* Known before the handler runs, read-only from then on; any thread. All texts are copies of our own. */
    struct http_server *server;
    const struct http_route *route;
    const char *path;      /* as sent, not decoded */
    const char *query;     /* as sent, without the '?'; "" when there is none */
    const char *id;        /* what {…} in the route's path matched; NULL when it has none */
    const char *client_ip; /* of the payer, by trusted_proxies; only for routes that ask for it */
    struct caller caller;  /* who calls; its app is NULL on routes without a key */
    enum language language;
    bool is_json; /* Content-Type: application/json */
    struct buf body;
    struct arena *arena;
    void *work; /* the handler's own */

    /* The engine's: http thread only, except what is atomic. */
    struct MHD_Connection *connection; /* valid until answered; for others only while the request is claimed by them */
    struct http_connection *peer;
    enum request_phase phase;
    bool suspended;
    bool close_after; /* answer at once and close: where the body ends is not certain */
    size_t counted;   /* bytes of the body in the server's sum */
    size_t discarded;
    struct MHD_Response *response; /* written by the claimer before ANSWERED */
    int status;
    _Atomic int state;
    _Atomic int refs;

    /* Owned by deadline.c, under its lock. */
    struct http_request *deadline_next, *deadline_prev;
    int64_t deadline_at_ms;
    int deadline_class; /* -1: not in a list */

    struct request_pool *pool;
    struct http_request *pool_next;
};

/* Requests with their arenas are used again. Any thread. */
struct request_pool *request_pool_new(void);
void request_pool_free(struct request_pool *pool); /* keeps what is still referenced alive, as a leak rather than a crash */
size_t request_pool_living(struct request_pool *pool);

struct http_request *request_new(struct request_pool *pool); /* one reference; NULL without memory */
void request_ref(struct http_request *request);
void request_unref(struct http_request *request);

/* True for exactly one caller, who then must answer (reply.h). */
bool request_claim(struct http_request *request);
bool request_is_open(const struct http_request *request);

#endif
