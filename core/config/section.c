/*
 * One section of paynotify.conf while it is checked: its keys as settings, its faults under its title. Called by the
 * load_* functions at start-up, one thread.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "config/load.h"

void section_open(struct loading *loading, struct ini_section *section, const char *kind, struct section_view *ret)
{
    struct arena *arena = loading->config->arena;
    *ret = (struct section_view){ .loading = loading, .title = kind, .file = loading->path };
    if (!section)
        return;
    ret->title = *section->name ? arena_printf(arena, "%s %s", section->kind, section->name) : section->kind;
    ret->file = section->file;
    ret->line = section->line;
    ret->settings = arena_alloc(arena, section->key_count * sizeof *ret->settings);
    ret->count = section->key_count;
    for (size_t i = 0; i < section->key_count; i++) {
        const struct ini_key *key = &section->keys[i];
        ret->settings[i] = (struct setting){ .key = key->name, .value = key->value, .line = key->line, .file = key->file,
                                             .from_env = key->from_env };
    }
}

void section_setting_fault(void *arg, const struct setting *at, const char *text)
{
    const struct section_view *view = arg;
    fault_add(view->loading->faults, at ? at->file : view->file, at ? at->line : view->line, "[%s] %s", view->title, text);
}

/* The setting that gave `key`, by its own name or through a file. */
static const struct setting *given(const struct section_view *view, const char *key)
{
    size_t length = strlen(key);
    for (size_t i = 0; i < view->count; i++) {
        const char *name = view->settings[i].key;
        if (strncmp(name, key, length) == 0 && (!name[length] || strcmp(name + length, "_file") == 0))
            return &view->settings[i];
    }
    return NULL;
}

void section_fault(const struct section_view *view, const char *key, const char *format, ...)
{
    char what[512], text[600];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    const struct setting *at = key ? given(view, key) : NULL;
    snprintf(text, sizeof text, "%s%s%s", key ? key : "", key ? ": " : "", what);
    section_setting_fault((void *) view, at, text);
}

const void *section_fill(struct section_view *view, const struct option_table *table, const char *const *others)
{
    void *settings;
    const struct config *config = view->loading->config;
    if (options_fill(table, view->settings, view->count, others, config->ini->dir, config->arena, section_setting_fault, view,
                     &settings) != RC_OK)
        return NULL;
    return settings;
}

const char *path_from(struct loading *loading, const char *path)
{
    const char *dir = loading->config->ini->dir;
    if (!path || !*path)
        return NULL;
    if (path[0] == '/' || strcmp(dir, ".") == 0)
        return path;
    return arena_printf(loading->config->arena, "%s/%s", dir, path);
}

const char *const *names_of(struct loading *loading, struct pn_list list, size_t *ret_count)
{
    const char **names = list.count ? arena_alloc(loading->config->arena, list.count * sizeof *names) : NULL;
    for (size_t i = 0; i < list.count; i++)
        names[i] = list.items[i].data;
    *ret_count = list.count;
    return names;
}
