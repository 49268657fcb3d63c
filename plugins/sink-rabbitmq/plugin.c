/*
 * paynotify-sink-rabbitmq: publishes events to RabbitMQ, with publisher confirms. This file is the plugin's face: its
 * settings and its descriptor.
 */
#include "sink.h"

#define SETTING(name_, type_, flags_, default_, choices_, min_, max_, help_)                                           \
    {                                                                                                                  \
        .name = #name_, .type = (type_), .flags = (flags_), .offset = offsetof(struct settings, name_),                \
        .default_text = (default_), .choices = (choices_), .min = (min_), .max = (max_), .help = (help_)               \
    }

static const struct pn_option options[] = {
    SETTING(url, PN_OPT_URL, PN_OPT_REQUIRED | PN_OPT_SECRET, NULL, "amqp|amqps", 0, 0,
            "amqp://user:password@host:port/vhost, or amqps:// for TLS; special characters as %xx"),
    SETTING(ca, PN_OPT_BYTES, 0, NULL, NULL, 0, 0,
            "amqps: certificates (PEM) that may sign the broker's; default: the system's"),
    SETTING(client_cert, PN_OPT_BYTES, 0, NULL, NULL, 0, 0, "amqps: our certificate (PEM), if the broker wants one"),
    SETTING(client_key, PN_OPT_BYTES, PN_OPT_SECRET, NULL, NULL, 0, 0, "amqps: the private key of client_cert (PEM)"),
    SETTING(exchange, PN_OPT_STRING, 0, "paynotify_exchange_fanout", NULL, 0, 0,
            "where messages are published; empty: the default exchange, routing_key names the queue"),
    SETTING(exchange_type, PN_OPT_ENUM, 0, "fanout", "fanout|direct|topic|headers", 0, 0, "type of the exchange"),
    SETTING(queue, PN_OPT_STRING, 0, "paynotify_queue", NULL, 0, 0, "queue bound to the exchange; empty: none"),
    SETTING(queue_type, PN_OPT_ENUM, 0, "classic", "classic|quorum", 0, 0, "type of the queue, when it is declared"),
    SETTING(binding_key, PN_OPT_STRING, 0, NULL, NULL, 0, 0,
            "binds the queue to the exchange; default: routing_key, or # on a topic exchange"),
    SETTING(
        routing_key, PN_OPT_STRING, 0, NULL, NULL, 0, 0,
        "of each message; may hold {event_type} {event_id} {app} {order_type} {order_id} {out_business_id} {pay_no} "
        "{channel}"),
    SETTING(durable, PN_OPT_BOOLEAN, 0, "true", NULL, 0, 0, "exchange and queue survive a restart of the broker"),
    SETTING(declare, PN_OPT_BOOLEAN, 0, "true", NULL, 0, 0,
            "declare exchange, queue and binding when connecting; false: the exchange must be there"),
    SETTING(mandatory, PN_OPT_BOOLEAN, 0, "true", NULL, 0, 0,
            "a message that reaches no queue is tried again; false: the broker drops it without a word"),
    SETTING(window, PN_OPT_INTEGER, 0, "1000", NULL, 1, 65535, "messages that may wait for their confirm at a time"),
    { .name = "heartbeat",
      .type = PN_OPT_DURATION,
      .offset = offsetof(struct settings, heartbeat_ms),
      .default_text = "10s",
      .min = 1000,
      .max = 600000,
      .help = "sign of life on an idle connection; after twice this time of silence the broker counts as gone" },
    SETTING(connection_name, PN_OPT_STRING, 0, "paynotify", NULL, 0, 0, "shown in the broker's management"),
};

static const struct pn_sink sink = {
    .size = sizeof sink,
    .open = sink_open,
    .close = sink_close,
    .connect = sink_connect,
    .submit = sink_submit,
    .pump = sink_pump,
    .interrupt = sink_interrupt,
};

const struct pn_plugin pn_plugin = {
    PN_PLUGIN_HEAD(PN_KIND_SINK, struct settings, "sink-rabbitmq", PN_VERSION),
    .summary = "Publishes events to RabbitMQ (AMQP 0-9-1) with publisher confirms",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .sink = &sink,
};
