/*
 * Judges asynchronous notices, and the parameters that a payer's browser brings back. Called by the HTTP threads for everything
 * that arrives at /notify/<channel> and /return/<channel>, so it costs little beyond the one RSA verification: fields point into
 * one decoded copy of the text. Pure; any thread.
 */
#include "alipay/alipay.h"
#include "common/charset.h"
#include "common/form.h"

/* A real notice has about 30 fields. */
enum { FIELDS_MAX = 256, NAME_MAX_LEN = 24 };

/* Without these a text is no trade notice, however well it is signed: the signed text does not escape '&' and '=', so that a
 * genuine signature can be cut into other parameters, which then lack some of them. */
static const char *const mandatory[] = {
    "app_id",    "charset",      "notify_id", "notify_time", "notify_type", "out_trade_no",
    "seller_id", "total_amount", "trade_no",  "trade_status", "version",
};

/* And without these it is no return from a payment. It has no trade_status, so it can never pass for a notice. */
static const char *const mandatory_return[] = { "app_id", "out_trade_no", "timestamp", "trade_no" };

static const char *const known[] = {
    "app_id",         "auth_app_id",    "body",           "buyer_id",        "buyer_logon_id", "buyer_open_id",
    "buyer_pay_amount", "charset",      "fund_bill_list", "gmt_close",       "gmt_create",     "gmt_payment",
    "gmt_refund",     "invoice_amount", "notify_id",      "notify_time",     "notify_type",    "out_biz_no",
    "out_trade_no",   "passback_params", "point_amount",  "receipt_amount",  "refund_fee",     "seller_email",
    "seller_id",      "sign",           "sign_type",      "subject",         "total_amount",   "trade_no",
    "trade_status",   "version",        "voucher_detail_list",
};

#define COUNT(array_) (sizeof(array_) / sizeof((array_)[0]))

struct notice {
    struct pn_kv *fields; /* sorted; sign and sign_type taken out */
    size_t count;
    struct pn_str sign, sign_type;
};

/* Sets sign and sign_type aside, and closes the gaps. */
static const char *set_aside(struct notice *notice)
{
    size_t kept = 0;

    params_sort(notice->fields, notice->count);
    for (size_t i = 0; i < notice->count; i++) {
        struct pn_kv field = notice->fields[i];

        if (i + 1 < notice->count && str_eq(field.name, notice->fields[i + 1].name))
            return "a parameter occurs twice";
        if (memchr(field.name.data, '\0', field.name.len) || (field.value.len && memchr(field.value.data, '\0', field.value.len)))
            return "a NUL byte in a parameter";
        if (str_is(field.name, "sign"))
            notice->sign = field.value;
        else if (str_is(field.name, "sign_type"))
            notice->sign_type = field.value;
        else
            notice->fields[kept++] = field;
    }
    notice->count = kept;
    return NULL;
}

static int parse(const struct alipay *alipay, struct pn_call *call, struct pn_str body, struct notice *ret, const char **ret_fault)
{
    size_t most = form_count(body);
    char *text;

    *ret_fault = most == 0 ? "the body is empty" : "too many parameters";
    if (most == 0 || most > FIELDS_MAX)
        return PN_OK;
    text = alipay_alloc(alipay, call, body.len);
    ret->fields = alipay_alloc(alipay, call, most * sizeof(*ret->fields));
    if (!text || !ret->fields)
        return alipay_no_memory(alipay, call);
    *ret_fault = form_parse(body, text, ret->fields, &ret->count);
    if (!*ret_fault)
        *ret_fault = set_aside(ret);
    return PN_OK;
}

/* The algorithm is the configured one: sign_type is not covered by the signature, so it may only agree. */
static int verify(const struct alipay *alipay, struct pn_call *call, const struct notice *notice, const char **ret_fault)
{
    struct signature signature;
    struct pn_str text;
    int rc;

    *ret_fault = "there is no sign";
    if (!notice->sign.len)
        return PN_OK;
    *ret_fault = "sign_type is not RSA2";
    if (notice->sign_type.data && !str_is(notice->sign_type, "RSA2"))
        return PN_OK;
    *ret_fault = "sign is not the base64 of a signature of the configured key's length";
    if (!signature_read(alipay, notice->sign, &signature))
        return PN_OK;
    rc = params_join(alipay, call, notice->fields, notice->count, &text);
    if (rc != PN_OK)
        return rc;
    *ret_fault = signature_holds(alipay, text, &signature) ? NULL : "the signature does not hold";
    return PN_OK;
}

/* No name of Alipay's has either character: two parameters have been glued together, and one of them hidden. */
static bool holds_another(struct pn_str name)
{
    return memchr(name.data, '&', name.len) || memchr(name.data, '=', name.len);
}

/* Whether "&known=" stands in the value: it may have been cut out of another notice. */
static bool looks_resplit(struct pn_str value)
{
    const char *end = value.data + value.len;

    for (const char *at = value.data; (at = memchr(at, '&', (size_t)(end - at))) != NULL;) {
        const char *name = ++at;
        const char *equals = memchr(name, '=', end - name < NAME_MAX_LEN ? (size_t)(end - name) : NAME_MAX_LEN);

        for (size_t i = 0; equals && i < COUNT(known); i++)
            if (str_is((struct pn_str){ name, (size_t)(equals - name) }, known[i]))
                return true;
    }
    return false;
}

static bool has_all(const struct notice *notice, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!kv_get((struct pn_kv_list){ notice->fields, notice->count }, names[i]).len)
            return false;
    return true;
}

static const char *check_values(const struct notice *notice)
{
    for (size_t i = 0; i < notice->count; i++) {
        if (holds_another(notice->fields[i].name))
            return "a name holds the text of another parameter";
        if (notice->fields[i].value.len && looks_resplit(notice->fields[i].value))
            return "a value holds the text of another parameter";
    }
    return NULL;
}

/* Text in a Chinese encoding becomes UTF-8; what claims to be UTF-8 must be it. */
static int to_utf8(const struct alipay *alipay, struct pn_call *call, bool is_utf8, struct pn_str *text, const char **ret_fault)
{
    size_t len = 0;
    char *converted;

    if (str_is_ascii(*text))
        return PN_OK;
    if (is_utf8) {
        if (!utf8_valid(*text))
            *ret_fault = "a parameter is not UTF-8";
        return PN_OK;
    }
    converted = alipay_alloc(alipay, call, 2 * text->len);
    if (!converted)
        return alipay_no_memory(alipay, call);
    if (gb18030_to_utf8(*text, converted, &len))
        *text = (struct pn_str){ converted, len };
    else
        *ret_fault = "a parameter is not in the charset of the notice";
    return PN_OK;
}

static int convert(const struct alipay *alipay, struct pn_call *call, struct notice *notice, const char **ret_fault)
{
    struct pn_str charset = kv_get((struct pn_kv_list){ notice->fields, notice->count }, "charset");
    bool is_utf8 = str_is_nocase(charset, "utf-8");
    int rc = PN_OK;

    if (!is_utf8 && !str_is_nocase(charset, "gbk") && !str_is_nocase(charset, "gb2312") && !str_is_nocase(charset, "gb18030"))
        *ret_fault = "unknown charset";
    for (size_t i = 0; rc == PN_OK && !*ret_fault && i < notice->count; i++) {
        rc = to_utf8(alipay, call, is_utf8, &notice->fields[i].name, ret_fault);
        if (rc == PN_OK && !*ret_fault)
            rc = to_utf8(alipay, call, is_utf8, &notice->fields[i].value, ret_fault);
    }
    return rc;
}

/* What an authentic notice says, with the merchant that it was addressed to. */
static int read_result(const struct alipay *alipay, struct pn_call *call, const struct notice *notice,
                       struct pn_result **ret_result, const char **ret_fault)
{
    static const char *const names[] = { "app_id", "seller_id" };
    struct pn_kv_list fields = { notice->fields, notice->count };
    struct pn_result *result = alipay_alloc(alipay, call, sizeof(*result));
    struct pn_kv *merchant = alipay_alloc(alipay, call, COUNT(names) * sizeof(*merchant));

    if (!result || !merchant)
        return alipay_no_memory(alipay, call);
    result->size = sizeof(*result);
    *ret_fault = trade_read(fields, result);
    for (size_t i = 0; i < COUNT(names); i++)
        merchant[i] = (struct pn_kv){ str_of(names[i]), kv_get(fields, names[i]) };
    result->merchant = (struct pn_kv_list){ merchant, COUNT(names) };
    *ret_result = result;
    return PN_OK;
}

static int judge(const struct alipay *alipay, struct pn_call *call, struct pn_str body, struct pn_result **ret_result,
                 const char **ret_fault)
{
    struct notice notice = { 0 };
    int rc = parse(alipay, call, body, &notice, ret_fault);

    if (rc == PN_OK && !*ret_fault)
        rc = verify(alipay, call, &notice, ret_fault);
    if (rc == PN_OK && !*ret_fault)
        *ret_fault = has_all(&notice, mandatory, COUNT(mandatory)) ? check_values(&notice)
                                                                   : "a parameter that every trade notice has is missing";
    if (rc == PN_OK && !*ret_fault)
        rc = convert(alipay, call, &notice, ret_fault);
    if (rc == PN_OK && !*ret_fault)
        rc = read_result(alipay, call, &notice, ret_result, ret_fault);
    return rc;
}

/* The browser comes back with signed parameters, which say which payment it was about, but not what became of it. */
static int judge_return(const struct alipay *alipay, struct pn_call *call, struct pn_str query, struct pn_str *ret_pay_no,
                        const char **ret_fault)
{
    struct notice notice = { 0 };
    int rc = parse(alipay, call, query, &notice, ret_fault);

    if (rc == PN_OK && !*ret_fault)
        rc = verify(alipay, call, &notice, ret_fault);
    if (rc == PN_OK && !*ret_fault)
        *ret_fault = has_all(&notice, mandatory_return, COUNT(mandatory_return))
                         ? check_values(&notice)
                         : "a parameter that every return has is missing";
    if (rc == PN_OK && !*ret_fault)
        *ret_pay_no = kv_get((struct pn_kv_list){ notice.fields, notice.count }, "out_trade_no");
    return rc;
}

int alipay_notification(const void *state, struct pn_call *call, const struct pn_http_incoming *incoming,
                        struct pn_notification *ret_notification)
{
    struct pn_result *result = NULL;
    struct pn_str pay_no = { NULL, 0 };
    const char *fault = NULL;
    bool returned = str_is(incoming->method, "GET");
    int rc = returned ? judge_return(state, call, incoming->query, &pay_no, &fault)
                      : judge(state, call, incoming->body, &result, &fault);

    if (rc != PN_OK)
        return rc;
    ret_notification->verdict = fault ? PN_REFUSED : returned ? PN_HINT : PN_AUTHENTIC;
    if (fault) {
        ret_notification->reason = str_of(fault);
        return PN_OK;
    }
    ret_notification->result = result;
    ret_notification->pay_no = returned ? pay_no : result->pay_no;
    return PN_OK;
}
