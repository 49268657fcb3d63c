/*
 * Pay records outside settlement.
 */
#include "config.h"

#include "fixture.h"

#include <string.h>

TX(insert, struct pay_record, return record_insert(tx, a, err);)
TX(find_key, struct pay_record, return record_find_key(tx, a->order_id, a->idempotency_key, arena, a, err);)
TX(set_merchant, int64_t, return record_set_prepay(tx, *a, "app_id=1", NULL, err);)
TX(set_prepay, int64_t, return record_set_prepay(tx, *a, "app_id=1", "{\"code\":\"x\"}", err);)
TX(set_closed, int64_t, return record_set_closed(tx, *a, err);)

static void record_comes_back_as_written(void **state)
{
    (void)state;
    struct order order = make_order("a");
    struct pay_record made = {
        .pay_no = new_id(), .order_id = order.order_id, .app = "a", .channel = "one", .product = "qr", .amount_minor = 8880,
        .currency = "CNY", .status = PAYMENT_UNPAID, .idempotency_key = "k", .params = "{\"openid\":\"o\"}",
        .expires_at = order.expires_at,
    };
    write_ok(insert, &made);
    assert_true(made.created_at > 0);
    struct pay_record read = get_record(made.pay_no);
    assert_int_equal(read.order_id, order.order_id);
    assert_string_equal(read.app, "a");
    assert_string_equal(read.channel, "one");
    assert_string_equal(read.product, "qr");
    assert_int_equal(read.amount_minor, 8880);
    assert_int_equal(read.status, PAYMENT_UNPAID);
    assert_string_equal(read.idempotency_key, "k");
    assert_string_equal(read.params, "{\"openid\":\"o\"}");
    assert_int_equal(read.expires_at, order.expires_at);
    assert_int_equal(read.created_at, made.created_at);
    assert_false(read.needs_review);
    assert_null(read.merchant);
    assert_null(read.prepay);
    assert_null(read.trade_no);
}

static void idempotency_key_is_unique_within_an_order(void **state)
{
    (void)state;
    struct order order = make_order("a"), other = make_order("a");
    struct pay_record record = { .pay_no = new_id(), .order_id = order.order_id, .app = "a", .channel = "one", .product = "p",
                                 .amount_minor = 1, .currency = "CNY", .status = PAYMENT_UNPAID, .idempotency_key = "same" };
    write_ok(insert, &record);
    struct pay_record again = record;
    again.pay_no = new_id();
    assert_int_equal(write_rc(insert, &again), RC_EXISTS);
    struct pay_record found = { .order_id = order.order_id, .idempotency_key = "same" };
    read_ok(find_key, &found);
    assert_int_equal(found.pay_no, record.pay_no);
    again.order_id = other.order_id;
    write_ok(insert, &again);
    found = (struct pay_record){ .order_id = order.order_id, .idempotency_key = "different" };
    assert_int_equal(read_rc(find_key, &found), RC_NOT_FOUND);
}

static void record_of_no_order_is_refused(void **state)
{
    (void)state;
    struct pay_record record = { .pay_no = new_id(), .order_id = new_id(), .app = "a", .channel = "one", .product = "p",
                                 .amount_minor = 1, .currency = "CNY", .status = PAYMENT_UNPAID };
    assert_int_equal(write_rc(insert, &record), RC_DATA);
}

struct of_order_call {
    int64_t order_id;
    struct pay_record *records;
    size_t count;
};
TX(of_order, struct of_order_call, return records_of_order(tx, a->order_id, arena, &a->records, &a->count, err);)

static void attempts_of_an_order_come_oldest_first(void **state)
{
    (void)state;
    struct order order = make_order("a");
    struct pay_record first = make_record(&order), second = make_record(&order);
    struct of_order_call call = { .order_id = order.order_id };
    read_ok(of_order, &call);
    assert_int_equal(call.count, 2);
    assert_int_equal(call.records[0].pay_no, first.pay_no);
    assert_int_equal(call.records[1].pay_no, second.pay_no);
    call.order_id = new_id();
    read_ok(of_order, &call);
    assert_int_equal(call.count, 0);
}

static void prepay_is_kept_while_unpaid(void **state)
{
    (void)state;
    struct order order = make_order("a");
    struct pay_record record = make_record(&order);
    write_ok(set_prepay, &record.pay_no);
    struct pay_record read = get_record(record.pay_no);
    assert_string_equal(read.merchant, "app_id=1");
    assert_string_equal(read.prepay, "{\"code\":\"x\"}");
    write_ok(set_merchant, &record.pay_no); /* what was shown meanwhile stays noted */
    assert_string_equal(get_record(record.pay_no).prepay, "{\"code\":\"x\"}");
    pay(&record, NULL, false, 0, NULL);
    assert_int_equal(write_rc(set_prepay, &record.pay_no), RC_CONFLICT);
}

static void only_an_unpaid_record_closes(void **state)
{
    (void)state;
    struct order order = make_order("a");
    struct pay_record record = make_record(&order), paid = make_record(&order);
    write_ok(set_closed, &record.pay_no);
    assert_int_equal(get_record(record.pay_no).status, PAYMENT_CLOSED);
    assert_int_equal(write_rc(set_closed, &record.pay_no), RC_CONFLICT);
    pay(&paid, NULL, false, 0, NULL);
    assert_int_equal(write_rc(set_closed, &paid.pay_no), RC_CONFLICT);
    assert_int_equal(get_order(order.order_id).status, ORDER_PAID);
}

TX(set_review, int64_t, return record_set_review(tx, *a, err);)

static void people_are_called_once_for_a_record(void **state)
{
    (void)state;
    struct order order = make_order("a");
    struct pay_record record = make_record(&order), other = make_record(&order);
    write_ok(set_review, &record.pay_no);
    assert_true(get_record(record.pay_no).needs_review);
    assert_false(get_record(other.pay_no).needs_review);
    assert_int_equal(write_rc(set_review, &record.pay_no), RC_CONFLICT);
    assert_int_equal(write_rc(set_review, &(int64_t){ new_id() }), RC_CONFLICT);
    write_ok(set_closed, &record.pay_no);
    assert_true(get_record(record.pay_no).needs_review);
}

struct list_call {
    struct record_filter filter;
    struct pay_record *records;
    size_t count;
};
TX(list, struct list_call, return record_list(tx, &a->filter, arena, &a->records, &a->count, err);)

static size_t listed(struct record_filter filter)
{
    struct list_call call = { .filter = filter };
    call.filter.limit = 10;
    read_ok(list, &call);
    for (size_t i = 1; i < call.count; i++)
        assert_true(call.records[i - 1].pay_no > call.records[i].pay_no);
    return call.count;
}

static void lists_are_filtered_newest_first(void **state)
{
    (void)state;
    const char *app = new_name("app");
    struct order order = make_order(app);
    struct pay_record records[3];
    for (int i = 0; i < 3; i++)
        records[i] = make_record(&order);
    pay(&records[1], NULL, false, 0, NULL);
    const char *trade_no = get_record(records[1].pay_no).trade_no;
    assert_int_equal(listed((struct record_filter){ .app = app, .needs_review = -1 }), 3);
    assert_int_equal(listed((struct record_filter){ .app = app, .needs_review = 0 }), 3);
    assert_int_equal(listed((struct record_filter){ .app = app, .needs_review = 1 }), 0);
    assert_int_equal(listed((struct record_filter){ .app = app, .status = PAYMENT_PAID, .needs_review = -1 }), 1);
    assert_int_equal(listed((struct record_filter){ .trade_no = trade_no, .needs_review = -1 }), 1);
    assert_int_equal(listed((struct record_filter){ .app = "other", .trade_no = trade_no, .needs_review = -1 }), 0);
    assert_int_equal(listed((struct record_filter){ .app = app, .channel = "two", .needs_review = -1 }), 0);
    assert_int_equal(listed((struct record_filter){ .app = app, .user_id = "u1", .needs_review = -1 }), 3);
    assert_int_equal(listed((struct record_filter){ .app = app, .user_id = "u2", .needs_review = -1 }), 0);
    assert_int_equal(listed((struct record_filter){ .app = app, .before_id = records[1].pay_no, .needs_review = -1 }), 1);
    assert_int_equal(listed((struct record_filter){ .app = app, .created_to = records[0].created_at, .needs_review = -1 }), 0);
}

const struct CMUnitTest record_tests[] = {
    cmocka_unit_test(record_comes_back_as_written),
    cmocka_unit_test(idempotency_key_is_unique_within_an_order),
    cmocka_unit_test(record_of_no_order_is_refused),
    cmocka_unit_test(attempts_of_an_order_come_oldest_first),
    cmocka_unit_test(prepay_is_kept_while_unpaid),
    cmocka_unit_test(only_an_unpaid_record_closes),
    cmocka_unit_test(people_are_called_once_for_a_record),
    cmocka_unit_test(lists_are_filtered_newest_first),
};
const size_t record_test_count = sizeof record_tests / sizeof record_tests[0];
