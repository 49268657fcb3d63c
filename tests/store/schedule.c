/*
 * The schedule: what is due is claimed once, per channel; who works on a row holds it by its version; what has nothing
 * left to ask is pruned. Each test works on channels of its own.
 */
#include "config.h"

#include "fixture.h"

#include <pthread.h>
#include <string.h>

#include "store/statement.h"

enum { HOUR_MS = 3600 * 1000 };

struct call {
    struct schedule_entry entry;
    const char *channel;
    size_t limit;
    int64_t claim, ms, subject, version;
    enum schedule_answer answer;
    struct arena *arena;
    struct scheduled *items;
    size_t count;
};
TX(put_tx, struct call, return schedule_put(tx, &a->entry, err);)
TX(hold_tx, struct call, return schedule_hold(tx, &a->entry, a->claim, &a->version, err);)
TX(claim_tx, struct call, if (a->arena) arena_reset(a->arena);
   return schedule_claim(tx, a->channel, a->limit, a->claim, a->ms, a->arena ? a->arena : arena, &a->items, &a->count, err);)
TX(again_tx, struct call, return schedule_again(tx, a->subject, a->version, a->ms, a->answer, err);)
TX(done_tx, struct call, return schedule_done(tx, a->subject, a->version, err);)
TX(prune_tx, struct call, return schedule_prune(tx, a->channel, a->limit, &a->count, err);)
TX(release_tx, struct call, return schedule_release(tx, a->claim, err);)

static void put(int64_t subject, enum schedule_task task, const char *channel, int64_t due_in_ms)
{
    write_ok(put_tx, &(struct call){ .entry = { subject, task, channel, due_in_ms } });
}

static int64_t hold(int64_t subject, enum schedule_task task, const char *channel, int64_t claim, int64_t due_in_ms)
{
    struct call call = { .entry = { subject, task, channel, due_in_ms }, .claim = claim };
    write_ok(hold_tx, &call);
    return call.version;
}

static struct call claim(const char *channel, size_t limit, int64_t claim, int64_t lease_ms)
{
    struct call call = { .channel = channel, .limit = limit, .claim = claim, .ms = lease_ms };
    write_ok(claim_tx, &call);
    return call;
}

/* The only row that is due in the channel. */
static struct scheduled claim_one(const char *channel, int64_t lease_ms)
{
    struct call call = claim(channel, 10, 1, lease_ms);
    assert_int_equal(call.count, 1);
    return call.items[0];
}

static size_t count_due(const char *channel)
{
    return claim(channel, 100, 1, 0).count;
}

static void again(const struct scheduled *row, int64_t due_in_ms, enum schedule_answer answer)
{
    write_ok(again_tx, &(struct call){ .subject = row->subject, .version = row->version, .ms = due_in_ms, .answer = answer });
}

static void done(int64_t subject, int64_t version)
{
    write_ok(done_tx, &(struct call){ .subject = subject, .version = version });
}

static size_t prune(const char *channel, size_t limit)
{
    struct call call = { .channel = channel, .limit = limit };
    write_ok(prune_tx, &call);
    return call.count;
}

/* A row as it lies in the books. */
struct lying {
    int64_t subject;
    bool there, due;
    struct scheduled row;
    int64_t claim;
};
static const struct sql look_sql = {
    .name = "test_schedule_look",
    .text = "SELECT task, channel, attempts, answers, unknowns, version, claim, due_at <= pn_now_ms() FROM query_schedule WHERE subject = $1",
};

static void lying_from_row(struct row *row, void *ret_lying)
{
    struct lying *lying = ret_lying;
    lying->there = true;
    lying->row.task = (enum schedule_task)row_i64(row, 0);
    lying->row.channel = row_text(row, 1);
    lying->row.attempts = (int)row_i64(row, 2);
    lying->row.answers = (int)row_i64(row, 3);
    lying->row.unknowns = (int)row_i64(row, 4);
    lying->row.version = row_i64(row, 5);
    lying->claim = row_i64(row, 6);
    lying->due = row_bool(row, 7);
}
TX(look_tx, struct lying, enum rc rc = tx_one(tx, &look_sql, VALUES(value_i64(a->subject)), arena, lying_from_row, a, sizeof *a, err);
   return rc == RC_NOT_FOUND ? RC_OK : rc;)

static struct lying look(int64_t subject)
{
    struct lying lying = { .subject = subject };
    read_ok(look_tx, &lying);
    return lying;
}

/* ---------------------------------------------------------------------------------------------------- put */

static void work_is_claimed_when_due_until_done(void **state)
{
    (void)state;
    const char *channel = new_name("channel");
    int64_t subject = new_id();
    put(subject, TASK_QUERY, channel, HOUR_MS);
    assert_int_equal(count_due(channel), 0);
    put(subject, TASK_QUERY, channel, 0);
    struct scheduled row = claim_one(channel, HOUR_MS);
    assert_int_equal(row.subject, subject);
    assert_int_equal(row.task, TASK_QUERY);
    assert_string_equal(row.channel, channel);
    assert_int_equal(row.attempts, 1);
    assert_int_equal(row.answers, 0);
    assert_int_equal(row.unknowns, 0);
    assert_int_equal(count_due(channel), 0);
    again(&row, 0, ANSWER_LEARNED);
    row = claim_one(channel, HOUR_MS);
    assert_int_equal(row.attempts, 2);
    done(row.subject, row.version);
    assert_false(look(subject).there);
}

static void sooner_time_and_greater_task_stay(void **state)
{
    (void)state;
    const char *channel = new_name("channel");
    int64_t subject = new_id();
    put(subject, TASK_QUERY, channel, 0);
    put(subject, TASK_CLOSE, channel, HOUR_MS);
    assert_true(look(subject).due);
    put(subject, TASK_QUERY, channel, HOUR_MS);
    struct lying lying = look(subject);
    assert_true(lying.due);
    assert_int_equal(lying.row.task, TASK_CLOSE);
    again(&(struct scheduled){ .subject = subject, .version = lying.row.version }, HOUR_MS, ANSWER_LEARNED);
    put(subject, TASK_CLOSE, channel, 0);
    assert_true(look(subject).due);
}

static void new_task_counts_from_the_beginning(void **state)
{
    (void)state;
    const char *channel = new_name("channel");
    int64_t subject = new_id();
    put(subject, TASK_QUERY, channel, 0);
    struct scheduled row = claim_one(channel, HOUR_MS);
    again(&row, 0, ANSWER_UNKNOWN);
    put(subject, TASK_QUERY, channel, 0);
    row = claim_one(channel, HOUR_MS);
    assert_int_equal(row.attempts, 2);
    assert_int_equal(row.unknowns, 1);
    put(subject, TASK_CLOSE, channel, 0);
    row = claim_one(channel, HOUR_MS);
    assert_int_equal(row.task, TASK_CLOSE);
    assert_int_equal(row.attempts, 1);
    assert_int_equal(row.unknowns, 0);
}

static void answers_are_counted_and_unknown_ones_in_a_row(void **state)
{
    (void)state;
    const char *channel = new_name("channel");
    put(new_id(), TASK_REFUND, channel, 0);
    static const struct {
        enum schedule_answer answer;
        int answers, unknowns;
    } turns[] = {
        { ANSWER_UNKNOWN, 0, 1 }, { ANSWER_UNKNOWN, 0, 2 }, { ANSWER_NOT_ASKED, 0, 2 },
        { ANSWER_LEARNED, 1, 0 }, { ANSWER_UNKNOWN, 1, 1 }, { ANSWER_LEARNED, 2, 0 },
    };
    for (size_t i = 0; i < sizeof turns / sizeof turns[0]; i++) {
        struct scheduled row = claim_one(channel, HOUR_MS);
        assert_int_equal(row.attempts, (int)i + 1);
        again(&row, 0, turns[i].answer);
        assert_int_equal(look(row.subject).row.answers, turns[i].answers);
        assert_int_equal(look(row.subject).row.unknowns, turns[i].unknowns);
    }
}

/* ---------------------------------------------------------------------------------------------------- the fence */

static void put_during_work_keeps_the_row(void **state)
{
    (void)state;
    const char *channel = new_name("channel");
    int64_t subject = new_id();
    put(subject, TASK_QUERY, channel, 0);
    struct scheduled row = claim_one(channel, HOUR_MS);
    put(subject, TASK_CLOSE, channel, HOUR_MS);
    done(subject, row.version);
    assert_true(look(subject).there);
    again(&row, HOUR_MS, ANSWER_UNKNOWN);
    struct lying lying = look(subject);
    assert_int_equal(lying.row.task, TASK_CLOSE);
    assert_int_equal(lying.row.unknowns, 0);
    put(subject, TASK_CLOSE, channel, 0);
    again(&row, HOUR_MS, ANSWER_UNKNOWN);
    assert_true(look(subject).due);
    assert_int_equal(look(subject).claim, 0);
}

static void lapsed_lease_leaves_the_row_to_the_next(void **state)
{
    (void)state;
    const char *channel = new_name("channel");
    int64_t subject = new_id();
    put(subject, TASK_QUERY, channel, 0);
    struct scheduled slow = claim_one(channel, 0), next = claim_one(channel, HOUR_MS);
    again(&slow, 0, ANSWER_LEARNED);
    assert_false(look(subject).due);
    done(subject, slow.version);
    assert_true(look(subject).there);
    done(subject, next.version);
    assert_false(look(subject).there);
}

TX(now_tx, int64_t, return tx_now(tx, a, err);)

static int64_t now(void)
{
    int64_t ms;
    read_ok(now_tx, &ms);
    return ms;
}

/* Whoever worked on the old one may come back late. */
static void row_put_anew_is_not_the_old_one(void **state)
{
    (void)state;
    const char *channel = new_name("channel");
    int64_t subject = new_id();
    put(subject, TASK_CLOSE, channel, 0);
    struct scheduled old = claim_one(channel, 0);
    done(subject, 0);
    for (int64_t then = now(); now() == then;)
        ; /* no two rows of a subject begin in one millisecond */
    put(subject, TASK_POLICY, channel, 0);
    struct scheduled fresh = claim_one(channel, HOUR_MS);
    assert_true(fresh.version != old.version);
    done(subject, old.version);
    assert_true(look(subject).there);
}

static void done_without_a_version_removes_any(void **state)
{
    (void)state;
    const char *channel = new_name("channel");
    int64_t subject = new_id();
    put(subject, TASK_QUERY, channel, 0);
    claim_one(channel, HOUR_MS);
    put(subject, TASK_CLOSE, channel, 0);
    done(subject, 0);
    assert_false(look(subject).there);
    done(subject, 0);
}

static void holder_has_the_row_for_itself(void **state)
{
    (void)state;
    const char *channel = new_name("channel");
    int64_t fresh = new_id(), taken = new_id();
    int64_t version = hold(fresh, TASK_CLOSE, channel, 5, HOUR_MS);
    assert_int_equal(look(fresh).claim, 5);
    assert_int_equal(look(fresh).row.version, version);
    put(taken, TASK_QUERY, channel, 0);
    struct scheduled worker = claim_one(channel, HOUR_MS);
    version = hold(taken, TASK_CLOSE, channel, 5, HOUR_MS);
    done(taken, worker.version);
    again(&worker, 0, ANSWER_UNKNOWN);
    assert_int_equal(count_due(channel), 0);
    struct lying lying = look(taken);
    assert_int_equal(lying.claim, 5);
    assert_int_equal(lying.row.task, TASK_CLOSE);
    assert_int_equal(lying.row.attempts, 0);
    done(taken, version);
    assert_false(look(taken).there);
}

static void hold_puts_off_what_was_due_and_keeps_the_greater_task(void **state)
{
    (void)state;
    const char *channel = new_name("channel");
    int64_t subject = new_id();
    put(subject, TASK_POLICY, channel, 0);
    int64_t version = hold(subject, TASK_CLOSE, channel, 5, HOUR_MS);
    assert_int_equal(count_due(channel), 0);
    again(&(struct scheduled){ .subject = subject, .version = version }, 0, ANSWER_LEARNED);
    assert_int_equal(claim_one(channel, HOUR_MS).task, TASK_POLICY);
}

/* ---------------------------------------------------------------------------------------------------- claim */

static void channels_are_claimed_apart(void **state)
{
    (void)state;
    const char *one = new_name("one"), *two = new_name("two");
    int64_t subject = new_id();
    put(new_id(), TASK_QUERY, one, 0);
    put(subject, TASK_QUERY, two, 0);
    assert_int_equal(claim_one(two, HOUR_MS).subject, subject);
    assert_int_equal(count_due(two), 0);
    assert_int_equal(count_due(one), 1);
    assert_int_equal(count_due(new_name("three")), 0);
}

static void longest_due_are_claimed_first(void **state)
{
    (void)state;
    const char *channel = new_name("channel");
    int64_t subjects[4];
    for (int i = 0; i < 4; i++)
        subjects[i] = new_id();
    put(subjects[2], TASK_QUERY, channel, -1000);
    put(subjects[0], TASK_QUERY, channel, -3000);
    put(subjects[3], TASK_QUERY, channel, 0);
    put(subjects[1], TASK_QUERY, channel, -2000);
    struct call first = claim(channel, 3, 1, HOUR_MS);
    assert_int_equal(first.count, 3);
    for (size_t i = 0; i < 3; i++)
        assert_true(first.items[i].subject != subjects[3]);
    assert_int_equal(claim_one(channel, HOUR_MS).subject, subjects[3]);
}

enum { CLAIMERS = 4, ROWS = 200, EACH = 7 };
struct claimer {
    struct call call;
    struct scheduled got[ROWS];
    size_t count;
    enum rc rc;
};

static void *claim_until_empty(void *arg)
{
    struct claimer *claimer = arg;
    do {
        claimer->rc = store_write(store, claimer->call.claim % 2 ? LANE_POLL : LANE_WORK, claim_tx, &claimer->call, NULL);
        for (size_t i = 0; claimer->rc == RC_OK && i < claimer->call.count && claimer->count < ROWS; i++)
            claimer->got[claimer->count++] = claimer->call.items[i];
    } while (claimer->rc == RC_OK && claimer->call.count > 0);
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
        put(last = new_id(), TASK_QUERY, channel, 0);
    for (int i = 0; i < CLAIMERS; i++) {
        claimers[i] = (struct claimer){ .call = { .channel = channel, .limit = EACH, .claim = i + 1, .ms = HOUR_MS, .arena = arena_new(0) } };
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
            assert_int_equal(look(subject).claim, i + 1);
        }
        total += claimers[i].count;
        arena_free(claimers[i].call.arena);
    }
    assert_int_equal(total, ROWS);
}

/* ---------------------------------------------------------------------------------------------------- prune */

TX(close_record, int64_t, return record_set_closed(tx, *a, err);)
TX(close_order, int64_t, return order_set_closing(tx, *a, err);)

static void queries_of_records_that_are_not_unpaid_are_pruned(void **state)
{
    (void)state;
    const char *channel = new_name("channel");
    struct order order = make_order("a");
    struct pay_record unpaid = make_record(&order), paid = make_record(&order), closed = make_record(&order);
    int64_t none = new_id();
    pay(&paid, NULL, false, 0, NULL);
    write_ok(close_record, &closed.pay_no);
    put(unpaid.pay_no, TASK_QUERY, channel, 0);
    put(paid.pay_no, TASK_QUERY, channel, 0);
    put(closed.pay_no, TASK_QUERY, channel, 0);
    put(none, TASK_QUERY, channel, 0);
    assert_int_equal(prune(channel, 10), 3);
    assert_int_equal(claim_one(channel, HOUR_MS).subject, unpaid.pay_no);
    assert_false(look(paid.pay_no).there || look(closed.pay_no).there || look(none).there);
}

static void expiries_of_orders_that_are_not_unpaid_are_pruned(void **state)
{
    (void)state;
    const char *channel = new_name("channel");
    struct order unpaid = make_order("a"), paid = make_order("a"), closing = make_order("a");
    struct pay_record record = make_record(&paid);
    pay(&record, NULL, false, 0, NULL);
    write_ok(close_order, &closing.order_id);
    put(unpaid.order_id, TASK_EXPIRE, channel, 0);
    put(paid.order_id, TASK_EXPIRE, channel, 0);
    put(closing.order_id, TASK_EXPIRE, channel, 0);
    assert_int_equal(prune(channel, 10), 2);
    assert_int_equal(claim_one(channel, HOUR_MS).subject, unpaid.order_id);
}

static void other_tasks_are_never_pruned(void **state)
{
    (void)state;
    const char *channel = new_name("channel");
    struct order order = make_order("a");
    struct pay_record records[4];
    static const enum schedule_task tasks[] = { TASK_CHECK, TASK_CLOSE, TASK_POLICY, TASK_REFUND };
    for (int i = 0; i < 4; i++)
        records[i] = make_record(&order);
    pay(&records[0], NULL, false, 0, NULL);
    for (int i = 0; i < 4; i++) {
        if (i > 0)
            write_ok(close_record, &records[i].pay_no);
        put(records[i].pay_no, tasks[i], channel, 0);
    }
    assert_int_equal(prune(channel, 10), 0);
    assert_int_equal(count_due(channel), 4);
}

static void rows_that_are_held_or_not_due_or_elsewhere_are_not_pruned(void **state)
{
    (void)state;
    const char *channel = new_name("channel"), *other = new_name("other");
    int64_t held = new_id(), later = new_id(), elsewhere = new_id();
    hold(held, TASK_QUERY, channel, 5, HOUR_MS);
    put(later, TASK_QUERY, channel, HOUR_MS);
    put(elsewhere, TASK_QUERY, other, 0);
    assert_int_equal(prune(channel, 10), 0);
    assert_true(look(held).there && look(later).there && look(elsewhere).there);
}

static void prune_keeps_to_its_limit(void **state)
{
    (void)state;
    const char *channel = new_name("channel");
    for (int i = 0; i < 5; i++)
        put(new_id(), TASK_QUERY, channel, 0);
    assert_int_equal(prune(channel, 3), 3);
    assert_int_equal(prune(channel, 3), 2);
    assert_int_equal(prune(channel, 3), 0);
}

/* ---------------------------------------------------------------------------------------------------- release */

static void dead_process_leaves_its_work_due_at_once(void **state)
{
    (void)state;
    const char *channel = new_name("channel");
    int64_t dead = new_id(), alive = new_id(), held = new_id(), taken = new_id(), kept = new_id(), later = new_id();
    put(taken, TASK_QUERY, channel, 0);
    assert_int_equal(claim(channel, 10, dead, HOUR_MS).count, 1);
    put(kept, TASK_QUERY, channel, 0);
    assert_int_equal(claim(channel, 10, alive, HOUR_MS).count, 1);
    int64_t version = hold(held, TASK_CLOSE, channel, dead, HOUR_MS);
    put(later, TASK_QUERY, channel, HOUR_MS);
    write_ok(release_tx, &(struct call){ .claim = dead });
    assert_true(look(held).due && look(taken).due);
    assert_int_equal(look(held).claim, 0);
    assert_false(look(kept).due || look(later).due);
    done(held, version);
    assert_true(look(held).there);
}

static void releasing_nobody_releases_nothing(void **state)
{
    (void)state;
    const char *channel = new_name("channel");
    int64_t later = new_id();
    put(later, TASK_QUERY, channel, HOUR_MS);
    write_ok(release_tx, &(struct call){ .claim = 0 });
    assert_false(look(later).due);
}

/* ---------------------------------------------------------------------------------------------------- depths */

struct depths {
    struct schedule_depth *items;
    size_t count;
};
TX(depths_tx, struct depths, return schedule_depths(tx, arena, &a->items, &a->count, err);)

static struct schedule_depth depth_of(const char *channel)
{
    struct depths all = { 0 };
    read_ok(depths_tx, &all);
    for (size_t i = 0; i < all.count; i++)
        if (strcmp(all.items[i].channel, channel) == 0)
            return all.items[i];
    return (struct schedule_depth){ .pending = -1 };
}
static void depths_tell_what_is_due_and_since_when(void **state)
{
    (void)state;
    const char *channel = new_name("channel");
    assert_int_equal(depth_of(channel).pending, -1);
    put(new_id(), TASK_QUERY, channel, HOUR_MS);
    assert_int_equal(depth_of(channel).pending, 1);
    assert_int_equal(depth_of(channel).due, 0);
    assert_int_equal(depth_of(channel).oldest_due_at, 0);
    int64_t before = now();
    put(new_id(), TASK_QUERY, channel, -5000);
    put(new_id(), TASK_QUERY, channel, 0);
    int64_t after = now();
    assert_int_equal(depth_of(channel).pending, 3);
    assert_int_equal(depth_of(channel).due, 2);
    assert_true(depth_of(channel).oldest_due_at >= before - 5000 && depth_of(channel).oldest_due_at <= after - 5000);
}

const struct CMUnitTest schedule_tests[] = {
    cmocka_unit_test(work_is_claimed_when_due_until_done),
    cmocka_unit_test(sooner_time_and_greater_task_stay),
    cmocka_unit_test(new_task_counts_from_the_beginning),
    cmocka_unit_test(answers_are_counted_and_unknown_ones_in_a_row),
    cmocka_unit_test(put_during_work_keeps_the_row),
    cmocka_unit_test(lapsed_lease_leaves_the_row_to_the_next),
    cmocka_unit_test(row_put_anew_is_not_the_old_one),
    cmocka_unit_test(done_without_a_version_removes_any),
    cmocka_unit_test(holder_has_the_row_for_itself),
    cmocka_unit_test(hold_puts_off_what_was_due_and_keeps_the_greater_task),
    cmocka_unit_test(channels_are_claimed_apart),
    cmocka_unit_test(longest_due_are_claimed_first),
    cmocka_unit_test(claimers_never_get_the_same_row),
    cmocka_unit_test(queries_of_records_that_are_not_unpaid_are_pruned),
    cmocka_unit_test(expiries_of_orders_that_are_not_unpaid_are_pruned),
    cmocka_unit_test(other_tasks_are_never_pruned),
    cmocka_unit_test(rows_that_are_held_or_not_due_or_elsewhere_are_not_pruned),
    cmocka_unit_test(prune_keeps_to_its_limit),
    cmocka_unit_test(dead_process_leaves_its_work_due_at_once),
    cmocka_unit_test(releasing_nobody_releases_nothing),
    cmocka_unit_test(depths_tell_what_is_due_and_since_when),
};
const size_t schedule_test_count = sizeof schedule_tests / sizeof schedule_tests[0];
