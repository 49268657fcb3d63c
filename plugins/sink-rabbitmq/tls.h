/*
 * TLS for amqps://: at least TLS 1.2, the broker's certificate and name verified always.
 */
#ifndef PAYNOTIFY_RABBITMQ_TLS_H
#define PAYNOTIFY_RABBITMQ_TLS_H

#include "fault.h"
#include "settings.h"

#include <openssl/ssl.h>

struct tls; /* what all connections of one sink share; read-only after tls_new */

/* Parses certificates and key, once. NULL with `fault`. */
struct tls *tls_new(const struct settings *settings, struct fault *fault);
void tls_free(struct tls *tls);

/* A client session on the connected, non-blocking socket `fd`, which expects `host` on the other side. NULL: memory. */
SSL *tls_session(const struct tls *tls, int fd, const char *host);

/* Says in words why the session's last call failed; reads and empties OpenSSL's error queue. */
void tls_reason(SSL *session, char *ret_text, size_t size);

#endif
