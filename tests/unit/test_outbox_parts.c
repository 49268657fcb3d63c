/* The small parts of the outbox that threads rely on: the retry schedule, tickets, room, reasons. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "outbox/internal.h"

static void retries_follow_the_schedule_and_end_nowhere(void **state)
{
    (void)state;
    static const int64_t wanted_s[] = { 5, 30, 300, 600, 1200, 2400, 3600, 3600, 3600 };
    for (size_t i = 0; i < sizeof wanted_s / sizeof *wanted_s; i++)
        for (uint64_t random = 0; random < 100000; random += 997) {
            int64_t base = wanted_s[i] * 1000;
            assert_in_range(policy_retry(&policy_default, (int)i + 1, random), base - base / 10, base + base / 10);
        }
    assert_in_range(policy_retry(&policy_default, INT32_MAX, UINT64_MAX), 3240000, 3960000);
    assert_in_range(policy_retry(&policy_default, 0, 7), 4500, 5500);
}

static void connects_back_off_from_one_second_to_thirty(void **state)
{
    (void)state;
    static const int64_t most_s[] = { 1, 2, 4, 8, 16, 30, 30, 30 };
    for (size_t i = 0; i < sizeof most_s / sizeof *most_s; i++)
        for (uint64_t random = 0; random < 100000; random += 997)
            assert_in_range(policy_connect(&policy_default, (int)i + 1, random), most_s[i] * 500, most_s[i] * 1000);
    assert_in_range(policy_connect(&policy_default, INT32_MAX, 1), 15000, 30000);
}

static void a_ticket_is_good_once_and_for_its_own_slot(void **state)
{
    (void)state;
    struct slots slots;
    uint64_t tickets[5];
    assert_int_equal(slots_init(&slots, 4), RC_OK);
    for (int i = 0; i < 4; i++)
        assert_non_null(slots_take(&slots, &tickets[i]));
    assert_null(slots_take(&slots, &tickets[4]));
    struct slot *slot = slots_find(&slots, tickets[2]);
    assert_non_null(slot);
    slots_give(&slots, slot);
    assert_null(slots_find(&slots, tickets[2]));
    assert_ptr_equal(slots_take(&slots, &tickets[4]), slot);
    assert_null(slots_find(&slots, tickets[2]));
    assert_ptr_equal(slots_find(&slots, tickets[4]), slot);
    for (uint64_t wrong = 0; wrong < 1000; wrong++)
        assert_null(slots_find(&slots, wrong));
    assert_null(slots_find(&slots, UINT64_MAX));
    assert_null(slots_find(&slots, tickets[0] + 4));
    assert_int_equal(slots.used, 4);
    slots_free(&slots);
}

static void a_table_without_slots_or_with_too_many_is_refused(void **state)
{
    (void)state;
    struct slots slots;
    assert_int_not_equal(slots_init(&slots, 0), RC_OK);
    assert_int_not_equal(slots_init(&slots, 1U << 20), RC_OK);
}

static void room_ends_at_either_limit_and_one_huge_event_always_fits(void **state)
{
    (void)state;
    struct relay relay = { .max_events = 3, .max_bytes = 1000 };
    assert_true(room_take(&relay, 5000));
    assert_false(room_take(&relay, 1));
    room_give(&relay, 5000);
    assert_true(room_take(&relay, 600));
    assert_false(room_take(&relay, 600));
    assert_true(room_take(&relay, 400));
    assert_false(room_take(&relay, 1));
    room_give(&relay, 400);
    assert_int_equal(room_take_events(&relay, 10), 2);
    assert_int_equal(room_take_events(&relay, 10), 0);
    room_claimed(&relay, 1, 100);
    assert_int_equal(relay.held_events, 2);
    assert_int_equal(relay.held_bytes, 700);
    room_give(&relay, 600);
    room_give(&relay, 100);
    assert_int_equal(relay.held_events, 0);
    assert_int_equal(relay.held_bytes, 0);
}

static void *take_and_give(void *arg)
{
    struct relay *relay = arg;
    for (int i = 0; i < 100000; i++) {
        size_t claimed = room_take_events(relay, 3);
        if (room_take(relay, 10))
            room_give(relay, 10);
        room_claimed(relay, claimed, 0);
    }
    return NULL;
}

static void room_does_not_leak_between_threads(void **state)
{
    (void)state;
    struct relay relay = { .max_events = 5, .max_bytes = 35 };
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_and_give, &relay), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(relay.held_events, 0);
    assert_int_equal(relay.held_bytes, 0);
}

static void a_reason_is_made_fit_for_the_store(void **state)
{
    (void)state;
    char longer[1000];
    assert_null(completion_reason(NULL));
    assert_null(completion_reason(""));
    char *reason = completion_reason("NO_ROUTE\r\nfor\tit");
    assert_string_equal(reason, "NO_ROUTE  for it");
    free(reason);
    reason = completion_reason("\xff\xfe");
    assert_true(text_is_utf8(reason, strlen(reason)));
    free(reason);
    for (size_t i = 0; i + 3 < sizeof longer; i += 3)
        memcpy(longer + i, "\xe4\xba\x91", 4);
    reason = completion_reason(longer);
    assert_int_equal(strlen(reason), 198);
    free(reason);
}

static void two_formats_of_one_payload_are_made_once(void **state)
{
    (void)state;
    const struct event event = { .event_id = 1, .type = "payment.succeeded", .app = "a", .data = "{}" };
    struct payload *payload = payload_new(&event);
    struct buf scratch = { 0 };
    const struct pn_event *first, *again, *other;
    assert_int_equal(payload_render(payload, FORMAT_MQMESSAGE, &scratch, &first), RC_OK);
    assert_int_equal(payload_render(payload, FORMAT_MQMESSAGE, &scratch, &again), RC_OK);
    assert_int_equal(payload_render(payload, FORMAT_PROVIDER, &scratch, &other), RC_OK);
    assert_ptr_equal(first, again);
    assert_ptr_not_equal(first, other);
    payload_unref(payload_ref(payload));
    assert_string_equal(first->id.data, "1");
    payload_unref(payload);
    buf_free(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(retries_follow_the_schedule_and_end_nowhere),
        cmocka_unit_test(connects_back_off_from_one_second_to_thirty),
        cmocka_unit_test(a_ticket_is_good_once_and_for_its_own_slot),
        cmocka_unit_test(a_table_without_slots_or_with_too_many_is_refused),
        cmocka_unit_test(room_ends_at_either_limit_and_one_huge_event_always_fits),
        cmocka_unit_test(room_does_not_leak_between_threads),
        cmocka_unit_test(a_reason_is_made_fit_for_the_store),
        cmocka_unit_test(two_formats_of_one_payload_are_made_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
