/*
 * The HTTP face: two libmicrohttpd servers (public and API) over one table of routes. main starts and stops it; nothing
 * below includes it.
 */
#ifndef PN_HTTP_SERVER_H
#define PN_HTTP_SERVER_H

#include <stdio.h>

#include "base/error.h"
#include "base/pool.h"
#include "config/config.h"
#include "outbox/outbox.h"
#include "pay/pay.h"
#include "store/store.h"

struct http_server;

struct http_options {
    const struct config *config;
    struct store *store;   /* for /readyz */
    struct pay *pay;
    struct outbox *outbox; /* for /readyz */
    struct pool *workers;
};

/* Binds every address first (a taken one is a clear error that names it): main does this before it takes a node number. Sockets passed by systemd
 * (LISTEN_FDS, names "public" and "api") replace the configured addresses. */
enum rc http_bind(const struct config *config, struct http_server **ret_server, struct error *err);
enum rc http_start(struct http_server *server, const struct http_options *options, struct error *err);

/* /readyz answers 503 from now on; listening sockets are closed; running requests go on. */
void http_quiesce(struct http_server *server);
/* Answers every request that is still suspended (503 or the provider's failure), stops the daemons. */
void http_stop(struct http_server *server);
void http_free(struct http_server *server);

/* One line per route, "METHOD PATH ROLE" (ROLE: anyone, app, operator), for `paynotifyd --list-routes`. */
void http_list_routes(FILE *out);

#endif
