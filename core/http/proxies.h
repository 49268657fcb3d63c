/*
 * Whose word on the payer's address counts: X-Forwarded-For is read from the right for as long as its authors are
 * trusted proxies. Read-only after proxies_new; any thread.
 */
#ifndef PN_HTTP_PROXIES_H
#define PN_HTTP_PROXIES_H

#include <stddef.h>
#include <sys/socket.h>

#include "base/error.h"

struct proxies;

enum { ADDRESS_TEXT_MAX = 48 };

/* Addresses or CIDR blocks, IPv4 or IPv6. */
enum rc proxies_new(const char *const *trusted, size_t count, struct proxies **ret, struct error *err);
void proxies_free(struct proxies *proxies);

/* The client's address as text: the peer's own, or the last one in `forwarded` (the X-Forwarded-For values joined by
 * commas, or NULL) that no trusted proxy has. A peer on a unix socket is trusted. "" when nothing is known. */
const char *proxies_client(const struct proxies *proxies, const struct sockaddr *peer, const char *forwarded,
                           char ret_text[ADDRESS_TEXT_MAX]);

#endif
