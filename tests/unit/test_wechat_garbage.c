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

enum { ROUNDS = 200 };

static struct wechat_channel channel;
static uint64_t seed;

/* splitmix64 */
static uint64_t next(void)
{
    uint64_t z = seed += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static size_t below(size_t n)
{
    return n ? (size_t)(next() % n) : 0;
}

/* A damaged copy, of exactly its size so that a read behind it is seen. The caller frees it. */
static struct pn_str damage(struct pn_str in)
{
    static const char tokens[] = "<>/![]&;#x?\"=\0\xff 0";
    char *text = malloc(2 * in.len + 2), *exact;
    size_t len = in.len, at, n;

    if (!text)
        abort();
    memcpy(text, in.data, len);
    for (size_t edits = 1 + below(4); edits > 0; edits--) {
        at = below(len);
        n = below(len - at) % 40;
        switch (below(6)) {
        case 0:
            text[at] = (char)next();
            break;
        case 1:
            text[at] = tokens[below(sizeof(tokens) - 1)];
            break;
        case 2: /* cut out */
            memmove(text + at, text + at + n, len - at - n);
            len -= n;
            break;
        case 3: /* cut off */
            len = below(8) == 0 ? at : len;
            break;
        case 4: /* repeat a piece */
            if (len + n <= 2 * in.len) {
                memmove(text + at + n, text + at, len - at);
                len += n;
            }
            break;
        default: /* swap two bytes */
            if (len > 1) {
                char kept = text[at];
                size_t other = below(len);

                text[at] = text[other];
                text[other] = kept;
            }
        }
        if (len == 0)
            break;
    }
    exact = malloc(len ? len : 1);
    if (!exact)
        abort();
    if (len)
        memcpy(exact, text, len);
    free(text);
    return (struct pn_str){ exact, len };
}

/* ---- notices */

struct copy {
    struct pn_kv fields[64];
    size_t count;
    char text[65536];
};

static struct pn_str put(char **to, struct pn_str text)
{
    struct pn_str copied = { *to, text.len };

    if (text.len)
        memcpy(*to, text.data, text.len);
    *to += text.len;
    return copied;
}

static void keep(struct copy *copy, struct pn_kv_list fields)
{
    char *to = copy->text;

    assert_true(fields.count <= 64);
    copy->count = fields.count;
    for (size_t i = 0; i < fields.count; i++)
        copy->fields[i] = (struct pn_kv){ put(&to, fields.items[i].name), put(&to, fields.items[i].value) };
}

static void assert_same(const struct copy *copy, struct pn_kv_list fields)
{
    assert_int_equal(fields.count, copy->count);
    for (size_t i = 0; i < fields.count; i++) {
        assert_true(str_eq(fields.items[i].name, copy->fields[i].name));
        assert_true(str_eq(fields.items[i].value, copy->fields[i].value));
    }
}

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
        keep(&original, notice.result->fields);
    for (int i = 0; body.len && i < ROUNDS; i++) {
        struct pn_str damaged = damage(body);

        assert_int_equal(wechat_channel_notification(&channel, damaged, &notice), PN_OK);
        if (notice.verdict == PN_AUTHENTIC && genuine)
            assert_same(&original, notice.result->fields);
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
        struct pn_str damaged = damage(body);

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
        keep(&original, message.fields);
    for (int i = 0; i < ROUNDS; i++) {
        struct pn_str damaged = damage(body);

        plugin_call_free(&channel.call);
        assert_int_equal(message_read(channel.state, &channel.call, damaged, &message), PN_OK);
        if (message.trust == MESSAGE_SIGNED && genuine)
            assert_same(&original, message.fields);
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
        size_t len = below(i % 100 == 0 ? 65536 : 300);
        char *bytes = malloc(len ? len : 1);
        struct pn_notification notice;
        struct pn_step step;

        if (!bytes)
            abort();
        for (size_t k = 0; k < len; k++)
            bytes[k] = i % 2 ? (char)next() : "<xml>a/&;!["[below(11)];
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
