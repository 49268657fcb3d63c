/*
 * Refunds at WeChat: refund and refundquery with WeChat's refusals (protocol section 4). Called by the gateway after the
 * signature and, where it is demanded, the client's certificate were checked; locks the trades.
 */
#include <stdlib.h>
#include <string.h>

#include "text.h"
#include "wechat.h"

#define MOST_REFUNDS 50
#define PER_ANSWER 10

/* ---------------------------------------------------------------------------------------------- refund */

/* What a refund asks for; texts are borrowed from the call. */
struct wanted {
    const char *refund_no, *notify_url, *reason;
    int64_t total_fen, fen;
};

static const char *missing(const struct params *params)
{
    static const char *const required[] = {"out_refund_no", "total_fee", "refund_fee"};
    for (size_t i = 0; i < sizeof required / sizeof *required; i++) {
        const char *value = params_get(params, required[i]);
        if (!value || value[0] == '\0')
            return "out_refund_no, total_fee or refund_fee is missing";
    }
    if (!params_get(params, "transaction_id") && !params_get(params, "out_trade_no"))
        return "out_trade_no or transaction_id is missing";
    return NULL;
}

/* NULL, or what is wrong. */
static const char *parse_wanted(const struct params *params, struct wanted *ret_wanted)
{
    struct wanted wanted = {.refund_no = params_get(params, "out_refund_no"),
                            .notify_url = params_get(params, "notify_url"),
                            .reason = params_get(params, "refund_desc")};
    const char *currency = params_get(params, "refund_fee_type");
    if (!wechat_is_number(wanted.refund_no, 1, 64, WECHAT_NUMBER "@"))
        return "out_refund_no has 1 to 64 of digits, letters and _-|*@";
    if (!wechat_parse_fen(params_get(params, "total_fee"), &wanted.total_fen) ||
        !wechat_parse_fen(params_get(params, "refund_fee"), &wanted.fen))
        return "total_fee and refund_fee are in fen: 1 to 10000000000, without a point";
    if (wanted.notify_url && (!text_is_url(wanted.notify_url, 256) || strpbrk(wanted.notify_url, "?#")))
        return "notify_url is absolute, without a query, and has at most 256 characters";
    if (wanted.reason && strlen(wanted.reason) > 80)
        return "refund_desc has at most 80 bytes";
    if (currency && strcmp(currency, "CNY") != 0)
        return "refund_fee_type is CNY";
    *ret_wanted = wanted;
    return NULL;
}

static struct params accepted(const struct wechat_call *call, const struct refund *refund)
{
    const struct trade *trade = refund->trade;
    struct params answer = wechat_success(call);
    params_set(&answer, "transaction_id", trade->trade_no);
    params_set(&answer, "out_trade_no", trade->pay_no);
    params_set(&answer, "out_refund_no", refund->refund_no);
    params_set(&answer, "refund_id", refund->refund_id);
    params_set(&answer, "refund_channel", "");
    wechat_set_fen(&answer, "refund_fee", refund->fen);
    wechat_set_fen(&answer, "total_fee", trade->total_fen);
    wechat_set_fen(&answer, "cash_fee", trade->total_fen);
    wechat_set_fen(&answer, "cash_refund_fee", refund->fen);
    return answer;
}

static int count_refunds(const struct trade *trade)
{
    int count = 0;
    for (const struct refund *refund = trade->refunds; refund; refund = refund->next)
        count++;
    return count;
}

/* NULL: the trade takes one more refund of that amount. */
static const char *refuse_new(const struct trade *trade, const struct wanted *wanted, const char **ret_code)
{
    *ret_code = "TRADE_STATE_ERROR";
    if (trade->status != TRADE_SUCCESS)
        return "the order is not paid";
    *ret_code = "INVALID_REQUEST";
    if (wanted->total_fen != trade->total_fen)
        return "total_fee is not the order's";
    if (count_refunds(trade) >= MOST_REFUNDS)
        return "an order has at most 50 refunds";
    *ret_code = "REFUND_FEE_INVALID";
    if (wanted->fen > trade->total_fen - trade->refunded_fen)
        return "the refunds come to more than was paid";
    return NULL;
}

static struct refund *add_refund(const struct wechat_call *call, struct trade *trade, const struct wanted *wanted)
{
    enum refund_status outcome = wechat_settings(call->sandbox).refund_outcome;
    struct trades *trades = call->sandbox->wechat->trades;
    struct refund *refund = trades_add_refund(trades, trade, wanted->refund_no, wanted->fen, clock_now_ms());
    refund->reason = text_copy(wanted->reason);
    refund->notify_url = text_copy(wanted->notify_url);
    if (outcome != REFUND_PROCESSING)
        wechat_event_refund_end(call->sandbox, refund, outcome, &(struct wish){.announce = ANNOUNCE_DEFAULT});
    return refund;
}

static struct params refund_locked(const struct wechat_call *call, const struct wanted *wanted)
{
    struct trade *trade = wechat_named_trade(call);
    const struct refund *before = trades_find_refund(call->sandbox->wechat->trades, wanted->refund_no);
    const char *code;
    if (!trade)
        return wechat_refusal(call, "ORDERNOTEXIST", "there is no such order");
    if (before && before->trade != trade)
        return wechat_refusal(call, "INVALID_REQUEST", "the out_refund_no belongs to another order");
    if (before && (before->fen != wanted->fen || trade->total_fen != wanted->total_fen))
        return wechat_refusal(call, "REFUND_FEE_MISMATCH", "the same out_refund_no came before with another amount");
    if (before)
        return accepted(call, before);
    const char *wrong = refuse_new(trade, wanted, &code);
    return wrong ? wechat_refusal(call, code, wrong) : accepted(call, add_refund(call, trade, wanted));
}

struct params wechat_refund(const struct wechat_call *call)
{
    struct wanted wanted;
    const char *wrong = missing(call->params);
    if (wrong)
        return wechat_refusal(call, "LACK_PARAMS", wrong);
    if ((wrong = parse_wanted(call->params, &wanted)))
        return wechat_refusal(call, "PARAM_ERROR", wrong);
    trades_lock(call->sandbox->wechat->trades);
    struct params answer = refund_locked(call, &wanted);
    trades_unlock(call->sandbox->wechat->trades);
    return answer;
}

/* ---------------------------------------------------------------------------------------------- refundquery */

static void set_text(struct params *answer, const char *name, int index, const char *value)
{
    char *full = text_format("%s_%d", name, index);
    params_set(answer, full, value);
    free(full);
}

static void describe_one(struct params *answer, const struct refund *refund, int index)
{
    char at[BEIJING_SIZE], *fen = text_format("%lld", (long long)refund->fen);
    set_text(answer, "out_refund_no", index, refund->refund_no);
    set_text(answer, "refund_id", index, refund->refund_id);
    set_text(answer, "refund_channel", index, "ORIGINAL");
    set_text(answer, "refund_fee", index, fen);
    set_text(answer, "refund_status", index, wechat_refund_status(refund));
    set_text(answer, "refund_account", index, "REFUND_SOURCE_UNSETTLED_FUNDS");
    set_text(answer, "refund_recv_accout", index, "the payer's balance"); /* so spelt there */
    if (refund->status == REFUND_SUCCESS) {
        beijing_text(refund->done_ms, at);
        set_text(answer, "refund_success_time", index, at);
    }
    free(fen);
}

/* Of one refund, or with `only` NULL of the trade's from `offset` on. */
static struct params describe(const struct wechat_call *call, const struct trade *trade, const struct refund *only, int offset)
{
    struct params answer = wechat_success(call);
    int count = 0, index = 0;
    params_set(&answer, "transaction_id", trade->trade_no);
    params_set(&answer, "out_trade_no", trade->pay_no);
    wechat_set_fen(&answer, "total_fee", trade->total_fen);
    wechat_set_fen(&answer, "cash_fee", trade->total_fen);
    wechat_set_fen(&answer, "refund_fee", trade->refunded_fen);
    wechat_set_fen(&answer, "total_refund_count", only ? 1 : count_refunds(trade));
    for (const struct refund *refund = trade->refunds; refund; refund = refund->next) {
        bool wanted = only ? refund == only : index >= offset && count < PER_ANSWER;
        if (wanted)
            describe_one(&answer, refund, count++);
        index++;
    }
    wechat_set_fen(&answer, "refund_count", count);
    return answer;
}

static struct params query_locked(const struct wechat_call *call, int offset)
{
    struct trades *trades = call->sandbox->wechat->trades;
    const char *refund_id = params_get(call->params, "refund_id"), *refund_no = params_get(call->params, "out_refund_no");
    const struct refund *refund = refund_id   ? trades_find_refund_id(trades, refund_id)
                                  : refund_no ? trades_find_refund(trades, refund_no)
                                              : NULL;
    const struct trade *trade = refund ? refund->trade : refund_id || refund_no ? NULL : wechat_named_trade(call);
    if (!trade || !trade->refunds || offset >= count_refunds(trade))
        return wechat_refusal(call, "REFUNDNOTEXIST", "there is no such refund");
    return describe(call, trade, refund, offset);
}

/* 0 when absent. False: it is no number. */
static bool parse_offset(const char *text, int *ret_offset)
{
    size_t n = text ? strspn(text, "0123456789") : 0;
    if (text && (n == 0 || n > 3 || text[n] != '\0'))
        return false;
    *ret_offset = text ? (int)strtol(text, NULL, 10) : 0;
    return true;
}

struct params wechat_refundquery(const struct wechat_call *call)
{
    static const char *const names[] = {"refund_id", "out_refund_no", "transaction_id", "out_trade_no"};
    int offset;
    bool named = false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        named = named || params_get(call->params, names[i]);
    if (!named)
        return wechat_refusal(call, "LACK_PARAMS", "refund_id, out_refund_no, transaction_id or out_trade_no is missing");
    if (!parse_offset(params_get(call->params, "offset"), &offset))
        return wechat_refusal(call, "PARAM_ERROR", "offset is a number");
    trades_lock(call->sandbox->wechat->trades);
    struct params answer = query_locked(call, offset);
    trades_unlock(call->sandbox->wechat->trades);
    return answer;
}
