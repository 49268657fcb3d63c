/*
 * The schedule's upkeep: what has nothing left to ask is pruned, what a dead process held is released, depths are told.
 */
#include "config.h"

#include "work.h"

#include <string.h>

/* ---------------------------------------------------------------------------------------------------- prune */

TX(close_record, int64_t, return record_set_closed(tx, *a, err);)
TX(close_order, int64_t, return order_set_closing(tx, *a, err);)
TX(end_order, int64_t, return order_set_closed(tx, *a, 0, err);)

static void queries_of_records_that_are_not_unpaid_are_pruned(void **state)
{
    (void)state;
    const char *channel = new_name("channel");
    struct order order = make_order("a");
    struct pay_record unpaid = make_record(&order), paid = make_record(&order), closed = make_record(&order);
    int64_t none = new_id();
    pay(&paid, NULL, false, 0, NULL);
    write_ok(close_record, &closed.pay_no);
    work_put(unpaid.pay_no, TASK_QUERY, channel, 0);
    work_put(paid.pay_no, TASK_QUERY, channel, 0);
    work_put(closed.pay_no, TASK_QUERY, channel, 0);
    work_put(none, TASK_QUERY, channel, 0);
    assert_int_equal(work_prune(channel, 10), 3);
    assert_int_equal(work_claim_one(channel, HOUR_MS).subject, unpaid.pay_no);
    assert_false(work_look(paid.pay_no).there || work_look(closed.pay_no).there || work_look(none).there);
}

static void expiries_of_orders_that_are_neither_unpaid_nor_closing_are_pruned(void **state)
{
    (void)state;
    const char *channel = new_name("channel");
    struct order unpaid = make_order("a"), paid = make_order("a"), closing = make_order("a"), closed = make_order("a");
    struct pay_record record = make_record(&paid);
    int64_t none = new_id();
    pay(&record, NULL, false, 0, NULL);
    write_ok(close_order, &closing.order_id);
    write_ok(end_order, &closed.order_id);
    work_put(unpaid.order_id, TASK_EXPIRE, channel, 0);
    work_put(paid.order_id, TASK_EXPIRE, channel, 0);
    work_put(closing.order_id, TASK_EXPIRE, channel, 0);
    work_put(closed.order_id, TASK_EXPIRE, channel, 0);
    work_put(none, TASK_EXPIRE, channel, 0);
    assert_int_equal(work_prune(channel, 10), 3);
    assert_true(work_look(unpaid.order_id).there && work_look(closing.order_id).there);
    assert_int_equal(work_count_due(channel), 2);
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
        work_put(records[i].pay_no, tasks[i], channel, 0);
    }
    assert_int_equal(work_prune(channel, 10), 0);
    assert_int_equal(work_count_due(channel), 4);
}

static void rows_that_are_held_or_not_due_or_elsewhere_are_not_pruned(void **state)
{
    (void)state;
    const char *channel = new_name("channel"), *other = new_name("other");
    int64_t held = new_id(), later = new_id(), elsewhere = new_id();
    work_hold(held, TASK_QUERY, channel, 5, HOUR_MS);
    work_put(later, TASK_QUERY, channel, HOUR_MS);
    work_put(elsewhere, TASK_QUERY, other, 0);
    assert_int_equal(work_prune(channel, 10), 0);
    assert_true(work_look(held).there && work_look(later).there && work_look(elsewhere).there);
}

static void prune_keeps_to_its_limit(void **state)
{
    (void)state;
    const char *channel = new_name("channel");
    for (int i = 0; i < 5; i++)
        work_put(new_id(), TASK_QUERY, channel, 0);
    assert_int_equal(work_prune(channel, 3), 3);
    assert_int_equal(work_prune(channel, 3), 2);
    assert_int_equal(work_prune(channel, 3), 0);
}

/* ---------------------------------------------------------------------------------------------------- release */

static void dead_process_leaves_its_work_due_at_once(void **state)
{
    (void)state;
    const char *channel = new_name("channel");
    int64_t dead = new_id(), alive = new_id(), held = new_id(), taken = new_id(), kept = new_id(), later = new_id();
    work_put(taken, TASK_QUERY, channel, 0);
    assert_int_equal(work_claim(channel, 10, dead, HOUR_MS, NULL), 1);
    work_put(kept, TASK_QUERY, channel, 0);
    assert_int_equal(work_claim(channel, 10, alive, HOUR_MS, NULL), 1);
    int64_t version = work_hold(held, TASK_CLOSE, channel, dead, HOUR_MS);
    work_put(later, TASK_QUERY, channel, HOUR_MS);
    work_release(dead);
    assert_true(work_look(held).due && work_look(taken).due);
    assert_int_equal(work_look(held).claim, 0);
    assert_false(work_look(kept).due || work_look(later).due);
    work_done(held, version);
    assert_true(work_look(held).there);
}

static void releasing_nobody_releases_nothing(void **state)
{
    (void)state;
    const char *channel = new_name("channel");
    int64_t later = new_id();
    work_put(later, TASK_QUERY, channel, HOUR_MS);
    work_release(0);
    assert_false(work_look(later).due);
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
    work_put(new_id(), TASK_QUERY, channel, HOUR_MS);
    assert_int_equal(depth_of(channel).pending, 1);
    assert_int_equal(depth_of(channel).due, 0);
    assert_int_equal(depth_of(channel).oldest_due_at, 0);
    int64_t before = db_now();
    work_put(new_id(), TASK_QUERY, channel, -5000);
    work_put(new_id(), TASK_QUERY, channel, 0);
    int64_t after = db_now();
    assert_int_equal(depth_of(channel).pending, 3);
    assert_int_equal(depth_of(channel).due, 2);
    assert_true(depth_of(channel).oldest_due_at >= before - 5000 && depth_of(channel).oldest_due_at <= after - 5000);
}

const struct CMUnitTest upkeep_tests[] = {
    cmocka_unit_test(queries_of_records_that_are_not_unpaid_are_pruned),
    cmocka_unit_test(expiries_of_orders_that_are_neither_unpaid_nor_closing_are_pruned),
    cmocka_unit_test(other_tasks_are_never_pruned),
    cmocka_unit_test(rows_that_are_held_or_not_due_or_elsewhere_are_not_pruned),
    cmocka_unit_test(prune_keeps_to_its_limit),
    cmocka_unit_test(dead_process_leaves_its_work_due_at_once),
    cmocka_unit_test(releasing_nobody_releases_nothing),
    cmocka_unit_test(depths_tell_what_is_due_and_since_when),
};
const size_t upkeep_test_count = sizeof upkeep_tests / sizeof upkeep_tests[0];
