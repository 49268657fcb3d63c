/* The badly behaving HTTP server of http_peer.h. */
#include "config.h"

#include "unit/http_peer.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"

struct connection {
    struct peer *peer;
    int fd;
    char text[8192];
    size_t len;
    int dying; /* /once was served */
};

static _Atomic int threads;

static int say(int fd, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t sent = send(fd, bytes, n, MSG_NOSIGNAL);
        if (sent <= 0)
            return 0;
        bytes += sent;
        n -= (size_t)sent;
    }
    return 1;
}

static int says(int fd, const char *text)
{
    return say(fd, text, strlen(text));
}

static int answer(int fd, const char *status, const char *headers, const char *body)
{
    struct buf out = { 0 };
    buf_addf(&out, "HTTP/1.1 %s\r\n%sContent-Length: %zu\r\n\r\n%s", status, headers, strlen(body), body);
    int fine = say(fd, out.data, out.len);
    buf_free(&out);
    return fine;
}

/* Reads one request into text; the body's length comes from Content-Length. NULL at the end. */
static const char *read_request(struct connection *c)
{
    c->len = 0;
    for (;;) {
        c->text[c->len] = '\0';
        char *end = strstr(c->text, "\r\n\r\n");
        if (end) {
            char *length = strcasestr(c->text, "content-length:");
            size_t body = length && length < end ? strtoul(length + 15, NULL, 10) : 0;
            if (c->len >= (size_t)(end + 4 - c->text) + body) {
                atomic_fetch_add(&c->peer->requests, 1);
                return end + 4;
            }
        }
        struct pollfd ready = { .fd = c->fd, .events = POLLIN };
        if (poll(&ready, 1, 20) == 0 && !c->peer->stopping)
            continue;
        ssize_t got = c->peer->stopping ? 0 : recv(c->fd, c->text + c->len, sizeof c->text - 1 - c->len, 0);
        if (got <= 0)
            return NULL;
        c->len += (size_t)got;
    }
}

static int gone(struct connection *c, int wait_ms)
{
    struct pollfd ready = { .fd = c->fd, .events = POLLIN };
    char byte;
    return c->peer->stopping || (poll(&ready, 1, wait_ms) == 1 && recv(c->fd, &byte, 1, MSG_PEEK) <= 0);
}

static int serve_forever(struct connection *c, const char *head, const char *piece, int wait_ms)
{
    if (!says(c->fd, head))
        return 0;
    while (!gone(c, wait_ms) && says(c->fd, piece))
        ;
    return 0;
}

/* One answer; 0 closes the connection. */
static int serve(struct connection *c, const char *path, const char *body)
{
    static const char chunk[] = "400\r\n%1024d\r\n";
    char piece[2048];
    if (strcmp(path, "/echo") == 0) {
        memcpy(c->peer->last_request, c->text, c->len + 1);
        return answer(c->fd, "200 OK", "X-Peer: Yes\r\nEmpty:\r\n", body);
    }
    if (strcmp(path, "/hold") == 0) {
        while (!c->peer->released && !gone(c, 5))
            ;
        return answer(c->fd, "200 OK", "", "held");
    }
    if (strcmp(path, "/redirect") == 0)
        return answer(c->fd, "302 Found", "Location: /echo\r\n", "");
    if (strcmp(path, "/continue") == 0)
        return says(c->fd, "HTTP/1.1 100 Continue\r\nX-Interim: 1\r\n\r\n") && answer(c->fd, "200 OK", "", "after");
    if (strcmp(path, "/once") == 0) {
        c->dying = 1;
        return answer(c->fd, "200 OK", "", "once");
    }
    if (strcmp(path, "/drip") == 0)
        return serve_forever(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", ".", 20);
    if (strcmp(path, "/huge") == 0) {
        (void)snprintf(piece, sizeof piece, chunk, 1);
        return serve_forever(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", piece, 0);
    }
    if (strcmp(path, "/headers") == 0)
        return serve_forever(c, "HTTP/1.1 200 OK\r\n", "X-More: and more\r\n", 0);
    if (strcmp(path, "/half") == 0)
        (void)says(c->fd, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    else if (strcmp(path, "/garbage") == 0)
        (void)says(c->fd, "\x01\x02 no http\r\n\r\n");
    else if (strcmp(path, "/hang") == 0)
        return serve_forever(c, "", "", 20);
    return 0;
}

static void serve_connection(struct connection *c)
{
    const char *body;
    while ((body = read_request(c)) && !c->dying) {
        char method[16], path[64];
        if (sscanf(c->text, "%15s %63s", method, path) != 2)
            return;
        int open = atomic_fetch_add(&c->peer->open, 1) + 1;
        if (open > c->peer->open_max)
            c->peer->open_max = open;
        int more = serve(c, path, body);
        atomic_fetch_sub(&c->peer->open, 1);
        if (!more)
            return;
    }
}

static void *connection_main(void *arg)
{
    struct connection *c = arg;
    serve_connection(c);
    close(c->fd);
    free(c);
    atomic_fetch_sub(&threads, 1);
    return NULL;
}

static void *accept_main(void *arg)
{
    struct peer *peer = arg;
    for (int fd; (fd = accept(peer->listener, NULL, NULL)) >= 0;) {
        atomic_fetch_add(&peer->connections, 1);
        struct connection *c = calloc(1, sizeof *c);
        pthread_t thread;
        if (!c)
            abort();
        c->peer = peer;
        c->fd = fd;
        atomic_fetch_add(&threads, 1);
        if (pthread_create(&thread, NULL, connection_main, c) != 0)
            abort();
        pthread_detach(thread);
    }
    atomic_fetch_sub(&threads, 1);
    return NULL;
}

static int bind_loopback(uint16_t *ret_port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) != 0 || getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        abort();
    *ret_port = ntohs(address.sin_port);
    return fd;
}

void peer_start(struct peer *peer)
{
    memset(peer, 0, sizeof *peer);
    peer->listener = bind_loopback(&peer->port);
    pthread_t thread;
    atomic_fetch_add(&threads, 1);
    if (listen(peer->listener, 128) != 0 || pthread_create(&thread, NULL, accept_main, peer) != 0)
        abort();
    pthread_detach(thread);
}

void peer_stop(struct peer *peer)
{
    peer->stopping = 1;
    shutdown(peer->listener, SHUT_RDWR);
    while (threads > 0)
        (void)poll(NULL, 0, 1);
    close(peer->listener);
}

uint16_t peer_closed_port(void)
{
    uint16_t port;
    close(bind_loopback(&port));
    return port;
}
