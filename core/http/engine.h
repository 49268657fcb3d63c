/*
 * What the files of core/http share about the running server. main sees none of it (server.h).
 */
#ifndef PN_HTTP_ENGINE_H
#define PN_HTTP_ENGINE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/metrics.h"
#include "http/deadline.h"
#include "http/listen.h"
#include "http/proxies.h"
#include "http/request.h"
#include "http/route.h"
#include "http/server.h"
#include "http/watchdog.h"

struct MHD_Daemon;

enum { PAYER_PARAMS_MAX = 32 };

/* One listening address with its libmicrohttpd daemon. */
struct http_daemon {
    struct http_server *server;
    unsigned side; /* SIDE_PUBLIC or SIDE_API */
    struct listener listener;
    struct MHD_Daemon *mhd;
};

/* A configured channel and what is counted for it. */
struct notify_channel {
    const char *name;
    struct channel *channel;
    struct metric *authentic, *hint, *refused, *failed;
};

/* Read-only after http_start, except what is atomic or has a lock of its own. */
struct http_server {
    struct http_options options;
    struct http_daemon *daemons;
    size_t daemon_count;
    struct request_pool *requests;
    struct deadlines *deadlines;
    struct watchdog *watchdog;
    struct proxies *proxies;
    struct notify_channel *channels;
    size_t channel_count;
    struct arena *arena;
    const char **payer_params; /* of all products of all channels, each once; ends with NULL */
    struct metric *(*answers)[6]; /* by route, then by hundreds of the status */
    struct metric *unrouted, *late;
    _Atomic size_t body_bytes; /* held by all requests together */
    size_t body_bytes_max;
    _Atomic bool draining;
    _Atomic int suspended; /* connections that libmicrohttpd must not be stopped with */
};

/* Starts and ends the libmicrohttpd side of one daemon (engine.c). */
enum rc engine_start(struct http_daemon *daemon, unsigned threads, unsigned connection_limit, struct error *err);
void engine_quiesce(struct http_daemon *daemon);
void engine_stop(struct http_daemon *daemon);

/* A suspended connection was resumed; the stop waits for all of them. Any thread. */
void engine_resumed(struct http_server *server);

/* Handler's thread, inside the handler: the answer will come from elsewhere. False when the server is stopping: then it
 * has answered already and the handler returns. */
bool request_suspend(struct http_request *request, enum deadline_class deadline);

#endif
