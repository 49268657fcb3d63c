/*
 * What a process leaves in the schedule when it ends: by a clean stop, and by a kill, after which the next process of its
 * name takes over.
 */
#include "config.h"

#include "work.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/ids.h"
#include "store/node.h"

struct held {
    struct schedule_entry entry;
    int64_t claim, version;
};
TX(hold_tx, struct held, return schedule_hold(tx, &a->entry, a->claim, &a->version, err);)

/* node_stop ends the making of ids; the tests that follow make some. */
static void stop(struct node *node)
{
    node_stop(node);
    ids_lease(1, 0, mono_ms() + HOUR_MS);
}

static void clean_stop_gives_its_work_back(void **state)
{
    (void)state;
    const char *channel = new_name("channel"), *name = new_name("host");
    int64_t ours = new_id(), others = new_id();
    struct node *node;
    struct error err = { 0 };
    if (node_start(store, test_url(), name, &node, &err) != RC_OK)
        fail_msg("%s", err.text);
    work_hold(ours, TASK_CLOSE, channel, node_incarnation(node), HOUR_MS);
    work_hold(others, TASK_CLOSE, channel, node_incarnation(node) + 1, HOUR_MS);
    assert_false(work_look(ours).due);
    stop(node);
    assert_true(work_look(ours).due);
    assert_false(work_look(others).due);
}

/* In a process of its own. */
static void work_until_killed(const char *url, const char *name, struct held *held)
{
    struct store *side;
    struct node *node;
    if (store_open(&(struct store_options){ .url = url }, &side, NULL) != RC_OK || node_start(side, url, name, &node, NULL) != RC_OK)
        _exit(1);
    held->claim = node_incarnation(node);
    if (store_write(side, LANE_WORK, hold_tx, held, NULL) == RC_OK)
        raise(SIGKILL);
    _exit(1);
}

static void killed_process_leaves_its_work_to_its_successor(void **state)
{
    (void)state;
    drop_side();
    const char *url = side_url(), *name = new_name("host");
    struct held held = { .entry = { new_id(), TASK_CLOSE, "one", HOUR_MS } };
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        work_until_killed(url, name, &held);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));

    struct store *suite = store;
    struct node *node;
    store = open_again(&(struct store_options){ .url = url });
    struct lying before = work_look(held.entry.subject);
    enum rc rc = node_start(store, url, name, &node, NULL);
    struct lying after = work_look(held.entry.subject);
    if (rc == RC_OK)
        stop(node);
    store_close(store);
    store = suite;
    drop_side();
    assert_int_equal(rc, RC_OK);
    assert_true(before.there && !before.due && before.claim != 0);
    assert_true(after.there && after.due && after.claim == 0);
}

const struct CMUnitTest takeover_tests[] = {
    cmocka_unit_test(clean_stop_gives_its_work_back),
    cmocka_unit_test(killed_process_leaves_its_work_to_its_successor),
};
const size_t takeover_test_count = sizeof takeover_tests / sizeof takeover_tests[0];
