/*
 * /v1/payments and the attempts of an order. Workers; whatever asks a provider answers from a later job.
 */
#include "http/attempt.h"
#include "http/engine.h"
#include "http/handlers.h"
#include "http/input.h"
#include "http/problem.h"
#include "http/views.h"

struct payment_body {
    struct attempt_body attempt;
    const char *return_url;
};

static const struct spec_field payment_fields[] = {
    { .name = "channel",
      .type = SPEC_TEXT,
      .required = true,
      .max = ATTEMPT_NAME_MAX,
      .offset = offsetof(struct payment_body, attempt.channel) },
    { .name = "product", .type = SPEC_TEXT, .max = ATTEMPT_NAME_MAX, .offset = offsetof(struct payment_body, attempt.product) },
    { .name = "idempotency_key",
      .type = SPEC_TEXT,
      .max = ATTEMPT_KEY_MAX,
      .offset = offsetof(struct payment_body, attempt.idempotency_key) },
    { .name = "return_url", .type = SPEC_URL, .max = 512, .offset = offsetof(struct payment_body, return_url) },
};
static const struct spec payment_spec = { payment_fields, sizeof payment_fields / sizeof payment_fields[0],
                                          sizeof(struct payment_body), offsetof(struct payment_body, attempt.params) };

static void created(void *arg, enum rc rc, const struct payment_view *view, const struct error *err)
{
    struct http_request *request = arg;
    if (rc == RC_OK)
        http_reply_json(request, 201, view_payment(view, request->arena));
    else
        http_fail(request, err);
    request_unref(request);
}

void payments_create(struct http_request *request)
{
    struct http_server *server = request->server;
    struct payment_body body = { 0 };
    struct payment_request attempt;
    int64_t order_id;
    if (!input_id(request, &order_id) || !input_body(request, &payment_spec, server->payer_params, &body) ||
        !attempt_read(request, &body.attempt, &attempt))
        return;
    attempt.order_id = order_id;
    attempt.return_url = body.return_url;
    request_ref(request);
    pay_payment_create(server->options.pay, &request->caller, &attempt, request->arena, created, request);
}

static void shown(void *arg, enum rc rc, const struct payment_view *view, const struct error *err)
{
    struct http_request *request = arg;
    if (rc == RC_OK)
        http_reply_json(request, 200, view_payment(view, request->arena));
    else
        http_fail(request, err);
    request_unref(request);
}

void payments_get(struct http_request *request)
{
    static const char *const known[] = { "refresh", NULL };
    struct query query;
    int64_t pay_no;
    int refresh = 0;
    if (!input_id(request, &pay_no) || !input_query(request, known, &query) ||
        !input_boolean(request, &query, "refresh", &refresh))
        return;
    request_ref(request);
    pay_payment_get(request->server->options.pay, &request->caller, pay_no, refresh == 1, request->arena, shown, request);
}

void payments_list(struct http_request *request)
{
    static const char *const known[] = { "status",     "channel",      "trade_no", "user_id", "created_from",
                                         "created_to", "needs_review", "cursor",   "limit",   NULL };
    struct query query;
    struct record_filter filter = { .needs_review = -1 };
    struct pay_record *records;
    size_t count;
    struct error err = { 0 };
    if (!input_query(request, known, &query) || !input_status(request, &query, payment_status_of, &filter.status) ||
        !input_text(request, &query, "channel", ATTEMPT_NAME_MAX, &filter.channel) ||
        !input_text(request, &query, "trade_no", 128, &filter.trade_no) ||
        !input_text(request, &query, "user_id", 64, &filter.user_id) ||
        !input_time(request, &query, "created_from", &filter.created_from) ||
        !input_time(request, &query, "created_to", &filter.created_to) ||
        !input_boolean(request, &query, "needs_review", &filter.needs_review) ||
        !input_page(request, &query, &filter.before_id, &filter.limit))
        return;
    size_t limit = filter.limit;
    if (pay_payment_list(request->server->options.pay, &request->caller, &filter, request->arena, &records, &count, &err)) {
        http_fail(request, &err);
        return;
    }
    json_t *items = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(items, view_record(&records[i]));
    http_reply_json(request, 200, view_page("payments", items, count == limit ? records[count - 1].pay_no : 0));
}

void payments_accept(struct http_request *request)
{
    int64_t pay_no;
    struct payment_view view;
    struct error err = { 0 };
    if (!input_id(request, &pay_no))
        return;
    if (pay_payment_accept(request->server->options.pay, &request->caller, pay_no, request->arena, &view, &err)) {
        http_fail(request, &err);
        return;
    }
    http_reply_json(request, 200, view_payment(&view, request->arena));
}
