/*
 * Transactions: all or nothing, run again after a lost race, many at once, reads of one moment.
 */
#include "config.h"

#include "fixture.h"

#include <pthread.h>
#include <string.h>

struct attempt {
    struct order order;
    enum rc answer;
    int runs;
};
TX(insert_then_answer, struct attempt, a->runs++; enum rc rc = order_insert(tx, &a->order, 1000, NULL, 0, err);
   return rc != RC_OK ? rc : a->answer;)
TX(get, struct order, return order_get(tx, a->order_id, arena, a, err);)

static struct attempt new_attempt(enum rc answer)
{
    return (struct attempt){
        .order = { .order_id = new_id(), .app = "a", .out_business_id = new_name("n"), .name = "n", .amount_minor = 1,
                   .currency = "CNY", .status = ORDER_UNPAID },
        .answer = answer,
    };
}

static void failed_function_leaves_nothing(void **state)
{
    (void)state;
    static const enum lane lanes[] = { LANE_SETTLE, LANE_COMPLETE, LANE_POLL, LANE_WORK };
    for (size_t i = 0; i < 4; i++) {
        struct attempt attempt = new_attempt(RC_DECLINED);
        assert_int_equal(store_write(store, lanes[i], insert_then_answer, &attempt, NULL), RC_DECLINED);
        assert_int_equal(attempt.runs, 1);
        assert_int_equal(read_rc(get, &attempt.order), RC_NOT_FOUND);
    }
}

static void lost_race_is_run_again_five_times(void **state)
{
    (void)state;
    struct attempt attempt = new_attempt(RC_RETRY);
    assert_int_equal(write_rc(insert_then_answer, &attempt), RC_RETRY);
    assert_int_equal(attempt.runs, 6);
    assert_int_equal(read_rc(get, &attempt.order), RC_NOT_FOUND);
}

/* The function forgets that its statement failed. */
TX(ignore_failure, struct order, order_insert(tx, a, 1000, NULL, 0, NULL); (void)err; return RC_OK;)
TX(read_after_failure, struct order, order_insert(tx, a, 1000, NULL, 0, NULL);
   return order_get(tx, a->order_id, arena, a, err);)

static void failed_statement_spoils_its_transaction(void **state)
{
    (void)state;
    struct attempt attempt = new_attempt(RC_OK);
    attempt.order.amount_minor = -5;
    assert_int_equal(write_rc(ignore_failure, &attempt.order), RC_INTERNAL);
    assert_int_equal(write_rc(read_after_failure, &attempt.order), RC_DATA);
    make_order("a");
}

/* Writes while its own read goes on: the read keeps seeing the moment at which it began. */
TX(set_closing, int64_t, return order_set_closing(tx, *a, err);)
struct moment {
    int64_t order_id;
    struct order before, after;
};
TX(read_twice, struct moment, a->before.order_id = a->order_id; enum rc rc = order_get(tx, a->order_id, arena, &a->before, err);
   if (rc != RC_OK) return rc; rc = store_write(store, LANE_SETTLE, set_closing, &a->order_id, err); if (rc != RC_OK) return rc;
   return order_get(tx, a->order_id, arena, &a->after, err);)

static void read_sees_one_moment(void **state)
{
    (void)state;
    struct moment moment = { .order_id = make_order("a").order_id };
    read_ok(read_twice, &moment);
    assert_int_equal(moment.before.status, ORDER_UNPAID);
    assert_int_equal(moment.after.status, ORDER_UNPAID);
    assert_int_equal(get_order(moment.order_id).status, ORDER_CLOSING);
}

/* Eight threads count upwards in one versioned row; each increment succeeds exactly once. */
enum { WRITERS = 8, INCREMENTS = 25 };
struct counter {
    const char *channel;
    struct arena *arena;
    enum rc rc;
};
TX(increment, struct counter, const char *data; size_t len; int64_t version = 0; int64_t refresh_at;
   enum rc rc = memory_get(tx, a->channel, a->arena, &data, &len, &version, &refresh_at, err);
   if (rc != RC_OK && rc != RC_NOT_FOUND) return rc; return memory_put(tx, a->channel, "x", 1, version + 1, 0, err);)

static void *count_up(void *arg)
{
    struct counter *counter = arg;
    for (int done = 0; done < INCREMENTS;) {
        counter->rc = store_write(store, done % 2 ? LANE_WORK : LANE_POLL, increment, counter, NULL);
        if (counter->rc == RC_OK)
            done++;
        else if (counter->rc != RC_CONFLICT)
            break;
    }
    return NULL;
}

struct reading {
    const char *channel;
    int64_t version;
};
TX(get_version, struct reading, const char *data; size_t len; int64_t refresh_at;
   return memory_get(tx, a->channel, arena, &data, &len, &a->version, &refresh_at, err);)

static void eight_writers_lose_no_update(void **state)
{
    (void)state;
    pthread_t threads[WRITERS];
    struct counter counters[WRITERS];
    struct reading reading = { .channel = new_name("count") };
    for (int i = 0; i < WRITERS; i++) {
        counters[i] = (struct counter){ .channel = reading.channel, .arena = arena_new(0) };
        assert_int_equal(pthread_create(&threads[i], NULL, count_up, &counters[i]), 0);
    }
    for (int i = 0; i < WRITERS; i++) {
        pthread_join(threads[i], NULL);
        arena_free(counters[i].arena);
        assert_int_equal(counters[i].rc, RC_OK);
    }
    read_ok(get_version, &reading);
    assert_int_equal(reading.version, WRITERS * INCREMENTS);
}

/* Failing and succeeding jobs at once: on SQLite they share transactions, and only the failing ones are undone. */
struct mixed {
    struct attempt attempts[INCREMENTS];
    enum rc rcs[INCREMENTS];
};

static void *write_mixed(void *arg)
{
    struct mixed *mixed = arg;
    for (int i = 0; i < INCREMENTS; i++)
        mixed->rcs[i] = store_write(store, LANE_WORK, insert_then_answer, &mixed->attempts[i], NULL);
    return NULL;
}

static void failures_do_not_touch_their_neighbours(void **state)
{
    (void)state;
    static struct mixed mixed[WRITERS];
    pthread_t threads[WRITERS];
    for (int i = 0; i < WRITERS; i++)
        for (int j = 0; j < INCREMENTS; j++)
            mixed[i].attempts[j] = new_attempt(j % 3 == 0 ? RC_CONFLICT : RC_OK);
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_mixed, &mixed[i]), 0);
    for (int i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < WRITERS; i++)
        for (int j = 0; j < INCREMENTS; j++) {
            struct attempt *attempt = &mixed[i].attempts[j];
            assert_int_equal(mixed[i].rcs[j], attempt->answer);
            assert_int_equal(read_rc(get, &attempt->order), attempt->answer == RC_OK ? RC_OK : RC_NOT_FOUND);
        }
}

const struct CMUnitTest tx_tests[] = {
    cmocka_unit_test(failed_function_leaves_nothing),
    cmocka_unit_test(lost_race_is_run_again_five_times),
    cmocka_unit_test(failed_statement_spoils_its_transaction),
    cmocka_unit_test(read_sees_one_moment),
    cmocka_unit_test(eight_writers_lose_no_update),
    cmocka_unit_test(failures_do_not_touch_their_neighbours),
};
const size_t tx_test_count = sizeof tx_tests / sizeof tx_tests[0];
