/*
 * Refunds at Alipay: alipay.trade.refund and alipay.trade.fastpay.refund.query with Alipay's refusals (protocol section 5).
 * Called by the gateway after signature and common parameters were checked; locks the trades.
 */
#include <stdlib.h>
#include <string.h>

#include "alipay.h"
#include "text.h"

/* ---------------------------------------------------------------------------------------------- refund */

/* What a refund asks for; texts are borrowed from the call. */
struct wanted {
    const char *refund_no, *reason; /* NULL: not given */
    int64_t fen;
};

/* NULL, or what is wrong. */
static const char *parse_wanted(const json_t *biz, struct wanted *ret_wanted)
{
    bool wrong = false;
    struct wanted wanted = {.refund_no = alipay_member(biz, "out_request_no", &wrong),
                            .reason = alipay_member(biz, "refund_reason", &wrong)};
    const char *amount = alipay_member(biz, "refund_amount", &wrong);
    if (wrong)
        return "refund_amount, out_request_no and refund_reason are texts";
    if (!amount || !money_parse(amount, &wanted.fen))
        return "refund_amount must be 0.01 to 100000000 with at most two decimals";
    if (wanted.refund_no && !text_is_word(wanted.refund_no, 64))
        return "out_request_no has 1 to 64 letters, digits or underscores";
    if (wanted.reason && text_characters(wanted.reason) > 256)
        return "refund_reason has at most 256 characters";
    *ret_wanted = wanted;
    return NULL;
}

static int64_t last_refund_ms(const struct trade *trade)
{
    int64_t last = 0;
    for (const struct refund *refund = trade->refunds; refund; refund = refund->next)
        last = refund->made_ms;
    return last;
}

static json_t *refuse_status(const struct trade *trade)
{
    if (trade->status == TRADE_SUCCESS)
        return NULL;
    if (trade->status == TRADE_FINISHED)
        return alipay_business("ACQ.TRADE_HAS_FINISHED", "the time for refunds is over");
    if (trade->paid_ms)
        return alipay_business("ACQ.REASON_TRADE_REFUND_FEE_ERR", "everything has been refunded");
    return alipay_business("ACQ.REASON_TRADE_STATUS_INVALID", "the trade is not paid");
}

/* NULL: the trade takes one more refund of that amount now. */
static json_t *refuse_new(const struct alipay_call *call, const struct trade *trade, const struct wanted *wanted)
{
    int64_t gap_ms = atomic_load(&call->sandbox->alipay->refund_gap_ms);
    json_t *refusal = refuse_status(trade);
    if (refusal)
        return refusal;
    if (wanted->fen > trade->total_fen - trade->refunded_fen)
        return alipay_business("ACQ.REFUND_AMT_NOT_EQUAL_TOTAL", "the refunds come to more than was paid");
    if (!wanted->refund_no && wanted->fen != trade->total_fen)
        return alipay_business("ACQ.REFUND_AMT_NOT_EQUAL_TOTAL", "a partial refund takes an out_request_no");
    if (trade->refunds && clock_now_ms() - last_refund_ms(trade) < gap_ms)
        return alipay_business("ACQ.SYSTEM_ERROR", "the refunds of a trade come too fast");
    return NULL;
}

/* Only `moved` says that money went back because of this very call. */
static json_t *refund_answer(const struct refund *refund, bool moved)
{
    const struct trade *trade = refund->trade;
    json_t *node = alipay_success();
    char *all = money_text(alipay_refunded_fen(trade)), *own = money_text(moved ? refund->fen : 0);
    alipay_set_text(node, "buyer_logon_id", ALIPAY_BUYER_LOGON_ID);
    alipay_set_text(node, "buyer_user_id", ALIPAY_BUYER_ID);
    alipay_set_text(node, "fund_change", moved ? "Y" : "N");
    alipay_set_text(node, "out_trade_no", trade->pay_no);
    alipay_set_text(node, "refund_fee", all);
    alipay_set_text(node, "send_back_fee", own);
    alipay_set_text(node, "trade_no", trade->trade_no);
    free(all);
    free(own);
    return node;
}

static json_t *run_refund(const struct alipay_call *call, struct refund *refund)
{
    bool moved = !atomic_load(&call->sandbox->alipay->refunds_wait);
    if (moved)
        alipay_event_refund_end(call->sandbox, refund, REFUND_SUCCESS, ANNOUNCE_DEFAULT);
    return refund_answer(refund, moved);
}

/* The same out_request_no is the same refund; one that failed is tried again. */
static json_t *repeat_refund(const struct alipay_call *call, struct refund *refund, const struct wanted *wanted)
{
    if (wanted->fen != refund->fen)
        return alipay_business("ACQ.DISCORDANT_REPEAT_REQUEST", "the same out_request_no came before with another amount");
    if (refund->status != REFUND_CLOSED)
        return refund_answer(refund, false);
    json_t *refusal = refuse_new(call, refund->trade, wanted);
    if (refusal)
        return refusal;
    refund_reopen(refund);
    return run_refund(call, refund);
}

/* A refund without a number goes by that of the payment. */
static json_t *refund_locked(const struct alipay_call *call, struct trade *trade, const struct wanted *wanted)
{
    const char *number = wanted->refund_no ? wanted->refund_no : trade->pay_no;
    struct refund *refund = trade_refund(trade, number);
    if (refund)
        return repeat_refund(call, refund, wanted);
    json_t *refusal = refuse_new(call, trade, wanted);
    if (refusal)
        return refusal;
    refund = trades_add_refund(call->sandbox->trades, trade, number, wanted->fen, clock_now_ms());
    refund->reason = text_copy(wanted->reason);
    return run_refund(call, refund);
}

json_t *alipay_refund(const struct alipay_call *call)
{
    json_t *node = NULL;
    struct wanted wanted;
    const char *wrong = parse_wanted(call->biz, &wanted);
    if (wrong)
        return alipay_business("ACQ.INVALID_PARAMETER", wrong);
    trades_lock(call->sandbox->trades);
    struct trade *trade = alipay_named_trade(call, &node);
    if (trade)
        node = refund_locked(call, trade, &wanted);
    trades_unlock(call->sandbox->trades);
    return node;
}

/* ---------------------------------------------------------------------------------------------- refund query */

static bool asks_for(const json_t *biz, const char *option)
{
    const json_t *options = json_object_get(biz, "query_options"), *one;
    size_t i;
    json_array_foreach((json_t *)options, i, one)
        if (json_is_string(one) && strcmp(json_string_value(one), option) == 0)
            return true;
    return false;
}

static void add_done(json_t *node, const struct refund *refund, const json_t *biz, const char *amount)
{
    char at[BEIJING_SIZE];
    beijing_text(refund->done_ms, at);
    alipay_set_text(node, "refund_status", "REFUND_SUCCESS");
    alipay_set_text(node, "send_back_fee", amount);
    if (asks_for(biz, "gmt_refund_pay"))
        alipay_set_text(node, "gmt_refund_pay", at);
    if (asks_for(biz, "refund_detail_item_list"))
        json_object_set_new(node, "refund_detail_item_list",
                            json_pack("[{s:s,s:s}]", "amount", amount, "fund_channel", "ALIPAYACCOUNT"));
}

/* Of a refund that never was, or that failed, Alipay says nothing at all; of one that is not done it does not say how it is. */
static json_t *describe(const struct refund *refund, const json_t *biz)
{
    json_t *node = alipay_success();
    if (!refund || refund->status == REFUND_CLOSED)
        return node;
    char *total = money_text(refund->trade->total_fen), *amount = money_text(refund->fen);
    alipay_set_text(node, "out_request_no", refund->refund_no);
    alipay_set_text(node, "out_trade_no", refund->trade->pay_no);
    alipay_set_text(node, "refund_amount", amount);
    if (refund->reason)
        alipay_set_text(node, "refund_reason", refund->reason);
    alipay_set_text(node, "total_amount", total);
    alipay_set_text(node, "trade_no", refund->trade->trade_no);
    if (refund->status == REFUND_SUCCESS)
        add_done(node, refund, biz, amount);
    free(total);
    free(amount);
    return node;
}

json_t *alipay_refund_query(const struct alipay_call *call)
{
    json_t *node = NULL;
    bool wrong = false;
    const char *number = alipay_member(call->biz, "out_request_no", &wrong);
    if (wrong || !number || number[0] == '\0')
        return alipay_business("ACQ.INVALID_PARAMETER", "out_request_no must be given, as text");
    trades_lock(call->sandbox->trades);
    const struct trade *trade = alipay_named_trade(call, &node);
    if (trade)
        node = describe(trade_refund(trade, number), call->biz);
    trades_unlock(call->sandbox->trades);
    return node;
}
