/*
 * A host for plugins under test: calls whose memory comes piece by piece from malloc, so that AddressSanitizer sees every
 * overrun, whose clock stands still, and which remember how they failed. One thread per call.
 */
#ifndef TESTS_UNIT_PLUGIN_HOST_H
#define TESTS_UNIT_PLUGIN_HOST_H

#include <paynotify/plugin.h>
#include <stdbool.h>

struct pn_call {
    int64_t now_ms;
    size_t allocs_left; /* host->alloc gives NULL afterwards */
    int failures;       /* calls of host->fail */
    int rc;             /* of the last one */
    char field[64], text[512];
    void **pieces;
    size_t piece_count;
};

extern const struct pn_host plugin_host;

struct pn_call plugin_call(int64_t now_ms);
void plugin_call_free(struct pn_call *call); /* frees what it holds; it can then be used again */

/* Writes `value` into a settings struct where the plugin's options table puts the text option `name`. */
void plugin_setting(const struct pn_plugin *plugin, void *settings, const char *name, struct pn_str value);

/* Sets every text option that has a default. */
void plugin_defaults(const struct pn_plugin *plugin, void *settings);

#endif
