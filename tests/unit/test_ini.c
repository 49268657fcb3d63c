/*
 * The reader of paynotify.conf: lines, sections, drop-ins and the environment.
 */
#include "unit.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/ini.h"
#include "scratch.h"

static struct faults faults;
static struct ini *ini;

static void read_text(const char *text)
{
    ini_free(ini);
    faults_free(&faults);
    ini = NULL;
    assert_int_equal(ini_read(scratch_write("test.conf", 0600, text), &faults, &ini), RC_OK);
}

static struct ini_section *section(const char *kind, const char *name)
{
    for (size_t i = 0; i < ini->section_count; i++)
        if (strcmp(ini->sections[i].kind, kind) == 0 && strcmp(ini->sections[i].name, name) == 0)
            return &ini->sections[i];
    fail_msg("no [%s %s]", kind, name);
    return NULL;
}

static void expect_key(const char *kind, const char *name, const char *key, const char *value, int line)
{
    const struct ini_key *found = ini_find(section(kind, name), key);
    assert_non_null(found);
    assert_string_equal(found->value, value);
    assert_int_equal(found->line, line);
}

/* Exactly one fault, at that line of test.conf. */
static void expect_fault(const char *text, int line, const char *what)
{
    char at[32];
    read_text(text);
    snprintf(at, sizeof at, "test.conf:%d: ", line);
    if (faults.count != 1 || !strstr(buf_text(&faults.text), at) || !strstr(buf_text(&faults.text), what))
        fail_msg("wanted one fault \"%s%s\", found:\n%s", at, what, buf_text(&faults.text));
}

static void every_key_knows_its_section_and_line(void **state)
{
    (void) state;
    read_text("\xef\xbb\xbf# comment\n\n[server]\r\na=1\r\n b\n; c\n[ channel   main ]\n  ; indented comment\nkey =  two words \t\nurl=a=b:c;d#e\nempty =\nlast = 1");
    assert_int_equal(faults.count, 1); /* the indented " b" */
    expect_key("server", "", "a", "1", 4);
    expect_key("channel", "main", "key", "two words", 9);
    expect_key("channel", "main", "url", "a=b:c;d#e", 10);
    expect_key("channel", "main", "empty", "", 11);
    expect_key("channel", "main", "last", "1", 12);
    assert_int_equal(section("channel", "main")->line, 7);
    assert_null(ini_find(section("server", ""), "nothing"));
}

static void a_comment_behind_a_value_ends_it(void **state)
{
    (void) state;
    read_text("[server]\na = 1 ; one\nb = 2\t;\nc = ; nothing\n");
    assert_int_equal(faults.count, 0);
    expect_key("server", "", "a", "1", 2);
    expect_key("server", "", "b", "2", 3);
    expect_key("server", "", "c", "", 4);
}

static void what_inih_would_cut_or_glue_is_refused(void **state)
{
    char text[600];
    (void) state;
    expect_fault("[server]\na = pass ;word\n", 2, "\" ;\" ends a value");
    expect_fault("[server]\na = 1 # one\n", 2, "\" #\" begins no comment");
    expect_fault("[server]\na = 1\n  b\n", 3, "indented");
    expect_fault("[server]\na = 1\n\tb = 2\n", 3, "indented");
    snprintf(text, sizeof text, "[server]\nkey = %0*d\n", 193, 0); /* 199 bytes */
    expect_fault(text, 2, "longer than 198 bytes");
    snprintf(text, sizeof text, "[server]\nkey = %0*d\n", 192, 0);
    read_text(text);
    assert_int_equal(faults.count, 0);
    assert_int_equal(strlen(ini_find(section("server", ""), "key")->value), 192);
    snprintf(text, sizeof text, "[channel %0*d]\n", 42, 0); /* 50 bytes */
    expect_fault(text, 1, "section name of 1 to 49 bytes");
    snprintf(text, sizeof text, "[server]\n%0*d = 1\n", 50, 0);
    expect_fault(text, 2, "longer than 49 bytes");
    snprintf(text, sizeof text, "[server]\n# %0*d\n", 500, 0); /* a comment may be long */
    read_text(text);
    assert_int_equal(faults.count, 0);
}

static void what_inih_would_guess_is_refused(void **state)
{
    (void) state;
    expect_fault("[server]\nkey value\n", 2, "wanted key = value");
    expect_fault("[server]\nkey: value\n", 2, "wanted key = value");
    expect_fault("[server]\n= value\n", 2, "wanted a key before the =");
    expect_fault("[server\na = 1\n", 1, "wanted [section]");
    expect_fault("[server] a = 1\n", 1, "wanted [section]");
    expect_fault("[]\n", 1, "section name of 1 to 49");
    expect_fault("a = 1\n", 1, "before the first [section]");
    expect_fault("[server]\na = \xff\n", 2, "UTF-8");
}

static void repeated_sections_and_keys_name_the_first_one(void **state)
{
    (void) state;
    expect_fault("[app x]\na = 1\n[app y]\n[app  x]\na = 2\nb = 3\n", 4, "the first is at ");
    expect_fault("[app x]\na = 1\nb = 2\na = 3\n", 4, "[app x] \"a\" stands a second time; the first is at line 2");
    expect_key("app", "x", "a", "1", 2);
}

static void the_environment_is_expanded(void **state)
{
    (void) state;
    setenv("PN_TEST_A", "one", 1);
    setenv("PN_TEST_B", "two\nlines", 1);
    unsetenv("PN_TEST_NONE");
    read_text("[server]\na = ${PN_TEST_A}\nb = x${PN_TEST_A}y${PN_TEST_A}\nc = $5 $ {a}\nd = ${PN_TEST_B}\n");
    assert_int_equal(faults.count, 0);
    expect_key("server", "", "a", "one", 2);
    expect_key("server", "", "b", "xoneyone", 3);
    expect_key("server", "", "c", "$5 $ {a}", 4);
    expect_key("server", "", "d", "two\nlines", 5);
    assert_true(ini_find(section("server", ""), "a")->from_env);
    assert_false(ini_find(section("server", ""), "b")->from_env);
    expect_fault("[server]\na = ${PN_TEST_NONE}\n", 2, "[server] a: ${PN_TEST_NONE} is not set");
    expect_fault("[server]\na = secret${oops\n", 2, "wanted ${NAME}");
    assert_null(strstr(buf_text(&faults.text), "oops"));
}

static void drop_ins_are_read_in_order_of_their_names(void **state)
{
    (void) state;
    mkdir(scratch_path("conf.d"), 0700);
    scratch_write("conf.d/20-b.conf", 0600, "[app b]\nx = 2\n");
    scratch_write("conf.d/10-a.conf", 0600, "\n[app a]\nx = 1\n");
    scratch_write("conf.d/.hidden.conf", 0600, "nonsense");
    scratch_write("conf.d/readme.txt", 0600, "nonsense");
    read_text("[server]\ninclude_dir = conf.d\n");
    assert_int_equal(faults.count, 0);
    assert_int_equal(ini->section_count, 3);
    assert_string_equal(ini->sections[1].name, "a");
    assert_string_equal(ini->sections[2].name, "b");
    expect_key("app", "a", "x", "1", 3);
    assert_non_null(strstr(section("app", "a")->file, "conf.d/10-a.conf"));
    scratch_write("conf.d/30-c.conf", 0600, "[app a]\n");
    read_text("[server]\ninclude_dir = conf.d\n");
    assert_non_null(strstr(buf_text(&faults.text), "30-c.conf:1: [app a] stands a second time"));
    expect_fault("[server]\ninclude_dir = nowhere\n", 2, "[server] include_dir: cannot read ");
}

static void a_file_that_cannot_be_read_is_one_fault(void **state)
{
    struct ini *none = NULL;
    (void) state;
    faults_free(&faults);
    assert_int_equal(ini_read(scratch_path("missing.conf"), &faults, &none), RC_CONFIG);
    assert_int_equal(ini_read("/tmp", &faults, &none), RC_CONFIG);
    assert_int_equal(faults.count, 2);
    assert_null(none);
}

static void faults_stay_on_one_line_each(void **state)
{
    (void) state;
    faults_free(&faults);
    fault_add(&faults, "f", 3, "%s", "a\nb\x1b[2J");
    fault_add(&faults, "f", 0, "c");
    assert_string_equal(buf_text(&faults.text), "f:3: a?b?[2J\nf: c\n");
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
    ini_free(ini);
    faults_free(&faults);
    scratch_remove();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_knows_its_section_and_line),
        cmocka_unit_test(a_comment_behind_a_value_ends_it),
        cmocka_unit_test(what_inih_would_cut_or_glue_is_refused),
        cmocka_unit_test(what_inih_would_guess_is_refused),
        cmocka_unit_test(repeated_sections_and_keys_name_the_first_one),
        cmocka_unit_test(the_environment_is_expanded),
        cmocka_unit_test(drop_ins_are_read_in_order_of_their_names),
        cmocka_unit_test(a_file_that_cannot_be_read_is_one_fault),
        cmocka_unit_test(faults_stay_on_one_line_each),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
