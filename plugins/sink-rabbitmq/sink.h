/*
 * The state of one sink, shared by the files of this plugin. Everything in it belongs to the sink's thread; only
 * sink_interrupt may come from elsewhere, and it touches nothing but the stream, which locks.
 */
#ifndef PAYNOTIFY_RABBITMQ_SINK_H
#define PAYNOTIFY_RABBITMQ_SINK_H

#include "fault.h"
#include "settings.h"
#include "stream.h"
#include "template.h"
#include "tls.h"
#include "url.h"
#include "window.h"
#include "wire.h"

/* A message that the broker could not route comes back in pieces: basic.return, header, bodies. */
struct returning {
    bool expects_header;
    uint64_t body_left;
    char reason[400];
};

struct sink {
    const struct settings *settings;
    const struct pn_host *host;
    struct url url;
    struct tls *tls; /* NULL: plain TCP */
    struct template routing_key;
    struct pn_str binding_key;

    struct stream stream;
    struct wire_out out;
    struct wire_in in;
    amqp_pool_t pool; /* decoded methods; emptied before each frame */
    size_t frame_max;
    int64_t heartbeat_ms;
    int64_t last_read_ms, last_write_ms;
    size_t flush_at; /* submit writes when this much is pending */

    bool up;
    bool blocked; /* the broker takes no messages for now */
    bool proven;  /* it has confirmed something on this connection */
    struct window window;
    struct returning returning;
};

/* link.c: between the buffers and the stream; nothing waits but link_call. -1 with `fault`. */
int link_flush(struct sink *sink, struct fault *fault);    /* writes what the socket takes */
ssize_t link_fill(struct sink *sink, struct fault *fault); /* reads what is there; how many bytes */
int link_no_memory(struct fault *fault);

/* Sends a method and waits for its answer; `reply` is decoded into the pool and valid until the next call. With method
 * 0 it only waits. NULL with `fault`, which has the broker's own words when it refused. */
void *link_call(struct sink *sink, uint16_t channel, amqp_method_number_t method, void *decoded,
                amqp_method_number_t reply, int64_t deadline_ms, struct fault *fault);

/* login.c: from a fresh stream to a channel in confirm mode. topology.c: exchange, queue, binding. */
int login(struct sink *sink, int64_t deadline_ms, struct fault *fault);
int topology_declare(struct sink *sink, int64_t deadline_ms, struct fault *fault);

/* publish.c: encodes the message behind `out`. 0; 1: it can never be sent, `fault` says why; -1: no memory. */
int publish(struct sink *sink, const struct pn_event *event, struct fault *fault);

/* incoming.c: acts on every whole frame that has arrived. incoming_common knows what may come at any time: heartbeats,
 * blocked and unblocked, close. 1: done with that frame; 0: it is something else; -1 with `fault`. */
int incoming_handle(struct sink *sink, struct fault *fault);
int incoming_common(struct sink *sink, const struct wire_frame *frame, amqp_method_number_t method, void *decoded,
                    struct fault *fault);

/* sink.c: the contract of struct pn_sink. */
int sink_open(const void *settings, const struct pn_host *host, struct pn_call *call, void **ret_state);
void sink_close(void *state);
int sink_connect(void *state, struct pn_call *call, int64_t timeout_ms);
int sink_submit(void *state, const struct pn_event *event, uint64_t ticket);
int sink_pump(void *state, int64_t timeout_ms, int wake_fd);
void sink_interrupt(void *state);

#endif
