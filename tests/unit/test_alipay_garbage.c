/*
 * Damaged notices and answers, by a fixed seed: whatever is still believed says exactly what the undamaged one said.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "unit/alipay_fixture.h"
#include "unit/damage.h"

enum { ROUNDS = 300 };

static struct alipay_channel channel, certified;
static json_t *certificates;

/* What means something in these formats. */
static struct pn_str damaged_copy(struct pn_str in)
{
    static const char tokens[] = "&=%+\"\\/{}[],:\0\xff 0";
    return damage(in, tokens, sizeof tokens - 1);
}

/* ---- notices */

static void a_damaged_notice_is_refused_or_says_the_same(void **state)
{
    const json_t *item = *state;
    static struct copy original;
    struct pn_str body = vector_bytes(item, "body");
    struct pn_notification notice;
    bool genuine;

    assert_int_equal(alipay_channel_notification(&channel, body, &notice), PN_OK);
    genuine = notice.verdict == PN_AUTHENTIC;
    if (genuine)
        copy_keep(&original, notice.result->fields);
    for (int i = 0; body.len && i < ROUNDS; i++) {
        struct pn_str damaged = damaged_copy(body);

        assert_int_equal(alipay_channel_notification(&channel, damaged, &notice), PN_OK);
        if (notice.verdict == PN_AUTHENTIC && genuine)
            copy_assert_same(&original, notice.result->fields);
        else if (genuine)
            assert_int_equal(notice.verdict, PN_REFUSED);
        free((void *)(uintptr_t)damaged.data);
    }
    free((void *)(uintptr_t)body.data);
}

/* ---- answers */

static void a_damaged_answer_is_unknown_or_says_the_same(void **state)
{
    const json_t *item = *state;
    const char *method = vector_str(item, "method").data;
    struct pn_str body = vector_bytes(item, "body");
    struct answer answer;
    json_t *original;

    plugin_call_free(&channel.call);
    answer_read(channel.state, &channel.call, method, body, &answer);
    original = answer.trust == ANSWER_SIGNED ? answer.node : NULL;
    if (!original)
        json_decref(answer.node);
    for (int i = 0; body.len && i < ROUNDS; i++) {
        struct pn_str damaged = damaged_copy(body);

        plugin_call_free(&channel.call);
        answer_read(channel.state, &channel.call, method, damaged, &answer);
        if (answer.trust == ANSWER_SIGNED && original)
            assert_true(json_equal(answer.node, original));
        json_decref(answer.node);
        free((void *)(uintptr_t)damaged.data);
    }
    json_decref(original);
    free((void *)(uintptr_t)body.data);
}

/* A refund that was not certain never becomes so, and what is certain says the same. */
static void a_damaged_refund_answer_is_never_more_certain(void **state)
{
    const json_t *item = *state;
    struct pn_str method = vector_str(item, "method"), body = vector_bytes(item, "body");
    bool asks = str_is(method, "alipay.trade.fastpay.refund.query");
    struct pn_payment payment = alipay_payment(asks ? PN_REFUND_QUERY : PN_REFUND, "wap", STR("PN20240520R1"));
    struct pn_step step;
    uint32_t original;

    if (!asks && !str_is(method, "alipay.trade.refund")) {
        free((void *)(uintptr_t)body.data);
        return;
    }
    payment.refund_no = STR("RF1");
    payment.refund_minor = 1;
    assert_int_equal(alipay_channel_response(&channel, &payment, 200, body, &step), PN_OK);
    original = step.done->state;
    for (int i = 0; i < ROUNDS; i++) {
        struct pn_str damaged = damaged_copy(body);
        int rc = alipay_channel_response(i % 2 ? &channel : &certified, &payment, 200, damaged, &step);

        assert_true(rc == PN_UNKNOWN || (rc == PN_OK && step.done->state == original));
        free((void *)(uintptr_t)damaged.data);
    }
    free((void *)(uintptr_t)body.data);
}

/* ---- certificates */

static void a_damaged_certificate_is_refused_or_read_in_bounds(void **state)
{
    static const char *const names[] = { "app_cert_pem", "alipay_cert_pem_chain", "root_bundle_pem" };

    (void)state;
    for (size_t i = 0; i < 3; i++)
        for (int k = 0; k < ROUNDS; k++) {
            struct pn_str damaged = damaged_copy(vector_str(certificates, names[i]));
            struct certificate *list = NULL;
            size_t count = 0;
            const char *fault = certificates_read(damaged, &list, &count);

            assert_true(fault ? !list && !count : list && count > 0 && count <= 4);
            for (size_t n = 0; n < count; n++) {
                assert_int_equal(strlen(list[n].sn), CERTIFICATE_SN_SIZE - 1);
                assert_true(*list[n].serial && *list[n].public_key);
            }
            certificates_free(list, count);
            free((void *)(uintptr_t)damaged.data);
        }
}

/* ---- noise */

static void noise_is_refused(void **state)
{
    static const enum pn_operation operations[] = { PN_QUERY, PN_REFUND, PN_REFUND_QUERY };
    struct pn_payment payment = alipay_payment(PN_QUERY, "precreate", STR("42"));

    (void)state;
    for (int i = 0; i < 2000; i++) {
        size_t len = damage_below(i % 100 == 0 ? 65536 : 300);
        char *bytes = malloc(len ? len : 1);
        struct pn_notification notice;
        struct pn_step step;
        struct certificate *list;
        size_t count;

        payment.operation = operations[i % 3];
        if (!bytes)
            abort();
        for (size_t k = 0; k < len; k++)
            bytes[k] = i % 2 ? (char)damage_random() : "a=&%41{\"}:,\\"[damage_below(12)];
        assert_int_equal(alipay_channel_notification(&channel, (struct pn_str){ bytes, len }, &notice), PN_OK);
        assert_int_equal(notice.verdict, PN_REFUSED);
        assert_int_equal(alipay_channel_response(&channel, &payment, 200, (struct pn_str){ bytes, len }, &step), PN_UNKNOWN);
        assert_non_null(certificates_read((struct pn_str){ bytes, len }, &list, &count));
        free(bytes);
    }
}

int main(void)
{
    json_t *notices = vectors_load("alipay-notify"), *answers = vectors_load("alipay-response");
    struct suite *suite = suite_new();
    int failed;

    certificates = vectors_load("alipay-cert");
    alipay_channel_open(&channel, NULL, true);
    alipay_channel_open_certified(&certified, certificates);
    suite_add_cases(suite, "notify", json_object_get(notices, "cases"), 75, a_damaged_notice_is_refused_or_says_the_same);
    suite_add_cases(suite, "response", json_object_get(answers, "cases"), 45, a_damaged_answer_is_unknown_or_says_the_same);
    suite_add_cases(suite, "refund", json_object_get(answers, "cases"), 45, a_damaged_refund_answer_is_never_more_certain);
    SUITE_ADD(suite, a_damaged_certificate_is_refused_or_read_in_bounds);
    SUITE_ADD(suite, noise_is_refused);
    failed = suite_run(suite, "alipay garbage");
    alipay_channel_close(&channel);
    alipay_channel_close(&certified);
    json_decref(certificates);
    json_decref(notices);
    json_decref(answers);
    return failed;
}
