/*
 * The sections [app …], [channel …] and [sink …] of paynotify.conf. Called by config_load at start-up, one thread.
 */
#include <string.h>

#include "base/text.h"
#include "config/load.h"

enum { KEY_HASHES_MAX = 2 };

/* Names stand in URLs, metrics and the books. */
static bool check_section_name(const struct section_view *view, const char *name)
{
    size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_");
    if (length && !name[length] && length <= 32)
        return true;
    section_fault(view, NULL, "wanted a name of 1 to 32 lower-case letters, digits, '-' or '_', such as [%s main]",
                  strcmp(view->title, "channel") == 0 || strncmp(view->title, "channel ", 8) == 0 ? "channel"
                  : strncmp(view->title, "sink", 4) == 0                                          ? "sink"
                                                                                                  : "app");
    return false;
}

/* ---- apps */

static void take_key_hashes(const struct section_view *view, struct pn_list hashes, struct config_app *app)
{
    const struct config *config = view->loading->config;
    if (hashes.count > KEY_HASHES_MAX)
        section_fault(view, "key_sha256", "wanted one hash, or two while a key is changed; found %zu", hashes.count);
    for (size_t i = 0; i < hashes.count && i < KEY_HASHES_MAX; i++) {
        uint8_t *hash = app->key_sha256[app->key_count];
        if (!hex_decode(hashes.items[i].data, hash, sizeof app->key_sha256[0])) {
            section_fault(view, "key_sha256", "wanted 64 hex digits; `printf %%s KEY | sha256sum` prints them");
            return;
        }
        for (size_t j = 0; j <= config->app_count; j++) {
            const struct config_app *other = &config->apps[j]; /* the last one is this app */
            for (size_t k = 0; k < other->key_count; k++)
                if (memcmp(other->key_sha256[k], hash, sizeof app->key_sha256[0]) == 0)
                    section_fault(view, "key_sha256", "[app %s] has the same key; every key belongs to one app", other->name);
        }
        app->key_count++;
    }
}

static bool is_word(struct pn_str text, const char *word)
{
    return text.data && strcmp(text.data, word) == 0;
}

void load_app(struct loading *loading, struct ini_section *section)
{
    struct section_view view;
    section_open(loading, section, "app", &view);
    if (!check_section_name(&view, section->name))
        return;
    const struct app_settings *settings = section_fill(&view, &app_table, NULL);
    struct config_app *app = &loading->config->apps[loading->config->app_count];
    app->name = section->name;
    if (settings) {
        take_key_hashes(&view, settings->key_sha256, app);
        app->role = is_word(settings->role, "operator") ? ROLE_OPERATOR : ROLE_APP;
        app->channels = names_of(loading, settings->channels, &app->channel_count);
        app->late_payment = is_word(settings->late_payment, "accept")   ? LATE_ACCEPT
                            : is_word(settings->late_payment, "refund") ? LATE_REFUND
                                                                        : LATE_HOLD;
        app->duplicate_payment = is_word(settings->duplicate_payment, "refund") ? DUPLICATE_REFUND : DUPLICATE_HOLD;
        app->close_after_queries = settings->close_after_queries;
    }
    loading->config->app_count++; /* with faults too, so that lists may name it */
}

/* ---- plugins */

/* The keys of `table` are passed over when a plugin's settings are filled, and the plugin's when the table is. */
static void split_keys(const struct section_view *view, const struct option_table *table, const char **ret_own,
                       const char **ret_others)
{
    size_t others = 0;
    for (size_t i = 0; i < table->count; i++)
        ret_own[i] = table->options[i].name;
    ret_own[table->count] = NULL;
    for (size_t i = 0; i < view->count; i++) {
        size_t j = 0;
        while (j < table->count && strcmp(ret_own[j], view->settings[i].key) != 0)
            j++;
        if (j == table->count)
            ret_others[others++] = view->settings[i].key;
    }
    ret_others[others] = NULL;
}

struct plugin_section {
    const void *own;      /* our settings; NULL: faults */
    struct plugin *plugin; /* NULL: faults */
    void *settings;       /* the plugin's; NULL: faults */
};

static struct plugin *load_plugin(const struct section_view *view, struct pn_str name, enum pn_kind kind)
{
    struct error err = { 0 };
    struct plugin *plugin;
    const char *file = strchr(name.data, '/') ? path_from(view->loading, name.data) : name.data;
    if (plugin_load(file, view->loading->config->server.plugin_dir, kind, &plugin, &err) == RC_OK)
        return plugin;
    section_fault(view, "plugin", "%s", err.text);
    return NULL;
}

/* Both halves of a [channel …] or [sink …]. The name of the plugin is the first member of both our structs. */
static struct plugin_section take_plugin_section(struct section_view *view, const struct option_table *table, enum pn_kind kind)
{
    struct config *config = view->loading->config;
    struct plugin_section taken = { 0 };
    const char **own = arena_alloc(config->arena, (table->count + 1) * sizeof *own);
    const char **others = arena_alloc(config->arena, (view->count + 1) * sizeof *others);
    split_keys(view, table, own, others);
    taken.own = section_fill(view, table, others);
    if (!taken.own)
        return taken;
    taken.plugin = load_plugin(view, *(const struct pn_str *) taken.own, kind);
    if (taken.plugin && settings_fill(taken.plugin, view->settings, view->count, own, config->ini->dir, config->arena,
                                      section_setting_fault, view, &taken.settings) != RC_OK)
        taken.settings = NULL;
    return taken;
}

_Static_assert(offsetof(struct channel_settings, plugin) == 0 && offsetof(struct sink_settings, plugin) == 0, "plugin comes first");

void load_channel(struct loading *loading, struct ini_section *section)
{
    struct section_view view;
    struct error err = { 0 };
    struct config *config = loading->config;
    section_open(loading, section, "channel", &view);
    if (!check_section_name(&view, section->name))
        return;
    struct plugin_section taken = take_plugin_section(&view, &channel_table, PN_KIND_CHANNEL);
    struct config_channel *channel = &config->channels[config->channel_count++];
    channel->name = section->name;
    if (!taken.own || !taken.settings)
        return;
    const struct channel_settings *settings = taken.own;
    channel->timeout_ms = settings->timeout;
    channel->max_in_flight = settings->max_in_flight;
    channel->breaker_failures = settings->breaker_failures;
    channel->breaker_wait_ms = settings->breaker_wait;
    channel->query_interval_ms = settings->query_interval;
    if (channel_open(taken.plugin, channel->name, taken.settings, &channel->channel, &err) != RC_OK)
        section_fault(&view, err.field[0] ? err.field : NULL, "%s", err.text);
}

/* ---- sinks */

static const char *const event_types[] = { "payment.succeeded", "payment.late",     "payment.duplicate", "payment.review",
                                           "order.closed",      "refund.succeeded", "refund.failed" };

static void check_events(const struct section_view *view, const struct config_sink *sink, const char *format)
{
    enum { COUNT = sizeof event_types / sizeof event_types[0] };
    for (size_t i = 0; i < sink->event_count; i++) {
        const char *event = sink->events[i];
        size_t j = 0;
        while (j < COUNT && strcmp(event_types[j], event) != 0)
            j++;
        const char *nearest = j == COUNT ? text_nearest(event, event_types, COUNT) : NULL;
        if (j == COUNT)
            section_fault(view, "events", "unknown event \"%.60s\"%s%s%s", event, nearest ? "; did you mean \"" : "",
                          nearest ? nearest : "", nearest ? "\"?" : "");
        else if (j > 0)
            section_fault(view, "events", "format %s only carries payment.succeeded, because its consumers take every message as paid; remove %s",
                          format, event);
    }
}

/* Opens the sink once, for the settings that only the plugin understands: its relay, which opens it for good, knows no line
 * to blame. Opening does no I/O. */
static void try_sink(const struct section_view *view, struct sink_plugin *plugin)
{
    struct sink *sink;
    struct error err = { 0 };
    if (sink_open(plugin, NULL, NULL, &sink, &err) == RC_OK)
        sink_close(sink);
    else
        section_fault(view, err.field[0] ? err.field : NULL, "%s", err.text);
}

void load_sink(struct loading *loading, struct ini_section *section)
{
    struct section_view view;
    struct config *config = loading->config;
    section_open(loading, section, "sink", &view);
    if (!check_section_name(&view, section->name))
        return;
    struct plugin_section taken = take_plugin_section(&view, &sink_table, PN_KIND_SINK);
    const struct sink_settings *settings = taken.own;
    struct config_sink *sink = &config->sinks[config->sink_count++];
    sink->name = section->name;
    if (!settings)
        return;
    sink->format = is_word(settings->format, "provider") ? FORMAT_PROVIDER : FORMAT_MQMESSAGE;
    sink->events = names_of(loading, settings->events, &sink->event_count);
    sink->apps = names_of(loading, settings->apps, &sink->app_count);
    sink->order_types = names_of(loading, settings->order_types, &sink->order_type_count);
    sink->paused = settings->paused;
    if (is_word(settings->format, "cloudevents"))
        section_fault(&view, "format", "this version does not write cloudevents; use \"mqmessage\" or \"provider\"");
    else
        check_events(&view, sink, settings->format.data);
    if (!taken.settings)
        return;
    sink->plugin = sink_plugin_new(taken.plugin, sink->name, taken.settings, config->arena);
    if (sink->plugin)
        try_sink(&view, sink->plugin);
}

/* ---- lists that name other sections */

static struct ini_section *section_of(const struct config *config, const char *kind, const char *name)
{
    for (size_t i = 0; i < config->ini->section_count; i++)
        if (strcmp(config->ini->sections[i].kind, kind) == 0 && strcmp(config->ini->sections[i].name, name) == 0)
            return &config->ini->sections[i];
    return NULL;
}

static void check_list(struct loading *loading, const char *kind, const char *section, const char *key, const char *const *names,
                       size_t count, const char *wanted_kind)
{
    const struct ini *ini = loading->config->ini;
    struct section_view view;
    section_open(loading, section_of(loading->config, kind, section), kind, &view);
    for (size_t i = 0; i < count; i++) {
        if (section_of(loading->config, wanted_kind, names[i]))
            continue;
        const char **known = arena_alloc(loading->config->arena, ini->section_count * sizeof *known);
        size_t known_count = 0;
        for (size_t j = 0; j < ini->section_count; j++)
            if (strcmp(ini->sections[j].kind, wanted_kind) == 0)
                known[known_count++] = ini->sections[j].name;
        const char *nearest = text_nearest(names[i], known, known_count);
        section_fault(&view, key, "there is no [%s %s]%s%s%s", wanted_kind, names[i], nearest ? "; did you mean \"" : "",
                      nearest ? nearest : "", nearest ? "\"?" : "");
    }
}

void check_names(struct loading *loading)
{
    const struct config *config = loading->config;
    for (size_t i = 0; i < config->app_count; i++)
        check_list(loading, "app", config->apps[i].name, "channels", config->apps[i].channels, config->apps[i].channel_count, "channel");
    for (size_t i = 0; i < config->sink_count; i++)
        check_list(loading, "sink", config->sinks[i].name, "apps", config->sinks[i].apps, config->sinks[i].app_count, "app");
}
