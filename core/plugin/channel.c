/*
 * Channels: opened once at start-up, then called from any thread. Each call checks what came back, so that the layers
 * above deal with sound values only.
 */
#include <stdlib.h>
#include <string.h>

#include "plugin/internal.h"

enum { OPEN_MEMORY_MAX = 4 << 20 };

struct channel {
    struct plugin *plugin;
    char *name;
    void *state;
    struct instance instance;
};

enum rc channel_open(struct plugin *plugin, const char *name, const void *settings, struct channel **ret_channel, struct error *err)
{
    struct channel *channel = calloc(1, sizeof *channel);
    if (!channel || !(channel->name = strdup(name))) {
        free(channel);
        return error_set(err, RC_NOMEM, "no memory for channel %s", name);
    }
    channel->plugin = plugin;
    instance_init(&channel->instance, channel->name);
    struct arena *arena = arena_new(OPEN_MEMORY_MAX);
    struct pn_call call;
    call_begin(&call, arena, channel->name);
    int rc = plugin->channel.open(settings, &channel->instance.host, &call, &channel->state);
    if (rc == PN_OK) {
        *ret_channel = channel;
    } else {
        error_field(err, rc_of_plugin(rc), call.err.field, "%s", call.err.text[0] ? call.err.text : "the plugin did not say why");
        free(channel->name);
        free(channel);
    }
    arena_free(arena);
    return rc_of_plugin(rc);
}

void channel_close(struct channel *channel)
{
    if (!channel)
        return;
    if (channel->plugin->channel.close)
        channel->plugin->channel.close(channel->state);
    free(channel->name);
    free(channel);
}

const char *channel_name(const struct channel *channel)
{
    return channel->name;
}

const struct pn_product *const *channel_products(const struct channel *channel)
{
    return channel->plugin->products;
}

const struct pn_product *channel_product(const struct channel *channel, const char *name)
{
    for (const struct pn_product *const *product = channel->plugin->products; *product; product++)
        if (strcmp((*product)->name, name) == 0)
            return *product;
    return NULL;
}

/* Ends a call: an unknown code or an unsound answer is a fault of the plugin's, and a failure has a text. */
static int finish(struct pn_call *call, int rc, bool sound)
{
    if (rc == PN_OK && sound)
        return PN_OK;
    if (rc >= PN_OK || rc < PN_INTERNAL)
        rc = PN_INTERNAL;
    if (!call->err.text[0])
        error_set(&call->err, rc_of_plugin(rc), "the plugin did not say why");
    call->err.rc = rc_of_plugin(rc);
    return rc;
}

static int unsupported(struct pn_call *call)
{
    error_set(&call->err, RC_INTERNAL, "the plugin has no such call");
    return PN_UNSUPPORTED;
}

int channel_request(struct channel *channel, struct pn_call *call, const struct pn_payment *payment, struct pn_step *ret_step)
{
    struct pn_step step = { .size = sizeof step };
    if (!channel->plugin->channel.request)
        return unsupported(call);
    int rc = channel->plugin->channel.request(channel->state, call, payment, &step);
    rc = finish(call, rc, rc == PN_OK && check_step(call, &step));
    if (rc == PN_OK)
        *ret_step = step;
    return rc;
}

int channel_response(struct channel *channel, struct pn_call *call, const struct pn_payment *payment, uint32_t round,
                     const struct pn_http_response *response, struct pn_step *ret_step)
{
    struct pn_step step = { .size = sizeof step };
    if (!channel->plugin->channel.response)
        return unsupported(call);
    int rc = channel->plugin->channel.response(channel->state, call, payment, round, response, &step);
    rc = finish(call, rc, rc == PN_OK && check_step(call, &step));
    if (rc == PN_OK)
        *ret_step = step;
    return rc;
}

int channel_notification(struct channel *channel, struct pn_call *call, const struct pn_http_incoming *incoming,
                         struct pn_notification *ret_notification)
{
    struct pn_notification notification = { .size = sizeof notification };
    if (!channel->plugin->channel.notification)
        return unsupported(call);
    int rc = channel->plugin->channel.notification(channel->state, call, incoming, &notification);
    rc = finish(call, rc, rc == PN_OK && check_notification(call, &notification));
    if (rc == PN_OK)
        *ret_notification = notification;
    return rc;
}

void channel_reply(struct channel *channel, struct pn_call *call, const struct pn_http_incoming *incoming, bool accepted,
                   struct pn_reply *ret_reply)
{
    struct pn_reply reply = { .size = sizeof reply };
    int rc = PN_UNSUPPORTED;
    if (channel->plugin->channel.reply)
        rc = channel->plugin->channel.reply(channel->state, call, incoming, accepted, &reply);
    if (rc == PN_OK && check_reply(&reply)) {
        *ret_reply = reply;
        return;
    }
    *ret_reply = (struct pn_reply){ .size = sizeof reply, .status = 500, .content_type = { "text/plain", 10 }, .body = { "fail", 4 } };
}
