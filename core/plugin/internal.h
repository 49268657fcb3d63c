/*
 * What the files of core/plugin share: the loaded plugin, and the checks between the steps of loading one.
 */
#ifndef PN_PLUGIN_INTERNAL_H
#define PN_PLUGIN_INTERNAL_H

#include "base/log.h"
#include "plugin/registry.h"

/* Everything that the plugin's descriptor points to with a size of its own, copied into zeroed structs of ours, so that
 * what an older plugin does not have is NULL or 0. */
struct plugin {
    char *file;
    struct pn_plugin descriptor;
    struct pn_option *options;
    struct pn_product *product_copies;
    const struct pn_product **products; /* ends with NULL */
    struct pn_channel channel;
    struct pn_sink sink;
    struct plugin *next;
    unsigned long device, inode; /* one struct plugin per file */
};

/* One configured instance: what host->owner points to. Constant from open to close. */
struct instance {
    struct pn_host host;
    const char *name;
    sink_settled settled; /* sinks */
    void *settled_arg;
    struct log_limit limit;
};
void instance_init(struct instance *instance, const char *name);

/* elf.c: that `file` is a whole shared object for this machine, without running anything in it. Also says which file it
 * is. */
enum rc elf_check(const char *file, unsigned long *ret_device, unsigned long *ret_inode, struct error *err);

/* descriptor.c: checks what a plugin exports and copies it. */
enum rc descriptor_take(struct plugin *plugin, const struct pn_plugin *exported, enum pn_kind wanted, struct error *err);
void descriptor_free(struct plugin *plugin);

/* value.c: `text` as a value of the option's type, written to *slot (a pn_str, int64_t or pn_list) in the arena. The
 * error holds what was wanted, without the value when the option is secret. */
enum rc value_parse(const struct pn_option *option, const char *text, struct arena *arena, void *slot, struct error *err);
size_t value_size(uint32_t type);   /* 0: no such type */
bool value_is_text(uint32_t type);  /* may also come as x_file */

/* checks.c: what a plugin returned, as a copy of ours in the call's arena. NULL: not acceptable, and call->err says why. */
const struct pn_http_request *check_request(struct pn_call *call, const struct pn_http_request *request);
const struct pn_result *check_result(struct pn_call *call, const struct pn_result *result);
bool check_step(struct pn_call *call, struct pn_step *step);
bool check_notification(struct pn_call *call, struct pn_notification *notification);
bool check_reply(const struct pn_reply *reply);
struct pn_str text_mended(struct arena *arena, struct pn_str text, size_t max); /* UTF-8, one that fits */

/* The code of the core that stands for what a plugin returned. */
enum rc rc_of_plugin(int rc);

#endif
