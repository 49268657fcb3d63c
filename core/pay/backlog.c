/*
 * See backlog.h. The follow-up's thread only.
 */
#include "pay/backlog.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

enum {
    EVERY_MS = 15 * 1000,
    SHARE = 50 /* a look that takes long is taken less often: at most one part of so many of the time */
};

struct backlog {
    struct pay *pay;
    struct arena *arena;
    int64_t next_ms; /* monotonic */
    bool looked;     /* once, at least */
};

struct look {
    struct arena *arena;
    struct schedule_depth *depths;
    size_t count;
    int64_t now;
};

struct backlog *backlog_new(struct pay *pay)
{
    struct backlog *backlog = calloc(1, sizeof *backlog);
    if (backlog)
        *backlog = (struct backlog){ .pay = pay, .arena = arena_new(0) };
    return backlog;
}

void backlog_free(struct backlog *backlog)
{
    if (backlog)
        arena_free(backlog->arena);
    free(backlog);
}

const char *backlog_label(const char *channel)
{
    return channel[0] ? channel : "(expiry)";
}

static void show(const char *channel, const struct schedule_depth *depth, int64_t now)
{
    const char *label = backlog_label(channel);
    int64_t late = depth && depth->due > 0 ? (now - depth->oldest_due_at) / 1000 : 0;
    metric_set(metric_gauge_of("paynotify_schedule_pending", "channel", label, "Rows of the schedule, due or not."),
               depth ? depth->pending : 0);
    metric_set(metric_gauge_of("paynotify_schedule_due", "channel", label, "Rows of the schedule that are due and not taken."),
               depth ? depth->due : 0);
    metric_set(metric_gauge_of("paynotify_schedule_late_seconds", "channel", label, "By how much the oldest due row is late."),
               late);
}

static enum rc look_tx(struct tx *tx, void *arg, struct error *err)
{
    struct look *look = arg;
    enum rc rc = tx_now(tx, &look->now, err);
    return rc ? rc : schedule_depths(tx, look->arena, &look->depths, &look->count, err);
}

static const struct schedule_depth *depth_of(const struct look *look, const char *channel)
{
    for (size_t i = 0; i < look->count; i++)
        if (strcmp(look->depths[i].channel, channel) == 0)
            return &look->depths[i];
    return NULL;
}

/* Rows of a channel that is not configured any more are claimed by nobody: said once, when the server has started. */
static void show_orphans(const struct backlog *backlog, const struct look *look)
{
    for (size_t i = 0; i < look->count; i++) {
        const struct schedule_depth *depth = &look->depths[i];
        if (!depth->channel[0] || config_channel_find(backlog->pay->config, depth->channel))
            continue;
        show(depth->channel, depth, look->now);
        if (!backlog->looked)
            log_warn("open payments or refunds belong to a channel that is not configured; nobody asks about them",
                     LOG_S("channel", depth->channel), LOG_I("pending", depth->pending));
    }
}

void backlog_look(struct backlog *backlog)
{
    int64_t start = mono_ms();
    if (start < backlog->next_ms)
        return;
    const struct config *config = backlog->pay->config;
    struct error err = { 0 };
    struct look look = { .arena = backlog->arena };
    enum rc rc = store_read(backlog->pay->store, look_tx, &look, &err); /* a store that is away is reported by others */
    for (size_t i = 0; rc == RC_OK && i < config->channel_count; i++)
        show(config->channels[i].name, depth_of(&look, config->channels[i].name), look.now);
    if (rc == RC_OK)
        show("", depth_of(&look, ""), look.now);
    if (rc == RC_OK)
        show_orphans(backlog, &look);
    backlog->looked = backlog->looked || rc == RC_OK;
    arena_reset(backlog->arena);
    int64_t end = mono_ms(), rest = (end - start) * SHARE;
    backlog->next_ms = end + (rest > EVERY_MS ? rest : EVERY_MS);
}
