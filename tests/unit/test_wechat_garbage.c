/*
 * Damaged notices and answers, by a fixed seed: whatever is still believed says exactly what the undamaged one said, and a
 * damaged refund notice is at most a hint.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "unit/wechat_fixture.h"
#include "unit/damage.h"

enum { ROUNDS = 200 };

static struct wechat_channel channel;

/* What means something in these formats. */
static struct pn_str damaged_copy(struct pn_str in)
{
    static const char tokens[] = "<>/![]&;#x?\"=\0\xff 0";
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

    assert_int_equal(wechat_channel_notification(&channel, body, &notice), PN_OK);
    genuine = notice.verdict == PN_AUTHENTIC;
    if (genuine)
        copy_keep(&original, notice.result->fields);
    for (int i = 0; body.len && i < ROUNDS; i++) {
        struct pn_str damaged = damaged_copy(body);

        assert_int_equal(wechat_channel_notification(&channel, damaged, &notice), PN_OK);
        if (notice.verdict == PN_AUTHENTIC && genuine)
            copy_assert_same(&original, notice.result->fields);
        else if (genuine)
            assert_int_equal(notice.verdict, PN_REFUSED);
        free((void *)(uintptr_t)damaged.data);
    }
    free((void *)(uintptr_t)body.data);
}

/* A refund notice whose plain text is garbled is never a fact. */
static void a_damaged_refund_notice_is_at_most_a_hint(void **state)
{
    const json_t *item = *state;
    struct pn_str body = vector_bytes(item, "body");
    struct pn_notification notice;

    for (int i = 0; i < ROUNDS; i++) {
        struct pn_str damaged = damaged_copy(body);

        assert_int_equal(wechat_channel_notification(&channel, damaged, &notice), PN_OK);
        assert_int_not_equal(notice.verdict, PN_AUTHENTIC);
        assert_null(notice.result);
        free((void *)(uintptr_t)damaged.data);
    }
    free((void *)(uintptr_t)body.data);
}

/* ---- answers */

static void a_damaged_answer_is_unknown_or_says_the_same(void **state)
{
    const json_t *item = *state;
    static struct copy original;
    struct pn_str body = vector_bytes(item, "body");
    struct message message;
    bool genuine;

    plugin_call_free(&channel.call);
    assert_int_equal(message_read(channel.state, &channel.call, body, &message), PN_OK);
    genuine = message.trust == MESSAGE_SIGNED;
    if (genuine)
        copy_keep(&original, message.fields);
    for (int i = 0; i < ROUNDS; i++) {
        struct pn_str damaged = damaged_copy(body);

        plugin_call_free(&channel.call);
        assert_int_equal(message_read(channel.state, &channel.call, damaged, &message), PN_OK);
        if (message.trust == MESSAGE_SIGNED && genuine)
            copy_assert_same(&original, message.fields);
        free((void *)(uintptr_t)damaged.data);
    }
    free((void *)(uintptr_t)body.data);
}

/* ---- noise */

static void noise_is_refused(void **state)
{
    struct pn_payment payment = wechat_payment(PN_QUERY, "native", STR("WN20240520Q1"));

    (void)state;
    for (int i = 0; i < 2000; i++) {
        size_t len = damage_below(i % 100 == 0 ? 65536 : 300);
        char *bytes = malloc(len ? len : 1);
        struct pn_notification notice;
        struct pn_step step;

        if (!bytes)
            abort();
        for (size_t k = 0; k < len; k++)
            bytes[k] = i % 2 ? (char)damage_random() : "<xml>a/&;!["[damage_below(11)];
        assert_int_equal(wechat_channel_notification(&channel, (struct pn_str){ bytes, len }, &notice), PN_OK);
        assert_int_equal(notice.verdict, PN_REFUSED);
        assert_int_equal(wechat_channel_response(&channel, &payment, 1, 200, (struct pn_str){ bytes, len }, &step), PN_UNKNOWN);
        free(bytes);
    }
}

int main(void)
{
    json_t *notices = vectors_load("wechat-notify"), *answers = vectors_load("wechat-response");
    json_t *refunds = vectors_load("wechat-refund-notify");
    struct suite *suite = suite_new();
    int failed;

    wechat_channel_open(&channel, "MD5");
    suite_add_cases(suite, "notify", json_object_get(notices, "cases"), 95, a_damaged_notice_is_refused_or_says_the_same);
    suite_add_cases(suite, "refund", json_object_get(refunds, "cases"), 24, a_damaged_refund_notice_is_at_most_a_hint);
    suite_add_cases(suite, "response", json_object_get(answers, "cases"), 28, a_damaged_answer_is_unknown_or_says_the_same);
    SUITE_ADD(suite, noise_is_refused);
    failed = suite_run(suite, "wechat garbage");
    wechat_channel_close(&channel);
    json_decref(refunds);
    json_decref(answers);
    json_decref(notices);
    return failed;
}
