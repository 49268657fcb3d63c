/*
 * The business side of the gateway: query, close, precreate and the opening of wap.pay and page.pay (protocol section 5),
 * with Alipay's refusals. Called by the gateway after signature and common parameters were checked; locks the trades.
 */
#include <stdlib.h>
#include <string.h>

#include "alipay.h"
#include "text.h"

#define MINUTE_MS INT64_C(60000)
#define DAY_MS (INT64_C(1440) * MINUTE_MS)
#define INVALID_PARAMETER "ACQ.INVALID_PARAMETER"

struct product {
    enum trade_product id;
    const char *codes[3];      /* product_code: the first may be left out when `optional` */
    bool code_optional;
    int64_t default_life_ms;
    int64_t least_express_ms;
};

static const struct product wap = {TRADE_WAP, {"QUICK_WAP_WAY", "QUICK_WAP_PAY", NULL}, false, 15 * DAY_MS, 5 * MINUTE_MS};
static const struct product page = {TRADE_PAGE, {"FAST_INSTANT_TRADE_PAY", NULL}, false, 15 * DAY_MS, MINUTE_MS};
static const struct product app = {TRADE_APP, {"QUICK_MSECURITY_PAY", NULL}, true, 15 * DAY_MS, 5 * MINUTE_MS};
static const struct product precreate = {
    TRADE_PRECREATE, {"FACE_TO_FACE_PAYMENT", "QR_CODE_OFFLINE", NULL}, true, 120 * MINUTE_MS, MINUTE_MS};

json_t *alipay_success(void)
{
    return json_pack("{s:s,s:s}", "code", "10000", "msg", "Success");
}

json_t *alipay_refusal(const char *code, const char *sub_code, const char *sub_msg)
{
    static const struct {
        const char *code, *msg;
    } texts[] = {{"20000", "Service Currently Unavailable"}, {"40001", "Missing Required Arguments"},
                 {"40002", "Invalid Arguments"},             {"40003", "Conditional Missing"},
                 {"40004", "Business Failed"}};
    const char *msg = "";
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (strcmp(texts[i].code, code) == 0)
            msg = texts[i].msg;
    return json_pack("{s:s,s:s,s:s,s:s}", "code", code, "msg", msg, "sub_code", sub_code, "sub_msg", sub_msg);
}

json_t *alipay_business(const char *sub_code, const char *sub_msg)
{
    return alipay_refusal("40004", sub_code, sub_msg);
}

/* ---------------------------------------------------------------------------------------------- biz_content, checked */

/* What a pay call asks for; texts are borrowed from the call. */
struct wanted {
    const struct product *product;
    const char *pay_no, *subject, *body, *passback_params, *quit_url, *notify_url, *return_url;
    int64_t total_fen, expires_ms;
};

const char *alipay_member(const json_t *biz, const char *name, bool *ret_wrong)
{
    const json_t *value = json_object_get(biz, name);
    if (value && !json_is_string(value))
        *ret_wrong = true;
    return json_string_value(value);
}

static const char *check_code(const struct product *product, const char *code)
{
    if (!code)
        return product->code_optional ? NULL : "product_code is missing";
    for (size_t i = 0; product->codes[i]; i++)
        if (strcmp(product->codes[i], code) == 0)
            return NULL;
    return "product_code does not belong to this method";
}

/* "90m", "2h", "1d", "1c" */
static const char *parse_express(const char *text, int64_t least_ms, int64_t now_ms, int64_t *ret_expires_ms)
{
    static const char wrong[] = "timeout_express is 1m to 15d (wap: from 5m), in whole m, h or d, or 1c";
    if (strcmp(text, "1c") == 0) {
        char at[BEIJING_SIZE];
        beijing_text(now_ms, at);
        memcpy(at + 11, "23:59:59", 8);
        beijing_parse(at, ret_expires_ms);
        return NULL;
    }
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 5 || text[digits] == '\0' || text[digits + 1] != '\0')
        return wrong;
    int64_t unit = text[digits] == 'm' ? MINUTE_MS : text[digits] == 'h' ? 60 * MINUTE_MS : text[digits] == 'd' ? DAY_MS : 0;
    int64_t life = (int64_t)strtol(text, NULL, 10) * unit;
    if (life < least_ms || life > 15 * DAY_MS)
        return wrong;
    *ret_expires_ms = now_ms + life;
    return NULL;
}

static const char *check_expiry(struct wanted *wanted, const char *absolute, const char *express)
{
    int64_t now = clock_now_ms();
    wanted->expires_ms = now + wanted->product->default_life_ms;
    if (absolute)
        return beijing_parse(absolute, &wanted->expires_ms) ? NULL : "time_expire is no yyyy-MM-dd HH:mm:ss";
    return express ? parse_express(express, wanted->product->least_express_ms, now, &wanted->expires_ms) : NULL;
}

static const char *check_texts(const struct wanted *wanted)
{
    if (!wanted->pay_no || !text_is_word(wanted->pay_no, 64))
        return "out_trade_no must be 1 to 64 letters, digits or underscores";
    if (!wanted->subject || wanted->subject[0] == '\0' || text_characters(wanted->subject) > 256 ||
        strpbrk(wanted->subject, "/=&"))
        return "subject must be 1 to 256 characters without / = &";
    if (wanted->body && text_characters(wanted->body) > 400)
        return "body may have 400 characters";
    if (wanted->passback_params && (strlen(wanted->passback_params) > 512 || strpbrk(wanted->passback_params, "&= ")))
        return "passback_params must be percent-encoded and may have 512 characters";
    if (wanted->notify_url && !text_is_url(wanted->notify_url, 256))
        return "notify_url must be http or https and may have 256 characters";
    if ((wanted->return_url && !text_is_url(wanted->return_url, 2048)) || (wanted->quit_url && !text_is_url(wanted->quit_url, 2048)))
        return "return_url and quit_url must be http or https";
    return NULL;
}

/* NULL, or what is wrong. */
static const char *parse_wanted(const struct alipay_call *call, const struct product *product, struct wanted *ret_wanted)
{
    bool wrong_type = false;
    const json_t *biz = call->biz;
    struct wanted wanted = {.product = product,
                            .pay_no = alipay_member(biz, "out_trade_no", &wrong_type),
                            .subject = alipay_member(biz, "subject", &wrong_type),
                            .body = alipay_member(biz, "body", &wrong_type),
                            .passback_params = alipay_member(biz, "passback_params", &wrong_type),
                            .quit_url = alipay_member(biz, "quit_url", &wrong_type),
                            .notify_url = params_get(call->params, "notify_url"),
                            .return_url = params_get(call->params, "return_url")};
    const char *amount = alipay_member(biz, "total_amount", &wrong_type);
    const char *code = alipay_member(biz, "product_code", &wrong_type);
    const char *absolute = alipay_member(biz, "time_expire", &wrong_type), *express = alipay_member(biz, "timeout_express", &wrong_type);
    if (wrong_type)
        return "every value in biz_content is text";
    const char *wrong = check_texts(&wanted);
    if (!wrong && (!amount || !money_parse(amount, &wanted.total_fen)))
        wrong = "total_amount must be 0.01 to 100000000 with at most two decimals";
    if (!wrong)
        wrong = check_code(product, code);
    if (!wrong)
        wrong = check_expiry(&wanted, absolute, express);
    if (!wrong)
        *ret_wanted = wanted;
    return wrong;
}

/* ---------------------------------------------------------------------------------------------- pay calls */

static bool same_text(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") == 0;
}

static json_t *refuse_repeat(const struct trade *trade, const struct wanted *wanted)
{
    if (trade->status == TRADE_CLOSED && trade->paid_ms == 0)
        return alipay_business("ACQ.TRADE_HAS_CLOSE", "the trade is closed: take a new out_trade_no");
    if (trade->status > TRADE_WAITING)
        return alipay_business("ACQ.TRADE_HAS_SUCCESS", "the trade is paid");
    if (trade->product != wanted->product->id || trade->total_fen != wanted->total_fen ||
        !same_text(trade->subject, wanted->subject) || !same_text(trade->body, wanted->body))
        return alipay_business("ACQ.CONTEXT_INCONSISTENT", "the same out_trade_no came before with other data");
    return NULL;
}

static struct trade *add_trade(struct sandbox *sandbox, const struct wanted *wanted)
{
    struct trade *trade = trades_add(sandbox->trades, wanted->pay_no, clock_now_ms());
    trade->product = wanted->product->id;
    trade->subject = text_copy(wanted->subject);
    trade->body = text_copy(wanted->body);
    trade->passback_params = text_copy(wanted->passback_params);
    trade->quit_url = text_copy(wanted->quit_url);
    trade->notify_url = text_copy(wanted->notify_url);
    trade->return_url = text_copy(wanted->return_url);
    trade->total_fen = wanted->total_fen;
    trade->expires_ms = wanted->expires_ms;
    return trade;
}

/* The trade of a pay call, made or found. NULL: *ret_refusal is the node to answer. */
static struct trade *take_trade(const struct alipay_call *call, const struct product *product, json_t **ret_refusal)
{
    struct wanted wanted;
    const char *wrong = parse_wanted(call, product, &wanted);
    if (wrong) {
        *ret_refusal = alipay_business(INVALID_PARAMETER, wrong);
        return NULL;
    }
    struct trade *trade = alipay_find(call->sandbox, wanted.pay_no);
    if (trade) {
        *ret_refusal = refuse_repeat(trade, &wanted);
        return *ret_refusal ? NULL : trade;
    }
    if (wanted.expires_ms <= clock_now_ms()) {
        *ret_refusal = alipay_business(INVALID_PARAMETER, "time_expire is over");
        return NULL;
    }
    return add_trade(call->sandbox, &wanted);
}

static json_t *open_trade(const struct alipay_call *call, const struct product *product, char **ret_trade_no)
{
    json_t *refusal = NULL;
    trades_lock(call->sandbox->trades);
    struct trade *trade = take_trade(call, product, &refusal);
    if (trade) {
        alipay_event_open(trade);
        *ret_trade_no = text_copy(trade->trade_no);
    }
    trades_unlock(call->sandbox->trades);
    return refusal;
}

json_t *alipay_open_wap(const struct alipay_call *call, char **ret_trade_no)
{
    return open_trade(call, &wap, ret_trade_no);
}

json_t *alipay_open_page(const struct alipay_call *call, char **ret_trade_no)
{
    return open_trade(call, &page, ret_trade_no);
}

json_t *alipay_open_app(const struct alipay_call *call, char **ret_trade_no)
{
    return open_trade(call, &app, ret_trade_no);
}

json_t *alipay_precreate(const struct alipay_call *call)
{
    json_t *node = NULL;
    trades_lock(call->sandbox->trades);
    struct trade *trade = take_trade(call, &precreate, &node);
    if (trade) {
        char *code = text_format("%s/qr/%s", server_url(call->sandbox->server), trade->trade_no);
        node = alipay_success();
        json_object_set_new(node, "out_trade_no", json_string(trade->pay_no));
        json_object_set_new(node, "qr_code", json_string(code));
        free(code);
    }
    trades_unlock(call->sandbox->trades);
    return node;
}

/* ---------------------------------------------------------------------------------------------- query and close */

struct trade *alipay_named_trade(const struct alipay_call *call, json_t **ret_refusal)
{
    bool wrong = false;
    const char *trade_no = alipay_member(call->biz, "trade_no", &wrong);
    const char *pay_no = alipay_member(call->biz, "out_trade_no", &wrong);
    if (wrong || (!trade_no && !pay_no)) {
        *ret_refusal = alipay_business(INVALID_PARAMETER, "out_trade_no or trade_no must be given, as text");
        return NULL;
    }
    struct trade *trade = trade_no ? alipay_find_trade_no(call->sandbox, trade_no) : alipay_find(call->sandbox, pay_no);
    bool seen = trade && trade->status != TRADE_UNSEEN && trade->created_ms != 0;
    if (!seen)
        *ret_refusal = alipay_business("ACQ.TRADE_NOT_EXIST", "there is no such trade");
    return seen ? trade : NULL;
}

void alipay_set_text(json_t *node, const char *name, const char *text)
{
    json_object_set_new(node, name, json_string(text));
}

static json_t *describe(const struct trade *trade)
{
    json_t *node = alipay_success();
    char *amount = money_text(trade->total_fen), *paid = money_text(trade->paid_ms ? trade->total_fen : 0);
    alipay_set_text(node, "buyer_logon_id", ALIPAY_BUYER_LOGON_ID);
    alipay_set_text(node, "buyer_pay_amount", paid);
    alipay_set_text(node, "buyer_user_id", ALIPAY_BUYER_ID);
    alipay_set_text(node, "invoice_amount", paid);
    alipay_set_text(node, "out_trade_no", trade->pay_no);
    alipay_set_text(node, "point_amount", "0.00");
    alipay_set_text(node, "receipt_amount", paid);
    if (trade->paid_ms) {
        char at[BEIJING_SIZE];
        beijing_text(trade->paid_ms, at);
        alipay_set_text(node, "send_pay_date", at);
    }
    alipay_set_text(node, "total_amount", amount);
    alipay_set_text(node, "trade_no", trade->trade_no);
    alipay_set_text(node, "trade_status", alipay_status_text(trade->status));
    free(amount);
    free(paid);
    return node;
}

json_t *alipay_query(const struct alipay_call *call)
{
    json_t *node = NULL;
    trades_lock(call->sandbox->trades);
    const struct trade *trade = alipay_named_trade(call, &node);
    if (trade)
        node = describe(trade);
    trades_unlock(call->sandbox->trades);
    return node;
}

static json_t *close_trade(const struct alipay_call *call, struct trade *trade)
{
    if (trade->status == TRADE_CLOSED)
        return alipay_business("ACQ.TRADE_HAS_CLOSE", "the trade is closed already");
    if (alipay_event_close(call->sandbox, trade, ANNOUNCE_DEFAULT))
        return alipay_business("ACQ.REASON_TRADE_STATUS_INVALID", "the trade's status does not allow it");
    json_t *node = alipay_success();
    alipay_set_text(node, "out_trade_no", trade->pay_no);
    alipay_set_text(node, "trade_no", trade->trade_no);
    return node;
}

json_t *alipay_close(const struct alipay_call *call)
{
    json_t *node = NULL;
    trades_lock(call->sandbox->trades);
    struct trade *trade = alipay_named_trade(call, &node);
    if (trade)
        node = close_trade(call, trade);
    trades_unlock(call->sandbox->trades);
    return node;
}
