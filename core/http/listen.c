/*
 * Making listening sockets. Called by http_bind before anything else runs, so that a taken port is found first.
 */
#include "http/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 1024, FIRST_INHERITED = 3 };

static void describe(int fd, const char *fallback, char *ret, size_t size)
{
    struct sockaddr_storage at = { 0 };
    socklen_t len = sizeof at;
    char host[64], port[8];
    if (getsockname(fd, (struct sockaddr *) &at, &len) == 0 && (at.ss_family == AF_INET || at.ss_family == AF_INET6) &&
        getnameinfo((struct sockaddr *) &at, len, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) == 0)
        snprintf(ret, size, at.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
    else
        snprintf(ret, size, "%s", fallback);
}

static enum rc bind_failed(int fd, const char *address, struct error *err)
{
    int why = errno;
    if (fd >= 0)
        close(fd);
    if (why == EADDRINUSE)
        return error_set(err, RC_CONFIG, "cannot listen on %s: the address is taken by another process", address);
    return error_set(err, RC_CONFIG, "cannot listen on %s: %s", address, strerror(why));
}

/* A socket file left behind by a process that is gone refuses connections; one that is in use accepts them. */
static void remove_stale(const struct sockaddr_un *at)
{
    struct stat st;
    if (lstat(at->sun_path, &st) != 0 || !S_ISSOCK(st.st_mode))
        return;
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (probe < 0)
        return;
    if (connect(probe, (const struct sockaddr *) at, sizeof *at) != 0 && errno == ECONNREFUSED)
        unlink(at->sun_path);
    close(probe);
}

static enum rc open_unix(const char *path, const char *address, struct listener *ret, struct error *err)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof at.sun_path || !*path)
        return error_set(err, RC_CONFIG, "cannot listen on %s: the path must have 1 to %zu bytes", address,
                         sizeof at.sun_path - 1);
    memcpy(at.sun_path, path, strlen(path) + 1);
    remove_stale(&at);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *) &at, sizeof at) != 0)
        return bind_failed(fd, address, err);
    if (chmod(path, 0660) != 0 || listen(fd, BACKLOG) != 0) {
        enum rc rc = bind_failed(fd, address, err);
        unlink(path);
        return rc;
    }
    *ret = (struct listener){ .fd = fd };
    snprintf(ret->address, sizeof ret->address, "%s", address);
    memcpy(ret->unlink_path, path, strlen(path) + 1);
    return RC_OK;
}

/* Splits "host:port" or "[host]:port". */
static bool split(const char *address, char *host, size_t host_size, const char **ret_port)
{
    const char *colon = strrchr(address, ':');
    if (!colon || colon == address || !colon[1] || strspn(colon + 1, "0123456789") != strlen(colon + 1))
        return false;
    size_t n = (size_t) (colon - address);
    const char *start = address;
    if (*start == '[') {
        if (start[n - 1] != ']')
            return false;
        start++;
        n -= 2;
    } else if (memchr(start, ':', n)) {
        return false;
    }
    if (n == 0 || n >= host_size)
        return false;
    memcpy(host, start, n);
    host[n] = '\0';
    *ret_port = colon + 1;
    return true;
}

static enum rc open_inet(const char *address, struct listener *ret, struct error *err)
{
    char host[256];
    const char *port;
    if (!split(address, host, sizeof host, &port))
        return error_set(err, RC_CONFIG, "cannot listen on \"%s\": write it as 127.0.0.1:8080, [::1]:8080 or unix:/path",
                         address);
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV }, *found = NULL;
    int gai = getaddrinfo(host, port, &hints, &found);
    if (gai != 0)
        return error_set(err, RC_CONFIG, "cannot listen on %s: %s", address, gai_strerror(gai));
    int one = 1;
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool bound = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
                 (found->ai_family != AF_INET6 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one) == 0) &&
                 bind(fd, found->ai_addr, found->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0;
    int why = errno;
    freeaddrinfo(found);
    errno = why;
    if (!bound)
        return bind_failed(fd, address, err);
    *ret = (struct listener){ .fd = fd };
    describe(fd, address, ret->address, sizeof ret->address);
    return RC_OK;
}

enum rc listen_open(const char *address, struct listener *ret, struct error *err)
{
    if (strncmp(address, "unix:", 5) == 0)
        return open_unix(address + 5, address, ret, err);
    return open_inet(address, ret, err);
}

static void unlink_path(struct listener *listener)
{
    if (listener->unlink_path[0])
        unlink(listener->unlink_path);
    listener->unlink_path[0] = '\0';
}

void listen_refuse(struct listener *listener)
{
    if (listener->fd >= 0 && !listener->inherited)
        shutdown(listener->fd, SHUT_RDWR);
    unlink_path(listener);
}

void listen_close(struct listener *listener)
{
    if (listener->fd >= 0)
        close(listener->fd);
    listener->fd = -1;
    unlink_path(listener);
}

/* The name of the n-th inherited socket in a list such as "public:api". */
static bool has_name(const char *names, size_t n, const char *name)
{
    while (n-- > 0) {
        names = strchr(names, ':');
        if (!names)
            return false;
        names++;
    }
    size_t len = strcspn(names, ":");
    return len == strlen(name) && memcmp(names, name, len) == 0;
}

size_t listen_inherited(const char *name, struct listener *ret, size_t max)
{
    const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS"), *names = getenv("LISTEN_FDNAMES");
    if (!pid || !fds || !names || strtol(pid, NULL, 10) != (long) getpid())
        return 0;
    long total = strtol(fds, NULL, 10);
    size_t found = 0;
    for (long i = 0; i < total && i < 64 && found < max; i++) {
        int fd = FIRST_INHERITED + (int) i;
        if (!has_name(names, (size_t) i, name))
            continue;
        int flags = fcntl(fd, F_GETFL);
        if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
            continue;
        ret[found] = (struct listener){ .fd = fd, .inherited = true };
        describe(fd, "systemd socket", ret[found].address, sizeof ret[found].address);
        found++;
    }
    return found;
}
