/*
 * UTF-8, hex, comparison, typing errors, and the escapers for JSON, HTML and URLs.
 */
#include "unit.h"

#include <jansson.h>

#include "base/buf.h"
#include "base/text.h"

static bool utf8(const char *text)
{
    return text_is_utf8(text, strlen(text));
}

static void utf8_takes_what_unicode_allows(void **state)
{
    (void) state;
    assert_true(utf8(""));
    assert_true(utf8("plain ASCII that is longer than eight bytes"));
    assert_true(utf8("\xc2\x80 \xdf\xbf \xe0\xa0\x80 \xed\x9f\xbf \xee\x80\x80 \xef\xbf\xbf \xf0\x90\x80\x80 \xf4\x8f\xbf\xbf"));
    assert_true(utf8("订单 8 元, 😀"));
}

static void utf8_refuses_overlong_forms_surrogates_cut_and_stray_bytes(void **state)
{
    static const char *const wrong[] = { "\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xe0\x9f\xbf", "\xed\xa0\x80",
                                         "\xed\xbf\xbf", "\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
                                         "\xff", "\xfe", "\xe4\xb8", "\xf0\x9f\x98", "\xe4\x28\xad", "long enough text \xe4\xb8" };
    (void) state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(utf8(wrong[i]));
    assert_false(text_is_utf8("a\0b", 3));
    assert_false(text_is_utf8("eight by\0es and more", 20));
}

static void comparison_in_constant_time_compares(void **state)
{
    (void) state;
    assert_true(bytes_equal_ct("same", "same", 4));
    assert_true(bytes_equal_ct("", "", 0));
    assert_false(bytes_equal_ct("same", "samE", 4));
    assert_false(bytes_equal_ct("\x00" "a", "\x80" "a", 2));
}

static void hex_goes_both_ways_and_refuses_the_rest(void **state)
{
    unsigned char bytes[3] = { 9, 9, 9 };
    char text[7];
    (void) state;
    assert_true(hex_decode("00aBff", bytes, 3));
    assert_memory_equal(bytes, "\x00\xab\xff", 3);
    hex_encode(bytes, 3, text);
    assert_string_equal(text, "00abff");
    assert_false(hex_decode("00abf", bytes, 3));
    assert_false(hex_decode("00abff0", bytes, 3));
    assert_false(hex_decode("00abfg", bytes, 3));
    assert_false(hex_decode("", bytes, 3));
    assert_memory_equal(bytes, "\x00\xab\xff", 3);
}

static void typing_errors_find_the_name_that_was_meant(void **state)
{
    static const char *const names[] = { "app_id", "private_key", "private_key_file", "gateway", "x" };
    (void) state;
    assert_string_equal(text_nearest("appid", names, 5), "app_id");
    assert_string_equal(text_nearest("App_ID", names, 5), "app_id");
    assert_string_equal(text_nearest("gatewya", names, 5), "gateway");
    assert_string_equal(text_nearest("privat_key_fil", names, 5), "private_key_file");
    assert_null(text_nearest("timeout", names, 5));
    assert_null(text_nearest("", names, 5));
    assert_null(text_nearest("y", names, 5));
    assert_null(text_nearest("a name that is much too long to be compared with anything else", names, 5));
}

static void choices_are_whole_words(void **state)
{
    (void) state;
    assert_true(text_in_choices("http|https", "https", 5));
    assert_true(text_in_choices("http|https", "https://x", 4));
    assert_false(text_in_choices("http|https", "htt", 3));
    assert_false(text_in_choices("http|https", "", 0));
    assert_false(text_in_choices("http|https", "http|https", 10));
}

static void check_json(const char *text, size_t n)
{
    struct buf buf = { 0 };
    buf_add_jsonn(&buf, text, n);
    json_t *value = json_loadb(buf.data, buf.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    assert_non_null(value);
    assert_int_equal(json_string_length(value), n);
    assert_memory_equal(json_string_value(value), text, n);
    json_decref(value);
    buf_free(&buf);
}

static void json_reads_back_as_it_was_at_every_position(void **state)
{
    (void) state;
    for (unsigned c = 0; c < 0x80; c++)
        for (size_t at = 0; at < 20; at++) {
            char text[20];
            memset(text, 'x', sizeof text);
            text[at] = (char) c;
            check_json(text, sizeof text);
        }
    check_json("订单 \"8.88\" 元\n😀\\", strlen("订单 \"8.88\" 元\n😀\\"));
    check_json("", 0);
}

static void json_replaces_what_is_not_utf8(void **state)
{
    struct buf buf = { 0 };
    (void) state;
    buf_add_json(&buf, "a\xff\xe4\xb8z");
    assert_string_equal(buf_text(&buf), "\"a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz\"");
    buf_clear(&buf);
    buf_add_json(&buf, NULL);
    assert_string_equal(buf_text(&buf), "null");
    buf_free(&buf);
}

static void html_and_urls_are_escaped(void **state)
{
    struct buf buf = { 0 };
    (void) state;
    buf_add_html(&buf, "<a href=\"x\" title='y'>&</a>中");
    assert_string_equal(buf_text(&buf), "&lt;a href=&quot;x&quot; title=&#39;y&#39;&gt;&amp;&lt;/a&gt;中");
    buf_clear(&buf);
    buf_add_url(&buf, "a b&=+%/-._~中", strlen("a b&=+%/-._~中"));
    assert_string_equal(buf_text(&buf), "a%20b%26%3D%2B%25%2F-._~%E4%B8%AD");
    buf_free(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(utf8_takes_what_unicode_allows),
        cmocka_unit_test(utf8_refuses_overlong_forms_surrogates_cut_and_stray_bytes),
        cmocka_unit_test(comparison_in_constant_time_compares),
        cmocka_unit_test(hex_goes_both_ways_and_refuses_the_rest),
        cmocka_unit_test(typing_errors_find_the_name_that_was_meant),
        cmocka_unit_test(choices_are_whole_words),
        cmocka_unit_test(json_reads_back_as_it_was_at_every_position),
        cmocka_unit_test(json_replaces_what_is_not_utf8),
        cmocka_unit_test(html_and_urls_are_escaped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
