/*
 * paynotify.conf as sections and keys that know where they stand. Reads the file and its include_dir with inih, refuses
 * what inih would silently cut or glue (see design: lines over 199 bytes, indented continuation lines, " ;" inside
 * values), and expands ${NAME} from the environment. Start-up only, one thread.
 */
#ifndef PN_CONFIG_INI_H
#define PN_CONFIG_INI_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"

struct ini_key {
    const char *name;
    const char *value; /* after ${} expansion; NULL: given, but broken, and the fault is already reported */
    const char *file;  /* as the admin would type it, for messages */
    int line;
    bool from_env;     /* the whole value came from the environment */
    bool used;         /* set by whoever understood it; the rest is reported as unknown */
};

struct ini_section {
    const char *kind; /* "channel" of [channel main] */
    const char *name; /* "main"; "" for [server] */
    const char *file;
    int line;
    struct ini_key *keys;
    size_t key_count;
};

struct ini {
    struct arena *arena;
    const char *dir; /* of the main file: relative paths start there */
    struct ini_section *sections;
    size_t section_count;
};

/* All faults of a configuration, one line each: "paynotify.conf:14: [channel main] unknown key …". */
struct faults {
    struct buf text;
    size_t count;
};
void fault_add(struct faults *faults, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void faults_free(struct faults *faults);

/* Reads `path`. Faults of syntax are added; the sections that could be read are returned all the same, so that their
 * faults are found too. RC_CONFIG when the file itself cannot be read (then *ret_ini is NULL and the fault is added). */
enum rc ini_read(const char *path, struct faults *faults, struct ini **ret_ini);
void ini_free(struct ini *ini);

struct ini_key *ini_find(struct ini_section *section, const char *name); /* marks it used; NULL when absent */

#endif
