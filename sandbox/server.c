/*
 * libmicrohttpd behind server.h: collects a request completely, finds its route, sends the handler's reply. Handlers run
 * on the thread of their connection.
 */
#include "server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "text.h"

#define MOST_CONNECTIONS 512
#define IDLE_SECONDS 60

struct server {
    int socket;
    int port;
    char *url;
    struct MHD_Daemon *daemon;
    struct sandbox *sandbox;
    const struct route_table *tables;
    pthread_mutex_t lock;
    pthread_cond_t stopping;
    int stop; /* under lock */
};

/* One request while it comes in. */
struct exchange {
    char *path, *query;
    const struct route *route;
    unsigned refusal; /* an HTTP status, when it is not to be handled */
    char *body;
    size_t length, room;
};

struct reply reply_text(unsigned status, const char *type, char *body)
{
    return (struct reply){.status = status, .type = type, .body = body, .length = strlen(body)};
}

struct reply reply_drop(void)
{
    return (struct reply){.status = 0};
}

/* ------------------------------------------------------------------------------------------------- one request */

static void *begin(void *server, const char *uri, struct MHD_Connection *connection)
{
    (void)server;
    (void)connection;
    struct exchange *exchange = need(calloc(1, sizeof *exchange));
    size_t path_length = strcspn(uri, "?");
    exchange->path = need(strndup(uri, path_length));
    exchange->query = text_copy(uri[path_length] == '?' ? uri + path_length + 1 : "");
    return exchange;
}

static void end(void *server, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode how)
{
    (void)server;
    (void)connection;
    (void)how;
    struct exchange *exchange = *state;
    if (!exchange)
        return;
    free(exchange->path);
    free(exchange->query);
    free(exchange->body);
    free(exchange);
    *state = NULL;
}

static bool path_matches(const struct route *route, const char *path)
{
    size_t n = strlen(route->path);
    if (route->path[n - 1] == '/' && n > 1)
        return strncmp(path, route->path, n) == 0;
    return strcmp(path, route->path) == 0;
}

static void find_route(const struct server *server, struct exchange *exchange, const char *method)
{
    exchange->refusal = MHD_HTTP_NOT_FOUND;
    for (const struct route_table *table = server->tables; table->routes; table++) {
        for (size_t i = 0; i < table->count; i++) {
            const struct route *route = &table->routes[i];
            if (!path_matches(route, exchange->path))
                continue;
            if (strcmp(route->method, method) == 0) {
                exchange->route = route;
                exchange->refusal = 0;
                return;
            }
            exchange->refusal = MHD_HTTP_METHOD_NOT_ALLOWED;
        }
    }
}

static void take_body(struct exchange *exchange, const char *bytes, size_t n)
{
    if (exchange->refusal)
        return;
    if (n > exchange->route->body_limit - exchange->length) {
        exchange->refusal = MHD_HTTP_CONTENT_TOO_LARGE;
        return;
    }
    if (exchange->length + n + 1 > exchange->room) {
        exchange->room = (exchange->length + n + 1) * 2;
        exchange->body = need(realloc(exchange->body, exchange->room));
    }
    memcpy(exchange->body + exchange->length, bytes, n);
    exchange->length += n;
    exchange->body[exchange->length] = '\0';
}

static struct reply refuse(unsigned status)
{
    const char *what = status == MHD_HTTP_NOT_FOUND             ? "there is nothing here\n"
                       : status == MHD_HTTP_METHOD_NOT_ALLOWED ? "this path takes another method\n"
                                                                : "the body is too large\n";
    return reply_text(status, "text/plain; charset=utf-8", text_copy(what));
}

static enum MHD_Result send_reply(struct MHD_Connection *connection, struct reply *reply)
{
    if (reply->status == 0)
        return MHD_NO;
    struct MHD_Response *response = MHD_create_response_from_buffer(reply->length, reply->body, MHD_RESPMEM_MUST_FREE);
    need(response);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, reply->type);
    if (strncmp(reply->type, "text/html", 9) == 0)
        /* After paying, the form's target redirects to the merchant: that counts as a form action, too. */
        MHD_add_response_header(response, "Content-Security-Policy",
                                "default-src 'none'; style-src 'unsafe-inline'; form-action 'self' http: https:");
    if (reply->location)
        MHD_add_response_header(response, MHD_HTTP_HEADER_LOCATION, reply->location);
    enum MHD_Result result = MHD_queue_response(connection, reply->status, response);
    MHD_destroy_response(response);
    free(reply->location);
    return result;
}

static enum MHD_Result serve(void *context, struct MHD_Connection *connection, const char *url, const char *method,
                             const char *version, const char *upload, size_t *upload_length, void **state)
{
    (void)url;
    (void)version;
    struct server *server = context;
    struct exchange *exchange = *state;
    if (!exchange->route && !exchange->refusal) {
        find_route(server, exchange, method);
        return MHD_YES;
    }
    if (*upload_length) {
        take_body(exchange, upload, *upload_length);
        *upload_length = 0;
        return MHD_YES;
    }
    struct reply reply;
    if (exchange->refusal) {
        reply = refuse(exchange->refusal);
    } else {
        struct request request = {.method = method,
                                  .path = exchange->path,
                                  .rest = exchange->path + strlen(exchange->route->path),
                                  .query = exchange->query,
                                  .body = exchange->body ? exchange->body : "",
                                  .body_length = exchange->length};
        reply = exchange->route->handle(server->sandbox, &request);
    }
    return send_reply(connection, &reply);
}

/* ------------------------------------------------------------------------------------------------- its life */

/* "127.0.0.1:80", "[::1]:80". NULL: no such address. The caller frees with freeaddrinfo. */
static struct addrinfo *resolve(const char *listen)
{
    char host[64];
    const char *colon = strrchr(listen, ':');
    size_t n = colon ? (size_t)(colon - listen) : 0;
    if (n == 0 || n >= sizeof host)
        return NULL;
    const char *from = listen;
    if (from[0] == '[' && from[n - 1] == ']') {
        from++;
        n -= 2;
    }
    memcpy(host, from, n);
    host[n] = '\0';
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    return getaddrinfo(host, colon + 1, &hints, &found) == 0 ? found : NULL;
}

static int listen_on(const struct addrinfo *address)
{
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, SOMAXCONN) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static void learn_address(struct server *server)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    char host[INET6_ADDRSTRLEN] = "", port[8] = "";
    getsockname(server->socket, (struct sockaddr *)&address, &length);
    getnameinfo((struct sockaddr *)&address, length, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV);
    bool v6 = address.ss_family == AF_INET6;
    server->port = (int)strtol(port, NULL, 10);
    server->url = text_format(v6 ? "http://[%s]:%s" : "http://%s:%s", host, port);
}

struct server *server_bind(const char *listen, char **ret_error)
{
    struct addrinfo *address = resolve(listen);
    if (!address) {
        *ret_error = text_format("\"%s\" is no address:port, such as 127.0.0.1:8090", listen);
        return NULL;
    }
    int fd = listen_on(address);
    freeaddrinfo(address);
    if (fd < 0) {
        *ret_error = text_format("cannot listen on %s: %s", listen, strerror(errno));
        return NULL;
    }
    struct server *server = need(calloc(1, sizeof *server));
    pthread_condattr_t steady;
    pthread_condattr_init(&steady);
    pthread_condattr_setclock(&steady, CLOCK_MONOTONIC);
    pthread_cond_init(&server->stopping, &steady);
    pthread_condattr_destroy(&steady);
    pthread_mutex_init(&server->lock, NULL);
    server->socket = fd;
    learn_address(server);
    return server;
}

const char *server_url(const struct server *server)
{
    return server->url;
}

int server_port(const struct server *server)
{
    return server->port;
}

int server_run(struct server *server, struct sandbox *sandbox, const struct route_table *tables)
{
    server->sandbox = sandbox;
    server->tables = tables;
    server->daemon = MHD_start_daemon(
        MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL, 0, NULL, NULL, serve, server,
        MHD_OPTION_LISTEN_SOCKET, server->socket, MHD_OPTION_CONNECTION_LIMIT, (unsigned)MOST_CONNECTIONS,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS, MHD_OPTION_URI_LOG_CALLBACK, begin, server,
        MHD_OPTION_NOTIFY_COMPLETED, end, server, MHD_OPTION_END);
    return server->daemon ? 0 : -1;
}

void server_free(struct server *server)
{
    if (!server)
        return;
    pthread_mutex_lock(&server->lock);
    server->stop = 1;
    pthread_cond_broadcast(&server->stopping);
    pthread_mutex_unlock(&server->lock);
    if (server->daemon)
        MHD_stop_daemon(server->daemon); /* closes the socket */
    else
        close(server->socket);
    pthread_cond_destroy(&server->stopping);
    pthread_mutex_destroy(&server->lock);
    free(server->url);
    free(server);
}

void server_pause(struct server *server, int64_t ms)
{
    int64_t until = clock_steady_ms() + ms;
    struct timespec end_at = {.tv_sec = (time_t)(until / 1000), .tv_nsec = (long)(until % 1000) * 1000000};
    pthread_mutex_lock(&server->lock);
    while (!server->stop && pthread_cond_timedwait(&server->stopping, &server->lock, &end_at) == 0)
        continue;
    pthread_mutex_unlock(&server->lock);
}
