/*
 * See pace.h. Called by workers for each turn of the schedule.
 */
#include "pay/pace.h"

#include <limits.h>
#include <stddef.h>

#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

static int64_t jittered(int64_t wait_ms, uint32_t random)
{
    int64_t tenth = wait_ms / 10;
    return wait_ms - tenth + random % (2 * tenth + 1);
}

int64_t pace_query(int64_t interval_ms, int64_t age_ms, int64_t left_ms, uint32_t random)
{
    int64_t wait = age_ms / 10;
    if (wait > 5 * MINUTE)
        wait = 5 * MINUTE;
    if (wait < interval_ms)
        wait = interval_ms;
    wait = jittered(wait, random);
    return left_ms > 0 && wait > left_ms + SECOND ? left_ms + SECOND : wait;
}

/* A wait, and how often it is kept to. */
struct step {
    int times;
    int64_t wait_ms;
};

static int64_t step_of(const struct step *steps, size_t count, int number, uint32_t random)
{
    for (size_t i = 0; i < count; number -= steps[i++].times)
        if (number <= steps[i].times)
            return jittered(steps[i].wait_ms, random);
    return PACE_ENOUGH;
}

int64_t pace_unknown(int unknowns, uint32_t random)
{
    static const struct step steps[] = { { 1, 5 * MINUTE }, { 1, HOUR }, { 5, DAY } };
    return step_of(steps, sizeof steps / sizeof *steps, unknowns, random);
}

#define QUICK_TRIES                                                                                                               \
    { 1, 5 * SECOND }, { 1, 10 * SECOND }, { 1, 20 * SECOND }, { 1, 40 * SECOND }, { 1, 80 * SECOND }, { 1, 160 * SECOND }

int64_t pace_close_unknown(int unknowns, uint32_t random)
{
    static const struct step steps[] = { QUICK_TRIES, { 1, 5 * MINUTE }, { 1, HOUR }, { 5, DAY } };
    return step_of(steps, sizeof steps / sizeof *steps, unknowns, random);
}

int64_t pace_close(int answers, uint32_t random)
{
    static const struct step steps[] = { QUICK_TRIES, { 12, 5 * MINUTE }, { 23, HOUR }, { 5, DAY } };
    return step_of(steps, sizeof steps / sizeof *steps, answers, random);
}

int64_t pace_refund(int answers, uint32_t random)
{
    static const struct step steps[] = { { 1, 10 * SECOND }, { 1, 30 * SECOND }, { 1, MINUTE }, { 1, 5 * MINUTE },
                                         { 1, 30 * MINUTE }, { 1, HOUR },        { 40, 6 * HOUR } };
    return step_of(steps, sizeof steps / sizeof *steps, answers, random);
}

int64_t pace_refund_unknown(int unknowns, uint32_t random)
{
    static const struct step steps[] = { { 1, 10 * SECOND }, { 1, 5 * MINUTE }, { 1, HOUR }, { 5, DAY } };
    return step_of(steps, sizeof steps / sizeof *steps, unknowns, random);
}

int64_t pace_refund_unsent(int tries, uint32_t random)
{
    static const struct step steps[] = { { 1, 10 * SECOND }, { 1, 20 * SECOND },  { 1, 40 * SECOND },
                                         { 1, 80 * SECOND }, { 1, 160 * SECOND }, { INT_MAX, 5 * MINUTE } };
    return step_of(steps, sizeof steps / sizeof *steps, tries, random);
}
