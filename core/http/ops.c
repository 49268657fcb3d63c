/*
 * /healthz, /readyz, /metrics. readyz asks the store, so it runs on a worker; the others answer even when all workers
 * are stuck.
 */
#include "base/metrics.h"
#include "http/engine.h"
#include "http/handlers.h"
#include "http/reply.h"

enum { SINKS_MAX = 64, CHANNELS_MAX = 64 };

void ops_health(struct http_request *request)
{
    static const char body[] = "{\"status\":\"ok\"}";
    http_reply(request, &(struct http_reply){
                            .status = 200, .content_type = "application/json", .body = body, .body_len = sizeof body - 1 });
}

static json_t *show_sinks(struct outbox *outbox)
{
    static const char *const states[] = { [SINK_UP] = "up", [SINK_DOWN] = "down", [SINK_PAUSED] = "paused" };
    struct sink_status status[SINKS_MAX];
    size_t count = outbox ? outbox_sink_status(outbox, status, SINKS_MAX) : 0;
    json_t *sinks = json_array();
    for (size_t i = 0; i < count; i++) {
        json_t *sink = json_object();
        json_object_set_new(sink, "name", json_string(status[i].name));
        json_object_set_new(sink, "state", json_string(states[status[i].state]));
        json_object_set_new(sink, "queued", json_integer((json_int_t) status[i].queued));
        json_object_set_new(sink, "in_flight", json_integer((json_int_t) status[i].in_flight));
        if (status[i].reason[0])
            json_object_set_new(sink, "reason", json_string(status[i].reason));
        json_array_append_new(sinks, sink);
    }
    return sinks;
}

static json_t *show_channels(struct pay *pay)
{
    static const char *const states[] = { [CHANNEL_UP] = "up", [CHANNEL_TRYING] = "trying", [CHANNEL_HELD_BACK] = "held_back" };
    struct channel_status status[CHANNELS_MAX];
    size_t count = pay_channel_status(pay, status, CHANNELS_MAX);
    json_t *channels = json_array();
    for (size_t i = 0; i < count; i++) {
        json_t *channel = json_object();
        json_object_set_new(channel, "name", json_string(status[i].name));
        json_object_set_new(channel, "state", json_string(states[status[i].state]));
        if (status[i].reason[0])
            json_object_set_new(channel, "reason", json_string(status[i].reason));
        json_array_append_new(channels, channel);
    }
    return channels;
}

/* A sink that is down makes nobody unready: its events wait in the books. Nor does a provider: another server of ours
 * would not reach it either, and the other channels work. */
void ops_ready(struct http_request *request)
{
    struct http_server *server = request->server;
    struct error err = { 0 };
    json_t *reasons = json_array();
    if (atomic_load(&server->draining))
        json_array_append_new(reasons, json_string("the server is stopping"));
    if (store_ping(server->options.store, &err))
        json_array_append_new(reasons, json_sprintf("store: %s", err.text));
    bool ready = json_array_size(reasons) == 0;
    json_t *object = json_object();
    json_object_set_new(object, "ready", json_boolean(ready));
    json_object_set_new(object, "reasons", reasons);
    json_object_set_new(object, "sinks", show_sinks(server->options.outbox));
    json_object_set_new(object, "channels", show_channels(server->options.pay));
    http_reply_json(request, ready ? 200 : 503, object);
}

void ops_metrics(struct http_request *request)
{
    struct buf text = { 0 };
    metrics_render(&text);
    http_reply(request, &(struct http_reply){ .status = 200,
                                              .content_type = "text/plain; version=0.0.4; charset=utf-8",
                                              .body = buf_text(&text),
                                              .body_len = text.len });
    buf_free(&text);
}
