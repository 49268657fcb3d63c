/*
 * The outbox at work: a real store, a real loaded sink, a broker that does what a test says. Every test ends with
 * rig_close, which checks that no reservation and no slot is left behind. test_outbox_life.c has leases, stops and crashes.
 */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "unit/outbox_rig.h"

static struct rig rig;
static struct broker *broker = &rig.brokers[0];

static int open_one(void **state)
{
    (void)state;
    rig_open(&rig, 1);
    rig_start(&rig);
    return 0;
}

static int open_stopped(void **state)
{
    (void)state;
    rig_open(&rig, 1);
    return 0;
}

static int shut(void **state)
{
    (void)state;
    rig_close(&rig);
    return 0;
}

static size_t times_submitted(const struct broker *b, int64_t id)
{
    size_t times = 0;
    for (size_t i = 0; i < b->count; i++)
        times += b->messages[i].id == id;
    return times;
}

/* ---- the fast path */

static void every_committed_event_is_delivered_once(void **state)
{
    (void)state;
    rig_await_up(&rig, 0);
    rig_commit(&rig, 1, 300, 0, 0);
    rig_commit(&rig, 301, 1, 0, 0);
    assert_true(broker_await_delivered(broker, 301));
    rig_await_pending(&rig, 0);
    assert_int_equal(rig_number(&rig, "SELECT count(*) FROM delivery_history WHERE delivered = 1 AND attempts = 1"), 301);
    for (int64_t id = 1; id <= 301; id++)
        assert_int_equal(times_submitted(broker, id), 1);
}

static void the_window_is_used_and_confirms_come_in_any_order(void **state)
{
    (void)state;
    rig_await_up(&rig, 0);
    broker_change(broker, (broker->hold = true, broker->backwards = true, broker->window = 64));
    rig_commit(&rig, 1, 100, 0, 0);
    assert_true(broker_await_count(broker, 64));
    broker_change(broker, broker->hold = false);
    assert_true(broker_await_delivered(broker, 100));
    rig_await_pending(&rig, 0);
    assert_int_equal(broker->open_max, 64);
}

static void what_is_planned_and_not_committed_gives_its_room_back(void **state)
{
    (void)state;
    rig_await_up(&rig, 0);
    struct relay *relay = &rig.outbox->relays[0];
    struct arena *arena = arena_new(0);
    const struct event event = { .event_id = 1, .type = "payment.succeeded", .app = "shop", .data = "{}" };
    struct outbox_row *rows[5000];
    size_t count, leased = 0;
    for (int i = 0; i < 5000; i++) {
        outbox_plan(rig.outbox, &event, arena, &rows[i], &count);
        assert_int_equal(count, 1);
        leased += rows[i]->leased;
    }
    assert_int_equal(leased, relay->max_events);
    assert_int_equal(relay->held_events, relay->max_events);
    for (int i = 0; i < 5000; i++)
        outbox_aborted(rig.outbox, rows[i], 1);
    assert_int_equal(relay->held_events, 0);
    assert_int_equal(relay->held_bytes, 0);
    arena_free(arena);
}

static void what_was_committed_without_our_knowing_does_not_wait_for_its_lease(void **state)
{
    (void)state;
    rig_await_up(&rig, 0);
    rig_commit_unknown(&rig, 1, 3, 0, 0);
    assert_true(broker_await_delivered(broker, 3));
    rig_commit_unknown(&rig, 11, 3, 99, 0);
    assert_true(broker_await_delivered(broker, 6));
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(broker->messages[3 + i].id, 11 + (int64_t)i);
    rig_await_pending(&rig, 0);
}

static void a_full_queue_leaves_rows_to_the_claim(void **state)
{
    (void)state;
    rig.config.server.sink_queue_events = 8;
    rig_start(&rig);
    rig_await_up(&rig, 0);
    broker_change(broker, broker->hold = true);
    rig_commit(&rig, 1, 100, 0, 0);
    assert_true(broker_await_count(broker, 8));
    assert_int_equal(rig_number(&rig, "SELECT count(*) FROM outbox WHERE claim = 0"), 92);
    broker_change(broker, broker->hold = false);
    assert_true(broker_await_delivered(broker, 100));
    rig_await_pending(&rig, 0);
    assert_int_equal(broker->count, 100);
}

static void two_sinks_get_what_they_want_of_one_event(void **state)
{
    (void)state;
    static const char *const types[] = { "60202", "60209" }, *const apps[] = { "other", "shop" };
    rig_open(&rig, 2);
    rig.sinks[1].order_types = types;
    rig.sinks[1].order_type_count = 2;
    rig.sinks[1].apps = apps;
    rig.sinks[1].app_count = 2;
    rig_start(&rig);
    rig_await_up(&rig, 0);
    rig_await_up(&rig, 1);
    rig_commit(&rig, 1, 200, 0, 0); /* odd ones are 60201 */
    assert_true(broker_await_delivered(&rig.brokers[0], 200));
    assert_true(broker_await_delivered(&rig.brokers[1], 100));
    rig_await_pending(&rig, 0);
    assert_int_equal(rig_number(&rig, "SELECT count(*) FROM delivery_history WHERE sink = 'sink1' AND event_id % 2 = 0"), 100);
    assert_int_equal(rig.brokers[1].count, 100);
}

static void a_slow_sink_does_not_hold_up_another(void **state)
{
    (void)state;
    rig_open(&rig, 2);
    rig.config.server.sink_queue_events = 16;
    rig_start(&rig);
    rig_await_up(&rig, 0);
    rig_await_up(&rig, 1);
    broker_change(broker, broker->hold = true);
    for (int64_t id = 1; id <= 500; id += 50)
        rig_commit(&rig, id, 50, 0, 0);
    assert_true(broker_await_delivered(&rig.brokers[1], 500));
    size_t held;
    broker_change(broker, held = broker->count);
    assert_int_equal(held, 16);
    broker_change(broker, broker->hold = false);
    assert_true(broker_await_delivered(broker, 500));
    rig_await_pending(&rig, 0);
}

/* ---- order */

static void events_of_one_order_wait_for_each_other_and_for_nobody_else(void **state)
{
    (void)state;
    rig_await_up(&rig, 0);
    broker_change(broker, broker->hold = true);
    rig_commit(&rig, 1, 3, 77, 0);
    rig_commit(&rig, 10, 1, 0, 0);
    assert_true(broker_await_count(broker, 2));
    assert_int_equal(rig_number(&rig, "SELECT count(*) FROM outbox WHERE waits_for IS NOT NULL"), 2);
    assert_int_equal(times_submitted(broker, 1) + times_submitted(broker, 10), 2);
    for (size_t delivered = 3; delivered <= 4; delivered++) {
        broker_change(broker, broker->hold = false);
        assert_true(broker_await_delivered(broker, delivered));
    }
    rig_await_pending(&rig, 0);
    int64_t last = 0;
    for (size_t i = 0; i < broker->count; i++)
        if (broker->messages[i].order == 77)
            assert_int_equal(broker->messages[i].id, ++last);
    assert_int_equal(last, 3);
}

static int reject_the_first(struct broker *b, const struct message *message)
{
    (void)b;
    return message->id == 1 ? PN_REJECTED : PN_DELIVERED;
}

static void a_dead_letter_frees_its_successors(void **state)
{
    (void)state;
    rig_await_up(&rig, 0);
    broker_change(broker, broker->decide = reject_the_first);
    rig_commit(&rig, 1, 2, 77, 0);
    assert_true(broker_await_delivered(broker, 1));
    rig_await_pending(&rig, 0);
    assert_int_equal(rig_number(&rig, "SELECT count(*) FROM delivery_history WHERE event_id = 1 AND delivered = 0 AND "
                                      "reason = 'as the test says'"), 1);
    assert_int_equal(rig_number(&rig, "SELECT delivered FROM delivery_history WHERE event_id = 2"), 1);
}

/* ---- failures of a message, failures of a sink */

static int retry_twice(struct broker *b, const struct message *message)
{
    (void)b;
    return message->attempt <= 2 ? PN_RETRY : PN_DELIVERED;
}

static void a_retry_counts_its_attempts(void **state)
{
    (void)state;
    rig_await_up(&rig, 0);
    broker_change(broker, broker->decide = retry_twice);
    rig_commit(&rig, 1, 1, 0, 0);
    assert_true(broker_await_delivered(broker, 1));
    rig_await_pending(&rig, 0);
    assert_int_equal(broker->count, 3);
    assert_int_equal(rig_number(&rig, "SELECT attempts FROM delivery_history"), 3);
}

static void nothing_is_lost_and_no_attempt_charged_when_the_sink_goes_down_in_the_middle(void **state)
{
    (void)state;
    rig_await_up(&rig, 0);
    for (int round = 0; round < 5; round++) {
        broker_change(broker, (broker->break_after = broker->count + 50, broker->window = 20));
        rig_commit(&rig, 1 + round * 200, 200, 0, 0);
    }
    assert_true(broker_await_delivered(broker, 1000));
    rig_await_pending(&rig, 0);
    assert_in_range(broker->connects, 2, 100);
    assert_int_equal(rig_number(&rig, "SELECT count(DISTINCT event_id) FROM delivery_history WHERE delivered = 1 AND attempts = 1"), 1000);
}

static void a_sink_that_is_down_takes_nothing_and_gets_everything_later(void **state)
{
    (void)state;
    broker_change(broker, broker->refuse_connections = true);
    rig_start(&rig);
    rig_commit(&rig, 1, 500, 0, 0);
    assert_int_equal(rig_number(&rig, "SELECT count(*) FROM outbox WHERE claim = 0"), 500);
    struct sink_status status;
    do
        assert_int_equal(outbox_sink_status(rig.outbox, &status, 1), 1);
    while (!strstr(status.reason, "nobody is there"));
    assert_int_equal(status.state, SINK_DOWN);
    broker_change(broker, broker->refuse_connections = false);
    assert_true(broker_await_delivered(broker, 500));
    rig_await_pending(&rig, 0);
    assert_int_equal(broker->count, 500);
}

static void a_paused_sink_keeps_its_rows(void **state)
{
    (void)state;
    rig.sinks[0].paused = true;
    rig_start(&rig);
    rig_commit(&rig, 1, 10, 0, 0);
    struct sink_status status;
    outbox_sink_status(rig.outbox, &status, 1);
    assert_int_equal(status.state, SINK_PAUSED);
    rig_stop(&rig, 0);
    assert_int_equal(broker->connects, 0);
    assert_int_equal(rig_number(&rig, "SELECT count(*) FROM outbox WHERE claim = 0 AND attempts = 0"), 10);
    rig.sinks[0].paused = false;
    rig_start(&rig);
    assert_true(broker_await_delivered(broker, 10));
    rig_await_pending(&rig, 0);
}

static void tickets_that_are_not_in_flight_change_nothing(void **state)
{
    (void)state;
    rig_await_up(&rig, 0);
    broker_change(broker, broker->hold = true);
    rig_commit(&rig, 1, 1, 0, 0);
    assert_true(broker_await_count(broker, 1));
    /* the broker confirms another ticket first: a stale generation of the same slot, one of nobody, the right one twice */
    uint64_t right = broker->messages[0].ticket;
    static const int64_t wrong[] = { -(2 << 20), 2 << 20, 1, 1000000 };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        broker_change(broker, (broker->messages[0].ticket = right + (uint64_t)wrong[i], broker->hold = false));
        assert_true(broker_await_delivered(broker, i + 1));
        broker_change(broker, (broker->hold = true, broker->open_count = 1));
    }
    assert_int_equal(rig_number(&rig, "SELECT count(*) FROM outbox"), 1);
    broker_change(broker, (broker->messages[0].ticket = right, broker->hold = false));
    rig_await_pending(&rig, 0);
    assert_int_equal(rig_number(&rig, "SELECT count(*) FROM delivery_history"), 1);
}

static void a_sink_that_cannot_be_opened_stops_the_start(void **state)
{
    (void)state;
    struct error err = { 0 };
    struct outbox *outbox;
    rig_open(&rig, 2);
    rig.brokers[1].script.open = broker_refuse_to_open;
    const struct outbox_options options = { .config = &rig.config, .store = rig.store, .incarnation = 1 };
    assert_int_equal(outbox_new(&options, &outbox, &err), RC_OK);
    assert_int_equal(outbox_start(outbox, &err), RC_CONFIG);
    assert_string_equal(err.text, "sink sink1: no such place");
    assert_string_equal(err.field, "url");
    outbox_free(outbox);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_committed_event_is_delivered_once, open_one, shut),
        cmocka_unit_test_setup_teardown(the_window_is_used_and_confirms_come_in_any_order, open_one, shut),
        cmocka_unit_test_setup_teardown(what_is_planned_and_not_committed_gives_its_room_back, open_one, shut),
        cmocka_unit_test_setup_teardown(what_was_committed_without_our_knowing_does_not_wait_for_its_lease, open_one, shut),
        cmocka_unit_test_setup_teardown(a_full_queue_leaves_rows_to_the_claim, open_stopped, shut),
        cmocka_unit_test_teardown(two_sinks_get_what_they_want_of_one_event, shut),
        cmocka_unit_test_teardown(a_slow_sink_does_not_hold_up_another, shut),
        cmocka_unit_test_setup_teardown(events_of_one_order_wait_for_each_other_and_for_nobody_else, open_one, shut),
        cmocka_unit_test_setup_teardown(a_dead_letter_frees_its_successors, open_one, shut),
        cmocka_unit_test_setup_teardown(a_retry_counts_its_attempts, open_one, shut),
        cmocka_unit_test_setup_teardown(nothing_is_lost_and_no_attempt_charged_when_the_sink_goes_down_in_the_middle, open_one, shut),
        cmocka_unit_test_setup_teardown(a_sink_that_is_down_takes_nothing_and_gets_everything_later, open_stopped, shut),
        cmocka_unit_test_setup_teardown(a_paused_sink_keeps_its_rows, open_stopped, shut),
        cmocka_unit_test_setup_teardown(tickets_that_are_not_in_flight_change_nothing, open_one, shut),
        cmocka_unit_test_teardown(a_sink_that_cannot_be_opened_stops_the_start, shut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
