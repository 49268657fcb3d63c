/*
 * The state machine of design §5, row by row, as a pure function over a picture of the books.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "pay/merchant.h"
#include "pay/settle.h"

static struct order order_in(enum order_status status)
{
    return (struct order){ .order_id = 7, .app = "shop", .amount_minor = 8880, .currency = "CNY", .status = status };
}

static struct pay_record record_in(enum payment_status status)
{
    return (struct pay_record){
        .pay_no = 42, .order_id = 7, .app = "shop", .channel = "one", .product = "wap", .amount_minor = 8880,
        .currency = "CNY", .merchant = "app_id=1;seller_id=2", .status = status,
        .trade_no = status == PAYMENT_PAID || status == PAYMENT_REFUNDED ? "T1" : NULL,
    };
}

static struct fact fact_of(enum pn_state state)
{
    return (struct fact){
        .channel = "one", .source = "notification", .pay_no = 42, .state = state, .total_minor = 8880,
        .refunded_minor = PN_NOT_STATED, .currency = "CNY", .trade_no = "T1", .payer = "P", .merchant = "app_id=1",
        .paid_at = 1000,
    };
}

static const struct policies hold = { LATE_HOLD, DUPLICATE_HOLD };

/* Decides a fact that needs no refunds. */
static enum settle_outcome decide(const struct fact *fact, struct order *order, struct pay_record *record, struct effects *effects)
{
    struct refund_book none = { 0 };
    return settle_decide(fact, &hold, order, record, &none, effects);
}

static const char *only_event(const struct effects *effects)
{
    assert_true(effects->event_count <= 1);
    return effects->event_count ? effects->events[0].type : NULL;
}

struct row {
    const char *name;
    enum pn_state state;
    enum payment_status record;
    enum order_status order;
    enum settle_outcome outcome;
    enum payment_status record_after;
    enum order_status order_after;
    const char *event;
    bool audit, close_siblings;
};

static const struct row rows[] = {
    { "paid", PN_STATE_PAID, PAYMENT_UNPAID, ORDER_UNPAID, SETTLED_APPLIED, PAYMENT_PAID, ORDER_PAID, "payment.succeeded", false, true },
    { "paid while closing", PN_STATE_PAID, PAYMENT_UNPAID, ORDER_CLOSING, SETTLED_APPLIED, PAYMENT_PAID, ORDER_PAID, "payment.succeeded", false, true },
    { "closed record paid after all", PN_STATE_PAID, PAYMENT_CLOSED, ORDER_UNPAID, SETTLED_APPLIED, PAYMENT_PAID, ORDER_PAID, "payment.succeeded", false, true },
    { "repeated", PN_STATE_PAID, PAYMENT_PAID, ORDER_PAID, SETTLED_REPEATED, PAYMENT_PAID, ORDER_PAID, NULL, false, false },
    { "repeated after a refund", PN_STATE_PAID, PAYMENT_REFUNDED, ORDER_REFUNDED, SETTLED_REPEATED, PAYMENT_REFUNDED, ORDER_REFUNDED, NULL, false, false },
    { "late", PN_STATE_PAID, PAYMENT_UNPAID, ORDER_CLOSED, SETTLED_LATE, PAYMENT_PAID, ORDER_CLOSED, "payment.late", true, false },
    { "late, record closed", PN_STATE_PAID, PAYMENT_CLOSED, ORDER_CLOSED, SETTLED_LATE, PAYMENT_PAID, ORDER_CLOSED, "payment.late", true, false },
    { "duplicate", PN_STATE_PAID, PAYMENT_UNPAID, ORDER_PAID, SETTLED_DUPLICATE, PAYMENT_PAID, ORDER_PAID, "payment.duplicate", true, false },
    { "duplicate of a refunded order", PN_STATE_PAID, PAYMENT_UNPAID, ORDER_REFUNDED, SETTLED_DUPLICATE, PAYMENT_PAID, ORDER_REFUNDED, "payment.duplicate", true, false },
    { "closed", PN_STATE_CLOSED, PAYMENT_UNPAID, ORDER_UNPAID, SETTLED_CLOSED, PAYMENT_CLOSED, ORDER_UNPAID, NULL, false, false },
    { "closed twice", PN_STATE_CLOSED, PAYMENT_CLOSED, ORDER_UNPAID, SETTLED_REPEATED, PAYMENT_CLOSED, ORDER_UNPAID, NULL, false, false },
    { "closed but paid", PN_STATE_CLOSED, PAYMENT_PAID, ORDER_PAID, SETTLED_NOTED, PAYMENT_PAID, ORDER_PAID, "payment.review", true, false },
    { "unpaid", PN_STATE_UNPAID, PAYMENT_UNPAID, ORDER_UNPAID, SETTLED_NOTED, PAYMENT_UNPAID, ORDER_UNPAID, NULL, true, false },
    { "unpaid after paid", PN_STATE_UNPAID, PAYMENT_PAID, ORDER_PAID, SETTLED_NOTED, PAYMENT_PAID, ORDER_PAID, NULL, true, false },
    { "failed", PN_STATE_FAILED, PAYMENT_UNPAID, ORDER_UNPAID, SETTLED_NOTED, PAYMENT_UNPAID, ORDER_UNPAID, NULL, true, false },
};

static void every_row_decides_as_the_table_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *row = &rows[i];
        struct order order = order_in(row->order);
        struct pay_record record = record_in(row->record);
        struct fact fact = fact_of(row->state);
        struct effects effects;
        print_message("# %s\n", row->name);
        assert_int_equal(decide(&fact, &order, &record, &effects), row->outcome);
        assert_int_equal(record.status, row->record_after);
        assert_int_equal(order.status, row->order_after);
        if (row->event)
            assert_string_equal(only_event(&effects), row->event);
        else
            assert_null(only_event(&effects));
        assert_int_equal(effects.audit != NULL, row->audit);
        assert_int_equal(effects.close_siblings, row->close_siblings);
        assert_int_equal(effects.task, 0);
        assert_false(effects.ask_refunds);
    }
}

static void refused(const struct fact *fact, enum payment_status status)
{
    struct order order = order_in(status == PAYMENT_PAID ? ORDER_PAID : ORDER_UNPAID), order_before = order;
    struct pay_record record = record_in(status);
    struct effects effects;
    assert_int_equal(decide(fact, &order, &record, &effects), SETTLED_MISMATCH);
    assert_false(settle_outcome_accepted(SETTLED_MISMATCH));
    assert_int_equal(record.status, status);
    assert_memory_equal(&order, &order_before, sizeof order);
    assert_string_equal(only_event(&effects), "payment.review");
    assert_true(record.needs_review);
    assert_non_null(effects.audit);
}

static void what_differs_from_the_books_changes_no_state(void **state)
{
    (void)state;
    struct fact fact = fact_of(PN_STATE_PAID);
    fact.total_minor = 8879;
    refused(&fact, PAYMENT_UNPAID);
    refused(&fact, PAYMENT_PAID);
    fact = fact_of(PN_STATE_PAID);
    fact.total_minor = PN_NOT_STATED;
    refused(&fact, PAYMENT_UNPAID);
    fact = fact_of(PN_STATE_PAID);
    fact.currency = "USD";
    refused(&fact, PAYMENT_UNPAID);
    fact = fact_of(PN_STATE_PAID);
    fact.channel = "two";
    refused(&fact, PAYMENT_UNPAID);
    fact = fact_of(PN_STATE_PAID);
    fact.merchant = "app_id=9";
    refused(&fact, PAYMENT_UNPAID);
    fact = fact_of(PN_STATE_PAID);
    fact.trade_no = "T2";
    refused(&fact, PAYMENT_PAID);
    fact = fact_of(PN_STATE_CLOSED);
    fact.channel = "two";
    refused(&fact, PAYMENT_UNPAID);
}

static void a_repeated_mismatch_announces_itself_once(void **state)
{
    (void)state;
    struct order order = order_in(ORDER_UNPAID);
    struct pay_record record = record_in(PAYMENT_UNPAID);
    struct fact fact = fact_of(PN_STATE_PAID);
    struct effects effects;
    fact.total_minor = 1;
    decide(&fact, &order, &record, &effects);
    assert_non_null(only_event(&effects));
    decide(&fact, &order, &record, &effects);
    assert_null(only_event(&effects));
    assert_non_null(effects.audit);
}

static void what_is_not_stated_is_no_mismatch(void **state)
{
    (void)state;
    struct order order = order_in(ORDER_UNPAID);
    struct pay_record record = record_in(PAYMENT_UNPAID);
    struct fact fact = fact_of(PN_STATE_PAID);
    struct effects effects;
    fact.merchant = fact.currency = fact.trade_no = NULL;
    assert_int_equal(decide(&fact, &order, &record, &effects), SETTLED_APPLIED);
}

/* A prepay without an answer leaves no merchant in the books: a notice for somebody else's would fit. */
static void a_notice_is_no_proof_before_the_books_know_the_merchant(void **state)
{
    (void)state;
    struct order order = order_in(ORDER_UNPAID);
    struct pay_record record = record_in(PAYMENT_UNPAID);
    struct fact fact = fact_of(PN_STATE_PAID);
    struct effects effects;
    record.merchant = NULL;
    fact.merchant = "app_id=9;seller_id=9";
    assert_int_equal(decide(&fact, &order, &record, &effects), SETTLED_MISMATCH);
    assert_int_equal(effects.task, TASK_CHECK);
    assert_int_equal(record.status, PAYMENT_UNPAID);
    assert_int_equal(order.status, ORDER_UNPAID);
    fact.source = "query"; /* asked with our own credentials */
    fact.merchant = NULL;
    assert_int_equal(decide(&fact, &order, &record, &effects), SETTLED_APPLIED);
    fact = fact_of(PN_STATE_PAID);
    assert_int_equal(decide(&fact, &order, &record, &effects), SETTLED_REPEATED);
}

static void one_batch_sees_its_own_effects(void **state)
{
    (void)state;
    struct order order = order_in(ORDER_UNPAID);
    struct pay_record first = record_in(PAYMENT_UNPAID), second = record_in(PAYMENT_UNPAID);
    struct fact fact = fact_of(PN_STATE_PAID), other_trade = fact;
    struct effects effects;
    second.pay_no = 43;
    other_trade.trade_no = "T2";
    assert_int_equal(decide(&fact, &order, &first, &effects), SETTLED_APPLIED);
    assert_int_equal(decide(&fact, &order, &first, &effects), SETTLED_REPEATED);
    assert_int_equal(decide(&other_trade, &order, &first, &effects), SETTLED_MISMATCH);
    assert_int_equal(decide(&other_trade, &order, &second, &effects), SETTLED_DUPLICATE);
    assert_int_equal(order.paid_pay_no, 42);
}

static void the_apps_policy_decides_what_follows_late_and_duplicate_payments(void **state)
{
    static const struct { enum late_policy late; enum duplicate_policy duplicate; enum order_status order; int task; } cases[] = {
        { LATE_HOLD, DUPLICATE_REFUND, ORDER_CLOSED, 0 },     { LATE_ACCEPT, DUPLICATE_HOLD, ORDER_CLOSED, TASK_POLICY },
        { LATE_REFUND, DUPLICATE_HOLD, ORDER_CLOSED, TASK_POLICY }, { LATE_REFUND, DUPLICATE_HOLD, ORDER_PAID, 0 },
        { LATE_HOLD, DUPLICATE_REFUND, ORDER_PAID, TASK_POLICY }, { LATE_HOLD, DUPLICATE_REFUND, ORDER_REFUNDED, TASK_POLICY },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct order order = order_in(cases[i].order);
        struct pay_record record = record_in(PAYMENT_UNPAID);
        struct fact fact = fact_of(PN_STATE_PAID);
        struct policies policies = { cases[i].late, cases[i].duplicate };
        struct refund_book none = { 0 };
        struct effects effects;
        settle_decide(&fact, &policies, &order, &record, &none, &effects);
        assert_int_equal(effects.task, cases[i].task);
        assert_int_equal(order.status, cases[i].order);
        assert_int_equal(record.status, PAYMENT_PAID);
    }
}

static void a_refund_without_an_amount_of_what_we_never_saw_paid_makes_us_ask(void **state)
{
    (void)state;
    struct order order = order_in(ORDER_UNPAID);
    struct pay_record record = record_in(PAYMENT_UNPAID);
    struct fact fact = fact_of(PN_STATE_REFUNDED);
    struct effects effects;
    fact.total_minor = PN_NOT_STATED;
    assert_int_equal(decide(&fact, &order, &record, &effects), SETTLED_NOTED);
    assert_int_equal(effects.task, TASK_CHECK);
    assert_int_equal(record.status, PAYMENT_UNPAID);
    fact.source = "query"; /* the answer itself: asking again would go on for ever */
    assert_int_equal(decide(&fact, &order, &record, &effects), SETTLED_NOTED);
    assert_int_equal(effects.task, 0);
}

/* Whoever asked ends the order himself, unless he dies; a notice has nobody behind it. */
static void a_record_that_closes_while_its_order_is_closing_brings_the_order_back(void **state)
{
    (void)state;
    static const struct { const char *source; enum order_status order; enum schedule_task task; bool at_once; } cases[] = {
        { "notification", ORDER_CLOSING, TASK_CLOSE, true }, { "query", ORDER_CLOSING, TASK_CLOSE, false },
        { "notification", ORDER_UNPAID, 0, true },           { "query", ORDER_PAID, 0, true },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct order order = order_in(cases[i].order);
        struct pay_record record = record_in(PAYMENT_UNPAID);
        struct fact fact = fact_of(PN_STATE_CLOSED);
        struct effects effects;
        fact.source = cases[i].source;
        assert_int_equal(decide(&fact, &order, &record, &effects), SETTLED_CLOSED);
        assert_int_equal(effects.task, cases[i].task);
        assert_int_equal(effects.task_in_ms == 0, cases[i].at_once);
        assert_int_equal(order.status, cases[i].order);
    }
}

static void merchants_are_compared_by_name(void **state)
{
    (void)state;
    assert_true(merchant_matches("app_id=1;seller_id=2", "seller_id=2"));
    assert_true(merchant_matches("app_id=1", "app_id=1;seller_id=2"));
    assert_true(merchant_matches(NULL, "app_id=1"));
    assert_true(merchant_matches("app_id=1", NULL));
    assert_false(merchant_matches("app_id=1;seller_id=2", "app_id=1;seller_id=3"));
    assert_false(merchant_matches("app_id=1", "app_id=11"));
    assert_false(merchant_matches("app_id=11", "app_id=1"));
    assert_false(merchant_matches("app_id=1", "app_id="));
    assert_true(merchant_matches("app=1", "app_id=1"));
}

static void merchant_text_cannot_be_forged_by_a_value(void **state)
{
    (void)state;
    struct pn_kv pair = { { "seller_id", 9 }, { "2;app_id=1", 10 } };
    struct pn_kv_list list = { &pair, 1 };
    struct buf buf = { 0 };
    merchant_write(&buf, &list);
    assert_string_equal(buf_text(&buf), "seller_id=2%3Bapp_id%3D1");
    buf_free(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_decides_as_the_table_says),
        cmocka_unit_test(what_differs_from_the_books_changes_no_state),
        cmocka_unit_test(a_repeated_mismatch_announces_itself_once),
        cmocka_unit_test(what_is_not_stated_is_no_mismatch),
        cmocka_unit_test(a_notice_is_no_proof_before_the_books_know_the_merchant),
        cmocka_unit_test(one_batch_sees_its_own_effects),
        cmocka_unit_test(the_apps_policy_decides_what_follows_late_and_duplicate_payments),
        cmocka_unit_test(a_refund_without_an_amount_of_what_we_never_saw_paid_makes_us_ask),
        cmocka_unit_test(a_record_that_closes_while_its_order_is_closing_brings_the_order_back),
        cmocka_unit_test(merchants_are_compared_by_name),
        cmocka_unit_test(merchant_text_cannot_be_forged_by_a_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
