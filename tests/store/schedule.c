/*
 * The schedule: what is due is claimed once, per channel, and who works on a row holds it by its version. Each test works
 * on channels of its own.
 */
#include "config.h"

#include "work.h"

#include <pthread.h>

static void work_is_claimed_when_due_until_done(void **state)
{
    (void)state;
    const char *channel = new_name("channel");
    int64_t subject = new_id();
    work_put(subject, TASK_QUERY, channel, HOUR_MS);
    assert_int_equal(work_count_due(channel), 0);
    work_put(subject, TASK_QUERY, channel, 0);
    struct scheduled row = work_claim_one(channel, HOUR_MS);
    assert_int_equal(row.subject, subject);
    assert_int_equal(row.task, TASK_QUERY);
    assert_string_equal(row.channel, channel);
    assert_int_equal(row.attempts, 1);
    assert_int_equal(row.answers, 0);
    assert_int_equal(row.unknowns, 0);
    assert_int_equal(work_count_due(channel), 0);
    work_again(&row, 0, ANSWER_LEARNED);
    row = work_claim_one(channel, HOUR_MS);
    assert_int_equal(row.attempts, 2);
    work_done(row.subject, row.version);
    assert_false(work_look(subject).there);
}

static void sooner_time_and_greater_task_stay(void **state)
{
    (void)state;
    const char *channel = new_name("channel");
    int64_t subject = new_id();
    work_put(subject, TASK_QUERY, channel, 0);
    work_put(subject, TASK_CLOSE, channel, HOUR_MS);
    assert_true(work_look(subject).due);
    work_put(subject, TASK_QUERY, channel, HOUR_MS);
    struct lying lying = work_look(subject);
    assert_true(lying.due);
    assert_int_equal(lying.row.task, TASK_CLOSE);
    work_again(&(struct scheduled){ .subject = subject, .version = lying.row.version }, HOUR_MS, ANSWER_LEARNED);
    work_put(subject, TASK_CLOSE, channel, 0);
    assert_true(work_look(subject).due);
}

static void new_task_counts_from_the_beginning(void **state)
{
    (void)state;
    const char *channel = new_name("channel");
    int64_t subject = new_id();
    work_put(subject, TASK_QUERY, channel, 0);
    struct scheduled row = work_claim_one(channel, HOUR_MS);
    work_again(&row, 0, ANSWER_UNKNOWN);
    work_put(subject, TASK_QUERY, channel, 0);
    row = work_claim_one(channel, HOUR_MS);
    assert_int_equal(row.attempts, 2);
    assert_int_equal(row.unknowns, 1);
    work_put(subject, TASK_CLOSE, channel, 0);
    row = work_claim_one(channel, HOUR_MS);
    assert_int_equal(row.task, TASK_CLOSE);
    assert_int_equal(row.attempts, 1);
    assert_int_equal(row.unknowns, 0);
}

static void answers_are_counted_and_unknown_ones_in_a_row(void **state)
{
    (void)state;
    const char *channel = new_name("channel");
    work_put(new_id(), TASK_REFUND, channel, 0);
    static const struct {
        enum schedule_answer answer;
        int answers, unknowns;
    } turns[] = {
        { ANSWER_UNKNOWN, 0, 1 }, { ANSWER_UNKNOWN, 0, 2 }, { ANSWER_NOT_ASKED, 0, 2 },
        { ANSWER_LEARNED, 1, 0 }, { ANSWER_UNKNOWN, 1, 1 }, { ANSWER_LEARNED, 2, 0 },
    };
    for (size_t i = 0; i < sizeof turns / sizeof turns[0]; i++) {
        struct scheduled row = work_claim_one(channel, HOUR_MS);
        assert_int_equal(row.attempts, (int)i + 1);
        work_again(&row, 0, turns[i].answer);
        assert_int_equal(work_look(row.subject).row.answers, turns[i].answers);
        assert_int_equal(work_look(row.subject).row.unknowns, turns[i].unknowns);
    }
}

/* ---------------------------------------------------------------------------------------------------- the fence */

static void put_during_work_keeps_the_row(void **state)
{
    (void)state;
    const char *channel = new_name("channel");
    int64_t subject = new_id();
    work_put(subject, TASK_QUERY, channel, 0);
    struct scheduled row = work_claim_one(channel, HOUR_MS);
    work_put(subject, TASK_CLOSE, channel, HOUR_MS);
    work_done(subject, row.version);
    assert_true(work_look(subject).there);
    work_again(&row, HOUR_MS, ANSWER_UNKNOWN);
    struct lying lying = work_look(subject);
    assert_int_equal(lying.row.task, TASK_CLOSE);
    assert_int_equal(lying.row.unknowns, 0);
    work_put(subject, TASK_CLOSE, channel, 0);
    work_again(&row, HOUR_MS, ANSWER_UNKNOWN);
    assert_true(work_look(subject).due);
    assert_int_equal(work_look(subject).claim, 0);
}

static void lapsed_lease_leaves_the_row_to_the_next(void **state)
{
    (void)state;
    const char *channel = new_name("channel");
    int64_t subject = new_id();
    work_put(subject, TASK_QUERY, channel, 0);
    struct scheduled slow = work_claim_one(channel, 0), next = work_claim_one(channel, HOUR_MS);
    assert_false(work_is_held(subject, slow.version));
    assert_true(work_is_held(subject, next.version));
    work_again(&slow, 0, ANSWER_LEARNED);
    assert_false(work_look(subject).due);
    work_done(subject, slow.version);
    assert_true(work_look(subject).there);
    work_done(subject, next.version);
    assert_false(work_look(subject).there);
    assert_false(work_is_held(subject, next.version));
}

TX(held_tx, struct scheduled, bool held = false; enum rc rc = schedule_held(tx, a->subject, a->version, &held, err);
   a->answers = held; return rc;)

static bool is_held(struct scheduled row)
{
    write_ok(held_tx, &row);
    return row.answers;
}

static void whoever_has_a_row_knows_until_it_is_taken_over(void **state)
{
    (void)state;
    const char *channel = new_name("channel");
    int64_t subject = new_id();
    work_put(subject, TASK_REFUND, channel, 0);
    struct scheduled slow = work_claim_one(channel, 0);
    assert_true(is_held(slow)); /* a lease that has lapsed, and that nobody has taken */
    struct scheduled next = work_claim_one(channel, HOUR_MS);
    assert_false(is_held(slow));
    assert_true(is_held(next));
    work_put(subject, TASK_REFUND, channel, HOUR_MS);
    assert_false(is_held(next));
    work_done(subject, 0);
    assert_false(is_held(next));
}

/* Whoever worked on the old one may come back late. */
static void row_put_anew_is_not_the_old_one(void **state)
{
    (void)state;
    const char *channel = new_name("channel");
    int64_t subject = new_id();
    work_put(subject, TASK_CLOSE, channel, 0);
    struct scheduled old = work_claim_one(channel, 0);
    work_done(subject, 0);
    for (int64_t then = db_now(); db_now() == then;)
        ; /* no two rows of a subject begin in one millisecond */
    work_put(subject, TASK_POLICY, channel, 0);
    struct scheduled fresh = work_claim_one(channel, HOUR_MS);
    assert_true(fresh.version != old.version);
    work_done(subject, old.version);
    assert_true(work_look(subject).there);
}

static void done_without_a_version_removes_any(void **state)
{
    (void)state;
    const char *channel = new_name("channel");
    int64_t subject = new_id();
    work_put(subject, TASK_QUERY, channel, 0);
    work_claim_one(channel, HOUR_MS);
    work_put(subject, TASK_CLOSE, channel, 0);
    work_done(subject, 0);
    assert_false(work_look(subject).there);
    work_done(subject, 0);
}

static void holder_has_the_row_for_itself(void **state)
{
    (void)state;
    const char *channel = new_name("channel");
    int64_t fresh = new_id(), taken = new_id();
    int64_t version = work_hold(fresh, TASK_CLOSE, channel, 5, HOUR_MS);
    assert_int_equal(work_look(fresh).claim, 5);
    assert_int_equal(work_look(fresh).row.version, version);
    work_put(taken, TASK_QUERY, channel, 0);
    struct scheduled worker = work_claim_one(channel, HOUR_MS);
    version = work_hold(taken, TASK_CLOSE, channel, 5, HOUR_MS);
    assert_true(work_is_held(taken, version));
    assert_false(work_is_held(taken, worker.version));
    work_done(taken, worker.version);
    work_again(&worker, 0, ANSWER_UNKNOWN);
    assert_int_equal(work_count_due(channel), 0);
    struct lying lying = work_look(taken);
    assert_int_equal(lying.claim, 5);
    assert_int_equal(lying.row.task, TASK_CLOSE);
    assert_int_equal(lying.row.attempts, 0);
    work_done(taken, version);
    assert_false(work_look(taken).there);
}

static void hold_puts_off_what_was_due_and_keeps_the_greater_task(void **state)
{
    (void)state;
    const char *channel = new_name("channel");
    int64_t subject = new_id();
    work_put(subject, TASK_POLICY, channel, 0);
    int64_t version = work_hold(subject, TASK_CLOSE, channel, 5, HOUR_MS);
    assert_int_equal(work_count_due(channel), 0);
    work_again(&(struct scheduled){ .subject = subject, .version = version }, 0, ANSWER_LEARNED);
    assert_int_equal(work_claim_one(channel, HOUR_MS).task, TASK_POLICY);
}

/* ---------------------------------------------------------------------------------------------------- claim */

static void channels_are_claimed_apart(void **state)
{
    (void)state;
    const char *one = new_name("one"), *two = new_name("two");
    int64_t subject = new_id();
    work_put(new_id(), TASK_QUERY, one, 0);
    work_put(subject, TASK_QUERY, two, 0);
    assert_int_equal(work_claim_one(two, HOUR_MS).subject, subject);
    assert_int_equal(work_count_due(two), 0);
    assert_int_equal(work_count_due(one), 1);
    assert_int_equal(work_count_due(new_name("three")), 0);
}

static void longest_due_are_claimed_first(void **state)
{
    (void)state;
    const char *channel = new_name("channel");
    int64_t subjects[4];
    for (int i = 0; i < 4; i++)
        subjects[i] = new_id();
    work_put(subjects[2], TASK_QUERY, channel, -1000);
    work_put(subjects[0], TASK_QUERY, channel, -3000);
    work_put(subjects[3], TASK_QUERY, channel, 0);
    work_put(subjects[1], TASK_QUERY, channel, -2000);
    struct scheduled *first;
    assert_int_equal(work_claim(channel, 3, 1, HOUR_MS, &first), 3);
    for (size_t i = 0; i < 3; i++)
        assert_true(first[i].subject != subjects[3]);
    assert_int_equal(work_claim_one(channel, HOUR_MS).subject, subjects[3]);
}

enum { CLAIMERS = 4, ROWS = 200, EACH = 7 };
struct claimer {
    const char *channel;
    int64_t claim;
    struct arena *arena;
    struct scheduled *items;
    size_t found;
    struct scheduled got[ROWS];
    size_t count;
    enum rc rc;
};
TX(claim_tx, struct claimer, arena_reset(a->arena);
   return schedule_claim(tx, a->channel, EACH, a->claim, HOUR_MS, a->arena, &a->items, &a->found, err);)

static void *claim_until_empty(void *arg)
{
    struct claimer *claimer = arg;
    do {
        claimer->rc = store_write(store, claimer->claim % 2 ? LANE_POLL : LANE_WORK, claim_tx, claimer, NULL);
        for (size_t i = 0; claimer->rc == RC_OK && i < claimer->found && claimer->count < ROWS; i++)
            claimer->got[claimer->count++] = claimer->items[i];
    } while (claimer->rc == RC_OK && claimer->found > 0);
    return NULL;
}

/* A claimer may end early because the last rows are locked by others; those have them then. */
static void claimers_never_get_the_same_row(void **state)
{
    (void)state;
    const char *channel = new_name("channel");
    static struct claimer claimers[CLAIMERS];
    pthread_t threads[CLAIMERS];
    int64_t first = new_id() + 1, last = 0;
    for (int i = 0; i < ROWS; i++)
        work_put(last = new_id(), TASK_QUERY, channel, 0);
    for (int i = 0; i < CLAIMERS; i++) {
        claimers[i] = (struct claimer){ .channel = channel, .claim = i + 1, .arena = arena_new(0) };
        assert_int_equal(pthread_create(&threads[i], NULL, claim_until_empty, &claimers[i]), 0);
    }
    size_t total = 0;
    for (int i = 0; i < CLAIMERS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(claimers[i].rc, RC_OK);
        for (size_t j = 0; j < claimers[i].count; j++) {
            int64_t subject = claimers[i].got[j].subject;
            assert_true(subject >= first && subject <= last);
            assert_int_equal(claimers[i].got[j].attempts, 1);
            assert_int_equal(work_look(subject).claim, i + 1);
        }
        total += claimers[i].count;
        arena_free(claimers[i].arena);
    }
    assert_int_equal(total, ROWS);
}

const struct CMUnitTest schedule_tests[] = {
    cmocka_unit_test(work_is_claimed_when_due_until_done),
    cmocka_unit_test(sooner_time_and_greater_task_stay),
    cmocka_unit_test(new_task_counts_from_the_beginning),
    cmocka_unit_test(answers_are_counted_and_unknown_ones_in_a_row),
    cmocka_unit_test(put_during_work_keeps_the_row),
    cmocka_unit_test(lapsed_lease_leaves_the_row_to_the_next),
    cmocka_unit_test(whoever_has_a_row_knows_until_it_is_taken_over),
    cmocka_unit_test(row_put_anew_is_not_the_old_one),
    cmocka_unit_test(done_without_a_version_removes_any),
    cmocka_unit_test(holder_has_the_row_for_itself),
    cmocka_unit_test(hold_puts_off_what_was_due_and_keeps_the_greater_task),
    cmocka_unit_test(channels_are_claimed_apart),
    cmocka_unit_test(longest_due_are_claimed_first),
    cmocka_unit_test(claimers_never_get_the_same_row),
};
const size_t schedule_test_count = sizeof schedule_tests / sizeof schedule_tests[0];
