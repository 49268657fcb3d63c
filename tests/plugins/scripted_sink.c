/*
 * A sink for tests that passes every call on to the test's own functions (scripted_sink.h). Test-only; never installed.
 */
#include <stddef.h>
#include <string.h>

#include "scripted_sink.h"

static const struct pn_option options[] = {
    { "script", PN_OPT_INTEGER, PN_OPT_REQUIRED, offsetof(struct script_settings, script), NULL, NULL, 0, 0, "where the test's functions are" },
};

static int sink_open(const void *settings, const struct pn_host *host, struct pn_call *call, void **ret_state)
{
    struct script *script;
    memcpy(&script, &((const struct script_settings *)settings)->script, sizeof script);
    script->host = host;
    int rc = script->open ? script->open(script, call) : PN_OK;
    if (rc == PN_OK)
        *ret_state = script;
    return rc;
}

static void sink_close(void *state)
{
    struct script *script = state;
    script->close(script);
}

static int sink_connect(void *state, struct pn_call *call, int64_t timeout_ms)
{
    struct script *script = state;
    (void)timeout_ms;
    return script->connect(script, call);
}

static int sink_submit(void *state, const struct pn_event *event, uint64_t ticket)
{
    struct script *script = state;
    return script->submit(script, event, ticket);
}

static int sink_pump(void *state, int64_t timeout_ms, int wake_fd)
{
    struct script *script = state;
    return script->pump(script, timeout_ms, wake_fd);
}

static void sink_interrupt(void *state)
{
    struct script *script = state;
    script->interrupt(script);
}

static const struct pn_sink sink = {
    .size = sizeof sink,
    .open = sink_open,
    .close = sink_close,
    .connect = sink_connect,
    .submit = sink_submit,
    .pump = sink_pump,
    .interrupt = sink_interrupt,
};

PN_EXPORT const struct pn_plugin pn_plugin = {
    PN_PLUGIN_HEAD(PN_KIND_SINK, struct script_settings, "scripted-sink", "1"),
    .summary = "Does what a test says",
    .options = options,
    .option_count = 1,
    .sink = &sink,
};
