/*
 * The cashier's page, its choice and its status poll. Workers; the link's signature is checked by pay. What is chosen is
 * shown by a page of its own (303), so that loading again, and going back and forth, sends nothing twice.
 */
#include <inttypes.h>
#include "base/ids.h"
#include "base/log.h"
#include "http/cashier_view.h"
#include "http/engine.h"
#include "http/handlers.h"
#include "http/problem.h"
#include "http/query.h"
#include "http/views.h"

/* What a link of the cashier says. */
struct link {
    int64_t order_id, pay_no;
    const char *signature;
    struct query fields;
};

/* From the query, or from a form of the same shape. A `pay` that is no number shows nothing. */
static bool read_link(struct http_request *request, const char *text, struct link *ret)
{
    struct error err = { 0 };
    struct link link = { 0 };
    if (!id_parse(request->id, &link.order_id) || query_parse(text, request->arena, &link.fields, &err))
        return false;
    link.signature = query_get(&link.fields, "k");
    const char *pay = query_get(&link.fields, "pay");
    if (pay && !id_parse(pay, &link.pay_no))
        link.pay_no = 0;
    *ret = link;
    return link.signature != NULL;
}

static enum rc load(struct http_request *request, const struct link *link, struct cashier_page *ret, struct error *err)
{
    return pay_cashier_load(request->server->options.pay, link->order_id, link->signature, link->pay_no, request->client_ip,
                            request->arena, ret, err);
}

static void fail(struct http_request *request, enum rc rc, const struct error *err)
{
    static struct log_limit limit;
    if (rc == RC_NOT_FOUND) {
        payer_unknown_link(request);
        return;
    }
    if (log_allow(&limit, 60))
        log_warn("cashier page failed", LOG_S("error", rc_name(rc)), LOG_S("reason", err->text));
    payer_try_again(request);
}

/* ---- GET /cashier/{order_id} */

void cashier_show(struct http_request *request)
{
    struct link link;
    struct cashier_page shown;
    struct error err = { 0 };
    if (!read_link(request, request->query, &link)) {
        payer_unknown_link(request);
        return;
    }
    enum rc rc = load(request, &link, &shown, &err);
    if (rc) {
        fail(request, rc, &err);
        return;
    }
    struct page page;
    cashier_view(&page, &shown, link.signature, request->language, request->arena);
    page_reply(request, cashier_http_status(shown.state), &page, "form-action 'self'");
}

/* ---- GET /cashier/{order_id}/status */

void cashier_status(struct http_request *request)
{
    struct link link;
    struct cashier_page shown;
    struct error err = { 0 };
    if (!read_link(request, request->query, &link)) {
        http_problem(request, &(struct problem){ .type = PROBLEM_NOT_FOUND, .detail = "This link is not valid." });
        return;
    }
    if (load(request, &link, &shown, &err)) {
        http_fail(request, &err);
        return;
    }
    json_t *object = json_object();
    json_object_set_new(object, "order_id", json_string(request->id));
    json_object_set_new(object, "order_status", json_string(order_status_name(shown.order.status)));
    json_object_set_new(object, "state", json_string(cashier_state_name(shown.state)));
    json_object_set_new(object, "expires_in", json_integer((shown.left_ms + 999) / 1000));
    http_reply_json(request, 200, object);
}

/* ---- POST /cashier/{order_id}/pay */

/* Back to the page; relative, because public_url may have a path. */
static void go_back(struct http_request *request, const struct link *link, int64_t pay_no)
{
    const char *url = pay_no > 0 ? arena_printf(request->arena, "../%s?k=%s&pay=%" PRId64, request->id, link->signature, pay_no)
                                 : arena_printf(request->arena, "../%s?k=%s", request->id, link->signature);
    payer_see_other(request, url);
}

static void chosen(void *arg, enum rc rc, const struct payment_view *view, const struct error *err)
{
    struct http_request *request = arg;
    if (view)
        go_back(request, request->work, view->record.pay_no);
    else if (rc == RC_CONFLICT) /* paid, closed or expired: the page says which */
        go_back(request, request->work, 0);
    else if (rc == RC_BAD_INPUT)
        page_say(request, 422, "没有这种支付方式", "There is no such way to pay", "请返回上一页重新选择。",
                 "Please go back and choose again.");
    else if (rc == RC_FULL)
        page_say(request, 429, "尝试次数过多", "Too many attempts", "请回到商家页面重新下单。", "Please order again at the shop.");
    else
        fail(request, rc, err);
    request_unref(request);
}

void cashier_choose(struct http_request *request)
{
    struct link *link = arena_alloc(request->arena, sizeof *link);
    struct error err = { 0 };
    if (!link) {
        fail(request, error_set(&err, RC_NOMEM, "out of memory"), &err);
        return;
    }
    if (!read_link(request, buf_text(&request->body), link)) {
        payer_unknown_link(request);
        return;
    }
    const char *channel = query_get(&link->fields, "channel"), *product = query_get(&link->fields, "product");
    request->work = link;
    request_ref(request);
    pay_cashier_choose(request->server->options.pay, link->order_id, link->signature, channel ? channel : "",
                       product ? product : "", request->client_ip, request->arena, chosen, request);
}
