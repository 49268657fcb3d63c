/*
 * Sinks: each is opened, driven and closed by its own relay thread; only sink_interrupt comes from another one.
 */
#include <stdlib.h>
#include <string.h>

#include "plugin/internal.h"

enum { CALL_MEMORY_MAX = 4 << 20 };

struct sink_plugin {
    struct plugin *plugin;
    const char *name;
    const void *settings;
};

struct sink {
    struct plugin *plugin;
    void *state;
    struct instance instance;
};

struct sink_plugin *sink_plugin_new(struct plugin *plugin, const char *name, const void *settings, struct arena *arena)
{
    struct sink_plugin *made = arena_alloc(arena, sizeof *made);
    if (made)
        *made = (struct sink_plugin){ plugin, arena_strdup(arena, name), settings };
    return made;
}

/* What a failed call left in call->err, under the plugin's code. */
static enum rc failure(const struct pn_call *call, int rc, struct error *err)
{
    return error_field(err, rc_of_plugin(rc), call->err.field, "%s", call->err.text[0] ? call->err.text : "the plugin did not say why");
}

enum rc sink_open(struct sink_plugin *plugin, sink_settled settled, void *arg, struct sink **ret_sink, struct error *err)
{
    struct sink *sink = calloc(1, sizeof *sink);
    if (!sink)
        return error_set(err, RC_NOMEM, "no memory for sink %s", plugin->name);
    sink->plugin = plugin->plugin;
    instance_init(&sink->instance, plugin->name);
    sink->instance.settled = settled;
    sink->instance.settled_arg = arg;
    struct arena *arena = arena_new(CALL_MEMORY_MAX);
    struct pn_call call;
    call_begin(&call, arena, plugin->name);
    int rc = sink->plugin->sink.open(plugin->settings, &sink->instance.host, &call, &sink->state);
    enum rc result = rc == PN_OK ? RC_OK : failure(&call, rc, err);
    arena_free(arena);
    if (result == RC_OK)
        *ret_sink = sink;
    else
        free(sink);
    return result;
}

void sink_close(struct sink *sink)
{
    if (!sink)
        return;
    if (sink->plugin->sink.close)
        sink->plugin->sink.close(sink->state);
    free(sink);
}

enum rc sink_connect(struct sink *sink, int64_t timeout_ms, struct error *err)
{
    if (!sink->plugin->sink.connect)
        return RC_OK;
    struct arena *arena = arena_new(CALL_MEMORY_MAX);
    struct pn_call call;
    call_begin(&call, arena, sink->instance.name);
    int rc = sink->plugin->sink.connect(sink->state, &call, timeout_ms);
    enum rc result = rc == PN_OK ? RC_OK : failure(&call, rc, err);
    arena_free(arena);
    return result;
}

/* A number that is none of enum pn_submit: the plugin is broken, so its connection is given up. */
static enum pn_submit submit_of(int value)
{
    return value == PN_SUBMITTED || value == PN_WINDOW_FULL ? (enum pn_submit) value : PN_SINK_DOWN;
}

enum pn_submit sink_submit(struct sink *sink, const struct pn_event *event, uint64_t ticket)
{
    return submit_of(sink->plugin->sink.submit(sink->state, event, ticket));
}

enum pn_submit sink_pump(struct sink *sink, int64_t timeout_ms, int wake_fd)
{
    return submit_of(sink->plugin->sink.pump(sink->state, timeout_ms, wake_fd));
}

void sink_interrupt(struct sink *sink)
{
    if (sink->plugin->sink.interrupt)
        sink->plugin->sink.interrupt(sink->state);
}
