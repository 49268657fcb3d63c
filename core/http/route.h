/*
 * The table of routes and the matching of a request against it. Pure; any thread.
 */
#ifndef PN_HTTP_ROUTE_H
#define PN_HTTP_ROUTE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "http/deadline.h"
#include "http/request.h"

enum { SIDE_PUBLIC = 1, SIDE_API = 2 };
enum route_role { FOR_ANYONE, FOR_APPS, FOR_OPERATORS };
enum route_run { RUN_INLINE, RUN_WORKER };

struct http_route {
    const char *method;
    const char *path; /* {…} matches one segment; the last one is the id */
    unsigned sides;
    enum route_role role;
    size_t body_max; /* 0: a body is not looked at */
    enum route_run run;
    bool wants_client; /* fill in client_ip and language */
    void (*handle)(struct http_request *request);
    /* Answers a request that was claimed because its time is up or nobody will work on it. `scratch` is the caller's. NULL: a
     * problem. */
    void (*give_up)(struct http_request *request, struct arena *scratch);
};

/* The whole table (routes.c). */
const struct http_route *http_routes(size_t *ret_count);

struct route_match {
    const struct http_route *route; /* NULL: none */
    const char *id;                 /* start of what the last {…} matched in the path given; NULL: no {…} */
    size_t id_len;
    const struct http_route *other; /* then one that has the path */
    char allow[64]; /* when the path exists with other methods only: "GET, HEAD"; otherwise empty */
};

/* HEAD is answered by the route for GET. */
void route_find(const struct http_route *routes, size_t count, unsigned side, const char *method, const char *path,
                struct route_match *ret_match);

const char *route_role_name(enum route_role role);

#endif
