/*
 * JSON views. The same words are in doc/openapi.yaml, and a test holds the two together.
 */
#include "http/views.h"

#include <string.h>

#include "base/clock.h"
#include "base/ids.h"
#include "base/money.h"
#include "http/qr.h"
#include "http/rawjson.h"

struct status_word {
    int code;
    const char *name, *code_text;
};

static const struct status_word order_words[] = {
    { ORDER_UNPAID, "unpaid", "600001" },     { ORDER_PAID, "paid", "600002" },       { ORDER_CLOSED, "closed", "600003" },
    { ORDER_REFUNDED, "refunded", "600004" }, { ORDER_CLOSING, "closing", "600005" }, { 0 },
};
static const struct status_word payment_words[] = {
    { PAYMENT_UNPAID, "unpaid", "601001" },
    { PAYMENT_PAID, "paid", "601002" },
    { PAYMENT_REFUNDED, "refunded", "601003" },
    { PAYMENT_CLOSED, "closed", "601004" },
    { 0 },
};
static const struct status_word refund_words[] = {
    { REFUND_CREATED, "created", "602001" },
    { REFUND_PROCESSING, "processing", "602002" },
    { REFUND_SUCCEEDED, "succeeded", "602003" },
    { REFUND_FAILED, "failed", "602004" },
    { REFUND_UNKNOWN, "unknown", "602005" },
    { 0 },
};

static const struct status_word *word_of(const struct status_word *words, int code)
{
    while (words->name && words->code != code)
        words++;
    return words;
}

static int code_of(const struct status_word *words, const char *text)
{
    while (words->name && strcmp(words->name, text) != 0 && strcmp(words->code_text, text) != 0)
        words++;
    return words->code;
}

const char *order_status_name(enum order_status status)
{
    const char *name = word_of(order_words, (int) status)->name;
    return name ? name : "unknown";
}

const char *payment_status_name(enum payment_status status)
{
    const char *name = word_of(payment_words, (int) status)->name;
    return name ? name : "unknown";
}

int order_status_of(const char *text)
{
    return code_of(order_words, text);
}

int payment_status_of(const char *text)
{
    return code_of(payment_words, text);
}

int refund_status_of(const char *text)
{
    return code_of(refund_words, text);
}

/* ---- members; absent facts are left out */

static void put_text(json_t *object, const char *key, const char *text)
{
    if (text)
        json_object_set_new(object, key, json_string(text));
}

static void put_id(json_t *object, const char *key, int64_t id)
{
    char text[ID_TEXT_MAX];
    if (id > 0)
        put_text(object, key, id_format(id, text));
}

static void put_time(json_t *object, const char *key, int64_t ms)
{
    char text[CLOCK_TEXT_MAX];
    if (ms > 0)
        put_text(object, key, clock_format(ms, text));
}

static void put_money(json_t *object, const char *key, int64_t minor, const char *currency)
{
    char text[MONEY_TEXT_MAX];
    put_text(object, key, money_format(minor, currency, text));
}

static void put_status(json_t *object, const struct status_word *word)
{
    put_text(object, "status", word->name ? word->name : "unknown");
    put_text(object, "status_code", word->code_text ? word->code_text : "0");
}

/* Stored JSON, as JSON. */
static void put_json(json_t *object, const char *key, const char *text)
{
    if (text)
        json_object_set_new(object, key, rawjson_new(text));
}

/* ---- orders */

json_t *view_order(const struct order *order, const char *cashier_url)
{
    json_t *object = json_object();
    put_id(object, "order_id", order->order_id);
    put_text(object, "out_business_id", order->out_business_id);
    put_text(object, "app", order->app);
    put_status(object, word_of(order_words, (int) order->status));
    put_money(object, "amount", order->amount_minor, order->currency);
    put_money(object, "refunded_amount", order->refunded_minor, order->currency);
    put_text(object, "currency", order->currency);
    put_text(object, "name", order->name);
    put_text(object, "description", order->description);
    put_text(object, "user_id", order->user_id);
    put_text(object, "order_type", order->order_type);
    put_json(object, "attach", order->attach);
    put_text(object, "return_url", order->return_url);
    put_time(object, "created_at", order->created_at);
    put_time(object, "expires_at", order->expires_at);
    put_time(object, "paid_at", order->paid_at);
    put_time(object, "closed_at", order->closed_at);
    put_id(object, "paid_pay_no", order->paid_pay_no);
    put_text(object, "cashier_url", cashier_url);
    return object;
}

static json_t *view_line(const struct order_line *line, const char *currency)
{
    json_t *object = json_object();
    put_text(object, "goods_id", line->goods_id);
    put_text(object, "goods_type", line->goods_type);
    put_text(object, "name", line->name);
    put_text(object, "detail", line->detail);
    put_money(object, "price", line->price_minor, currency);
    json_object_set_new(object, "quantity", json_integer(line->quantity));
    return object;
}

json_t *view_order_full(const struct order_view *view, const char *cashier_url)
{
    json_t *object = view_order(&view->order, cashier_url);
    json_t *goods = json_array(), *payments = json_array();
    for (size_t i = 0; i < view->line_count; i++)
        json_array_append_new(goods, view_line(&view->lines[i], view->order.currency));
    for (size_t i = 0; i < view->record_count; i++)
        json_array_append_new(payments, view_record(&view->records[i]));
    json_object_set_new(object, "goods", goods);
    json_object_set_new(object, "payments", payments);
    return object;
}

/* ---- payments */

json_t *view_record(const struct pay_record *record)
{
    json_t *object = json_object();
    put_id(object, "pay_no", record->pay_no);
    put_id(object, "order_id", record->order_id);
    put_text(object, "channel", record->channel);
    put_text(object, "product", record->product);
    put_status(object, word_of(payment_words, (int) record->status));
    put_money(object, "amount", record->amount_minor, record->currency);
    put_money(object, "refunded_amount", record->refunded_minor, record->currency);
    put_money(object, "refunding_amount", record->refunding_minor, record->currency);
    put_text(object, "currency", record->currency);
    put_text(object, "trade_no", record->trade_no);
    put_text(object, "payer", record->payer);
    json_object_set_new(object, "needs_review", json_boolean(record->needs_review));
    put_time(object, "created_at", record->created_at);
    put_time(object, "expires_at", record->expires_at);
    put_time(object, "paid_at", record->paid_at);
    return object;
}

static void put_attempt(json_t *object, const struct payment_view *view, struct arena *arena)
{
    put_text(object, "pay_url", view->pay_url);
    put_text(object, "code_url", view->code_url);
    const char *drawn = view->code_url ? view->code_url : view->pay_url;
    if (drawn)
        put_text(object, "qrcode", qr_data_uri(drawn, arena));
    if (view->app_param_count > 0) {
        json_t *params = json_object();
        for (size_t i = 0; i < view->app_param_count; i++)
            put_text(params, view->app_params[i].name, view->app_params[i].value);
        json_object_set_new(object, "app_params", params);
    }
    if (view->other_count > 0) {
        json_t *others = json_array();
        for (size_t i = 0; i < view->other_count; i++)
            json_array_append_new(others, view_record(&view->others[i]));
        json_object_set_new(object, "other_open_payments", others);
    }
    if (!view->unknown)
        return;
    json_object_set_new(object, "unknown", json_true());
    put_text(object, "provider_code", view->provider_code);
    put_text(object, "provider_message", view->provider_message);
}

json_t *view_payment(const struct payment_view *view, struct arena *arena)
{
    json_t *object = view_record(&view->record);
    put_text(object, "order_status", order_status_name(view->order.status));
    put_attempt(object, view, arena);
    return object;
}

void view_add_attempt(json_t *order, const struct payment_view *view, struct arena *arena)
{
    put_id(order, "pay_no", view->record.pay_no);
    put_text(order, "channel", view->record.channel);
    put_text(order, "product", view->record.product);
    put_attempt(order, view, arena);
}

/* ---- refunds */

json_t *view_refund(const struct refund *refund)
{
    json_t *object = json_object();
    put_id(object, "refund_no", refund->refund_no);
    put_text(object, "out_refund_id", refund->out_refund_id);
    put_id(object, "pay_no", refund->pay_no);
    put_id(object, "order_id", refund->order_id);
    put_text(object, "app", refund->app);
    put_text(object, "channel", refund->channel);
    put_status(object, word_of(refund_words, (int) refund->status));
    put_text(object, "source", refund->source);
    put_text(object, "cause", refund->cause);
    put_money(object, "amount", refund->amount_minor, refund->currency);
    put_text(object, "currency", refund->currency);
    put_text(object, "reason", refund->reason);
    put_text(object, "provider_refund_no", refund->provider_no);
    put_text(object, "provider_code", refund->code);
    put_text(object, "provider_message", refund->message);
    put_time(object, "created_at", refund->created_at);
    put_time(object, "finished_at", refund->finished_at);
    return object;
}

json_t *view_refund_full(const struct refund_view *view)
{
    json_t *object = view_refund(&view->refund);
    put_text(object, "payment_status", payment_status_name(view->record.status));
    put_text(object, "order_status", order_status_name(view->order.status));
    return object;
}

json_t *view_page(const char *name, json_t *items, int64_t next_before)
{
    json_t *object = json_object();
    json_object_set_new(object, name, items);
    put_id(object, "next", next_before);
    return object;
}
