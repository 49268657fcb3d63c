/*
 * Arenas, buffers and error texts.
 */
#include "unit.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"

static void arena_memory_is_zeroed_and_aligned_also_after_a_reset(void **state)
{
    struct arena *arena = arena_new(0);
    (void) state;
    for (int round = 0; round < 3; round++) {
        for (size_t n = 0; n < 3000; n += 7) {
            unsigned char *bytes = arena_alloc(arena, n);
            assert_non_null(bytes);
            assert_int_equal((uintptr_t) bytes % _Alignof(max_align_t), 0);
            for (size_t i = 0; i < n; i++)
                assert_int_equal(bytes[i], 0);
            memset(bytes, 0xa5, n);
        }
        assert_non_null(arena_alloc(arena, 1000000));
        arena_reset(arena);
        assert_int_equal(arena_used(arena), 0);
    }
    arena_free(arena);
    arena_free(NULL);
}

static void an_arena_refuses_beyond_its_limit_and_goes_on_below_it(void **state)
{
    struct arena *arena = arena_new(10000);
    volatile size_t huge = SIZE_MAX; /* volatile: the compiler warns of what this proves to be refused */
    (void) state;
    assert_non_null(arena_alloc(arena, 9000));
    assert_null(arena_alloc(arena, 2000));
    assert_null(arena_alloc(arena, huge));
    assert_null(arena_alloc(arena, huge - 8));
    assert_null(arena_strndup(arena, "", huge));
    assert_non_null(arena_alloc(arena, 500));
    arena_free(arena);
}

static void arena_texts_are_copies_with_an_end(void **state)
{
    struct arena *arena = arena_new(0);
    char text[] = "text";
    (void) state;
    char *copy = arena_strdup(arena, text), *part = arena_strndup(arena, text, 2);
    text[0] = 'n';
    assert_string_equal(copy, "text");
    assert_string_equal(part, "te");
    assert_null(arena_strdup(arena, NULL));
    assert_string_equal(arena_printf(arena, "%d-%s", 7, "x"), "7-x");
    char *wide = arena_printf(arena, "%5000d", 7);
    assert_int_equal(strlen(wide), 5000);
    assert_int_equal(wide[4999], '7');
    assert_memory_equal(arena_dup(arena, "ab", 2), "ab", 2);
    arena_free(arena);
}

static void a_buffer_grows_and_keeps_its_end(void **state)
{
    struct buf buf = { 0 };
    (void) state;
    assert_string_equal(buf_text(&buf), "");
    for (int i = 0; i < 1000; i++) {
        buf_addc(&buf, 'x');
        assert_int_equal(buf.data[buf.len], 0);
    }
    assert_int_equal(buf.len, 1000);
    buf_clear(&buf);
    buf_adds(&buf, "a");
    buf_addf(&buf, "%0300d", 1);
    buf_add(&buf, "\0b", 2);
    assert_int_equal(buf.len, 303);
    assert_false(buf.failed);
    buf_free(&buf);
    buf_adds(&buf, "again");
    assert_string_equal(buf_text(&buf), "again");
    buf_free(&buf);
}

static void a_buffer_stays_as_it_was_when_memory_fails(void **state)
{
    struct buf buf = { 0 };
    (void) state;
    buf_adds(&buf, "kept");
    buf_add(&buf, "x", SIZE_MAX / 2);
    assert_true(buf.failed);
    assert_string_equal(buf_text(&buf), "kept");
    buf_free(&buf);
    assert_false(buf.failed);
}

static void integers_are_written_in_full_range(void **state)
{
    struct buf buf = { 0 };
    (void) state;
    buf_add_i64(&buf, 0);
    buf_addc(&buf, ' ');
    buf_add_i64(&buf, INT64_MAX);
    buf_addc(&buf, ' ');
    buf_add_i64(&buf, INT64_MIN);
    assert_string_equal(buf_text(&buf), "0 9223372036854775807 -9223372036854775808");
    buf_free(&buf);
}

static void an_error_is_one_line_that_fits(void **state)
{
    struct error err;
    (void) state;
    assert_int_equal(error_set(&err, RC_CONFLICT, "%s", "two\nlines\x7f"), RC_CONFLICT);
    assert_string_equal(err.text, "two lines ");
    assert_string_equal(err.field, "");
    assert_int_equal(error_field(&err, RC_BAD_INPUT, "amount", "%600d", 1), RC_BAD_INPUT);
    assert_string_equal(err.field, "amount");
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    assert_int_equal(error_set(NULL, RC_FULL, "x"), RC_FULL);
}

static void an_error_may_be_made_from_itself_and_prefixed(void **state)
{
    struct error err;
    (void) state;
    error_set(&err, RC_TIMEOUT, "inner");
    error_set(&err, RC_TIMEOUT, "outer (%s)", err.text);
    assert_string_equal(err.text, "outer (inner)");
    error_prefix(&err, "file %d", 3);
    assert_string_equal(err.text, "file 3: outer (inner)");
    for (int i = 0; i < 100; i++)
        error_prefix(&err, "%s", "again and again");
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    assert_int_equal(err.rc, RC_TIMEOUT);
}

static void every_code_has_a_name_of_its_own(void **state)
{
    (void) state;
    for (int a = RC_INTERNAL; a <= RC_OK; a++)
        for (int b = RC_INTERNAL; b < a; b++)
            assert_string_not_equal(rc_name((enum rc) a), rc_name((enum rc) b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_memory_is_zeroed_and_aligned_also_after_a_reset),
        cmocka_unit_test(an_arena_refuses_beyond_its_limit_and_goes_on_below_it),
        cmocka_unit_test(arena_texts_are_copies_with_an_end),
        cmocka_unit_test(a_buffer_grows_and_keeps_its_end),
        cmocka_unit_test(a_buffer_stays_as_it_was_when_memory_fails),
        cmocka_unit_test(integers_are_written_in_full_range),
        cmocka_unit_test(an_error_is_one_line_that_fits),
        cmocka_unit_test(an_error_may_be_made_from_itself_and_prefixed),
        cmocka_unit_test(every_code_has_a_name_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
