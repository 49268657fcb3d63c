/*
 * What the files of core/config share while a configuration is loaded. One thread, at start-up.
 */
#ifndef PN_CONFIG_LOAD_H
#define PN_CONFIG_LOAD_H

#include "config/config.h"
#include "config/tables.h"

struct loading {
    struct config *config;
    struct faults *faults;
    const char *path;
};

/* One section with its keys as settings. */
struct section_view {
    struct loading *loading;
    const char *title; /* "channel main" */
    const char *file;
    int line;
    struct setting *settings;
    size_t count;
};

void section_open(struct loading *loading, struct ini_section *section, const char *kind, struct section_view *ret);
/* Fills the struct of one of our tables. Keys in `others` belong to somebody else. NULL when there were faults. */
const void *section_fill(struct section_view *view, const struct option_table *table, const char *const *others);
/* A fault at `key` of the section, or at the section when it has no such key. */
void section_fault(const struct section_view *view, const char *key, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Reports a fault at `at`; fits setting_fault with a struct section_view. */
void section_setting_fault(void *view, const struct setting *at, const char *text);

/* A path as the admin meant it: relative ones start at the configuration file. NULL and "" are NULL. */
const char *path_from(struct loading *loading, const char *path);
/* The items of a list as C strings; NULL when empty. */
const char *const *names_of(struct loading *loading, struct pn_list list, size_t *ret_count);

void load_server(struct loading *loading, struct ini_section *section); /* NULL: not given, as below */
void load_store(struct loading *loading, struct ini_section *section);
void load_app(struct loading *loading, struct ini_section *section);
void load_channel(struct loading *loading, struct ini_section *section);
void load_sink(struct loading *loading, struct ini_section *section);
void check_names(struct loading *loading); /* apps and channels that lists name */

#endif
