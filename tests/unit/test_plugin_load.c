/*
 * What the loader takes and what it refuses, by real files and by descriptors.
 */
#include "unit.h"

#include <stdio.h>
#include <sys/stat.h>

#include "plugin/internal.h"
#include "scratch.h"

static const char *refusal(const char *file, enum pn_kind kind)
{
    static struct error err;
    struct plugin *plugin = NULL;
    memset(&err, 0, sizeof err);
    assert_int_equal(plugin_load(file, test_plugin_dir(), kind, &plugin, &err), RC_CONFIG);
    assert_null(plugin);
    assert_null(strchr(err.text, '\n'));
    return err.text;
}

static void a_good_plugin_is_loaded_once_by_name_or_path(void **state)
{
    struct plugin *plugin, *again;
    struct error err;
    (void) state;
    assert_int_equal(plugin_load("good-channel", test_plugin_dir(), PN_KIND_CHANNEL, &plugin, &err), RC_OK);
    assert_string_equal(plugin_descriptor(plugin)->name, "good-channel");
    assert_int_equal(plugin_descriptor(plugin)->option_count, 8);
    assert_int_equal(plugin_load(test_plugin("good-channel"), "/nowhere", PN_KIND_CHANNEL, &again, &err), RC_OK);
    assert_ptr_equal(plugin, again);
    assert_non_null(strstr(refusal("good-channel", PN_KIND_SINK), "is a channel plugin (wanted a sink plugin)"));
}

static void an_unknown_name_is_refused_with_the_nearest_one(void **state)
{
    (void) state;
    assert_non_null(strstr(refusal("good-chanel", PN_KIND_CHANNEL), "did you mean \"good-channel\"?"));
    assert_non_null(strstr(refusal("something-else-entirely", PN_KIND_CHANNEL), "there is no "));
    assert_non_null(strstr(refusal("/nowhere/at/all.so", PN_KIND_CHANNEL), "cannot open /nowhere/at/all.so"));
    assert_non_null(strstr(refusal("/tmp/", PN_KIND_CHANNEL), "is not a file"));
}

static void a_file_without_the_symbol_is_refused(void **state)
{
    (void) state;
    assert_non_null(strstr(refusal("no-symbol", PN_KIND_CHANNEL), "exports no symbol \"pn_plugin\""));
}

static void another_abi_is_refused_by_its_head_alone(void **state)
{
    (void) state;
    char want[64];
    (void) snprintf(want, sizeof want, "(wanted %d.%d, found %d.0)", PN_ABI_MAJOR, PN_ABI_MINOR, PN_ABI_MAJOR + 1);
    assert_non_null(strstr(refusal("other-abi", PN_KIND_CHANNEL), want));
}

static void a_wrong_kind_is_refused(void **state)
{
    (void) state;
    assert_non_null(strstr(refusal("good-sink", PN_KIND_CHANNEL), "is a sink plugin (wanted a channel plugin)"));
}

static void what_is_not_a_library_is_refused(void **state)
{
    (void) state;
    assert_non_null(strstr(refusal(scratch_write("paynotify-empty.so", 0700, ""), PN_KIND_SINK), "is not a shared object"));
    assert_non_null(strstr(refusal(scratch_write("paynotify-text.so", 0700, "#!/bin/sh\n"), PN_KIND_SINK), "is not a shared object"));
    assert_non_null(strstr(refusal("/proc/self/exe", PN_KIND_SINK), "/proc/self/exe"));
}

/* At every length: a cut that the check overlooked would end this process by SIGBUS. */
static void a_file_cut_anywhere_is_refused(void **state)
{
    (void) state;
    FILE *file = fopen(test_plugin("good-sink"), "rb");
    assert_non_null(file);
    static char bytes[1 << 20];
    size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    assert_true(size > 1000 && size < sizeof bytes);
    for (size_t cut = 0; cut < size; cut += cut < 200 ? 1 : 97)
        refusal(scratch_write_bytes("paynotify-cut.so", 0700, bytes, cut), PN_KIND_SINK);
    assert_non_null(strstr(refusal(scratch_write_bytes("paynotify-cut.so", 0700, bytes, size - 1), PN_KIND_SINK), "is not whole"));
}

static void another_machine_is_refused(void **state)
{
    (void) state;
    FILE *file = fopen(test_plugin("good-sink"), "rb");
    assert_non_null(file);
    static char bytes[1 << 20];
    size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    bytes[18] = 0x7f; /* e_machine */
    assert_non_null(strstr(refusal(scratch_write_bytes("paynotify-other.so", 0700, bytes, size), PN_KIND_SINK), "another machine"));
}

/* ---- descriptors */

struct settings {
    struct pn_str text;
    int64_t number;
};

static int never_called(void)
{
    return PN_INTERNAL;
}

struct sample {
    struct pn_option options[3];
    struct pn_product product;
    const struct pn_product *products[2];
    struct pn_channel channel;
    struct pn_plugin plugin;
};

static void sample_init(struct sample *sample)
{
    *sample = (struct sample){
        .options = { { "text", PN_OPT_STRING, 0, offsetof(struct settings, text), NULL, NULL, 0, 0, "a text" },
                     { "number", PN_OPT_INTEGER, 0, offsetof(struct settings, number), "3", NULL, 1, 5, "a number" } },
        .product = { sizeof(struct pn_product), PN_PREPAY_FORM, "page", "页", "page", NULL, "CNY|USD" },
        .channel = { .size = sizeof(struct pn_channel) },
        .plugin = { PN_PLUGIN_HEAD(PN_KIND_CHANNEL, struct settings, "sample", "1"), .summary = "s", .option_count = 2 },
    };
    sample->products[0] = &sample->product;
    sample->channel.products = sample->products;
    memcpy(&sample->channel.open, &(void *){ (void *) never_called }, sizeof(void *));
    memcpy(&sample->channel.request, &(void *){ (void *) never_called }, sizeof(void *));
    memcpy(&sample->channel.notification, &(void *){ (void *) never_called }, sizeof(void *));
    memcpy(&sample->channel.reply, &(void *){ (void *) never_called }, sizeof(void *));
    sample->plugin.options = sample->options;
    sample->plugin.channel = &sample->channel;
}

static bool taken(const struct sample *sample)
{
    struct plugin plugin = { .file = (char *) (uintptr_t) "sample.so" };
    struct error err = { 0 };
    enum rc rc = descriptor_take(&plugin, &sample->plugin, PN_KIND_CHANNEL, &err);
    descriptor_free(&plugin);
    assert_true(rc == RC_OK || (rc == RC_CONFIG && strstr(err.text, "sample.so")));
    return rc == RC_OK;
}

#define REFUSES(change_)              \
    do {                              \
        struct sample sample;         \
        sample_init(&sample);         \
        change_;                      \
        assert_false(taken(&sample)); \
    } while (0)

static void a_sound_descriptor_is_taken_and_copied(void **state)
{
    struct sample sample;
    struct plugin plugin = { .file = (char *) (uintptr_t) "sample.so" };
    (void) state;
    sample_init(&sample);
    assert_int_equal(descriptor_take(&plugin, &sample.plugin, PN_KIND_CHANNEL, NULL), RC_OK);
    assert_string_equal(plugin.products[0]->name, "page");
    assert_null(plugin.products[1]);
    assert_ptr_not_equal(plugin.products[0], &sample.product);
    assert_ptr_equal(plugin.descriptor.options, plugin.options);
    descriptor_free(&plugin);
}

static void a_larger_option_struct_of_a_newer_plugin_is_read_by_its_own_stride(void **state)
{
    struct { struct pn_option option; char newer[24]; } wide[2];
    struct sample sample;
    struct plugin plugin = { .file = (char *) (uintptr_t) "sample.so" };
    (void) state;
    sample_init(&sample);
    memset(wide, 0xee, sizeof wide);
    wide[0].option = sample.options[0];
    wide[1].option = sample.options[1];
    sample.plugin.options = &wide[0].option;
    sample.plugin.option_size = sizeof wide[0];
    assert_int_equal(descriptor_take(&plugin, &sample.plugin, PN_KIND_CHANNEL, NULL), RC_OK);
    assert_string_equal(plugin.options[1].name, "number");
    descriptor_free(&plugin);
}

static void a_broken_head_is_refused(void **state)
{
    (void) state;
    REFUSES(sample.plugin.magic ^= 1);
    REFUSES(sample.plugin.abi_major++);
    REFUSES(sample.plugin.abi_minor++);
    REFUSES(sample.plugin.kind = 7);
    REFUSES(sample.plugin.desc_size = 8);
    REFUSES(sample.plugin.option_size = 8);
    REFUSES(sample.plugin.settings_size = 1 << 30);
    REFUSES(sample.plugin.name = NULL);
    REFUSES(sample.plugin.name = "Not a name");
    REFUSES(sample.plugin.version = NULL);
    REFUSES(sample.plugin.channel = NULL);
    REFUSES(sample.channel.size--);
    REFUSES(sample.channel.request = NULL);
}

static void a_broken_option_table_is_refused(void **state)
{
    (void) state;
    REFUSES(sample.plugin.options = NULL);
    REFUSES(sample.plugin.option_count = 100000);
    REFUSES(sample.options[0].name = NULL);
    REFUSES(sample.options[0].name = "with space");
    REFUSES(sample.options[0].name = "number");
    REFUSES(sample.options[1].name = "text_file"); /* would hide the file form of the first */
    REFUSES(sample.options[0].type = 0);
    REFUSES(sample.options[0].type = 99);
    REFUSES(sample.options[0].flags = 64);
    REFUSES(sample.options[0].offset = 4);
    REFUSES(sample.options[0].offset = 16);
    REFUSES(sample.options[0].offset = SIZE_MAX - 7);
    REFUSES(sample.options[1].offset = 8); /* overlaps */
    REFUSES(sample.options[1].default_text = "9"); /* beyond its own bounds */
    REFUSES(sample.options[1].default_text = "x");
    REFUSES(sample.options[1].flags = PN_OPT_REQUIRED); /* and a default */
    REFUSES(sample.options[0].type = PN_OPT_ENUM); /* without choices */
    REFUSES(sample.options[0].help = NULL);
    REFUSES(sample.options[0].help = "two\nlines");
}

static void a_broken_product_table_is_refused(void **state)
{
    (void) state;
    REFUSES(sample.channel.products = NULL);
    REFUSES(sample.products[0] = NULL);
    REFUSES(sample.product.size--);
    REFUSES(sample.product.name = NULL);
    REFUSES(sample.product.name = "A page");
    REFUSES(sample.product.prepay_kind = PN_PREPAY_NONE);
    REFUSES(sample.product.prepay_kind = 99);
    REFUSES(sample.product.label_zh = NULL);
    REFUSES(sample.product.label_en = "\xff");
    REFUSES(sample.product.currencies = NULL);
    REFUSES(sample.product.currencies = "CNY|RMB");
    REFUSES(sample.product.currencies = "CNY|");
}

static int set_up(void **state)
{
    (void) state;
    scratch_make();
    return 0;
}

static int tear_down(void **state)
{
    (void) state;
    scratch_remove();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_plugin_is_loaded_once_by_name_or_path),
        cmocka_unit_test(an_unknown_name_is_refused_with_the_nearest_one),
        cmocka_unit_test(a_file_without_the_symbol_is_refused),
        cmocka_unit_test(another_abi_is_refused_by_its_head_alone),
        cmocka_unit_test(a_wrong_kind_is_refused),
        cmocka_unit_test(what_is_not_a_library_is_refused),
        cmocka_unit_test(a_file_cut_anywhere_is_refused),
        cmocka_unit_test(another_machine_is_refused),
        cmocka_unit_test(a_sound_descriptor_is_taken_and_copied),
        cmocka_unit_test(a_larger_option_struct_of_a_newer_plugin_is_read_by_its_own_stride),
        cmocka_unit_test(a_broken_head_is_refused),
        cmocka_unit_test(a_broken_option_table_is_refused),
        cmocka_unit_test(a_broken_product_table_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
