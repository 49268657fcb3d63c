/*
 * Orders: what is written is read back, numbers are unique among open orders, states change only from where they may.
 */
#include "config.h"

#include "fixture.h"

#include <string.h>

struct with_lines {
    struct order order;
    struct order_line lines[2];
    struct order_line *read;
    size_t count;
};
TX(insert_with_lines, struct with_lines, return order_insert(tx, &a->order, 5000, a->lines, 2, err);)
TX(read_lines, struct with_lines, return order_lines(tx, a->order.order_id, arena, &a->read, &a->count, err);)
TX(insert, struct order, return order_insert(tx, a, 60000, NULL, 0, err);)
TX(get, struct order, return order_get(tx, a->order_id, arena, a, err);)
TX(find_open, struct order, return order_find_open(tx, a->app, a->out_business_id, arena, a, err);)
TX(lock, struct order, return order_lock(tx, a->order_id, arena, a, err);)
TX(set_closing, int64_t, return order_set_closing(tx, *a, err);)
TX(set_closed, int64_t, return order_set_closed(tx, *a, 4711, err);)

static void order_comes_back_as_written(void **state)
{
    (void)state;
    struct with_lines made = {
        .order = { .order_id = new_id(), .app = "a", .out_business_id = new_name("n"), .user_id = "u", .order_type = "60201",
                   .name = "n", .description = "d", .amount_minor = INT64_MAX, .currency = "JPY", .attach = "{\"x\":1}",
                   .return_url = "https://x/", .status = ORDER_UNPAID },
        .lines = { { .goods_id = "g1", .goods_type = "t", .name = "one", .detail = "", .price_minor = 5, .quantity = 2 },
                   { .goods_id = NULL, .name = "two", .price_minor = -1, .quantity = 1 } },
    };
    write_ok(insert_with_lines, &made);
    assert_int_equal(made.order.expires_at, made.order.created_at + 5000);
    struct order read = get_order(made.order.order_id);
    assert_string_equal(read.app, "a");
    assert_string_equal(read.out_business_id, made.order.out_business_id);
    assert_string_equal(read.user_id, "u");
    assert_string_equal(read.order_type, "60201");
    assert_string_equal(read.name, "n");
    assert_string_equal(read.description, "d");
    assert_true(read.amount_minor == INT64_MAX);
    assert_string_equal(read.currency, "JPY");
    assert_string_equal(read.attach, "{\"x\":1}");
    assert_string_equal(read.return_url, "https://x/");
    assert_int_equal(read.status, ORDER_UNPAID);
    assert_int_equal(read.created_at, made.order.created_at);
    assert_int_equal(read.expires_at, made.order.expires_at);
    assert_int_equal(read.refunded_minor + read.paid_at + read.closed_at + read.paid_pay_no + read.last_event, 0);
    read_ok(read_lines, &made);
    assert_int_equal(made.count, 2);
    assert_string_equal(made.read[0].goods_id, "g1");
    assert_string_equal(made.read[0].detail, "");
    assert_int_equal(made.read[0].quantity, 2);
    assert_null(made.read[1].goods_id);
    assert_null(made.read[1].detail);
    assert_int_equal(made.read[1].price_minor, -1);
}

static void missing_and_empty_texts_stay_apart(void **state)
{
    (void)state;
    struct order order = { .order_id = new_id(), .app = "a", .out_business_id = new_name("n"), .user_id = "", .name = "",
                           .amount_minor = 1, .currency = "CNY", .attach = "", .status = ORDER_UNPAID };
    write_ok(insert, &order);
    order = get_order(order.order_id);
    assert_string_equal(order.user_id, "");
    assert_string_equal(order.name, "");
    assert_string_equal(order.attach, "");
    assert_null(order.order_type);
    assert_null(order.description);
    assert_null(order.return_url);
}

/* The first and last character of every plane, less surrogates, and the ones that quoting trips over. */
static void every_unicode_plane_comes_back(void **state)
{
    (void)state;
    char text[512], *at = text;
    const char *tricky = "\\ ' \" {a,b} $1 ? % _ \x01\x7f\n\t\r";
    memcpy(at, tricky, strlen(tricky));
    at += strlen(tricky);
    for (unsigned plane = 0; plane <= 16; plane++) {
        unsigned codes[2] = { plane << 16 | 0x80, plane << 16 | 0xffff };
        for (int i = 0; i < 2; i++) {
            unsigned code = codes[i];
            if (code < 0x800) {
                *at++ = (char)(0xc0 | code >> 6);
            } else if (code < 0x10000) {
                *at++ = (char)(0xe0 | code >> 12);
                *at++ = (char)(0x80 | (code >> 6 & 0x3f));
            } else {
                *at++ = (char)(0xf0 | code >> 18);
                *at++ = (char)(0x80 | (code >> 12 & 0x3f));
                *at++ = (char)(0x80 | (code >> 6 & 0x3f));
            }
            *at++ = (char)(0x80 | (code & 0x3f));
        }
    }
    *at = '\0';
    struct order order = { .order_id = new_id(), .app = text, .out_business_id = new_name("n"), .name = text, .amount_minor = 1,
                           .currency = "CNY", .attach = text, .status = ORDER_UNPAID };
    write_ok(insert, &order);
    order = get_order(order.order_id);
    assert_string_equal(order.name, text);
    assert_string_equal(order.attach, text);
    write_ok(find_open, &order);
}

static void number_is_unique_among_open_orders_of_an_app(void **state)
{
    (void)state;
    struct order first = make_order("a");
    struct order again = first;
    again.order_id = new_id();
    assert_int_equal(write_rc(insert, &again), RC_EXISTS);
    struct order other_app = again;
    other_app.app = "b";
    other_app.order_id = new_id();
    write_ok(insert, &other_app);
    struct order found = { .app = "a", .out_business_id = first.out_business_id };
    read_ok(find_open, &found);
    assert_int_equal(found.order_id, first.order_id);

    write_ok(set_closed, &first.order_id);
    assert_int_equal(read_rc(find_open, &found), RC_NOT_FOUND);
    write_ok(insert, &again);
    read_ok(find_open, &found);
    assert_int_equal(found.order_id, again.order_id);
}

/* The transaction stays usable after a number that is taken: the caller reads the other order in it. */
TX(insert_or_find, struct order, if (order_insert(tx, a, 1000, NULL, 0, err) != RC_EXISTS) return RC_INTERNAL;
   return order_find_open(tx, a->app, a->out_business_id, arena, a, err);)

static void transaction_goes_on_after_a_taken_number(void **state)
{
    (void)state;
    struct order first = make_order("a");
    struct order again = first;
    again.order_id = new_id();
    write_ok(insert_or_find, &again);
    assert_int_equal(again.order_id, first.order_id);
}

static void unknown_order_is_not_found(void **state)
{
    (void)state;
    struct order order = { .order_id = new_id(), .name = "unchanged" };
    assert_int_equal(read_rc(get, &order), RC_NOT_FOUND);
    assert_int_equal(write_rc(lock, &order), RC_NOT_FOUND);
    assert_string_equal(order.name, "unchanged");
}

static void closing_and_closing_for_good(void **state)
{
    (void)state;
    struct order order = make_order("a");
    write_ok(set_closing, &order.order_id);
    assert_int_equal(get_order(order.order_id).status, ORDER_CLOSING);
    assert_int_equal(write_rc(set_closing, &order.order_id), RC_CONFLICT);
    write_ok(set_closed, &order.order_id);
    order = get_order(order.order_id);
    assert_int_equal(order.status, ORDER_CLOSED);
    assert_true(order.closed_at >= order.created_at);
    assert_int_equal(order.last_event, 4711);
    assert_int_equal(write_rc(set_closed, &order.order_id), RC_CONFLICT);
    assert_int_equal(write_rc(set_closing, &order.order_id), RC_CONFLICT);
}

static void paid_order_cannot_close(void **state)
{
    (void)state;
    struct order order = make_order("a");
    struct pay_record record = make_record(&order);
    pay(&record, NULL, false, 0, NULL);
    assert_int_equal(write_rc(set_closing, &order.order_id), RC_CONFLICT);
    assert_int_equal(write_rc(set_closed, &order.order_id), RC_CONFLICT);
    assert_int_equal(get_order(order.order_id).status, ORDER_PAID);
}

TX(accept, struct pay_record, return order_set_accepted(tx, a->order_id, a->pay_no, 1234, 5678, err);)

static void late_payment_reopens_a_closed_order(void **state)
{
    (void)state;
    struct order order = make_order("a");
    struct pay_record record = make_record(&order);
    assert_int_equal(write_rc(accept, &record), RC_CONFLICT);
    write_ok(set_closed, &order.order_id);
    write_ok(accept, &record);
    struct order read = get_order(order.order_id);
    assert_int_equal(read.status, ORDER_PAID);
    assert_int_equal(read.closed_at, 0);
    assert_int_equal(read.paid_pay_no, record.pay_no);
    assert_int_equal(read.paid_at, 1234);
    assert_int_equal(read.last_event, 5678);
    struct order again = order;
    again.order_id = new_id();
    assert_int_equal(write_rc(insert, &again), RC_EXISTS);
}

static void late_payment_is_refused_when_a_newer_order_has_the_number(void **state)
{
    (void)state;
    struct order order = make_order("a");
    struct pay_record record = make_record(&order);
    write_ok(set_closed, &order.order_id);
    struct order newer = order;
    newer.order_id = new_id();
    write_ok(insert, &newer);
    assert_int_equal(write_rc(accept, &record), RC_EXISTS);
    assert_int_equal(get_order(order.order_id).status, ORDER_CLOSED);
}

struct list_call {
    struct order_filter filter;
    struct order *orders;
    size_t count;
};
TX(list, struct list_call, return order_list(tx, &a->filter, arena, &a->orders, &a->count, err);)

static size_t listed(struct list_call *call)
{
    read_ok(list, call);
    for (size_t i = 1; i < call->count; i++)
        assert_true(call->orders[i - 1].order_id > call->orders[i].order_id);
    return call->count;
}

static void lists_are_filtered_newest_first(void **state)
{
    (void)state;
    const char *app = new_name("app"), *user = new_name("user");
    struct order orders[4];
    for (int i = 0; i < 4; i++) {
        orders[i] = (struct order){ .order_id = new_id(), .app = app, .out_business_id = new_name("n"),
                                    .user_id = i < 2 ? user : NULL, .name = "n", .amount_minor = 1, .currency = "CNY",
                                    .status = ORDER_UNPAID };
        write_ok(insert, &orders[i]);
    }
    write_ok(set_closed, &orders[0].order_id);
    assert_int_equal(listed(&(struct list_call){ .filter = { .app = app, .limit = 10 } }), 4);
    assert_int_equal(listed(&(struct list_call){ .filter = { .app = app, .limit = 3 } }), 3);
    assert_int_equal(listed(&(struct list_call){ .filter = { .app = app, .before_id = orders[2].order_id, .limit = 10 } }), 2);
    assert_int_equal(listed(&(struct list_call){ .filter = { .app = app, .user_id = user, .limit = 10 } }), 2);
    assert_int_equal(listed(&(struct list_call){ .filter = { .user_id = user, .limit = 10 } }), 2);
    assert_int_equal(listed(&(struct list_call){ .filter = { .app = "other", .user_id = user, .limit = 10 } }), 0);
    assert_int_equal(listed(&(struct list_call){ .filter = { .app = app, .status = ORDER_CLOSED, .limit = 10 } }), 1);
    assert_int_equal(
        listed(&(struct list_call){ .filter = { .app = app, .out_business_id = orders[3].out_business_id, .limit = 10 } }), 1);
    int64_t from = orders[3].created_at;
    assert_true(listed(&(struct list_call){ .filter = { .app = app, .created_from = from, .limit = 10 } }) >= 1);
    assert_int_equal(listed(&(struct list_call){ .filter = { .app = app, .created_to = orders[0].created_at, .limit = 10 } }), 0);
    struct list_call all = { .filter = { .limit = 1 } };
    assert_int_equal(listed(&all), 1);
    assert_int_equal(all.orders[0].order_id, orders[3].order_id);
}

static void refused_value_is_a_data_error(void **state)
{
    (void)state;
    struct order order = { .order_id = new_id(), .app = "a", .out_business_id = new_name("n"), .name = "n", .amount_minor = 0,
                           .currency = "CNY", .status = ORDER_UNPAID };
    assert_int_equal(write_rc(insert, &order), RC_DATA);
    order.amount_minor = 1;
    order.name = NULL;
    assert_int_equal(write_rc(insert, &order), RC_DATA);
    order.name = "n";
    write_ok(insert, &order);
}

const struct CMUnitTest order_tests[] = {
    cmocka_unit_test(order_comes_back_as_written),
    cmocka_unit_test(missing_and_empty_texts_stay_apart),
    cmocka_unit_test(every_unicode_plane_comes_back),
    cmocka_unit_test(number_is_unique_among_open_orders_of_an_app),
    cmocka_unit_test(transaction_goes_on_after_a_taken_number),
    cmocka_unit_test(unknown_order_is_not_found),
    cmocka_unit_test(closing_and_closing_for_good),
    cmocka_unit_test(paid_order_cannot_close),
    cmocka_unit_test(late_payment_reopens_a_closed_order),
    cmocka_unit_test(late_payment_is_refused_when_a_newer_order_has_the_number),
    cmocka_unit_test(lists_are_filtered_newest_first),
    cmocka_unit_test(refused_value_is_a_data_error),
};
const size_t order_test_count = sizeof order_tests / sizeof order_tests[0];
