/*
 * Signing: every case of tests/vectors/wechat-sign.json gives its signed text and its signature, survives being written as XML,
 * and is written by two other libraries as XML that reads the same.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "unit/wechat_fixture.h"

enum { PARAMS_MAX = 64 };

static const struct pn_kv *find(const struct pn_kv *fields, size_t count, struct pn_str name)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq(fields[i].name, name))
            return &fields[i];
    return NULL;
}

static size_t read_params(const json_t *item, struct pn_kv params[PARAMS_MAX])
{
    const json_t *pair;
    size_t i;

    json_array_foreach(json_object_get(item, "params"), i, pair) {
        const json_t *name = json_array_get(pair, 0), *value = json_array_get(pair, 1);

        params[i] = (struct pn_kv){ { json_string_value(name), json_string_length(name) },
                                    { json_string_value(value), json_string_length(value) } };
    }
    return i;
}

static void signed_as_recorded(void **state)
{
    const json_t *item = *state;
    struct pn_kv params[PARAMS_MAX];
    struct wechat_channel channel;
    struct pn_str text, want = vector_str(item, "sign_string");
    char sign[SIGN_LEN_MAX];
    size_t count = read_params(item, params), len = 0;

    wechat_channel_settings(&channel, vector_str(item, "sign_type").data);
    plugin_setting(&pn_plugin, &channel.settings, "api_key", vector_str(item, "key"));
    assert_int_equal(wechat_channel_start(&channel), PN_OK);
    sign_sort(params, count);
    assert_int_equal(sign_text(channel.state, &channel.call, params, count, &text), PN_OK);
    assert_true(want.len == text.len + strlen("&key=") + vector_str(item, "key").len);
    assert_str(text, (struct pn_str){ want.data, text.len });
    assert_true(sign_make(channel.state, text, sign, &len));
    assert_str((struct pn_str){ sign, len }, vector_str(item, "sign"));
    assert_true(sign_holds(channel.state, text, vector_str(item, "sign")));
    wechat_channel_close(&channel);
}

/* Reads `body` and compares it with the parameters, the empty ones aside. */
static void assert_reads(struct pn_str body, const struct pn_kv *params, size_t count)
{
    static struct pn_kv fields[XML_ELEMENTS_MAX];
    char *text = test_malloc(body.len);
    size_t read = 0;
    const char *fault = xml_read(body, "xml", text, fields, &read);

    if (fault)
        fail_msg("%s", fault);
    for (size_t i = 0; i < count; i++) {
        const struct pn_kv *field = find(fields, read, params[i].name);

        if (params[i].value.len && !str_is(params[i].name, "sign")) {
            assert_non_null(field);
            assert_str(field->value, params[i].value);
        }
    }
    test_free(text);
}

static void written_as_xml_and_read_again(void **state)
{
    const json_t *item = *state;
    struct pn_kv params[PARAMS_MAX];
    size_t count = read_params(item, params), len = xml_write(params, count, NULL);
    char *text = test_malloc(len);

    assert_int_equal(xml_write(params, count, text), len);
    assert_reads((struct pn_str){ text, len }, params, count);
    test_free(text);
    if (vector_has(item, "xml_npm_tenpay"))
        assert_reads(vector_str(item, "xml_npm_tenpay"), params, count);
    if (vector_has(item, "xml_npm_wechatpay_axios_plugin"))
        assert_reads(vector_str(item, "xml_npm_wechatpay_axios_plugin"), params, count);
}

static void a_signature_differs_in_every_character(void **state)
{
    struct wechat_channel channel;
    char sign[SIGN_LEN_MAX];
    size_t len = 0;

    (void)state;
    wechat_channel_open(&channel, "HMAC-SHA256");
    assert_true(sign_make(channel.state, STR("a=b"), sign, &len));
    assert_int_equal(len, 64);
    assert_true(sign_holds(channel.state, STR("a=b"), (struct pn_str){ sign, len }));
    assert_false(sign_holds(channel.state, STR("a=b"), (struct pn_str){ sign, 32 }));
    assert_false(sign_holds(channel.state, STR("a=b"), (struct pn_str){ NULL, 0 }));
    assert_false(sign_holds(channel.state, STR("a=c"), (struct pn_str){ sign, len }));
    for (size_t i = 0; i < len; i++) {
        sign[i] ^= 1;
        assert_false(sign_holds(channel.state, STR("a=b"), (struct pn_str){ sign, len }));
        sign[i] ^= 1;
    }
    wechat_channel_close(&channel);
}

int main(void)
{
    json_t *root = vectors_load("wechat-sign"), *cases = json_object_get(root, "cases");
    struct suite *suite = suite_new();
    int failed;

    suite_add_cases(suite, "sign", cases, 39, signed_as_recorded);
    suite_add_cases(suite, "xml", cases, 39, written_as_xml_and_read_again);
    SUITE_ADD(suite, a_signature_differs_in_every_character);
    failed = suite_run(suite, "wechat sign");
    json_decref(root);
    return failed;
}
