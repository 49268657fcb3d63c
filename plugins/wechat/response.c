/*
 * What an answer of WeChat comes to, per operation. Only what is signed is believed; whatever is not known for certain is
 * unknown, never failed. A query that finds a refund goes on to ask what was refunded. Called on a worker. Pure; any thread.
 */
#include <stdio.h>

#include "wechat/wechat.h"

enum { WORDS_MAX = 300, CODE_MAX = 80 };

#define ALWAYS (1u << PN_PREPAY | 1u << PN_REFUND)

/* Refusals after which nothing can have happened, by operation. All others leave the outcome open: ORDERPAID,
 * OUT_TRADE_NO_USED and INVALID_REQUEST because an earlier try may stand, SYSTEMERROR because WeChat does not know itself. */
static const struct refusal {
    const char *code;
    unsigned operations;
    int rc;
} refusals[] = {
    { "APPID_MCHID_NOT_MATCH", ALWAYS, PN_DECLINED },
    { "APPID_NOT_EXIST", ALWAYS, PN_DECLINED },
    { "FREQUENCY_LIMITED", ALWAYS, PN_NOT_DONE },
    { "LACK_PARAMS", ALWAYS, PN_DECLINED },
    { "MCHID_NOT_EXIST", ALWAYS, PN_DECLINED },
    { "NOAUTH", ALWAYS, PN_DECLINED },
    { "NOTENOUGH", ALWAYS, PN_DECLINED },
    { "NOT_UTF8", ALWAYS, PN_DECLINED },
    { "PARAM_ERROR", ALWAYS, PN_DECLINED },
    { "POST_DATA_EMPTY", ALWAYS, PN_DECLINED },
    { "REQUIRE_POST_METHOD", ALWAYS, PN_DECLINED },
    { "SIGNERROR", ALWAYS, PN_DECLINED },
    { "XML_FORMAT_ERROR", ALWAYS, PN_DECLINED },
    { "ORDERCLOSED", 1u << PN_PREPAY, PN_DECLINED }, /* needs another number */
    { "INVALID_REQ_TOO_MUCH", 1u << PN_REFUND, PN_NOT_DONE },
    { "INVALID_TRANSACTIONID", 1u << PN_REFUND, PN_DECLINED },
    { "ORDERNOTEXIST", 1u << PN_REFUND, PN_DECLINED },
    { "REFUND_FEE_INVALID", 1u << PN_REFUND, PN_DECLINED },    /* more than is left: somebody refunds in the console, too */
    { "TRADE_OVERDUE", 1u << PN_REFUND, PN_DECLINED },         /* over a year old */
    { "USER_ACCOUNT_ABNORMAL", 1u << PN_REFUND, PN_DECLINED }, /* to be paid back by hand */
};

struct reading {
    const struct wechat *wechat;
    struct pn_call *call;
    const struct pn_payment *payment;
    struct pn_kv_list fields;
    struct pn_str code; /* err_code */
    struct pn_result *result;
    const struct pn_http_request *next;
};

/* Ends the call with the provider's code and words. */
static int refuse(const struct reading *reading, int rc, const char *what)
{
    struct pn_str said = kv_get(reading->fields, "err_code_des");
    char words[WORDS_MAX], code[CODE_MAX], text[sizeof(words) + sizeof(code) + 160];
    size_t len, code_len;

    if (!said.len)
        said = kv_get(reading->fields, "return_msg");
    len = body_clean(said, sizeof(words), words);
    code_len = body_clean(reading->code, sizeof(code), code);
    snprintf(text, sizeof(text), "%s%s%.*s %.*s", what, *what ? ": " : "", (int)code_len, code, (int)len, words);
    return wechat_fail(reading->wechat, reading->call, rc, NULL, text);
}

static int done_as(const struct reading *reading, enum pn_state state)
{
    struct pn_result *result = reading->result;

    result->state = state;
    result->code = reading->code;
    result->message = kv_get(reading->fields, "err_code_des");
    return PN_OK;
}

static int refused(const struct reading *reading)
{
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
        if ((refusals[i].operations & 1u << reading->payment->operation) && str_is(reading->code, refusals[i].code))
            return refuse(reading, refusals[i].rc, "");
    return refuse(reading, PN_UNKNOWN, "");
}

/* The last part of every reading: a fault in an authentic answer still leaves the outcome open. */
static int unless(const struct reading *reading, const char *fault)
{
    return fault ? refuse(reading, PN_UNKNOWN, fault) : PN_OK;
}

/* ---- queries */

static int read_trade_state(struct reading *reading)
{
    struct pn_str state = kv_get(reading->fields, "trade_state");

    if (str_is(state, "SUCCESS"))
        return unless(reading, trade_read(reading->fields, reading->result));
    if (str_is(state, "REFUND")) /* in full or in part, perhaps only begun */
        return request_make(reading->wechat, reading->call, reading->payment, PN_REFUND_QUERY, &reading->next);
    reading->code = state;
    if (str_is(state, "CLOSED") || str_is(state, "REVOKED"))
        return done_as(reading, PN_STATE_CLOSED);
    /* After a PAYERROR the payer may try again, until the order is closed. */
    if (str_is(state, "NOTPAY") || str_is(state, "USERPAYING") || str_is(state, "ACCEPT") || str_is(state, "PAYERROR"))
        return done_as(reading, PN_STATE_UNPAID);
    return refuse(reading, PN_UNKNOWN, "unknown trade_state");
}

/* No refusal says anything about the payment, except that there is none (yet). */
static int query_refused(const struct reading *reading)
{
    if (str_is(reading->code, "ORDERNOTEXIST"))
        return done_as(reading, PN_STATE_NOT_FOUND);
    return refuse(reading, PN_UNKNOWN, "");
}

static int close_refused(const struct reading *reading)
{
    if (str_is(reading->code, "ORDERNOTEXIST"))
        return done_as(reading, PN_STATE_NOT_FOUND);
    if (str_is(reading->code, "ORDERCLOSED"))
        return done_as(reading, PN_STATE_CLOSED);
    if (str_is(reading->code, "ORDERPAID")) /* the host asks again */
        return done_as(reading, PN_STATE_UNKNOWN);
    return refused(reading);
}

/* ---- refunds */

/* Accepted: what becomes of it, a refund query or a notice tells. */
static int read_refund(const struct reading *reading)
{
    const struct pn_payment *payment = reading->payment;
    struct pn_result *result = reading->result;
    int64_t amount;

    if (!str_eq(kv_get(reading->fields, "out_refund_no"), payment->refund_no))
        return refuse(reading, PN_UNKNOWN, "an answer about another refund");
    if (!trade_amount(kv_get(reading->fields, "refund_fee"), &amount) || amount != payment->refund_minor)
        return refuse(reading, PN_UNKNOWN, "an answer with another amount of the refund");
    result->refund_no = kv_get(reading->fields, "out_refund_no");
    result->trade_no = kv_get(reading->fields, "transaction_id");
    return done_as(reading, PN_STATE_PROCESSING);
}

static int refund_query_refused(const struct reading *reading)
{
    reading->result->refund_no = reading->payment->refund_no;
    if (!str_is(reading->code, "REFUNDNOTEXIST"))
        return refuse(reading, PN_UNKNOWN, "");
    if (!wechat_keep(reading->wechat, reading->call, &reading->result->refund_no))
        return wechat_no_memory(reading->wechat, reading->call);
    return done_as(reading, PN_STATE_NOT_FOUND);
}

/* ---- the answer */

static int read_success(struct reading *reading, uint32_t round)
{
    switch (reading->payment->operation) {
    case PN_PREPAY:
        return prepay_read(reading->wechat, reading->call, reading->payment, reading->fields, reading->result);
    case PN_QUERY:
        if (round == 1)
            return read_trade_state(reading);
        return unless(reading, refunds_read_all(reading->fields, reading->result));
    case PN_CLOSE:
        return done_as(reading, PN_STATE_CLOSED);
    case PN_REFUND:
        return read_refund(reading);
    default:
        return unless(reading, refunds_read_one(reading->payment, reading->fields, reading->result));
    }
}

static int read_failure(const struct reading *reading)
{
    switch (reading->payment->operation) {
    case PN_QUERY:
        return query_refused(reading);
    case PN_CLOSE:
        return close_refused(reading);
    case PN_REFUND_QUERY:
        return refund_query_refused(reading);
    default:
        return refused(reading);
    }
}

/* The field is what we asked about, or is not there and need not be. */
static bool names(const struct reading *reading, const char *name, struct pn_str ours, bool needed)
{
    struct pn_str theirs = kv_get(reading->fields, name);

    return theirs.len ? !ours.len || str_eq(theirs, ours) : !needed;
}

/* An authentic answer, perhaps to another question. */
static bool is_ours(const struct reading *reading, bool succeeded)
{
    const struct wechat_settings *settings = reading->wechat->settings;
    uint32_t operation = reading->payment->operation;
    bool named = succeeded && operation != PN_PREPAY && operation != PN_CLOSE;

    return names(reading, "appid", settings->appid, true) && names(reading, "mch_id", settings->mch_id, true) &&
           names(reading, "sub_mch_id", settings->sub_mch_id, false) &&
           names(reading, "out_trade_no", reading->payment->pay_no, named);
}

static int read_signed(struct reading *reading, uint32_t round)
{
    struct pn_str result_code = kv_get(reading->fields, "result_code");
    bool succeeded = str_is(result_code, "SUCCESS");

    if (!is_ours(reading, succeeded))
        return refuse(reading, PN_UNKNOWN, "an answer about another payment");
    reading->result = trade_result(reading->wechat, reading->call, reading->fields);
    if (!reading->result)
        return wechat_no_memory(reading->wechat, reading->call);
    reading->result->pay_no = reading->payment->pay_no;
    if (!wechat_keep(reading->wechat, reading->call, &reading->result->pay_no))
        return wechat_no_memory(reading->wechat, reading->call);
    if (succeeded)
        return read_success(reading, round);
    return str_is(result_code, "FAIL") ? read_failure(reading) : refuse(reading, PN_UNKNOWN, "unknown result_code");
}

int wechat_response(const void *state, struct pn_call *call, const struct pn_payment *payment, uint32_t round,
                    const struct pn_http_response *response, struct pn_step *ret_step)
{
    const struct wechat *wechat = state;
    struct reading reading = { .wechat = wechat, .call = call, .payment = payment };
    struct message message;
    char text[48];
    int rc;

    if (payment->operation < PN_PREPAY || payment->operation > PN_REFUND_QUERY)
        return wechat_fail(wechat, call, PN_UNSUPPORTED, NULL, "this operation is not supported");
    if (response->status != 200) {
        snprintf(text, sizeof(text), "WeChat answered HTTP %d", (int)response->status);
        return wechat_fail(wechat, call, PN_UNKNOWN, NULL, text);
    }
    rc = message_read(wechat, call, response->body, &message);
    if (rc != PN_OK)
        return rc;
    reading.fields = message.fields;
    reading.code = kv_get(message.fields, "err_code");
    /* An answer without a signature proves nothing, but its words help a human. */
    rc = message.trust == MESSAGE_SIGNED ? read_signed(&reading, round) : refuse(&reading, PN_UNKNOWN, message.fault);
    if (rc != PN_OK)
        return rc;
    if (reading.next)
        ret_step->next = reading.next;
    else
        ret_step->done = reading.result;
    return PN_OK;
}
