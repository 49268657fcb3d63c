/*
 * What a broker says of its own accord: confirms, returned messages, blocked, close. Called from pump and, for what is
 * still in the socket, when a connection ends; on the sink's thread.
 */
#include "sink.h"

#include <stdio.h>

static const char *text_of(amqp_bytes_t bytes)
{
    return bytes.bytes ? bytes.bytes : "";
}

static int length_of(amqp_bytes_t bytes)
{
    return bytes.len > 255 ? 255 : (int) bytes.len;
}

/* ----------------------------------------------------------------------------------------- what may come at any time */

static void note_blocked(struct sink *sink, bool blocked, amqp_bytes_t reason)
{
    char text[320];
    sink->blocked = blocked;
    if (blocked)
        snprintf(text, sizeof text, "the broker takes no messages for now: %.*s", length_of(reason), text_of(reason));
    else
        snprintf(text, sizeof text, "the broker takes messages again");
    sink->host->log(sink->host, NULL, blocked ? PN_LOG_WARN : PN_LOG_NOTICE, text);
}

int incoming_common(struct sink *sink, const struct wire_frame *frame, amqp_method_number_t method, void *decoded,
                    struct fault *fault)
{
    if (frame->type == AMQP_FRAME_HEARTBEAT)
        return 1;
    if (frame->type != AMQP_FRAME_METHOD)
        return 0;
    switch (method) {
    case AMQP_CONNECTION_BLOCKED_METHOD:
        note_blocked(sink, true, ((amqp_connection_blocked_t *) decoded)->reason);
        return 1;
    case AMQP_CONNECTION_UNBLOCKED_METHOD:
        note_blocked(sink, false, amqp_empty_bytes);
        return 1;
    case AMQP_CONNECTION_CLOSE_METHOD: {
        const amqp_connection_close_t *closed = decoded;
        return fault_set(fault, NULL, "the broker closed the connection: %d %.*s", closed->reply_code,
                         length_of(closed->reply_text), text_of(closed->reply_text));
    }
    case AMQP_CHANNEL_CLOSE_METHOD: {
        const amqp_channel_close_t *closed = decoded;
        return fault_set(fault, NULL, "the broker closed the channel: %d %.*s", closed->reply_code,
                         length_of(closed->reply_text), text_of(closed->reply_text));
    }
    default:
        return 0;
    }
}

/* ---------------------------------------------------------------------------------------------------------- confirms */

static void settle_delivered(void *context, uint64_t ticket)
{
    const struct pn_host *host = ((struct sink *) context)->host;
    host->settle(host, ticket, PN_DELIVERED, NULL);
}

static void settle_refused(void *context, uint64_t ticket)
{
    const struct pn_host *host = ((struct sink *) context)->host;
    host->settle(host, ticket, PN_RETRY, "the broker refused the message (basic.nack): a queue is full or failed");
}

static int confirm(struct sink *sink, uint64_t tag, bool multiple, bool delivered, struct fault *fault)
{
    sink->proven = true;
    if (window_confirm(&sink->window, tag, multiple, delivered ? settle_delivered : settle_refused, sink))
        return 0;
    return fault_set(fault, NULL, "the broker confirmed message %llu, which was never sent", (unsigned long long) tag);
}

/* ------------------------------------------------------------------------------------------------- returned messages */

static int begin_return(struct sink *sink, const amqp_basic_return_t *returned, struct fault *fault)
{
    struct returning *returning = &sink->returning;
    if (returning->expects_header || returning->body_left > 0)
        return fault_set(fault, NULL, "the broker sent a method in the middle of a message");
    snprintf(returning->reason, sizeof returning->reason,
             "unroutable: %d %.*s (exchange \"%.*s\", routing key \"%.*s\")", returned->reply_code,
             length_of(returned->reply_text), text_of(returned->reply_text), length_of(returned->exchange),
             text_of(returned->exchange), length_of(returned->routing_key), text_of(returned->routing_key));
    returning->expects_header = true;
    return 0;
}

/* The confirm that follows is no delivery: the ticket ends here. A message that came back and cannot be told apart
 * would count as delivered, so that ends the connection instead. */
static int return_header(struct sink *sink, const struct wire_frame *frame, struct fault *fault)
{
    struct returning *returning = &sink->returning;
    uint64_t ticket;
    const amqp_basic_properties_t *properties =
        returning->expects_header ? wire_properties(frame, &sink->pool, &returning->body_left) : NULL;
    if (!properties)
        return fault_set(fault, NULL, "the broker sent a malformed or unexpected message header");
    returning->expects_header = false;
    if (!(properties->_flags & AMQP_BASIC_MESSAGE_ID_FLAG) ||
        !window_return(&sink->window, (struct pn_str){ properties->message_id.bytes, properties->message_id.len },
                       &ticket))
        return fault_set(fault, NULL, "the broker returned a message that is not in flight");
    sink->host->settle(sink->host, ticket, PN_RETRY, returning->reason);
    return 0;
}

static int return_body(struct sink *sink, const struct wire_frame *frame, struct fault *fault)
{
    if (sink->returning.expects_header || frame->size > sink->returning.body_left)
        return fault_set(fault, NULL, "the broker sent an unexpected message body");
    sink->returning.body_left -= frame->size;
    return 0;
}

/* --------------------------------------------------------------------------------------------------------- dispatch */

static int handle_method(struct sink *sink, const struct wire_frame *frame, struct fault *fault)
{
    amqp_method_number_t method;
    void *decoded = wire_method(frame, &sink->pool, &method);
    if (!decoded)
        return fault_set(fault, NULL, "the broker sent a malformed method");
    if (frame->channel == WIRE_CHANNEL) {
        if (method == AMQP_BASIC_ACK_METHOD) {
            const amqp_basic_ack_t *ack = decoded;
            return confirm(sink, ack->delivery_tag, ack->multiple, true, fault);
        }
        if (method == AMQP_BASIC_NACK_METHOD) {
            const amqp_basic_nack_t *nack = decoded;
            return confirm(sink, nack->delivery_tag, nack->multiple, false, fault);
        }
        if (method == AMQP_BASIC_RETURN_METHOD)
            return begin_return(sink, decoded, fault);
    }
    int common = incoming_common(sink, frame, method, decoded, fault);
    if (common == 0)
        return fault_set(fault, NULL, "the broker sent method %#x, which nobody asked for", method);
    return common > 0 ? 0 : -1;
}

static int handle_frame(struct sink *sink, const struct wire_frame *frame, struct fault *fault)
{
    switch (frame->type) {
    case AMQP_FRAME_METHOD:
        return handle_method(sink, frame, fault);
    case AMQP_FRAME_HEADER:
        return return_header(sink, frame, fault);
    case AMQP_FRAME_BODY:
        return return_body(sink, frame, fault);
    default:
        return 0; /* a heartbeat: that it came is all it says */
    }
}

int incoming_handle(struct sink *sink, struct fault *fault)
{
    struct wire_frame frame;
    int found;
    while ((found = wire_next(&sink->in, &frame)) > 0) {
        recycle_amqp_pool(&sink->pool);
        if (handle_frame(sink, &frame, fault))
            return -1;
    }
    return found == 0 ? 0 : fault_set(fault, NULL, "the broker sent something that is no AMQP frame");
}
