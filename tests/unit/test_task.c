/*
 * One turn of one row of the schedule (core/pay/task.h): what the provider and the books say decides what becomes of it.
 */
#include "config.h"

#include "unit/pay_rig.h"

#include "store/statement.h"

enum { SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, DAY = 24 * HOUR };

static void assert_again(struct task_end end, int64_t about_ms, enum schedule_answer answer)
{
    assert_int_equal(end.kind, TASK_AGAIN);
    assert_int_equal(end.answer, answer);
    assert_true(end.wait_ms >= about_ms - about_ms / 10 && end.wait_ms <= about_ms + about_ms / 10);
}

/* ---- orders with one record */

struct rows {
    struct order order;
    struct pay_record record;
    size_t record_count;
};

static enum rc read_rows(struct tx *tx, void *arg, struct error *err)
{
    struct rows *rows = arg;
    struct pay_record *records;
    enum rc rc = order_get(tx, rows->order.order_id, rig.arena, &rows->order, err);
    if (rc == RC_OK)
        rc = records_of_order(tx, rows->order.order_id, rig.arena, &records, &rows->record_count, err);
    if (rc == RC_OK && rows->record_count)
        rows->record = records[0];
    return rc;
}

static struct rows make(tx_fn make_order, bool with_record)
{
    struct rows rows;
    rig_write(make_order, &rows.order);
    if (with_record)
        rig_write(rig_add_record, &rows.order);
    rig_write(read_rows, &rows);
    return rows;
}

static void assert_rows(struct rows *rows, enum order_status order, enum payment_status record, bool review)
{
    rig_write(read_rows, rows);
    assert_int_equal(rows->order.status, order);
    assert_int_equal(rows->record.status, record);
    assert_int_equal(rows->record.needs_review, review);
}

static enum rc close_record(struct tx *tx, void *arg, struct error *err)
{
    const struct rows *rows = arg;
    return record_set_closed(tx, rows->record.pay_no, err);
}

static enum rc close_both(struct tx *tx, void *arg, struct error *err)
{
    const struct rows *rows = arg;
    enum rc rc = close_record(tx, arg, err);
    return rc ? rc : order_set_closed(tx, rows->order.order_id, 0, err);
}

/* ---- queries */

static void a_query_that_finds_nothing_comes_again_at_the_channel_s_pace(void **state)
{
    (void)state;
    static const uint32_t says[] = { PN_STATE_UNPAID, PN_STATE_NOT_FOUND };
    for (size_t i = 0; i < 2; i++) {
        struct rows rows = make(rig_make_unpaid, true);
        provider_says(says[i]);
        assert_again(rig_turn((struct scheduled){ .subject = rows.record.pay_no, .task = TASK_QUERY }), 30 * SECOND, ANSWER_LEARNED);
        assert_rows(&rows, ORDER_UNPAID, PAYMENT_UNPAID, false);
    }
}

static void a_query_that_finds_the_payment_settles_it_and_is_over(void **state)
{
    (void)state;
    struct rows rows = make(rig_make_unpaid, true);
    provider_says(PN_STATE_PAID);
    assert_int_equal(rig_turn((struct scheduled){ .subject = rows.record.pay_no, .task = TASK_QUERY }).kind, TASK_OVER);
    assert_rows(&rows, ORDER_PAID, PAYMENT_PAID, false);
}

static void a_query_that_finds_it_closed_leaves_the_order_open(void **state)
{
    (void)state;
    struct rows rows = make(rig_make_unpaid, true);
    provider_says(PN_STATE_CLOSED);
    assert_int_equal(rig_turn((struct scheduled){ .subject = rows.record.pay_no, .task = TASK_QUERY }).kind, TASK_OVER);
    assert_rows(&rows, ORDER_UNPAID, PAYMENT_CLOSED, false);
}

static enum rc add_form(struct tx *tx, void *arg, struct error *err)
{
    const struct order *order = arg;
    struct pay_record record = { .pay_no = rig_id(), .order_id = order->order_id, .app = "a", .channel = "c", .product = "form",
                                 .amount_minor = 100, .currency = "CNY", .status = PAYMENT_UNPAID,
                                 .expires_at = order->expires_at };
    return record_insert(tx, &record, err);
}

/* Unless somebody says that something happened to it. */
static void nobody_is_asked_about_a_form_that_was_never_shown(void **state)
{
    (void)state;
    struct rows rows = make(rig_make_unpaid, false);
    rig_write(add_form, &rows.order);
    rig_write(read_rows, &rows);
    provider_says(PN_STATE_NOT_FOUND);
    assert_again(rig_turn((struct scheduled){ .subject = rows.record.pay_no, .task = TASK_QUERY }), 30 * SECOND, ANSWER_LEARNED);
    assert_int_equal(provider.asked[PN_QUERY], 0);
    assert_again(rig_turn((struct scheduled){ .subject = rows.record.pay_no, .task = TASK_CHECK }), 30 * SECOND, ANSWER_LEARNED);
    assert_int_equal(provider.asked[PN_QUERY], 1);
}

static void silence_climbs_its_ladder_and_a_question_that_never_left_does_not(void **state)
{
    (void)state;
    struct rows rows = make(rig_make_unpaid, true);
    struct scheduled row = { .subject = rows.record.pay_no, .task = TASK_QUERY };
    static const int64_t waits[] = { 5 * MINUTE, HOUR, DAY, DAY, DAY, DAY, DAY };
    static const int silent[] = { PN_UNKNOWN, PN_NOT_AUTHENTIC, PN_INTERNAL };
    for (row.unknowns = 0; row.unknowns < 7; row.unknowns++) {
        provider_says(PN_STATE_UNKNOWN);
        provider.rc[PN_QUERY] = row.unknowns < 3 ? silent[row.unknowns] : PN_OK;
        assert_again(rig_turn(row), waits[row.unknowns], ANSWER_UNKNOWN);
        provider.rc[PN_QUERY] = PN_NOT_DONE;
        assert_again(rig_turn(row), 30 * SECOND, ANSWER_NOT_ASKED);
    }
    provider.rc[PN_QUERY] = PN_NOT_DONE;
    assert_again(rig_turn(row), 30 * SECOND, ANSWER_NOT_ASKED);
    assert_rows(&rows, ORDER_UNPAID, PAYMENT_UNPAID, false);
}

/* A payment that is under review for one reason may be given up for another. */
static void enough_silence_calls_people_each_time_and_empties_the_row(void **state)
{
    (void)state;
    struct rows rows = make(rig_make_unpaid, true);
    int64_t before = rig_scheduled();
    size_t told = rig.committed;
    provider_says(PN_STATE_UNKNOWN);
    for (int i = 1; i <= 2; i++) {
        int64_t last_event = rows.order.last_event;
        assert_int_equal(rig_turn((struct scheduled){ .subject = rows.record.pay_no, .task = TASK_QUERY, .unknowns = 7 }).kind, TASK_OVER);
        assert_rows(&rows, ORDER_UNPAID, PAYMENT_UNPAID, true);
        assert_int_equal(rig.committed, told + (size_t)i);
        assert_int_equal(rig_audits(rows.record.pay_no, "unknown"), i);
        assert_true(rows.order.last_event > last_event);
        assert_int_equal(rig_scheduled(), before);
    }
}

/* ---- close_after_queries */

static void the_last_of_enough_answers_begins_the_close(void **state)
{
    (void)state;
    struct rows rows = make(rig_make_unpaid, true);
    struct scheduled row = { .subject = rows.record.pay_no, .task = TASK_QUERY, .answers = 8 };
    rig.app.close_after_queries = 10;
    provider_says(PN_STATE_UNPAID);
    assert_again(rig_turn(row), 30 * SECOND, ANSWER_LEARNED);
    assert_rows(&rows, ORDER_UNPAID, PAYMENT_UNPAID, false);
    row.answers = 9;
    assert_int_equal(rig_turn(row).kind, TASK_LEFT);
    assert_rows(&rows, ORDER_CLOSING, PAYMENT_UNPAID, false);
    rig.app.close_after_queries = 0;
}

/* ---- settled records */

static void a_row_of_a_settled_record_asks_nobody_but_a_check_does(void **state)
{
    (void)state;
    static const struct { enum schedule_task task; int asked; } rows[] = {
        { TASK_QUERY, 0 }, { TASK_CLOSE, 0 }, { TASK_POLICY, 0 }, { TASK_CHECK, 1 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct rows made = make(rig_make_unpaid, true);
        rig_write(close_record, &made);
        provider_says(PN_STATE_CLOSED);
        assert_int_equal(rig_turn((struct scheduled){ .subject = made.record.pay_no, .task = rows[i].task }).kind, TASK_OVER);
        assert_int_equal(provider.asked[PN_QUERY], rows[i].asked);
        assert_rows(&made, ORDER_UNPAID, PAYMENT_CLOSED, false);
    }
}

static void a_check_that_finds_late_money_records_it(void **state)
{
    (void)state;
    struct rows rows = make(rig_make_unpaid, true);
    rig_write(close_both, &rows);
    provider_says(PN_STATE_PAID);
    assert_int_equal(rig_turn((struct scheduled){ .subject = rows.record.pay_no, .task = TASK_CHECK }).kind, TASK_OVER);
    assert_rows(&rows, ORDER_CLOSED, PAYMENT_PAID, false);
}

static void an_order_that_waited_for_its_last_record_ends(void **state)
{
    (void)state;
    struct rows rows = make(rig_make_closing, true);
    rig_write(close_record, &rows);
    assert_int_equal(rig_turn((struct scheduled){ .subject = rows.record.pay_no, .task = TASK_CLOSE }).kind, TASK_OVER);
    assert_rows(&rows, ORDER_CLOSED, PAYMENT_CLOSED, false);
}

static void what_is_not_there_is_over(void **state)
{
    (void)state;
    static const enum schedule_task tasks[] = { TASK_QUERY, TASK_CHECK, TASK_CLOSE, TASK_POLICY, TASK_EXPIRE };
    for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++)
        assert_int_equal(rig_turn((struct scheduled){ .subject = rig_id(), .task = tasks[i] }).kind, TASK_OVER);
}

static void what_a_newer_server_wants_is_left_to_it(void **state)
{
    (void)state;
    struct task_end end = rig_turn((struct scheduled){ .subject = rig_id(), .task = (enum schedule_task)99, .channel = "c" });
    assert_int_equal(end.kind, TASK_AGAIN);
    assert_int_equal(end.answer, ANSWER_NOT_ASKED);
}

/* ---- closing */

static void a_row_whose_order_is_closing_closes_whatever_it_says(void **state)
{
    (void)state;
    static const enum schedule_task tasks[] = { TASK_QUERY, TASK_CHECK, TASK_CLOSE };
    for (size_t i = 0; i < 3; i++) {
        struct rows rows = make(rig_make_closing, true);
        provider_says(PN_STATE_NOT_FOUND);
        provider.says[PN_QUERY] = PN_STATE_UNPAID;
        assert_again(rig_turn((struct scheduled){ .subject = rows.record.pay_no, .task = tasks[i] }), 5 * SECOND, ANSWER_LEARNED);
        assert_int_equal(provider.asked[PN_CLOSE], 1);
        assert_int_equal(provider.asked[PN_QUERY], 2);
        assert_rows(&rows, ORDER_CLOSING, PAYMENT_UNPAID, false);
    }
}

static void a_provider_that_does_not_close_is_asked_less_and_less_and_then_people_are(void **state)
{
    (void)state;
    struct rows rows = make(rig_make_closing, true);
    static const struct { int answers; int64_t wait; } steps[] = {
        { 0, 5 * SECOND }, { 5, 160 * SECOND }, { 6, 5 * MINUTE }, { 18, HOUR }, { 41, DAY }, { 45, DAY },
    };
    provider_says(PN_STATE_UNPAID);
    provider.rc[PN_CLOSE] = PN_DECLINED;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        assert_again(rig_turn((struct scheduled){ .subject = rows.record.pay_no, .task = TASK_CLOSE, .answers = steps[i].answers }),
                     steps[i].wait, ANSWER_LEARNED);
    assert_rows(&rows, ORDER_CLOSING, PAYMENT_UNPAID, false);
    assert_int_equal(rig_turn((struct scheduled){ .subject = rows.record.pay_no, .task = TASK_CLOSE, .answers = 46 }).kind, TASK_OVER);
    assert_rows(&rows, ORDER_CLOSING, PAYMENT_UNPAID, true);
}

static void silence_in_a_closing_is_tried_quickly_first(void **state)
{
    (void)state;
    struct rows rows = make(rig_make_closing, true);
    provider_says(PN_STATE_UNKNOWN);
    assert_again(rig_turn((struct scheduled){ .subject = rows.record.pay_no, .task = TASK_CLOSE }), 5 * SECOND, ANSWER_UNKNOWN);
    assert_again(rig_turn((struct scheduled){ .subject = rows.record.pay_no, .task = TASK_CLOSE, .unknowns = 6 }), 5 * MINUTE,
                 ANSWER_UNKNOWN);
    provider.rc[PN_QUERY] = PN_NOT_DONE;
    assert_again(rig_turn((struct scheduled){ .subject = rows.record.pay_no, .task = TASK_CLOSE, .unknowns = 12 }), 30 * SECOND,
                 ANSWER_NOT_ASKED);
}

static void what_the_provider_agreed_to_close_is_closed_even_if_it_forgets_it(void **state)
{
    (void)state;
    static const struct { uint32_t close; enum order_status order; enum payment_status record; } rows[] = {
        { PN_STATE_CLOSED, ORDER_CLOSED, PAYMENT_CLOSED },
        { PN_STATE_UNKNOWN, ORDER_CLOSING, PAYMENT_UNPAID }, /* then a form may still be out */
    };
    for (size_t i = 0; i < 2; i++) {
        struct rows made = make(rig_make_closing, true);
        provider_says(PN_STATE_UNPAID);
        provider.says[PN_CLOSE] = rows[i].close;
        provider.says_once_closed = PN_STATE_NOT_FOUND;
        rig_turn((struct scheduled){ .subject = made.record.pay_no, .task = TASK_CLOSE });
        assert_rows(&made, rows[i].order, rows[i].record, false);
    }
}

static void what_is_paid_between_query_and_close_is_applied(void **state)
{
    (void)state;
    struct rows rows = make(rig_make_closing, true);
    provider_says(PN_STATE_UNPAID);
    provider.rc[PN_CLOSE] = PN_DECLINED;
    provider.says_once_closed = PN_STATE_PAID;
    assert_int_equal(rig_turn((struct scheduled){ .subject = rows.record.pay_no, .task = TASK_CLOSE }).kind, TASK_OVER);
    assert_rows(&rows, ORDER_PAID, PAYMENT_PAID, false);
}

/* The money came and went, and nobody told us how much: the record can be paid by nobody any more. */
static void a_refund_of_what_was_never_seen_paid_does_not_keep_its_order_closing(void **state)
{
    (void)state;
    struct rows rows = make(rig_make_closing, true);
    provider_says(PN_STATE_REFUNDED);
    provider.hides_total = true;
    assert_int_equal(rig_turn((struct scheduled){ .subject = rows.record.pay_no, .task = TASK_CLOSE }).kind, TASK_OVER);
    assert_rows(&rows, ORDER_CLOSED, PAYMENT_CLOSED, true);
}

/* ---- expiry */

static enum rc expire_now(struct tx *tx, void *arg, struct error *err)
{
    static const struct sql age = { .name = "test_age", .text = "UPDATE orders SET expires_at = 1 WHERE order_id = $1" };
    return tx_exec(tx, &age, VALUES(value_i64(((struct rows *)arg)->order.order_id)), NULL, err);
}

static void an_order_expires_only_when_its_time_is_over(void **state)
{
    (void)state;
    struct rows rows = make(rig_make_unpaid, false);
    struct task_end end = rig_turn((struct scheduled){ .subject = rows.order.order_id, .task = TASK_EXPIRE });
    assert_int_equal(end.kind, TASK_AGAIN);
    assert_true(end.wait_ms > 0 && end.wait_ms <= 60000);
    rig_write(read_rows, &rows);
    assert_int_equal(rows.order.status, ORDER_UNPAID);
    size_t told = rig.committed;
    rig_write(expire_now, &rows);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(rig_turn((struct scheduled){ .subject = rows.order.order_id, .task = TASK_EXPIRE }).kind, TASK_OVER);
        rig_write(read_rows, &rows);
        assert_int_equal(rows.order.status, ORDER_CLOSED);
        assert_int_equal(rig.committed, told + 1);
    }
}

static void an_expired_order_with_an_open_record_is_closing_and_the_record_due(void **state)
{
    (void)state;
    struct rows rows = make(rig_make_unpaid, true);
    rig_write(expire_now, &rows);
    int64_t before = rig_scheduled();
    assert_int_equal(rig_turn((struct scheduled){ .subject = rows.order.order_id, .task = TASK_EXPIRE }).kind, TASK_OVER);
    assert_rows(&rows, ORDER_CLOSING, PAYMENT_UNPAID, false);
    assert_int_equal(rig_scheduled(), before + 2); /* the row that ran, and the record's */
}

/* The net under whatever should have ended it. */
static void an_expiry_ends_an_order_that_was_left_closing(void **state)
{
    (void)state;
    struct rows rows = make(rig_make_closing, false), waits = make(rig_make_closing, true);
    size_t told = rig.committed;
    assert_int_equal(rig_turn((struct scheduled){ .subject = waits.order.order_id, .task = TASK_EXPIRE }).kind, TASK_OVER);
    assert_rows(&waits, ORDER_CLOSING, PAYMENT_UNPAID, false);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(rig_turn((struct scheduled){ .subject = rows.order.order_id, .task = TASK_EXPIRE }).kind, TASK_OVER);
        rig_write(read_rows, &rows);
        assert_int_equal(rows.order.status, ORDER_CLOSED);
        assert_int_equal(rig.committed, told + 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_query_that_finds_nothing_comes_again_at_the_channel_s_pace),
        cmocka_unit_test(a_query_that_finds_the_payment_settles_it_and_is_over),
        cmocka_unit_test(a_query_that_finds_it_closed_leaves_the_order_open),
        cmocka_unit_test(nobody_is_asked_about_a_form_that_was_never_shown),
        cmocka_unit_test(silence_climbs_its_ladder_and_a_question_that_never_left_does_not),
        cmocka_unit_test(enough_silence_calls_people_each_time_and_empties_the_row),
        cmocka_unit_test(the_last_of_enough_answers_begins_the_close),
        cmocka_unit_test(a_row_of_a_settled_record_asks_nobody_but_a_check_does),
        cmocka_unit_test(a_check_that_finds_late_money_records_it),
        cmocka_unit_test(an_order_that_waited_for_its_last_record_ends),
        cmocka_unit_test(what_is_not_there_is_over),
        cmocka_unit_test(what_a_newer_server_wants_is_left_to_it),
        cmocka_unit_test(a_row_whose_order_is_closing_closes_whatever_it_says),
        cmocka_unit_test(a_provider_that_does_not_close_is_asked_less_and_less_and_then_people_are),
        cmocka_unit_test(silence_in_a_closing_is_tried_quickly_first),
        cmocka_unit_test(what_the_provider_agreed_to_close_is_closed_even_if_it_forgets_it),
        cmocka_unit_test(what_is_paid_between_query_and_close_is_applied),
        cmocka_unit_test(a_refund_of_what_was_never_seen_paid_does_not_keep_its_order_closing),
        cmocka_unit_test(an_order_expires_only_when_its_time_is_over),
        cmocka_unit_test(an_expired_order_with_an_open_record_is_closing_and_the_record_due),
        cmocka_unit_test(an_expiry_ends_an_order_that_was_left_closing),
    };
    return cmocka_run_group_tests_name("task", tests, rig_open, rig_close);
}
