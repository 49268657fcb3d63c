/*
 * The settlement's two operations: what is loaded, what a batch writes, and that nothing is written when one change does
 * not meet the state it expects.
 */
#include "config.h"

#include "fixture.h"

#include <string.h>

struct load_call {
    const int64_t *pay_nos;
    size_t count;
    struct order *orders;
    size_t order_count;
    struct pay_record *records;
    size_t record_count;
};
TX(load, struct load_call,
   return settle_load(tx, a->pay_nos, a->count, arena, &a->orders, &a->order_count, &a->records, &a->record_count, err);)
TX(store_writes, struct settle_writes, return settle_store(tx, a, err);)

static void loads_orders_with_all_their_records(void **state)
{
    (void)state;
    struct order one = make_order("a"), two = make_order("a");
    struct pay_record a1 = make_record(&one), b1 = make_record(&two), a2 = make_record(&one);
    int64_t pay_nos[] = { b1.pay_no, new_id(), a1.pay_no, b1.pay_no };
    struct load_call call = { .pay_nos = pay_nos, .count = 4 };
    write_ok(load, &call);
    assert_int_equal(call.order_count, 2);
    assert_int_equal(call.orders[0].order_id, one.order_id);
    assert_int_equal(call.orders[1].order_id, two.order_id);
    assert_string_equal(call.orders[0].out_business_id, one.out_business_id);
    assert_int_equal(call.record_count, 3);
    assert_int_equal(call.records[0].pay_no, a1.pay_no);
    assert_int_equal(call.records[1].pay_no, b1.pay_no);
    assert_int_equal(call.records[2].pay_no, a2.pay_no);
    assert_int_equal(call.records[2].order_id, one.order_id);
    assert_string_equal(call.records[2].channel, "one");
}

static void unknown_numbers_load_nothing(void **state)
{
    (void)state;
    int64_t pay_nos[] = { new_id(), -1, 0, INT64_MAX };
    struct load_call call = { .pay_nos = pay_nos, .count = 4 };
    write_ok(load, &call);
    assert_int_equal(call.order_count, 0);
    assert_int_equal(call.record_count, 0);
}

static void payment_is_written_as_decided(void **state)
{
    (void)state;
    struct order order = make_order("a");
    struct pay_record record = make_record(&order);
    int64_t event_id = pay(&record, NULL, false, 0, NULL);
    order = get_order(order.order_id);
    assert_int_equal(order.status, ORDER_PAID);
    assert_int_equal(order.paid_pay_no, record.pay_no);
    assert_int_equal(order.paid_at, 1700000000000);
    assert_int_equal(order.last_event, event_id);
    record = get_record(record.pay_no);
    assert_int_equal(record.status, PAYMENT_PAID);
    assert_string_equal(record.payer, "payer");
    assert_int_equal(record.paid_at, 1700000000000);
}

static void unstated_values_stay(void **state)
{
    (void)state;
    struct order order = make_order("a");
    struct pay_record record = make_record(&order);
    int64_t event_id = pay(&record, NULL, false, 0, NULL);
    const char *trade_no = get_record(record.pay_no).trade_no;
    struct record_change record_change = { .pay_no = record.pay_no, .from = PAYMENT_PAID, .to = PAYMENT_PAID,
                                           .needs_review = true };
    struct order_change order_change = { .order_id = order.order_id, .from = ORDER_PAID, .to = ORDER_PAID };
    struct settle_writes writes = { .records = &record_change, .record_count = 1, .orders = &order_change, .order_count = 1 };
    write_ok(store_writes, &writes);
    record = get_record(record.pay_no);
    assert_string_equal(record.trade_no, trade_no);
    assert_string_equal(record.payer, "payer");
    assert_int_equal(record.paid_at, 1700000000000);
    assert_true(record.needs_review);
    order = get_order(order.order_id);
    assert_int_equal(order.last_event, event_id);
    assert_int_equal(order.paid_pay_no, record.pay_no);
}

static void unexpected_state_writes_nothing(void **state)
{
    (void)state;
    struct order order = make_order("a");
    struct pay_record record = make_record(&order), other = make_record(&order);
    pay(&record, NULL, false, 0, NULL);
    struct record_change changes[] = {
        { .pay_no = other.pay_no, .from = PAYMENT_UNPAID, .to = PAYMENT_CLOSED },
        { .pay_no = record.pay_no, .from = PAYMENT_UNPAID, .to = PAYMENT_PAID },
    };
    struct settle_writes writes = { .records = changes, .record_count = 2 };
    assert_int_equal(write_rc(store_writes, &writes), RC_RETRY);
    assert_int_equal(get_record(other.pay_no).status, PAYMENT_UNPAID);
    struct order_change order_change = { .order_id = order.order_id, .from = ORDER_CLOSING, .to = ORDER_PAID };
    writes = (struct settle_writes){ .records = changes, .record_count = 1, .orders = &order_change, .order_count = 1 };
    assert_int_equal(write_rc(store_writes, &writes), RC_RETRY);
    assert_int_equal(get_record(other.pay_no).status, PAYMENT_UNPAID);
}

struct schedule_call {
    const char *channel;
    struct scheduled *items;
    size_t count;
};
TX(claim_schedule, struct schedule_call,
   return schedule_claim(tx, a->channel, 1000, 1, 60000, arena, &a->items, &a->count, err);)

enum { BATCH = 256 };

static void full_batch_is_settled_at_once(void **state)
{
    (void)state;
    static struct pay_record records[BATCH];
    static struct record_change record_changes[BATCH];
    static struct order_change order_changes[BATCH];
    static struct event events[BATCH];
    static struct outbox_row rows[BATCH];
    static struct audit audits[BATCH];
    static struct schedule_entry schedule[BATCH];
    static int64_t pay_nos[BATCH];
    const char *sink = new_name("sink");
    for (size_t i = 0; i < BATCH; i++) {
        struct order order = make_order("a");
        records[i] = make_record(&order);
        pay_nos[BATCH - 1 - i] = records[i].pay_no;
        events[i] = (struct event){ .event_id = new_id(), .type = "payment.succeeded", .app = "a", .order_type = i % 2 ? "x" : NULL,
                                    .order_id = order.order_id, .pay_no = records[i].pay_no, .trade_no = i % 3 ? "" : NULL,
                                    .data = "{}" };
        record_changes[i] = (struct record_change){ .pay_no = records[i].pay_no, .from = PAYMENT_UNPAID, .to = PAYMENT_PAID,
                                                    .trade_no = i % 3 ? "" : NULL, .paid_at = 7 };
        order_changes[i] = (struct order_change){ .order_id = order.order_id, .from = ORDER_UNPAID, .to = ORDER_PAID,
                                                  .last_event = events[i].event_id };
        rows[i] = (struct outbox_row){ .event_id = events[i].event_id, .order_id = order.order_id, .sink = sink,
                                       .leased = i % 2 == 0, .claim = 8, .lease_ms = 60000 };
        audits[i] = (struct audit){ .audit_id = new_id(), .channel = "one", .pay_no = "no number", .source = "query",
                                    .outcome = "mismatch", .amount_minor = i % 2 ? -1 : 5 };
        schedule[i] = (struct schedule_entry){ .subject = records[i].pay_no, .task = TASK_CLOSE, .channel = sink };
    }
    struct load_call call = { .pay_nos = pay_nos, .count = BATCH };
    write_ok(load, &call);
    assert_int_equal(call.order_count, BATCH);
    assert_int_equal(call.record_count, BATCH);
    struct settle_writes writes = {
        .records = record_changes, .record_count = BATCH, .orders = order_changes, .order_count = BATCH, .events = events,
        .event_count = BATCH, .outbox = rows, .outbox_count = BATCH, .audits = audits, .audit_count = BATCH,
        .schedule = schedule, .schedule_count = BATCH,
    };
    write_ok(store_writes, &writes);
    assert_int_equal(depth(sink, false), BATCH);
    assert_int_equal(depth(sink, true), BATCH / 2);
    write_ok(load, &call);
    for (size_t i = 0; i < BATCH; i++) {
        assert_int_equal(call.records[i].status, PAYMENT_PAID);
        assert_int_equal(call.orders[i].status, ORDER_PAID);
        assert_true((call.records[i].trade_no == NULL) == (i % 3 == 0));
    }
    struct schedule_call due = { .channel = sink };
    write_ok(claim_schedule, &due);
    assert_int_equal(due.count, BATCH);
}

static void bad_item_fails_the_whole_batch_as_data(void **state)
{
    (void)state;
    struct order order = make_order("a");
    struct pay_record record = make_record(&order);
    struct record_change change = { .pay_no = record.pay_no, .from = PAYMENT_UNPAID, .to = PAYMENT_PAID };
    struct event events[2] = {
        { .event_id = new_id(), .type = "t", .app = "a", .order_id = order.order_id, .data = "{}" },
        { .event_id = new_id(), .type = "t", .app = "a", .order_id = order.order_id, .data = NULL },
    };
    struct settle_writes writes = { .records = &change, .record_count = 1, .events = events, .event_count = 2 };
    assert_int_equal(write_rc(store_writes, &writes), RC_DATA);
    assert_int_equal(get_record(record.pay_no).status, PAYMENT_UNPAID);
    events[1].data = "{}";
    events[1].event_id = events[0].event_id;
    assert_int_equal(write_rc(store_writes, &writes), RC_DATA);
    writes.event_count = 1;
    write_ok(store_writes, &writes);
    assert_int_equal(get_record(record.pay_no).status, PAYMENT_PAID);
}

/* The same subject twice, as a batch of decisions may have it: one row, of the greater task. */
static void work_that_a_batch_leaves_is_due(void **state)
{
    (void)state;
    const char *channel = new_name("channel");
    int64_t one = new_id(), two = new_id();
    struct schedule_entry entries[] = {
        { one, TASK_CLOSE, channel, 0 }, { one, TASK_QUERY, channel, 0 }, { one, TASK_CLOSE, channel, 3600000 },
        { two, TASK_POLICY, channel, 0 },
    };
    struct settle_writes writes = { .schedule = entries, .schedule_count = 4 };
    write_ok(store_writes, &writes);
    struct schedule_call call = { .channel = channel };
    write_ok(claim_schedule, &call);
    assert_int_equal(call.count, 2);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(call.items[i].task, call.items[i].subject == one ? TASK_CLOSE : TASK_POLICY);
}

static void empty_batch_is_nothing(void **state)
{
    (void)state;
    struct settle_writes writes = { 0 };
    write_ok(store_writes, &writes);
    struct load_call call = { 0 };
    write_ok(load, &call);
    assert_int_equal(call.order_count + call.record_count, 0);
}

const struct CMUnitTest settle_tests[] = {
    cmocka_unit_test(loads_orders_with_all_their_records),
    cmocka_unit_test(unknown_numbers_load_nothing),
    cmocka_unit_test(payment_is_written_as_decided),
    cmocka_unit_test(unstated_values_stay),
    cmocka_unit_test(unexpected_state_writes_nothing),
    cmocka_unit_test(full_batch_is_settled_at_once),
    cmocka_unit_test(bad_item_fails_the_whole_batch_as_data),
    cmocka_unit_test(work_that_a_batch_leaves_is_due),
    cmocka_unit_test(empty_batch_is_nothing),
};
const size_t settle_test_count = sizeof settle_tests / sizeof settle_tests[0];
