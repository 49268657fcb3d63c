/*
 * /gateway.do: checks a call as strictly as Alipay does (protocol sections 2 and 5), dispatches it by method, and answers
 * with the node's bytes signed (section 6). Runs on the threads of the HTTP server; no state of its own.
 */
#include <stdlib.h>
#include <string.h>

#include "alipay.h"
#include "certificates.h"
#include "keys.h"
#include "text.h"

#define BODY_LIMIT (64 * 1024)
#define CLOCK_TOLERANCE_MS (INT64_C(3600) * 1000) /* less than any wrong time zone */
#define JSON_TYPE "application/json; charset=utf-8"

static const struct method {
    const char *name;
    json_t *(*answer)(const struct alipay_call *call);                    /* server to server */
    json_t *(*open)(const struct alipay_call *call, char **ret_trade_no); /* in the payer's browser or phone */
} methods[] = {
    {"alipay.trade.wap.pay", NULL, alipay_open_wap},
    {"alipay.trade.page.pay", NULL, alipay_open_page},
    {"alipay.trade.app.pay", NULL, alipay_open_app},
    {"alipay.trade.precreate", alipay_precreate, NULL},
    {"alipay.trade.query", alipay_query, NULL},
    {"alipay.trade.close", alipay_close, NULL},
    {"alipay.trade.refund", alipay_refund, NULL},
    {"alipay.trade.fastpay.refund.query", alipay_refund_query, NULL},
};

/* The method that is called, if it can be called this way: app.pay is the phone's alone, and all it can call. */
static const struct method *find_method(const struct alipay_call *call)
{
    const char *name = params_get(call->params, "method");
    for (size_t i = 0; name && i < sizeof methods / sizeof *methods; i++)
        if (strcmp(methods[i].name, name) == 0)
            return (methods[i].open == alipay_open_app) == call->from_app ? &methods[i] : NULL;
    return NULL;
}

/* ---------------------------------------------------------------------------------------------- checks */

static json_t *invalid(const char *sub_code, const char *sub_msg)
{
    return alipay_refusal("40002", sub_code, sub_msg);
}

static json_t *check_presence(const struct params *params)
{
    static const struct {
        const char *name, *sub_code;
    } required[] = {{"app_id", "isv.missing-app-id"},       {"method", "isv.missing-method"},
                    {"sign", "isv.missing-signature"},      {"sign_type", "isv.missing-signature-type"},
                    {"timestamp", "isv.missing-timestamp"}, {"version", "isv.missing-version"}};
    for (size_t i = 0; i < sizeof required / sizeof *required; i++) {
        const char *value = params_get(params, required[i].name);
        if (!value || value[0] == '\0')
            return alipay_refusal("40001", required[i].sub_code, "a required parameter is missing");
    }
    return NULL;
}

static json_t *check_common(const struct params *params)
{
    int64_t sent_ms;
    const char *format = params_get(params, "format");
    if (strcmp(params_get(params, "version"), "1.0") != 0)
        return invalid("isv.invalid-version", "version must be 1.0");
    if (format && strcasecmp(format, "json") != 0)
        return invalid("isv.invalid-format", "format must be JSON");
    if (!beijing_parse(params_get(params, "timestamp"), &sent_ms))
        return invalid("isv.invalid-timestamp", "timestamp must be yyyy-MM-dd HH:mm:ss");
    if (llabs(sent_ms - clock_now_ms()) > CLOCK_TOLERANCE_MS)
        return invalid("isv.invalid-timestamp", "timestamp is more than an hour off: is it Beijing time?");
    return NULL;
}

/* Alipay reads the charset from the URL, before the body: without it there, it decodes as GBK. */
static json_t *check_charset(const struct alipay_call *call)
{
    if (!call->charset_in_url)
        return invalid("isv.invalid-signature", "invalid signature: make sure that charset is in the URL query string");
    if (strcasecmp(params_get(call->params, "charset"), "utf-8") != 0)
        return invalid("isv.invalid-charset", "the sandbox speaks utf-8 only");
    return NULL;
}

static json_t *check_signature(const struct sandbox *sandbox, const struct params *params)
{
    static const char *const unsigned_names[] = {"sign", NULL};
    if (strcmp(params_get(params, "sign_type"), "RSA2") != 0)
        return invalid("isv.invalid-signature-type", "sign_type must be RSA2");
    char *text = params_sign_text(params, unsigned_names, true);
    json_t *refusal = NULL;
    if (!keys_verify_app(sandbox->keys, text, strlen(text), params_get(params, "sign"))) {
        char *message = text_format("invalid signature; the text that was verified: %s", text);
        refusal = invalid("isv.invalid-signature", message);
        free(message);
    }
    free(text);
    return refusal;
}

/* In certificate mode a request says whose certificate it is signed with and which roots it trusts. */
static json_t *check_certificates(const struct sandbox *sandbox, const struct params *params)
{
    const char *own = params_get(params, "app_cert_sn"), *roots = params_get(params, "alipay_root_cert_sn");
    if (!sandbox->certificates)
        return NULL;
    if (!own || own[0] == '\0')
        return invalid("isv.missing-app-cert-sn", "app_cert_sn is missing: the application signs with a certificate");
    if (strcmp(own, sandbox->certificates->app_sn) != 0)
        return invalid("isv.app-cert-not-exist", "app_cert_sn is not the application's certificate");
    if (!roots || roots[0] == '\0')
        return invalid("isv.missing-alipay-root-cert-sn", "alipay_root_cert_sn is missing");
    if (strcmp(roots, sandbox->certificates->root_sn) != 0)
        return invalid("isv.invalid-alipay-root-cert-sn", "alipay_root_cert_sn names other roots");
    return NULL;
}

static json_t *parse_biz(const struct params *params)
{
    const char *text = params_get(params, "biz_content");
    json_t *biz = text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
    if (json_is_object(biz))
        return biz;
    json_decref(biz);
    return NULL;
}

/* NULL: the call is sound. */
static json_t *check(const struct alipay_call *call)
{
    json_t *refusal = check_presence(call->params);
    if (refusal)
        return refusal;
    if (strcmp(params_get(call->params, "app_id"), call->sandbox->app_id) != 0)
        return invalid("isv.invalid-app-id", "app_id is unknown here");
    if ((refusal = check_charset(call)) || (refusal = check_certificates(call->sandbox, call->params)) ||
        (refusal = check_signature(call->sandbox, call->params)) ||
        (refusal = check_common(call->params)))
        return refusal;
    if (!find_method(call))
        return invalid("isv.invalid-method", "there is no such method");
    return call->biz ? NULL : invalid("isv.invalid-parameter", "biz_content must be a JSON object without repeated names");
}

/* ---------------------------------------------------------------------------------------------- answers */

static void change_node(json_t *node, const json_t *change)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)change, name, value) {
        if (json_is_null(value))
            json_object_del(node, name);
        else
            json_object_set(node, name, value);
    }
}

/* The node's bytes as Alipay writes them, with '/' as "\/". The caller frees. */
static char *node_text(const json_t *node)
{
    return need(json_dumps(node, JSON_COMPACT | JSON_ESCAPE_SLASH));
}

static char *node_name(const char *method)
{
    char *name = text_format("%s_response", method);
    for (char *at = name; *at; at++)
        if (*at == '.')
            *at = '_';
    return name;
}

/* In certificate mode an answer names the certificate that signed it. The caller frees. */
static char *certificate_member(const struct sandbox *sandbox, const struct fault_plan *plan)
{
    static const char other[] = "00000000000000000000000000000000";
    if (!sandbox->certificates)
        return text_copy("");
    return text_format("\"alipay_cert_sn\":\"%s\",", plan->other_certificate ? other : sandbox->certificates->provider_sn);
}

static struct reply signed_answer(const struct sandbox *sandbox, const char *method, json_t *node,
                                  const struct fault_plan *plan)
{
    change_node(node, plan->change);
    char *name = node_name(method), *text = node_text(node);
    char *sign = alipay_sign(sandbox->keys, text, plan);
    json_t *tampering = fault_tampering(plan, "total_amount", "0.01");
    if (tampering) {
        change_node(node, tampering);
        json_decref(tampering);
        free(text);
        text = node_text(node);
    }
    char *certificate = certificate_member(sandbox, plan);
    char *body = text_format("{\"%s\":%s,%s\"sign\":\"%s\"}", name, text, certificate, sign);
    free(certificate);
    free(name);
    free(text);
    free(sign);
    return reply_text(200, JSON_TYPE, body);
}

static struct reply unsigned_refusal(const json_t *node)
{
    char *text = node_text(node);
    char *body = text_format("{\"error_response\":%s}", text);
    free(text);
    return reply_text(200, JSON_TYPE, body);
}

static bool breaks_transport(const struct fault_plan *plan)
{
    return plan->drop || plan->status || plan->html;
}

static struct reply broken_reply(const struct fault_plan *plan)
{
    if (plan->drop)
        return reply_drop();
    if (plan->status)
        return reply_text((unsigned)plan->status, "text/plain; charset=utf-8", text_copy("a fault was asked for\n"));
    return reply_text(200, "text/html; charset=utf-8", text_copy("<!DOCTYPE html>\n<title>busy</title><p>The system is busy.\n"));
}

/* What a fault puts in the place of an answer; NULL: there is no such fault. */
static json_t *refused_by(const struct fault_plan *plan)
{
    if (plan->unavailable)
        return alipay_refusal("20000", "isp.unknow-error", "the system is busy");
    return plan->code ? alipay_refusal("40004", plan->code, "a fault was asked for") : NULL;
}

/* ---------------------------------------------------------------------------------------------- a call */

static void log_call(const struct method *method, const struct alipay_call *call, const json_t *node)
{
    const char *pay_no = json_string_value(json_object_get(call->biz, "out_trade_no"));
    const char *sub_code = json_string_value(json_object_get(node, "sub_code"));
    say("gateway %s %s: %s", method ? method->name : "(unknown method)", pay_no && text_is_word(pay_no, 64) ? pay_no : "-",
        sub_code ? sub_code : "done");
}

static struct reply open_in_browser(const struct alipay_call *call, const struct method *method, json_t *refusal)
{
    char *trade_no = NULL;
    json_t *node = refusal ? refusal : method->open(call, &trade_no);
    log_call(method, call, node);
    struct reply reply = node ? alipay_show_refusal(node) : alipay_show_trade(call->sandbox, trade_no);
    json_decref(node);
    free(trade_no);
    return reply;
}

static struct reply answer_server(const struct alipay_call *call, const struct method *method, json_t *refusal,
                                  const struct fault_plan *plan)
{
    json_t *node = refusal, *fault = refused_by(plan);
    if (!node && (!fault || plan->after))
        node = method->answer(call);
    if (fault && (!refusal || plan->after)) {
        json_decref(node);
        node = fault;
    } else {
        json_decref(fault);
    }
    log_call(method, call, node);
    /* The gateway's own refusals of calls that belong to no application or method of its carry no signature. */
    const char *app_id = params_get(call->params, "app_id");
    bool known = method && app_id && strcmp(app_id, call->sandbox->app_id) == 0;
    struct reply reply = known ? signed_answer(call->sandbox, method->name, node, plan) : unsigned_refusal(node);
    json_decref(node);
    return reply;
}

static struct reply handle_call(const struct alipay_call *call, const struct fault_plan *plan)
{
    json_t *refusal = check(call);
    const struct method *method = find_method(call);
    if (call->from_app || (method && method->open))
        return open_in_browser(call, method, refusal);
    return answer_server(call, method, refusal, plan);
}

static void free_reply(struct reply *reply)
{
    free(reply->body);
    free(reply->location);
}

static struct reply gateway_call(const struct alipay_call *call)
{
    const char *pay_no = json_string_value(json_object_get(call->biz, "out_trade_no"));
    struct fault_plan plan = faults_take(call->sandbox->faults, FAULT_GATEWAY, params_get(call->params, "method"), pay_no);
    struct reply reply;
    if (!plan.after && plan.delay_ms)
        server_pause(call->sandbox->server, plan.delay_ms);
    if (!plan.after && breaks_transport(&plan)) {
        reply = broken_reply(&plan);
        goto out;
    }
    reply = handle_call(call, &plan);
    if (plan.after && plan.delay_ms)
        server_pause(call->sandbox->server, plan.delay_ms);
    if (breaks_transport(&plan)) {
        free_reply(&reply);
        reply = broken_reply(&plan);
    }

out:
    fault_plan_free(&plan);
    return reply;
}

static struct reply gateway(struct sandbox *sandbox, const struct request *request)
{
    struct params params = {0};
    struct reply reply;
    bool good = form_parse(&params, request->query, strlen(request->query));
    bool charset_in_url = params_get(&params, "charset") != NULL;
    if (good && form_parse(&params, request->body, request->body_length)) {
        json_t *biz = parse_biz(&params);
        reply = gateway_call(&(struct alipay_call){sandbox, &params, biz, charset_in_url, false});
        json_decref(biz);
    } else {
        reply = reply_text(400, "text/plain; charset=utf-8", text_copy("these are no form-encoded UTF-8 parameters\n"));
    }
    params_free(&params);
    return reply;
}

/* The phone: its SDK takes the order string from the merchant's app as it is and shows the payer the cashier. */
static struct reply app(struct sandbox *sandbox, const struct request *request)
{
    struct params params = {0};
    struct reply reply;
    if (form_parse(&params, request->body, request->body_length) && params.count > 0) {
        json_t *biz = parse_biz(&params);
        bool charset = params_get(&params, "charset") != NULL;
        reply = gateway_call(&(struct alipay_call){sandbox, &params, biz, charset, true});
        json_decref(biz);
    } else {
        reply = reply_text(400, "text/plain; charset=utf-8", text_copy("this is no order string\n"));
    }
    params_free(&params);
    return reply;
}

static const struct route routes[] = {
    {"POST", "/app", BODY_LIMIT, app},
    {"GET", "/gateway.do", BODY_LIMIT, gateway},
    {"POST", "/gateway.do", BODY_LIMIT, gateway},
};

const struct route_table alipay_gateway_routes = {routes, sizeof routes / sizeof *routes};
