/*
 * A small HTTP/1.1 server for the tests of the outbound client: plain sockets, one thread per connection, and the path
 * decides how it behaves, well or badly. Loopback, a free port.
 */
#ifndef PN_TESTS_HTTP_PEER_H
#define PN_TESTS_HTTP_PEER_H

#include <stdatomic.h>
#include <stdint.h>

struct peer {
    int listener;
    uint16_t port;
    _Atomic int connections;       /* accepted */
    _Atomic int requests;          /* read completely */
    _Atomic int open, open_max;    /* requests being answered at once */
    _Atomic int released;          /* /hold answers once this is set */
    _Atomic int stopping;
    char last_request[8192];       /* of /echo */
};

/* Paths:
 *   /echo     200, the body that came in, header X-Peer: Yes
 *   /hang     never answers
 *   /hold     200, once peer->released is set
 *   /drip     200, one byte every 20 ms, without end
 *   /huge     200, chunked, without end
 *   /headers  200, header lines without end
 *   /early    closes before answering
 *   /half     closes in the middle of the body
 *   /redirect 302 to /echo
 *   /once     200; then the connection is closed as soon as the next request has been read
 *   /continue 100, then 200 "after"
 *   /garbage  bytes that are no HTTP
 */
void peer_start(struct peer *peer);
void peer_stop(struct peer *peer);
uint16_t peer_closed_port(void); /* a port that nobody listens on */

#endif
