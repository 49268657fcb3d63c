/*
 * Orders at WeChat: unifiedorder, orderquery and closeorder with WeChat's refusals (protocol sections 3 and 4). Called by the
 * gateway after the signature was checked; locks the trades.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"
#include "wechat.h"

#define CODE_LIFE_MS (INT64_C(2) * 3600 * 1000)
#define SHORTEST_LIFE_MS (INT64_C(60) * 1000)
#define MOST_FEN INT64_C(10000000000)

struct params wechat_success(const struct wechat_call *call)
{
    static const char *const repeated[] = {"sub_appid", "sub_mch_id", "device_info"};
    struct params answer = {0};
    params_set(&answer, "return_code", "SUCCESS");
    params_set(&answer, "return_msg", "OK");
    params_set(&answer, "result_code", "SUCCESS");
    params_set(&answer, "appid", call->sandbox->wechat->appid);
    params_set(&answer, "mch_id", call->sandbox->wechat->mch_id);
    for (size_t i = 0; i < sizeof repeated / sizeof *repeated; i++)
        params_set(&answer, repeated[i], params_get(call->params, repeated[i]));
    return answer;
}

struct params wechat_refusal(const struct wechat_call *call, const char *err_code, const char *err_code_des)
{
    struct params answer = wechat_success(call);
    params_set(&answer, "result_code", "FAIL");
    params_set(&answer, "err_code", err_code);
    params_set(&answer, "err_code_des", err_code_des);
    return answer;
}

void wechat_set_fen(struct params *fields, const char *name, int64_t fen)
{
    char *text = text_format("%lld", (long long)fen);
    params_set(fields, name, text);
    free(text);
}

bool wechat_parse_fen(const char *text, int64_t *ret_fen)
{
    size_t n = strspn(text, "0123456789");
    if (n == 0 || n > 11 || text[n] != '\0' || text[0] == '0')
        return false;
    int64_t fen = strtoll(text, NULL, 10);
    if (fen > MOST_FEN)
        return false;
    *ret_fen = fen;
    return true;
}

bool wechat_is_number(const char *text, size_t least, size_t most, const char *characters)
{
    size_t n = strspn(text, characters);
    return n >= least && n <= most && text[n] == '\0';
}

/* ---------------------------------------------------------------------------------------------- unifiedorder, checked */

/* What an order asks for; texts are borrowed from the call. */
struct wanted {
    const char *pay_no, *body, *notify_url, *trade_type;
    int64_t total_fen, expires_ms;
};

static bool is_address(const char *text)
{
    unsigned char bytes[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1;
}

/* {"h5_info":{"type":"Wap","wap_url":…,"wap_name":…}} */
static bool is_scene(const char *text)
{
    json_t *scene = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    const json_t *info = json_object_get(scene, "h5_info");
    const char *type = json_string_value(json_object_get(info, "type"));
    bool good = type && (strcmp(type, "Wap") != 0 || (json_is_string(json_object_get(info, "wap_url")) &&
                                                       json_is_string(json_object_get(info, "wap_name"))));
    json_decref(scene);
    return good;
}

/* The first required parameter that is missing or empty. NULL: none is. */
static const char *missing(const struct params *params)
{
    static const char *const required[] = {"body", "out_trade_no", "total_fee", "spbill_create_ip", "notify_url", "trade_type"};
    static const struct {
        const char *trade_type, *name, *other;
    } by_type[] = {{"NATIVE", "product_id", NULL}, {"JSAPI", "openid", "sub_openid"}, {"MWEB", "scene_info", NULL}};
    for (size_t i = 0; i < sizeof required / sizeof *required; i++) {
        const char *value = params_get(params, required[i]);
        if (!value || value[0] == '\0')
            return required[i];
    }
    for (size_t i = 0; i < sizeof by_type / sizeof *by_type; i++)
        if (strcmp(params_get(params, "trade_type"), by_type[i].trade_type) == 0 && !params_get(params, by_type[i].name) &&
            !(by_type[i].other && params_get(params, by_type[i].other)))
            return by_type[i].name;
    return NULL;
}

static bool is_within(const struct params *params, const char *name, size_t most)
{
    const char *value = params_get(params, name);
    return !value || strlen(value) <= most;
}

static bool is_one_of(const char *text, const char *const *list)
{
    while (*list && strcmp(*list, text) != 0)
        list++;
    return *list != NULL;
}

static const char *check_values(const struct params *params)
{
    static const char *const types[] = {"NATIVE", "MWEB", "JSAPI", "APP", NULL};
    const char *fee_type = params_get(params, "fee_type"), *limit_pay = params_get(params, "limit_pay");
    const char *scene = params_get(params, "scene_info"), *notify_url = params_get(params, "notify_url");
    if (!is_one_of(params_get(params, "trade_type"), types))
        return "trade_type is NATIVE, MWEB, JSAPI or APP";
    if (!wechat_is_number(params_get(params, "out_trade_no"), 6, 32, WECHAT_NUMBER))
        return "out_trade_no has 6 to 32 of digits, letters and _-|*";
    if (!is_within(params, "body", 128) || !is_within(params, "attach", 127) || !is_within(params, "detail", 6000) ||
        !is_within(params, "product_id", 32) || !is_within(params, "openid", 128) || !is_within(params, "sub_openid", 128))
        return "a text is too long: body 128, attach 127, detail 6000, product_id 32, openid 128 bytes";
    if (!is_address(params_get(params, "spbill_create_ip")))
        return "spbill_create_ip is no IPv4 or IPv6 address";
    if (!text_is_url(notify_url, 256) || strpbrk(notify_url, "?#"))
        return "notify_url is absolute, without a query, and has at most 256 characters";
    if (fee_type && strcmp(fee_type, "CNY") != 0)
        return "fee_type is CNY";
    if (limit_pay && strcmp(limit_pay, "no_credit") != 0)
        return "limit_pay is no_credit";
    if (scene && !is_scene(scene))
        return "scene_info must be JSON with h5_info: type, and for Wap wap_url and wap_name";
    return NULL;
}

static const char *check_times(const struct params *params, int64_t *ret_expires_ms)
{
    const char *start = params_get(params, "time_start"), *expire = params_get(params, "time_expire");
    int64_t from = clock_now_ms(), to = from + CODE_LIFE_MS;
    if ((start && !wechat_parse_time(start, &from)) || (expire && !wechat_parse_time(expire, &to)))
        return "time_start and time_expire are yyyyMMddHHmmss";
    if (to < from + SHORTEST_LIFE_MS)
        return "time_expire must be a minute or more behind time_start";
    *ret_expires_ms = to;
    return NULL;
}

/* NULL, or what is wrong. */
static const char *parse_wanted(const struct params *params, struct wanted *ret_wanted)
{
    struct wanted wanted = {.pay_no = params_get(params, "out_trade_no"),
                            .body = params_get(params, "body"),
                            .notify_url = params_get(params, "notify_url"),
                            .trade_type = params_get(params, "trade_type")};
    const char *wrong = check_values(params);
    if (!wrong && !wechat_parse_fen(params_get(params, "total_fee"), &wanted.total_fen))
        wrong = "total_fee is in fen: 1 to 10000000000, without a point";
    if (!wrong)
        wrong = check_times(params, &wanted.expires_ms);
    if (!wrong)
        *ret_wanted = wanted;
    return wrong;
}

/* ---------------------------------------------------------------------------------------------- unifiedorder */

/* The parameters that must be the same when the same number comes again. */
static struct params lasting(const struct params *params)
{
    struct params copy = params_copy(params);
    params_set(&copy, "nonce_str", NULL);
    params_set(&copy, "sign", NULL);
    return copy;
}

static bool is_same(const struct trade *trade, const struct params *params)
{
    static const char *const none[] = {NULL};
    struct params now = lasting(params);
    char *before = params_sign_text(&trade->call, none, true), *after = params_sign_text(&now, none, true);
    bool same = strcmp(before, after) == 0;
    params_free(&now);
    free(before);
    free(after);
    return same;
}

static struct trade *add_trade(const struct wechat_call *call, const struct wanted *wanted)
{
    struct trade *trade = trades_add(call->sandbox->wechat->trades, wanted->pay_no, clock_now_ms());
    trade->status = TRADE_WAITING;
    trade->subject = text_copy(wanted->body);
    trade->passback_params = text_copy(params_get(call->params, "attach"));
    trade->notify_url = text_copy(wanted->notify_url);
    trade->total_fen = wanted->total_fen;
    trade->created_ms = clock_now_ms();
    trade->expires_ms = wanted->expires_ms;
    trade->call = lasting(call->params);
    return trade;
}

static struct params ready(const struct wechat_call *call, const struct trade *trade)
{
    struct params answer = wechat_success(call);
    const char *type = wechat_order_text(trade, "trade_type");
    char *prepay_id = wechat_prepay_id(trade), *url = NULL;
    params_set(&answer, "trade_type", type);
    params_set(&answer, "prepay_id", prepay_id);
    if (strcmp(type, "NATIVE") == 0) {
        url = text_format("weixin://wxpay/bizpayurl?pr=%s", trade->trade_no);
        params_set(&answer, "code_url", url);
    } else if (strcmp(type, "MWEB") == 0) {
        url = text_format("%s/cgi-bin/mmpayweb-bin/checkmweb?prepay_id=%s&package=%.10s", server_url(call->sandbox->server),
                          prepay_id, trade->trade_no + strlen(trade->trade_no) - 10);
        params_set(&answer, "mweb_url", url);
    }
    free(prepay_id);
    free(url);
    return answer;
}

static struct params order(const struct wechat_call *call, const struct wanted *wanted)
{
    const struct trade *trade = wechat_find(call->sandbox, wanted->pay_no);
    if (!trade && wanted->expires_ms <= clock_now_ms())
        return wechat_refusal(call, "INVALID_REQUEST", "time_expire is over");
    if (!trade)
        return ready(call, add_trade(call, wanted));
    if (trade->status == TRADE_SUCCESS)
        return wechat_refusal(call, "ORDERPAID", "the order is paid");
    if (trade->status == TRADE_CLOSED)
        return wechat_refusal(call, "ORDERCLOSED", "the order is closed: take a new out_trade_no");
    if (!is_same(trade, call->params))
        return wechat_refusal(call, "OUT_TRADE_NO_USED", "the same out_trade_no came before with other data");
    return ready(call, trade);
}

struct params wechat_unifiedorder(const struct wechat_call *call)
{
    struct wanted wanted;
    const char *lacks = missing(call->params);
    if (lacks) {
        char *what = text_format("%s is missing", lacks);
        struct params refusal = wechat_refusal(call, "LACK_PARAMS", what);
        free(what);
        return refusal;
    }
    const char *wrong = parse_wanted(call->params, &wanted);
    if (wrong)
        return wechat_refusal(call, "PARAM_ERROR", wrong);
    trades_lock(call->sandbox->wechat->trades);
    struct params answer = order(call, &wanted);
    trades_unlock(call->sandbox->wechat->trades);
    return answer;
}

/* ---------------------------------------------------------------------------------------------- query and close */

struct trade *wechat_named_trade(const struct wechat_call *call)
{
    struct trades *trades = call->sandbox->wechat->trades;
    const char *transaction_id = params_get(call->params, "transaction_id");
    const char *pay_no = params_get(call->params, "out_trade_no");
    struct trade *trade = transaction_id ? trades_find_trade_no(trades, transaction_id) : pay_no ? trades_find(trades, pay_no) : NULL;
    if (!trade || (transaction_id && !trade->paid_ms))
        return NULL; /* without a payment there is no transaction_id yet */
    return wechat_find(call->sandbox, trade->pay_no);
}

static const char *describe_state(const char *state)
{
    static const struct {
        const char *state, *text;
    } texts[] = {{"SUCCESS", "支付成功"},      {"REFUND", "订单发生过退款，退款详情请查询退款单"},
                 {"NOTPAY", "订单未支付"},     {"CLOSED", "订单已关闭"},
                 {"USERPAYING", "用户支付中"}, {"PAYERROR", "支付失败"}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (strcmp(texts[i].state, state) == 0)
            return texts[i].text;
    return state;
}

/* Only what is promised for the state: amounts come with SUCCESS alone. */
static struct params describe(const struct wechat_call *call, const struct trade *trade)
{
    struct params answer = wechat_success(call);
    const char *state = wechat_state(trade);
    if (strcmp(state, "SUCCESS") == 0)
        wechat_set_paid(&answer, trade);
    params_set(&answer, "out_trade_no", trade->pay_no);
    params_set(&answer, "attach", wechat_order_text(trade, "attach"));
    params_set(&answer, "trade_state", state);
    params_set(&answer, "trade_state_desc", describe_state(state));
    return answer;
}

struct params wechat_orderquery(const struct wechat_call *call)
{
    if (!params_get(call->params, "transaction_id") && !params_get(call->params, "out_trade_no"))
        return wechat_refusal(call, "LACK_PARAMS", "out_trade_no or transaction_id is missing");
    trades_lock(call->sandbox->wechat->trades);
    const struct trade *trade = wechat_named_trade(call);
    struct params answer = trade ? describe(call, trade) : wechat_refusal(call, "ORDERNOTEXIST", "there is no such order");
    trades_unlock(call->sandbox->wechat->trades);
    return answer;
}

static struct params close_order(const struct wechat_call *call, struct trade *trade)
{
    if (trade->status == TRADE_SUCCESS)
        return wechat_refusal(call, "ORDERPAID", "the order is paid");
    if (trade->status == TRADE_CLOSED)
        return wechat_refusal(call, "ORDERCLOSED", "the order is closed already");
    if (clock_now_ms() < trade->created_ms + wechat_settings(call->sandbox).close_after_ms)
        return wechat_refusal(call, "INVALID_REQUEST", "the order is too young to be closed");
    wechat_event_close(trade);
    return wechat_success(call);
}

struct params wechat_closeorder(const struct wechat_call *call)
{
    if (!params_get(call->params, "out_trade_no"))
        return wechat_refusal(call, "LACK_PARAMS", "out_trade_no is missing");
    trades_lock(call->sandbox->wechat->trades);
    struct trade *trade = wechat_find(call->sandbox, params_get(call->params, "out_trade_no"));
    bool is_it = trade && strcmp(trade->pay_no, params_get(call->params, "out_trade_no")) == 0;
    struct params answer = is_it ? close_order(call, trade) : wechat_refusal(call, "ORDERNOTEXIST", "there is no such order");
    trades_unlock(call->sandbox->wechat->trades);
    return answer;
}
