/*
 * /control: lists trades with their notices, makes things happen to them, sets faults. Runs on the threads of the HTTP
 * server; no state of its own.
 */
#include "control.h"

#include <stdlib.h>
#include <string.h>

#include "alipay.h"
#include "json.h"
#include "notifier.h"
#include "text.h"

#define SMALL_BODY (64 * 1024)
#define LARGE_BODY (16 * 1024 * 1024)

struct reply control_reply(unsigned status, json_t *json)
{
    char *text = need(json_dumps(json, JSON_INDENT(1)));
    json_decref(json);
    return reply_text(status, "application/json", text);
}

struct reply control_refuse(unsigned status, const char *text)
{
    return control_reply(status, json_pack("{s:s}", "error", text));
}

/* ---------------------------------------------------------------------------------------------- trades */

static const char *product_text(enum trade_product product)
{
    static const char *const texts[] = {[TRADE_WAP] = "wap", [TRADE_PAGE] = "page", [TRADE_PRECREATE] = "precreate"};
    return texts[product];
}

static json_t *describe_refund(const struct refund *refund)
{
    static const char *const texts[] = {[REFUND_PROCESSING] = "PROCESSING",
                                        [REFUND_SUCCESS] = "SUCCESS",
                                        [REFUND_CLOSED] = "CLOSED",
                                        [REFUND_CHANGE] = "CHANGE"};
    char *amount = money_text(refund->fen);
    json_t *json = json_pack("{s:s,s:s,s:s,s:s,s:s?,s:s?,s:I}", "refund_no", refund->refund_no, "refund_id", refund->refund_id,
                             "status", texts[refund->status], "amount", amount, "reason", refund->reason, "notify_url",
                             refund->notify_url, "done_ms", (json_int_t)refund->done_ms);
    free(amount);
    return json;
}

static json_t *describe_refunds(const struct trade *trade)
{
    json_t *list = json_array();
    for (const struct refund *refund = trade->refunds; refund; refund = refund->next)
        json_array_append_new(list, describe_refund(refund));
    return list;
}

static json_t *describe(const struct trade *trade)
{
    char *total = money_text(trade->total_fen), *refunded = money_text(trade->refunded_fen);
    json_t *json = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s?,s:s?,s:s?,s:s?,s:I,s:I,s:o}", "pay_no", trade->pay_no, "trade_no",
                             trade->trade_no, "product", product_text(trade->product), "status",
                             alipay_status_text(trade->status), "subject", trade->subject, "total_amount", total,
                             "refunded_amount", refunded, "body", trade->body, "passback_params", trade->passback_params,
                             "notify_url", trade->notify_url, "return_url", trade->return_url, "paid_ms",
                             (json_int_t)trade->paid_ms, "expires_ms", (json_int_t)trade->expires_ms, "refunds",
                             describe_refunds(trade));
    free(total);
    free(refunded);
    return json;
}

static struct reply list_trades(struct sandbox *sandbox, const struct request *request)
{
    (void)request;
    json_t *list = json_array();
    alipay_expire_all(sandbox);
    trades_lock(sandbox->trades);
    for (const struct trade *trade = trades_first(sandbox->trades); trade; trade = trade->next)
        json_array_append_new(list, describe(trade));
    trades_unlock(sandbox->trades);
    return control_reply(200, json_pack("{s:o}", "trades", list));
}

static struct reply show_trade(struct sandbox *sandbox, const struct request *request)
{
    trades_lock(sandbox->trades);
    const struct trade *trade = alipay_find(sandbox, request->rest);
    json_t *json = trade ? describe(trade) : NULL;
    trades_unlock(sandbox->trades);
    if (!json)
        return control_refuse(404, "there is no such trade");
    json_object_set_new(json, "notices", notifier_describe(sandbox->notifier, request->rest));
    return control_reply(200, json);
}

/* ---------------------------------------------------------------------------------------------- making things happen */

/* What a body may say about an event. */
struct wish {
    enum announce announce;
    int64_t fen; /* 0: not given */
    const char *out_request_no, *notice_id;
};

static const char *do_pay(struct sandbox *sandbox, struct trade *trade, const struct wish *wish)
{
    return alipay_event_pay(sandbox, trade, wish->announce);
}

static const char *do_close(struct sandbox *sandbox, struct trade *trade, const struct wish *wish)
{
    return alipay_event_close(sandbox, trade, wish->announce);
}

static const char *do_expire(struct sandbox *sandbox, struct trade *trade, const struct wish *wish)
{
    (void)wish;
    return alipay_event_expire(sandbox, trade);
}

static const char *do_finish(struct sandbox *sandbox, struct trade *trade, const struct wish *wish)
{
    return alipay_event_finish(sandbox, trade, wish->announce);
}

static const char *do_refund(struct sandbox *sandbox, struct trade *trade, const struct wish *wish)
{
    int64_t fen = wish->fen ? wish->fen : trade->total_fen - trade->refunded_fen;
    return alipay_event_refund(sandbox, trade, fen, wish->out_request_no, wish->announce);
}

static const char *do_tell(struct sandbox *sandbox, struct trade *trade, const struct wish *wish)
{
    (void)wish;
    return alipay_event_tell(sandbox, trade);
}

static const char *do_renotify(struct sandbox *sandbox, struct trade *trade, const struct wish *wish)
{
    return notifier_again(sandbox->notifier, trade->pay_no, wish->notice_id) ? NULL : "the trade has no such notice";
}

static const struct {
    const char *name;
    const char *(*act)(struct sandbox *sandbox, struct trade *trade, const struct wish *wish);
} events[] = {
    {"pay", do_pay},       {"close", do_close}, {"expire", do_expire},     {"finish", do_finish},
    {"refund", do_refund}, {"notify", do_tell}, {"renotify", do_renotify},
};

/* False: it is no JSON object, or a member is wrong. */
static bool parse_wish(const json_t *body, struct wish *ret_wish)
{
    static const char *const members[] = {"notify", "amount", "out_request_no", "notice_id", NULL};
    const json_t *notify = json_object_get(body, "notify");
    const char *amount;
    struct wish wish = {.announce = !notify ? ANNOUNCE_DEFAULT : json_is_true(notify) ? ANNOUNCE_YES : ANNOUNCE_NO};
    if (!json_has_only(body, members) || (notify && !json_is_boolean(notify)) || !json_text(body, "amount", &amount) ||
        !json_text(body, "out_request_no", &wish.out_request_no) || !json_text(body, "notice_id", &wish.notice_id))
        return false;
    if (amount && !money_parse(amount, &wish.fen))
        return false;
    *ret_wish = wish;
    return true;
}

static struct reply act_on(struct sandbox *sandbox, const char *pay_no, const char *event, const struct wish *wish)
{
    const char *wrong = "there is no such event";
    json_t *json = NULL;
    trades_lock(sandbox->trades);
    struct trade *trade = alipay_find(sandbox, pay_no);
    for (size_t i = 0; trade && i < sizeof events / sizeof *events; i++)
        if (strcmp(events[i].name, event) == 0)
            wrong = events[i].act(sandbox, trade, wish);
    if (trade && !wrong)
        json = describe(trade);
    trades_unlock(sandbox->trades);
    if (!trade)
        return control_refuse(404, "there is no such trade");
    return json ? control_reply(200, json) : control_refuse(409, wrong);
}

static struct reply act(struct sandbox *sandbox, const struct request *request)
{
    const char *slash = strchr(request->rest, '/');
    if (!slash)
        return control_refuse(404, "POST /control/trades/PAY_NO/EVENT");
    json_t *body = request->body_length ? json_loadb(request->body, request->body_length, 0, NULL) : json_object();
    struct wish wish;
    struct reply reply;
    if (parse_wish(body, &wish)) {
        char *pay_no = need(strndup(request->rest, (size_t)(slash - request->rest)));
        reply = act_on(sandbox, pay_no, slash + 1, &wish);
        free(pay_no);
    } else {
        reply = control_refuse(400, "the body is a JSON object: \"notify\" true or false, \"amount\", \"out_request_no\", \"notice_id\" text");
    }
    json_decref(body);
    return reply;
}

/* ---------------------------------------------------------------------------------------------- faults */

static struct reply add_fault(struct sandbox *sandbox, const struct request *request)
{
    json_t *wanted = json_loadb(request->body, request->body_length, 0, NULL);
    json_int_t id;
    const char *wrong = faults_add(sandbox->faults, wanted, &id);
    json_decref(wanted);
    return wrong ? control_refuse(400, wrong) : control_reply(201, json_pack("{s:I}", "id", id));
}

static struct reply list_faults(struct sandbox *sandbox, const struct request *request)
{
    (void)request;
    return control_reply(200, json_pack("{s:o}", "faults", faults_describe(sandbox->faults)));
}

static struct reply clear_faults(struct sandbox *sandbox, const struct request *request)
{
    (void)request;
    faults_clear(sandbox->faults);
    notifier_release(sandbox->notifier);
    return list_faults(sandbox, request);
}

static struct reply show_self(struct sandbox *sandbox, const struct request *request)
{
    (void)request;
    char *gateway = text_format("%s/gateway.do", server_url(sandbox->server));
    json_t *json = json_pack("{s:s,s:s,s:s,s:s}", "plays", "alipay", "app_id", sandbox->app_id, "seller_id",
                             sandbox->seller_id, "gateway", gateway);
    free(gateway);
    return control_reply(200, json);
}

static const struct route routes[] = {
    {"GET", "/control", SMALL_BODY, show_self},
    {"GET", "/control/trades", SMALL_BODY, list_trades},
    {"GET", "/control/trades/", SMALL_BODY, show_trade},
    {"POST", "/control/trades/", SMALL_BODY, act},
    {"GET", "/control/faults", SMALL_BODY, list_faults},
    {"POST", "/control/faults", SMALL_BODY, add_fault},
    {"DELETE", "/control/faults", SMALL_BODY, clear_faults},
    {"POST", "/control/sign-notice", LARGE_BODY, control_sign_notice},
};

const struct route_table control_routes = {routes, sizeof routes / sizeof *routes};
