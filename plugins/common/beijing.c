/*
 * Beijing time to and from Unix milliseconds, by calendar arithmetic alone. Pure; any thread.
 */
#include "common/beijing.h"

#include <stdio.h>

enum { OFFSET_S = 8 * 3600, DAY_S = 86400 };

/* Days since 1970-01-01 in the proleptic Gregorian calendar; years start in March, so that the leap day comes last. */
static int64_t days_of_date(int64_t year, int64_t month, int64_t day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = y / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

static void date_of_days(int64_t days, int *ret_year, int *ret_month, int *ret_day)
{
    int64_t shifted = days + 719468;
    int64_t era = shifted / 146097;
    int64_t day_of_era = shifted - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month = (5 * day_of_year + 2) / 153;

    *ret_day = (int)(day_of_year - (153 * month + 2) / 5 + 1);
    *ret_month = (int)(month < 10 ? month + 3 : month - 9);
    *ret_year = (int)(year_of_era + era * 400 + (*ret_month <= 2));
}

void beijing_format(int64_t ms, char ret_text[BEIJING_TEXT_MAX])
{
    int64_t latest = (days_of_date(10000, 1, 1) * DAY_S - 1);
    int64_t seconds = (ms < 0 ? 0 : ms / 1000) + OFFSET_S;
    int year, month, day;

    if (seconds > latest)
        seconds = latest;
    date_of_days(seconds / DAY_S, &year, &month, &day);
    seconds %= DAY_S;
    /* The remainders only tell the compiler that the text fits. */
    snprintf(ret_text, BEIJING_TEXT_MAX, "%04u-%02u-%02u %02u:%02u:%02u", (unsigned)year % 10000, (unsigned)month % 100,
             (unsigned)day % 100, (unsigned)(seconds / 3600) % 100, (unsigned)(seconds / 60 % 60), (unsigned)(seconds % 60));
}

/* Exactly `count` digits. */
static bool digits(const char *text, size_t count, int *ret)
{
    int value = 0;

    for (size_t i = 0; i < count; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        value = value * 10 + (text[i] - '0');
    }
    *ret = value;
    return true;
}

static int days_in_month(int year, int month)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return month == 2 && leap ? 29 : days[month - 1];
}

/* ".5", ".32", ".320" */
static bool fraction(const char *text, size_t len, int *ret_ms)
{
    int value;

    if (len < 2 || len > 4 || text[0] != '.' || !digits(text + 1, len - 1, &value))
        return false;
    for (size_t i = len; i < 4; i++)
        value *= 10;
    *ret_ms = value;
    return true;
}

bool beijing_parse(struct pn_str text, int64_t *ret_ms)
{
    const char *t = text.data;
    int year, month, day, hour, minute, second, ms = 0;

    if (text.len < 19 || t[4] != '-' || t[7] != '-' || t[10] != ' ' || t[13] != ':' || t[16] != ':')
        return false;
    if (!digits(t, 4, &year) || !digits(t + 5, 2, &month) || !digits(t + 8, 2, &day) || !digits(t + 11, 2, &hour) ||
        !digits(t + 14, 2, &minute) || !digits(t + 17, 2, &second))
        return false;
    if (year < 1970 || month < 1 || month > 12 || day < 1 || day > days_in_month(year, month) || hour > 23 || minute > 59 ||
        second > 59)
        return false;
    if (text.len > 19 && !fraction(t + 19, text.len - 19, &ms))
        return false;
    *ret_ms = (days_of_date(year, month, day) * DAY_S + hour * 3600 + minute * 60 + second - OFFSET_S) * 1000 + ms;
    return true;
}

/* Where the digits of the compact form stand in the other. */
static const unsigned char digit_places[BEIJING_COMPACT_MAX - 1] = { 0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18 };

void beijing_format_compact(int64_t ms, char ret_text[BEIJING_COMPACT_MAX])
{
    char text[BEIJING_TEXT_MAX];

    beijing_format(ms, text);
    for (size_t i = 0; i < sizeof(digit_places); i++)
        ret_text[i] = text[digit_places[i]];
    ret_text[sizeof(digit_places)] = '\0';
}

bool beijing_parse_compact(struct pn_str text, int64_t *ret_ms)
{
    char spread[] = "0000-00-00 00:00:00";

    if (text.len != sizeof(digit_places))
        return false;
    for (size_t i = 0; i < sizeof(digit_places); i++)
        spread[digit_places[i]] = text.data[i];
    return beijing_parse((struct pn_str){ spread, sizeof(spread) - 1 }, ret_ms);
}
