/*
 * The life of a sink: open, connect, submit and pump by turns, close. The host drives it from one thread.
 *
 * Messages are collected in memory and leave in one write, either at the next pump or when FLUSH_BYTES are together.
 * No call waits but connect and pump, and these have deadlines.
 */
#include "sink.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FLUSH_BYTES (32 * 1024) /* a submit writes when this much waits, so that the broker has something to do */
#define OUT_LIMIT (512 * 1024)  /* no message is taken on top of this much that the socket does not take */
#define FAREWELL_MS 500

/* ------------------------------------------------------------------------------------------------------------- open */

/* Without a binding key of its own a queue is bound by the key that messages carry, which must be the same for all
 * of them then; a fanout exchange looks at no key, and a topic exchange has one for everything. */
static int choose_binding(struct sink *sink, struct fault *fault)
{
    const struct settings *settings = sink->settings;
    sink->binding_key = settings->binding_key;
    if (settings->binding_key.len > TEMPLATE_MAX)
        return fault_set(fault, "binding_key", "longer than %d bytes", TEMPLATE_MAX);
    if (settings->binding_key.len > 0)
        return 0;
    if (sink->routing_key.constant)
        sink->binding_key = settings->routing_key;
    else if (!strcmp(settings->exchange_type.data, "topic"))
        sink->binding_key = (struct pn_str){ "#", 1 };
    else if (!strcmp(settings->exchange_type.data, "direct") && settings->declare && settings->queue.len > 0)
        return fault_set(fault, "binding_key", "a direct exchange with a routing_key of fields needs it");
    return 0;
}

static int check(struct sink *sink, struct fault *fault)
{
    const struct settings *settings = sink->settings;
    if (url_parse(settings->url, &sink->url, fault))
        return -1;
    if (settings->exchange.len > TEMPLATE_MAX)
        return fault_set(fault, "exchange", "longer than %d bytes", TEMPLATE_MAX);
    if (settings->queue.len > TEMPLATE_MAX)
        return fault_set(fault, "queue", "longer than %d bytes", TEMPLATE_MAX);
    if (settings->connection_name.len > TEMPLATE_MAX)
        return fault_set(fault, "connection_name", "longer than %d bytes", TEMPLATE_MAX);
    if (!sink->url.tls && (settings->ca.len > 0 || settings->client_cert.len > 0 || settings->client_key.len > 0))
        return fault_set(fault, "url", "certificates are given, so it must begin with amqps://");
    if (template_compile(settings->routing_key, "routing_key", &sink->routing_key, fault))
        return -1;
    if (settings->exchange.len == 0 && settings->routing_key.len == 0)
        return fault_set(fault, "routing_key", "an empty exchange needs it: the name of the queue");
    return choose_binding(sink, fault);
}

static void destroy(struct sink *sink)
{
    stream_destroy(&sink->stream);
    empty_amqp_pool(&sink->pool);
    window_free(&sink->window);
    tls_free(sink->tls);
    free(sink->in.data);
    free(sink->out.data);
    explicit_bzero(&sink->url, sizeof sink->url);
    free(sink);
}

int sink_open(const void *settings, const struct pn_host *host, struct pn_call *call, void **ret_state)
{
    struct fault fault = { .text = "no memory" };
    struct sink *sink = calloc(1, sizeof *sink);
    if (!sink)
        return host->fail(call, PN_INTERNAL, NULL, fault.text);
    sink->settings = settings;
    sink->host = host;
    stream_init(&sink->stream);
    init_amqp_pool(&sink->pool, 8192);
    if (check(sink, &fault))
        goto bad_config;
    if (sink->url.tls && !(sink->tls = tls_new(settings, &fault)))
        goto bad_config;
    sink->in.data = malloc(WIRE_FRAME_MAX);
    if (!sink->in.data || window_init(&sink->window, (size_t) sink->settings->window)) {
        destroy(sink);
        return host->fail(call, PN_INTERNAL, NULL, "no memory");
    }
    *ret_state = sink;
    return PN_OK;
bad_config:
    destroy(sink);
    return host->fail(call, PN_BAD_CONFIG, fault.field, fault.text);
}

/* ------------------------------------------------------------------------------------------------ up, and down again */

static void reset(struct sink *sink)
{
    stream_close(&sink->stream);
    sink->up = sink->blocked = sink->proven = false;
    sink->in.start = sink->in.end = 0;
    sink->out.start = sink->out.end = 0;
    sink->flush_at = FLUSH_BYTES;
    memset(&sink->returning, 0, sizeof sink->returning);
}

/* So that the broker logs an orderly end. Nobody waits for the answer. Messages that wait to be sent must not leave now,
 * because nobody would hear their confirms. */
static void say_goodbye(struct sink *sink)
{
    struct fault ignored;
    amqp_connection_close_t bye = { .reply_code = AMQP_REPLY_SUCCESS, .reply_text = amqp_cstring_bytes("bye") };
    if (sink->stream.fd >= 0 && wire_pending(&sink->out) == 0 &&
        !wire_put_method(&sink->out, 0, AMQP_CONNECTION_CLOSE_METHOD, &bye))
        link_flush(sink, &ignored);
}

struct abandon {
    const struct pn_host *host;
    const char *reason;
};

static void settle_unavailable(void *context, uint64_t ticket)
{
    const struct abandon *abandon = context;
    abandon->host->settle(abandon->host, ticket, PN_UNAVAILABLE, abandon->reason);
}

/* The end of a connection: everything in flight goes back. */
static int lose(struct sink *sink, const struct fault *fault)
{
    char text[sizeof fault->text + 40];
    struct abandon abandon = { sink->host, fault->text };
    snprintf(text, sizeof text, "%s; messages in flight: %zu", fault->text, sink->window.open);
    sink->host->log(sink->host, NULL, PN_LOG_WARN, text);
    window_abandon(&sink->window, settle_unavailable, &abandon);
    say_goodbye(sink);
    reset(sink);
    return PN_SINK_DOWN;
}

int sink_connect(void *state, struct pn_call *call, int64_t timeout_ms)
{
    struct sink *sink = state;
    struct fault fault;
    int64_t deadline_ms = stream_clock_ms() + timeout_ms;
    reset(sink);
    window_reset(&sink->window);
    if (stream_open(&sink->stream, &sink->url, sink->tls, deadline_ms, &fault))
        return sink->host->fail(call, PN_NOT_DONE, fault.field, fault.text);
    if (login(sink, deadline_ms, &fault) || topology_declare(sink, deadline_ms, &fault)) {
        say_goodbye(sink);
        reset(sink);
        return sink->host->fail(call, PN_NOT_DONE, fault.field, fault.text);
    }
    sink->up = true;
    return PN_OK;
}

/* ---------------------------------------------------------------------------------------------------------- traffic */

/* A connection that cannot be written to may still hold confirms, and the broker's reason for closing it. */
static void hear_last_words(struct sink *sink, struct fault *fault)
{
    struct fault said;
    while (link_fill(sink, &said) > 0)
        if (incoming_handle(sink, &said)) {
            *fault = said;
            return;
        }
}

/* Writes, and remembers when the next submit should try again. */
static int flush(struct sink *sink, struct fault *fault)
{
    if (link_flush(sink, fault)) {
        hear_last_words(sink, fault);
        return -1;
    }
    sink->flush_at = wire_pending(&sink->out) + FLUSH_BYTES;
    return 0;
}

/* A fresh connection carries one message until its first confirm. A broker under an alarm says so only to those who
 * publish; what else was in the socket by then, it would take later, when the same messages have been sent again. */
static bool is_full(const struct sink *sink)
{
    return sink->blocked || window_is_full(&sink->window) || (!sink->proven && sink->window.open > 0);
}

int sink_submit(void *state, const struct pn_event *event, uint64_t ticket)
{
    struct sink *sink = state;
    struct fault fault;
    if (!sink->up)
        return PN_SINK_DOWN;
    if (is_full(sink))
        return PN_WINDOW_FULL;
    if (wire_pending(&sink->out) >= sink->flush_at && flush(sink, &fault))
        return lose(sink, &fault);
    if (wire_pending(&sink->out) > OUT_LIMIT)
        return PN_WINDOW_FULL;
    int impossible = publish(sink, event, &fault);
    if (impossible < 0)
        return PN_WINDOW_FULL; /* no memory: what is in flight gives some back */
    if (impossible)
        sink->host->settle(sink->host, ticket, PN_REJECTED, fault.text);
    else
        window_add(&sink->window, ticket, event->id);
    return PN_SUBMITTED;
}

/* When the other side must hear from us, or we from it. */
static int64_t next_beat(const struct sink *sink)
{
    int64_t write_ms = sink->last_write_ms + sink->heartbeat_ms / 2;
    int64_t read_ms = sink->last_read_ms + sink->heartbeat_ms * 2 + 1;
    return write_ms < read_ms && wire_pending(&sink->out) == 0 ? write_ms : read_ms;
}

static int keep_alive(struct sink *sink, int64_t now_ms, struct fault *fault)
{
    if (now_ms - sink->last_read_ms > sink->heartbeat_ms * 2)
        return fault_set(fault, NULL, "the broker has been silent for %lld s",
                         (long long) (now_ms - sink->last_read_ms) / 1000);
    if (now_ms - sink->last_write_ms < sink->heartbeat_ms / 2 || wire_pending(&sink->out) > 0)
        return 0;
    if (wire_put_heartbeat(&sink->out))
        return link_no_memory(fault);
    return flush(sink, fault);
}

int sink_pump(void *state, int64_t timeout_ms, int wake_fd)
{
    struct sink *sink = state;
    struct fault fault;
    int64_t deadline_ms = stream_clock_ms() + timeout_ms;
    enum stream_event event;
    if (!sink->up)
        return PN_SINK_DOWN;
    if (flush(sink, &fault))
        return lose(sink, &fault);
    do {
        int64_t beat_ms = next_beat(sink);
        event = stream_wait(&sink->stream, wire_pending(&sink->out) > 0, wake_fd,
                            beat_ms < deadline_ms ? beat_ms : deadline_ms);
        if (event == STREAM_READY &&
            (link_fill(sink, &fault) < 0 || incoming_handle(sink, &fault) || flush(sink, &fault)))
            return lose(sink, &fault);
        if (keep_alive(sink, stream_clock_ms(), &fault))
            return lose(sink, &fault);
    } while (event == STREAM_IDLE && stream_clock_ms() < deadline_ms);
    return PN_SUBMITTED;
}

void sink_interrupt(void *state)
{
    struct sink *sink = state;
    stream_interrupt(&sink->stream);
}

/* ------------------------------------------------------------------------------------------------------------ close */

/* Waits a little for the broker's answer to our goodbye: confirms that are on their way come before it. */
static void hear_out(struct sink *sink)
{
    struct fault ignored;
    int64_t deadline_ms = stream_clock_ms() + FAREWELL_MS;
    say_goodbye(sink);
    while (sink->stream.fd >= 0 &&
           stream_wait(&sink->stream, wire_pending(&sink->out) > 0, -1, deadline_ms) == STREAM_READY)
        if (link_flush(sink, &ignored) || link_fill(sink, &ignored) < 0 || incoming_handle(sink, &ignored))
            return; /* close-ok, which incoming_handle does not expect, or the end of the stream */
}

void sink_close(void *state)
{
    struct sink *sink = state;
    struct abandon abandon = { sink->host, "the sink is being closed" };
    if (sink->up)
        hear_out(sink);
    window_abandon(&sink->window, settle_unavailable, &abandon);
    reset(sink);
    destroy(sink);
}
