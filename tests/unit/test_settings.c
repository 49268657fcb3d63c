/*
 * A section of paynotify.conf by a plugin's options table: every type, files, secrets, and what is refused.
 */
#include "unit.h"

#include <stdio.h>

#include "base/buf.h"
#include "plugin/registry.h"
#include "scratch.h"

/* The same as in tests/plugins/good_channel.c. */
struct settings {
    struct pn_str app_id, gateway, mode, key;
    struct pn_list tags;
    int64_t limit, quick, wait_ms;
};

static struct plugin *plugin;
static struct arena *arena;
static struct buf faults;
static size_t fault_count;

static void note_fault(void *arg, const struct setting *at, const char *text)
{
    (void) arg;
    buf_addf(&faults, "%d: %s\n", at ? at->line : 0, text);
    fault_count++;
}

/* Pairs of key and value; their place is their line. NULL when there were faults. */
static const struct settings *fill(const char *const *pairs)
{
    static const char *const reserved[] = { "plugin", "timeout", NULL };
    struct setting settings[16];
    void *filled = NULL;
    size_t count = 0;
    for (; pairs[0]; pairs += 2, count++)
        settings[count] = (struct setting){ .key = pairs[0], .value = pairs[1], .line = (int) count + 1, .file = "test",
                                            .from_env = pairs[1] && strncmp(pairs[1], "env:", 4) == 0 };
    buf_clear(&faults);
    fault_count = 0;
    enum rc rc = settings_fill(plugin, settings, count, reserved, scratch_path(""), arena, note_fault, NULL, &filled);
    assert_int_equal(rc, fault_count ? RC_CONFIG : RC_OK);
    assert_true(rc == RC_OK || !filled);
    return filled;
}

#define FILL(...) fill((const char *const[]){ "app_id", "2021", __VA_ARGS__ __VA_OPT__(, ) NULL })

/* One fault, at line 2. */
static void expect_fault(const char *key, const char *value, const char *what)
{
    FILL(key, value);
    if (fault_count != 1 || strncmp(buf_text(&faults), "2: ", 3) != 0 || !strstr(buf_text(&faults), what))
        fail_msg("wanted \"%s\", found:\n%s", what, buf_text(&faults));
}

static bool is(struct pn_str str, const char *chars)
{
    return str.len == strlen(chars) && memcmp(str.data, chars, str.len) == 0;
}

static void defaults_stand_where_nothing_is_given(void **state)
{
    (void) state;
    const struct settings *settings = FILL();
    assert_non_null(settings);
    assert_true(is(settings->app_id, "2021"));
    assert_true(is(settings->gateway, "https://gateway.example/"));
    assert_true(is(settings->mode, "plain"));
    assert_null(settings->key.data);
    assert_int_equal(settings->tags.count, 0);
    assert_int_equal(settings->limit, 5);
    assert_int_equal(settings->quick, 0);
    assert_int_equal(settings->wait_ms, 250);
}

static void every_type_is_read(void **state)
{
    (void) state;
    const struct settings *settings = FILL("gateway", "http://[::1]:80/x?y", "mode", "fancy", "tags", " a ,b c,d", "limit", "10", "quick",
                                           "on", "wait", "1m", "plugin", "x", "timeout", "1s");
    assert_non_null(settings);
    assert_true(is(settings->gateway, "http://[::1]:80/x?y"));
    assert_true(is(settings->mode, "fancy"));
    assert_int_equal(settings->tags.count, 3);
    assert_true(is(settings->tags.items[1], "b c"));
    assert_int_equal(settings->limit, 10);
    assert_int_equal(settings->quick, 1);
    assert_int_equal(settings->wait_ms, 60000);
}

static void malformed_values_are_refused_with_what_was_wanted(void **state)
{
    (void) state;
    expect_fault("limit", "0", "wanted 1 to 10, found \"0\"");
    expect_fault("limit", "11", "wanted 1 to 10");
    expect_fault("limit", "3.0", "wanted a whole number");
    expect_fault("limit", "0x3", "wanted a whole number");
    expect_fault("limit", " 3", "wanted a whole number");
    expect_fault("limit", "99999999999999999999", "wanted a whole number");
    expect_fault("limit", "", "has no value");
    expect_fault("quick", "maybe", "wanted true or false");
    expect_fault("quick", "TRUE", "wanted true or false");
    expect_fault("wait", "10", "wanted a duration");
    expect_fault("wait", "10 s", "wanted a duration");
    expect_fault("wait", "-1s", "wanted a duration");
    expect_fault("wait", "61s", "wanted 0 to 60000 ms");
    expect_fault("wait", "9223372036854775807d", "wanted a duration");
    expect_fault("mode", "Plain", "wanted one of plain, fancy");
    expect_fault("mode", "plain|fancy", "wanted one of plain, fancy");
    expect_fault("gateway", "gateway.example", "wanted an absolute URL");
    expect_fault("gateway", "https://", "wanted an absolute URL");
    expect_fault("gateway", "https:///x", "wanted an absolute URL");
    expect_fault("gateway", "ftp://x", "http|https");
    expect_fault("gateway", "https://x y", "without spaces");
    expect_fault("tags", "a,,b", "single commas");
    expect_fault("tags", "a,", "single commas");
    expect_fault("tags", "\xff", "UTF-8");
}

static void unknown_keys_say_what_was_meant(void **state)
{
    (void) state;
    expect_fault("gatway", "x", "unknown key \"gatway\"; did you mean \"gateway\"?");
    expect_fault("keyfile", "x", "did you mean \"key_file\"?");
    expect_fault("timout", "x", "did you mean \"timeout\"?");
    expect_fault("limit_file", "x", "unknown key \"limit_file\""); /* a number is not read from a file */
    expect_fault("something", "x", "; there are app_id, app_id_file, key, key_file, gateway, ");
    assert_null(fill((const char *const[]){ "appid", "1", NULL })); /* one fault, not also "missing" */
    assert_string_equal(buf_text(&faults), "1: unknown key \"appid\"; did you mean \"app_id\"?\n");
}

static void missing_and_doubled_keys_are_refused(void **state)
{
    (void) state;
    assert_null(fill((const char *const[]){ NULL }));
    assert_string_equal(buf_text(&faults), "0: missing key \"app_id\": the merchant's number\n");
    expect_fault("app_id_file", "x", "say the same thing");
    assert_null(fill((const char *const[]){ "app_id", "", NULL }));
    assert_string_equal(buf_text(&faults), "1: app_id: has no value\n");
}

static void files_are_read_without_their_last_line_break(void **state)
{
    (void) state;
    scratch_write("id", 0644, "20 21\r\n");
    scratch_write_bytes("key", 0600, "a\0b\n", 4);
    const struct settings *settings = fill((const char *const[]){ "app_id_file", "id", "key_file", scratch_path("key"), NULL });
    assert_non_null(settings);
    assert_true(is(settings->app_id, "20 21"));
    assert_int_equal(settings->key.len, 4); /* bytes stay as they are */
    assert_memory_equal(settings->key.data, "a\0b\n", 5);
}

static void files_that_are_missing_empty_or_no_files_are_refused(void **state)
{
    (void) state;
    scratch_write("empty", 0600, "");
    scratch_write_bytes("nul", 0600, "a\0b", 3);
    assert_null(fill((const char *const[]){ "app_id_file", "missing", NULL }));
    assert_non_null(strstr(buf_text(&faults), "app_id_file: cannot read "));
    assert_null(fill((const char *const[]){ "app_id_file", "empty", NULL }));
    assert_non_null(strstr(buf_text(&faults), " is empty"));
    assert_null(fill((const char *const[]){ "app_id_file", "nul", NULL }));
    assert_non_null(strstr(buf_text(&faults), "NUL byte"));
    assert_null(fill((const char *const[]){ "app_id_file", "/tmp", NULL }));
    assert_non_null(strstr(buf_text(&faults), "is not a file"));
    assert_null(fill((const char *const[]){ "app_id_file", "", NULL }));
    assert_non_null(strstr(buf_text(&faults), "wanted the path of a file"));
}

static void secrets_are_not_taken_from_the_file_itself_nor_from_files_that_others_read(void **state)
{
    static const int open_modes[] = { 0640, 0604, 0660, 0601 };
    (void) state;
    expect_fault("key", "-----BEGIN", "a secret does not belong in this file; use key_file = PATH or key = ${NAME}");
    assert_null(strstr(buf_text(&faults), "BEGIN"));
    for (size_t i = 0; i < sizeof open_modes / sizeof open_modes[0]; i++) {
        scratch_write("open", open_modes[i], "secret");
        expect_fault("key_file", "open", "chmod 600");
    }
    const struct settings *settings = FILL("key", "env:secret");
    assert_non_null(settings);
    assert_true(is(settings->key, "env:secret"));
}

static void a_key_that_the_reader_already_refused_is_not_refused_again(void **state)
{
    void *filled = NULL;
    struct setting broken = { .key = "app_id", .value = NULL, .line = 1, .file = "test" };
    (void) state;
    fault_count = 0;
    assert_int_equal(settings_fill(plugin, &broken, 1, NULL, "/", arena, note_fault, NULL, &filled), RC_CONFIG);
    assert_int_equal(fault_count, 0);
}

static void a_plugin_may_not_take_a_key_of_the_server(void **state)
{
    static const char *const reserved[] = { "limit", NULL };
    void *filled = NULL;
    (void) state;
    buf_clear(&faults);
    assert_int_equal(settings_fill(plugin, NULL, 0, reserved, "/", arena, note_fault, NULL, &filled), RC_CONFIG);
    assert_non_null(strstr(buf_text(&faults), "option \"limit\", which is a key of the server's own"));
}

static int set_up(void **state)
{
    (void) state;
    scratch_make();
    arena = arena_new(0);
    return plugin_load("good-channel", test_plugin_dir(), PN_KIND_CHANNEL, &plugin, NULL);
}

static int tear_down(void **state)
{
    (void) state;
    arena_free(arena);
    buf_free(&faults);
    scratch_remove();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_stand_where_nothing_is_given),
        cmocka_unit_test(every_type_is_read),
        cmocka_unit_test(malformed_values_are_refused_with_what_was_wanted),
        cmocka_unit_test(unknown_keys_say_what_was_meant),
        cmocka_unit_test(missing_and_doubled_keys_are_refused),
        cmocka_unit_test(files_are_read_without_their_last_line_break),
        cmocka_unit_test(files_that_are_missing_empty_or_no_files_are_refused),
        cmocka_unit_test(secrets_are_not_taken_from_the_file_itself_nor_from_files_that_others_read),
        cmocka_unit_test(a_key_that_the_reader_already_refused_is_not_refused_again),
        cmocka_unit_test(a_plugin_may_not_take_a_key_of_the_server),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
