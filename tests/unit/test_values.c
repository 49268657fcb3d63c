/*
 * Money, timestamps and ids as text and as numbers.
 */
#include "unit.h"

#include <pthread.h>

#include "base/clock.h"
#include "base/ids.h"
#include "base/money.h"

/* ---- money */

static int64_t parsed(const char *text, const char *currency)
{
    int64_t minor = -7;
    return money_parse(text, strlen(text), currency, &minor) == RC_OK ? minor : -7;
}

static void money_is_parsed_exactly(void **state)
{
    (void) state;
    assert_int_equal(parsed("88.8", "CNY"), 8880);
    assert_int_equal(parsed("88.80", "CNY"), 8880);
    assert_int_equal(parsed("88", "CNY"), 8800);
    assert_int_equal(parsed("0.01", "CNY"), 1);
    assert_int_equal(parsed("0", "CNY"), 0);
    assert_int_equal(parsed("007", "CNY"), 700);
    assert_int_equal(parsed("500", "JPY"), 500);
    assert_int_equal(parsed("1.234", "BHD"), 1234);
    assert_int_equal(parsed("1.5", "CLF"), 15000);
    assert_int_equal(parsed("92233720368547758.07", "CNY"), INT64_MAX);
    assert_int_equal(parsed("4.35", "USD"), 435); /* 4.35 * 100 is 434.99… in binary */
}

static void money_refuses_what_is_not_plain_decimal_or_does_not_fit(void **state)
{
    static const char *const wrong[] = { "", ".", ".5", "5.", "-1", "+1", " 1", "1 ", "1e2", "0x1", "1,00", "1.005", "1..0", "1.0.0",
                                         "92233720368547758.08", "99999999999999999999", "nan", "inf", "一" };
    (void) state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(parsed(wrong[i], "CNY"), -7);
    assert_int_equal(parsed("1.0", "JPY"), -7);
    assert_int_equal(parsed("1", "XXX"), -7);
    assert_int_equal(parsed("1", "cny"), -7);
    assert_int_equal(parsed("1", ""), -7);
    int64_t minor = 3;
    assert_int_equal(money_parse("1\0" "2", 3, "CNY", &minor), RC_BAD_INPUT);
    assert_int_equal(money_parse("12", 1, "CNY", &minor), RC_OK); /* by length, not by NUL */
    assert_int_equal(minor, 100);
}

static void money_is_printed_with_the_currency_s_decimals(void **state)
{
    char text[MONEY_TEXT_MAX];
    (void) state;
    assert_string_equal(money_format(8880, "CNY", text), "88.80");
    assert_string_equal(money_format(5, "CNY", text), "0.05");
    assert_string_equal(money_format(0, "CNY", text), "0.00");
    assert_string_equal(money_format(-5, "CNY", text), "-0.05");
    assert_string_equal(money_format(500, "JPY", text), "500");
    assert_string_equal(money_format(1, "KWD", text), "0.001");
    assert_string_equal(money_format(INT64_MIN, "CLF", text), "-922337203685477.5808");
    assert_string_equal(money_format(INT64_MAX, "CNY", text), "92233720368547758.07");
}

static void currencies_have_their_iso_4217_decimals(void **state)
{
    (void) state;
    assert_int_equal(money_decimals("CNY"), 2);
    assert_int_equal(money_decimals("AED"), 2); /* the first and the last of the table */
    assert_int_equal(money_decimals("ZWG"), 2);
    assert_int_equal(money_decimals("JPY"), 0);
    assert_int_equal(money_decimals("KRW"), 0);
    assert_int_equal(money_decimals("TND"), 3);
    assert_int_equal(money_decimals("UYW"), 4);
    assert_int_equal(money_decimals("XAU"), -1);
    assert_int_equal(money_decimals("RMB"), -1);
    assert_int_equal(money_decimals("CN"), -1);
    assert_int_equal(money_decimals("CNYX"), -1);
    assert_int_equal(money_decimals(NULL), -1);
}

/* ---- time */

static int64_t time_of(const char *text)
{
    int64_t ms = -7;
    return clock_parse(text, &ms) == RC_OK ? ms : -7;
}

static void timestamps_are_read_with_any_offset(void **state)
{
    (void) state;
    assert_int_equal(time_of("1970-01-01T00:00:00Z"), 0);
    assert_int_equal(time_of("2024-05-20T13:14:20+08:00"), INT64_C(1716182060000));
    assert_int_equal(time_of("2024-05-20T05:14:20.123Z"), INT64_C(1716182060123));
    assert_int_equal(time_of("2024-05-20t05:14:20.1z"), INT64_C(1716182060100));
    assert_int_equal(time_of("2024-05-20T05:14:20.123999999Z"), INT64_C(1716182060123));
    assert_int_equal(time_of("2024-02-29T23:59:60Z"), time_of("2024-03-01T00:00:00Z"));
    assert_int_equal(time_of("1969-12-31T16:00:00-08:00"), 0);
    assert_int_equal(time_of("0000-03-01T00:00:00Z"), INT64_C(-62162035200000));
}

static void timestamps_refuse_what_is_not_rfc_3339(void **state)
{
    static const char *const wrong[] = { "", "2024-05-20", "2024-05-20 05:14:20Z", "2024-05-20T05:14:20", "2024-02-30T00:00:00Z",
                                         "2023-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2024-13-01T00:00:00Z", "2024-00-01T00:00:00Z",
                                         "2024-01-00T00:00:00Z", "2024-05-20T24:00:00Z", "2024-05-20T05:60:00Z", "2024-05-20T05:14:61Z",
                                         "2024-05-20T05:14:20.Z", "2024-05-20T05:14:20+0800", "2024-05-20T05:14:20+24:00",
                                         "2024-05-20T05:14:20Zx", "24-05-20T05:14:20Z", "2024-5-20T05:14:20Z", "+024-05-20T05:14:20Z" };
    (void) state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(time_of(wrong[i]), -7);
}

static void timestamps_survive_printing_and_reading(void **state)
{
    char text[CLOCK_TEXT_MAX];
    (void) state;
    assert_string_equal(clock_format(INT64_C(1716182060123), text), "2024-05-20T05:14:20.123Z");
    assert_string_equal(clock_format(INT64_C(1716182060000), text), "2024-05-20T05:14:20Z");
    assert_string_equal(clock_format(-1, text), "1969-12-31T23:59:59.999Z");
    for (int64_t ms = INT64_C(-62167219200000); ms < INT64_C(253402300800000); ms += INT64_C(86400000) * 13 + 1234567)
        assert_int_equal(time_of(clock_format(ms, text)), ms);
    assert_true(strlen(clock_format(INT64_MAX, text)) < CLOCK_TEXT_MAX);
    assert_true(strlen(clock_format(INT64_MIN, text)) < CLOCK_TEXT_MAX);
}

/* ---- ids */

static const int64_t far_lease_ms = INT64_C(3600000);

static void ids_are_refused_without_a_lease(void **state)
{
    int64_t id = 5;
    (void) state;
    ids_revoke();
    assert_int_equal(ids_next(&id), RC_UNAVAILABLE);
    ids_lease(3, 0, mono_ms() - 1); /* lapsed */
    assert_int_equal(ids_next(&id), RC_UNAVAILABLE);
    assert_int_equal(id, 5);
    ids_lease(3, 0, mono_ms() + far_lease_ms);
    assert_int_equal(ids_next(&id), RC_OK);
    ids_revoke();
    assert_int_equal(ids_next(&id), RC_UNAVAILABLE);
}

static void ids_carry_time_and_node(void **state)
{
    int64_t id, before = wall_ms();
    (void) state;
    ids_lease(1023, 0, mono_ms() + far_lease_ms);
    assert_int_equal(ids_next(&id), RC_OK);
    assert_true(id > 0);
    assert_int_equal(id >> 12 & 1023, 1023);
    assert_true(ids_time_ms(id) >= before - 1 && ids_time_ms(id) <= wall_ms());
}

static void ids_start_behind_the_floor_even_when_the_clock_is_behind_it(void **state)
{
    int64_t id, floor = wall_ms() + 5000;
    (void) state;
    ids_lease(1, floor, mono_ms() + far_lease_ms);
    for (int i = 0; i < 10000; i++) {
        assert_int_equal(ids_next(&id), RC_OK);
        assert_true(ids_time_ms(id) > floor);
    }
}

enum { THREADS = 4, IDS_EACH = 20000 };

static void *take_ids(void *arg)
{
    int64_t *ids = arg;
    for (int i = 0; i < IDS_EACH; i++)
        if (ids_next(&ids[i]) != RC_OK || (i && ids[i] <= ids[i - 1]))
            return (void *) 1;
    return NULL;
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *) a, y = *(const int64_t *) b;
    return (x > y) - (x < y);
}

static void ids_of_many_threads_are_unique_and_increase_in_each(void **state)
{
    static int64_t ids[THREADS * IDS_EACH];
    pthread_t threads[THREADS];
    (void) state;
    ids_lease(7, 0, mono_ms() + far_lease_ms);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_ids, ids + i * IDS_EACH), 0);
    for (int i = 0; i < THREADS; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    qsort(ids, THREADS * IDS_EACH, sizeof ids[0], by_value);
    for (int i = 1; i < THREADS * IDS_EACH; i++)
        assert_true(ids[i] > ids[i - 1]);
}

static void ids_are_read_in_canonical_decimal_only(void **state)
{
    static const char *const wrong[] = { "", "0", "-1", "+1", "01", " 1", "1 ", "1x", "9223372036854775808", "99999999999999999999" };
    int64_t id = 5;
    char text[ID_TEXT_MAX];
    (void) state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(id_parse(wrong[i], &id));
    assert_false(id_parse(NULL, &id));
    assert_int_equal(id, 5);
    assert_true(id_parse("9223372036854775807", &id));
    assert_int_equal(id, INT64_MAX);
    assert_string_equal(id_format(INT64_MAX, text), "9223372036854775807");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(money_is_parsed_exactly),
        cmocka_unit_test(money_refuses_what_is_not_plain_decimal_or_does_not_fit),
        cmocka_unit_test(money_is_printed_with_the_currency_s_decimals),
        cmocka_unit_test(currencies_have_their_iso_4217_decimals),
        cmocka_unit_test(timestamps_are_read_with_any_offset),
        cmocka_unit_test(timestamps_refuse_what_is_not_rfc_3339),
        cmocka_unit_test(timestamps_survive_printing_and_reading),
        cmocka_unit_test(ids_are_refused_without_a_lease),
        cmocka_unit_test(ids_carry_time_and_node),
        cmocka_unit_test(ids_of_many_threads_are_unique_and_increase_in_each),
        cmocka_unit_test(ids_start_behind_the_floor_even_when_the_clock_is_behind_it),
        cmocka_unit_test(ids_are_read_in_canonical_decimal_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
