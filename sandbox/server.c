/*
 * libmicrohttpd behind server.h: collects a request completely, finds its route, sends the handler's reply. Handlers run
 * on the thread of their connection.
 */
#include "server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/gnutls.h>
#include <microhttpd.h>
#include <netdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "text.h"

#define MOST_CONNECTIONS 1024
#define IDLE_SECONDS 60

/* A socket that listens, and who serves it. */
struct door {
    int socket, port;
    char *url;                    /* NULL: there is no such door */
    const struct server_tls *tls; /* NULL: plain HTTP */
    struct MHD_Daemon *daemon;
};

struct server {
    struct door plain, secure;
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

static void read_address(struct MHD_Connection *connection, char ret_address[static INET6_ADDRSTRLEN])
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *address = info ? info->client_addr : NULL;
    ret_address[0] = '\0';
    if (address && address->sa_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)address)->sin_addr, ret_address, INET6_ADDRSTRLEN);
    else if (address && address->sa_family == AF_INET6)
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)address)->sin6_addr, ret_address, INET6_ADDRSTRLEN);
}

static bool is_certified(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    unsigned faults = 0;
    return info && gnutls_certificate_verify_peers2(info->tls_session, &faults) == GNUTLS_E_SUCCESS && faults == 0;
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
        char address[INET6_ADDRSTRLEN];
        read_address(connection, address);
        struct request request = {.method = method,
                                  .path = exchange->path,
                                  .rest = exchange->path + strlen(exchange->route->path),
                                  .query = exchange->query,
                                  .body = exchange->body ? exchange->body : "",
                                  .body_length = exchange->length,
                                  .referer = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_REFERER),
                                  .address = address,
                                  .is_certified = is_certified(connection)};
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

static void learn_address(struct door *door)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    char host[INET6_ADDRSTRLEN] = "", port[8] = "";
    getsockname(door->socket, (struct sockaddr *)&address, &length);
    getnameinfo((struct sockaddr *)&address, length, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV);
    bool v6 = address.ss_family == AF_INET6;
    door->port = (int)strtol(port, NULL, 10);
    door->url = text_format(v6 ? "%s://[%s]:%s" : "%s://%s:%s", door->tls ? "https" : "http", host, port);
}

static bool open_door(struct door *door, const char *listen, char **ret_error)
{
    struct addrinfo *address = resolve(listen);
    if (!address) {
        *ret_error = text_format("\"%s\" is no address:port, such as 127.0.0.1:8090", listen);
        return false;
    }
    door->socket = listen_on(address);
    freeaddrinfo(address);
    if (door->socket < 0) {
        *ret_error = text_format("cannot listen on %s: %s", listen, strerror(errno));
        return false;
    }
    learn_address(door);
    return true;
}

struct server *server_bind(const char *listen, char **ret_error)
{
    struct server *server = need(calloc(1, sizeof *server));
    pthread_condattr_t steady;
    if (!open_door(&server->plain, listen, ret_error)) {
        free(server);
        return NULL;
    }
    pthread_condattr_init(&steady);
    pthread_condattr_setclock(&steady, CLOCK_MONOTONIC);
    pthread_cond_init(&server->stopping, &steady);
    pthread_condattr_destroy(&steady);
    pthread_mutex_init(&server->lock, NULL);
    return server;
}

bool server_add_tls(struct server *server, const char *listen, const struct server_tls *tls, char **ret_error)
{
    server->secure.tls = tls;
    return open_door(&server->secure, listen, ret_error);
}

void server_tls_free(struct server_tls *tls)
{
    free(tls->certificate);
    free(tls->key);
    free(tls->client_ca);
    *tls = (struct server_tls){0};
}

const char *server_url(const struct server *server)
{
    return server->plain.url;
}

const char *server_tls_url(const struct server *server)
{
    return server->secure.url;
}

int server_port(const struct server *server)
{
    return server->plain.port;
}

static bool serve_door(struct server *server, struct door *door)
{
    const struct server_tls *tls = door->tls;
    struct MHD_OptionItem secrets[] = {{MHD_OPTION_HTTPS_MEM_CERT, 0, tls ? tls->certificate : NULL},
                                       {MHD_OPTION_HTTPS_MEM_KEY, 0, tls ? tls->key : NULL},
                                       {MHD_OPTION_HTTPS_MEM_TRUST, 0, tls ? tls->client_ca : NULL},
                                       {MHD_OPTION_END, 0, NULL}};
    struct MHD_OptionItem *more = tls ? secrets : secrets + 3;
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL | (tls ? MHD_USE_TLS : 0);
    door->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, serve, server, MHD_OPTION_LISTEN_SOCKET, door->socket, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)MOST_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS, MHD_OPTION_URI_LOG_CALLBACK, begin,
        server, MHD_OPTION_NOTIFY_COMPLETED, end, server, MHD_OPTION_ARRAY, more, MHD_OPTION_END);
    return door->daemon != NULL;
}

int server_run(struct server *server, struct sandbox *sandbox, const struct route_table *tables)
{
    server->sandbox = sandbox;
    server->tables = tables;
    return serve_door(server, &server->plain) && (!server->secure.url || serve_door(server, &server->secure)) ? 0 : -1;
}

/* Its URL stays: a handler at the other door may read it. */
static void close_door(struct door *door)
{
    if (door->daemon)
        MHD_stop_daemon(door->daemon); /* closes the socket */
    else if (door->url)
        close(door->socket);
}

void server_free(struct server *server)
{
    if (!server)
        return;
    pthread_mutex_lock(&server->lock);
    server->stop = 1;
    pthread_cond_broadcast(&server->stopping);
    pthread_mutex_unlock(&server->lock);
    close_door(&server->secure);
    close_door(&server->plain);
    free(server->secure.url);
    free(server->plain.url);
    pthread_cond_destroy(&server->stopping);
    pthread_mutex_destroy(&server->lock);
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
