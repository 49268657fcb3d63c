/*
 * What paynotify.conf says, checked and typed. Made once at start by config_load and read-only afterwards, so every
 * layer above may read it from any thread. Plugin sections are checked by the plugin's own options table (registry.h).
 */
#ifndef PN_CONFIG_CONFIG_H
#define PN_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "config/ini.h"

enum late_policy { LATE_HOLD, LATE_ACCEPT, LATE_REFUND };
enum duplicate_policy { DUPLICATE_HOLD, DUPLICATE_REFUND };
enum app_role { ROLE_APP, ROLE_OPERATOR };

struct config_app {
    const char *name;
    enum app_role role;
    uint8_t key_sha256[2][32]; /* key_sha256 = a, b: two while a key is changed */
    size_t key_count;
    const char *const *channels; /* names; NULL: all */
    size_t channel_count;
    enum late_policy late_payment;
    enum duplicate_policy duplicate_payment;
    int64_t close_after_queries; /* 0: only its expiry closes an order */
};

struct config_channel {
    const char *name;
    struct channel *channel; /* registry.h; opened by config_load */
    int64_t timeout_ms;      /* of one call to the provider; default 10 s */
    int64_t max_in_flight;   /* calls at a time; 512 */
    int64_t breaker_failures, breaker_wait_ms; /* 10 in a row, 2 s */
    int64_t query_interval_ms; /* between questions about an open payment; 30 s */
};

enum event_format { FORMAT_MQMESSAGE, FORMAT_PROVIDER };

struct config_sink {
    const char *name;
    struct sink_plugin *plugin; /* registry.h; loaded and its settings checked, not opened */
    enum event_format format;
    const char *const *events; /* NULL: what the format carries */
    size_t event_count;
    const char *const *apps;   /* NULL: all */
    size_t app_count;
    const char *const *order_types; /* NULL: all */
    size_t order_type_count;
    bool paused;               /* paused = true: events are kept, not sent */
};

struct config_server {
    const char *const *public_listen; /* "0.0.0.0:8080", "[::]:8080", "unix:/run/x" */
    size_t public_listen_count;
    const char *const *api_listen;
    size_t api_listen_count;
    const char *public_url;   /* no trailing '/' */
    const char *link_key_file;
    const char *node_name;    /* default: host name and first api_listen */
    const char *const *trusted_proxies; /* addresses or CIDR */
    size_t trusted_proxy_count;
    const char *plugin_dir;   /* default: pkglibdir */
    enum log_format log_format;
    enum log_level log_level;
    int64_t http_threads, workers, connection_limit;
    int64_t notify_deadline_ms; /* 4000 */
    int64_t receive_timeout_ms; /* a request must be complete by then; 15 s */
    int64_t shutdown_ms;        /* 30 s */
    int64_t settle_queue;       /* 4096 */
    int64_t settle_batch;       /* 256 */
    int64_t sink_queue_events, sink_queue_bytes; /* 4096, 16 MiB */
    int64_t order_expiry_ms;    /* default of expires_in: 30 min */
    const char *ca_file;        /* for calls to providers; NULL: the system's */
};

struct config_store {
    const char *url;       /* "sqlite:PATH" or "postgresql://…"; a secret: may hold a password */
    const char *shown_url; /* without the password */
    int64_t connections;   /* PostgreSQL workers' */
    int64_t statement_timeout_ms;
};

struct config {
    struct arena *arena;
    struct ini *ini;
    struct config_server server;
    struct config_store store;
    struct config_app *apps;
    size_t app_count;
    struct config_channel *channels;
    size_t channel_count;
    struct config_sink *sinks;
    size_t sink_count;
};

/* Reads, checks, loads plugins, and opens channels (parses their keys). All faults are collected; RC_CONFIG when there
 * is one, and then *ret_config is NULL. */
enum rc config_load(const char *path, struct faults *faults, struct config **ret_config);
void config_free(struct config *config); /* closes channels */

const struct config_app *config_app_find(const struct config *config, const char *name);
const struct config_channel *config_channel_find(const struct config *config, const char *name);
bool config_app_may_use(const struct config_app *app, const char *channel);

#endif
