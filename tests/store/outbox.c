/*
 * The outbox: leases, fences, chains. Every sink here is the test's own, so that tests do not see each other's rows.
 */
#include "config.h"

#include "fixture.h"

#include <pthread.h>
#include <string.h>

static struct pay_record fresh_record(void)
{
    struct order order = make_order("a");
    return make_record(&order);
}

static void leased_row_is_not_claimed_by_others(void **state)
{
    (void)state;
    const char *sink = new_name("sink");
    struct pay_record record = fresh_record();
    struct outbox_row row;
    pay(&record, sink, true, 5, &row);
    assert_false(row.chained);
    assert_int_equal(depth(sink, false), 1);
    assert_int_equal(depth(sink, true), 0);
    assert_int_equal(claim_rows(sink, 10, 6, NULL), 0);
}

static void due_rows_are_claimed_once_with_their_event(void **state)
{
    (void)state;
    const char *sink = new_name("sink");
    struct pay_record record = fresh_record(), second = fresh_record();
    int64_t event_id = pay(&record, sink, false, 5, NULL);
    pay(&second, sink, false, 5, NULL);
    assert_int_equal(depth(sink, true), 2);
    struct outbox_claimed *rows;
    assert_int_equal(claim_rows(sink, 1, 6, &rows), 1);
    assert_int_equal(rows[0].event.event_id, event_id);
    assert_string_equal(rows[0].sink, sink);
    assert_string_equal(rows[0].event.type, "payment.succeeded");
    assert_string_equal(rows[0].event.app, "a");
    assert_null(rows[0].event.order_type);
    assert_int_equal(rows[0].event.order_id, record.order_id);
    assert_int_equal(rows[0].event.pay_no, record.pay_no);
    assert_string_equal(rows[0].event.data, "{\"a\":1}");
    assert_int_equal(rows[0].event.created_at, 1700000000123);
    assert_int_equal(rows[0].attempts, 0);
    assert_int_equal(claim_rows(sink, 10, 6, NULL), 1);
    assert_int_equal(claim_rows(sink, 10, 6, NULL), 0);
}

static void late_completion_is_fenced_off(void **state)
{
    (void)state;
    const char *sink = new_name("sink");
    struct pay_record record = fresh_record();
    int64_t event_id = pay(&record, sink, false, 0, NULL);
    assert_int_equal(claim_rows(sink, 1, 6, NULL), 1);
    complete_one(event_id, sink, 5, OUTBOX_DELIVERED, 0);
    complete_one(event_id, sink, 5, OUTBOX_RETRY, 0);
    assert_int_equal(depth(sink, false), 1);
    assert_int_equal(depth(sink, true), 0);
    complete_one(event_id, sink, 6, OUTBOX_DELIVERED, 0);
    assert_int_equal(depth(sink, false), 0);
    complete_one(event_id, sink, 6, OUTBOX_DELIVERED, 0);
}

static void retry_counts_an_attempt_and_back_does_not(void **state)
{
    (void)state;
    const char *sink = new_name("sink");
    struct pay_record record = fresh_record();
    struct outbox_claimed *rows;
    int64_t event_id = pay(&record, sink, false, 0, NULL);
    claim_rows(sink, 1, 6, NULL);
    complete_one(event_id, sink, 6, OUTBOX_RETRY, 0);
    assert_int_equal(claim_rows(sink, 1, 6, &rows), 1);
    assert_int_equal(rows[0].attempts, 1);
    complete_one(event_id, sink, 6, OUTBOX_BACK, 0);
    assert_int_equal(claim_rows(sink, 1, 6, &rows), 1);
    assert_int_equal(rows[0].attempts, 1);
    complete_one(event_id, sink, 6, OUTBOX_RETRY, 3600000);
    assert_int_equal(claim_rows(sink, 1, 6, NULL), 0);
    assert_int_equal(depth(sink, false), 1);
}

static void follow_up_waits_for_its_predecessor(void **state)
{
    (void)state;
    const char *sink = new_name("sink");
    struct pay_record record = fresh_record();
    struct outbox_row row;
    struct outbox_claimed *rows;
    int64_t first = pay(&record, sink, true, 5, NULL);
    int64_t second = add_event(record.order_id, sink, &row);
    assert_true(row.chained);
    int64_t third = add_event(record.order_id, sink, &row);
    assert_true(row.chained);
    assert_int_equal(depth(sink, false), 3);
    assert_int_equal(depth(sink, true), 0);

    assert_int_equal(complete_one(first, sink, 5, OUTBOX_DELIVERED, 0), 1);
    assert_int_equal(claim_rows(sink, 10, 6, &rows), 1);
    assert_int_equal(rows[0].event.event_id, second);
    assert_int_equal(complete_one(second, sink, 6, OUTBOX_RETRY, 0), 0);
    assert_int_equal(claim_rows(sink, 10, 6, &rows), 1);
    assert_int_equal(complete_one(second, sink, 6, OUTBOX_DEAD, 0), 1);
    assert_int_equal(claim_rows(sink, 10, 6, &rows), 1);
    assert_int_equal(rows[0].event.event_id, third);
    assert_int_equal(complete_one(third, sink, 6, OUTBOX_DELIVERED, 0), 0);
    add_event(record.order_id, sink, &row);
    assert_false(row.chained);
}

static void chains_are_per_sink(void **state)
{
    (void)state;
    const char *sink = new_name("sink"), *other = new_name("other");
    struct pay_record record = fresh_record();
    struct outbox_row row;
    pay(&record, sink, true, 5, NULL);
    add_event(record.order_id, other, &row);
    assert_false(row.chained);
}

/* Two events of one order in one call: the second waits for the first. */
TX(store_writes, struct settle_writes, return settle_store(tx, a, err);)

static void events_of_one_call_are_chained(void **state)
{
    (void)state;
    const char *sink = new_name("sink");
    struct order order = make_order("a");
    struct event events[3];
    struct outbox_row rows[3];
    for (int i = 0; i < 3; i++) {
        events[i] = (struct event){ .event_id = new_id(), .type = "t", .app = "a", .order_id = order.order_id, .data = "{}",
                                    .predecessor = i == 0 ? 0 : events[i - 1].event_id };
        rows[i] = (struct outbox_row){ .event_id = events[i].event_id, .order_id = order.order_id, .sink = sink, .leased = true,
                                       .claim = 9, .lease_ms = 60000, .predecessor = events[i].predecessor };
    }
    struct settle_writes writes = { .events = events, .event_count = 3, .outbox = rows, .outbox_count = 3 };
    write_ok(store_writes, &writes);
    assert_false(rows[0].chained);
    assert_true(rows[1].chained);
    assert_true(rows[2].chained);
    assert_int_equal(complete_one(events[0].event_id, sink, 9, OUTBOX_DELIVERED, 0), 1);
    struct outbox_claimed *claimed;
    assert_int_equal(claim_rows(sink, 10, 9, &claimed), 1);
    assert_int_equal(claimed[0].event.event_id, events[1].event_id);
}

struct release_call {
    int64_t claim;
    size_t count;
};
TX(release, struct release_call, return outbox_release(tx, a->claim, &a->count, err);)

static void release_makes_leased_rows_due_but_not_chained_ones(void **state)
{
    (void)state;
    const char *sink = new_name("sink");
    int64_t claim = new_id();
    struct pay_record record = fresh_record(), other = fresh_record();
    pay(&record, sink, true, claim, NULL);
    add_event(record.order_id, sink, NULL);
    pay(&other, sink, true, claim + 1, NULL);
    struct release_call call = { .claim = claim };
    write_ok(release, &call);
    assert_int_equal(call.count, 1);
    assert_int_equal(depth(sink, true), 1);
    call.claim = 0;
    write_ok(release, &call);
    assert_int_equal(call.count, 0);
}

struct sinks_call {
    const char **names;
    size_t count;
};
TX(due_sinks, struct sinks_call, return outbox_due_sinks(tx, arena, &a->names, &a->count, err);)

static bool is_due(const char *sink)
{
    struct sinks_call call = { 0 };
    read_ok(due_sinks, &call);
    size_t found = 0;
    for (size_t i = 0; i < call.count; i++)
        found += strcmp(call.names[i], sink) == 0;
    assert_true(found <= 1);
    return found == 1;
}

static void due_sinks_are_those_with_rows_to_claim(void **state)
{
    (void)state;
    const char *due = new_name("due"), *leased = new_name("leased");
    struct pay_record records[3] = { fresh_record(), fresh_record(), fresh_record() };
    pay(&records[0], due, false, 0, NULL);
    pay(&records[1], due, false, 0, NULL);
    pay(&records[2], leased, true, 5, NULL);
    assert_true(is_due(due));
    assert_false(is_due(leased));
    claim_rows(due, 10, 6, NULL);
    assert_false(is_due(due));
}

/* Two threads claim from one sink until nothing is left. */
enum { RACE_ROWS = 200 };
struct racer {
    const char *sink;
    int64_t claim;
    struct arena *arena;
    int64_t got[RACE_ROWS + 1];
    size_t count, taken;
    struct outbox_claimed *rows;
    bool more;
    enum rc rc;
};
TX(race_claim, struct racer,
   return outbox_claim(tx, a->sink, 7, a->claim, 60000, a->arena, &a->rows, &a->taken, &a->more, err);)

static void *race(void *arg)
{
    struct racer *racer = arg;
    int empty = 0;
    do {
        racer->rc = store_write(store, LANE_WORK, race_claim, racer, NULL);
        for (size_t i = 0; racer->rc == RC_OK && i < racer->taken; i++)
            racer->got[racer->count++] = racer->rows[i].event.event_id;
        empty = racer->taken == 0 ? empty + 1 : 0;
    } while (racer->rc == RC_OK && empty < 3);
    return NULL;
}

static void claims_from_two_threads_never_overlap(void **state)
{
    (void)state;
    const char *sink = new_name("sink");
    struct order order = make_order("a");
    static struct event events[RACE_ROWS];
    static struct outbox_row rows[RACE_ROWS];
    for (size_t i = 0; i < RACE_ROWS; i++) {
        events[i] = (struct event){ .event_id = new_id(), .type = "t", .app = "a", .order_id = order.order_id, .data = "{}" };
        rows[i] = (struct outbox_row){ .event_id = events[i].event_id, .order_id = order.order_id, .sink = sink };
    }
    struct settle_writes writes = { .events = events, .event_count = RACE_ROWS, .outbox = rows, .outbox_count = RACE_ROWS };
    write_ok(store_writes, &writes);

    static struct racer racers[2];
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) {
        racers[i] = (struct racer){ .sink = sink, .claim = 100 + i, .arena = arena_new(0) };
        assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        arena_free(racers[i].arena);
        assert_int_equal(racers[i].rc, RC_OK);
    }
    assert_int_equal(racers[0].count + racers[1].count, RACE_ROWS);
    for (size_t i = 0; i < racers[0].count; i++)
        for (size_t j = 0; j < racers[1].count; j++)
            assert_true(racers[0].got[i] != racers[1].got[j]);
}

/* A thousand results at once, of all four kinds. */
enum { MANY = 1000 };
struct many_call {
    struct outbox_result *results;
    size_t freed;
};
TX(complete_many, struct many_call, return outbox_complete(tx, a->results, MANY, &a->freed, err);)

static void a_thousand_results_complete_together(void **state)
{
    (void)state;
    const char *sink = new_name("sink");
    struct order order = make_order("a");
    static struct event events[MANY];
    static struct outbox_row rows[MANY];
    static struct outbox_result results[MANY];
    for (size_t i = 0; i < MANY; i++) {
        events[i] = (struct event){ .event_id = new_id(), .type = "t", .app = "a", .order_id = order.order_id, .data = "{}" };
        rows[i] = (struct outbox_row){ .event_id = events[i].event_id, .order_id = order.order_id, .sink = sink, .leased = true,
                                       .claim = 3, .lease_ms = 60000 };
        results[MANY - 1 - i] = (struct outbox_result){ .event_id = events[i].event_id, .sink = sink, .claim = i < 900 ? 3 : 4,
                                                        .end = (enum outbox_end)(i % 4), .retry_in_ms = 0, .attempts = 1,
                                                        .reason = i % 4 == OUTBOX_DEAD ? "no such queue, \"x\" {y}" : NULL };
    }
    struct settle_writes writes = { .events = events, .event_count = MANY, .outbox = rows, .outbox_count = MANY };
    write_ok(store_writes, &writes);
    struct many_call call = { .results = results };
    write_ok(complete_many, &call);
    assert_int_equal(call.freed, 0);
    assert_int_equal(depth(sink, false), MANY - 450); /* half of the first 900 ended */
    assert_int_equal(depth(sink, true), 450);
}

const struct CMUnitTest outbox_tests[] = {
    cmocka_unit_test(leased_row_is_not_claimed_by_others),
    cmocka_unit_test(due_rows_are_claimed_once_with_their_event),
    cmocka_unit_test(late_completion_is_fenced_off),
    cmocka_unit_test(retry_counts_an_attempt_and_back_does_not),
    cmocka_unit_test(follow_up_waits_for_its_predecessor),
    cmocka_unit_test(chains_are_per_sink),
    cmocka_unit_test(events_of_one_call_are_chained),
    cmocka_unit_test(release_makes_leased_rows_due_but_not_chained_ones),
    cmocka_unit_test(due_sinks_are_those_with_rows_to_claim),
    cmocka_unit_test(claims_from_two_threads_never_overlap),
    cmocka_unit_test(a_thousand_results_complete_together),
};
const size_t outbox_test_count = sizeof outbox_tests / sizeof outbox_tests[0];
