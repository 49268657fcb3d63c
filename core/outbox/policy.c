/*
 * When to try again (policy.h): fixed steps first, then doubling up to a bound, with jitter so that what failed together
 * does not come back together. Pure functions, called by the relay threads.
 */
#include "outbox/policy.h"

const struct policy policy_default = {
    .retry_ms = { 5 * 1000, 30 * 1000, 5 * 60 * 1000 },
    .retry_steps = 3,
    .retry_max_ms = 60 * 60 * 1000,
    .connect_first_ms = 1000,
    .connect_max_ms = 30 * 1000,
};

static int64_t doubled(int64_t value, int times, int64_t max)
{
    while (times-- > 0 && value < max)
        value *= 2;
    return value < max ? value : max;
}

int64_t policy_retry(const struct policy *policy, int failed, uint64_t random)
{
    int steps = (int)policy->retry_steps;
    int64_t base = failed <= steps ? policy->retry_ms[failed > 0 ? failed - 1 : 0]
                                   : doubled(policy->retry_ms[steps - 1], failed - steps, policy->retry_max_ms);
    int64_t spread = base / 5;
    return base - spread / 2 + (int64_t)(random % (uint64_t)(spread + 1));
}

int64_t policy_connect(const struct policy *policy, int failed, uint64_t random)
{
    int64_t base = doubled(policy->connect_first_ms, failed > 0 ? failed - 1 : 0, policy->connect_max_ms);
    return base / 2 + (int64_t)(random % (uint64_t)(base / 2 + 1));
}
