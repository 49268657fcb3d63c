/*
 * Listening sockets: IPv4, IPv6, unix:PATH, or handed over by systemd. Start-up and shut-down only, main thread.
 */
#ifndef PN_HTTP_LISTEN_H
#define PN_HTTP_LISTEN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct listener {
    int fd;               /* -1: closed */
    char address[128];    /* as bound, with the real port */
    char unlink_path[108]; /* of a unix socket that we made; "" otherwise */
    bool inherited;       /* systemd keeps it and hands it to our successor */
};

/* "127.0.0.1:8080", "[::]:8080" (IPv6 only), "unix:/run/x.sock". A taken address is an error that names it. A unix
 * socket file that nobody listens on any more is replaced. */
enum rc listen_open(const char *address, struct listener *ret, struct error *err);
void listen_close(struct listener *listener);

/* New connections are refused from now on (those to an inherited socket wait for its next owner). The descriptor stays
 * open, because libmicrohttpd's threads still take it out of their epoll sets. */
void listen_refuse(struct listener *listener);

/* Sockets that systemd passed under this name (LISTEN_FDS, LISTEN_FDNAMES); fills at most max, returns how many. */
size_t listen_inherited(const char *name, struct listener *ret, size_t max);

#endif
