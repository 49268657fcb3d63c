/*
 * What settlements write about refunds: sums that follow each other, everything or nothing, and the lists.
 */
#include "config.h"

#include "fixture.h"

#include <string.h>

TX(insert_tx, struct refund, return refund_insert(tx, a, err);)
TX(get_tx, struct refund, return refund_get(tx, a->refund_no, arena, a, err);)
TX(store_writes, struct settle_writes, return settle_store(tx, a, err);)

static struct pay_record make_paid(const char *app)
{
    struct order order = make_order(app);
    struct pay_record record = make_record(&order);
    pay(&record, NULL, false, 0, NULL);
    return get_record(record.pay_no);
}

static struct refund new_refund(const struct pay_record *record, int64_t amount_minor, enum refund_status status)
{
    return (struct refund){
        .refund_no = new_id(), .pay_no = record->pay_no, .order_id = record->order_id, .app = record->app, .channel = record->channel,
        .source = "api", .amount_minor = amount_minor, .currency = record->currency, .status = status,
    };
}

static enum rc move_totals(const struct refund_totals *totals)
{
    return write_rc(store_writes, &(struct settle_writes){ .refund_totals = totals, .refund_totals_count = 1 });
}

static void expect_sums(const struct pay_record *record, int64_t refunded, int64_t refunding, int64_t of_order)
{
    struct pay_record now = get_record(record->pay_no);
    assert_int_equal(now.refunded_minor, refunded);
    assert_int_equal(now.refunding_minor, refunding);
    assert_int_equal(get_order(record->order_id).refunded_minor, of_order);
}

static void sums_move_from_what_they_were(void **state)
{
    (void)state;
    struct pay_record record = make_paid("a");
    struct refund_totals totals = { .pay_no = record.pay_no, .refunded = 100, .refunding = 50, .order_id = record.order_id,
                                    .order_refunded = 100 };
    assert_int_equal(move_totals(&totals), RC_OK);
    expect_sums(&record, 100, 50, 100);
    assert_int_equal(move_totals(&totals), RC_RETRY);
    struct refund_totals wrong = { .pay_no = record.pay_no, .from_refunded = 100, .from_refunding = 49, .refunded = 150,
                                   .order_id = record.order_id, .order_from_refunded = 100, .order_refunded = 150 };
    assert_int_equal(move_totals(&wrong), RC_RETRY);
    wrong.from_refunding = 50;
    wrong.order_from_refunded = 99;
    assert_int_equal(move_totals(&wrong), RC_RETRY);
    wrong.order_from_refunded = 100;
    wrong.order_id = new_id();
    assert_int_equal(move_totals(&wrong), RC_RETRY);
    expect_sums(&record, 100, 50, 100);
    wrong.order_id = record.order_id;
    assert_int_equal(move_totals(&wrong), RC_OK);
    expect_sums(&record, 150, 0, 150);
}

static void payment_that_is_not_its_orders_leaves_the_order_alone(void **state)
{
    (void)state;
    struct pay_record record = make_paid("a");
    struct refund_totals totals = { .pay_no = record.pay_no, .refunded = 100, .order_from_refunded = 7, .order_refunded = 9 };
    assert_int_equal(move_totals(&totals), RC_OK);
    expect_sums(&record, 100, 0, 0);
}

static void sums_beyond_what_was_paid_are_refused(void **state)
{
    (void)state;
    struct pay_record record = make_paid("a");
    int64_t amount = record.amount_minor;
    struct refund_totals beyond[] = {
        { .pay_no = record.pay_no, .refunded = amount + 1 },
        { .pay_no = record.pay_no, .refunding = amount + 1 },
        { .pay_no = record.pay_no, .refunded = amount, .refunding = 1 },
        { .pay_no = record.pay_no, .refunded = -1 },
        { .pay_no = record.pay_no, .refunded = 1, .refunding = -1 },
        { .pay_no = record.pay_no, .refunded = 1, .order_id = record.order_id, .order_refunded = amount + 1 },
    };
    for (size_t i = 0; i < sizeof beyond / sizeof beyond[0]; i++)
        assert_int_equal(move_totals(&beyond[i]), RC_DATA);
    expect_sums(&record, 0, 0, 0);
}

/* A whole refund as it is settled: the reservation becomes certain, record and order are refunded, an event tells it. */
static void full_refund_is_settled_as_one(void **state)
{
    (void)state;
    struct pay_record record = make_paid("a");
    int64_t amount = record.amount_minor;
    struct refund refund = new_refund(&record, amount, REFUND_PROCESSING);
    write_ok(insert_tx, &refund);
    assert_int_equal(move_totals(&(struct refund_totals){ .pay_no = record.pay_no, .refunding = amount }), RC_OK);

    struct event event = { .event_id = new_id(), .type = "refund.succeeded", .app = "a", .order_id = record.order_id,
                           .pay_no = record.pay_no, .data = "{}" };
    struct record_change record_change = { .pay_no = record.pay_no, .from = PAYMENT_UNPAID, .to = PAYMENT_REFUNDED };
    struct order_change order_change = { .order_id = record.order_id, .from = ORDER_PAID, .to = ORDER_REFUNDED,
                                         .last_event = event.event_id };
    struct refund_change change = { .refund_no = refund.refund_no, .from = REFUND_PROCESSING, .to = REFUND_SUCCEEDED };
    struct refund_totals totals = { .pay_no = record.pay_no, .from_refunding = amount, .refunded = amount, .stated_back = amount,
                                    .order_id = record.order_id, .order_refunded = amount };
    struct settle_writes writes = {
        .records = &record_change, .record_count = 1, .orders = &order_change, .order_count = 1, .events = &event, .event_count = 1,
        .refund_changes = &change, .refund_change_count = 1, .refund_totals = &totals, .refund_totals_count = 1,
    };
    assert_int_equal(write_rc(store_writes, &writes), RC_RETRY); /* the record was paid, not unpaid */
    expect_sums(&record, 0, amount, 0);
    read_ok(get_tx, &refund);
    assert_int_equal(refund.status, REFUND_PROCESSING);

    record_change.from = PAYMENT_PAID;
    write_ok(store_writes, &writes);
    expect_sums(&record, amount, 0, amount);
    assert_int_equal(get_record(record.pay_no).stated_back_minor, amount);
    assert_int_equal(get_record(record.pay_no).status, PAYMENT_REFUNDED);
    assert_int_equal(get_order(record.order_id).status, ORDER_REFUNDED);
    read_ok(get_tx, &refund);
    assert_int_equal(refund.status, REFUND_SUCCEEDED);
}

/* As when somebody refunds in the provider's console. */
static void refund_that_the_provider_made_comes_into_the_books(void **state)
{
    (void)state;
    struct pay_record record = make_paid("a");
    struct refund refund = new_refund(&record, 300, REFUND_SUCCEEDED);
    refund.source = "provider";
    refund.provider_no = "console-1";
    struct refund_totals totals = { .pay_no = record.pay_no, .refunded = 300, .order_id = record.order_id, .order_refunded = 300 };
    struct settle_writes writes = { .refund_inserts = &refund, .refund_insert_count = 1, .refund_totals = &totals,
                                    .refund_totals_count = 1 };
    write_ok(store_writes, &writes);
    assert_true(refund.created_at > 0);
    struct refund read = { .refund_no = refund.refund_no };
    read_ok(get_tx, &read);
    assert_string_equal(read.source, "provider");
    assert_string_equal(read.provider_no, "console-1");
    assert_int_equal(read.finished_at, refund.created_at);
    expect_sums(&record, 300, 0, 300);
}

/* ---------------------------------------------------------------------------------------------------- lists */

struct list_call {
    struct refund_filter filter;
    struct refund *items;
    size_t count;
};
TX(list_tx, struct list_call, return refund_list(tx, &a->filter, arena, &a->items, &a->count, err);)

static void expect_list(struct refund_filter filter, size_t count, const int64_t *numbers)
{
    struct list_call call = { .filter = filter };
    if (call.filter.limit == 0)
        call.filter.limit = 100;
    read_ok(list_tx, &call);
    assert_int_equal(call.count, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(call.items[i].refund_no, numbers[i]);
}

enum { LISTED = 6 };
struct scene {
    const char *app, *other_app;
    struct pay_record one, two, other;
    struct refund refunds[LISTED]; /* 0, 1, 2 of one, 3 and 4 of two, 5 of the other app with the number of 3 */
};

static struct scene make_scene(void)
{
    struct scene scene = { .app = new_name("app"), .other_app = new_name("app") };
    scene.one = make_paid(scene.app);
    scene.two = make_paid(scene.app);
    scene.other = make_paid(scene.other_app);
    for (int i = 0; i < LISTED; i++) {
        scene.refunds[i] = new_refund(i < 3 ? &scene.one : i < 5 ? &scene.two : &scene.other, 10,
                                      i % 2 ? REFUND_FAILED : REFUND_CREATED);
        if (i == 3)
            scene.refunds[i].out_refund_id = new_name("refund");
        if (i == 5)
            scene.refunds[i].out_refund_id = scene.refunds[3].out_refund_id;
        write_ok(insert_tx, &scene.refunds[i]);
    }
    return scene;
}

static void lists_are_newest_first_and_narrowed_by_every_filter(void **state)
{
    (void)state;
    struct scene s = make_scene();
    int64_t n[LISTED];
    for (int i = 0; i < LISTED; i++)
        n[i] = s.refunds[i].refund_no;
    expect_list((struct refund_filter){ .app = s.app }, 5, (int64_t[]){ n[4], n[3], n[2], n[1], n[0] });
    expect_list((struct refund_filter){ .app = s.other_app }, 1, (int64_t[]){ n[5] });
    expect_list((struct refund_filter){ .app = s.app, .status = REFUND_FAILED }, 2, (int64_t[]){ n[3], n[1] });
    expect_list((struct refund_filter){ .pay_no = s.one.pay_no }, 3, (int64_t[]){ n[2], n[1], n[0] });
    expect_list((struct refund_filter){ .pay_no = s.one.pay_no, .status = REFUND_FAILED }, 1, (int64_t[]){ n[1] });
    expect_list((struct refund_filter){ .pay_no = s.one.pay_no, .order_id = s.two.order_id }, 0, NULL);
    expect_list((struct refund_filter){ .pay_no = s.one.pay_no, .app = s.other_app }, 0, NULL);
    expect_list((struct refund_filter){ .order_id = s.two.order_id }, 2, (int64_t[]){ n[4], n[3] });
    expect_list((struct refund_filter){ .order_id = s.two.order_id, .app = s.other_app }, 0, NULL);
    expect_list((struct refund_filter){ .out_refund_id = s.refunds[3].out_refund_id }, 2, (int64_t[]){ n[5], n[3] });
    expect_list((struct refund_filter){ .out_refund_id = s.refunds[3].out_refund_id, .app = s.app }, 1, (int64_t[]){ n[3] });
    expect_list((struct refund_filter){ .out_refund_id = s.refunds[3].out_refund_id, .pay_no = s.one.pay_no }, 0, NULL);
    expect_list((struct refund_filter){ .app = new_name("none") }, 0, NULL);
    expect_list((struct refund_filter){ .limit = 2 }, 2, (int64_t[]){ n[5], n[4] });
}

static void cursor_and_limit_walk_through_a_list(void **state)
{
    (void)state;
    struct scene s = make_scene();
    struct refund_filter filters[] = { { .app = s.app }, { .before_id = s.refunds[5].refund_no } };
    for (size_t i = 0; i < 2; i++) {
        filters[i].limit = 2;
        for (int next = 4; next > 0; next -= 2) {
            expect_list(filters[i], 2, (int64_t[]){ s.refunds[next].refund_no, s.refunds[next - 1].refund_no });
            filters[i].before_id = s.refunds[next - 1].refund_no;
        }
    }
    expect_list((struct refund_filter){ .app = s.app, .before_id = s.refunds[1].refund_no }, 1, (int64_t[]){ s.refunds[0].refund_no });
}

static void range_of_creation_begins_with_its_start_and_ends_before_its_end(void **state)
{
    (void)state;
    struct scene s = make_scene();
    struct refund *last = &s.refunds[4];
    expect_list((struct refund_filter){ .app = s.app, .created_to = s.refunds[0].created_at }, 0, NULL);
    expect_list((struct refund_filter){ .app = s.app, .created_from = last->created_at + 1 }, 0, NULL);
    expect_list((struct refund_filter){ .app = s.app, .created_from = last->created_at, .created_to = last->created_at + 1, .limit = 1 }, 1,
                &last->refund_no);
}

const struct CMUnitTest refund_sum_tests[] = {
    cmocka_unit_test(sums_move_from_what_they_were),
    cmocka_unit_test(payment_that_is_not_its_orders_leaves_the_order_alone),
    cmocka_unit_test(sums_beyond_what_was_paid_are_refused),
    cmocka_unit_test(full_refund_is_settled_as_one),
    cmocka_unit_test(refund_that_the_provider_made_comes_into_the_books),
    cmocka_unit_test(lists_are_newest_first_and_narrowed_by_every_filter),
    cmocka_unit_test(cursor_and_limit_walk_through_a_list),
    cmocka_unit_test(range_of_creation_begins_with_its_start_and_ends_before_its_end),
};
const size_t refund_sum_test_count = sizeof refund_sum_tests / sizeof refund_sum_tests[0];
