/*
 * What the state machine makes of refunds: ours, the provider's own, and sums that nobody explains. A pure function over a
 * picture of the books.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "pay/settle.h"

enum { PRICE = 1000, ROOM = 8 };

/* One paid payment of a paid order, and its refunds. */
struct books {
    struct order order;
    struct pay_record record;
    struct refund items[ROOM];
    struct refund_book refunds;
    struct effects effects;
};

static void setup(struct books *books)
{
    *books = (struct books){
        .order = { .order_id = 7, .app = "shop", .amount_minor = PRICE, .currency = "CNY", .status = ORDER_PAID, .paid_pay_no = 42 },
        .record = { .pay_no = 42, .order_id = 7, .app = "shop", .channel = "one", .amount_minor = PRICE, .currency = "CNY",
                    .merchant = "app_id=1", .status = PAYMENT_PAID, .trade_no = "T1" },
    };
    books->refunds = (struct refund_book){ .pay_no = 42, .items = books->items, .capacity = ROOM };
}

static void add_refund(struct books *books, int64_t refund_no, int64_t amount, enum refund_status status)
{
    books->items[books->refunds.count++] = (struct refund){
        .refund_no = refund_no, .pay_no = 42, .order_id = 7, .channel = "one", .source = "api", .amount_minor = amount,
        .currency = "CNY", .status = status, .created_at = 1,
    };
    if (status == REFUND_SUCCEEDED) {
        books->record.refunded_minor += amount;
        books->order.refunded_minor += amount;
    } else if (status != REFUND_FAILED) {
        books->record.refunding_minor += amount;
    }
}

static struct fact says(enum pn_state state, int64_t refund, int64_t total_refunded)
{
    static const char *const numbers[] = { NULL, "1", "2", "3" };
    return (struct fact){
        .channel = "one", .source = "refund", .pay_no = 42, .state = state, .total_minor = PN_NOT_STATED, .refund = refund,
        .refund_no = refund < 4 ? numbers[refund] : "other", .refunded_minor = total_refunded, .currency = "CNY", .trade_no = "T1",
        .paid_at = 1000,
    };
}

static enum settle_outcome settle(struct books *books, struct fact fact)
{
    static const struct policies hold = { LATE_HOLD, DUPLICATE_HOLD };
    return settle_decide(&fact, &hold, &books->order, &books->record, &books->refunds, &books->effects);
}

static void expect_event(const struct books *books, size_t index, const char *type, int refund)
{
    assert_true(index < books->effects.event_count);
    assert_string_equal(books->effects.events[index].type, type);
    assert_int_equal(books->effects.events[index].refund, refund);
}

/* However it came to this, the sums fit the rows. */
static void expect_sums(const struct books *books)
{
    int64_t refunded = 0, refunding = 0;
    for (size_t i = 0; i < books->refunds.count; i++) {
        if (books->items[i].status == REFUND_SUCCEEDED)
            refunded += books->items[i].amount_minor;
        else if (books->items[i].status != REFUND_FAILED)
            refunding += books->items[i].amount_minor;
    }
    assert_int_equal(books->record.refunded_minor, refunded);
    assert_int_equal(books->record.refunding_minor, refunding);
    assert_true(refunded + refunding <= PRICE);
    assert_int_equal(books->record.status == PAYMENT_REFUNDED, refunded == PRICE);
}

static void a_partial_refund_keeps_paid_and_adds_up(void **state)
{
    (void)state;
    static const enum refund_status from[] = { REFUND_CREATED, REFUND_PROCESSING, REFUND_UNKNOWN };
    for (size_t i = 0; i < sizeof from / sizeof *from; i++) {
        struct books books;
        setup(&books);
        add_refund(&books, 1, 300, from[i]);
        assert_int_equal(settle(&books, says(PN_STATE_REFUNDED, 1, 300)), SETTLED_REFUND);
        assert_int_equal(books.items[0].status, REFUND_SUCCEEDED);
        assert_int_equal(books.record.status, PAYMENT_PAID);
        assert_int_equal(books.order.status, ORDER_PAID);
        assert_int_equal(books.order.refunded_minor, 300);
        assert_int_equal(books.effects.event_count, 1);
        expect_event(&books, 0, "refund.succeeded", 0);
        expect_sums(&books);
    }
}

static void the_last_part_makes_payment_and_order_refunded(void **state)
{
    (void)state;
    struct books books;
    setup(&books);
    add_refund(&books, 1, 300, REFUND_SUCCEEDED);
    add_refund(&books, 2, 700, REFUND_PROCESSING);
    assert_int_equal(settle(&books, says(PN_STATE_REFUNDED, 2, PN_NOT_STATED)), SETTLED_REFUND);
    assert_int_equal(books.record.status, PAYMENT_REFUNDED);
    assert_int_equal(books.order.status, ORDER_REFUNDED);
    assert_int_equal(books.order.refunded_minor, PRICE);
    expect_sums(&books);
}

static void a_repeat_changes_nothing(void **state)
{
    (void)state;
    struct books books;
    setup(&books);
    add_refund(&books, 1, 300, REFUND_CREATED);
    settle(&books, says(PN_STATE_REFUNDED, 1, 300));
    assert_int_equal(settle(&books, says(PN_STATE_REFUNDED, 1, 300)), SETTLED_REPEATED);
    assert_int_equal(books.effects.event_count, 0);
    assert_int_equal(books.order.refunded_minor, 300);
    expect_sums(&books);
}

static void a_failure_gives_the_reservation_back_once(void **state)
{
    (void)state;
    struct books books;
    setup(&books);
    add_refund(&books, 1, 300, REFUND_UNKNOWN);
    add_refund(&books, 2, 200, REFUND_PROCESSING);
    assert_int_equal(settle(&books, says(PN_STATE_FAILED, 1, PN_NOT_STATED)), SETTLED_REFUND);
    assert_int_equal(books.items[0].status, REFUND_FAILED);
    assert_int_equal(books.record.refunding_minor, 200);
    expect_event(&books, 0, "refund.failed", 0);
    assert_int_equal(settle(&books, says(PN_STATE_FAILED, 1, PN_NOT_STATED)), SETTLED_REPEATED);
    assert_int_equal(books.effects.event_count, 0);
    expect_sums(&books);
}

static void the_providers_word_that_a_failed_refund_succeeded_wins(void **state)
{
    (void)state;
    struct books books;
    setup(&books);
    add_refund(&books, 1, 300, REFUND_FAILED);
    assert_int_equal(settle(&books, says(PN_STATE_REFUNDED, 1, 300)), SETTLED_REFUND);
    assert_int_equal(books.record.refunded_minor, 300);
    expect_event(&books, 0, "refund.succeeded", 0);
    expect_sums(&books);
}

static void more_back_than_was_paid_is_for_people(void **state)
{
    (void)state;
    struct books books;
    setup(&books);
    add_refund(&books, 1, 600, REFUND_FAILED);
    add_refund(&books, 2, 600, REFUND_PROCESSING);
    assert_int_equal(settle(&books, says(PN_STATE_REFUNDED, 1, PN_NOT_STATED)), SETTLED_NOTED);
    assert_true(books.record.needs_review);
    expect_event(&books, 0, "payment.review", -1);
    assert_int_equal(books.items[0].status, REFUND_FAILED);
    expect_sums(&books);
    assert_int_equal(settle(&books, says(PN_STATE_REFUNDED, 2, PRICE + 1)), SETTLED_MISMATCH);
    assert_int_equal(books.items[1].status, REFUND_PROCESSING);
    expect_sums(&books);
}

static void success_is_never_taken_back(void **state)
{
    (void)state;
    static const enum pn_state words[] = { PN_STATE_FAILED, PN_STATE_PROCESSING, PN_STATE_UNKNOWN, PN_STATE_NOT_FOUND };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        struct books books;
        setup(&books);
        add_refund(&books, 1, 300, REFUND_SUCCEEDED);
        settle(&books, says(words[i], 1, PN_NOT_STATED));
        assert_int_equal(books.items[0].status, REFUND_SUCCEEDED);
        assert_int_equal(books.record.needs_review, words[i] == PN_STATE_FAILED);
        expect_sums(&books);
    }
}

static void what_is_unclear_stays_reserved(void **state)
{
    (void)state;
    static const struct { enum refund_status from; enum pn_state word; enum refund_status to; } rows[] = {
        { REFUND_CREATED, PN_STATE_UNKNOWN, REFUND_UNKNOWN },        { REFUND_CREATED, PN_STATE_NOT_FOUND, REFUND_UNKNOWN },
        { REFUND_CREATED, PN_STATE_PROCESSING, REFUND_PROCESSING },  { REFUND_UNKNOWN, PN_STATE_PROCESSING, REFUND_PROCESSING },
        { REFUND_PROCESSING, PN_STATE_UNKNOWN, REFUND_PROCESSING },  { REFUND_UNKNOWN, PN_STATE_UNKNOWN, REFUND_UNKNOWN },
        { REFUND_FAILED, PN_STATE_UNKNOWN, REFUND_FAILED },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct books books;
        setup(&books);
        add_refund(&books, 1, 300, rows[i].from);
        assert_int_equal(settle(&books, says(rows[i].word, 1, PN_NOT_STATED)), SETTLED_NOTED);
        assert_int_equal(books.items[0].status, rows[i].to);
        assert_int_equal(books.effects.event_count, 0);
        expect_sums(&books);
    }
}

/* Its amount is free again, and may go back a second time. */
static void a_failed_refund_that_the_provider_works_on_is_for_people(void **state)
{
    (void)state;
    struct books books;
    setup(&books);
    add_refund(&books, 1, 300, REFUND_FAILED);
    assert_int_equal(settle(&books, says(PN_STATE_PROCESSING, 1, PN_NOT_STATED)), SETTLED_NOTED);
    assert_int_equal(books.items[0].status, REFUND_FAILED);
    assert_true(books.record.needs_review);
    expect_event(&books, 0, "payment.review", -1);
    expect_sums(&books);
}

static void a_refund_made_at_the_provider_gets_a_row_of_its_own(void **state)
{
    (void)state;
    struct books books;
    setup(&books);
    add_refund(&books, 1, 300, REFUND_SUCCEEDED);
    struct fact fact = says(PN_STATE_REFUNDED, 99, 500);
    fact.source = "notification";
    assert_int_equal(settle(&books, fact), SETTLED_REFUND);
    assert_int_equal(books.refunds.count, 2);
    assert_int_equal(books.items[1].amount_minor, 200);
    assert_string_equal(books.items[1].source, "provider");
    assert_string_equal(books.items[1].provider_no, "other");
    assert_null(books.items[1].cause);
    expect_event(&books, 0, "refund.succeeded", 1);
    assert_int_equal(books.order.refunded_minor, 500);
    expect_sums(&books);
    assert_int_equal(settle(&books, fact), SETTLED_REPEATED);
    assert_int_equal(books.refunds.count, 2);
    assert_int_equal(books.effects.event_count, 0);
}

static void an_older_total_is_no_news(void **state)
{
    (void)state;
    struct books books;
    setup(&books);
    add_refund(&books, 1, 300, REFUND_SUCCEEDED);
    add_refund(&books, 2, 200, REFUND_SUCCEEDED);
    assert_int_equal(settle(&books, says(PN_STATE_REFUNDED, 1, 300)), SETTLED_REPEATED);
    assert_int_equal(books.effects.event_count, 0);
    expect_sums(&books);
}

static void a_failure_speaks_of_the_calls_that_it_can_know_of(void **state)
{
    (void)state;
    static const struct { int64_t asked, said; enum refund_status to; } rows[] = {
        { 1, 1, REFUND_FAILED }, { 2, 2, REFUND_FAILED }, { 2, 1, REFUND_CREATED }, { 1, 0, REFUND_FAILED }, { 2, 0, REFUND_CREATED },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct books books;
        setup(&books);
        add_refund(&books, 1, 300, REFUND_CREATED);
        books.items[0].calls = rows[i].asked;
        struct fact fact = says(PN_STATE_FAILED, 1, PN_NOT_STATED);
        fact.calls = rows[i].said;
        settle(&books, fact);
        assert_int_equal(books.items[0].status, rows[i].to);
        assert_int_equal(books.effects.event_count, rows[i].to == REFUND_FAILED);
        expect_sums(&books);
    }
}

/* Called failed by mistake, found again in the total as the provider's own, and then its notice comes. */
static void a_late_success_is_not_counted_twice(void **state)
{
    (void)state;
    static const int64_t stated[] = { 300, PN_NOT_STATED };
    for (size_t i = 0; i < sizeof stated / sizeof *stated; i++) {
        struct books books;
        setup(&books);
        add_refund(&books, 1, 300, REFUND_FAILED);
        struct fact total = says(PN_STATE_PAID, 0, 300);
        total.total_minor = PRICE;
        assert_int_equal(settle(&books, total), SETTLED_REFUND);
        assert_int_equal(settle(&books, says(PN_STATE_REFUNDED, 1, stated[i])), SETTLED_NOTED);
        assert_int_equal(books.record.refunded_minor, 300);
        assert_true(books.record.needs_review);
        expect_sums(&books);
    }
}

/* What an open refund of ours may have explained is looked at again when it has failed. */
static void a_total_is_remembered_until_our_refunds_have_ended(void **state)
{
    (void)state;
    struct books books;
    setup(&books);
    add_refund(&books, 1, 300, REFUND_PROCESSING);
    settle(&books, says(PN_STATE_REFUNDED, 0, 300));
    assert_true(books.effects.ask_refunds);
    assert_int_equal(books.refunds.count, 1);
    settle(&books, says(PN_STATE_FAILED, 1, PN_NOT_STATED));
    assert_int_equal(books.refunds.count, 2);
    assert_int_equal(books.items[1].amount_minor, 300);
    assert_string_equal(books.items[1].source, "provider");
    expect_event(&books, 0, "refund.failed", 0);
    expect_event(&books, 1, "refund.succeeded", 1);
    expect_sums(&books);
}

/* The total may speak of a refund of ours whose answer is still on its way: ask before blaming the console. */
static void a_total_that_our_open_refunds_may_explain_makes_us_ask(void **state)
{
    (void)state;
    struct books books;
    setup(&books);
    add_refund(&books, 1, 300, REFUND_PROCESSING);
    settle(&books, says(PN_STATE_REFUNDED, 99, 200));
    assert_true(books.effects.ask_refunds);
    assert_int_equal(books.refunds.count, 1);
    expect_sums(&books);
    settle(&books, says(PN_STATE_REFUNDED, 99, 450)); /* at least 150 of it is not ours */
    assert_true(books.effects.ask_refunds);
    assert_int_equal(books.refunds.count, 2);
    assert_int_equal(books.items[1].amount_minor, 150);
    expect_sums(&books);
}

/* A notice is not acknowledged before it is known whose refund it tells of. */
static void a_notice_that_our_open_refunds_may_explain_must_come_again(void **state)
{
    (void)state;
    struct books books;
    setup(&books);
    add_refund(&books, 1, 900, REFUND_CREATED);
    struct fact fact = says(PN_STATE_REFUNDED, 99, 200);
    fact.source = "notification";
    assert_int_equal(settle(&books, fact), SETTLED_LATER);
    assert_false(settle_outcome_accepted(SETTLED_LATER));
    assert_true(books.effects.ask_refunds);
    assert_int_equal(books.effects.event_count, 0);
    settle(&books, says(PN_STATE_FAILED, 1, PN_NOT_STATED)); /* so it was not ours, and the total is remembered */
    assert_int_equal(books.record.refunded_minor, 200);
    expect_sums(&books);
    assert_int_equal(settle(&books, fact), SETTLED_REPEATED);
}

/* While another one of ours is open, the notice of the first tells nothing that would be missed. */
static void a_notice_of_ours_is_acknowledged_while_others_are_open(void **state)
{
    (void)state;
    struct books books;
    setup(&books);
    add_refund(&books, 1, 300, REFUND_CREATED);
    add_refund(&books, 2, 400, REFUND_CREATED);
    struct fact fact = says(PN_STATE_REFUNDED, 1, 300);
    fact.source = "notification";
    assert_int_equal(settle(&books, fact), SETTLED_REFUND);
    assert_false(books.effects.ask_refunds);
    expect_sums(&books);
}

static void an_answer_about_ours_can_also_tell_of_the_consoles(void **state)
{
    (void)state;
    struct books books;
    setup(&books);
    add_refund(&books, 1, 300, REFUND_CREATED);
    assert_int_equal(settle(&books, says(PN_STATE_REFUNDED, 1, 400)), SETTLED_REFUND);
    assert_int_equal(books.effects.event_count, 2);
    expect_event(&books, 0, "refund.succeeded", 0);
    expect_event(&books, 1, "refund.succeeded", 1);
    assert_null(books.items[1].provider_no); /* the number is our own refund's */
    assert_int_equal(books.order.refunded_minor, 400);
    expect_sums(&books);
}

static void a_query_that_states_refunds_of_a_paid_payment_is_read(void **state)
{
    (void)state;
    struct books books;
    setup(&books);
    struct fact fact = says(PN_STATE_PAID, 0, PRICE);
    fact.total_minor = PRICE;
    assert_true(settle_wants_refunds(&fact, &books.record));
    assert_int_equal(settle(&books, fact), SETTLED_REFUND);
    assert_int_equal(books.record.status, PAYMENT_REFUNDED);
    assert_int_equal(books.order.status, ORDER_REFUNDED);
    expect_sums(&books);
    assert_false(settle_wants_refunds(&fact, &books.record));
}

static void a_payment_that_we_missed_is_credited_before_its_refund(void **state)
{
    (void)state;
    static const enum pn_state words[] = { PN_STATE_PAID, PN_STATE_REFUNDED };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        struct books books;
        setup(&books);
        books.order.status = ORDER_UNPAID;
        books.order.paid_pay_no = 0;
        books.record.status = PAYMENT_UNPAID;
        struct fact fact = says(words[i], 0, 400);
        fact.total_minor = PRICE;
        settle(&books, fact);
        assert_int_equal(books.record.status, PAYMENT_PAID);
        assert_int_equal(books.order.status, ORDER_PAID);
        assert_int_equal(books.order.refunded_minor, 400);
        expect_event(&books, 0, "payment.succeeded", -1);
        expect_event(&books, 1, "refund.succeeded", 0);
        expect_sums(&books);
    }
}

/* It must fit the books like any payment. */
static void a_refund_notice_with_another_amount_credits_nothing(void **state)
{
    (void)state;
    struct books books;
    setup(&books);
    books.order.status = ORDER_UNPAID;
    books.order.paid_pay_no = 0;
    books.record.status = PAYMENT_UNPAID;
    struct fact fact = says(PN_STATE_REFUNDED, 0, 400);
    fact.total_minor = PRICE - 1;
    assert_int_equal(settle(&books, fact), SETTLED_MISMATCH);
    assert_int_equal(books.record.status, PAYMENT_UNPAID);
    fact.total_minor = PRICE;
    fact.merchant = "app_id=1";
    fact.source = "notification";
    books.record.merchant = NULL; /* nobody knows to whom it has to be addressed */
    assert_int_equal(settle(&books, fact), SETTLED_MISMATCH);
    assert_int_equal(books.effects.task, TASK_CHECK);
    assert_int_equal(books.record.status, PAYMENT_UNPAID);
}

static void refunds_of_late_and_duplicate_payments_leave_the_order_alone(void **state)
{
    (void)state;
    static const struct { enum order_status order; int64_t paid_by; const char *cause; } rows[] = {
        { ORDER_PAID, 41, "duplicate" }, { ORDER_REFUNDED, 41, "duplicate" }, { ORDER_CLOSED, 0, "late" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct books books;
        setup(&books);
        books.order.status = rows[i].order;
        books.order.paid_pay_no = rows[i].paid_by;
        assert_int_equal(settle(&books, says(PN_STATE_REFUNDED, 99, PRICE)), SETTLED_REFUND);
        assert_int_equal(books.order.status, rows[i].order);
        assert_int_equal(books.order.refunded_minor, 0);
        assert_int_equal(books.record.status, PAYMENT_REFUNDED);
        assert_string_equal(books.items[0].cause, rows[i].cause);
        expect_sums(&books);
    }
}

static void a_trade_that_our_full_refund_closed_needs_nobody(void **state)
{
    (void)state;
    struct books books;
    setup(&books);
    add_refund(&books, 1, PRICE, REFUND_UNKNOWN);
    assert_int_equal(settle(&books, says(PN_STATE_CLOSED, 0, PN_NOT_STATED)), SETTLED_NOTED);
    assert_true(books.effects.ask_refunds);
    assert_false(books.record.needs_review);
    settle(&books, says(PN_STATE_REFUNDED, 1, PN_NOT_STATED));
    assert_int_equal(settle(&books, says(PN_STATE_CLOSED, 0, PN_NOT_STATED)), SETTLED_REPEATED);
    expect_sums(&books);
}

static void a_trade_closed_with_its_whole_amount_back_is_a_refund(void **state)
{
    (void)state;
    struct books books;
    setup(&books);
    struct fact fact = says(PN_STATE_CLOSED, 0, PRICE);
    assert_int_equal(settle(&books, fact), SETTLED_REFUND);
    assert_int_equal(books.order.status, ORDER_REFUNDED);
    expect_sums(&books);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_partial_refund_keeps_paid_and_adds_up),
        cmocka_unit_test(the_last_part_makes_payment_and_order_refunded),
        cmocka_unit_test(a_repeat_changes_nothing),
        cmocka_unit_test(a_failure_gives_the_reservation_back_once),
        cmocka_unit_test(the_providers_word_that_a_failed_refund_succeeded_wins),
        cmocka_unit_test(more_back_than_was_paid_is_for_people),
        cmocka_unit_test(success_is_never_taken_back),
        cmocka_unit_test(what_is_unclear_stays_reserved),
        cmocka_unit_test(a_failed_refund_that_the_provider_works_on_is_for_people),
        cmocka_unit_test(a_refund_made_at_the_provider_gets_a_row_of_its_own),
        cmocka_unit_test(an_older_total_is_no_news),
        cmocka_unit_test(a_failure_speaks_of_the_calls_that_it_can_know_of),
        cmocka_unit_test(a_late_success_is_not_counted_twice),
        cmocka_unit_test(a_total_is_remembered_until_our_refunds_have_ended),
        cmocka_unit_test(a_total_that_our_open_refunds_may_explain_makes_us_ask),
        cmocka_unit_test(a_notice_that_our_open_refunds_may_explain_must_come_again),
        cmocka_unit_test(a_notice_of_ours_is_acknowledged_while_others_are_open),
        cmocka_unit_test(an_answer_about_ours_can_also_tell_of_the_consoles),
        cmocka_unit_test(a_query_that_states_refunds_of_a_paid_payment_is_read),
        cmocka_unit_test(a_payment_that_we_missed_is_credited_before_its_refund),
        cmocka_unit_test(a_refund_notice_with_another_amount_credits_nothing),
        cmocka_unit_test(refunds_of_late_and_duplicate_payments_leave_the_order_alone),
        cmocka_unit_test(a_trade_that_our_full_refund_closed_needs_nobody),
        cmocka_unit_test(a_trade_closed_with_its_whole_amount_back_is_a_refund),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
