/*
 * Signed links: what is signed verifies, anything else does not, keys can be rotated, and a key file that others can read
 * is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pay/link.h"

static char dir[] = "/tmp/pn-link-XXXXXX";
static char path[64];

static int make_dir(void **state)
{
    (void)state;
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof path, "%s/link.key", dir);
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(dir);
}

static void a_signature_verifies_only_what_it_was_made_for(void **state)
{
    (void)state;
    struct links *links;
    struct error err = { 0 };
    struct arena *arena = arena_new(0);
    assert_int_equal(links_open(path, &links, &err), RC_OK);
    char *signature = arena_strdup(arena, link_sign(links, "pay", 42, arena));
    assert_true(link_verify(links, "pay", 42, signature));
    assert_false(link_verify(links, "pay", 43, signature));
    assert_false(link_verify(links, "cashier", 42, signature));
    assert_false(link_verify(links, "pay", 42, NULL));
    assert_false(link_verify(links, "pay", 42, ""));
    for (size_t i = 0; signature[i]; i++) {
        char good = signature[i];
        signature[i] = good == '0' ? '1' : '0';
        assert_false(link_verify(links, "pay", 42, signature));
        signature[i] = good;
    }
    links_free(links);
    arena_free(arena);
}

static void a_restart_keeps_the_key_and_a_rotation_keeps_old_links(void **state)
{
    (void)state;
    struct links *links;
    struct error err = { 0 };
    struct arena *arena = arena_new(0);
    assert_int_equal(links_open(path, &links, &err), RC_OK);
    const char *old = link_sign(links, "pay", 42, arena);
    links_free(links);

    char key[128];
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(fgets(key, sizeof key, file));
    fclose(file);
    file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, "%064d\n%s", 7, key);
    fclose(file);

    assert_int_equal(links_open(path, &links, &err), RC_OK);
    assert_true(link_verify(links, "pay", 42, old));
    assert_string_not_equal(link_sign(links, "pay", 42, arena), old);
    links_free(links);
    arena_free(arena);
}

static void a_bad_key_file_is_named(void **state)
{
    (void)state;
    struct links *links = NULL;
    struct error err = { 0 };
    chmod(path, 0644);
    assert_int_equal(links_open(path, &links, &err), RC_CONFIG);
    assert_non_null(strstr(err.text, path));
    chmod(path, 0600);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("not a key\n", file);
    fclose(file);
    assert_int_equal(links_open(path, &links, &err), RC_CONFIG);
    assert_non_null(strstr(err.text, ":1:"));
    assert_int_equal(links_open("/proc/no such folder/link.key", &links, &err), RC_CONFIG);
    assert_string_equal(err.text, "link_key_file /proc/no such folder/link.key: cannot be made: No such file or directory");
    assert_null(links);
}

/* Nothing is left beside the file that was made. */
static void a_key_file_is_made_whole_and_alone(void **state)
{
    (void)state;
    struct links *links = NULL;
    struct error err = { 0 };
    char made[sizeof path + 8], pattern[sizeof path + 16];
    glob_t found;
    snprintf(made, sizeof made, "%s.new", path);
    assert_int_equal(links_open(made, &links, &err), RC_OK);
    links_free(links);
    snprintf(pattern, sizeof pattern, "%s*", made);
    assert_int_equal(glob(pattern, 0, NULL, &found), 0);
    assert_int_equal(found.gl_pathc, 1);
    globfree(&found);
    assert_int_equal(unlink(made), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_signature_verifies_only_what_it_was_made_for),
        cmocka_unit_test(a_restart_keeps_the_key_and_a_rotation_keeps_old_links),
        cmocka_unit_test(a_bad_key_file_is_named),
        cmocka_unit_test(a_key_file_is_made_whole_and_alone),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
