/*
 * What plugins share: base64, forms, amounts, Beijing time, encodings, small texts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/amount.h"
#include "common/base64.h"
#include "common/beijing.h"
#include "common/charset.h"
#include "common/form.h"
#include "common/str.h"

#define COUNT(array_) (sizeof(array_) / sizeof((array_)[0]))

static void assert_str(struct pn_str got, struct pn_str want)
{
    if (!str_eq(got, want))
        fail_msg("got \"%.*s\", wanted \"%.*s\"", (int)got.len, got.data ? got.data : "", (int)want.len, want.data ? want.data : "");
}

/* ---- base64 */

static void base64_round_trips(void **state)
{
    unsigned char bytes[64], back[64];
    char text[BASE64_LEN(64)];

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (unsigned char)(i * 37 + 5);
    for (size_t n = 0; n <= sizeof(bytes); n++) {
        size_t len = 99;

        base64_encode(bytes, n, text);
        assert_true(base64_decode(text, BASE64_LEN(n), back, &len));
        assert_int_equal(len, n);
        assert_memory_equal(back, bytes, n);
    }
    base64_encode((const unsigned char *)"\xfb\xff\xbf", 3, text);
    assert_memory_equal(text, "+/+/", 4);
}

static void base64_in_any_other_spelling_is_refused(void **state)
{
    static const char *const bad[] = { "A",    "AA",   "AAA",  "AAAAA", "A===",     "====", "AA=A",  "=AAA", "AB==",
                                       "AAB=", "AA A", "AA-_", "AA\nA", "AAAA\n",   "AAAA AAA", "AA==AAAA", "AAA\xff" };
    unsigned char bytes[16];
    size_t len = 77;

    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++)
        if (base64_decode(bad[i], strlen(bad[i]), bytes, &len))
            fail_msg("\"%s\" was taken", bad[i]);
    assert_int_equal(len, 77);
}

/* ---- forms */

static void form_is_split_and_decoded_once(void **state)
{
    static const struct pn_kv want[] = {
        { STR_INIT("a"), STR_INIT("1 2") },   { STR_INIT("b c"), STR_INIT("") },        { STR_INIT("d"), STR_INIT("x=y") },
        { STR_INIT("e"), STR_INIT("%2B+&=") }, { STR_INIT("f"), STR_INIT("\0\xff") },
    };
    struct pn_str body = STR("&a=1+2&&b%20c=&d=x=y&e=%252B%2b%26%3d&f=%00%fF&");
    struct pn_kv fields[16];
    char text[64];
    size_t count = 0;

    (void)state;
    assert_true(form_count(body) >= COUNT(want) && form_count(body) <= COUNT(fields));
    assert_null(form_parse(body, text, fields, &count));
    assert_int_equal(count, COUNT(want));
    for (size_t i = 0; i < count; i++) {
        assert_str(fields[i].name, want[i].name);
        assert_str(fields[i].value, want[i].value);
    }
}

static void form_without_shape_is_refused(void **state)
{
    static const char *const bad[] = { "a", "=1", "a=1&b", "a=%", "a=%4", "a=%4g", "%zz=1", "a=1&=&b=2" };
    struct pn_kv fields[8];
    char text[32];
    size_t count = 42;

    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_non_null(form_parse(str_of(bad[i]), text, fields, &count));
    assert_int_equal(count, 42);
    assert_int_equal(form_count(STR("")), 0);
    assert_null(form_parse(STR(""), text, fields, &count));
    assert_int_equal(count, 0);
}

static void form_is_written_as_browsers_do(void **state)
{
    static const struct pn_kv fields[] = { { STR_INIT("n"), STR_INIT("a b*-._~") }, { STR_INIT("z/"), STR_INIT("测\n%+'") } };
    char text[128];
    size_t len;

    (void)state;
    len = form_write(fields, 2, text);
    assert_true(len <= form_length(fields, 2));
    assert_str((struct pn_str){ text, len }, STR("n=a+b*-._%7E&z%2F=%E6%B5%8B%0A%25%2B%27"));
}

/* ---- amounts */

static void amounts_are_read_exactly(void **state)
{
    static const struct {
        const char *text;
        int64_t minor;
    } good[] = {
        { "88.80", 8880 }, { "88.8", 8880 }, { "88", 8800 },   { "0", 0 },       { "0.00", 0 },
        { "0.01", 1 },     { "007", 700 },   { "100000000", INT64_C(10000000000) }, { "92233720368547758.07", INT64_MAX },
    };
    static const char *const bad[] = { "",     ".",      ".5",   "5.",   "1.234", "1.000", "+1", "-1",   "1e2", "1 ", " 1",
                                       "1,00", "1.0.0",  "1..0", "0x1",  "\xc2\xb2", "92233720368547758.08", "99999999999999999999",
                                       "92233720368547758.1", "Infinity" };
    int64_t minor = -7;

    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) {
        assert_true(amount_parse(str_of(good[i].text), 2, &minor));
        assert_int_equal(minor, good[i].minor);
    }
    minor = -7;
    for (size_t i = 0; i < COUNT(bad); i++)
        if (amount_parse(str_of(bad[i]), 2, &minor))
            fail_msg("\"%s\" was taken", bad[i]);
    assert_false(amount_parse((struct pn_str){ "1\0" "0", 3 }, 2, &minor));
    assert_false(amount_parse(STR("1.0"), 0, &minor));
    assert_int_equal(minor, -7);
    assert_true(amount_parse(STR("12"), 0, &minor));
    assert_int_equal(minor, 12);
}

static void amounts_are_written_exactly(void **state)
{
    char text[AMOUNT_TEXT_MAX];

    (void)state;
    amount_format(8880, 2, text);
    assert_string_equal(text, "88.80");
    amount_format(5, 2, text);
    assert_string_equal(text, "0.05");
    amount_format(5, 0, text);
    assert_string_equal(text, "5");
    amount_format(INT64_MAX, 2, text);
    assert_string_equal(text, "92233720368547758.07");
}

/* ---- Beijing time */

static void beijing_time_round_trips(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } times[] = {
        { "1970-01-01 08:00:00", 0 },
        { "2024-05-20 13:14:15", INT64_C(1716182055000) },
        { "2024-02-29 00:00:00", INT64_C(1709136000000) },
        { "2000-02-29 23:59:59", INT64_C(951839999000) },
        { "2099-12-31 23:59:59", INT64_C(4102415999000) },
        { "2100-03-01 00:00:00", INT64_C(4107513600000) },
        { "9999-12-31 23:59:59", INT64_C(253402271999000) },
    };
    char text[BEIJING_TEXT_MAX];
    int64_t ms;

    (void)state;
    for (size_t i = 0; i < COUNT(times); i++) {
        beijing_format(times[i].ms, text);
        assert_string_equal(text, times[i].text);
        assert_true(beijing_parse(str_of(times[i].text), &ms));
        assert_int_equal(ms, times[i].ms);
    }
    beijing_format(INT64_C(1716182055999), text);
    assert_string_equal(text, "2024-05-20 13:14:15");
    beijing_format(-5, text);
    assert_string_equal(text, "1970-01-01 08:00:00");
    beijing_format(INT64_MAX, text);
    assert_string_equal(text, "9999-12-31 23:59:59");
    for (int64_t day = 0; day < 60000; day += 13) {
        beijing_format(day * 86400000, text);
        assert_true(beijing_parse(str_of(text), &ms));
        assert_int_equal(ms, day * 86400000);
    }
}

static void beijing_time_may_have_a_fraction(void **state)
{
    int64_t ms;

    (void)state;
    assert_true(beijing_parse(STR("2024-05-20 13:14:15.5"), &ms));
    assert_int_equal(ms, INT64_C(1716182055500));
    assert_true(beijing_parse(STR("2024-05-20 13:14:15.05"), &ms));
    assert_int_equal(ms, INT64_C(1716182055050));
    assert_true(beijing_parse(STR("2024-05-20 13:14:15.320"), &ms));
    assert_int_equal(ms, INT64_C(1716182055320));
}

static void beijing_time_in_any_other_form_is_refused(void **state)
{
    static const char *const bad[] = { "", "2024-05-20", "2024-05-20T13:14:15", "2024-05-20 13:14:15Z", "2024-05-20 13:14:15.",
                                       "2024-05-20 13:14:15.1234", "2024-05-20 24:00:00", "2024-05-20 13:60:00",
                                       "2024-05-20 13:14:60", "2023-02-29 00:00:00", "2100-02-29 00:00:00", "2024-13-01 00:00:00",
                                       "2024-00-01 00:00:00", "2024-01-00 00:00:00", "2024-04-31 00:00:00", "1969-12-31 23:59:59",
                                       "2024-5-20 13:14:15 ", "+024-05-20 13:14:15", "2024-05-20 13:14:1 " };
    int64_t ms = 9;

    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++)
        if (beijing_parse(str_of(bad[i]), &ms))
            fail_msg("\"%s\" was taken", bad[i]);
    assert_int_equal(ms, 9);
}

/* ---- encodings and texts */

static void utf8_is_told_from_anything_else(void **state)
{
    static const char *const good[] = { "", "abc", "é", "测试", "😀", "\xef\xbf\xbf", "\xf4\x8f\xbf\xbf" };
    static const char *const bad[] = { "\x80",     "\xc0\x80",         "\xc1\xbf", "\xe0\x80\x80", "\xed\xa0\x80", "\xf0\x80\x80\x80",
                                       "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff",  "a\xe6\xb5",   "\xe6\xb5z", "\xb2\xe2" };

    (void)state;
    for (size_t i = 0; i < COUNT(good); i++)
        assert_true(utf8_valid(str_of(good[i])));
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_false(utf8_valid(str_of(bad[i])));
}

static void chinese_encodings_become_utf8(void **state)
{
    void *kept = gb18030_keep();
    char text[32];
    size_t len = 0;

    (void)state;
    assert_non_null(kept);
    assert_true(gb18030_to_utf8(STR("GBK\xb2\xe2\xca\xd4"), text, &len));
    assert_str((struct pn_str){ text, len }, STR("GBK测试"));
    assert_true(gb18030_to_utf8(STR("\x94\x39\xfc\x36"), text, &len));
    assert_str((struct pn_str){ text, len }, STR("😀"));
    assert_true(gb18030_to_utf8(STR(""), text, &len));
    assert_int_equal(len, 0);
    assert_false(gb18030_to_utf8(STR("a\xb2"), text, &len));
    assert_false(gb18030_to_utf8(STR("\xff"), text, &len));
    gb18030_release(kept);
    gb18030_release(NULL);
}

static void texts_compare_by_bytes(void **state)
{
    static const char *const order[] = { "", "A", "Zz", "_x", "a", "aB", "a_b", "aa", "z10", "z9", "\xe6" };
    struct pn_kv_list list = { (const struct pn_kv[]){ { STR_INIT("k"), STR_INIT("") }, { STR_INIT("kk"), STR_INIT("v") } }, 2 };

    (void)state;
    for (size_t i = 0; i < COUNT(order); i++)
        for (size_t k = 0; k < COUNT(order); k++)
            assert_int_equal(str_compare(str_of(order[i]), str_of(order[k])) < 0, i < k);
    assert_true(str_is_nocase(STR("UTF-8"), "utf-8"));
    assert_false(str_is_nocase(STR("UTF-8x"), "utf-8"));
    assert_true(str_is_ascii(STR("a\x7f")));
    assert_false(str_is_ascii(STR("a\x80")));
    assert_true(str_is_digits(STR("0123"), 1, 4));
    assert_false(str_is_digits(STR("0123"), 1, 3));
    assert_false(str_is_digits(STR("12a"), 1, 4));
    assert_non_null(kv_get(list, "k").data);
    assert_str(kv_get(list, "kk"), STR("v"));
    assert_null(kv_get(list, "kkk").data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(base64_round_trips),
        cmocka_unit_test(base64_in_any_other_spelling_is_refused),
        cmocka_unit_test(form_is_split_and_decoded_once),
        cmocka_unit_test(form_without_shape_is_refused),
        cmocka_unit_test(form_is_written_as_browsers_do),
        cmocka_unit_test(amounts_are_read_exactly),
        cmocka_unit_test(amounts_are_written_exactly),
        cmocka_unit_test(beijing_time_round_trips),
        cmocka_unit_test(beijing_time_may_have_a_fraction),
        cmocka_unit_test(beijing_time_in_any_other_form_is_refused),
        cmocka_unit_test(utf8_is_told_from_anything_else),
        cmocka_unit_test(chinese_encodings_become_utf8),
        cmocka_unit_test(texts_compare_by_bytes),
    };

    return cmocka_run_group_tests_name("plugins/common", tests, NULL, NULL);
}
