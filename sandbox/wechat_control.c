/*
 * WeChat Pay as the control interface sees it: the events of orders and refunds by name, the settings, and the app that
 * checks the parameters it is handed. Runs on the threads of the HTTP server; no state of its own.
 */
#include <stdlib.h>
#include <string.h>

#include "control.h"
#include "json.h"
#include "text.h"
#include "wechat.h"

#define SMALL_BODY (64 * 1024)
#define MOST_MS (INT64_C(24) * 3600 * 1000)

/* ---------------------------------------------------------------------------------------------- events */

static const char *do_pay(struct sandbox *sandbox, struct trade *trade, const struct wish *wish)
{
    return wechat_event_pay(sandbox, trade, wish->coupon_fen, wish->announce);
}

static const char *do_close(struct sandbox *sandbox, struct trade *trade, const struct wish *wish)
{
    (void)sandbox;
    (void)wish;
    return wechat_event_close(trade);
}

static const char *do_expire(struct sandbox *sandbox, struct trade *trade, const struct wish *wish)
{
    (void)sandbox;
    (void)wish;
    return wechat_event_expire(trade);
}

static const char *do_userpaying(struct sandbox *sandbox, struct trade *trade, const struct wish *wish)
{
    (void)sandbox;
    (void)wish;
    return wechat_event_show(trade, "USERPAYING");
}

static const char *do_payerror(struct sandbox *sandbox, struct trade *trade, const struct wish *wish)
{
    const char *wrong = wechat_event_show(trade, "PAYERROR");
    if (!wrong && wish->announce == ANNOUNCE_YES)
        wechat_notify(sandbox, trade, "PAYERROR");
    return wrong;
}

static const char *do_accept(struct sandbox *sandbox, struct trade *trade, const struct wish *wish)
{
    (void)sandbox;
    (void)wish;
    return wechat_event_show(trade, "ACCEPT");
}

static const char *do_refund(struct sandbox *sandbox, struct trade *trade, const struct wish *wish)
{
    return wechat_event_refund(sandbox, trade, wish);
}

static const char *do_tell(struct sandbox *sandbox, struct trade *trade, const struct wish *wish)
{
    (void)wish;
    if (!trade->paid_ms)
        return "only a payment is announced";
    wechat_notify(sandbox, trade, NULL);
    return NULL;
}

static const struct trade_event events[] = {
    {"pay", do_pay},           {"close", do_close},   {"expire", do_expire}, {"userpaying", do_userpaying},
    {"payerror", do_payerror}, {"accept", do_accept}, {"refund", do_refund}, {"notify", do_tell},
    {NULL, NULL},
};

static const char *do_succeed(struct sandbox *sandbox, struct refund *refund, const struct wish *wish)
{
    return wechat_event_refund_end(sandbox, refund, REFUND_SUCCESS, wish);
}

static const char *do_refuse(struct sandbox *sandbox, struct refund *refund, const struct wish *wish)
{
    return wechat_event_refund_end(sandbox, refund, REFUND_CLOSED, wish);
}

static const char *do_change(struct sandbox *sandbox, struct refund *refund, const struct wish *wish)
{
    return wechat_event_refund_end(sandbox, refund, REFUND_CHANGE, wish);
}

static const char *do_tell_refund(struct sandbox *sandbox, struct refund *refund, const struct wish *wish)
{
    const char *url = wish->notify_url ? wish->notify_url : refund->notify_url ? refund->notify_url : refund->trade->notify_url;
    wechat_notify_refund(sandbox, refund, url);
    return NULL;
}

static const struct refund_event refund_events[] = {
    {"succeed", do_succeed}, {"close", do_refuse}, {"change", do_change}, {"notify", do_tell_refund}, {NULL, NULL},
};

static struct trades *book(const struct sandbox *sandbox)
{
    return sandbox->wechat->trades;
}

static const char *product(const struct trade *trade)
{
    return wechat_order_text(trade, "trade_type");
}

const struct provider wechat_provider = {
    .name = "wechat",
    .trades = book,
    .find = wechat_find,
    .expire_all = wechat_expire_all,
    .status = wechat_state,
    .product = product,
    .events = events,
    .refund_events = refund_events,
};

/* ---------------------------------------------------------------------------------------------- settings */

static const struct {
    const char *name;
    enum refund_status status;
} outcomes[] = {
    {"success", REFUND_SUCCESS}, {"processing", REFUND_PROCESSING}, {"close", REFUND_CLOSED}, {"change", REFUND_CHANGE}};

static const char *outcome_text(enum refund_status status)
{
    size_t i = 0;
    while (outcomes[i].status != status)
        i++;
    return outcomes[i].name;
}

static struct reply show_account(struct sandbox *sandbox, const struct request *request)
{
    (void)request;
    const struct wechat *wechat = sandbox->wechat;
    struct wechat_settings settings = wechat_settings(sandbox);
    json_t *json = json_pack("{s:s,s:s,s:s,s:s?,s:I,s:I,s:s,s:s,s:b}", "appid", wechat->appid, "mch_id", wechat->mch_id, "url",
                             server_url(sandbox->server), "tls_url", server_tls_url(sandbox->server), "close_after_ms",
                             (json_int_t)settings.close_after_ms, "mweb_life_ms", (json_int_t)settings.mweb_life_ms,
                             "refund_outcome", outcome_text(settings.refund_outcome), "domain", settings.domain,
                             "check_address", settings.check_address);
    return control_reply(200, json);
}

/* Absent: *ret_ms stays. False: it is no such number. */
static bool read_ms(const json_t *wanted, const char *name, int64_t *ret_ms)
{
    const json_t *value = json_object_get(wanted, name);
    if (!value)
        return true;
    if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) > MOST_MS)
        return false;
    *ret_ms = json_integer_value(value);
    return true;
}

static bool read_outcome(const json_t *wanted, enum refund_status *ret_outcome)
{
    const char *text;
    if (!json_text(wanted, "refund_outcome", &text))
        return false;
    for (size_t i = 0; text && i < sizeof outcomes / sizeof *outcomes; i++) {
        if (strcmp(outcomes[i].name, text) == 0) {
            *ret_outcome = outcomes[i].status;
            return true;
        }
    }
    return !text;
}

static bool read_browser(const json_t *wanted, struct wechat_settings *settings)
{
    const json_t *check = json_object_get(wanted, "check_address");
    const char *domain;
    if (!json_text(wanted, "domain", &domain) || (domain && strlen(domain) >= sizeof settings->domain) ||
        (check && !json_is_boolean(check)))
        return false;
    if (domain)
        memcpy(settings->domain, domain, strlen(domain) + 1);
    if (check)
        settings->check_address = json_is_true(check);
    return true;
}

static struct reply change_settings(struct sandbox *sandbox, const struct request *request)
{
    static const char *const members[] = {"close_after_ms", "mweb_life_ms", "refund_outcome", "domain", "check_address", NULL};
    json_t *wanted = json_loadb(request->body, request->body_length, 0, NULL);
    struct wechat_settings settings = wechat_settings(sandbox);
    bool good = json_has_only(wanted, members) && read_ms(wanted, "close_after_ms", &settings.close_after_ms) &&
                read_ms(wanted, "mweb_life_ms", &settings.mweb_life_ms) && read_outcome(wanted, &settings.refund_outcome) &&
                read_browser(wanted, &settings);
    json_decref(wanted);
    if (!good)
        return control_refuse(400, "a JSON object of close_after_ms and mweb_life_ms (0 to 86400000), refund_outcome (success, "
                                   "processing, close, change), domain (text), check_address (true or false)");
    wechat_set(sandbox, &settings);
    return show_account(sandbox, request);
}

/* ---------------------------------------------------------------------------------------------- the payer's app */

/* Whether the parameters are exactly `names` and `sign_name`, and signed as the order was. */
static bool is_signed(const struct wechat *wechat, const struct trade *trade, const struct params *params,
                      const char *const *names, const char *sign_name)
{
    struct params covered = {0};
    size_t count = 0;
    for (; names[count]; count++)
        params_set(&covered, names[count], params_get(params, names[count]));
    const char *given = params_get(params, sign_name);
    char *sign = wechat_signature(wechat->api_key, wechat_order_is_hmac(trade), &covered);
    bool good = given && strcmp(given, sign) == 0 && covered.count == count && params->count == count + 1;
    free(sign);
    params_free(&covered);
    return good;
}

static bool is_text(const struct params *params, const char *name, const char *text)
{
    const char *value = params_get(params, name);
    return value && strcmp(value, text) == 0;
}

/* NULL, or why the app would not open. */
static const char *refuse_params(const struct sandbox *sandbox, const struct trade *trade, const struct params *params)
{
    static const char *const page_names[] = {"appId", "timeStamp", "nonceStr", "package", "signType", NULL};
    static const char *const app_names[] = {"appid", "partnerid", "prepayid", "package", "noncestr", "timestamp", NULL};
    const struct wechat *wechat = sandbox->wechat;
    const char *type = wechat_order_text(trade, "trade_type"), *served = wechat_order_text(trade, "sub_appid");
    const char *appid = served ? served : wechat->appid, *partner = wechat_order_text(trade, "sub_mch_id");
    if (strcmp(type, "JSAPI") == 0) {
        if (!is_text(params, "signType", wechat_order_is_hmac(trade) ? "HMAC-SHA256" : "MD5"))
            return "signType is not the order's sign_type";
        return is_text(params, "appId", appid) && is_signed(wechat, trade, params, page_names, "paySign")
                   ? NULL
                   : "appId, or paySign over the five names, is wrong";
    }
    if (strcmp(type, "APP") != 0)
        return "the order is neither JSAPI nor APP";
    return is_text(params, "appid", appid) && is_text(params, "partnerid", partner ? partner : wechat->mch_id) &&
                   is_text(params, "package", "Sign=WXPay") && is_signed(wechat, trade, params, app_names, "sign")
               ? NULL
               : "appid, partnerid, package, or sign over the six names, is wrong";
}

static const struct trade *named_by(struct sandbox *sandbox, const struct params *params)
{
    static const char prefix[] = "prepay_id=";
    const char *number = params_get(params, "prepayid"), *package = params_get(params, "package");
    if (!number && package && strncmp(package, prefix, sizeof prefix - 1) == 0)
        number = package + sizeof prefix - 1;
    return number && strncmp(number, "wx", 2) == 0 ? wechat_find(sandbox, number) : NULL;
}

/* POST /control/wechat/app: what a shop hands to the payer's app; answered is whose order it would show. */
static struct reply open_app(struct sandbox *sandbox, const struct request *request)
{
    json_t *wanted = json_loadb(request->body, request->body_length, 0, NULL);
    struct params params = {0};
    if (!json_is_fields(wanted)) {
        json_decref(wanted);
        return control_refuse(400, "a JSON object of texts");
    }
    wechat_change_fields(&params, wanted);
    json_decref(wanted);
    trades_lock(sandbox->wechat->trades);
    const struct trade *trade = named_by(sandbox, &params);
    const char *wrong = trade ? refuse_params(sandbox, trade, &params) : "there is no such prepay_id";
    struct reply reply = wrong ? control_refuse(409, wrong) : control_reply(200, json_pack("{s:s}", "pay_no", trade->pay_no));
    trades_unlock(sandbox->wechat->trades);
    params_free(&params);
    return reply;
}

static const struct route routes[] = {
    {"GET", "/control/wechat", SMALL_BODY, show_account},
    {"POST", "/control/wechat", SMALL_BODY, change_settings},
    {"POST", "/control/wechat/app", SMALL_BODY, open_app},
};

const struct route_table wechat_control_routes = {routes, sizeof routes / sizeof *routes};
