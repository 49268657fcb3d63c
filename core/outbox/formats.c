/*
 * The formats of formats.h. The members are copied as they stand in the event's JSON, so nothing is unescaped and escaped
 * again: `mqmessage` is reference A's five fields with the rest under "payment"; `provider` is the provider's own fields,
 * with the shop's number as out_trade_no.
 */
#include "outbox/formats.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/ids.h"
#include "outbox/json.h"

/* The members of the event's JSON that formats use; the first ones, in this order, are what "payment" holds. */
enum field {
    PAY_NO, TRADE_NO, CHANNEL, AMOUNT, CURRENCY, PAID_AT, APP, ORDER_ID, PAYER, ATTACH,
    PAYMENT_FIELDS,
    OUT_BUSINESS_ID = PAYMENT_FIELDS, ORDER_TYPE, PROVIDER,
    FIELDS
};
#define NAME(text_) { text_, sizeof text_ - 1 }
static const struct json_span field_names[FIELDS] = {
    NAME("pay_no"), NAME("trade_no"), NAME("channel"), NAME("amount"), NAME("currency"), NAME("paid_at"), NAME("app"),
    NAME("order_id"), NAME("payer"), NAME("attach"), NAME("out_business_id"), NAME("order_type"), NAME("provider"),
};

struct view {
    const struct event *event;
    struct json_span fields[FIELDS];
};

static bool same(struct json_span a, struct json_span b)
{
    return a.len == b.len && memcmp(a.at, b.at, a.len) == 0;
}

static bool view_read(struct view *view, const struct event *event)
{
    struct json_walk walk;
    struct json_span key, value;
    *view = (struct view){ .event = event };
    json_walk_begin(&walk, event->data, strlen(event->data));
    while (json_walk_next(&walk, &key, &value))
        for (int i = 0; i < FIELDS; i++)
            if (same(key, field_names[i])) {
                view->fields[i] = span_is(value, "null") ? (struct json_span){ 0 } : value;
                break;
            }
    return !walk.broken;
}

static void add_span(struct buf *buf, struct json_span value)
{
    buf_add(buf, value.at, value.len);
}

static void add_span_or_null(struct buf *buf, struct json_span value)
{
    if (value.at)
        add_span(buf, value);
    else
        buf_adds(buf, "null");
}

/* ---- mqmessage */

static bool render_mqmessage(const struct view *view, struct buf *body)
{
    buf_adds(body, "{\"id\":");
    buf_add_i64(body, view->event->event_id);
    buf_adds(body, ",\"messageType\":\"payresult_notify\",\"businessKey1\":");
    add_span_or_null(body, view->fields[OUT_BUSINESS_ID]);
    buf_adds(body, ",\"businessKey2\":");
    add_span_or_null(body, view->fields[ORDER_TYPE]);
    buf_adds(body, ",\"businessKey3\":null,\"payment\":{");
    bool first = true;
    for (int i = 0; i < PAYMENT_FIELDS; i++) {
        if (!view->fields[i].at)
            continue;
        buf_adds(body, first ? "\"" : ",\"");
        add_span(body, field_names[i]);
        buf_adds(body, "\":");
        add_span(body, view->fields[i]);
        first = false;
    }
    buf_adds(body, "}}");
    return true;
}

/* ---- provider */

/* Fields of ours stand in for the provider's of the same name; secrets of the exchange are left out. */
static bool is_ours_or_left_out(struct json_span key)
{
    static const struct json_span names[] = {
        NAME("out_trade_no"), NAME("pay_no"), NAME("return_code"), NAME("result_code"), NAME("sign"), NAME("nonce_str"),
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (same(key, names[i]))
            return true;
    return false;
}

/* "20240520131420" in the providers' fixed +08:00. */
static void add_time_end(struct buf *body, struct json_span paid_at)
{
    char text[CLOCK_TEXT_MAX + 2] = "";
    int64_t ms;
    if (!span_is_string(paid_at) || paid_at.len - 2 >= sizeof text)
        return;
    memcpy(text, paid_at.at + 1, paid_at.len - 2);
    if (clock_parse(text, &ms))
        return;
    time_t seconds = (time_t)(ms / 1000 + 8 * 3600);
    struct tm parts;
    char digits[32];
    if (gmtime_r(&seconds, &parts) && strftime(digits, sizeof digits, "%Y%m%d%H%M%S", &parts) > 0)
        buf_addf(body, ",\"time_end\":\"%s\"", digits);
}

static bool add_provider_fields(const struct view *view, struct buf *body)
{
    bool have_transaction_id = false, have_time_end = false;
    struct json_span provider = view->fields[PROVIDER], key, value;
    struct json_walk walk = { 0 };
    if (provider.at)
        json_walk_begin(&walk, provider.at, provider.len);
    while (json_walk_next(&walk, &key, &value)) {
        if (is_ours_or_left_out(key) || !span_is_string(value))
            continue;
        have_transaction_id = have_transaction_id || span_is(key, "transaction_id");
        have_time_end = have_time_end || span_is(key, "time_end");
        buf_adds(body, ",\"");
        add_span(body, key);
        buf_adds(body, "\":");
        add_span(body, value);
    }
    if (!have_transaction_id && view->fields[TRADE_NO].at) {
        buf_adds(body, ",\"transaction_id\":");
        add_span(body, view->fields[TRADE_NO]);
    }
    if (!have_time_end)
        add_time_end(body, view->fields[PAID_AT]);
    return !walk.broken;
}

static bool render_provider(const struct view *view, struct buf *body)
{
    buf_adds(body, "{\"out_trade_no\":");
    add_span_or_null(body, view->fields[OUT_BUSINESS_ID]);
    buf_adds(body, ",\"pay_no\":");
    add_span_or_null(body, view->fields[PAY_NO]);
    buf_adds(body, ",\"return_code\":\"SUCCESS\",\"result_code\":\"SUCCESS\"");
    bool fine = add_provider_fields(view, body);
    buf_addc(body, '}');
    return fine;
}

/* ---- the finished event */

static const struct format {
    bool (*render)(const struct view *view, struct buf *body);
    const char *content_type, *content_encoding;
} formats[] = {
    [FORMAT_MQMESSAGE] = { render_mqmessage, "application/json", NULL },
    [FORMAT_PROVIDER] = { render_provider, "text/plain", "UTF-8" },
};

bool format_carries(enum event_format format, const char *event_type)
{
    (void)format;
    return strcmp(event_type, "payment.succeeded") == 0;
}

static struct pn_str constant(const char *text)
{
    return (struct pn_str){ text, text ? strlen(text) : 0 };
}

/* Texts are collected in one buffer first, which may move while it grows: an offset stands for the pointer until then. */
struct pending {
    struct pn_str *target;
    size_t offset, len;
};

enum { TEXTS_MAX = 9 };

struct assembly {
    struct buf *buf;
    struct pending texts[TEXTS_MAX];
    size_t count;
    bool fine;
};

/* What was added since `from` becomes a NUL-terminated text. */
static void end_text(struct assembly *a, struct pn_str *target, size_t from)
{
    a->texts[a->count++] = (struct pending){ target, from, a->buf->len - from };
    buf_add(a->buf, "", 1);
}

static void add_text(struct assembly *a, struct pn_str *target, const char *text)
{
    size_t from = a->buf->len;
    if (!text)
        return;
    buf_adds(a->buf, text);
    end_text(a, target, from);
}

static void add_id(struct assembly *a, struct pn_str *target, int64_t id)
{
    char text[ID_TEXT_MAX];
    add_text(a, target, id ? id_format(id, text) : NULL);
}

static void add_unescaped(struct assembly *a, struct pn_str *target, struct json_span value)
{
    size_t from = a->buf->len;
    if (!value.at)
        return;
    a->fine = a->fine && span_unescape(value, a->buf);
    end_text(a, target, from);
}

static struct pn_event *finish(const struct assembly *a, const struct pn_event *shape)
{
    struct pn_event *event = a->buf->failed ? NULL : malloc(sizeof *event + a->buf->len);
    if (!event)
        return NULL;
    *event = *shape;
    char *texts = (char *)(event + 1);
    memcpy(texts, a->buf->data, a->buf->len);
    for (size_t i = 0; i < a->count; i++) {
        size_t at = (size_t)((const char *)a->texts[i].target - (const char *)shape);
        struct pn_str *target = (struct pn_str *)(void *)((char *)event + at);
        *target = (struct pn_str){ texts + a->texts[i].offset, a->texts[i].len };
    }
    return event;
}

enum rc format_render(enum event_format format, const struct event *event, struct buf *scratch, struct pn_event **ret_event)
{
    struct view view;
    struct pn_event shape = {
        .size = sizeof shape,
        .attempt = 1,
        .created_at_ms = event->created_at,
        .content_type = constant(formats[format].content_type),
        .content_encoding = constant(formats[format].content_encoding),
    };
    struct assembly a = { .buf = scratch, .fine = view_read(&view, event) };
    buf_clear(scratch);
    if (a.fine) {
        add_id(&a, &shape.id, event->event_id);
        add_text(&a, &shape.type, event->type);
        add_text(&a, &shape.app, event->app);
        add_id(&a, &shape.order_id, event->order_id);
        add_unescaped(&a, &shape.out_business_id, view.fields[OUT_BUSINESS_ID]);
        add_text(&a, &shape.order_type, event->order_type);
        add_id(&a, &shape.pay_no, event->pay_no);
        add_unescaped(&a, &shape.channel, view.fields[CHANNEL]);
        size_t from = scratch->len;
        a.fine = a.fine && formats[format].render(&view, scratch);
        end_text(&a, &shape.body, from);
    }
    if (!a.fine)
        return RC_DATA;
    struct pn_event *rendered = finish(&a, &shape);
    if (!rendered)
        return RC_NOMEM;
    *ret_event = rendered;
    return RC_OK;
}
