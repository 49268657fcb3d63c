/*
 * The tables behind tables.h. Read-only; used by config.c at start-up and by tests.
 */
#include "config/tables.h"

#define AT(settings_, name_) .name = #name_, .offset = offsetof(struct settings_, name_)
#define COUNT(options_) (sizeof(options_) / sizeof((options_)[0]))
#define TABLE(options_, settings_) { (options_), COUNT(options_), sizeof(struct settings_), false }

enum { SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, DAY = 24 * HOUR };

static const struct pn_option server_options[] = {
    { AT(server_settings, public_listen), .type = PN_OPT_LIST, .default_text = "0.0.0.0:8080",
      .help = "addresses for providers and payers: /notify, /pay, /cashier, /return" },
    { AT(server_settings, api_listen), .type = PN_OPT_LIST, .default_text = "127.0.0.1:8081",
      .help = "addresses for business services and operators: /v1, /metrics, /healthz, /readyz" },
    { AT(server_settings, public_url), .type = PN_OPT_URL, .flags = PN_OPT_REQUIRED, .choices = "http|https",
      .help = "how providers and payers reach public_listen from outside" },
    { AT(server_settings, include_dir), .type = PN_OPT_STRING, .help = "directory of drop-ins, *.conf, read in order of their names" },
    { AT(server_settings, plugin_dir), .type = PN_OPT_STRING, .default_text = PN_PLUGIN_DIR, .help = "where plugins are" },
    { AT(server_settings, link_key_file), .type = PN_OPT_STRING,
      .help = "keys that sign pay links, made at first start; the same file for all servers" },
    { AT(server_settings, node_name), .type = PN_OPT_STRING, .help = "unique among the servers on one store" },
    { AT(server_settings, trusted_proxies), .type = PN_OPT_LIST,
      .help = "reverse proxies whose X-Forwarded-For is believed: addresses or networks" },
    { AT(server_settings, ca_file), .type = PN_OPT_STRING, .help = "certificates that providers are verified against" },
    { AT(server_settings, log_format), .type = PN_OPT_ENUM, .choices = "logfmt|json", .default_text = "logfmt",
      .help = "form of the log lines on stderr" },
    { AT(server_settings, log_level), .type = PN_OPT_ENUM, .choices = "error|warn|notice|info|debug", .default_text = "info",
      .help = "the least important lines to write" },
    { AT(server_settings, http_threads), .type = PN_OPT_INTEGER, .min = 1, .max = 64,
      .help = "threads that serve HTTP; default: as many as processors, at most 4" },
    { AT(server_settings, workers), .type = PN_OPT_INTEGER, .min = 1, .max = 256, .default_text = "8",
      .help = "threads that run API calls" },
    { AT(server_settings, connection_limit), .type = PN_OPT_INTEGER, .min = 16, .max = 1000000, .default_text = "12000",
      .help = "open connections at a time" },
    { AT(server_settings, notify_deadline), .type = PN_OPT_DURATION, .min = 100, .max = MINUTE, .default_text = "4s",
      .help = "a notification that is not settled by then is answered with failure" },
    { AT(server_settings, receive_timeout), .type = PN_OPT_DURATION, .min = 100, .max = 10 * MINUTE, .default_text = "15s",
      .help = "a request must have arrived completely by then" },
    { AT(server_settings, shutdown_timeout), .type = PN_OPT_DURATION, .min = SECOND, .max = 10 * MINUTE, .default_text = "30s",
      .help = "how long a stop may take" },
    { AT(server_settings, order_expiry), .type = PN_OPT_DURATION, .min = MINUTE, .max = 15 * DAY, .default_text = "30m",
      .help = "how long an order may be paid when the caller does not say" },
    { AT(server_settings, settle_queue), .type = PN_OPT_INTEGER, .min = 1, .max = 1000000, .default_text = "4096",
      .help = "notifications that may wait for their settlement" },
    { AT(server_settings, settle_batch), .type = PN_OPT_INTEGER, .min = 1, .max = 4096, .default_text = "256",
      .help = "notifications settled in one transaction" },
    { AT(server_settings, sink_queue_events), .type = PN_OPT_INTEGER, .min = 1, .max = 1000000, .default_text = "4096",
      .help = "events in memory for each sink" },
    { AT(server_settings, sink_queue_bytes), .type = PN_OPT_INTEGER, .min = 65536, .max = INT64_C(1) << 34,
      .default_text = "16777216", .help = "bytes of events in memory for each sink" },
};

static const struct pn_option store_options[] = {
    { AT(store_settings, url), .type = PN_OPT_STRING, .flags = PN_OPT_SECRET,
      .default_text = "sqlite:/var/lib/paynotify/paynotify.db", .help = "sqlite:PATH or postgresql://user:password@host/database" },
    { AT(store_settings, connections), .type = PN_OPT_INTEGER, .min = 1, .max = 256, .default_text = "8",
      .help = "PostgreSQL connections for API calls" },
    { AT(store_settings, statement_timeout), .type = PN_OPT_DURATION, .min = 100, .max = 10 * MINUTE, .default_text = "5s",
      .help = "a transaction that takes longer is given up" },
};

static const struct pn_option app_options[] = {
    { AT(app_settings, key_sha256), .type = PN_OPT_LIST, .flags = PN_OPT_REQUIRED,
      .help = "SHA-256 of the app's API key, in hex; two while a key is changed" },
    { AT(app_settings, role), .type = PN_OPT_ENUM, .choices = "app|operator", .default_text = "app",
      .help = "an app sees its own rows, an operator all" },
    { AT(app_settings, channels), .type = PN_OPT_LIST, .help = "channels that the app may use; default: all" },
    { AT(app_settings, late_payment), .type = PN_OPT_ENUM, .choices = "hold|accept|refund", .default_text = "hold",
      .help = "what becomes of a payment that arrives for a closed order" },
    { AT(app_settings, duplicate_payment), .type = PN_OPT_ENUM, .choices = "hold|refund", .default_text = "hold",
      .help = "what becomes of a second payment of the same order" },
    { AT(app_settings, close_after_queries), .type = PN_OPT_INTEGER, .min = 0, .max = 10000, .default_text = "0",
      .help = "an order is closed when its provider has said so many times that it is not paid; 0: when it expires" },
};

static const struct pn_option channel_options[] = {
    { AT(channel_settings, plugin), .type = PN_OPT_STRING, .flags = PN_OPT_REQUIRED, .help = "name of a channel plugin, or path of its file" },
    { AT(channel_settings, timeout), .type = PN_OPT_DURATION, .min = 100, .max = 2 * MINUTE, .default_text = "10s",
      .help = "for one call to the provider" },
    { AT(channel_settings, max_in_flight), .type = PN_OPT_INTEGER, .min = 1, .max = 10000, .default_text = "512",
      .help = "calls to the provider at a time; queries in the background use at most three quarters" },
    { AT(channel_settings, breaker_failures), .type = PN_OPT_INTEGER, .min = 0, .max = 10000, .default_text = "10",
      .help = "calls without an answer, in a row, after which further ones are held back; 0: never" },
    { AT(channel_settings, breaker_wait), .type = PN_OPT_DURATION, .min = 100, .max = 10 * MINUTE, .default_text = "2s",
      .help = "then, before the provider is tried again; doubles while it does not answer, up to a minute" },
    { AT(channel_settings, query_interval), .type = PN_OPT_DURATION, .min = 100, .max = HOUR, .default_text = "30s",
      .help = "between questions about a payment that is still open; grows to 5 minutes with the payment's age" },
};

static const struct pn_option sink_options[] = {
    { AT(sink_settings, plugin), .type = PN_OPT_STRING, .flags = PN_OPT_REQUIRED, .help = "name of a sink plugin, or path of its file" },
    { AT(sink_settings, format), .type = PN_OPT_ENUM, .choices = "mqmessage|provider|cloudevents", .default_text = "mqmessage",
      .help = "form of the messages" },
    { AT(sink_settings, events), .type = PN_OPT_LIST, .help = "event types to deliver; default: all that the format carries" },
    { AT(sink_settings, apps), .type = PN_OPT_LIST, .help = "apps whose events are delivered; default: all" },
    { AT(sink_settings, order_types), .type = PN_OPT_LIST, .help = "order types whose events are delivered; default: all" },
    { AT(sink_settings, paused), .type = PN_OPT_BOOLEAN, .default_text = "false", .help = "keep events instead of sending them" },
};

const struct option_table server_table = TABLE(server_options, server_settings);
const struct option_table store_table = TABLE(store_options, store_settings);
const struct option_table app_table = TABLE(app_options, app_settings);
const struct option_table channel_table = TABLE(channel_options, channel_settings);
const struct option_table sink_table = TABLE(sink_options, sink_settings);
