/*
 * The outbox in trouble: a locked store, leases and fences, stops, a crash; and a hundred thousand deliveries. The rig is
 * that of test_outbox.c.
 */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/node.h"
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

static int shut(void **state)
{
    (void)state;
    rig_close(&rig);
    return 0;
}

/* ---- the store */

static void outcomes_wait_while_the_store_is_locked(void **state)
{
    (void)state;
    rig_await_up(&rig, 0);
    broker_change(broker, broker->hold = true);
    rig_commit(&rig, 1, 100, 0, 0);
    assert_true(broker_await_count(broker, 100));
    struct sqlite3 *lock = rig_lock(&rig);
    broker_change(broker, broker->hold = false);
    assert_true(broker_await_delivered(broker, 100));
    struct metric *backlog = metric_gauge("paynotify_completion_backlog", NULL, "");
    (void)poll(NULL, 0, 50);
    assert_int_equal(rig_number(&rig, "SELECT count(*) FROM delivery_history"), 0);
    rig_unlock(lock);
    rig_await_pending(&rig, 0);
    assert_int_equal(rig_number(&rig, "SELECT count(*) FROM delivery_history"), 100);
    while (atomic_load(&backlog->value) != 0)
        (void)poll(NULL, 0, 1);
}

/* ---- sleep */

/* The writer of a wake-up may come when the relay is up already and asleep again. */
static void a_late_wake_up_does_not_keep_the_relay_awake(void **state)
{
    (void)state;
    rig_await_up(&rig, 0);
    struct relay *relay = &rig.outbox->relays[0];
    for (int i = 0; i < 100; i++) {
        relay_wake(relay);
        struct pollfd wake = { .fd = relay->wake_fd, .events = POLLIN };
        int rounds = 0;
        while (poll(&wake, 1, 0) == 1 && ++rounds < 10000)
            (void)poll(NULL, 0, 1);
        assert_int_not_equal(rounds, 10000);
    }
}

/* ---- leases and fences */

static enum rc take_away(struct tx *tx, void *arg, struct error *err)
{
    size_t count;
    struct outbox_claimed *rows;
    bool more;
    enum rc rc = outbox_release(tx, rig.incarnation, &count, err);
    return rc ? rc : outbox_claim(tx, "sink0", 10, 999, 60000, arg, &rows, &count, &more, err);
}

static void a_row_that_somebody_else_has_taken_is_left_alone(void **state)
{
    (void)state;
    rig_await_up(&rig, 0);
    broker_change(broker, broker->hold = true);
    rig_commit(&rig, 1, 1, 0, 0);
    assert_true(broker_await_count(broker, 1));
    struct arena *arena = arena_new(0);
    rig_write(&rig, take_away, arena);
    arena_free(arena);
    broker_change(broker, broker->hold = false);
    assert_true(broker_await_delivered(broker, 1));
    rig_stop(&rig, 1000);
    assert_int_equal(rig_number(&rig, "SELECT claim FROM outbox"), 999);
    assert_int_equal(rig_number(&rig, "SELECT count(*) FROM delivery_history"), 0);
}

struct late_commit {
    struct event event;
    struct outbox_row *rows;
    size_t count;
};

static enum rc late_tx(struct tx *tx, void *arg, struct error *err)
{
    struct late_commit *late = arg;
    struct settle_writes writes = { .events = &late->event, .event_count = 1, .outbox = late->rows, .outbox_count = late->count };
    return settle_store(tx, &writes, err);
}

static enum rc release_tx(struct tx *tx, void *arg, struct error *err)
{
    (void)arg;
    size_t count;
    return outbox_release(tx, rig.incarnation, &count, err);
}

static void a_lease_that_ends_soon_is_not_trusted(void **state)
{
    (void)state;
    rig_await_up(&rig, 0);
    struct arena *arena = arena_new(0);
    struct late_commit late = { .event = { .event_id = 1, .type = "payment.succeeded", .app = "shop", .order_id = 1, .data = "{}" } };
    outbox_plan(rig.outbox, &late.event, arena, &late.rows, &late.count);
    assert_true(late.rows[0].leased);
    late.rows[0].planned_at -= LEASE_MS - LEASE_MARGIN_MS + 1; /* as if the commit had taken that long */
    rig_write(&rig, late_tx, &late);
    outbox_committed(rig.outbox, &late.event, 1, late.rows, late.count);
    struct relay *relay = &rig.outbox->relays[0];
    while (relay->held_events > 0)
        (void)poll(NULL, 0, 1);
    assert_int_equal(broker->count, 0);
    assert_int_equal(rig_number(&rig, "SELECT count(*) FROM outbox WHERE claim <> 0"), 1);
    rig_write(&rig, release_tx, NULL);
    assert_true(broker_await_delivered(broker, 1));
    rig_await_pending(&rig, 0);
    arena_free(arena);
}

/* ---- stopping, crashing */

static void stopping_waits_for_confirms_and_releases_the_rest(void **state)
{
    (void)state;
    rig_await_up(&rig, 0);
    broker_change(broker, (broker->hold = true, broker->window = 10));
    rig_commit(&rig, 1, 50, 0, 0);
    assert_true(broker_await_count(broker, 10));
    rig_stop(&rig, 20);
    assert_int_equal(rig_number(&rig, "SELECT count(*) FROM outbox WHERE claim = 0 AND attempts = 0 AND due_at < 9e18"), 50);
    broker_change(broker, (broker->hold = false, broker->window = 1000));
    rig_start(&rig);
    assert_true(broker_await_delivered(broker, 50));
    rig_stop(&rig, 5000);
    assert_int_equal(rig_number(&rig, "SELECT count(*) FROM outbox"), 0);
}

static void *confirm_soon(void *arg)
{
    (void)arg;
    while (atomic_load(&rig.outbox->relays[0].state) != RELAY_STOPPED)
        (void)poll(NULL, 0, 1);
    broker_change(broker, broker->hold = false);
    return NULL;
}

static void confirms_that_come_while_stopping_are_written(void **state)
{
    (void)state;
    pthread_t thread;
    rig_await_up(&rig, 0);
    broker_change(broker, broker->hold = true);
    rig_commit(&rig, 1, 50, 0, 0);
    assert_true(broker_await_count(broker, 50));
    assert_int_equal(pthread_create(&thread, NULL, confirm_soon, NULL), 0);
    rig_stop(&rig, 30000);
    pthread_join(thread, NULL);
    assert_int_equal(rig_number(&rig, "SELECT count(*) FROM outbox"), 0);
    assert_int_equal(rig_number(&rig, "SELECT count(*) FROM delivery_history WHERE delivered = 1"), 50);
}

static void stopping_interrupts_a_call_that_hangs(void **state)
{
    (void)state;
    rig_await_up(&rig, 0);
    broker_change(broker, broker->hang = true);
    rig_stop(&rig, 100);
    assert_int_equal(broker->interrupts, 1);
}

/* The child holds leased rows in flight and is killed: what it held is due as soon as its node comes back. */
static void crash_child(int ready_fd)
{
    struct node *node;
    struct error err = { 0 };
    rig_open(&rig, 1);
    if (node_start(rig.store, rig.url, "127.0.0.1:1", &node, &err) != RC_OK)
        _exit(2);
    rig.incarnation = node_incarnation(node) - 1;
    rig_start(&rig);
    rig_await_up(&rig, 0);
    broker_change(broker, broker->hold = true);
    rig_commit(&rig, 1, 200, 0, 0);
    if (!broker_await_count(broker, 200) || write(ready_fd, rig.dir, sizeof rig.dir) < 0)
        _exit(3);
    for (;;)
        pause();
}

static void after_a_crash_the_restart_releases_at_once(void **state)
{
    (void)state;
    int ready[2], status;
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0)
        crash_child(ready[1]);
    char dir[sizeof rig.dir];
    close(ready[1]); /* a child that fails ends the read */
    ssize_t length = read(ready[0], dir, sizeof dir);
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    close(ready[0]);
    assert_int_equal(length, sizeof dir);

    rig_open(&rig, 1);
    store_close(rig.store);
    (void)snprintf(rig.url, sizeof rig.url, "sqlite:%s/db", dir);
    struct error err = { 0 };
    struct node *node;
    assert_int_equal(store_open(&(struct store_options){ .url = rig.url, .connections = 2, .statement_timeout_ms = 5000 }, &rig.store, &err), RC_OK);
    assert_int_equal(rig_number(&rig, "SELECT count(*) FROM outbox WHERE claim <> 0"), 200);
    assert_int_equal(node_start(rig.store, rig.url, "127.0.0.1:1", &node, &err), RC_OK);
    rig.incarnation = node_incarnation(node) - 1;
    rig_start(&rig);
    assert_true(broker_await_delivered(broker, 200));
    rig_await_pending(&rig, 0);
    rig_stop(&rig, 1000);
    node_stop(node);
    rig_close(&rig);
    (void)snprintf(rig.dir, sizeof rig.dir, "%s", dir);
    rig_remove(&rig);
}

/* While the one is still stopping, another would make the same ids. */
static void a_node_name_has_one_living_process(void **state)
{
    (void)state;
    struct error err = { 0 };
    struct node *first, *second = NULL;
    assert_int_equal(node_start(rig.store, rig.url, "127.0.0.1:1", &first, &err), RC_OK);
    assert_int_equal(node_start(rig.store, rig.url, "127.0.0.1:1", &second, &err), RC_CONFLICT);
    assert_non_null(strstr(err.text, "127.0.0.1:1"));
    assert_null(second);
    node_stop(first);
    assert_int_equal(node_start(rig.store, rig.url, "127.0.0.1:1", &second, &err), RC_OK);
    node_stop(second);
}

/* ---- many */

static void a_hundred_thousand_deliveries_through_memory(void **state)
{
    (void)state;
    enum { EVENTS = 100000, BATCH = 250 };
    rig_await_up(&rig, 0);
    for (int64_t id = 1; id <= EVENTS; id += BATCH)
        rig_commit(&rig, id, BATCH, 0, 0);
    assert_true(broker_await_delivered(broker, EVENTS));
    rig_await_pending(&rig, 0);
    assert_int_equal(rig_number(&rig, "SELECT count(*) FROM delivery_history"), EVENTS);
    assert_int_equal(broker->count, EVENTS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(after_a_crash_the_restart_releases_at_once),
        cmocka_unit_test_setup_teardown(a_node_name_has_one_living_process, open_one, shut),
        cmocka_unit_test_setup_teardown(outcomes_wait_while_the_store_is_locked, open_one, shut),
        cmocka_unit_test_setup_teardown(a_late_wake_up_does_not_keep_the_relay_awake, open_one, shut),
        cmocka_unit_test_setup_teardown(a_row_that_somebody_else_has_taken_is_left_alone, open_one, shut),
        cmocka_unit_test_setup_teardown(a_lease_that_ends_soon_is_not_trusted, open_one, shut),
        cmocka_unit_test_setup_teardown(stopping_waits_for_confirms_and_releases_the_rest, open_one, shut),
        cmocka_unit_test_setup_teardown(confirms_that_come_while_stopping_are_written, open_one, shut),
        cmocka_unit_test_setup_teardown(stopping_interrupts_a_call_that_hangs, open_one, shut),
        cmocka_unit_test_setup_teardown(a_hundred_thousand_deliveries_through_memory, open_one, shut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
