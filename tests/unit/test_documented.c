/*
 * The shipped etc/paynotify.conf and the manual against what the server knows: every key is in both, with its default,
 * and nothing else is.
 */
#include "unit.h"

#include <stdio.h>

#include "base/buf.h"
#include "config/tables.h"

static struct buf sample, manual;

struct kind {
    const char *name;           /* "channel" */
    const struct option_table *table;
};

static const struct kind kinds[] = {
    { "server", &server_table }, { "store", &store_table }, { "app", &app_table },
    { "channel", &channel_table }, { "sink", &sink_table },
};
enum { KIND_COUNT = sizeof kinds / sizeof kinds[0] };

/* Whose keys the sample shows too. */
struct named {
    const char *section, *name;
    enum pn_kind kind;
};

static const struct named plugins[] = {
    { "channel", "alipay", PN_KIND_CHANNEL },
    { "channel", "wechat", PN_KIND_CHANNEL },
    { "sink", "sink-rabbitmq", PN_KIND_SINK },
};
enum { PLUGIN_COUNT = sizeof plugins / sizeof plugins[0] };

/* ---- the sample, as a list of keys with their sections */

struct shown {
    char section[32], plugin[32], key[64], value[256]; /* plugin: "" in front of the key `plugin` and where there is none */
};
static struct shown shown[256];
static size_t shown_count;

static void parse_sample(void)
{
    char section[32] = "", plugin[32] = "";
    char *rest = strdup(buf_text(&sample));
    for (char *line = strtok(rest, "\n"); line; line = strtok(NULL, "\n")) {
        line += *line == ';';
        struct shown *entry = &shown[shown_count];
        if (sscanf(line, "[%31[a-z]", section) == 1) {
            plugin[0] = '\0';
            continue;
        }
        if (*line == '#' || sscanf(line, "%63[a-z0-9_] = %255[^\n]", entry->key, entry->value) != 2)
            continue;
        if (strcmp(entry->key, "plugin") == 0)
            snprintf(plugin, sizeof plugin, "%.31s", entry->value);
        memcpy(entry->section, section, sizeof section);
        memcpy(entry->plugin, plugin, sizeof plugin);
        shown_count++;
    }
    free(rest);
}

/* plugin NULL: whichever the section names. */
static const struct shown *find_shown(const char *section, const char *plugin, const char *key)
{
    for (size_t i = 0; i < shown_count; i++) {
        size_t length = strlen(key);
        if (strcmp(shown[i].section, section) == 0 && (!plugin || strcmp(shown[i].plugin, plugin) == 0) &&
            strncmp(shown[i].key, key, length) == 0 && (!shown[i].key[length] || strcmp(shown[i].key + length, "_file") == 0))
            return &shown[i];
    }
    return NULL;
}

static void expect_shown(const char *section, const char *plugin, const struct pn_option *options, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct shown *entry = find_shown(section, plugin, options[i].name);
        if (!entry)
            fail_msg("etc/paynotify.conf does not show [%s] %s", section, options[i].name);
        if (options[i].default_text && strcmp(options[i].name, "plugin_dir") != 0)
            assert_string_equal(entry->value, options[i].default_text);
    }
}

static const struct pn_plugin *load(const struct named *named)
{
    char dir[4096];
    struct plugin *plugin;
    struct error err;
    const char *build = getenv("PN_BUILDDIR");
    snprintf(dir, sizeof dir, "%s/.libs", build ? build : ".");
    if (plugin_load(named->name, dir, named->kind, &plugin, &err) != RC_OK)
        fail_msg("%s", err.text);
    return plugin_descriptor(plugin);
}

static void the_sample_shows_every_key_with_its_default(void **state)
{
    (void) state;
    for (size_t i = 0; i < KIND_COUNT; i++)
        expect_shown(kinds[i].name, NULL, kinds[i].table->options, kinds[i].table->count);
}

static void the_sample_shows_every_key_of_the_plugins_that_it_names(void **state)
{
    (void) state;
    for (size_t i = 0; i < PLUGIN_COUNT; i++) {
        const struct pn_plugin *plugin = load(&plugins[i]);
        expect_shown(plugins[i].section, plugins[i].name, plugin->options, plugin->option_count);
    }
}

static bool is_known(const struct pn_option *options, size_t count, const char *key)
{
    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(options[i].name);
        if (strncmp(key, options[i].name, length) == 0 && (!key[length] || strcmp(key + length, "_file") == 0))
            return true;
    }
    return false;
}

static bool is_known_to_anybody(const struct shown *entry)
{
    for (size_t i = 0; i < KIND_COUNT; i++)
        if (strcmp(entry->section, kinds[i].name) == 0 && is_known(kinds[i].table->options, kinds[i].table->count, entry->key))
            return true;
    for (size_t i = 0; i < PLUGIN_COUNT; i++) {
        if (strcmp(entry->section, plugins[i].section) != 0 || strcmp(entry->plugin, plugins[i].name) != 0)
            continue;
        const struct pn_plugin *plugin = load(&plugins[i]);
        if (is_known(plugin->options, plugin->option_count, entry->key))
            return true;
    }
    return false;
}

static void the_sample_shows_nothing_else(void **state)
{
    (void) state;
    for (size_t i = 0; i < shown_count; i++)
        if (!is_known_to_anybody(&shown[i]))
            fail_msg("etc/paynotify.conf shows [%s] %s, which nobody knows", shown[i].section, shown[i].key);
}

/* ---- the manual */

static char *manual_section(const char *kind)
{
    char heading[64];
    snprintf(heading, sizeof heading, "\n.SH [%s", kind);
    const char *from = strstr(buf_text(&manual), heading);
    if (!from)
        fail_msg("paynotify.conf(5) has no section [%s]", kind);
    const char *to = strstr(from + 1, "\n.SH ");
    return to ? strndup(from, (size_t) (to - from)) : strdup(from);
}

static void the_manual_explains_every_key_and_nothing_else(void **state)
{
    (void) state;
    for (size_t i = 0; i < KIND_COUNT; i++) {
        const struct option_table *table = kinds[i].table;
        char *section = manual_section(kinds[i].name), entry[128];
        size_t entries = 0;
        for (const char *p = section; (p = strstr(p, "\n.TP\n.B ")); p++)
            entries++;
        for (size_t j = 0; j < table->count; j++) {
            snprintf(entry, sizeof entry, "\n.TP\n.B %s\n", table->options[j].name);
            if (!strstr(section, entry))
                fail_msg("paynotify.conf(5) does not explain [%s] %s", kinds[i].name, table->options[j].name);
        }
        assert_int_equal(entries, table->count);
        free(section);
    }
}

static int read_whole(const char *name, struct buf *ret)
{
    char path[4096], bytes[4096];
    const char *source = getenv("PN_SRCDIR");
    snprintf(path, sizeof path, "%s/%s", source ? source : ".", name);
    FILE *file = fopen(path, "r");
    if (!file)
        return -1;
    for (size_t n; (n = fread(bytes, 1, sizeof bytes, file));)
        buf_add(ret, bytes, n);
    fclose(file);
    return 0;
}

static int set_up(void **state)
{
    (void) state;
    if (read_whole("etc/paynotify.conf", &sample) || read_whole("doc/man/paynotify.conf.5", &manual))
        return -1;
    parse_sample();
    return 0;
}

static int tear_down(void **state)
{
    (void) state;
    buf_free(&sample);
    buf_free(&manual);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sample_shows_every_key_with_its_default),
        cmocka_unit_test(the_sample_shows_every_key_of_the_plugins_that_it_names),
        cmocka_unit_test(the_sample_shows_nothing_else),
        cmocka_unit_test(the_manual_explains_every_key_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
