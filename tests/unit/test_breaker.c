/* The circuit breaker's state machine: scripts of what happens, and the state and permission after each step. */
#include "unit.h"

#include "pay/breaker.h"

enum { FIRST = 1000, MOST = 8000 }; /* the waits */

enum deed {
    END,
    ASK,     /* a call wants to leave; its permit is kept under `call` */
    ANSWER,  /* the call got one */
    FAIL,
    UNUSED,  /* the call ended before it left */
    PASS     /* `call` milliseconds go by */
};

struct step {
    enum deed deed;
    int call;
    bool granted; /* ASK */
    enum breaker_state after;
};

/* Without jitter the wait is what is configured: a random number in the middle of its range. */
static void run(const char *name, const struct step *steps)
{
    struct breaker breaker = { .failures_max = 3, .wait_ms = FIRST, .wait_max_ms = MOST };
    struct breaker_permit permits[16] = { 0 };
    int64_t now = 1000000;
    for (int i = 0; steps[i].deed != END; i++) {
        const struct step *step = &steps[i];
        int64_t wait = breaker.next_wait_ms ? breaker.next_wait_ms : FIRST;
        bool refuses = breaker_refuses(&breaker, now);
        switch (step->deed) {
        case ASK:
            permits[step->call] = breaker_permit(&breaker, now);
            if (permits[step->call].granted != step->granted || refuses == step->granted)
                fail_msg("%s: step %d: granted %d", name, i, permits[step->call].granted);
            break;
        case ANSWER: breaker_answered(&breaker); break;
        case FAIL: breaker_failed(&breaker, permits[step->call], now, (uint32_t)(wait / 4)); break;
        case UNUSED: breaker_unused(&breaker, permits[step->call], now); break;
        case PASS: now += step->call; break;
        case END: break;
        }
        if (breaker.state != step->after)
            fail_msg("%s: step %d: state %d, not %d", name, i, (int)breaker.state, (int)step->after);
    }
}

#define IN_A_ROW { ASK, 0, true, BREAKER_CLOSED }, { FAIL, 0, false, BREAKER_CLOSED }, \
                 { ASK, 0, true, BREAKER_CLOSED }, { FAIL, 0, false, BREAKER_CLOSED }, \
                 { ASK, 0, true, BREAKER_CLOSED }, { FAIL, 0, false, BREAKER_OPEN }

static void so_many_failures_in_a_row_open_it(void **state)
{
    (void)state;
    run("in a row", (const struct step[]){ IN_A_ROW, { ASK, 1, false, BREAKER_OPEN }, { 0 } });
    run("an answer in between", (const struct step[]){
        { ASK, 0, true, BREAKER_CLOSED }, { FAIL, 0, false, BREAKER_CLOSED },
        { ASK, 0, true, BREAKER_CLOSED }, { FAIL, 0, false, BREAKER_CLOSED },
        { ASK, 0, true, BREAKER_CLOSED }, { ANSWER, 0, false, BREAKER_CLOSED },
        { ASK, 0, true, BREAKER_CLOSED }, { FAIL, 0, false, BREAKER_CLOSED },
        { ASK, 0, true, BREAKER_CLOSED }, { FAIL, 0, false, BREAKER_CLOSED }, { 0 } });
    run("all at once", (const struct step[]){
        { ASK, 0, true, BREAKER_CLOSED }, { ASK, 1, true, BREAKER_CLOSED }, { ASK, 2, true, BREAKER_CLOSED },
        { ASK, 3, true, BREAKER_CLOSED }, { FAIL, 0, false, BREAKER_CLOSED }, { FAIL, 1, false, BREAKER_CLOSED },
        { FAIL, 2, false, BREAKER_OPEN }, { FAIL, 3, false, BREAKER_OPEN }, { 0 } });
    run("calls that never left", (const struct step[]){
        { ASK, 0, true, BREAKER_CLOSED }, { UNUSED, 0, false, BREAKER_CLOSED },
        { ASK, 0, true, BREAKER_CLOSED }, { UNUSED, 0, false, BREAKER_CLOSED },
        { ASK, 0, true, BREAKER_CLOSED }, { UNUSED, 0, false, BREAKER_CLOSED }, { 0 } });
}

static void after_its_wait_one_probe_goes_out(void **state)
{
    (void)state;
    run("answered", (const struct step[]){
        IN_A_ROW, { PASS, FIRST - 1, false, BREAKER_OPEN }, { ASK, 1, false, BREAKER_OPEN },
        { PASS, 1, false, BREAKER_OPEN }, { ASK, 1, true, BREAKER_HALF_OPEN }, { ASK, 2, false, BREAKER_HALF_OPEN },
        { ANSWER, 1, false, BREAKER_CLOSED }, { ASK, 2, true, BREAKER_CLOSED }, { 0 } });
    run("not answered, and the wait doubles", (const struct step[]){
        IN_A_ROW, { PASS, FIRST, false, BREAKER_OPEN }, { ASK, 1, true, BREAKER_HALF_OPEN }, { FAIL, 1, false, BREAKER_OPEN },
        { PASS, 2 * FIRST - 1, false, BREAKER_OPEN }, { ASK, 1, false, BREAKER_OPEN }, { PASS, 1, false, BREAKER_OPEN },
        { ASK, 1, true, BREAKER_HALF_OPEN }, { FAIL, 1, false, BREAKER_OPEN },
        { PASS, 4 * FIRST - 1, false, BREAKER_OPEN }, { ASK, 1, false, BREAKER_OPEN }, { PASS, 1, false, BREAKER_OPEN },
        { ASK, 1, true, BREAKER_HALF_OPEN }, { ANSWER, 1, false, BREAKER_CLOSED },
        IN_A_ROW, { PASS, FIRST, false, BREAKER_OPEN }, { ASK, 1, true, BREAKER_HALF_OPEN }, { 0 } });
    run("the probe never left, the next one may", (const struct step[]){
        IN_A_ROW, { PASS, FIRST, false, BREAKER_OPEN }, { ASK, 1, true, BREAKER_HALF_OPEN }, { UNUSED, 1, false, BREAKER_OPEN },
        { ASK, 2, true, BREAKER_HALF_OPEN }, { 0 } });
}

static void calls_from_before_say_nothing_by_failing_but_much_by_an_answer(void **state)
{
    (void)state;
    run("failures", (const struct step[]){
        { ASK, 4, true, BREAKER_CLOSED }, { ASK, 5, true, BREAKER_CLOSED }, { ASK, 6, true, BREAKER_CLOSED },
        IN_A_ROW, { FAIL, 4, false, BREAKER_OPEN }, { PASS, FIRST, false, BREAKER_OPEN },
        { ASK, 1, true, BREAKER_HALF_OPEN }, { FAIL, 5, false, BREAKER_HALF_OPEN }, { ANSWER, 1, false, BREAKER_CLOSED },
        { ASK, 1, true, BREAKER_CLOSED }, { FAIL, 1, false, BREAKER_CLOSED }, { FAIL, 4, false, BREAKER_CLOSED },
        { FAIL, 5, false, BREAKER_CLOSED }, { FAIL, 6, false, BREAKER_CLOSED }, { 0 } });
    run("an answer", (const struct step[]){
        { ASK, 4, true, BREAKER_CLOSED }, IN_A_ROW, { ANSWER, 4, false, BREAKER_CLOSED }, { ASK, 1, true, BREAKER_CLOSED }, { 0 } });
}

static int64_t wait_of(struct breaker *breaker, uint32_t random)
{
    while (breaker->state == BREAKER_CLOSED)
        breaker_failed(breaker, breaker_permit(breaker, 0), 0, random);
    return breaker->until_ms;
}

static void the_wait_is_spread_by_a_quarter_and_bounded(void **state)
{
    (void)state;
    int64_t least = INT64_MAX, most = 0;
    for (uint32_t random = 0; random < 4000; random += 7) {
        struct breaker breaker = { .failures_max = 1, .wait_ms = FIRST, .wait_max_ms = MOST };
        int64_t wait = wait_of(&breaker, random);
        least = wait < least ? wait : least;
        most = wait > most ? wait : most;
    }
    assert_in_range(least, FIRST - FIRST / 4, FIRST - FIRST / 5);
    assert_in_range(most, FIRST + FIRST / 5, FIRST + FIRST / 4);

    struct breaker breaker = { .failures_max = 1, .wait_ms = FIRST, .wait_max_ms = MOST };
    int64_t now = wait_of(&breaker, UINT32_MAX);
    for (int i = 0; i < 100; i++) {
        struct breaker_permit probe = breaker_permit(&breaker, now);
        assert_true(probe.granted && probe.probe);
        assert_true(breaker_failed(&breaker, probe, now, UINT32_MAX));
        assert_in_range(breaker.until_ms - now, 1, MOST + MOST / 4);
        now = breaker.until_ms;
    }
    assert_int_equal(breaker.next_wait_ms, MOST);
}

static void without_a_limit_it_never_opens(void **state)
{
    (void)state;
    struct breaker breaker = { .wait_ms = FIRST, .wait_max_ms = MOST };
    for (int i = 0; i < 1000; i++) {
        struct breaker_permit permit = breaker_permit(&breaker, i);
        assert_true(permit.granted);
        assert_false(breaker_failed(&breaker, permit, i, 0));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(so_many_failures_in_a_row_open_it),
        cmocka_unit_test(after_its_wait_one_probe_goes_out),
        cmocka_unit_test(calls_from_before_say_nothing_by_failing_but_much_by_an_answer),
        cmocka_unit_test(the_wait_is_spread_by_a_quarter_and_bounded),
        cmocka_unit_test(without_a_limit_it_never_opens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
