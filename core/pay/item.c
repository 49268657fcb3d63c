/*
 * One queued fact: what a plugin's result says, copied out of the plugin's arena into a single allocation. Made by
 * whoever calls pay_settle, freed by the committer.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/ids.h"
#include "pay/batch.h"
#include "pay/merchant.h"

static void write_fields(struct buf *buf, const struct pn_kv_list *fields)
{
    buf_addc(buf, '{');
    for (size_t i = 0; i < fields->count; i++) {
        if (i)
            buf_addc(buf, ',');
        buf_add_jsonn(buf, fields->items[i].name.data, fields->items[i].name.len);
        buf_addc(buf, ':');
        buf_add_jsonn(buf, fields->items[i].value.data, fields->items[i].value.len);
    }
    buf_addc(buf, '}');
}

/* Appends a text and remembers where it begins; absent texts stay absent. Offsets become pointers once all is known. */
static size_t pack(struct buf *buf, const char *data, size_t len)
{
    size_t at = buf->len;
    buf_add(buf, data, len);
    buf_addc(buf, '\0');
    return at;
}

enum packed { P_CHANNEL, P_PAY_NO, P_CURRENCY, P_TRADE_NO, P_PAYER, P_REFUND_NO, P_CODE, P_MESSAGE, P_MERCHANT, P_PROVIDER, P_COUNT };

static void pack_result(struct buf *buf, const char *channel, const struct pn_result *result, size_t ret_at[P_COUNT])
{
    const struct { enum packed which; const struct pn_str *text; } texts[] = {
        { P_PAY_NO, &result->pay_no },     { P_CURRENCY, &result->currency }, { P_TRADE_NO, &result->trade_no },
        { P_PAYER, &result->payer },       { P_REFUND_NO, &result->refund_no },
        { P_CODE, &result->code },         { P_MESSAGE, &result->message },
    };
    ret_at[P_CHANNEL] = pack(buf, channel, strlen(channel));
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        ret_at[texts[i].which] = texts[i].text->len ? pack(buf, texts[i].text->data, texts[i].text->len) : SIZE_MAX;
    ret_at[P_MERCHANT] = result->merchant.count ? buf->len : SIZE_MAX;
    merchant_write(buf, &result->merchant);
    buf_addc(buf, '\0');
    ret_at[P_PROVIDER] = buf->len;
    write_fields(buf, &result->fields);
    buf_addc(buf, '\0');
}

static int64_t refund_number(const char *text)
{
    int64_t id;
    return text && id_parse(text, &id) ? id : 0;
}

struct item *item_new(const char *channel, const char *source, const struct pn_result *result, int64_t pay_no)
{
    struct buf buf = { 0 };
    size_t at[P_COUNT];
    struct item *item = NULL;
    pack_result(&buf, channel, result, at);
    if (!buf.failed)
        item = malloc(sizeof *item + buf.len);
    if (item) {
        memcpy(item->texts, buf.data, buf.len);
        const char *texts[P_COUNT];
        for (size_t i = 0; i < P_COUNT; i++)
            texts[i] = at[i] == SIZE_MAX ? NULL : item->texts + at[i];
        item->next = NULL;
        item->outcome = SETTLED_NOT;
        item->fact = (struct fact){
            .channel = texts[P_CHANNEL], .source = source, .pay_no_text = texts[P_PAY_NO], .pay_no = pay_no,
            .state = (enum pn_state)result->state, .total_minor = result->total_minor,
            .refunded_minor = result->refunded_minor, .currency = texts[P_CURRENCY], .trade_no = texts[P_TRADE_NO],
            .payer = texts[P_PAYER], .refund_no = texts[P_REFUND_NO],
            .refund = refund_number(texts[P_REFUND_NO]), .code = texts[P_CODE], .message = texts[P_MESSAGE], .merchant = texts[P_MERCHANT],
            .provider = texts[P_PROVIDER], .paid_at = result->paid_at_ms ? result->paid_at_ms : wall_ms(),
        };
    }
    buf_free(&buf);
    return item;
}
