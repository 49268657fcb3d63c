/*
 * Clocks, and RFC 3339 timestamps by calendar arithmetic: no time-zone database, no locks, no state. Any thread.
 */
#include "base/clock.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { MS_PER_DAY = 86400000 };

int64_t mono_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t mono_ms(void)
{
    return mono_us() / 1000;
}

int64_t wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Days since 1970-01-01 in the Gregorian calendar. The year is counted from March, so that the leap day is its last. */
static int64_t days_from_civil(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

static void civil_from_days(int64_t days, int64_t *ret_year, int *ret_month, int *ret_day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t day_of_era = days - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month = (5 * day_of_year + 2) / 153; /* 0: March */
    *ret_day = (int) (day_of_year - (153 * month + 2) / 5 + 1);
    *ret_month = (int) (month < 10 ? month + 3 : month - 9);
    *ret_year = year_of_era + era * 400 + (*ret_month <= 2);
}

const char *clock_format(int64_t ms, char ret_text[CLOCK_TEXT_MAX])
{
    int64_t days = ms / MS_PER_DAY, year;
    int rest = (int) (ms % MS_PER_DAY), month, day;
    if (rest < 0) {
        rest += MS_PER_DAY;
        days--;
    }
    civil_from_days(days, &year, &month, &day);
    int seconds = rest / 1000, n;
    n = snprintf(ret_text, CLOCK_TEXT_MAX, "%04lld-%02d-%02dT%02d:%02d:%02d", (long long) year, month, day, seconds / 3600,
                 seconds / 60 % 60, seconds % 60);
    if (rest % 1000)
        snprintf(ret_text + n, (size_t) (CLOCK_TEXT_MAX - n), ".%03dZ", rest % 1000);
    else
        snprintf(ret_text + n, (size_t) (CLOCK_TEXT_MAX - n), "Z");
    return ret_text;
}

/* Exactly `count` digits and then, unless it is 0, the character `behind`. Moves *p past them. */
static bool take_number(const char **p, int count, char behind, int min, int max, int *ret)
{
    int value = 0;
    for (int i = 0; i < count; i++, (*p)++) {
        if (**p < '0' || **p > '9')
            return false;
        value = value * 10 + (**p - '0');
    }
    if (behind && *(*p)++ != behind)
        return false;
    *ret = value;
    return value >= min && value <= max;
}

static int days_of_month(int year, int month)
{
    static const char days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

/* ".123456": at least one digit; what is finer than a millisecond is cut. */
static bool take_fraction(const char **p, int *ret_ms)
{
    *ret_ms = 0;
    if (**p != '.')
        return true;
    const char *digits = ++*p;
    int unit = 100;
    for (; **p >= '0' && **p <= '9'; (*p)++, unit /= 10)
        *ret_ms += (**p - '0') * unit;
    return *p > digits;
}

static bool take_offset(const char **p, int *ret_minutes)
{
    char sign = *(*p)++;
    *ret_minutes = 0;
    if (sign == 'Z' || sign == 'z')
        return true;
    int hours, minutes;
    if ((sign != '+' && sign != '-') || !take_number(p, 2, ':', 0, 23, &hours) || !take_number(p, 2, 0, 0, 59, &minutes))
        return false;
    *ret_minutes = (sign == '-' ? -1 : 1) * (hours * 60 + minutes);
    return true;
}

enum rc clock_parse(const char *text, int64_t *ret_ms)
{
    const char *p = text;
    int year, month, day, hour, minute, second, ms, offset;
    if (!text || !take_number(&p, 4, '-', 0, 9999, &year) || !take_number(&p, 2, '-', 1, 12, &month) ||
        !take_number(&p, 2, 0, 1, days_of_month(year, month), &day) || (*p != 'T' && *p != 't'))
        return RC_BAD_INPUT;
    p++;
    /* 60 is a leap second: it counts as the second after it. */
    if (!take_number(&p, 2, ':', 0, 23, &hour) || !take_number(&p, 2, ':', 0, 59, &minute) ||
        !take_number(&p, 2, 0, 0, 60, &second) || !take_fraction(&p, &ms) || !take_offset(&p, &offset) || *p)
        return RC_BAD_INPUT;
    *ret_ms = days_from_civil(year, month, day) * MS_PER_DAY + ((hour * 60 + minute - offset) * 60 + second) * INT64_C(1000) + ms;
    return RC_OK;
}
