/*
 * The pure parts of sink-rabbitmq: addresses, routing key templates, the window of unconfirmed messages, frames. What
 * needs a broker is in tests/integration/test_sink_rabbitmq.py.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "template.h"
#include "url.h"
#include "window.h"
#include "wire.h"

static struct pn_str text(const char *value)
{
    return (struct pn_str){ value, strlen(value) };
}

/* -------------------------------------------------------------------------------------------------------------- url */

static struct url good_url(const char *value)
{
    struct url url;
    struct fault fault = { .text = "" };
    if (url_parse(text(value), &url, &fault))
        fail_msg("%s is refused: %s", value, fault.text);
    return url;
}

static void url_parts_are_found_and_decoded(void **unused)
{
    (void) unused;
    struct url url = good_url("amqps://p%40y:s%3Acret%2F@mq.example.com:5000/%2fpay%20x");
    assert_true(url.tls);
    assert_string_equal(url.user, "p@y");
    assert_string_equal(url.password, "s:cret/");
    assert_string_equal(url.host, "mq.example.com");
    assert_string_equal(url.port, "5000");
    assert_string_equal(url.vhost, "/pay x");
}

static void url_defaults_are_those_of_rabbitmq(void **unused)
{
    (void) unused;
    struct url url = good_url("amqp://localhost");
    assert_false(url.tls);
    assert_string_equal(url.user, "guest");
    assert_string_equal(url.password, "guest");
    assert_string_equal(url.port, "5672");
    assert_string_equal(url.vhost, "/");
    assert_string_equal(good_url("amqps://localhost").port, "5671");
    assert_string_equal(good_url("amqp://localhost/").vhost, "/");
    assert_string_equal(good_url("amqp://localhost/%2F").vhost, "/");
    assert_string_equal(good_url("amqp://localhost/shop").vhost, "shop");
    assert_string_equal(good_url("amqp://me@localhost").user, "me");
    assert_string_equal(good_url("amqp://me@localhost").password, "");
}

static void url_takes_ipv6_and_an_at_sign_in_the_password(void **unused)
{
    (void) unused;
    struct url url = good_url("amqp://u:p@ss@[::1]:77/v");
    assert_string_equal(url.password, "p@ss");
    assert_string_equal(url.host, "::1");
    assert_string_equal(url.port, "77");
    assert_string_equal(good_url("amqp://[fe80::1]").host, "fe80::1");
}

static void wrong_urls_are_refused_without_showing_the_password(void **unused)
{
    (void) unused;
    const char *wrong[] = { "",
                            "amqp:",
                            "http://localhost",
                            "amqp://",
                            "amqp://hunter2@",
                            "amqp://u:hunter2@:5672",
                            "amqp://u:hunter2@h:",
                            "amqp://u:hunter2@h:0",
                            "amqp://u:hunter2@h:65536",
                            "amqp://u:hunter2@h:99999999999999999999",
                            "amqp://u:hunter2@h:x",
                            "amqp://u:hunter2@[::1",
                            "amqp://u:hunter2@[::1]x",
                            "amqp://u:hunter2%@h",
                            "amqp://u:hunter2%2@h",
                            "amqp://u:hunter2%zz@h",
                            "amqp://u:hunter2%00@h",
                            "amqp://u:hunter2@h/a/b",
                            "amqp://u:hunter2@h/v?heartbeat=5" };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct url url = { .host = "untouched" };
        struct fault fault = { .text = "" };
        assert_int_equal(url_parse(text(wrong[i]), &url, &fault), -1);
        assert_string_equal(url.host, "untouched");
        assert_string_equal(fault.field, "url");
        assert_null(strstr(fault.text, "hunter2"));
    }
}

static void a_part_that_is_too_long_is_refused(void **unused)
{
    (void) unused;
    char value[400] = "amqp://";
    struct url url;
    struct fault fault;
    memset(value + 7, 'h', 256);
    assert_int_equal(url_parse(text(value), &url, &fault), -1);
    value[7 + 255] = '\0';
    assert_int_equal(strlen(good_url(value).host), 255);
}

/* --------------------------------------------------------------------------------------------------------- template */

static const struct pn_event event = { .id = { "77", 2 },
                                       .type = { "payment.succeeded", 17 },
                                       .app = { "shop", 4 },
                                       .order_id = { "11", 2 },
                                       .out_business_id = { "B-1", 3 },
                                       .order_type = { "60201", 5 },
                                       .pay_no = { "22", 2 },
                                       .channel = { NULL, 0 } };

static void renders(const char *template_text, const char *expected, bool constant)
{
    struct template template;
    struct fault fault = { .text = "" };
    char key[TEMPLATE_MAX];
    if (template_compile(text(template_text), "routing_key", &template, &fault))
        fail_msg("%s is refused: %s", template_text, fault.text);
    assert_int_equal(template_render(&template, &event, key), (int) strlen(expected));
    assert_memory_equal(key, expected, strlen(expected));
    assert_int_equal(template.constant, constant);
}

static void templates_are_filled_in(void **unused)
{
    (void) unused;
    renders("", "", true);
    renders("queue.order", "queue.order", true);
    renders("{event_type}", "payment.succeeded", false);
    renders("pay.{app}.{order_type}!", "pay.shop.60201!", false);
    renders("{event_id}{order_id}{out_business_id}{pay_no}", "7711B-122", false);
    renders("a{channel}b", "ab", false);
}

static void wrong_templates_are_refused(void **unused)
{
    (void) unused;
    char long_text[300], many[300] = "";
    const char *wrong[] = { "{",    "}",         "a{b",   "a}b", "{}", "{event type}", "{eventtype}", "{{app}}",
                            "{app", "{app}{app", long_text, many };
    memset(long_text, 'x', 256);
    long_text[256] = '\0';
    for (int i = 0; i < 33; i++)
        memcpy(many + 5 * i, "{app}", sizeof "{app}");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct template template = { .count = 99 };
        struct fault fault;
        assert_int_equal(template_compile(text(wrong[i]), "routing_key", &template, &fault), -1);
        assert_string_equal(fault.field, "routing_key");
        assert_int_equal(template.count, 99);
    }
}

static void a_key_of_255_bytes_passes_and_one_more_does_not(void **unused)
{
    (void) unused;
    char long_text[256], key[TEMPLATE_MAX];
    struct template template;
    struct fault fault;
    struct pn_event other = { .app = { long_text, 250 } };
    memset(long_text, 'x', sizeof long_text);
    assert_int_equal(template_compile(text("12345{app}"), "routing_key", &template, &fault), 0);
    assert_int_equal(template_render(&template, &other, key), 255);
    other.app.len = 251;
    assert_int_equal(template_render(&template, &other, key), -1);
}

/* ----------------------------------------------------------------------------------------------------------- window */

struct record {
    uint64_t tickets[4096];
    size_t count;
};

static void note(void *context, uint64_t ticket)
{
    struct record *record = context;
    assert_true(record->count < 4096);
    record->tickets[record->count++] = ticket;
}

static void confirms_settle_one_or_all_up_to_a_tag(void **unused)
{
    (void) unused;
    struct window window;
    struct record record = { .count = 0 };
    assert_int_equal(window_init(&window, 10), 0);
    for (uint64_t i = 1; i <= 6; i++)
        window_add(&window, 100 + i, text("id"));
    assert_true(window_confirm(&window, 3, false, note, &record));
    assert_int_equal(record.count, 1);
    assert_int_equal(record.tickets[0], 103);
    assert_true(window_confirm(&window, 4, true, note, &record));
    assert_int_equal(record.count, 4);
    assert_int_equal(record.tickets[3], 104);
    assert_true(window_confirm(&window, 4, true, note, &record)); /* a repeat settles nothing */
    assert_int_equal(record.count, 4);
    assert_true(window_confirm(&window, 0, true, note, &record)); /* 0: everything */
    assert_int_equal(record.count, 6);
    assert_int_equal(window.open, 0);
    window_free(&window);
}

static void tags_that_never_were_are_refused(void **unused)
{
    (void) unused;
    struct window window;
    struct record record = { .count = 0 };
    assert_int_equal(window_init(&window, 10), 0);
    window_add(&window, 1, text("id"));
    assert_false(window_confirm(&window, 0, false, note, &record));
    assert_false(window_confirm(&window, 2, false, note, &record));
    assert_false(window_confirm(&window, 2, true, note, &record));
    assert_false(window_confirm(&window, UINT64_MAX, true, note, &record));
    assert_int_equal(record.count, 0);
    window_free(&window);
}

static void the_window_is_full_at_its_limit_and_behind_a_late_confirm(void **unused)
{
    (void) unused;
    struct window window;
    struct record record = { .count = 0 };
    assert_int_equal(window_init(&window, 4), 0);
    for (uint64_t i = 0; i < 4; i++) {
        assert_false(window_is_full(&window));
        window_add(&window, i, text("id"));
    }
    assert_true(window_is_full(&window));
    for (uint64_t tag = 2; tag <= 4; tag++)
        window_confirm(&window, tag, false, note, &record);
    assert_false(window_is_full(&window));
    for (uint64_t tag = 5; tag <= 8; tag++) { /* tag 1 stays open: the ring has eight places */
        window_add(&window, tag, text("id"));
        window_confirm(&window, tag, false, note, &record);
    }
    assert_int_equal(window.open, 1);
    assert_true(window_is_full(&window));
    window_confirm(&window, 1, false, note, &record);
    assert_false(window_is_full(&window));
    window_free(&window);
}

static void a_returned_message_is_found_by_its_id_and_its_confirm_settles_nothing(void **unused)
{
    (void) unused;
    struct window window;
    struct record record = { .count = 0 };
    uint64_t ticket;
    assert_int_equal(window_init(&window, 10), 0);
    window_add(&window, 21, text("a"));
    window_add(&window, 22, text("b"));
    window_add(&window, 23, text("b"));
    assert_false(window_return(&window, text("c"), &ticket));
    assert_false(window_return(&window, (struct pn_str){ NULL, 0 }, &ticket));
    assert_true(window_return(&window, text("b"), &ticket));
    assert_int_equal(ticket, 22);
    assert_true(window_return(&window, text("b"), &ticket)); /* a replay of the same event, in flight as well */
    assert_int_equal(ticket, 23);
    assert_false(window_return(&window, text("b"), &ticket));
    assert_true(window_return(&window, text("a"), &ticket)); /* before the hint */
    assert_int_equal(ticket, 21);
    window_confirm(&window, 3, true, note, &record);
    assert_int_equal(record.count, 0);
    assert_int_equal(window.open, 0);
    window_free(&window);
}

static void giving_up_settles_what_waits_in_order_and_begins_anew(void **unused)
{
    (void) unused;
    struct window window;
    struct record record = { .count = 0 };
    uint64_t ticket;
    assert_int_equal(window_init(&window, 10), 0);
    for (uint64_t i = 1; i <= 4; i++)
        window_add(&window, i, text(i == 2 ? "returned" : "id"));
    window_return(&window, text("returned"), &ticket);
    window_confirm(&window, 3, false, note, &record);
    record.count = 0;
    window_abandon(&window, note, &record);
    assert_int_equal(record.count, 2);
    assert_int_equal(record.tickets[0], 1);
    assert_int_equal(record.tickets[1], 4);
    assert_int_equal(window.next, 1);
    assert_false(window_is_full(&window));
    window_free(&window);
}

/* Ten thousand random steps beside the simplest model that could be right. */
static void every_ticket_is_settled_exactly_once(void **unused)
{
    (void) unused;
    enum { STEPS = 10000 };
    static int settled[STEPS + 1];
    struct window window;
    struct record record;
    uint64_t added = 0;
    unsigned seed = 5;
    assert_int_equal(window_init(&window, 37), 0);
    for (int step = 0; step < STEPS; step++) {
        record.count = 0;
        int choice = rand_r(&seed) % 4;
        if (choice < 2 && !window_is_full(&window)) {
            window_add(&window, added++, text("id")); /* ticket = tag - 1 */
        } else if (added > 0) {
            uint64_t back = (uint64_t) rand_r(&seed) % 40, tag = added > back ? added - back : 1;
            bool multiple = choice == 3 && rand_r(&seed) % 4 == 0;
            window_confirm(&window, tag, multiple, note, &record);
            for (size_t i = 0; i < record.count; i++)
                assert_int_equal(settled[record.tickets[i]]++, 0);
            for (uint64_t each = multiple ? 0 : tag - 1; each < tag; each++)
                assert_int_equal(settled[each], 1);
        }
    }
    record.count = 0;
    window_abandon(&window, note, &record);
    for (size_t i = 0; i < record.count; i++)
        settled[record.tickets[i]]++;
    for (uint64_t i = 0; i < added; i++)
        assert_int_equal(settled[i], 1);
    window_free(&window);
}

/* ------------------------------------------------------------------------------------------------------------ frames */

/* Moves everything from `out` to `in` and takes one frame. */
static int take(struct wire_out *out, struct wire_in *in, struct wire_frame *ret_frame)
{
    size_t room = wire_make_room(in), size = wire_pending(out) < room ? wire_pending(out) : room;
    if (size > 0)
        memcpy(in->data + in->end, out->data + out->start, size);
    in->end += size;
    out->start += size;
    return wire_next(in, ret_frame);
}

static void a_message_survives_encoding_and_is_cut_into_frames(void **unused)
{
    (void) unused;
    enum { BODY = 10000, FRAME = 4096 };
    static char body[BODY];
    struct wire_out out = { 0 };
    struct wire_in in = { .data = malloc(WIRE_FRAME_MAX) };
    struct wire_frame frame;
    struct wire_message message = { .publish = { .exchange = amqp_cstring_bytes("x"),
                                                 .routing_key = amqp_cstring_bytes("key"),
                                                 .mandatory = 1 },
                                    .properties = { ._flags = AMQP_BASIC_MESSAGE_ID_FLAG,
                                                    .message_id = amqp_cstring_bytes("4711") },
                                    .body = { body, BODY } };
    amqp_pool_t pool;
    amqp_method_number_t number;
    uint64_t body_size;
    size_t seen = 0;
    init_amqp_pool(&pool, 4096);
    for (size_t i = 0; i < BODY; i++)
        body[i] = (char) (i % 251);
    assert_int_equal(wire_put_message(&out, &message, FRAME), 0);
    assert_int_equal(take(&out, &in, &frame), 1);
    amqp_basic_publish_t *publish = wire_method(&frame, &pool, &number);
    assert_int_equal(number, AMQP_BASIC_PUBLISH_METHOD);
    assert_int_equal(frame.channel, WIRE_CHANNEL);
    assert_memory_equal(publish->routing_key.bytes, "key", 3);
    assert_int_equal(publish->mandatory, 1);
    assert_int_equal(wire_next(&in, &frame), 1);
    const amqp_basic_properties_t *properties = wire_properties(&frame, &pool, &body_size);
    assert_memory_equal(properties->message_id.bytes, "4711", 4);
    assert_int_equal(body_size, BODY);
    while (wire_next(&in, &frame) == 1) {
        assert_int_equal(frame.type, AMQP_FRAME_BODY);
        assert_true(frame.size <= FRAME - 8);
        assert_memory_equal(frame.payload, body + seen, frame.size);
        seen += frame.size;
    }
    assert_int_equal(seen, BODY);
    empty_amqp_pool(&pool);
    free(out.data);
    free(in.data);
}

static void a_message_that_amqp_cannot_carry_leaves_nothing_behind(void **unused)
{
    (void) unused;
    char long_text[300];
    struct wire_out out = { 0 };
    struct wire_message message = { .properties = { ._flags = AMQP_BASIC_TYPE_FLAG,
                                                    .type = { sizeof long_text, long_text } } };
    memset(long_text, 'x', sizeof long_text);
    assert_int_equal(wire_put_heartbeat(&out), 0);
    assert_int_equal(wire_put_message(&out, &message, 4096), -1);
    assert_int_equal(wire_pending(&out), 8);
    free(out.data);
}

static void frames_are_found_however_they_are_split(void **unused)
{
    (void) unused;
    struct wire_out out = { 0 };
    struct wire_in in = { .data = malloc(WIRE_FRAME_MAX) };
    struct wire_frame frame;
    amqp_channel_open_t open = { .out_of_band = amqp_empty_bytes };
    size_t found = 0;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(wire_put_method(&out, 1, AMQP_CHANNEL_OPEN_METHOD, &open), 0);
        assert_int_equal(wire_put_heartbeat(&out), 0);
    }
    for (size_t i = 0; i < out.end; i++) {
        assert_true(wire_make_room(&in) > 0);
        in.data[in.end++] = out.data[i];
        int rc = wire_next(&in, &frame);
        assert_true(rc >= 0);
        found += (size_t) rc;
    }
    assert_int_equal(found, 6);
    free(out.data);
    free(in.data);
}

static void what_is_no_frame_is_refused(void **unused)
{
    (void) unused;
    static const uint8_t wrong[][9] = { "AMQP\0\0\x09\x01",
                                        "HTTP/1.1",
                                        "\x08\0\0\0\0\0\0\xCD",             /* another end */
                                        "\x01\0\0\0\x02\0\0\0",             /* larger than what was agreed */
                                        "\x01\0\0\xff\xff\xff\xff\0" };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct wire_in in = { .data = malloc(WIRE_FRAME_MAX), .end = 8 };
        struct wire_frame frame;
        memcpy(in.data, wrong[i], 8);
        assert_int_equal(wire_next(&in, &frame), -1);
        free(in.data);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(url_parts_are_found_and_decoded),
        cmocka_unit_test(url_defaults_are_those_of_rabbitmq),
        cmocka_unit_test(url_takes_ipv6_and_an_at_sign_in_the_password),
        cmocka_unit_test(wrong_urls_are_refused_without_showing_the_password),
        cmocka_unit_test(a_part_that_is_too_long_is_refused),
        cmocka_unit_test(templates_are_filled_in),
        cmocka_unit_test(wrong_templates_are_refused),
        cmocka_unit_test(a_key_of_255_bytes_passes_and_one_more_does_not),
        cmocka_unit_test(confirms_settle_one_or_all_up_to_a_tag),
        cmocka_unit_test(tags_that_never_were_are_refused),
        cmocka_unit_test(the_window_is_full_at_its_limit_and_behind_a_late_confirm),
        cmocka_unit_test(a_returned_message_is_found_by_its_id_and_its_confirm_settles_nothing),
        cmocka_unit_test(giving_up_settles_what_waits_in_order_and_begins_anew),
        cmocka_unit_test(every_ticket_is_settled_exactly_once),
        cmocka_unit_test(a_message_survives_encoding_and_is_cut_into_frames),
        cmocka_unit_test(a_message_that_amqp_cannot_carry_leaves_nothing_behind),
        cmocka_unit_test(frames_are_found_however_they_are_split),
        cmocka_unit_test(what_is_no_frame_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
