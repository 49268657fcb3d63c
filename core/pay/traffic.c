/*
 * What goes out to each channel's provider. provider.c enters and leaves calls from workers; the schedule asks for room.
 */
#include "pay/traffic.h"

#include <stdatomic.h>
#include <stdlib.h>

struct traffic {
    size_t background_max;
    _Atomic size_t background; /* calls under way that nobody waits for */
};

enum { IN_FLIGHT_MAX = 512 };

enum rc traffic_new(const struct config *config, struct traffic **ret_traffic, struct error *err)
{
    struct traffic *all = calloc(config->channel_count + 1, sizeof *all);
    if (!all)
        return error_set(err, RC_NOMEM, "out of memory");
    for (size_t i = 0; i < config->channel_count; i++)
        all[i].background_max = IN_FLIGHT_MAX * 3 / 4;
    *ret_traffic = all;
    return RC_OK;
}

void traffic_free(struct traffic *traffic)
{
    free(traffic);
}

struct traffic *traffic_of(const struct pay *pay, const struct config_channel *channel)
{
    return &pay->traffic[channel - pay->config->channels];
}

void traffic_enter(struct traffic *traffic, bool background)
{
    if (background)
        atomic_fetch_add(&traffic->background, 1);
}

void traffic_leave(struct traffic *traffic, bool background)
{
    if (background)
        atomic_fetch_sub(&traffic->background, 1);
}

size_t provider_room(struct pay *pay, const char *name)
{
    const struct config_channel *channel = config_channel_find(pay->config, name);
    if (!channel)
        return SIZE_MAX;
    struct traffic *traffic = traffic_of(pay, channel);
    size_t taken = atomic_load(&traffic->background);
    return taken < traffic->background_max ? traffic->background_max - taken : 0;
}
