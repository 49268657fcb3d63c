/*
 * What an answer of the gateway comes to, per operation. Only what Alipay signed is believed; whatever is not known for certain
 * is unknown, never failed. Called on a worker. Pure; any thread.
 */
#include <stdio.h>

#include "alipay/alipay.h"
#include "common/amount.h"

enum { WORDS_CHARS = 100, YUAN_DECIMALS = 2 };

/*
 * Refusals after which nothing can have happened by this call: code, or sub_code with 40004. All others leave the outcome open;
 * so do those that a refund gets for the trade's status, because an earlier try that went through may have closed the trade.
 */
static const struct refusal {
    const char *code;
    int rc;
    enum pn_operation only; /* 0: any */
} refusals[] = {
    { "20001", PN_DECLINED, 0 },                 /* the token lacks permission */
    { "40001", PN_DECLINED, 0 },                 /* a parameter is missing */
    { "40002", PN_DECLINED, 0 },                 /* a parameter is wrong: signature, app_id */
    { "40003", PN_DECLINED, 0 },                 /* a condition is not met */
    { "40005", PN_NOT_DONE, 0 },                 /* too many calls */
    { "40006", PN_DECLINED, 0 },                 /* the application lacks permission */
    { "ACQ.INVALID_PARAMETER", PN_DECLINED, 0 },
    { "ACQ.ACCESS_FORBIDDEN", PN_DECLINED, 0 },  /* the product is not contracted */
    { "ACQ.PARTNER_ERROR", PN_DECLINED, 0 },
    { "ACQ.TRADE_HAS_CLOSE", PN_DECLINED, PN_PREPAY },               /* needs another number */
    { "ACQ.TRADE_NOT_EXIST", PN_DECLINED, PN_REFUND },               /* nobody has paid */
    { "ACQ.SELLER_BALANCE_NOT_ENOUGH", PN_DECLINED, PN_REFUND },
    { "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL", PN_DECLINED, PN_REFUND },    /* more than was paid */
    { "ACQ.REASON_TRADE_REFUND_FEE_ERR", PN_DECLINED, PN_REFUND },   /* the amount cannot be refunded */
    { "ACQ.TRADE_HAS_FINISHED", PN_DECLINED, PN_REFUND },            /* too late */
    { "ACQ.TRADE_NOT_ALLOW_REFUND", PN_DECLINED, PN_REFUND },
    { "ACQ.REASON_TRADE_BEEN_FREEZEN", PN_DECLINED, PN_REFUND },
};

struct reading {
    const struct alipay *alipay;
    struct pn_call *call;
    const struct pn_payment *payment;
    json_t *node;
    struct pn_str code; /* the most precise one: sub_code, or code */
    struct pn_result *result;
};

static struct pn_str string_of(const json_t *node, const char *name)
{
    const json_t *value = json_object_get(node, name);

    return (struct pn_str){ json_string_value(value), json_string_length(value) };
}

/* A copy in the arena: the node is freed before the result is used. */
static bool keep(const struct reading *reading, struct pn_str *text)
{
    return alipay_keep(reading->alipay, reading->call, text);
}

/* Ends the call with the provider's code and words. */
static int refuse(const struct reading *reading, int rc, const char *what)
{
    struct pn_str said = string_of(reading->node, "sub_msg");
    char words[4 * WORDS_CHARS], text[sizeof(words) + 160];
    size_t len;

    if (!said.len)
        said = string_of(reading->node, "msg");
    len = subject_clean(said, WORDS_CHARS, words);
    snprintf(text, sizeof(text), "%s%s%.*s %.*s", what, *what ? ": " : "", reading->code.len < 80 ? (int)reading->code.len : 80,
             reading->code.data ? reading->code.data : "", (int)len, words);
    return alipay_fail(reading->alipay, reading->call, rc, NULL, text);
}

/* A value that is no string is kept as JSON text. */
static bool keep_value(const struct reading *reading, const json_t *value, struct pn_str *ret)
{
    size_t size;
    char *text;

    if (json_is_string(value)) {
        *ret = (struct pn_str){ json_string_value(value), json_string_length(value) };
        return keep(reading, ret);
    }
    size = json_dumpb(value, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY);
    text = alipay_alloc(reading->alipay, reading->call, size);
    if (!text)
        return false;
    *ret = (struct pn_str){ text, json_dumpb(value, text, size, JSON_COMPACT | JSON_ENCODE_ANY) };
    return true;
}

static int read_fields(const struct reading *reading, struct pn_kv_list *ret_fields)
{
    struct pn_kv *fields = alipay_alloc(reading->alipay, reading->call, json_object_size(reading->node) * sizeof(*fields));
    const char *name;
    json_t *value;
    size_t count = 0;

    if (!fields)
        return alipay_no_memory(reading->alipay, reading->call);
    json_object_foreach(reading->node, name, value) {
        struct pn_kv *field = &fields[count++];

        field->name = str_of(name);
        if (!keep(reading, &field->name) || !keep_value(reading, value, &field->value))
            return alipay_no_memory(reading->alipay, reading->call);
    }
    *ret_fields = (struct pn_kv_list){ fields, count };
    return PN_OK;
}

/* The code and words of an answer that says no, for a result. */
static int read_words(const struct reading *reading)
{
    struct pn_result *result = reading->result;

    result->code = reading->code;
    result->message = string_of(reading->node, "sub_msg");
    if (!keep(reading, &result->code) || !keep(reading, &result->message))
        return alipay_no_memory(reading->alipay, reading->call);
    return PN_OK;
}

static int done_as(const struct reading *reading, enum pn_state state)
{
    reading->result->state = state;
    return read_words(reading);
}

static int refused(const struct reading *reading)
{
    struct pn_str code = string_of(reading->node, "code");

    if (str_is(code, "40004"))
        code = string_of(reading->node, "sub_code");
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
        if (str_is(code, refusals[i].code) && (!refusals[i].only || refusals[i].only == reading->payment->operation))
            return refuse(reading, refusals[i].rc, "");
    return refuse(reading, PN_UNKNOWN, "");
}

static int read_prepay(const struct reading *reading)
{
    struct pn_result *result = reading->result;

    result->url = string_of(reading->node, "qr_code");
    if (!result->url.len)
        return refuse(reading, PN_UNKNOWN, "an answer without qr_code");
    if (!keep(reading, &result->url))
        return alipay_no_memory(reading->alipay, reading->call);
    result->state = PN_STATE_UNPAID;
    result->prepay_kind = PN_PREPAY_CODE_URL;
    result->merchant = (struct pn_kv_list){ reading->alipay->merchant, reading->alipay->merchant_count };
    return PN_OK;
}

static int read_query(const struct reading *reading)
{
    struct pn_kv_list fields;
    const char *fault;
    int rc = read_fields(reading, &fields);

    if (rc != PN_OK)
        return rc;
    /* An amount is a string; a number has been through a parser's double. */
    if (!json_is_string(json_object_get(reading->node, "total_amount")))
        return refuse(reading, PN_UNKNOWN, "an answer without total_amount");
    fault = trade_read(fields, reading->result);
    return fault ? refuse(reading, PN_UNKNOWN, fault) : PN_OK;
}

/* No refusal says anything about the payment, except that there is none (yet). */
static int query_refused(const struct reading *reading)
{
    if (str_is(reading->code, "ACQ.TRADE_NOT_EXIST"))
        return done_as(reading, PN_STATE_NOT_FOUND);
    return refuse(reading, PN_UNKNOWN, "");
}

static int close_refused(const struct reading *reading)
{
    if (str_is(reading->code, "ACQ.TRADE_NOT_EXIST"))
        return done_as(reading, PN_STATE_NOT_FOUND);
    if (str_is(reading->code, "ACQ.TRADE_HAS_CLOSE"))
        return done_as(reading, PN_STATE_CLOSED);
    /* Paid or closed already: the host asks again. */
    if (str_is(reading->code, "ACQ.REASON_TRADE_STATUS_INVALID") || str_is(reading->code, "ACQ.TRADE_STATUS_ERROR"))
        return done_as(reading, PN_STATE_UNKNOWN);
    return refused(reading);
}

/* ---- refunds */

/* PN_NOT_STATED when the member is absent; false when it is there and no amount. */
static bool read_amount(const struct reading *reading, const char *name, int64_t *ret_minor)
{
    const json_t *value = json_object_get(reading->node, name);

    *ret_minor = PN_NOT_STATED;
    return !value || (json_is_string(value) && amount_parse(string_of(reading->node, name), YUAN_DECIMALS, ret_minor));
}

/* Everything of a refund's answer but the amounts. */
static int read_refund(const struct reading *reading, enum pn_state state)
{
    struct pn_result *result = reading->result;
    int rc = read_fields(reading, &result->fields);

    if (rc != PN_OK)
        return rc;
    result->refund_no = reading->payment->refund_no;
    result->trade_no = kv_get(result->fields, "trade_no");
    result->currency = STR("CNY");
    if (!keep(reading, &result->refund_no))
        return alipay_no_memory(reading->alipay, reading->call);
    return done_as(reading, state);
}

/* Only fund_change=Y says that this call moved the money; refund_fee is what went back of the trade by now, in all. */
static int refunded(const struct reading *reading)
{
    struct pn_result *result = reading->result;
    int64_t total;

    if (!str_is(string_of(reading->node, "fund_change"), "Y"))
        return read_refund(reading, PN_STATE_UNKNOWN);
    if (!read_amount(reading, "refund_fee", &total))
        return refuse(reading, PN_UNKNOWN, "refund_fee is not an amount");
    if (total != PN_NOT_STATED && total < reading->payment->refund_minor)
        return refuse(reading, PN_UNKNOWN, "less was refunded in all than by this refund");
    result->refunded_minor = total;
    return read_refund(reading, PN_STATE_REFUNDED);
}

/* Nothing but REFUND_SUCCESS is certain: the field is absent for a refund that failed, never was or is not finished. */
static int refund_found(const struct reading *reading)
{
    const struct pn_payment *payment = reading->payment;
    int64_t amount;

    if (!str_is(string_of(reading->node, "refund_status"), "REFUND_SUCCESS"))
        return read_refund(reading, PN_STATE_UNKNOWN);
    if (!str_eq(string_of(reading->node, "out_trade_no"), payment->pay_no) ||
        !str_eq(string_of(reading->node, "out_request_no"), payment->refund_no))
        return refuse(reading, PN_UNKNOWN, "an answer about another refund");
    if (!read_amount(reading, "refund_amount", &amount) ||
        (amount != PN_NOT_STATED && payment->refund_minor > 0 && amount != payment->refund_minor))
        return refuse(reading, PN_UNKNOWN, "an answer with another amount of the refund");
    if (!read_amount(reading, "total_amount", &reading->result->total_minor))
        return refuse(reading, PN_UNKNOWN, "total_amount is not an amount");
    return read_refund(reading, PN_STATE_REFUNDED);
}

static int read_node(const struct reading *reading)
{
    bool succeeded = str_is(string_of(reading->node, "code"), "10000");
    bool may_be_unnamed = reading->payment->operation == PN_REFUND_QUERY; /* when there is nothing to tell */
    struct pn_str named = string_of(reading->node, "out_trade_no");

    if ((named.len || (succeeded && !may_be_unnamed)) && !str_eq(named, reading->payment->pay_no))
        return refuse(reading, PN_UNKNOWN, "an answer about another payment");
    switch (reading->payment->operation) {
    case PN_PREPAY:
        return succeeded ? read_prepay(reading) : refused(reading);
    case PN_QUERY:
        return succeeded ? read_query(reading) : query_refused(reading);
    case PN_REFUND:
        return succeeded ? refunded(reading) : refused(reading);
    case PN_REFUND_QUERY:
        return succeeded ? refund_found(reading) : refuse(reading, PN_UNKNOWN, "");
    default:
        return succeeded ? done_as(reading, PN_STATE_CLOSED) : close_refused(reading);
    }
}

/* An answer without a signature proves nothing, but its words help a human. */
static int read_answer(struct reading *reading, const struct answer *answer)
{
    if (!answer->node)
        return alipay_fail(reading->alipay, reading->call, PN_UNKNOWN, NULL, answer->fault);
    reading->node = answer->node;
    reading->code = string_of(answer->node, "sub_code");
    if (!reading->code.len)
        reading->code = string_of(answer->node, "code");
    return answer->trust == ANSWER_SIGNED ? read_node(reading) : refuse(reading, PN_UNKNOWN, answer->fault);
}

int alipay_response(const void *state, struct pn_call *call, const struct pn_payment *payment, uint32_t round,
                    const struct pn_http_response *response, struct pn_step *ret_step)
{
    const struct alipay *alipay = state;
    const char *method = alipay_method(payment);
    struct reading reading = { .alipay = alipay, .call = call, .payment = payment };
    struct answer answer;
    char text[48];
    int rc;

    (void)round;
    if (!method)
        return alipay_fail(alipay, call, PN_UNSUPPORTED, NULL, "this operation or product is not supported");
    if (response->status != 200) {
        snprintf(text, sizeof(text), "the gateway answered HTTP %d", (int)response->status);
        return alipay_fail(alipay, call, PN_UNKNOWN, NULL, text);
    }
    reading.result = alipay_result(alipay, call, payment);
    if (!reading.result)
        return alipay_no_memory(alipay, call);
    answer_read(alipay, call, method, response->body, &answer);
    rc = read_answer(&reading, &answer);
    json_decref(answer.node);
    if (rc == PN_OK)
        ret_step->done = reading.result;
    return rc;
}
