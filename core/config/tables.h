/*
 * The keys of the server's own sections of paynotify.conf, as option tables of the kind that plugins have: one place for
 * names, types, defaults, bounds and help. config.c fills the structs; a test holds the tables against the manual.
 */
#ifndef PN_CONFIG_TABLES_H
#define PN_CONFIG_TABLES_H

#include "plugin/registry.h"

struct server_settings {
    struct pn_list public_listen, api_listen, trusted_proxies;
    struct pn_str public_url, include_dir, link_key_file, node_name, plugin_dir, log_format, log_level, ca_file;
    int64_t http_threads, workers, connection_limit;
    int64_t notify_deadline, receive_timeout, shutdown_timeout, order_expiry; /* ms */
    int64_t settle_queue, settle_batch, sink_queue_events, sink_queue_bytes;
};

struct store_settings {
    struct pn_str url;
    int64_t connections, statement_timeout;
};

struct app_settings {
    struct pn_list key_sha256, channels;
    struct pn_str role, late_payment, duplicate_payment;
    int64_t close_after_queries;
};

struct channel_settings {
    struct pn_str plugin;
    int64_t timeout, max_in_flight, breaker_failures, breaker_wait, query_interval;
};

struct sink_settings {
    struct pn_str plugin, format;
    struct pn_list events, apps, order_types;
    int64_t paused;
};

extern const struct option_table server_table, store_table, app_table, channel_table, sink_table;

#endif
