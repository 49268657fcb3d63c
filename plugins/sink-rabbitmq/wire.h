/*
 * AMQP 0-9-1 frames in memory. Methods and properties are encoded and decoded by rabbitmq-c; the frames around them,
 * eight bytes each, are made here, so that hundreds of messages leave in one write.
 */
#ifndef PAYNOTIFY_RABBITMQ_WIRE_H
#define PAYNOTIFY_RABBITMQ_WIRE_H

#include <paynotify/plugin.h>
#include <amqp.h>
#include <amqp_framing.h>
#include <stdbool.h>
#include <stdint.h>

#define WIRE_FRAME_MAX 131072
#define WIRE_CHANNEL 1 /* the one that we publish on; 0 is the connection itself */

/* Bytes [start, end) of `data` are to be sent. */
struct wire_out {
    uint8_t *data;
    size_t start, end, capacity;
};

/* Bytes [start, end) of `data` have arrived and are not understood yet. */
struct wire_in {
    uint8_t *data; /* WIRE_FRAME_MAX bytes */
    size_t start, end;
};

/* Points into the wire_in; valid until more is read. */
struct wire_frame {
    uint8_t type; /* AMQP_FRAME_METHOD, … */
    uint16_t channel;
    const uint8_t *payload;
    size_t size;
};

struct wire_message {
    amqp_basic_publish_t publish;
    amqp_basic_properties_t properties;
    struct pn_str body;
};

/* All of these: 0, or -1 for lack of memory or for a text that AMQP cannot carry, and then nothing was added. */
int wire_put_header(struct wire_out *out);
int wire_put_heartbeat(struct wire_out *out);
int wire_put_method(struct wire_out *out, uint16_t channel, amqp_method_number_t method, void *decoded);
int wire_put_message(struct wire_out *out, struct wire_message *message, size_t frame_max);

static inline size_t wire_pending(const struct wire_out *out)
{
    return out->end - out->start;
}

/* 1: a whole frame, taken off `in`; 0: more bytes are needed; -1: this is not AMQP. */
int wire_next(struct wire_in *in, struct wire_frame *ret_frame);

/* Moves what is left to the front and says how many bytes fit behind it. */
size_t wire_make_room(struct wire_in *in);

/* The method of a method frame, decoded into `pool`. NULL: malformed or unknown. */
void *wire_method(const struct wire_frame *frame, amqp_pool_t *pool, amqp_method_number_t *ret_method);

/* The properties and the body size of a header frame. NULL: malformed or not of class basic. */
const amqp_basic_properties_t *wire_properties(const struct wire_frame *frame, amqp_pool_t *pool,
                                               uint64_t *ret_body_size);

static inline amqp_bytes_t wire_bytes(struct pn_str text)
{
    return (amqp_bytes_t){ .len = text.len, .bytes = (void *) (uintptr_t) text.data };
}

#endif
