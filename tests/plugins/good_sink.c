/*
 * A sink for tests: appends "id type body" lines to a file and settles them when it is pumped. Test-only; never
 * installed.
 */
#include <fcntl.h>
#include <paynotify/plugin.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct settings {
    struct pn_str path;
    int64_t window;
};

static const struct pn_option options[] = {
    { "path", PN_OPT_STRING, PN_OPT_REQUIRED, offsetof(struct settings, path), NULL, NULL, 0, 0, "the file to append to" },
    { "window", PN_OPT_INTEGER, 0, offsetof(struct settings, window), "16", NULL, 1, 64, "events in flight" },
};

struct state {
    const struct pn_host *host;
    const struct settings *settings;
    int fd;
    uint64_t tickets[64];
    size_t in_flight;
};

static int sink_open(const void *settings, const struct pn_host *host, struct pn_call *call, void **ret_state)
{
    const struct settings *given = settings;
    struct state *state = calloc(1, sizeof *state);
    if (!state)
        return PN_INTERNAL;
    state->host = host;
    state->settings = given;
    state->fd = open(given->path.data, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (state->fd < 0) {
        free(state);
        return host->fail(call, PN_BAD_CONFIG, "path", "cannot open the file");
    }
    *ret_state = state;
    return PN_OK;
}

static void settle_all(struct state *state, int outcome)
{
    for (size_t i = 0; i < state->in_flight; i++)
        state->host->settle(state->host, state->tickets[i], outcome, NULL);
    state->in_flight = 0;
}

static void sink_close(void *opened)
{
    struct state *state = opened;
    settle_all(state, PN_UNAVAILABLE);
    close(state->fd);
    free(state);
}

static int submit(void *opened, const struct pn_event *event, uint64_t ticket)
{
    struct state *state = opened;
    if (state->in_flight >= (size_t) state->settings->window)
        return PN_WINDOW_FULL;
    dprintf(state->fd, "%.*s %.*s %.*s\n", (int) event->id.len, event->id.data, (int) event->type.len, event->type.data,
            (int) event->body.len, event->body.data);
    state->tickets[state->in_flight++] = ticket;
    return PN_SUBMITTED;
}

static int pump(void *opened, int64_t timeout_ms, int wake_fd)
{
    struct state *state = opened;
    struct pollfd wake = { .fd = wake_fd, .events = POLLIN };
    if (state->in_flight)
        settle_all(state, PN_DELIVERED);
    else
        poll(&wake, 1, (int) timeout_ms);
    return PN_SUBMITTED;
}

static const struct pn_sink sink = {
    .size = sizeof sink,
    .open = sink_open,
    .close = sink_close,
    .submit = submit,
    .pump = pump,
};

const struct pn_plugin pn_plugin = {
    PN_PLUGIN_HEAD(PN_KIND_SINK, struct settings, "good-sink", "1.0"),
    .summary = "a sink for tests",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .sink = &sink,
};
