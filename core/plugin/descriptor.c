/*
 * Checks what a plugin exports before anything in it is used: the frozen head first, then the option table, then the
 * channel's or sink's calls and products. Called by load.c at start-up.
 */
#include <stdlib.h>
#include <string.h>

#include "base/money.h"
#include "base/text.h"
#include "plugin/internal.h"

enum { OPTIONS_MAX = 128, PRODUCTS_MAX = 32, SETTINGS_MAX = 65536, NAME_MAX_LENGTH = 40 };

static const char *kind_name(uint32_t kind)
{
    return kind == PN_KIND_CHANNEL ? "channel" : kind == PN_KIND_SINK ? "sink" : "(unknown)";
}

/* Lower case, digits and the two separators; begins with a letter or digit. */
static bool is_name(const char *name, const char *separators)
{
    size_t length = name ? strnlen(name, NAME_MAX_LENGTH + 1) : 0;
    if (length == 0 || length > NAME_MAX_LENGTH || strchr(separators, name[0]))
        return false;
    for (size_t i = 0; i < length; i++)
        if (!(name[i] >= 'a' && name[i] <= 'z') && !(name[i] >= '0' && name[i] <= '9') && !strchr(separators, name[i]))
            return false;
    return true;
}

static bool is_line(const char *text)
{
    return text && text_is_utf8(text, strnlen(text, 512)) && strnlen(text, 512) < 512 && !strpbrk(text, "\n\r");
}

/* Only what is frozen is read here. */
static enum rc check_head(const char *file, const struct pn_plugin *head, enum pn_kind wanted, struct error *err)
{
    if (head->magic != PN_PLUGIN_MAGIC)
        return error_set(err, RC_CONFIG, "%s is not a paynotify plugin (wanted magic 0x%08x, found 0x%08x)", file,
                         PN_PLUGIN_MAGIC, head->magic);
    /* While the major number is 0, every minor may break. */
    bool minor_fits = PN_ABI_MAJOR ? head->abi_minor <= PN_ABI_MINOR : head->abi_minor == PN_ABI_MINOR;
    if (head->abi_major != PN_ABI_MAJOR || !minor_fits)
        return error_set(err, RC_CONFIG, "%s was built for another plugin ABI (wanted %d.%d, found %u.%u); build it anew", file,
                         PN_ABI_MAJOR, PN_ABI_MINOR, (unsigned) head->abi_major, (unsigned) head->abi_minor);
    if (head->kind != (uint32_t) wanted)
        return error_set(err, RC_CONFIG, "%s is a %s plugin (wanted a %s plugin)", file, kind_name(head->kind), kind_name(wanted));
    if (head->desc_size < sizeof(struct pn_plugin) || head->desc_size > 4096 ||
        head->option_size < sizeof(struct pn_option) || head->option_size > 4096 || head->settings_size > SETTINGS_MAX)
        return error_set(err, RC_CONFIG, "%s has a broken descriptor (sizes %u, %u, %u)", file, head->desc_size, head->option_size,
                         head->settings_size);
    if (!is_name(head->name, "-_") || !is_line(head->version))
        return error_set(err, RC_CONFIG, "%s has a broken descriptor (its name or version)", file);
    return RC_OK;
}

/* ---- options */

static enum rc bad_option(const struct plugin *plugin, const struct pn_option *option, const char *what, struct error *err)
{
    return error_set(err, RC_CONFIG, "%s has a broken option table: option \"%.40s\" %s", plugin->file,
                     option->name ? option->name : "", what);
}

static bool overlap(const struct pn_option *a, const struct pn_option *b)
{
    return a->offset < b->offset + value_size(b->type) && b->offset < a->offset + value_size(a->type);
}

static bool names_clash(const struct pn_option *a, const struct pn_option *b)
{
    size_t length = strlen(b->name);
    return strncmp(a->name, b->name, length) == 0 && (!a->name[length] || (value_is_text(b->type) && !strcmp(a->name + length, "_file")));
}

static enum rc check_default(const struct plugin *plugin, const struct pn_option *option, struct error *err)
{
    union { struct pn_str text; struct pn_list list; int64_t number; } slot;
    if (!option->default_text)
        return RC_OK;
    if (option->flags & PN_OPT_REQUIRED)
        return bad_option(plugin, option, "is required and has a default", err);
    struct arena *arena = arena_new(0);
    enum rc rc = value_parse(option, option->default_text, arena, &slot, NULL);
    arena_free(arena);
    return rc == RC_OK ? RC_OK : bad_option(plugin, option, "has a default that it does not take", err);
}

static enum rc check_option(const struct plugin *plugin, size_t index, struct error *err)
{
    const struct pn_option *option = &plugin->options[index];
    size_t size = value_size(option->type);
    if (!is_name(option->name, "_"))
        return bad_option(plugin, option, "has a wrong name", err);
    if (!size || (option->flags & ~(uint32_t) (PN_OPT_REQUIRED | PN_OPT_SECRET)))
        return bad_option(plugin, option, "has a type or flag that this server does not know", err);
    if (option->offset % _Alignof(struct pn_str) || option->offset > plugin->descriptor.settings_size ||
        size > plugin->descriptor.settings_size - option->offset)
        return bad_option(plugin, option, "lies outside the settings or is not aligned", err);
    if (option->type == PN_OPT_ENUM && !option->choices)
        return bad_option(plugin, option, "has no choices", err);
    if (!is_line(option->help))
        return bad_option(plugin, option, "has no help text of one line", err);
    for (size_t i = 0; i < index; i++) {
        if (overlap(option, &plugin->options[i]))
            return bad_option(plugin, option, "overlaps another one", err);
        if (names_clash(option, &plugin->options[i]) || names_clash(&plugin->options[i], option))
            return bad_option(plugin, option, "has the name of another one", err);
    }
    return check_default(plugin, option, err);
}

static enum rc take_options(struct plugin *plugin, struct error *err)
{
    struct pn_plugin *descriptor = &plugin->descriptor;
    size_t count = descriptor->option_count;
    if (count > OPTIONS_MAX || (count && !descriptor->options))
        return error_set(err, RC_CONFIG, "%s has a broken option table (%zu options)", plugin->file, count);
    plugin->options = calloc(count + 1, sizeof *plugin->options);
    if (!plugin->options)
        return error_set(err, RC_NOMEM, "no memory to load %s", plugin->file);
    for (size_t i = 0; i < count; i++) /* the plugin's array has the plugin's stride */
        memcpy(&plugin->options[i], (const char *) descriptor->options + i * descriptor->option_size, sizeof(struct pn_option));
    descriptor->options = plugin->options;
    descriptor->option_size = sizeof(struct pn_option);
    for (size_t i = 0; i < count; i++) {
        enum rc rc = check_option(plugin, i, err);
        if (rc != RC_OK)
            return rc;
    }
    return RC_OK;
}

/* ---- products */

static bool known_currencies(const char *list)
{
    for (const char *p = list;; p++) {
        size_t length = strcspn(p, "|");
        char code[8] = "";
        if (length != 3)
            return false;
        memcpy(code, p, length);
        if (money_decimals(code) < 0)
            return false;
        p += length;
        if (!*p)
            return true;
    }
}

static bool product_fits(const struct plugin *plugin, size_t index)
{
    const struct pn_product *product = &plugin->product_copies[index];
    for (size_t i = 0; i < index; i++)
        if (strcmp(plugin->product_copies[i].name, product->name) == 0)
            return false;
    return product->prepay_kind >= PN_PREPAY_FORM && product->prepay_kind <= PN_PREPAY_APP_PARAMS && is_line(product->label_zh) &&
           is_line(product->label_en) && product->currencies && known_currencies(product->currencies) &&
           (!product->params || is_line(product->params));
}

static enum rc take_products(struct plugin *plugin, struct error *err)
{
    const struct pn_product *const *exported = plugin->channel.products;
    size_t count = 0;
    while (exported && count <= PRODUCTS_MAX && exported[count])
        count++;
    if (count == 0 || count > PRODUCTS_MAX)
        return error_set(err, RC_CONFIG, "%s has a broken product table (wanted 1 to %d products)", plugin->file, PRODUCTS_MAX);
    plugin->product_copies = calloc(count, sizeof *plugin->product_copies);
    plugin->products = calloc(count + 1, sizeof(struct pn_product *));
    if (!plugin->product_copies || !plugin->products)
        return error_set(err, RC_NOMEM, "no memory to load %s", plugin->file);
    for (size_t i = 0; i < count; i++) {
        if (exported[i]->size < sizeof(struct pn_product) || !is_name(exported[i]->name, "_"))
            return error_set(err, RC_CONFIG, "%s has a broken product table: product %zu has a wrong size or name", plugin->file, i + 1);
        memcpy(&plugin->product_copies[i], exported[i], sizeof(struct pn_product));
        plugin->products[i] = &plugin->product_copies[i];
        if (!product_fits(plugin, i))
            return error_set(err, RC_CONFIG, "%s has a broken product table: product \"%s\"", plugin->file, exported[i]->name);
    }
    return RC_OK;
}

/* ---- tables of calls */

/* The first 0.1 layouts are the least that there can be. */
static enum rc take_channel(struct plugin *plugin, struct error *err)
{
    const struct pn_channel *table = plugin->descriptor.channel;
    if (!table || table->size < sizeof(struct pn_channel))
        return error_set(err, RC_CONFIG, "%s has a broken descriptor (its channel table)", plugin->file);
    memcpy(&plugin->channel, table, sizeof plugin->channel);
    if (!table->open || !table->request || !table->notification || !table->reply)
        return error_set(err, RC_CONFIG, "%s lacks a call that every channel has (open, request, notification, reply)", plugin->file);
    return take_products(plugin, err);
}

static enum rc take_sink(struct plugin *plugin, struct error *err)
{
    const struct pn_sink *table = plugin->descriptor.sink;
    if (!table || table->size < sizeof(struct pn_sink))
        return error_set(err, RC_CONFIG, "%s has a broken descriptor (its sink table)", plugin->file);
    memcpy(&plugin->sink, table, sizeof plugin->sink);
    if (!table->open || !table->submit || !table->pump)
        return error_set(err, RC_CONFIG, "%s lacks a call that every sink has (open, submit, pump)", plugin->file);
    return RC_OK;
}

enum rc descriptor_take(struct plugin *plugin, const struct pn_plugin *exported, enum pn_kind wanted, struct error *err)
{
    enum rc rc = check_head(plugin->file, exported, wanted, err);
    if (rc != RC_OK)
        return rc;
    size_t size = exported->desc_size < sizeof plugin->descriptor ? exported->desc_size : sizeof plugin->descriptor;
    memcpy(&plugin->descriptor, exported, size);
    rc = take_options(plugin, err);
    if (rc != RC_OK)
        return rc;
    return wanted == PN_KIND_CHANNEL ? take_channel(plugin, err) : take_sink(plugin, err);
}

void descriptor_free(struct plugin *plugin)
{
    free(plugin->options);
    free(plugin->product_copies);
    free(plugin->products);
}
