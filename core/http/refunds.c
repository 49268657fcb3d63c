/*
 * /v1/refunds and the refunds of a payment. Workers; whatever asks a provider answers from a later job.
 */
#include "http/engine.h"
#include "http/handlers.h"
#include "http/input.h"
#include "http/problem.h"
#include "http/views.h"

enum { OUT_REFUND_ID_MAX = 64, REASON_MAX = 256 };

struct refund_body {
    const char *out_refund_id, *amount, *reason;
};

static const struct spec_field refund_fields[] = {
    { .name = "out_refund_id",
      .type = SPEC_TEXT,
      .required = true,
      .max = OUT_REFUND_ID_MAX,
      .offset = offsetof(struct refund_body, out_refund_id) },
    { .name = "amount", .type = SPEC_TEXT, .max = 20, .offset = offsetof(struct refund_body, amount) },
    { .name = "reason", .type = SPEC_TEXT, .max = REASON_MAX, .offset = offsetof(struct refund_body, reason) },
};
static const struct spec refund_spec = { refund_fields, sizeof refund_fields / sizeof refund_fields[0], sizeof(struct refund_body),
                                         0 };

static bool has_ended(const struct refund *refund)
{
    return refund->status == REFUND_SUCCEEDED || refund->status == REFUND_FAILED;
}

/* 202: ask again, or wait for the event. */
static void made(void *arg, enum rc rc, const struct refund_view *view, const struct error *err)
{
    struct http_request *request = arg;
    if (rc == RC_OK)
        http_reply_json(request, !has_ended(&view->refund) ? 202 : view->created ? 201 : 200, view_refund_full(view));
    else
        http_fail(request, err);
    request_unref(request);
}

void refunds_create(struct http_request *request)
{
    struct refund_body body = { 0 };
    struct refund_request *refund = arena_alloc(request->arena, sizeof *refund);
    int64_t pay_no;
    if (!input_id(request, &pay_no) || !input_body(request, &refund_spec, NULL, &body))
        return;
    if (!refund) {
        http_fail(request, &(struct error){ .rc = RC_NOMEM, .text = "no memory for the refund" });
        return;
    }
    *refund = (struct refund_request){
        .pay_no = pay_no, .out_refund_id = body.out_refund_id, .amount = body.amount, .reason = body.reason,
    };
    request_ref(request);
    pay_refund_create(request->server->options.pay, &request->caller, refund, request->arena, made, request);
}

void refunds_retry(struct http_request *request)
{
    int64_t refund_no;
    if (!input_id(request, &refund_no))
        return;
    request_ref(request);
    pay_refund_retry(request->server->options.pay, &request->caller, refund_no, request->arena, made, request);
}

static void shown(void *arg, enum rc rc, const struct refund_view *view, const struct error *err)
{
    struct http_request *request = arg;
    if (rc == RC_OK)
        http_reply_json(request, 200, view_refund_full(view));
    else
        http_fail(request, err);
    request_unref(request);
}

void refunds_get(struct http_request *request)
{
    static const char *const known[] = { "refresh", NULL };
    struct query query;
    int64_t refund_no;
    int refresh = 0;
    if (!input_id(request, &refund_no) || !input_query(request, known, &query) ||
        !input_boolean(request, &query, "refresh", &refresh))
        return;
    request_ref(request);
    pay_refund_get(request->server->options.pay, &request->caller, refund_no, refresh == 1, request->arena, shown, request);
}

void refunds_list(struct http_request *request)
{
    static const char *const known[] = { "pay_no",     "order_id", "out_refund_id", "status", "created_from",
                                         "created_to", "cursor",   "limit",         NULL };
    struct query query;
    struct refund_filter filter = { 0 };
    struct refund *refunds;
    size_t count;
    struct error err = { 0 };
    if (!input_query(request, known, &query) || !input_number(request, &query, "pay_no", &filter.pay_no) ||
        !input_number(request, &query, "order_id", &filter.order_id) ||
        !input_text(request, &query, "out_refund_id", 4 * OUT_REFUND_ID_MAX, &filter.out_refund_id) ||
        !input_status(request, &query, refund_status_of, &filter.status) ||
        !input_time(request, &query, "created_from", &filter.created_from) ||
        !input_time(request, &query, "created_to", &filter.created_to) ||
        !input_page(request, &query, &filter.before_id, &filter.limit))
        return;
    size_t limit = filter.limit;
    if (pay_refund_list(request->server->options.pay, &request->caller, &filter, request->arena, &refunds, &count, &err)) {
        http_fail(request, &err);
        return;
    }
    json_t *items = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(items, view_refund(&refunds[i]));
    http_reply_json(request, 200, view_page("refunds", items, count == limit ? refunds[count - 1].refund_no : 0));
}
