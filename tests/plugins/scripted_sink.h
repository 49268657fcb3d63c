/*
 * The other end of tests/plugins/scripted_sink.c: a test fills this struct with functions of its own and puts its address
 * into the plugin's settings, so that a test decides what a real, loaded sink does.
 */
#ifndef PN_TESTS_SCRIPTED_SINK_H
#define PN_TESTS_SCRIPTED_SINK_H

#include <paynotify/plugin.h>

struct script {
    const struct pn_host *host; /* set by open */
    int (*open)(struct script *script, struct pn_call *call); /* NULL: fine */
    int (*connect)(struct script *script, struct pn_call *call);
    int (*submit)(struct script *script, const struct pn_event *event, uint64_t ticket);
    int (*pump)(struct script *script, int64_t timeout_ms, int wake_fd);
    void (*interrupt)(struct script *script);
    void (*close)(struct script *script);
};

struct script_settings {
    int64_t script; /* the address of a struct script */
};

#endif
