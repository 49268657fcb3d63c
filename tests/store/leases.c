/*
 * What is leased or versioned: worker numbers, channel memory.
 */
#include "config.h"

#include "fixture.h"

#include <string.h>

struct node_call {
    const char *name;
    int64_t incarnation, lease_ms;
    int node;
    int64_t predecessor, floor_ms, now;
};
TX(acquire, struct node_call,
   return node_acquire(tx, a->name, a->incarnation, a->lease_ms, &a->node, &a->predecessor, &a->floor_ms, err);)
TX(renew, struct node_call, return node_renew(tx, a->node, a->incarnation, a->lease_ms, err);)
TX(release, struct node_call, return node_release(tx, a->node, a->incarnation, err);)
TX(now, struct node_call, return tx_now(tx, &a->now, err);)

static void restart_takes_its_own_number_over(void **state)
{
    (void)state;
    struct node_call first = { .name = new_name("host"), .incarnation = new_id(), .lease_ms = 60000 };
    write_ok(acquire, &first);
    assert_true(first.node >= 0 && first.node < 1024);
    assert_int_equal(first.predecessor, 0);
    struct node_call second = { .name = first.name, .incarnation = new_id(), .lease_ms = 60000 };
    write_ok(acquire, &second);
    assert_int_equal(second.node, first.node);
    assert_int_equal(second.predecessor, first.incarnation);
    read_ok(now, &second);
    assert_true(second.floor_ms <= second.now && second.floor_ms > second.now - 60000);
    assert_int_equal(write_rc(renew, &first), RC_CONFLICT);
    assert_int_equal(write_rc(release, &first), RC_CONFLICT);
    write_ok(renew, &second);
    write_ok(release, &second);
    struct node_call third = { .name = first.name, .incarnation = new_id(), .lease_ms = 60000 };
    write_ok(acquire, &third);
    assert_int_equal(third.node, first.node);
    assert_int_equal(third.predecessor, 0);
    write_ok(release, &third);
}

static void every_name_has_its_own_number_until_all_are_taken(void **state)
{
    (void)state;
    static struct node_call taken[1025];
    bool used[1024] = { false };
    size_t count = 0;
    enum rc rc = RC_OK;
    for (; count < 1025 && rc == RC_OK; count++) {
        taken[count] = (struct node_call){ .name = new_name("full"), .incarnation = new_id(), .lease_ms = 600000 };
        rc = write_rc(acquire, &taken[count]);
        if (rc == RC_OK) {
            assert_false(used[taken[count].node]);
            used[taken[count].node] = true;
        }
    }
    assert_int_equal(rc, RC_FULL);
    assert_true(count > 1000);
    /* A lapsed lease frees its number; what was given out before it ended is told. */
    struct node_call lapsed = taken[0];
    lapsed.lease_ms = -1000;
    write_ok(renew, &lapsed);
    struct node_call next = { .name = new_name("next"), .incarnation = new_id(), .lease_ms = 60000 };
    write_ok(acquire, &next);
    assert_int_equal(next.node, taken[0].node);
    assert_int_equal(next.predecessor, 0);
    assert_int_equal(write_rc(renew, &taken[0]), RC_CONFLICT);
    write_ok(release, &next);
    for (size_t i = 1; i < count - 1; i++)
        write_ok(release, &taken[i]);
}

struct memory_call {
    const char *channel, *data;
    size_t len;
    int64_t version, refresh_at;
};
TX(get_memory, struct memory_call,
   return memory_get(tx, a->channel, arena, &a->data, &a->len, &a->version, &a->refresh_at, err);)
TX(put_memory, struct memory_call, return memory_put(tx, a->channel, a->data, a->len, a->version, a->refresh_at, err);)

static void memory_is_versioned_bytes(void **state)
{
    (void)state;
    char bytes[256];
    for (int i = 0; i < 256; i++)
        bytes[i] = (char)i;
    struct memory_call call = { .channel = new_name("channel") };
    assert_int_equal(read_rc(get_memory, &call), RC_NOT_FOUND);
    call.data = bytes, call.len = sizeof bytes, call.refresh_at = 99;
    call.version = 2;
    assert_int_equal(write_rc(put_memory, &call), RC_CONFLICT);
    call.version = 1;
    write_ok(put_memory, &call);
    assert_int_equal(write_rc(put_memory, &call), RC_CONFLICT);
    struct memory_call read = { .channel = call.channel };
    read_ok(get_memory, &read);
    assert_int_equal(read.len, sizeof bytes);
    assert_memory_equal(read.data, bytes, sizeof bytes);
    assert_int_equal(read.version, 1);
    assert_int_equal(read.refresh_at, 99);
    call.version = 2;
    call.data = "";
    call.len = 0;
    write_ok(put_memory, &call);
    read_ok(get_memory, &read);
    assert_int_equal(read.len, 0);
    assert_non_null(read.data);
    assert_int_equal(read.version, 2);
}

const struct CMUnitTest lease_tests[] = {
    cmocka_unit_test(restart_takes_its_own_number_over),
    cmocka_unit_test(every_name_has_its_own_number_until_all_are_taken),
    cmocka_unit_test(memory_is_versioned_bytes),
};
const size_t lease_test_count = sizeof lease_tests / sizeof lease_tests[0];
