/*
 * Money that came too late or a second time (core/pay/task.h): what the app wants done with it is done, or people are told.
 */
#include "config.h"

#include "unit/pay_rig.h"

/* ---- orders with one paid record */

struct rows {
    struct order order;
    struct pay_record record;
    struct refund *refunds;
    size_t refund_count;
};

static enum rc read_rows(struct tx *tx, void *arg, struct error *err)
{
    struct rows *rows = arg;
    struct pay_record *records;
    size_t count;
    enum rc rc = order_get(tx, rows->order.order_id, rig.arena, &rows->order, err);
    if (rc == RC_OK)
        rc = records_of_order(tx, rows->order.order_id, rig.arena, &records, &count, err);
    if (rc)
        return rc;
    rows->record = records[0];
    return refunds_of_record(tx, rows->record.pay_no, rig.arena, &rows->refunds, &rows->refund_count, err);
}

static enum rc pay_record(struct tx *tx, void *arg, struct error *err)
{
    const struct rows *rows = arg;
    struct record_change change = { .pay_no = rows->record.pay_no, .from = PAYMENT_UNPAID, .to = PAYMENT_PAID, .paid_at = 1 };
    struct settle_writes writes = { .records = &change, .record_count = 1 };
    return settle_store(tx, &writes, err);
}

static enum rc close_order(struct tx *tx, void *arg, struct error *err)
{
    const struct order *order = arg;
    return order_set_closed(tx, order->order_id, 0, err);
}

static struct rows make_late(void)
{
    struct rows rows;
    rig_write(rig_make_unpaid, &rows.order);
    rig_write(rig_add_record, &rows.order);
    rig_write(read_rows, &rows);
    rig_write(close_order, &rows.order);
    rig_write(pay_record, &rows);
    rig_write(read_rows, &rows);
    return rows;
}

static enum rc pay_otherwise(struct tx *tx, void *arg, struct error *err)
{
    const struct order *order = arg;
    struct order_change change = { .order_id = order->order_id, .from = ORDER_UNPAID, .to = ORDER_PAID, .paid_pay_no = 1, .paid_at = 1 };
    struct settle_writes writes = { .orders = &change, .order_count = 1 };
    return settle_store(tx, &writes, err);
}

static struct rows make_duplicate(void)
{
    struct rows rows;
    rig_write(rig_make_unpaid, &rows.order);
    rig_write(rig_add_record, &rows.order);
    rig_write(read_rows, &rows);
    rig_write(pay_otherwise, &rows.order);
    rig_write(pay_record, &rows);
    rig_write(read_rows, &rows);
    return rows;
}

/* As by call; it has not ended. */
struct partial {
    const struct pay_record *record;
    int64_t amount_minor;
};

static enum rc begin_refund(struct tx *tx, void *arg, struct error *err)
{
    const struct partial *partial = arg;
    const struct pay_record *record = partial->record;
    struct refund refund = { .refund_no = rig_id(), .pay_no = record->pay_no, .order_id = record->order_id, .app = "a", .channel = "c",
                             .source = "api", .cause = "late", .amount_minor = partial->amount_minor, .currency = "CNY",
                             .status = REFUND_CREATED };
    enum rc rc = refund_reserve(tx, record->pay_no, refund.amount_minor, err);
    return rc ? rc : refund_insert(tx, &refund, err);
}

static void refund_by_call(const struct rows *rows, int64_t amount_minor)
{
    rig_write(begin_refund, &(struct partial){ &rows->record, amount_minor });
}

static void apply_policy(struct rows *rows)
{
    assert_int_equal(rig_turn((struct scheduled){ .subject = rows->record.pay_no, .task = TASK_POLICY }).kind, TASK_OVER);
    rig_write(read_rows, rows);
}

static void policies(enum late_policy late, enum duplicate_policy duplicate)
{
    rig.app.late_payment = late;
    rig.app.duplicate_payment = duplicate;
}

/* ---- tests */

static void late_money_is_accepted_or_refunded_and_nobody_called(void **state)
{
    (void)state;
    struct rows rows = make_late();
    policies(LATE_ACCEPT, DUPLICATE_HOLD);
    apply_policy(&rows);
    assert_int_equal(rows.order.status, ORDER_PAID);
    assert_false(rows.record.needs_review);

    rows = make_late();
    policies(LATE_REFUND, DUPLICATE_HOLD);
    size_t told = rig.committed;
    for (int i = 0; i < 2; i++) { /* again, as after a crash: it is on its way */
        apply_policy(&rows);
        assert_int_equal(rows.refund_count, 1);
        assert_int_equal(rows.record.refunding_minor, 100);
        assert_false(rows.record.needs_review);
        assert_int_equal(rig.committed, told);
    }
}

static void a_hold_leaves_everything_as_it_is(void **state)
{
    (void)state;
    struct rows late = make_late(), twice = make_duplicate();
    policies(LATE_HOLD, DUPLICATE_HOLD);
    size_t told = rig.committed;
    apply_policy(&late);
    apply_policy(&twice);
    assert_int_equal(rig.committed, told);
    assert_int_equal(late.order.status, ORDER_CLOSED);
    assert_false(late.record.needs_review || twice.record.needs_review);
    assert_int_equal(late.refund_count + twice.refund_count, 0);
}

static void assert_told(struct rows *rows, const char *outcome)
{
    for (int i = 1; i <= 2; i++) { /* also when it is under review already */
        size_t told = rig.committed;
        int64_t last_event = rows->order.last_event, before = rig_scheduled();
        apply_policy(rows);
        assert_true(rows->record.needs_review);
        assert_int_equal(rig.committed, told + 1);
        assert_int_equal(rig_scheduled(), before);
        assert_true(rows->order.last_event > last_event);
        assert_int_equal(rig_audits(rows->record.pay_no, outcome), i);
        assert_int_equal(rows->refund_count, 1);
        assert_int_equal(rows->record.refunding_minor, 30);
    }
}

static void what_a_part_refund_leaves_of_late_money_is_for_people(void **state)
{
    (void)state;
    static const enum late_policy both[] = { LATE_ACCEPT, LATE_REFUND };
    for (size_t i = 0; i < 2; i++) {
        struct rows rows = make_late();
        refund_by_call(&rows, 30);
        policies(both[i], DUPLICATE_HOLD);
        assert_told(&rows, "late");
        assert_int_equal(rows.order.status, ORDER_CLOSED);
    }
}

static void what_a_part_refund_leaves_of_a_second_payment_is_for_people(void **state)
{
    (void)state;
    struct rows rows = make_duplicate();
    refund_by_call(&rows, 30);
    policies(LATE_HOLD, DUPLICATE_REFUND);
    assert_told(&rows, "duplicate");
}

static void money_that_is_on_its_way_back_calls_nobody(void **state)
{
    (void)state;
    struct rows late = make_late(), twice = make_duplicate();
    refund_by_call(&late, 100);
    refund_by_call(&twice, 100);
    policies(LATE_ACCEPT, DUPLICATE_REFUND);
    size_t told = rig.committed;
    apply_policy(&late);
    apply_policy(&twice);
    assert_int_equal(rig.committed, told);
    assert_int_equal(late.order.status, ORDER_CLOSED);
    assert_false(late.record.needs_review || twice.record.needs_review);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(late_money_is_accepted_or_refunded_and_nobody_called),
        cmocka_unit_test(a_hold_leaves_everything_as_it_is),
        cmocka_unit_test(what_a_part_refund_leaves_of_late_money_is_for_people),
        cmocka_unit_test(what_a_part_refund_leaves_of_a_second_payment_is_for_people),
        cmocka_unit_test(money_that_is_on_its_way_back_calls_nobody),
    };
    return cmocka_run_group_tests_name("policy", tests, rig_open, rig_close);
}
