/*
 * /control: lists trades with their notices, makes things happen to them, sets faults. What belongs to one provider is behind
 * struct provider. Runs on the threads of the HTTP server; no state of its own.
 */
#include "control.h"

#include <stdlib.h>
#include <string.h>

#include "faults.h"
#include "json.h"
#include "notifier.h"
#include "provider.h"
#include "text.h"
#include "trades.h"

#define SMALL_BODY (64 * 1024)
#define LARGE_BODY (16 * 1024 * 1024)

static const struct provider *const providers[] = {&alipay_provider, &wechat_provider};
#define PROVIDERS (sizeof providers / sizeof *providers)

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

static json_t *describe(const struct provider *provider, const struct trade *trade)
{
    char *total = money_text(trade->total_fen), *refunded = money_text(trade->refunded_fen);
    json_t *json = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s?,s:s?,s:s?,s:s?,s:I,s:I,s:o}", "provider", provider->name, "pay_no", trade->pay_no, "trade_no",
                             trade->trade_no, "product", provider->product(trade), "status",
                             provider->status(trade), "subject", trade->subject, "total_amount", total,
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
    for (size_t i = 0; i < PROVIDERS; i++) {
        struct trades *trades = providers[i]->trades(sandbox);
        providers[i]->expire_all(sandbox);
        trades_lock(trades);
        for (const struct trade *trade = trades_first(trades); trade; trade = trade->next)
            json_array_append_new(list, describe(providers[i], trade));
        trades_unlock(trades);
    }
    return control_reply(200, json_pack("{s:o}", "trades", list));
}

/* The trade of that number with its book locked, and whose it is. NULL: there is none, and nothing is locked. */
static struct trade *lock_trade(struct sandbox *sandbox, const char *number, const struct provider **ret_provider)
{
    for (size_t i = 0; i < PROVIDERS; i++) {
        struct trades *trades = providers[i]->trades(sandbox);
        trades_lock(trades);
        struct trade *trade = providers[i]->find(sandbox, number);
        *ret_provider = providers[i];
        if (trade)
            return trade;
        trades_unlock(trades);
    }
    return NULL;
}

static struct refund *lock_refund(struct sandbox *sandbox, const char *refund_no, const struct provider **ret_provider)
{
    for (size_t i = 0; i < PROVIDERS; i++) {
        struct trades *trades = providers[i]->trades(sandbox);
        trades_lock(trades);
        struct refund *refund = trades_find_refund(trades, refund_no);
        *ret_provider = providers[i];
        if (refund)
            return refund;
        trades_unlock(trades);
    }
    return NULL;
}

static struct reply show_trade(struct sandbox *sandbox, const struct request *request)
{
    const struct provider *provider;
    const struct trade *trade = lock_trade(sandbox, request->rest, &provider);
    if (!trade)
        return control_refuse(404, "there is no such trade");
    json_t *json = describe(provider, trade);
    char *pay_no = text_copy(trade->pay_no);
    trades_unlock(provider->trades(sandbox));
    json_object_set_new(json, "notices", notifier_describe(sandbox->notifier, pay_no));
    free(pay_no);
    return control_reply(200, json);
}

/* ---------------------------------------------------------------------------------------------- making things happen */

/* False: it is no JSON object, or a member is wrong. */
static bool parse_wish(const json_t *body, struct wish *ret_wish)
{
    static const char *const members[] = {"notify", "amount", "out_request_no", "out_refund_no", "notice_id", "notify_url",
                                          "coupon", NULL};
    const json_t *notify = json_object_get(body, "notify");
    const char *amount, *coupon, *request_no, *refund_no;
    struct wish wish = {.announce = !notify ? ANNOUNCE_DEFAULT : json_is_true(notify) ? ANNOUNCE_YES : ANNOUNCE_NO};
    if (!json_has_only(body, members) || (notify && !json_is_boolean(notify)) || !json_text(body, "amount", &amount) ||
        !json_text(body, "coupon", &coupon) ||
        !json_text(body, "out_request_no", &request_no) || !json_text(body, "out_refund_no", &refund_no) ||
        !json_text(body, "notice_id", &wish.notice_id) || !json_text(body, "notify_url", &wish.notify_url))
        return false;
    if ((amount && !money_parse(amount, &wish.fen)) || (coupon && !money_parse(coupon, &wish.coupon_fen)))
        return false;
    if (wish.notify_url && !text_is_url(wish.notify_url, 256))
        return false;
    wish.refund_no = refund_no ? refund_no : request_no;
    *ret_wish = wish;
    return true;
}

static const char no_event[] = "there is no such event";

static const char *act_on_trade(struct sandbox *sandbox, const struct provider *provider, struct trade *trade, const char *name,
                                const struct wish *wish)
{
    if (strcmp(name, "renotify") == 0)
        return notifier_again(sandbox->notifier, trade->pay_no, wish->notice_id) ? NULL : "the trade has no such notice";
    for (const struct trade_event *event = provider->events; event->name; event++)
        if (strcmp(event->name, name) == 0)
            return event->act(sandbox, trade, wish);
    return no_event;
}

static struct reply on_trade(struct sandbox *sandbox, const char *number, const char *name, const struct wish *wish)
{
    const struct provider *provider;
    struct trade *trade = lock_trade(sandbox, number, &provider);
    if (!trade)
        return control_refuse(404, "there is no such trade");
    const char *wrong = act_on_trade(sandbox, provider, trade, name, wish);
    json_t *json = wrong ? NULL : describe(provider, trade);
    trades_unlock(provider->trades(sandbox));
    return json ? control_reply(200, json) : control_refuse(409, wrong);
}

static struct reply on_refund(struct sandbox *sandbox, const char *refund_no, const char *name, const struct wish *wish)
{
    const struct provider *provider;
    struct refund *refund = lock_refund(sandbox, refund_no, &provider);
    const char *wrong = no_event;
    if (!refund)
        return control_refuse(404, "there is no such refund");
    for (const struct refund_event *event = provider->refund_events; event->name; event++)
        if (strcmp(event->name, name) == 0)
            wrong = event->act(sandbox, refund, wish);
    json_t *json = wrong ? NULL : describe(provider, refund->trade);
    trades_unlock(provider->trades(sandbox));
    return json ? control_reply(200, json) : control_refuse(409, wrong);
}

/* NUMBER/EVENT, with a body that says how. */
static struct reply act(struct sandbox *sandbox, const struct request *request,
                        struct reply (*on)(struct sandbox *, const char *, const char *, const struct wish *))
{
    const char *slash = strrchr(request->rest, '/');
    if (!slash)
        return control_refuse(404, "POST /control/trades/PAY_NO/EVENT or /control/refunds/REFUND_NO/EVENT");
    json_t *body = request->body_length ? json_loadb(request->body, request->body_length, 0, NULL) : json_object();
    struct wish wish;
    struct reply reply;
    if (parse_wish(body, &wish)) {
        char *number = need(strndup(request->rest, (size_t)(slash - request->rest)));
        reply = on(sandbox, number, slash + 1, &wish);
        free(number);
    } else {
        reply = control_refuse(400, "the body is a JSON object: \"notify\" true or false, \"amount\", \"coupon\", \"out_request_no\" or "
                                    "\"out_refund_no\", \"notice_id\", \"notify_url\" text");
    }
    json_decref(body);
    return reply;
}

static struct reply act_trade(struct sandbox *sandbox, const struct request *request)
{
    return act(sandbox, request, on_trade);
}

static struct reply act_refund(struct sandbox *sandbox, const struct request *request)
{
    return act(sandbox, request, on_refund);
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
    {"POST", "/control/trades/", SMALL_BODY, act_trade},
    {"POST", "/control/refunds/", SMALL_BODY, act_refund},
    {"GET", "/control/faults", SMALL_BODY, list_faults},
    {"POST", "/control/faults", SMALL_BODY, add_fault},
    {"DELETE", "/control/faults", SMALL_BODY, clear_faults},
    {"POST", "/control/sign-notice", LARGE_BODY, control_sign_notice},
};

const struct route_table control_routes = {routes, sizeof routes / sizeof *routes};
