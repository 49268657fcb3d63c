/*
 * What the HTTP layer shows: JSON of orders and payments, QR codes, the sources a pay page may post to. All pure.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <png.h>
#include <qrencode.h>

#include "http/html.h"
#include "http/qr.h"
#include "http/rawjson.h"
#include "http/views.h"

static void assert_json(json_t *object, const char *text)
{
    struct buf shown = { 0 };
    rawjson_write(&shown, object);
    assert_string_equal(buf_text(&shown), text);
    buf_free(&shown);
    json_decref(object);
}

static void order_shows_texts_and_leaves_out_what_is_absent(void **state)
{
    (void) state;
    const struct order order = { .order_id = INT64_MAX,
                                 .app = "learning",
                                 .out_business_id = "b\"1",
                                 .name = "课程",
                                 .amount_minor = 8880,
                                 .currency = "CNY",
                                 .attach = "{\"a\":[1.10]}",
                                 .status = ORDER_PAID,
                                 .created_at = 1716182060123,
                                 .expires_at = 1716183860000,
                                 .paid_at = 1716182061000,
                                 .paid_pay_no = 17 };
    assert_json(
        view_order(&order, "https://p/cashier/9?k=1"),
        "{\"order_id\":\"9223372036854775807\",\"out_business_id\":\"b\\\"1\",\"app\":\"learning\",\"status\":\"paid\","
        "\"status_code\":\"600002\",\"amount\":\"88.80\",\"refunded_amount\":\"0.00\",\"currency\":\"CNY\",\"name\":\"课程\","
        "\"attach\":{\"a\":[1.10]},\"created_at\":\"2024-05-20T05:14:20.123Z\",\"expires_at\":\"2024-05-20T05:44:20Z\","
        "\"paid_at\":\"2024-05-20T05:14:21Z\",\"paid_pay_no\":\"17\",\"cashier_url\":\"https://p/cashier/9?k=1\"}");
}

static void stored_json_is_shown_as_it_is(void **state)
{
    (void) state;
    static const char *const texts[] = { "{}", "[]", "1.10", "{\"a\":1.1,\"b\":[1e400,{}],\"c\":\"\\u4e00\"}", "null", "\"x\"" };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (strstr(texts[i], "1e400"))
            assert_null(rawjson_new(texts[i])); /* beyond what jansson takes for a number */
        else
            assert_json(rawjson_new(texts[i]), texts[i]);
    }
    assert_null(rawjson_new("{"));
    assert_json(json_pack("{s:[i,b,b,n,{},[]],s:s}", "a", 1, 1, 0, "b\"", "c\n"),
                "{\"a\":[1,true,false,null,{},[]],\"b\\\"\":\"c\\n\"}");
}

static void payment_shows_its_code_and_the_other_attempts(void **state)
{
    struct pay_record other = {
        .pay_no = 18, .order_id = 5, .channel = "c", .product = "p", .currency = "CNY", .status = PAYMENT_UNPAID
    };
    const struct payment_view view = { .record = { .pay_no = 17,
                                                   .order_id = 5,
                                                   .channel = "c",
                                                   .product = "p",
                                                   .amount_minor = 1,
                                                   .currency = "CNY",
                                                   .status = PAYMENT_UNPAID },
                                       .order = { .status = ORDER_UNPAID },
                                       .pay_url = "https://pay/17",
                                       .others = &other,
                                       .other_count = 1,
                                       .unknown = true,
                                       .provider_code = "BUSY" };
    json_t *object = view_payment(&view, *state);
    assert_string_equal(json_string_value(json_object_get(object, "pay_url")), "https://pay/17");
    assert_true(strncmp(json_string_value(json_object_get(object, "qrcode")), "data:image/png;base64,", 22) == 0);
    assert_string_equal(json_string_value(json_object_get(object, "amount")), "0.01");
    assert_true(json_is_true(json_object_get(object, "unknown")));
    assert_string_equal(json_string_value(json_object_get(object, "provider_code")), "BUSY");
    assert_int_equal(json_array_size(json_object_get(object, "other_open_payments")), 1);
    assert_null(json_object_get(object, "code_url"));
    json_decref(object);
}

static void refund_shows_who_made_it_and_what_the_provider_said(void **state)
{
    (void) state;
    struct refund_view view = {
        .refund = { .refund_no = 19, .pay_no = 17, .order_id = 5, .app = "learning", .channel = "c", .out_refund_id = "r\"1",
                    .source = "api", .amount_minor = 8880, .currency = "CNY", .reason = "坏了", .status = REFUND_FAILED,
                    .doubt = true, .code = "E", .message = "no", .created_at = 1716182060123, .finished_at = 1716182061000 },
        .record = { .status = PAYMENT_PAID },
        .order = { .status = ORDER_CLOSED },
    };
    assert_json(view_refund_full(&view),
                "{\"refund_no\":\"19\",\"out_refund_id\":\"r\\\"1\",\"pay_no\":\"17\",\"order_id\":\"5\",\"app\":\"learning\","
                "\"channel\":\"c\",\"status\":\"failed\",\"status_code\":\"602004\",\"source\":\"api\",\"amount\":\"88.80\","
                "\"currency\":\"CNY\",\"reason\":\"坏了\",\"provider_code\":\"E\",\"provider_message\":\"no\","
                "\"created_at\":\"2024-05-20T05:14:20.123Z\",\"finished_at\":\"2024-05-20T05:14:21Z\","
                "\"payment_status\":\"paid\",\"order_status\":\"closed\"}");
    view.refund = (struct refund){ .refund_no = 19, .pay_no = 17, .order_id = 5, .app = "a", .channel = "c", .source = "provider",
                                   .cause = "late", .amount_minor = 1, .currency = "CNY", .status = REFUND_SUCCEEDED,
                                   .provider_no = "C1" };
    assert_json(view_refund(&view.refund),
                "{\"refund_no\":\"19\",\"pay_no\":\"17\",\"order_id\":\"5\",\"app\":\"a\",\"channel\":\"c\","
                "\"status\":\"succeeded\",\"status_code\":\"602003\",\"source\":\"provider\",\"cause\":\"late\","
                "\"amount\":\"0.01\",\"currency\":\"CNY\",\"provider_refund_no\":\"C1\"}");
}

static void statuses_are_named_and_numbered(void **state)
{
    (void) state;
    assert_int_equal(order_status_of("paid"), ORDER_PAID);
    assert_int_equal(order_status_of("600005"), ORDER_CLOSING);
    assert_int_equal(order_status_of("601001"), 0);
    assert_int_equal(order_status_of(""), 0);
    assert_int_equal(payment_status_of("closed"), PAYMENT_CLOSED);
    assert_int_equal(payment_status_of("601002"), PAYMENT_PAID);
    assert_int_equal(payment_status_of("closing"), 0);
    assert_int_equal(refund_status_of("processing"), REFUND_PROCESSING);
    assert_int_equal(refund_status_of("602005"), REFUND_UNKNOWN);
    assert_int_equal(refund_status_of("refunded"), 0);
}

/* Reads the picture back and compares it, module by module, with what libqrencode says. */
static void picture_holds_the_code(const char *text, struct arena *arena)
{
    const char *uri = qr_data_uri(text, arena);
    assert_non_null(uri);
    const char *base64 = strchr(uri, ',') + 1;
    size_t n = strlen(base64);
    unsigned char *png = arena_alloc(arena, n);
    int len = EVP_DecodeBlock(png, (const unsigned char *) base64, (int) n);
    assert_true(len > 0);

    png_image image = { .version = PNG_IMAGE_VERSION };
    assert_true(png_image_begin_read_from_memory(&image, png, (size_t) len));
    assert_int_equal(image.width, QR_PIXELS);
    assert_int_equal(image.height, QR_PIXELS);
    image.format = PNG_FORMAT_GRAY;
    unsigned char *pixels = arena_alloc(arena, PNG_IMAGE_SIZE(image));
    assert_true(png_image_finish_read(&image, NULL, pixels, 0, NULL));

    QRcode *code = QRcode_encodeString8bit(text, 0, QR_ECLEVEL_M);
    int scale = QR_PIXELS / (code->width + 8) >= 2 ? QR_PIXELS / (code->width + 8) : QR_PIXELS / (code->width + 2);
    int start = (QR_PIXELS - scale * code->width) / 2;
    for (int y = 0; y < code->width; y++)
        for (int x = 0; x < code->width; x++)
            assert_int_equal(pixels[(start + y * scale) * QR_PIXELS + start + x * scale] == 0,
                             code->data[y * code->width + x] & 1);
    for (int x = 0; x < QR_PIXELS; x++)
        assert_int_equal(pixels[x], 255);
    QRcode_free(code);
}

static void qr_codes_hold_their_text_at_every_length(void **state)
{
    struct arena *arena = *state;
    char text[640];
    for (size_t n = 1; n < sizeof text; n += 31) {
        memset(text, 'a', n);
        text[n] = '\0';
        picture_holds_the_code(text, arena);
    }
    picture_holds_the_code("https://pay.example.com/pay/382524694663790592?k=1.AAAAAAAAAAAAAAAAAAAAAAAAAAA", arena);
}

static void text_too_long_for_a_picture_gives_none(void **state)
{
    char text[3000];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_null(qr_data_uri(text, *state));
}

static void form_sources_are_the_origin_and_its_siblings(void **state)
{
    static const struct {
        const char *url, *sources;
    } cases[] = {
        { "https://gateway.pay.example.com/do?a=b", "form-action https://gateway.pay.example.com https://*.pay.example.com" },
        { "https://gateway.pay.example.com:8443/", "form-action https://gateway.pay.example.com:8443 https://*.pay.example.com" },
        { "https://example.com/do", "form-action https://example.com" },
        { "http://127.0.0.1:9000/gateway.do", "form-action http://127.0.0.1:9000" },
        { "https://10.0.0.1/x", "form-action https://10.0.0.1" },
        { "https://[::1]:80/x", "form-action https://[::1]:80" },
        { "http://sandbox.local.test/x", "form-action http://sandbox.local.test" },
        { "javascript:alert(1)", NULL },
        { "https://a;script-src *", NULL },
        { "https://", NULL },
        { "/relative", NULL },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *sources = page_form_sources(cases[i].url, *state);
        if (cases[i].sources)
            assert_string_equal(sources, cases[i].sources);
        else
            assert_null(sources);
    }
}

static int set_up(void **state)
{
    *state = arena_new(0);
    return 0;
}

static int tear_down(void **state)
{
    arena_free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stored_json_is_shown_as_it_is),
        cmocka_unit_test(order_shows_texts_and_leaves_out_what_is_absent),
        cmocka_unit_test_setup_teardown(payment_shows_its_code_and_the_other_attempts, set_up, tear_down),
        cmocka_unit_test(refund_shows_who_made_it_and_what_the_provider_said),
        cmocka_unit_test(statuses_are_named_and_numbered),
        cmocka_unit_test_setup_teardown(qr_codes_hold_their_text_at_every_length, set_up, tear_down),
        cmocka_unit_test_setup_teardown(text_too_long_for_a_picture_gives_none, set_up, tear_down),
        cmocka_unit_test_setup_teardown(form_sources_are_the_origin_and_its_siblings, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
