/*
 * A host for plugins under test; see plugin_host.h.
 */
#include "unit/plugin_host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *host_alloc(struct pn_call *call, size_t size)
{
    void *piece;

    if (call->allocs_left == 0)
        return NULL;
    call->allocs_left--;
    piece = calloc(1, size ? size : 1);
    call->pieces = realloc(call->pieces, (call->piece_count + 1) * sizeof(*call->pieces));
    if (!piece || !call->pieces)
        abort();
    call->pieces[call->piece_count++] = piece;
    return piece;
}

static int host_fail(struct pn_call *call, int rc, const char *field, const char *text)
{
    call->failures++;
    call->rc = rc;
    snprintf(call->field, sizeof(call->field), "%s", field ? field : "");
    snprintf(call->text, sizeof(call->text), "%s", text);
    return rc;
}

static void host_log(const struct pn_host *host, struct pn_call *call, int level, const char *text)
{
    (void)host;
    (void)call;
    fprintf(stderr, "# plugin, level %d: %s\n", level, text);
}

static int64_t host_now(struct pn_call *call)
{
    return call->now_ms;
}

static void host_random(struct pn_call *call, void *ret_bytes, size_t count)
{
    (void)call;
    memset(ret_bytes, 0x5a, count);
}

static void host_settle(const struct pn_host *host, uint64_t ticket, int outcome, const char *reason)
{
    (void)host;
    (void)ticket;
    (void)outcome;
    (void)reason;
}

const struct pn_host plugin_host = {
    .size = sizeof(plugin_host),
    .abi_major = PN_ABI_MAJOR,
    .abi_minor = PN_ABI_MINOR,
    .alloc = host_alloc,
    .fail = host_fail,
    .log = host_log,
    .now_ms = host_now,
    .random = host_random,
    .settle = host_settle,
};

struct pn_call plugin_call(int64_t now_ms)
{
    return (struct pn_call){ .now_ms = now_ms, .allocs_left = (size_t)-1 };
}

void plugin_call_free(struct pn_call *call)
{
    for (size_t i = 0; i < call->piece_count; i++)
        free(call->pieces[i]);
    free(call->pieces);
    *call = plugin_call(call->now_ms);
}

void plugin_setting(const struct pn_plugin *plugin, void *settings, const char *name, struct pn_str value)
{
    for (uint32_t i = 0; i < plugin->option_count; i++)
        if (strcmp(plugin->options[i].name, name) == 0) {
            memcpy((char *)settings + plugin->options[i].offset, &value, sizeof(value));
            return;
        }
    fprintf(stderr, "# no option %s\n", name);
    abort();
}

void plugin_defaults(const struct pn_plugin *plugin, void *settings)
{
    for (uint32_t i = 0; i < plugin->option_count; i++) {
        const struct pn_option *option = &plugin->options[i];
        bool is_text = option->type == PN_OPT_STRING || option->type == PN_OPT_URL || option->type == PN_OPT_ENUM;

        if (is_text && option->default_text)
            plugin_setting(plugin, settings, option->name,
                           (struct pn_str){ option->default_text, strlen(option->default_text) });
    }
}
