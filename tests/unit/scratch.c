/*
 * See scratch.h. Used by tests, one thread.
 */
#include "scratch.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[64];

const char *scratch_make(void)
{
    snprintf(directory, sizeof directory, "/tmp/paynotify-test-XXXXXX");
    if (!mkdtemp(directory))
        abort();
    return directory;
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void) st;
    (void) kind;
    (void) ftw;
    return remove(path);
}

void scratch_remove(void)
{
    nftw(directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static char *next_path(void)
{
    static char paths[8][4096];
    static unsigned turn;
    return paths[turn++ % 8];
}

const char *scratch_path(const char *name)
{
    char *path = next_path();
    snprintf(path, 4096, "%s/%s", directory, name);
    return path;
}

const char *scratch_write_bytes(const char *name, int mode, const void *bytes, unsigned long n)
{
    const char *path = scratch_path(name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || write(fd, bytes, n) != (ssize_t) n || fchmod(fd, (mode_t) mode) != 0)
        abort();
    close(fd);
    return path;
}

const char *scratch_write(const char *name, int mode, const char *text)
{
    return scratch_write_bytes(name, mode, text, strlen(text));
}

static const char *build_dir(void)
{
    const char *build = getenv("PN_BUILDDIR");
    return build ? build : ".";
}

const char *test_plugin_dir(void)
{
    char *path = next_path();
    snprintf(path, 4096, "%s/tests/plugins/.libs", build_dir());
    return path;
}

const char *test_plugin(const char *name)
{
    char *path = next_path();
    snprintf(path, 4096, "%s/tests/plugins/.libs/paynotify-%s.so", build_dir(), name);
    return path;
}
