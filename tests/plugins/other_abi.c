/*
 * A plugin of another major ABI, for a test of the loader: nothing behind its head may be looked at.
 */
#include <paynotify/plugin.h>

const struct pn_plugin pn_plugin = {
    .magic = PN_PLUGIN_MAGIC,
    .abi_major = PN_ABI_MAJOR + 1,
    .abi_minor = 0,
    .kind = PN_KIND_CHANNEL,
    .desc_size = 1,
    .option_size = 1,
    .settings_size = 0xffffffff,
    .name = "other-abi",
    .version = "9",
};
