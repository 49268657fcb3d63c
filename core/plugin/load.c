/*
 * plugin_load: from a name to a loaded plugin with a checked descriptor. Called by config_load at start-up, one thread.
 * Loaded files stay for the life of the process.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "plugin/internal.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct plugin *loaded;

static const char prefix[] = "paynotify-", suffix[] = ".so";

/* "paynotify-NAME.so" → NAME in the arena; NULL for any other file. */
static const char *name_in(struct arena *arena, const char *entry)
{
    size_t length = strlen(entry), before = sizeof prefix - 1, behind = sizeof suffix - 1;
    if (length <= before + behind || strncmp(entry, prefix, before) != 0 || strcmp(entry + length - behind, suffix) != 0)
        return NULL;
    return arena_strndup(arena, entry + before, length - before - behind);
}

static enum rc no_such_plugin(const char *name, const char *file, const char *dir, struct error *err)
{
    enum { NAMES_MAX = 64 };
    const char *names[NAMES_MAX], *nearest = NULL;
    size_t count = 0;
    struct arena *arena = arena_new(0);
    DIR *entries = opendir(dir);
    if (entries) {
        const struct dirent *entry;
        while (count < NAMES_MAX && (entry = readdir(entries)))
            if ((names[count] = name_in(arena, entry->d_name)))
                count++;
        closedir(entries);
        nearest = text_nearest(name, names, count);
    }
    enum rc rc = nearest ? error_set(err, RC_CONFIG, "no plugin \"%s\": there is no %s; did you mean \"%s\"?", name, file, nearest)
                         : error_set(err, RC_CONFIG, "no plugin \"%s\": there is no %s", name, file);
    arena_free(arena);
    return rc;
}

static struct plugin *find_loaded(unsigned long device, unsigned long inode)
{
    struct plugin *plugin = loaded;
    while (plugin && (plugin->device != device || plugin->inode != inode))
        plugin = plugin->next;
    return plugin;
}

static enum rc load_new(const char *file, enum pn_kind wanted, struct plugin **ret_plugin, struct error *err)
{
    struct plugin *plugin = calloc(1, sizeof *plugin);
    if (!plugin || !(plugin->file = strdup(file))) {
        free(plugin);
        return error_set(err, RC_NOMEM, "no memory to load %s", file);
    }
    enum rc rc;
    const struct pn_plugin *exported;
    void *handle = dlopen(file, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!handle) {
        rc = error_set(err, RC_CONFIG, "cannot load %s: %s", file, dlerror());
        goto out;
    }
    exported = dlsym(handle, "pn_plugin");
    if (!exported) {
        rc = error_set(err, RC_CONFIG, "%s is not a paynotify plugin: it exports no symbol \"pn_plugin\"", file);
        goto out;
    }
    rc = descriptor_take(plugin, exported, wanted, err);
out:
    if (rc == RC_OK) {
        *ret_plugin = plugin;
    } else {
        descriptor_free(plugin);
        free(plugin->file);
        free(plugin);
        if (handle)
            dlclose(handle);
    }
    return rc;
}

static enum rc load_file(const char *file, enum pn_kind wanted, struct plugin **ret_plugin, struct error *err)
{
    unsigned long device, inode;
    enum rc rc = elf_check(file, &device, &inode, err);
    if (rc != RC_OK)
        return rc;
    struct plugin *plugin = find_loaded(device, inode);
    if (!plugin) {
        rc = load_new(file, wanted, &plugin, err);
        if (rc != RC_OK)
            return rc;
        plugin->device = device;
        plugin->inode = inode;
        plugin->next = loaded;
        loaded = plugin;
    } else if (plugin->descriptor.kind != wanted) {
        return error_set(err, RC_CONFIG, "%s is a %s plugin (wanted a %s plugin)", file,
                         plugin->descriptor.kind == PN_KIND_SINK ? "sink" : "channel", wanted == PN_KIND_SINK ? "sink" : "channel");
    }
    *ret_plugin = plugin;
    return RC_OK;
}

enum rc plugin_load(const char *file, const char *plugin_dir, enum pn_kind wanted, struct plugin **ret_plugin, struct error *err)
{
    char path[4096];
    bool by_name = !strchr(file, '/');
    int n = by_name ? snprintf(path, sizeof path, "%s/%s%s%s", plugin_dir, prefix, file, suffix)
                    : snprintf(path, sizeof path, "%s", file);
    if (n < 0 || (size_t) n >= sizeof path)
        return error_set(err, RC_CONFIG, "the path of plugin \"%.60s…\" is too long", file);
    if (by_name && access(path, F_OK) != 0)
        return no_such_plugin(file, path, plugin_dir, err);
    pthread_mutex_lock(&lock);
    enum rc rc = load_file(path, wanted, ret_plugin, err);
    pthread_mutex_unlock(&lock);
    return rc;
}

const struct pn_plugin *plugin_descriptor(const struct plugin *plugin)
{
    return &plugin->descriptor;
}
