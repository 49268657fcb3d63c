/*
 * Exchange, queue and binding: declared when `declare` is on, so that a fresh broker works at once; otherwise the
 * exchange is only looked up, so that a missing one is told when connecting and not message by message. Called by
 * sink_connect, on the sink's thread.
 */
#include "sink.h"

static int declare_exchange(struct sink *sink, bool passive, int64_t deadline_ms, struct fault *fault)
{
    const struct settings *settings = sink->settings;
    struct fault refused;
    amqp_exchange_declare_t declare = { .exchange = wire_bytes(settings->exchange),
                                        .type = wire_bytes(settings->exchange_type),
                                        .passive = passive,
                                        .durable = settings->durable != 0 };
    if (link_call(sink, WIRE_CHANNEL, AMQP_EXCHANGE_DECLARE_METHOD, &declare, AMQP_EXCHANGE_DECLARE_OK_METHOD,
                  deadline_ms, &refused))
        return 0;
    return fault_set(fault, NULL, "exchange \"%s\": %.300s", settings->exchange.data, refused.text);
}

static int declare_queue(struct sink *sink, int64_t deadline_ms, struct fault *fault)
{
    const struct settings *settings = sink->settings;
    struct fault refused;
    bool classic = settings->queue_type.len == 0 || settings->queue_type.data[0] == 'c';
    amqp_table_entry_t type = { .key = amqp_cstring_bytes("x-queue-type"),
                                .value = { .kind = AMQP_FIELD_KIND_UTF8,
                                           .value.bytes = wire_bytes(settings->queue_type) } };
    amqp_queue_declare_t declare = { .queue = wire_bytes(settings->queue),
                                     .durable = settings->durable != 0,
                                     .arguments = { classic ? 0 : 1, &type } };
    if (link_call(sink, WIRE_CHANNEL, AMQP_QUEUE_DECLARE_METHOD, &declare, AMQP_QUEUE_DECLARE_OK_METHOD, deadline_ms,
                  &refused))
        return 0;
    return fault_set(fault, NULL, "queue \"%s\": %.300s", settings->queue.data, refused.text);
}

static int bind_queue(struct sink *sink, int64_t deadline_ms, struct fault *fault)
{
    const struct settings *settings = sink->settings;
    struct fault refused;
    amqp_queue_bind_t bind = { .queue = wire_bytes(settings->queue),
                               .exchange = wire_bytes(settings->exchange),
                               .routing_key = wire_bytes(sink->binding_key) };
    if (link_call(sink, WIRE_CHANNEL, AMQP_QUEUE_BIND_METHOD, &bind, AMQP_QUEUE_BIND_OK_METHOD, deadline_ms, &refused))
        return 0;
    return fault_set(fault, NULL, "binding of queue \"%s\": %.300s", settings->queue.data, refused.text);
}

int topology_declare(struct sink *sink, int64_t deadline_ms, struct fault *fault)
{
    bool named = sink->settings->exchange.len > 0; /* the default exchange is always there, and binds by itself */
    bool declares = sink->settings->declare != 0;
    if (named && declare_exchange(sink, !declares, deadline_ms, fault))
        return -1;
    if (!declares || sink->settings->queue.len == 0)
        return 0;
    if (declare_queue(sink, deadline_ms, fault))
        return -1;
    return named ? bind_queue(sink, deadline_ms, fault) : 0;
}
