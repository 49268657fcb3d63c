/*
 * An HTTPS server on 127.0.0.1 with a certificate of its own making, for tests. Answers 200 "tls" to everything.
 */
#ifndef PN_TESTS_TLS_PEER_H
#define PN_TESTS_TLS_PEER_H

#include <stdatomic.h>
#include <stdint.h>

struct tls_peer {
    struct MHD_Daemon *daemon;
    uint16_t port;
    char ca_file[64]; /* a client that trusts this file trusts the peer */
    _Atomic int requests;
};

void tls_peer_start(struct tls_peer *peer);
void tls_peer_stop(struct tls_peer *peer);

#endif
