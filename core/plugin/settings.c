/*
 * A section of paynotify.conf, checked by an options table (a plugin's or the server's own) and written into the table's
 * settings struct. Runs no code of a plugin. Called by config_load at start-up, one thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "plugin/internal.h"

enum { FILE_MAX = 1 << 20, OPTION_LIMIT = 128, NAME_ROOM = 48 };

struct filling {
    const struct option_table *table;
    const char *dir;
    struct arena *arena;
    setting_fault fault;
    void *fault_arg;
    char *settings;
    const struct setting *given[OPTION_LIMIT]; /* by option: where it was set first */
    bool meant[OPTION_LIMIT]; /* by option: an unknown key looks like it, so that it is not also reported as missing */
    bool failed;
};

static void __attribute__((format(printf, 3, 4))) complain(struct filling *filling, const struct setting *at, const char *format, ...)
{
    char text[1000];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    filling->failed = true;
    filling->fault(filling->fault_arg, at, text);
}

/* ---- files */

static enum rc open_file(const struct pn_option *option, const char *path, int *ret_fd, size_t *ret_size, struct error *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return error_set(err, RC_CONFIG, "cannot read %s: %s", path, strerror(errno));
    enum rc rc = RC_OK;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        rc = error_set(err, RC_CONFIG, "%s is not a file", path);
    else if ((option->flags & PN_OPT_SECRET) && (st.st_mode & 077))
        rc = error_set(err, RC_CONFIG, "%s holds a secret and others may read it (mode %04o); run: chmod 600 %s", path,
                       (unsigned) st.st_mode & 07777, path);
    else if (st.st_size == 0 || st.st_size > FILE_MAX)
        rc = error_set(err, RC_CONFIG, "%s is %s", path, st.st_size ? "larger than 1 MiB" : "empty");
    if (rc != RC_OK) {
        close(fd);
        return rc;
    }
    *ret_fd = fd;
    *ret_size = (size_t) st.st_size;
    return RC_OK;
}

static enum rc read_file(const struct pn_option *option, const char *path, struct arena *arena, struct pn_str *ret, struct error *err)
{
    int fd = -1;
    size_t size = 0, done = 0;
    enum rc rc = open_file(option, path, &fd, &size, err);
    if (rc != RC_OK)
        return rc;
    char *bytes = arena_alloc(arena, size + 1);
    while (bytes && done < size) {
        ssize_t n = read(fd, bytes + done, size - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        done += (size_t) n;
    }
    close(fd);
    if (!bytes || done < size)
        return error_set(err, RC_CONFIG, "cannot read %s", path);
    *ret = (struct pn_str){ bytes, size };
    return RC_OK;
}

static void drop_line_break(struct pn_str *text, char *bytes)
{
    if (text->len && bytes[text->len - 1] == '\n')
        text->len--;
    if (text->len && bytes[text->len - 1] == '\r')
        text->len--;
    bytes[text->len] = 0;
}

static void set_from_file(struct filling *filling, const struct pn_option *option, const struct setting *setting)
{
    struct error err = { 0 };
    struct pn_str content;
    const char *path = setting->value[0] == '/' ? setting->value : arena_printf(filling->arena, "%s/%s", filling->dir, setting->value);
    if (!setting->value[0]) {
        complain(filling, setting, "%s: wanted the path of a file", setting->key);
        return;
    }
    enum rc rc = read_file(option, path, filling->arena, &content, &err);
    if (rc == RC_OK && option->type == PN_OPT_BYTES) {
        *(struct pn_str *) (void *) (filling->settings + option->offset) = content;
        return;
    }
    if (rc == RC_OK) {
        drop_line_break(&content, (char *) content.data);
        if (strlen(content.data) != content.len)
            rc = error_set(&err, RC_CONFIG, "%s holds a NUL byte", path);
        else
            rc = value_parse(option, content.data, filling->arena, filling->settings + option->offset, &err);
    }
    if (rc != RC_OK)
        complain(filling, setting, "%s: %s", setting->key, err.text);
}

/* ---- keys */

static void set_inline(struct filling *filling, const struct pn_option *option, const struct setting *setting)
{
    struct error err = { 0 };
    if (!setting->value[0] && (option->type != PN_OPT_STRING || (option->flags & PN_OPT_REQUIRED)))
        complain(filling, setting, "%s: has no value", setting->key);
    else if (option->type == PN_OPT_BYTES && (option->flags & PN_OPT_SECRET) && !setting->from_env)
        complain(filling, setting, "%s: a secret does not belong in this file; use %s_file = PATH or %s = ${NAME}", setting->key,
                 option->name, option->name);
    else if (value_parse(option, setting->value, filling->arena, filling->settings + option->offset, &err) != RC_OK)
        complain(filling, setting, "%s: %s", setting->key, err.text);
}

static bool takes_file(const struct option_table *table, const struct pn_option *option)
{
    return value_is_text(option->type) && (table->every_text_file || (option->flags & PN_OPT_SECRET));
}

/* The option that `key` sets, by its name or, with *ret_file true, by its name and "_file". */
static const struct pn_option *find_option(const struct option_table *table, const char *key, bool *ret_file)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct pn_option *option = &table->options[i];
        size_t length = strlen(option->name);
        *ret_file = takes_file(table, option) && strncmp(key, option->name, length) == 0 && strcmp(key + length, "_file") == 0;
        if (*ret_file || strcmp(key, option->name) == 0)
            return option;
    }
    return NULL;
}

static bool is_reserved(const char *const *reserved, const char *key)
{
    for (; reserved && *reserved; reserved++)
        if (strcmp(*reserved, key) == 0)
            return true;
    return false;
}

/* "a, b, c" */
static const char *joined(struct arena *arena, const char *const *names, size_t count)
{
    const char *list = "";
    for (size_t i = 0; i < count; i++)
        list = arena_printf(arena, "%s%s%s", list, i ? ", " : "", names[i]);
    return list;
}

static void unknown_key(struct filling *filling, const struct setting *setting, const char *const *reserved)
{
    const struct option_table *table = filling->table;
    const char *names[3 * OPTION_LIMIT];
    size_t count = 0;
    for (size_t i = 0; i < table->count; i++) {
        names[count++] = table->options[i].name;
        if (takes_file(table, &table->options[i]))
            names[count++] = arena_printf(filling->arena, "%s_file", table->options[i].name);
    }
    for (; reserved && *reserved && count < 3 * OPTION_LIMIT; reserved++)
        names[count++] = *reserved;
    const char *nearest = text_nearest(setting->key, names, count);
    bool file;
    const struct pn_option *meant = nearest ? find_option(table, nearest, &file) : NULL;
    if (meant)
        filling->meant[meant - table->options] = true;
    if (nearest)
        complain(filling, setting, "unknown key \"%s\"; did you mean \"%s\"?", setting->key, nearest);
    else
        complain(filling, setting, "unknown key \"%s\"; there are %s", setting->key, joined(filling->arena, names, count));
}

static void set_key(struct filling *filling, struct setting *setting, const char *const *reserved)
{
    bool file;
    const struct pn_option *option = find_option(filling->table, setting->key, &file);
    setting->used = true;
    if (!option) {
        unknown_key(filling, setting, reserved);
        return;
    }
    const struct setting **given = &filling->given[option - filling->table->options];
    if (*given) { /* the same key twice is the reader's fault to find; this is x beside x_file */
        if (strcmp((*given)->key, setting->key) != 0)
            complain(filling, setting, "\"%s\" and \"%s\" (line %d) say the same thing; remove one", setting->key, (*given)->key,
                     (*given)->line);
        return;
    }
    *given = setting;
    if (!setting->value) { /* broken, and already reported by the reader */
        filling->failed = true;
        return;
    }
    if (file)
        set_from_file(filling, option, setting);
    else
        set_inline(filling, option, setting);
}

static void complete(struct filling *filling)
{
    const struct option_table *table = filling->table;
    for (size_t i = 0; i < table->count; i++) {
        const struct pn_option *option = &table->options[i];
        if (filling->given[i])
            continue;
        if (option->default_text) /* checked when the plugin was loaded */
            value_parse(option, option->default_text, filling->arena, filling->settings + option->offset, NULL);
        else if ((option->flags & PN_OPT_REQUIRED) && !filling->meant[i])
            complain(filling, NULL, "missing key \"%s\"%s: %s", option->name,
                     takes_file(table, option) && (option->flags & PN_OPT_SECRET) ? " (or the same with _file)" : "", option->help);
    }
}

enum rc options_fill(const struct option_table *table, struct setting *settings, size_t count, const char *const *reserved,
                     const char *dir, struct arena *arena, setting_fault fault, void *arg, void **ret_settings)
{
    struct filling filling = { .table = table, .dir = dir, .arena = arena, .fault = fault, .fault_arg = arg };
    filling.settings = arena_alloc(arena, table->settings_size);
    if (!filling.settings)
        return RC_NOMEM;
    for (size_t i = 0; i < count; i++)
        if (!is_reserved(reserved, settings[i].key))
            set_key(&filling, &settings[i], reserved);
    complete(&filling);
    if (filling.failed)
        return RC_CONFIG;
    *ret_settings = filling.settings;
    return RC_OK;
}

enum rc settings_fill(const struct plugin *plugin, struct setting *settings, size_t count, const char *const *reserved,
                      const char *dir, struct arena *arena, setting_fault fault, void *arg, void **ret_settings)
{
    const struct pn_plugin *descriptor = &plugin->descriptor;
    struct option_table table = { plugin->options, descriptor->option_count, descriptor->settings_size, true };
    for (size_t i = 0; i < table.count; i++)
        if (is_reserved(reserved, table.options[i].name)) {
            char text[256];
            snprintf(text, sizeof text, "plugin \"%s\" has an option \"%s\", which is a key of the server's own",
                     descriptor->name, table.options[i].name);
            fault(arg, NULL, text);
            return RC_CONFIG;
        }
    return options_fill(&table, settings, count, reserved, dir, arena, fault, arg, ret_settings);
}
