/*
 * libmicrohttpd's callbacks: how a request arrives, is put before its handler, and how its answer leaves. HTTP threads
 * only; each connection stays on one of them.
 */
#include "http/engine.h"

#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "http/head.h"
#include "http/problem.h"
#include "http/reply.h"

enum { CONNECTION_MEMORY = 8 * 1024 };

/* ---- a request's body */

static bool hold(struct http_request *request, size_t n)
{
    struct http_server *server = request->server;
    size_t held = atomic_fetch_add_explicit(&server->body_bytes, n, memory_order_relaxed) + n;
    request->counted += n;
    return held <= server->body_bytes_max;
}

static enum MHD_Result take_body(struct http_request *request, const char *bytes, size_t n)
{
    size_t max = request->route ? request->route->body_max : 0;
    if (request_is_open(request) && max > 0 && request->body.len + n <= max) {
        if (hold(request, n)) {
            buf_add(&request->body, bytes, n);
            return request->body.failed ? MHD_NO : MHD_YES;
        }
        http_problem(request, &(struct problem){ .type = PROBLEM_OVERLOADED, .detail = "Too many bodies are held just now." });
    }
    if (request_is_open(request) && max > 0)
        head_too_large(request);
    request->discarded += n;
    return request->discarded > HEAD_DISCARD_MAX ? MHD_NO : MHD_YES;
}

/* ---- running it */

/* Nobody will work on it: a payer's browser or a provider hears it in its own way. */
static void turn_away(struct http_request *request, enum problem_type type)
{
    if (!request_claim(request))
        return;
    if (request->route->give_up)
        request->route->give_up(request, request->arena);
    else
        http_answer_problem(request, &(struct problem){ .type = type });
}

bool request_suspend(struct http_request *request, enum deadline_class deadline)
{
    struct http_server *server = request->server;
    request->suspended = true;
    atomic_fetch_add(&server->suspended, 1);
    MHD_suspend_connection(request->connection);
    if (deadlines_add(server->deadlines, request, deadline))
        return true;
    turn_away(request, PROBLEM_STOPPING);
    return false;
}

void engine_resumed(struct http_server *server)
{
    atomic_fetch_sub(&server->suspended, 1);
}

static void run_on_worker(void *arg)
{
    struct http_request *request = arg;
    if (request_is_open(request))
        request->route->handle(request);
    request_unref(request);
}

static void run(struct http_request *request)
{
    if (request->route->run == RUN_INLINE) {
        request->route->handle(request);
        return;
    }
    if (!request_suspend(request, DEADLINE_WORK))
        return;
    request_ref(request);
    enum rc rc = pool_post(request->server->options.workers, run_on_worker, request);
    if (rc == RC_OK)
        return;
    turn_away(request, rc == RC_FULL ? PROBLEM_OVERLOADED : PROBLEM_STOPPING);
    request_unref(request);
}

static enum MHD_Result queue(struct http_request *request)
{
    watchdog_sends(request->server->watchdog, request->peer);
    return reply_queue(request, request->connection) ? MHD_YES : MHD_NO;
}

static enum MHD_Result on_access(void *arg, struct MHD_Connection *connection, const char *url, const char *method,
                                 const char *version, const char *upload, size_t *upload_size, void **request_slot)
{
    (void) url;
    (void) version;
    struct http_daemon *daemon = arg;
    struct http_request *request = *request_slot;
    if (!request || !request->peer)
        return MHD_NO;
    switch (request->phase) {
    case PHASE_HEAD:
        request->phase = PHASE_BODY;
        request->connection = connection;
        head_read(request, daemon->side, method);
        return head_answers_early(request) ? queue(request) : MHD_YES;
    case PHASE_BODY:
        if (*upload_size > 0) {
            size_t n = *upload_size;
            *upload_size = 0;
            return take_body(request, upload, n);
        }
        request->phase = PHASE_RUN;
        watchdog_waits(request->peer);
        if (request_is_open(request))
            run(request);
        return request->suspended ? MHD_YES : queue(request);
    case PHASE_RUN: return queue(request);
    }
    return MHD_NO;
}

/* ---- connections */

static void *on_uri(void *arg, const char *uri, struct MHD_Connection *connection)
{
    struct http_daemon *daemon = arg;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct http_connection *peer = info ? info->socket_context : NULL;
    struct http_request *request = request_new(daemon->server->requests);
    if (!request)
        return NULL;
    char *target = arena_strdup(request->arena, uri);
    char *question = target ? strchr(target, '?') : NULL;
    if (question)
        *question = '\0';
    request->server = daemon->server;
    request->peer = target ? peer : NULL;
    request->path = target;
    request->query = question ? question + 1 : "";
    if (peer)
        watchdog_receives(daemon->server->watchdog, peer);
    return request;
}

static void on_completed(void *arg, struct MHD_Connection *connection, void **request_slot, enum MHD_RequestTerminationCode code)
{
    (void) connection;
    (void) code;
    struct http_daemon *daemon = arg;
    struct http_request *request = *request_slot;
    if (!request)
        return;
    *request_slot = NULL;
    atomic_fetch_sub_explicit(&daemon->server->body_bytes, request->counted, memory_order_relaxed);
    request_claim(request); /* the connection is gone: whoever still works on it answers nobody */
    if (request->peer)
        watchdog_idles(daemon->server->watchdog, request->peer);
    request_unref(request);
}

static void on_connection(void *arg, struct MHD_Connection *connection, void **peer_slot,
                          enum MHD_ConnectionNotificationCode code)
{
    struct http_daemon *daemon = arg;
    struct watchdog *watchdog = daemon->server->watchdog;
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        if (*peer_slot)
            watchdog_leave(watchdog, *peer_slot);
        *peer_slot = NULL;
        return;
    }
    const union MHD_ConnectionInfo *fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    const union MHD_ConnectionInfo *at = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    if (!fd)
        return;
    struct sockaddr_storage peer = { 0 };
    socklen_t len = sizeof peer;
    if (!at || getpeername(fd->connect_fd, (struct sockaddr *) &peer, &len) != 0)
        len = 0;
    *peer_slot = watchdog_enter(watchdog, fd->connect_fd, len ? (struct sockaddr *) &peer : NULL, len);
}

static void __attribute__((format(printf, 2, 0))) on_log(void *arg, const char *format, va_list args)
{
    (void) arg;
    static struct log_limit limit;
    char text[200];
    vsnprintf(text, sizeof text, format, args);
    text[strcspn(text, "\r\n")] = '\0';
    const char *line = text;
    if (log_allow(&limit, 20))
        log_debug("libmicrohttpd", LOG_S("text", line));
}

/* Paths are matched and queries decoded by our own code. */
static size_t keep_as_sent(void *arg, struct MHD_Connection *connection, char *text)
{
    (void) arg;
    (void) connection;
    return strlen(text);
}

/* ---- life */

enum rc engine_start(struct http_daemon *daemon, unsigned threads, unsigned connection_limit, struct error *err)
{
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
    daemon->mhd = MHD_start_daemon(flags, 0, NULL, NULL, on_access, daemon,                        /* */
                                   MHD_OPTION_LISTEN_SOCKET, daemon->listener.fd,                  /* */
                                   MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,                       /* */
                                   MHD_OPTION_THREAD_POOL_SIZE, threads > 1 ? threads : 0U,        /* */
                                   MHD_OPTION_CONNECTION_LIMIT, connection_limit,                  /* */
                                   MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t) CONNECTION_MEMORY, /* */
                                   MHD_OPTION_URI_LOG_CALLBACK, on_uri, daemon,                    /* */
                                   MHD_OPTION_UNESCAPE_CALLBACK, keep_as_sent, NULL,               /* */
                                   MHD_OPTION_NOTIFY_COMPLETED, on_completed, daemon,              /* */
                                   MHD_OPTION_NOTIFY_CONNECTION, on_connection, daemon,            /* */
                                   MHD_OPTION_STRICT_FOR_CLIENT, 1,                                /* */
                                   MHD_OPTION_END);
    if (!daemon->mhd)
        return error_set(err, RC_INTERNAL, "cannot start the HTTP server on %s", daemon->listener.address);
    return RC_OK;
}

void engine_quiesce(struct http_daemon *daemon)
{
    if (!daemon->mhd)
        return;
    MHD_quiesce_daemon(daemon->mhd);
    listen_refuse(&daemon->listener);
}

void engine_stop(struct http_daemon *daemon)
{
    if (daemon->mhd)
        MHD_stop_daemon(daemon->mhd);
    daemon->mhd = NULL;
    listen_close(&daemon->listener);
}
