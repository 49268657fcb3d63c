/*
 * Moves bytes between the frame buffers and the stream, and makes calls that have an answer (while connecting and
 * closing only; messages have no answers but confirms). On the sink's thread.
 */
#include "sink.h"

int link_no_memory(struct fault *fault)
{
    return fault_set(fault, NULL, "no memory");
}

int link_flush(struct sink *sink, struct fault *fault)
{
    struct wire_out *out = &sink->out;
    while (wire_pending(out) > 0) {
        ssize_t n = stream_write(&sink->stream, out->data + out->start, wire_pending(out), fault);
        if (n < 0)
            return -1;
        if (n == 0)
            return 0;
        out->start += (size_t) n;
        sink->last_write_ms = stream_clock_ms();
    }
    return 0;
}

ssize_t link_fill(struct sink *sink, struct fault *fault)
{
    struct wire_in *in = &sink->in;
    size_t room = wire_make_room(in);
    ssize_t n = stream_read(&sink->stream, in->data + in->end, room, fault);
    if (n < 0)
        return -1;
    if (n > 0) {
        in->end += (size_t) n;
        sink->last_read_ms = stream_clock_ms();
    }
    return n;
}

/* The next frame of a connection that is not up yet. 0, or -1 with `fault`. */
static int next_frame(struct sink *sink, int64_t deadline_ms, struct wire_frame *ret_frame, struct fault *fault)
{
    for (;;) {
        int found = wire_next(&sink->in, ret_frame);
        if (found < 0)
            return fault_set(fault, NULL, "%s port %s does not speak AMQP 0-9-1", sink->url.host, sink->url.port);
        if (found > 0)
            return 0;
        if (link_flush(sink, fault))
            return -1;
        if (stream_wait(&sink->stream, wire_pending(&sink->out) > 0, -1, deadline_ms) == STREAM_IDLE)
            return fault_set(fault, NULL, "%s port %s does not answer", sink->url.host, sink->url.port);
        if (link_fill(sink, fault) < 0)
            return -1;
    }
}

void *link_call(struct sink *sink, uint16_t channel, amqp_method_number_t method, void *decoded,
                amqp_method_number_t reply, int64_t deadline_ms, struct fault *fault)
{
    if (method && wire_put_method(&sink->out, channel, method, decoded)) {
        link_no_memory(fault);
        return NULL;
    }
    for (;;) {
        struct wire_frame frame;
        amqp_method_number_t arrived = 0;
        void *answer = NULL;
        if (next_frame(sink, deadline_ms, &frame, fault))
            return NULL;
        recycle_amqp_pool(&sink->pool);
        if (frame.type == AMQP_FRAME_METHOD && !(answer = wire_method(&frame, &sink->pool, &arrived))) {
            fault_set(fault, NULL, "the broker sent a malformed method");
            return NULL;
        }
        if (answer && arrived == reply && frame.channel == channel)
            return answer;
        int common = incoming_common(sink, &frame, arrived, answer, fault);
        if (common == 0)
            fault_set(fault, NULL, "the broker sent method %#x instead of %#x", arrived, reply);
        if (common <= 0)
            return NULL;
    }
}
