/*
 * /v1/orders: create (with a payment, when a channel is named), read, list, close. Workers; closing and prepaying answer
 * from a later job, when the providers have answered.
 */
#include <stdio.h>
#include <string.h>

#include "base/ids.h"
#include "base/money.h"
#include "http/attempt.h"
#include "http/engine.h"
#include "http/handlers.h"
#include "http/input.h"
#include "http/problem.h"
#include "http/views.h"
#include "pay/cashier.h"

enum { GOODS_MOST = 100, ATTACH_BYTES = 4096, EXPIRY_MOST_S = 30 * 24 * 3600 };

static const char *cashier_url(struct http_request *request, const struct order *order)
{
    return pay_cashier_link(request->server->options.pay, order->order_id, request->arena);
}

/* ---- POST /v1/orders */

struct goods_body {
    const char *goods_id, *goods_type, *name, *detail, *price;
    int64_t quantity;
};

struct order_body {
    const char *out_business_id, *user_id, *order_type, *name, *description, *attach, *return_url, *amount, *currency;
    int64_t expires_in;
    struct spec_list goods;
    struct attempt_body attempt;
};

#define LINES(struct_, name_, max_)                                                                                              \
    {                                                                                                                            \
        .name = #name_, .type = SPEC_LINES, .max = (max_), .offset = offsetof(struct struct_, name_)                             \
    }
#define ATTEMPT(name_, max_)                                                                                                     \
    {                                                                                                                            \
        .name = #name_, .type = SPEC_TEXT, .max = (max_), .offset = offsetof(struct order_body, attempt.name_)                   \
    }
#define TEXT(struct_, name_, required_, max_)                                                                                    \
    {                                                                                                                            \
        .name = #name_, .type = SPEC_TEXT, .required = (required_), .max = (max_), .offset = offsetof(struct struct_, name_)     \
    }

static const struct spec_field goods_fields[] = {
    TEXT(goods_body, goods_id, false, 64),
    TEXT(goods_body, goods_type, false, 32),
    TEXT(goods_body, name, true, 256),
    LINES(goods_body, detail, 1024),
    TEXT(goods_body, price, true, 20),
    { .name = "quantity", .type = SPEC_INTEGER, .offset = offsetof(struct goods_body, quantity), .low = 1, .high = 1000000 },
};
static const struct spec goods_spec = { goods_fields, sizeof goods_fields / sizeof goods_fields[0], sizeof(struct goods_body),
                                        0 };

static const struct spec_field order_fields[] = {
    TEXT(order_body, out_business_id, true, 128),
    TEXT(order_body, amount, true, 20),
    TEXT(order_body, currency, false, 3),
    TEXT(order_body, name, true, 256),
    LINES(order_body, description, 1024),
    TEXT(order_body, user_id, false, 64),
    TEXT(order_body, order_type, false, 32),
    { .name = "attach", .type = SPEC_OBJECT, .max = ATTACH_BYTES, .offset = offsetof(struct order_body, attach) },
    { .name = "return_url", .type = SPEC_URL, .max = 512, .offset = offsetof(struct order_body, return_url) },
    { .name = "expires_in",
      .type = SPEC_INTEGER,
      .offset = offsetof(struct order_body, expires_in),
      .low = 1,
      .high = EXPIRY_MOST_S },
    { .name = "goods", .type = SPEC_LIST, .max = GOODS_MOST, .offset = offsetof(struct order_body, goods), .items = &goods_spec },
    ATTEMPT(channel, ATTEMPT_NAME_MAX),
    ATTEMPT(product, ATTEMPT_NAME_MAX),
    ATTEMPT(idempotency_key, ATTEMPT_KEY_MAX),
};
static const struct spec order_spec = { order_fields, sizeof order_fields / sizeof order_fields[0], sizeof(struct order_body),
                                        offsetof(struct order_body, attempt.params) };

static bool read_lines(struct http_request *request, const struct order_body *body, struct order_request *order)
{
    const struct goods_body *goods = body->goods.items;
    struct order_line *lines = arena_alloc(request->arena, body->goods.count * sizeof *lines);
    char field[48];
    for (size_t i = 0; lines && i < body->goods.count; i++) {
        lines[i] = (struct order_line){
            goods[i].goods_id, goods[i].goods_type, goods[i].name, goods[i].detail, 0, goods[i].quantity ? goods[i].quantity : 1
        };
        if (money_parse(goods[i].price, strlen(goods[i].price), order->currency, &lines[i].price_minor) == RC_OK)
            continue;
        snprintf(field, sizeof field, "goods[%zu].price", i);
        return input_fault(request, field, "must be an amount such as \"88.80\"");
    }
    order->lines = lines;
    order->line_count = lines ? body->goods.count : 0;
    return true;
}

static bool read_order(struct http_request *request, const struct order_body *body, struct order_request *ret)
{
    *ret = (struct order_request){
        .out_business_id = body->out_business_id,
        .user_id = body->user_id,
        .order_type = body->order_type,
        .name = body->name,
        .description = body->description,
        .attach = body->attach,
        .return_url = body->return_url,
        .currency = body->currency ? body->currency : "CNY",
        .expires_in_ms = body->expires_in * 1000,
    };
    if (money_decimals(ret->currency) < 0)
        return input_fault(request, "currency", "is no currency that is known here");
    if (money_parse(body->amount, strlen(body->amount), ret->currency, &ret->amount_minor) != RC_OK)
        return input_fault(request, "amount", "must be a decimal amount such as \"88.80\", with the currency's decimals at most");
    if (ret->amount_minor == 0)
        return input_fault(request, "amount", "must be more than 0");
    if (!body->attempt.channel && (body->attempt.product || body->attempt.idempotency_key || body->attempt.params.count > 0))
        return input_fault(request, "channel", "is missing: product and payer parameters belong to a payment");
    return read_lines(request, body, ret);
}

/* What the second half needs of the first. */
struct created {
    struct order order;
    bool is_new;
};

static void answer_created(struct http_request *request, const struct payment_view *attempt)
{
    const struct created *created = request->work;
    const struct order *order = attempt ? &attempt->order : &created->order;
    json_t *object = view_order(order, cashier_url(request, order));
    if (attempt)
        view_add_attempt(object, attempt, request->arena);
    http_reply_json(request, created->is_new ? 201 : 200, object);
}

static void attempt_made(void *arg, enum rc rc, const struct payment_view *view, const struct error *err)
{
    struct http_request *request = arg;
    const struct created *created = request->work;
    char order_id[ID_TEXT_MAX];
    if (rc == RC_OK)
        answer_created(request, view);
    else
        http_fail_order(request, err, id_format(created->order.order_id, order_id));
    request_unref(request);
}

void orders_create(struct http_request *request)
{
    struct http_server *server = request->server;
    struct order_body body = { 0 };
    struct order_request order;
    struct error err = { 0 };
    if (!input_body(request, &order_spec, server->payer_params, &body) || !read_order(request, &body, &order))
        return;
    struct payment_request attempt;
    if (body.attempt.channel && !attempt_read(request, &body.attempt, &attempt))
        return;

    struct created *created = arena_alloc(request->arena, sizeof *created);
    enum rc rc = created ? pay_order_create(server->options.pay, &request->caller, &order, request->arena, &created->order,
                                            &created->is_new, &err)
                         : error_set(&err, RC_NOMEM, "no memory for the order");
    if (rc) {
        http_fail(request, &err);
        return;
    }
    request->work = created;
    if (!body.attempt.channel || created->order.status == ORDER_PAID || created->order.status == ORDER_REFUNDED) {
        answer_created(request, NULL);
        return;
    }
    attempt.order_id = created->order.order_id;
    attempt.return_url = order.return_url;
    request_ref(request);
    pay_payment_create(server->options.pay, &request->caller, &attempt, request->arena, attempt_made, request);
}

/* ---- reading */

void orders_get(struct http_request *request)
{
    int64_t order_id;
    struct order_view view;
    struct error err = { 0 };
    if (!input_id(request, &order_id))
        return;
    if (pay_order_get(request->server->options.pay, &request->caller, order_id, request->arena, &view, &err)) {
        http_fail(request, &err);
        return;
    }
    http_reply_json(request, 200, view_order_full(&view, cashier_url(request, &view.order)));
}

void orders_list(struct http_request *request)
{
    static const char *const known[] = { "out_business_id", "user_id", "status", "created_from",
                                         "created_to",      "cursor",  "limit",  NULL };
    struct query query;
    struct order_filter filter = { 0 };
    struct order *orders;
    size_t count;
    struct error err = { 0 };
    if (!input_query(request, known, &query) || !input_text(request, &query, "out_business_id", 128, &filter.out_business_id) ||
        !input_text(request, &query, "user_id", 64, &filter.user_id) ||
        !input_status(request, &query, order_status_of, &filter.status) ||
        !input_time(request, &query, "created_from", &filter.created_from) ||
        !input_time(request, &query, "created_to", &filter.created_to) ||
        !input_page(request, &query, &filter.before_id, &filter.limit))
        return;
    size_t limit = filter.limit;
    if (pay_order_list(request->server->options.pay, &request->caller, &filter, request->arena, &orders, &count, &err)) {
        http_fail(request, &err);
        return;
    }
    json_t *items = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(items, view_order(&orders[i], cashier_url(request, &orders[i])));
    http_reply_json(request, 200, view_page("orders", items, count == limit ? orders[count - 1].order_id : 0));
}

/* ---- POST /v1/orders/{order_id}/close */

static void closed(void *arg, enum rc rc, const struct order *order, const struct error *err)
{
    struct http_request *request = arg;
    if (rc == RC_OK)
        http_reply_json(request, order->status == ORDER_CLOSED ? 200 : 202, view_order(order, cashier_url(request, order)));
    else
        http_fail(request, err);
    request_unref(request);
}

void orders_close(struct http_request *request)
{
    int64_t order_id;
    if (!input_id(request, &order_id))
        return;
    request_ref(request);
    pay_order_close(request->server->options.pay, &request->caller, order_id, request->arena, closed, request);
}
