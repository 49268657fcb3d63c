/*
 * How long the schedule waits (core/pay/pace.h), held against tables.
 */
#include "unit.h"

#include <limits.h>

#include "pay/pace.h"

#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

/* The jitter's ends and its middle, over the whole range of numbers. */
static const uint32_t randoms[] = { 0, 1, 99, 5999, 6000, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff };
enum { RANDOMS = sizeof randoms / sizeof *randoms };

static void assert_about(int64_t wait, int64_t middle)
{
    assert_true(wait >= middle - middle / 10 && wait <= middle + middle / 10);
}

static void queries_thin_out_with_age(void **state)
{
    (void)state;
    static const struct { int64_t interval, age, wait; } rows[] = {
        { 30 * SECOND, 0, 30 * SECOND },
        { 30 * SECOND, 5 * MINUTE, 30 * SECOND }, /* reference C's ten queries are through by then */
        { 30 * SECOND, 10 * MINUTE, MINUTE },
        { 30 * SECOND, 50 * MINUTE, 5 * MINUTE },
        { 30 * SECOND, 15 * DAY, 5 * MINUTE },
        { 30 * SECOND, -HOUR, 30 * SECOND }, /* clocks differ */
        { 100, 0, 100 },
        { 100, 2 * SECOND, 200 },
        { HOUR, DAY, HOUR },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int r = 0; r < RANDOMS; r++)
            assert_about(pace_query(rows[i].interval, rows[i].age, DAY, randoms[r]), rows[i].wait);
}

static void the_jitter_is_a_tenth_and_is_used(void **state)
{
    (void)state;
    assert_int_equal(pace_query(30 * SECOND, 0, DAY, 0), 27 * SECOND);
    assert_int_equal(pace_query(30 * SECOND, 0, DAY, 3000), 30 * SECOND);
    assert_int_equal(pace_query(30 * SECOND, 0, DAY, 6000), 33 * SECOND);
    assert_int_equal(pace_query(30 * SECOND, 0, DAY, 6001), 27 * SECOND);
}

static void no_query_is_much_later_than_the_expiry(void **state)
{
    (void)state;
    for (int r = 0; r < RANDOMS; r++) {
        assert_int_equal(pace_query(30 * SECOND, HOUR, 10 * SECOND, randoms[r]), 11 * SECOND);
        assert_int_equal(pace_query(30 * SECOND, HOUR, 1, randoms[r]), SECOND + 1);
        assert_about(pace_query(30 * SECOND, HOUR, 0, randoms[r]), 5 * MINUTE); /* that is over */
        assert_about(pace_query(30 * SECOND, HOUR, -DAY, randoms[r]), 5 * MINUTE);
    }
}

/* `waits` one after another, then enough. */
static void assert_ladder(int64_t (*pace)(int, uint32_t), const int64_t *waits, int count)
{
    for (int r = 0; r < RANDOMS; r++) {
        for (int i = 0; i < count; i++)
            assert_about(pace(i + 1, randoms[r]), waits[i]);
        assert_int_equal(pace(count + 1, randoms[r]), PACE_ENOUGH);
        assert_int_equal(pace(1000000, randoms[r]), PACE_ENOUGH);
    }
}

static void silence_is_borne_for_five_days(void **state)
{
    (void)state;
    static const int64_t query[] = { 5 * MINUTE, HOUR, DAY, DAY, DAY, DAY, DAY };
    static const int64_t close[] = { 5 * SECOND,  10 * SECOND, 20 * SECOND, 40 * SECOND, 80 * SECOND, 160 * SECOND, 5 * MINUTE,
                                     HOUR,        DAY,         DAY,         DAY,         DAY,         DAY };
    assert_ladder(pace_unknown, query, sizeof query / sizeof *query);
    assert_ladder(pace_close_unknown, close, sizeof close / sizeof *close);
}

static void a_payment_that_cannot_be_closed_is_tried_for_six_days(void **state)
{
    (void)state;
    int64_t waits[46], total = 0, five_minutes = 0;
    int count = 0;
    for (int64_t wait = 5 * SECOND; wait <= 160 * SECOND; wait *= 2)
        waits[count++] = wait;
    for (int i = 0; i < 12; i++)
        waits[count++] = 5 * MINUTE;
    for (int i = 0; i < 23; i++)
        waits[count++] = HOUR;
    for (int i = 0; i < 5; i++)
        waits[count++] = DAY;
    assert_int_equal(count, sizeof waits / sizeof *waits);
    assert_ladder(pace_close, waits, count);
    for (int i = 0; i < count; i++)
        total += waits[i];
    for (int i = 0; i < 6; i++)
        five_minutes += waits[i];
    assert_true(total > 6 * DAY && total < 6 * DAY + HOUR);
    /* WeChat closes nothing that is younger than five minutes: a closing that begins at once has not thinned out by then. */
    assert_true(five_minutes > 5 * MINUTE && five_minutes < 6 * MINUTE);
}

/* All waits of a pace, in days. */
static int64_t days_of(int64_t (*pace)(int number, uint32_t random), uint32_t random)
{
    int64_t sum = 0, wait;
    for (int i = 1; (wait = pace(i, random)) != PACE_ENOUGH; i++)
        sum += wait;
    return sum / DAY;
}

static void refunds_are_asked_about_for_days(void **state)
{
    (void)state;
    static const int64_t works[] = { 10 * SECOND, 30 * SECOND, MINUTE, 5 * MINUTE, 30 * MINUTE, HOUR, 6 * HOUR, 6 * HOUR };
    static const int64_t silent[] = { 10 * SECOND, 5 * MINUTE, HOUR, DAY, DAY, DAY, DAY, DAY };
    for (int r = 0; r < RANDOMS; r++) {
        for (int i = 0; i < 8; i++) {
            assert_about(pace_refund(i + 1, randoms[r]), works[i]);
            assert_about(pace_refund_unknown(i + 1, randoms[r]), silent[i]);
        }
        assert_int_equal(pace_refund_unknown(9, randoms[r]), PACE_ENOUGH);
        assert_in_range(days_of(pace_refund, randoms[r]), 9, 11);
    }
}

static void an_unsent_refund_is_never_given_up(void **state)
{
    (void)state;
    assert_about(pace_refund_unsent(1, 0), 10 * SECOND);
    assert_about(pace_refund_unsent(5, 0), 160 * SECOND);
    assert_about(pace_refund_unsent(6, 0), 5 * MINUTE);
    assert_about(pace_refund_unsent(INT_MAX, 0), 5 * MINUTE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(queries_thin_out_with_age),
        cmocka_unit_test(the_jitter_is_a_tenth_and_is_used),
        cmocka_unit_test(no_query_is_much_later_than_the_expiry),
        cmocka_unit_test(silence_is_borne_for_five_days),
        cmocka_unit_test(a_payment_that_cannot_be_closed_is_tried_for_six_days),
        cmocka_unit_test(refunds_are_asked_about_for_days),
        cmocka_unit_test(an_unsent_refund_is_never_given_up),
    };
    return cmocka_run_group_tests_name("pace", tests, NULL, NULL);
}
