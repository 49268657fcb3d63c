/*
 * config_load: the whole of paynotify.conf, from the file to opened channels. Called by main at start-up, one thread; the
 * finders afterwards by any thread.
 */
#include "config/config.h"

#include <string.h>

#include "base/text.h"
#include "config/load.h"

static const char *const kinds[] = { "server", "store", "app", "channel", "sink" };
enum { KIND_COUNT = sizeof kinds / sizeof kinds[0], FIRST_NAMED = 2 };

/* The section's place in `kinds`, or -1 after a fault. */
static int kind_of(struct loading *loading, const struct ini_section *section)
{
    const char *kind = section->kind;
    for (int i = 0; i < KIND_COUNT; i++) {
        if (strcmp(kinds[i], kind) != 0)
            continue;
        if (i < FIRST_NAMED && *section->name) {
            fault_add(loading->faults, section->file, section->line, "[%s %s] takes no name; write [%s]", kind, section->name, kind);
            return -1;
        }
        return i;
    }
    const char *nearest = text_nearest(kind, kinds, KIND_COUNT);
    fault_add(loading->faults, section->file, section->line, "unknown section [%s%s%s]; %s%s%s", kind, *section->name ? " " : "",
              section->name, nearest ? "did you mean [" : "there are [server], [store], [app …], [channel …]",
              nearest ? nearest : " and [sink …]", nearest ? (strcmp(nearest, "server") && strcmp(nearest, "store") ? " …]?" : "]?") : "");
    return -1;
}

static struct ini_section *find_single(const struct ini *ini, const char *kind)
{
    for (size_t i = 0; i < ini->section_count; i++)
        if (strcmp(ini->sections[i].kind, kind) == 0 && !*ini->sections[i].name)
            return &ini->sections[i];
    return NULL;
}

/* [server] and [store] first, wherever they stand: the others need the plugin directory. */
static void load_sections(struct loading *loading)
{
    static void (*const loaders[])(struct loading *, struct ini_section *) = { NULL, NULL, load_app, load_channel, load_sink };
    struct ini *ini = loading->config->ini;
    load_server(loading, find_single(ini, "server"));
    load_store(loading, find_single(ini, "store"));
    for (size_t i = 0; i < ini->section_count; i++) {
        int kind = kind_of(loading, &ini->sections[i]);
        if (kind >= FIRST_NAMED)
            loaders[kind](loading, &ini->sections[i]);
    }
    check_names(loading);
}

enum rc config_load(const char *path, struct faults *faults, struct config **ret_config)
{
    struct ini *ini;
    if (ini_read(path, faults, &ini) != RC_OK)
        return RC_CONFIG;
    struct config *config = arena_alloc(ini->arena, sizeof *config);
    config->arena = ini->arena;
    config->ini = ini;
    config->apps = arena_alloc(ini->arena, ini->section_count * sizeof *config->apps);
    config->channels = arena_alloc(ini->arena, ini->section_count * sizeof *config->channels);
    config->sinks = arena_alloc(ini->arena, ini->section_count * sizeof *config->sinks);
    struct loading loading = { .config = config, .faults = faults, .path = arena_strdup(ini->arena, path) };
    load_sections(&loading);
    if (faults->count) {
        config_free(config);
        return RC_CONFIG;
    }
    *ret_config = config;
    return RC_OK;
}

void config_free(struct config *config)
{
    if (!config)
        return;
    for (size_t i = 0; i < config->channel_count; i++)
        channel_close(config->channels[i].channel);
    ini_free(config->ini); /* its arena holds the config too */
}

const struct config_app *config_app_find(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->app_count; i++)
        if (strcmp(config->apps[i].name, name) == 0)
            return &config->apps[i];
    return NULL;
}

const struct config_channel *config_channel_find(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->channel_count; i++)
        if (strcmp(config->channels[i].name, name) == 0)
            return &config->channels[i];
    return NULL;
}

bool config_app_may_use(const struct config_app *app, const char *channel)
{
    if (!app->channels)
        return true;
    for (size_t i = 0; i < app->channel_count; i++)
        if (strcmp(app->channels[i], channel) == 0)
            return true;
    return false;
}
