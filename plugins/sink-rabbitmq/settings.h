/*
 * The settings of one sink, as the host fills them in by the table in plugin.c. They stay where they are, unchanged,
 * until the sink is closed, so the sink's state points into them.
 */
#ifndef PAYNOTIFY_RABBITMQ_SETTINGS_H
#define PAYNOTIFY_RABBITMQ_SETTINGS_H

#include <paynotify/plugin.h>

struct settings {
    struct pn_str url;
    struct pn_str ca;          /* PEM, as bytes; absent: the system's */
    struct pn_str client_cert; /* PEM chain */
    struct pn_str client_key;
    struct pn_str exchange; /* "": the default exchange */
    struct pn_str exchange_type;
    struct pn_str queue; /* "": no queue of ours */
    struct pn_str queue_type;
    struct pn_str binding_key; /* absent: made from routing_key */
    struct pn_str routing_key; /* a template */
    struct pn_str connection_name;
    int64_t durable;
    int64_t declare;
    int64_t mandatory;
    int64_t window;
    int64_t heartbeat_ms;
};

#endif
