/*
 * A directory of a test's own, with files that it writes; removed at the end.
 */
#ifndef PN_TESTS_SCRATCH_H
#define PN_TESTS_SCRATCH_H

/* Makes it; the path stays valid until scratch_remove. */
const char *scratch_make(void);
void scratch_remove(void);

/* The path of `name` in it, valid until the eighth call from now. */
const char *scratch_path(const char *name);
const char *scratch_write(const char *name, int mode, const char *text);
const char *scratch_write_bytes(const char *name, int mode, const void *bytes, unsigned long n);

/* The directory of the plugins of tests/plugins, and a file in it. */
const char *test_plugin_dir(void);
const char *test_plugin(const char *name);

#endif
