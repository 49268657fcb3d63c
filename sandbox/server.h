/*
 * The sandbox's HTTP server: libmicrohttpd with a thread per connection, so that a handler may wait. main starts and stops
 * it; handlers are listed in a table of routes and know nothing of libmicrohttpd.
 */
#ifndef SANDBOX_SERVER_H
#define SANDBOX_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sandbox.h"

struct request {
    const char *method;
    const char *path;  /* raw, without the query */
    const char *rest;  /* of the path, behind a route that ends with '/' */
    const char *query; /* raw, without the '?'; "" when there is none */
    const char *body;  /* complete; NUL behind it */
    size_t body_length;
    const char *referer; /* NULL: none */
    const char *address; /* of the other side: 127.0.0.1, ::1 */
    bool is_certified;   /* came over TLS with a certificate that our CA signed */
};

/* What a handler answers. The server frees body and location. */
struct reply {
    unsigned status; /* 0: close the connection without a word */
    const char *type;
    char *body;
    size_t length;
    char *location;
};

struct route {
    const char *method;
    const char *path; /* ends with '/': everything below it */
    size_t body_limit;
    struct reply (*handle)(struct sandbox *sandbox, const struct request *request);
};

struct route_table {
    const struct route *routes;
    size_t count;
};

/* Takes ownership of `body`. */
struct reply reply_text(unsigned status, const char *type, char *body);
struct reply reply_drop(void);

/* Binds "address:port" (port 0: a free one; [::1]:0 for IPv6) but answers nothing before server_run. NULL: `ret_error` says
 * why; the caller frees it. */
struct server *server_bind(const char *listen, char **ret_error);
const char *server_url(const struct server *server); /* http://127.0.0.1:34567 */
int server_port(const struct server *server);

/* PEM texts. */
struct server_tls {
    char *certificate, *key; /* the server's */
    char *client_ca;         /* whose certificates clients may show; they need not */
};

void server_tls_free(struct server_tls *tls);

/* Another door, with TLS; between server_bind and server_run. `tls` must outlive the server. False: *ret_error says why. */
bool server_add_tls(struct server *server, const char *listen, const struct server_tls *tls, char **ret_error);
const char *server_tls_url(const struct server *server); /* NULL: there is none */

/* `tables` ends with an entry whose routes are NULL. Both must outlive the server. */
int server_run(struct server *server, struct sandbox *sandbox, const struct route_table *tables);
/* Ends waiting handlers, closes all connections. */
void server_free(struct server *server);

/* For handlers: waits, but no longer than the server lives. */
void server_pause(struct server *server, int64_t ms);

#endif
