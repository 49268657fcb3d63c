/*
 * Refunds: what is written is read again, a caller's number is taken once, and more than was paid is never set aside,
 * however many ask at once.
 */
#include "config.h"

#include "fixture.h"

#include <pthread.h>
#include <string.h>

struct call {
    int64_t number, amount_minor;
    const char *app, *out_refund_id;
    bool doubt;
    struct refund refund, other;
    struct refund *items;
    size_t count;
};
TX(insert_tx, struct refund, return refund_insert(tx, a, err);)
TX(get_tx, struct refund, return refund_get(tx, a->refund_no, arena, a, err);)
TX(find_tx, struct call, return refund_find(tx, a->app, a->out_refund_id, arena, &a->refund, err);)
TX(of_record_tx, struct call, return refunds_of_record(tx, a->number, arena, &a->items, &a->count, err);)
TX(reserve_tx, struct call, return refund_reserve(tx, a->number, a->amount_minor, err);)
TX(again_tx, int64_t, return refund_set_again(tx, *a, "late", err);)
TX(doubt_tx, struct call, return refund_set_doubt(tx, a->number, a->doubt, err);)
TX(store_writes, struct settle_writes, return settle_store(tx, a, err);)
TX(close_record, int64_t, return record_set_closed(tx, *a, err);)

static struct pay_record make_paid(void)
{
    struct order order = make_order("a");
    struct pay_record record = make_record(&order);
    pay(&record, NULL, false, 0, NULL);
    return get_record(record.pay_no);
}

static struct refund new_refund(const struct pay_record *record, enum refund_status status)
{
    return (struct refund){
        .refund_no = new_id(), .pay_no = record->pay_no, .order_id = record->order_id, .app = record->app, .channel = record->channel,
        .source = "api", .amount_minor = 100, .currency = record->currency, .status = status,
    };
}

static struct refund make_refund(const struct pay_record *record, enum refund_status status)
{
    struct refund refund = new_refund(record, status);
    write_ok(insert_tx, &refund);
    return refund;
}

static struct refund get_refund(int64_t refund_no)
{
    struct refund refund = { .refund_no = refund_no };
    read_ok(get_tx, &refund);
    return refund;
}

static enum rc change(int64_t refund_no, enum refund_status from, enum refund_status to, const char *code, const char *message)
{
    struct refund_change change = { .refund_no = refund_no, .from = from, .to = to, .code = code, .message = message };
    return write_rc(store_writes, &(struct settle_writes){ .refund_changes = &change, .refund_change_count = 1 });
}

static enum rc reserve(int64_t pay_no, int64_t amount_minor)
{
    return write_rc(reserve_tx, &(struct call){ .number = pay_no, .amount_minor = amount_minor });
}

/* ---------------------------------------------------------------------------------------------------- rows */

static void refund_is_read_as_it_was_written(void **state)
{
    (void)state;
    struct pay_record record = make_paid();
    struct refund refund = new_refund(&record, REFUND_CREATED);
    refund.out_refund_id = new_name("refund"), refund.cause = "late", refund.reason = "退课 \"now\"", refund.doubt = true;
    refund.provider_no = "P1", refund.code = "C1", refund.message = "wait";
    int64_t before = db_now();
    write_ok(insert_tx, &refund);
    assert_true(refund.created_at >= before && refund.created_at <= db_now());
    struct refund read = get_refund(refund.refund_no);
    assert_int_equal(read.refund_no, refund.refund_no);
    assert_int_equal(read.pay_no, record.pay_no);
    assert_int_equal(read.order_id, record.order_id);
    assert_string_equal(read.app, "a");
    assert_string_equal(read.channel, "one");
    assert_string_equal(read.out_refund_id, refund.out_refund_id);
    assert_string_equal(read.source, "api");
    assert_string_equal(read.cause, "late");
    assert_int_equal(read.amount_minor, 100);
    assert_string_equal(read.currency, "CNY");
    assert_string_equal(read.reason, refund.reason);
    assert_int_equal(read.status, REFUND_CREATED);
    assert_true(read.doubt);
    assert_string_equal(read.provider_no, "P1");
    assert_string_equal(read.code, "C1");
    assert_string_equal(read.message, "wait");
    assert_int_equal(read.created_at, refund.created_at);
    assert_int_equal(read.finished_at, 0);
}

static void what_is_not_given_stays_empty(void **state)
{
    (void)state;
    struct pay_record record = make_paid();
    struct refund read = get_refund(make_refund(&record, REFUND_CREATED).refund_no);
    assert_null(read.out_refund_id);
    assert_null(read.cause);
    assert_null(read.reason);
    assert_null(read.provider_no);
    assert_null(read.code);
    assert_null(read.message);
    assert_false(read.doubt);
}

static void refund_that_has_ended_is_finished_from_the_start(void **state)
{
    (void)state;
    struct pay_record record = make_paid();
    static const enum refund_status ends[] = { REFUND_SUCCEEDED, REFUND_FAILED };
    for (size_t i = 0; i < 2; i++) {
        struct refund refund = make_refund(&record, ends[i]);
        assert_true(refund.created_at > 0);
        assert_int_equal(refund.finished_at, refund.created_at);
        assert_int_equal(get_refund(refund.refund_no).finished_at, refund.created_at);
    }
}

/* The first insert finds the number taken; the second must still be possible in the same transaction. */
TX(insert_both, struct call, enum rc rc = refund_insert(tx, &a->refund, err); if (rc != RC_EXISTS) return RC_INTERNAL;
   return refund_insert(tx, &a->other, err);)

static void number_of_a_caller_is_taken_once_in_its_app(void **state)
{
    (void)state;
    struct pay_record record = make_paid();
    struct refund first = new_refund(&record, REFUND_CREATED);
    first.out_refund_id = new_name("refund");
    write_ok(insert_tx, &first);
    struct call both = { .refund = new_refund(&record, REFUND_CREATED), .other = new_refund(&record, REFUND_CREATED) };
    both.refund.out_refund_id = both.other.out_refund_id = first.out_refund_id;
    both.other.app = "b";
    write_ok(insert_both, &both);
    assert_int_equal(read_rc(get_tx, &both.refund), RC_NOT_FOUND);
    struct call find = { .app = "a", .out_refund_id = first.out_refund_id };
    read_ok(find_tx, &find);
    assert_int_equal(find.refund.refund_no, first.refund_no);
    find.app = "b";
    read_ok(find_tx, &find);
    assert_int_equal(find.refund.refund_no, both.other.refund_no);
    find.app = "c";
    assert_int_equal(read_rc(find_tx, &find), RC_NOT_FOUND);
}

static void refunds_without_a_number_never_meet(void **state)
{
    (void)state;
    struct pay_record record = make_paid(), other = make_paid();
    int64_t numbers[3];
    for (int i = 0; i < 3; i++)
        numbers[i] = make_refund(&record, REFUND_CREATED).refund_no;
    make_refund(&other, REFUND_CREATED);
    struct call call = { .number = record.pay_no };
    read_ok(of_record_tx, &call);
    assert_int_equal(call.count, 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(call.items[i].refund_no, numbers[i]);
}

static void values_that_no_refund_has_are_refused(void **state)
{
    (void)state;
    struct pay_record record = make_paid();
    struct refund bad[6];
    for (size_t i = 0; i < 6; i++)
        bad[i] = new_refund(&record, REFUND_CREATED);
    bad[0].amount_minor = 0;
    bad[1].amount_minor = -1;
    bad[2].status = (enum refund_status)PAYMENT_PAID;
    bad[3].source = "somebody";
    bad[4].pay_no = new_id();
    bad[5].currency = NULL;
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(write_rc(insert_tx, &bad[i]), RC_DATA);
}

/* ---------------------------------------------------------------------------------------------------- reserving */

static void reservations_never_go_beyond_what_is_left(void **state)
{
    (void)state;
    struct pay_record record = make_paid();
    assert_int_equal(reserve(record.pay_no, record.amount_minor + 1), RC_CONFLICT);
    assert_int_equal(reserve(record.pay_no, INT64_MAX), RC_CONFLICT);
    assert_int_equal(reserve(record.pay_no, 0), RC_CONFLICT);
    assert_int_equal(reserve(record.pay_no, -1), RC_CONFLICT);
    assert_int_equal(reserve(record.pay_no, 80), RC_OK);
    assert_int_equal(reserve(record.pay_no, record.amount_minor - 79), RC_CONFLICT);
    assert_int_equal(get_record(record.pay_no).refunding_minor, 80);
    struct refund_totals totals = { .pay_no = record.pay_no, .from_refunding = 80, .refunded = 50, .refunding = 30 };
    write_ok(store_writes, &(struct settle_writes){ .refund_totals = &totals, .refund_totals_count = 1 });
    assert_int_equal(reserve(record.pay_no, record.amount_minor - 79), RC_CONFLICT);
    assert_int_equal(reserve(record.pay_no, record.amount_minor - 80), RC_OK);
    assert_int_equal(reserve(record.pay_no, 1), RC_CONFLICT);
    record = get_record(record.pay_no);
    assert_int_equal(record.refunded_minor, 50);
    assert_int_equal(record.refunding_minor, record.amount_minor - 50);
}

static void only_a_paid_record_has_something_to_reserve(void **state)
{
    (void)state;
    struct order order = make_order("a");
    struct pay_record unpaid = make_record(&order), closed = make_record(&order), refunded = make_paid();
    write_ok(close_record, &closed.pay_no);
    struct record_change change = { .pay_no = refunded.pay_no, .from = PAYMENT_PAID, .to = PAYMENT_REFUNDED };
    write_ok(store_writes, &(struct settle_writes){ .records = &change, .record_count = 1 });
    assert_int_equal(reserve(unpaid.pay_no, 1), RC_CONFLICT);
    assert_int_equal(reserve(closed.pay_no, 1), RC_CONFLICT);
    assert_int_equal(reserve(refunded.pay_no, 1), RC_CONFLICT);
    assert_int_equal(reserve(new_id(), 1), RC_CONFLICT);
    assert_int_equal(get_record(unpaid.pay_no).refunding_minor, 0);
}

enum { RESERVERS = 50, PARTS = 10 };
struct reserver {
    struct call call;
    enum rc rc;
};

static void *reserve_a_part(void *arg)
{
    struct reserver *reserver = arg;
    reserver->rc = store_write(store, LANE_WORK, reserve_tx, &reserver->call, NULL);
    return NULL;
}

static void fifty_ask_for_a_tenth_and_ten_get_it(void **state)
{
    (void)state;
    struct pay_record record = make_paid();
    static struct reserver reservers[RESERVERS];
    pthread_t threads[RESERVERS];
    for (int i = 0; i < RESERVERS; i++) {
        reservers[i] = (struct reserver){ .call = { .number = record.pay_no, .amount_minor = record.amount_minor / PARTS } };
        assert_int_equal(pthread_create(&threads[i], NULL, reserve_a_part, &reservers[i]), 0);
    }
    int got = 0, refused = 0;
    for (int i = 0; i < RESERVERS; i++) {
        pthread_join(threads[i], NULL);
        got += reservers[i].rc == RC_OK;
        refused += reservers[i].rc == RC_CONFLICT;
    }
    assert_int_equal(got, PARTS);
    assert_int_equal(refused, RESERVERS - PARTS);
    assert_int_equal(get_record(record.pay_no).refunding_minor, record.amount_minor);
}

/* ---------------------------------------------------------------------------------------------------- states */

static const enum refund_status all_states[] = { REFUND_CREATED, REFUND_PROCESSING, REFUND_SUCCEEDED, REFUND_FAILED, REFUND_UNKNOWN };
enum { STATES = sizeof all_states / sizeof all_states[0] };

static void only_a_failed_refund_begins_again(void **state)
{
    (void)state;
    struct pay_record record = make_paid();
    for (size_t i = 0; i < STATES; i++) {
        struct refund refund = make_refund(&record, all_states[i]);
        bool failed = refund.status == REFUND_FAILED;
        assert_int_equal(write_rc(again_tx, &refund.refund_no), failed ? RC_OK : RC_CONFLICT);
        assert_int_equal(get_refund(refund.refund_no).status, failed ? REFUND_CREATED : refund.status);
        if (failed)
            assert_int_equal(get_refund(refund.refund_no).finished_at, 0);
    }
    assert_int_equal(write_rc(again_tx, &(int64_t){ new_id() }), RC_CONFLICT);
}

static void doubt_is_about_refunds_that_have_not_ended(void **state)
{
    (void)state;
    struct pay_record record = make_paid();
    for (size_t i = 0; i < STATES; i++) {
        struct refund refund = make_refund(&record, all_states[i]);
        bool ended = refund.status == REFUND_SUCCEEDED || refund.status == REFUND_FAILED;
        struct call call = { .number = refund.refund_no, .doubt = true };
        assert_int_equal(write_rc(doubt_tx, &call), ended ? RC_CONFLICT : RC_OK);
        assert_true(get_refund(refund.refund_no).doubt == !ended);
        call.doubt = false;
        assert_int_equal(write_rc(doubt_tx, &call), ended ? RC_CONFLICT : RC_OK);
        assert_false(get_refund(refund.refund_no).doubt);
    }
}

static void change_from_another_state_writes_nothing(void **state)
{
    (void)state;
    struct pay_record record = make_paid();
    struct refund one = make_refund(&record, REFUND_CREATED), two = make_refund(&record, REFUND_PROCESSING);
    struct refund_change changes[] = {
        { .refund_no = one.refund_no, .from = REFUND_CREATED, .to = REFUND_SUCCEEDED },
        { .refund_no = two.refund_no, .from = REFUND_UNKNOWN, .to = REFUND_SUCCEEDED },
    };
    struct settle_writes writes = { .refund_changes = changes, .refund_change_count = 2 };
    assert_int_equal(write_rc(store_writes, &writes), RC_RETRY);
    assert_int_equal(get_refund(one.refund_no).status, REFUND_CREATED);
    assert_int_equal(get_refund(two.refund_no).status, REFUND_PROCESSING);
}

static void end_is_timed_once_and_what_was_said_stays(void **state)
{
    (void)state;
    struct pay_record record = make_paid();
    int64_t refund_no = make_refund(&record, REFUND_CREATED).refund_no;
    assert_int_equal(change(refund_no, REFUND_CREATED, REFUND_PROCESSING, "WAIT", "soon"), RC_OK);
    assert_int_equal(get_refund(refund_no).finished_at, 0);
    int64_t before = db_now();
    assert_int_equal(change(refund_no, REFUND_PROCESSING, REFUND_FAILED, NULL, "too late"), RC_OK);
    struct refund failed = get_refund(refund_no);
    assert_true(failed.finished_at >= before && failed.finished_at <= db_now());
    assert_string_equal(failed.code, "WAIT");
    assert_string_equal(failed.message, "too late");
    while (db_now() == failed.finished_at)
        ; /* the next end would have another time */
    assert_int_equal(change(refund_no, REFUND_FAILED, REFUND_FAILED, "LATE", NULL), RC_OK);
    assert_int_equal(get_refund(refund_no).finished_at, failed.finished_at);
    assert_string_equal(get_refund(refund_no).code, "LATE");
    assert_string_equal(get_refund(refund_no).message, "too late");
    assert_int_equal(change(refund_no, REFUND_FAILED, REFUND_SUCCEEDED, NULL, NULL), RC_OK);
    assert_true(get_refund(refund_no).finished_at > failed.finished_at);
}

const struct CMUnitTest refund_tests[] = {
    cmocka_unit_test(refund_is_read_as_it_was_written),
    cmocka_unit_test(what_is_not_given_stays_empty),
    cmocka_unit_test(refund_that_has_ended_is_finished_from_the_start),
    cmocka_unit_test(number_of_a_caller_is_taken_once_in_its_app),
    cmocka_unit_test(refunds_without_a_number_never_meet),
    cmocka_unit_test(values_that_no_refund_has_are_refused),
    cmocka_unit_test(reservations_never_go_beyond_what_is_left),
    cmocka_unit_test(only_a_paid_record_has_something_to_reserve),
    cmocka_unit_test(fifty_ask_for_a_tenth_and_ten_get_it),
    cmocka_unit_test(only_a_failed_refund_begins_again),
    cmocka_unit_test(doubt_is_about_refunds_that_have_not_ended),
    cmocka_unit_test(change_from_another_state_writes_nothing),
    cmocka_unit_test(end_is_timed_once_and_what_was_said_stays),
};
const size_t refund_test_count = sizeof refund_tests / sizeof refund_tests[0];
