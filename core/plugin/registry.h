/*
 * Loading plugins and calling them. A file is checked before dlopen (whole, a shared object), its descriptor before
 * anything in it is trusted, its section of paynotify.conf against its own options table. Start-up only, except the
 * call_* functions, which any thread may use on an opened channel.
 */
#ifndef PN_PLUGIN_REGISTRY_H
#define PN_PLUGIN_REGISTRY_H

#include <paynotify/plugin.h>
#include <stdbool.h>

#include "base/arena.h"
#include "base/error.h"

/* ---- loading */

struct plugin; /* a loaded shared object with its checked descriptor; one per file, never unloaded */

/* `file`: a path, or a name such as "acme" that stands for plugin_dir/paynotify-acme.so. One clear line in err
 * that names the file, what was wanted and what was found. */
enum rc plugin_load(const char *file, const char *plugin_dir, enum pn_kind wanted, struct plugin **ret_plugin,
                    struct error *err);
const struct pn_plugin *plugin_descriptor(const struct plugin *plugin);

/* ---- settings: the host's side of struct pn_option (settings.c) */

struct setting {
    const char *key, *value; /* as written, ${} expanded; value NULL: given, broken, already reported */
    int line;
    const char *file;
    bool from_env;
    bool used; /* set here */
};
typedef void (*setting_fault)(void *arg, const struct setting *at /* NULL: the section */, const char *text);

/* A table of options and the struct that it fills. The server's own sections have tables of the same kind. */
struct option_table {
    const struct pn_option *options;
    size_t count, settings_size;
    bool every_text_file; /* x_file stands for every text option; otherwise for secrets only */
};

/* Writes *ret_settings (settings_size bytes from the arena) from `settings` by the table; `dir` is where relative files
 * start. Keys in `reserved` (somebody else's, NULL-terminated) are passed over. Every fault is reported; RC_CONFIG when
 * there was one. Runs no code of a plugin. */
enum rc options_fill(const struct option_table *table, struct setting *settings, size_t count, const char *const *reserved,
                     const char *dir, struct arena *arena, setting_fault fault, void *arg, void **ret_settings);

/* The same by a plugin's table. */
enum rc settings_fill(const struct plugin *plugin, struct setting *settings, size_t count, const char *const *reserved,
                      const char *dir, struct arena *arena, setting_fault fault, void *arg, void **ret_settings);

/* ---- calls */

/* Begins a call: results live in `arena`. Stack-allocated by the caller; now_ms is fixed at the beginning. */
struct pn_call {
    struct arena *arena;
    const char *instance;
    int64_t now_ms;
    struct error err;
};
void call_begin(struct pn_call *ret_call, struct arena *arena, const char *instance);

/* ---- channels */

struct channel;

enum rc channel_open(struct plugin *plugin, const char *name, const void *settings, struct channel **ret_channel,
                     struct error *err);
void channel_close(struct channel *channel);
const char *channel_name(const struct channel *channel);
const struct pn_product *channel_product(const struct channel *channel, const char *name); /* NULL: no such product */
const struct pn_product *const *channel_products(const struct channel *channel);

/* The plugin's calls, with NULL calls answered PN_UNSUPPORTED, results checked for sense (exactly one of next and done,
 * UTF-8 where text goes to the store), and call->err filled after a failure. Any thread. */
int channel_request(struct channel *channel, struct pn_call *call, const struct pn_payment *payment, struct pn_step *ret_step);
int channel_response(struct channel *channel, struct pn_call *call, const struct pn_payment *payment, uint32_t round,
                     const struct pn_http_response *response, struct pn_step *ret_step);
int channel_notification(struct channel *channel, struct pn_call *call, const struct pn_http_incoming *incoming,
                         struct pn_notification *ret_notification);
/* Never fails: when the plugin does, a plain 500 "fail". */
void channel_reply(struct channel *channel, struct pn_call *call, const struct pn_http_incoming *incoming, bool accepted,
                   struct pn_reply *ret_reply);

/* ---- sinks */

struct sink_plugin; /* a plugin with filled settings, not opened yet */
struct sink;        /* opened; driven by one thread */

typedef void (*sink_settled)(void *arg, uint64_t ticket, enum pn_outcome outcome, const char *reason);

struct sink_plugin *sink_plugin_new(struct plugin *plugin, const char *name, const void *settings, struct arena *arena);
enum rc sink_open(struct sink_plugin *plugin, sink_settled settled, void *arg, struct sink **ret_sink, struct error *err);
void sink_close(struct sink *sink);
enum rc sink_connect(struct sink *sink, int64_t timeout_ms, struct error *err);
enum pn_submit sink_submit(struct sink *sink, const struct pn_event *event, uint64_t ticket);
enum pn_submit sink_pump(struct sink *sink, int64_t timeout_ms, int wake_fd);
void sink_interrupt(struct sink *sink); /* any thread */

#endif
