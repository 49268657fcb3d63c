/*
 * Builds and splits AMQP frames: type, channel, size, payload, 0xCE. Used by login.c, publish.c and incoming.c, on the
 * sink's thread.
 */
#include "wire.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#define FRAME_HEAD 7
#define FRAME_TAIL 1
#define FRAME_EXTRA (FRAME_HEAD + FRAME_TAIL)
#define CONTENT_HEAD 12 /* class, weight, body size */

static void put16(uint8_t *at, uint16_t value)
{
    value = htobe16(value);
    memcpy(at, &value, sizeof value);
}

static void put32(uint8_t *at, uint32_t value)
{
    value = htobe32(value);
    memcpy(at, &value, sizeof value);
}

static void put64(uint8_t *at, uint64_t value)
{
    value = htobe64(value);
    memcpy(at, &value, sizeof value);
}

static uint16_t get16(const uint8_t *at)
{
    uint16_t value;
    memcpy(&value, at, sizeof value);
    return be16toh(value);
}

static uint32_t get32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return be32toh(value);
}

static uint64_t get64(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return be64toh(value);
}

/* Room for `size` more bytes behind `end`; what was sent is forgotten. */
static int reserve(struct wire_out *out, size_t size)
{
    if (out->start == out->end)
        out->start = out->end = 0;
    if (out->capacity - out->end >= size)
        return 0;
    if (out->start > 0) {
        memmove(out->data, out->data + out->start, wire_pending(out));
        out->end -= out->start;
        out->start = 0;
    }
    if (out->capacity - out->end >= size)
        return 0;
    size_t capacity = out->capacity ? out->capacity : 4096;
    while (capacity - out->end < size)
        capacity *= 2;
    uint8_t *data = realloc(out->data, capacity);
    if (!data)
        return -1;
    out->data = data;
    out->capacity = capacity;
    return 0;
}

/* Writes head and tail around the `size` bytes of payload that lie FRAME_HEAD behind `end`. */
static void finish_frame(struct wire_out *out, uint8_t type, uint16_t channel, size_t size)
{
    uint8_t *frame = out->data + out->end;
    frame[0] = type;
    put16(frame + 1, channel);
    put32(frame + 3, (uint32_t) size);
    frame[FRAME_HEAD + size] = AMQP_FRAME_END;
    out->end += size + FRAME_EXTRA;
}

int wire_put_header(struct wire_out *out)
{
    if (reserve(out, 8))
        return -1;
    memcpy(out->data + out->end, "AMQP\0\0\x09\x01", 8);
    out->end += 8;
    return 0;
}

int wire_put_heartbeat(struct wire_out *out)
{
    if (reserve(out, FRAME_EXTRA))
        return -1;
    finish_frame(out, AMQP_FRAME_HEARTBEAT, 0, 0);
    return 0;
}

int wire_put_method(struct wire_out *out, uint16_t channel, amqp_method_number_t method, void *decoded)
{
    enum { METHOD_ROOM = 4096 }; /* login and declarations; the longest strings have 255 bytes */
    if (reserve(out, METHOD_ROOM))
        return -1;
    uint8_t *payload = out->data + out->end + FRAME_HEAD;
    amqp_bytes_t room = { .bytes = payload + 4, .len = METHOD_ROOM - FRAME_EXTRA - 4 };
    int size = amqp_encode_method(method, decoded, room);
    if (size < 0)
        return -1;
    put32(payload, method);
    finish_frame(out, AMQP_FRAME_METHOD, channel, (size_t) size + 4);
    return 0;
}

static int put_content_header(struct wire_out *out, struct wire_message *message, size_t room_size)
{
    uint8_t *payload = out->data + out->end + FRAME_HEAD;
    amqp_bytes_t room = { .bytes = payload + CONTENT_HEAD, .len = room_size - FRAME_EXTRA - CONTENT_HEAD };
    int size = amqp_encode_properties(AMQP_BASIC_CLASS, &message->properties, room);
    if (size < 0)
        return -1;
    put16(payload, AMQP_BASIC_CLASS);
    put16(payload + 2, 0);
    put64(payload + 4, message->body.len);
    finish_frame(out, AMQP_FRAME_HEADER, WIRE_CHANNEL, (size_t) size + CONTENT_HEAD);
    return 0;
}

int wire_put_message(struct wire_out *out, struct wire_message *message, size_t frame_max)
{
    enum { PROPERTIES_ROOM = 4096 };
    size_t piece = frame_max - FRAME_EXTRA, length = message->body.len, start;
    if (reserve(out, 2 * PROPERTIES_ROOM + length + (length / piece + 1) * FRAME_EXTRA))
        return -1;
    start = wire_pending(out);
    if (wire_put_method(out, WIRE_CHANNEL, AMQP_BASIC_PUBLISH_METHOD, &message->publish))
        return -1;
    if (put_content_header(out, message, PROPERTIES_ROOM)) {
        out->end = out->start + start;
        return -1;
    }
    for (size_t done = 0; done < length;) {
        size_t size = length - done < piece ? length - done : piece;
        memcpy(out->data + out->end + FRAME_HEAD, message->body.data + done, size);
        finish_frame(out, AMQP_FRAME_BODY, WIRE_CHANNEL, size);
        done += size;
    }
    return 0;
}

int wire_next(struct wire_in *in, struct wire_frame *ret_frame)
{
    const uint8_t *frame = in->data + in->start;
    size_t have = in->end - in->start, size;
    if (have == 0)
        return 0;
    if (frame[0] != AMQP_FRAME_METHOD && frame[0] != AMQP_FRAME_HEADER && frame[0] != AMQP_FRAME_BODY &&
        frame[0] != AMQP_FRAME_HEARTBEAT)
        return -1;
    if (have < FRAME_HEAD)
        return 0;
    size = get32(frame + 3);
    if (size > WIRE_FRAME_MAX - FRAME_EXTRA)
        return -1;
    if (have < size + FRAME_EXTRA)
        return 0;
    if (frame[FRAME_HEAD + size] != AMQP_FRAME_END)
        return -1;
    *ret_frame = (struct wire_frame){ frame[0], get16(frame + 1), frame + FRAME_HEAD, size };
    in->start += size + FRAME_EXTRA;
    return 1;
}

size_t wire_make_room(struct wire_in *in)
{
    if (in->start > 0) {
        memmove(in->data, in->data + in->start, in->end - in->start);
        in->end -= in->start;
        in->start = 0;
    }
    return WIRE_FRAME_MAX - in->end;
}

void *wire_method(const struct wire_frame *frame, amqp_pool_t *pool, amqp_method_number_t *ret_method)
{
    void *decoded = NULL;
    if (frame->type != AMQP_FRAME_METHOD || frame->size < 4)
        return NULL;
    amqp_method_number_t method = get32(frame->payload);
    amqp_bytes_t encoded = { .bytes = (void *) (uintptr_t) (frame->payload + 4), .len = frame->size - 4 };
    if (amqp_decode_method(method, pool, encoded, &decoded) < 0)
        return NULL;
    *ret_method = method;
    return decoded;
}

const amqp_basic_properties_t *wire_properties(const struct wire_frame *frame, amqp_pool_t *pool,
                                               uint64_t *ret_body_size)
{
    void *decoded = NULL;
    if (frame->size < CONTENT_HEAD || get16(frame->payload) != AMQP_BASIC_CLASS)
        return NULL;
    amqp_bytes_t encoded = { .bytes = (void *) (uintptr_t) (frame->payload + CONTENT_HEAD),
                             .len = frame->size - CONTENT_HEAD };
    if (amqp_decode_properties(AMQP_BASIC_CLASS, pool, encoded, &decoded) < 0)
        return NULL;
    *ret_body_size = get64(frame->payload + 4);
    return decoded;
}
