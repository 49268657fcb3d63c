/*
 * Non-blocking TCP and TLS with deadlines. Used by the sink's thread; stream_interrupt by any.
 */
#include "stream.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

int64_t stream_clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void stream_init(struct stream *stream)
{
    *stream = (struct stream){ .fd = -1 };
    pthread_mutex_init(&stream->lock, NULL);
}

void stream_destroy(struct stream *stream)
{
    resolve_forget(stream->resolution);
    pthread_mutex_destroy(&stream->lock);
}

static void set_fd(struct stream *stream, int fd)
{
    pthread_mutex_lock(&stream->lock);
    int old = stream->fd;
    stream->fd = fd;
    pthread_mutex_unlock(&stream->lock);
    if (old >= 0)
        close(old);
}

void stream_interrupt(struct stream *stream)
{
    pthread_mutex_lock(&stream->lock);
    atomic_store(&stream->interrupted, true);
    if (stream->fd >= 0)
        shutdown(stream->fd, SHUT_RDWR);
    pthread_mutex_unlock(&stream->lock);
}

void stream_close(struct stream *stream)
{
    if (stream->session)
        SSL_free(stream->session);
    stream->session = NULL;
    stream->read_wants_write = stream->write_wants_read = false;
    set_fd(stream, -1);
}

static int gone(struct stream *stream, struct fault *fault)
{
    return fault_set(fault, NULL, "%s",
                     atomic_load(&stream->interrupted) ? "the server gave the connection up"
                                                       : "the broker closed the connection");
}

static int broken(struct stream *stream, struct fault *fault)
{
    if (atomic_load(&stream->interrupted))
        return gone(stream, fault);
    return fault_set(fault, NULL, "connection lost: %s", strerror(errno));
}

/* poll() that survives signals; true when `entries` has something. */
static bool wait_for(struct pollfd *entries, nfds_t count, int64_t deadline_ms)
{
    for (;;) {
        int64_t left = deadline_ms - stream_clock_ms();
        int n = poll(entries, count, left < 0 ? 0 : left > 60000 ? 60000 : (int) left);
        if (n > 0)
            return true;
        if (n < 0 && errno != EINTR)
            return true; /* let the next read find out */
        if (left <= 0)
            return false;
    }
}

enum stream_event stream_wait(struct stream *stream, bool to_write, int wake_fd, int64_t deadline_ms)
{
    short events = POLLIN;
    if (stream->session && SSL_pending(stream->session) > 0)
        return STREAM_READY; /* decrypted already: the socket knows nothing of it */
    if ((to_write && !stream->write_wants_read) || stream->read_wants_write)
        events |= POLLOUT;
    struct pollfd entries[2] = { { .fd = stream->fd, .events = events }, { .fd = wake_fd, .events = POLLIN } };
    if (!wait_for(entries, 2, deadline_ms))
        return STREAM_IDLE;
    return entries[0].revents ? STREAM_READY : STREAM_WOKEN;
}

/* A dead peer is noticed by the missing heartbeats, not by TCP_USER_TIMEOUT: that one would also break a connection
 * which the broker holds up on purpose, under a memory alarm, and nobody is dead then. */
static void tune(int fd)
{
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
}

static int connect_one(struct stream *stream, const struct addrinfo *address, const struct url *url,
                       int64_t deadline_ms, struct fault *fault)
{
    int error = 0;
    socklen_t size = sizeof error;
    int fd = socket(address->ai_family, address->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, address->ai_protocol);
    if (fd < 0)
        return fault_set(fault, NULL, "cannot make a socket: %s", strerror(errno));
    set_fd(stream, fd);
    tune(fd);
    if (connect(fd, address->ai_addr, address->ai_addrlen) == 0)
        return 0;
    if (errno == EINPROGRESS) {
        struct pollfd entry = { .fd = fd, .events = POLLOUT };
        if (!wait_for(&entry, 1, deadline_ms))
            error = ETIMEDOUT;
        else
            getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    } else {
        error = errno;
    }
    if (error == 0)
        return 0;
    return fault_set(fault, NULL, "cannot connect to %s port %s: %s", url->host, url->port, strerror(error));
}

/* Each address gets its share of the time that is left. */
static int connect_any(struct stream *stream, const struct addrinfo *list, const struct url *url, int64_t deadline_ms,
                       struct fault *fault)
{
    int count = 0;
    for (const struct addrinfo *each = list; each; each = each->ai_next)
        count++;
    for (const struct addrinfo *each = list; each && !atomic_load(&stream->interrupted);
         each = each->ai_next, count--) {
        int64_t now = stream_clock_ms();
        if (connect_one(stream, each, url, now + (deadline_ms - now) / count, fault) == 0)
            return 0;
        stream_close(stream);
    }
    return atomic_load(&stream->interrupted) ? gone(stream, fault) : -1;
}

static int handshake(struct stream *stream, const struct url *url, const struct tls *tls, int64_t deadline_ms,
                     struct fault *fault)
{
    char reason[200];
    int n;
    stream->session = tls_session(tls, stream->fd, url->host);
    if (!stream->session)
        return fault_set(fault, NULL, "no memory for TLS");
    ERR_clear_error();
    while ((n = SSL_do_handshake(stream->session)) != 1) {
        int wants = SSL_get_error(stream->session, n);
        struct pollfd entry = { .fd = stream->fd, .events = wants == SSL_ERROR_WANT_WRITE ? POLLOUT : POLLIN };
        if (wants != SSL_ERROR_WANT_READ && wants != SSL_ERROR_WANT_WRITE) {
            tls_reason(stream->session, reason, sizeof reason);
            return fault_set(fault, NULL, "cannot talk to %s port %s: %s", url->host, url->port, reason);
        }
        if (!wait_for(&entry, 1, deadline_ms))
            return fault_set(fault, NULL, "%s port %s does not answer the TLS handshake", url->host, url->port);
    }
    return 0;
}

int stream_open(struct stream *stream, const struct url *url, const struct tls *tls, int64_t deadline_ms,
                struct fault *fault)
{
    struct addrinfo *list;
    atomic_store(&stream->interrupted, false);
    if (resolve(&stream->resolution, url, &stream->interrupted, deadline_ms, &list, fault))
        return -1;
    int failed = connect_any(stream, list, url, deadline_ms, fault);
    freeaddrinfo(list);
    if (!failed && tls)
        failed = handshake(stream, url, tls, deadline_ms, fault);
    if (failed)
        stream_close(stream);
    return failed;
}

/* What an SSL_read or SSL_write that moved nothing came to. */
static ssize_t tls_outcome(struct stream *stream, int n, bool *wants_other, int other, struct fault *fault)
{
    char reason[200];
    int wants = SSL_get_error(stream->session, n);
    *wants_other = wants == other;
    if (wants == SSL_ERROR_WANT_READ || wants == SSL_ERROR_WANT_WRITE)
        return 0;
    if (wants == SSL_ERROR_ZERO_RETURN || atomic_load(&stream->interrupted))
        return gone(stream, fault);
    tls_reason(stream->session, reason, sizeof reason);
    return fault_set(fault, NULL, "%s", reason);
}

static ssize_t tls_read(struct stream *stream, void *ret_bytes, size_t size, struct fault *fault)
{
    size_t total = 0;
    ERR_clear_error();
    stream->read_wants_write = false;
    while (total < size) { /* one record at a time: go on until the socket is empty */
        size_t moved;
        int n = SSL_read_ex(stream->session, (char *) ret_bytes + total, size - total, &moved);
        if (n != 1) {
            if (total > 0)
                break; /* an end or a fault shows again at the next read */
            return tls_outcome(stream, n, &stream->read_wants_write, SSL_ERROR_WANT_WRITE, fault);
        }
        total += moved;
    }
    return (ssize_t) total;
}

ssize_t stream_read(struct stream *stream, void *ret_bytes, size_t size, struct fault *fault)
{
    if (stream->session)
        return tls_read(stream, ret_bytes, size, fault);
    ssize_t n = recv(stream->fd, ret_bytes, size, 0);
    if (n > 0)
        return n;
    if (n == 0)
        return gone(stream, fault);
    if (errno == EAGAIN || errno == EINTR)
        return 0;
    return broken(stream, fault);
}

ssize_t stream_write(struct stream *stream, const void *bytes, size_t size, struct fault *fault)
{
    if (stream->session) {
        size_t moved;
        ERR_clear_error();
        int n = SSL_write_ex(stream->session, bytes, size, &moved);
        if (n == 1)
            return (ssize_t) moved;
        return tls_outcome(stream, n, &stream->write_wants_read, SSL_ERROR_WANT_READ, fault);
    }
    ssize_t n = send(stream->fd, bytes, size, MSG_NOSIGNAL);
    if (n >= 0)
        return n;
    if (errno == EAGAIN || errno == EINTR)
        return 0;
    return broken(stream, fault);
}
