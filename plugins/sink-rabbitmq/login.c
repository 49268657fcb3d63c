/*
 * The first conversation with a broker: who we are, limits, virtual host, a channel that confirms. Called by
 * sink_connect, on the sink's thread.
 */
#include "sink.h"

#include <stdio.h>
#include <string.h>

#ifndef PN_VERSION
#define PN_VERSION "unknown"
#endif

static amqp_table_entry_t text_entry(const char *key, struct pn_str value)
{
    return (amqp_table_entry_t){ .key = amqp_cstring_bytes(key),
                                 .value = { .kind = AMQP_FIELD_KIND_UTF8, .value.bytes = wire_bytes(value) } };
}

static amqp_table_entry_t true_entry(const char *key)
{
    return (amqp_table_entry_t){ .key = amqp_cstring_bytes(key),
                                 .value = { .kind = AMQP_FIELD_KIND_BOOLEAN, .value.boolean = 1 } };
}

static struct pn_str text_of(const char *text)
{
    return (struct pn_str){ text, strlen(text) };
}

static bool offers(amqp_bytes_t mechanisms, const char *wanted)
{
    const char *at = mechanisms.bytes, *end = at + mechanisms.len;
    size_t length = strlen(wanted);
    while (at && at < end) {
        const char *space = memchr(at, ' ', (size_t) (end - at));
        size_t size = (size_t) ((space ? space : end) - at);
        if (size == length && !memcmp(at, wanted, length))
            return true;
        at += size + 1;
    }
    return false;
}

/* A broker tells a client that it is blocked, or that a login failed, only when the client says that it understands. */
static int send_start_ok(struct sink *sink)
{
    char plain[2 * URL_PART + 2];
    size_t user = strlen(sink->url.user), password = strlen(sink->url.password);
    amqp_table_entry_t capabilities[] = { true_entry("connection.blocked"), true_entry("authentication_failure_close"),
                                          true_entry("publisher_confirms"), true_entry("basic.nack") };
    amqp_table_entry_t properties[] = {
        text_entry("product", text_of("paynotify")),
        text_entry("version", text_of(PN_VERSION)),
        text_entry("connection_name", sink->settings->connection_name),
        { .key = amqp_cstring_bytes("capabilities"),
          .value = { .kind = AMQP_FIELD_KIND_TABLE,
                     .value.table = { sizeof capabilities / sizeof *capabilities, capabilities } } }
    };
    amqp_connection_start_ok_t start_ok = { .client_properties = { sizeof properties / sizeof *properties, properties },
                                            .mechanism = amqp_cstring_bytes("PLAIN"),
                                            .response = { user + password + 2, plain },
                                            .locale = amqp_cstring_bytes("en_US") };
    plain[0] = '\0';
    memcpy(plain + 1, sink->url.user, user + 1);
    memcpy(plain + user + 2, sink->url.password, password);
    int result = wire_put_method(&sink->out, 0, AMQP_CONNECTION_START_OK_METHOD, &start_ok);
    explicit_bzero(plain, sizeof plain);
    return result;
}

static int introduce(struct sink *sink, int64_t deadline_ms, struct fault *fault)
{
    if (wire_put_header(&sink->out))
        return link_no_memory(fault);
    amqp_connection_start_t *start = link_call(sink, 0, 0, NULL, AMQP_CONNECTION_START_METHOD, deadline_ms, fault);
    if (!start)
        return -1;
    if (!offers(start->mechanisms, "PLAIN"))
        return fault_set(fault, NULL, "the broker does not offer the login mechanism PLAIN");
    return send_start_ok(sink) ? link_no_memory(fault) : 0;
}

/* The broker proposes, the client decides; both sides then expect a sign of life per heartbeat. */
static int agree_on_limits(struct sink *sink, int64_t deadline_ms, struct fault *fault)
{
    uint16_t heartbeat = (uint16_t) ((sink->settings->heartbeat_ms + 999) / 1000);
    struct fault refused;
    amqp_connection_tune_t *tune = link_call(sink, 0, 0, NULL, AMQP_CONNECTION_TUNE_METHOD, deadline_ms, &refused);
    if (!tune)
        return fault_set(fault, NULL, "login as \"%s\": %.300s", sink->url.user, refused.text);
    if (tune->heartbeat > 0 && tune->heartbeat < heartbeat)
        heartbeat = tune->heartbeat;
    sink->heartbeat_ms = (int64_t) heartbeat * 1000;
    sink->frame_max = tune->frame_max > 0 && tune->frame_max < WIRE_FRAME_MAX ? tune->frame_max : WIRE_FRAME_MAX;
    if (sink->frame_max < 4096)
        return fault_set(fault, NULL, "the broker allows frames of %zu bytes only", sink->frame_max);
    amqp_connection_tune_ok_t tune_ok = { .channel_max = tune->channel_max,
                                          .frame_max = (uint32_t) sink->frame_max,
                                          .heartbeat = heartbeat };
    return wire_put_method(&sink->out, 0, AMQP_CONNECTION_TUNE_OK_METHOD, &tune_ok) ? link_no_memory(fault) : 0;
}

int login(struct sink *sink, int64_t deadline_ms, struct fault *fault)
{
    amqp_connection_open_t open = { .virtual_host = amqp_cstring_bytes(sink->url.vhost) };
    amqp_channel_open_t channel_open = { .out_of_band = amqp_empty_bytes };
    amqp_confirm_select_t confirm = { .nowait = 0 };
    if (introduce(sink, deadline_ms, fault) || agree_on_limits(sink, deadline_ms, fault))
        return -1;
    if (!link_call(sink, 0, AMQP_CONNECTION_OPEN_METHOD, &open, AMQP_CONNECTION_OPEN_OK_METHOD, deadline_ms, fault))
        return -1;
    if (!link_call(sink, WIRE_CHANNEL, AMQP_CHANNEL_OPEN_METHOD, &channel_open, AMQP_CHANNEL_OPEN_OK_METHOD,
                   deadline_ms, fault))
        return -1;
    if (!link_call(sink, WIRE_CHANNEL, AMQP_CONFIRM_SELECT_METHOD, &confirm, AMQP_CONFIRM_SELECT_OK_METHOD, deadline_ms,
                   fault))
        return -1;
    return 0;
}
