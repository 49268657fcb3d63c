/*
 * The calls of WeChat Pay v2: reads the XML, checks a call as strictly as WeChat does (protocol sections 1 to 4), dispatches it
 * by path, and answers signed. Runs on the threads of the HTTP server; no state of its own.
 */
#include <stdlib.h>
#include <string.h>

#include "text.h"
#include "wechat.h"
#include "xml.h"

#define BODY_LIMIT (64 * 1024)
#define XML_TYPE "text/xml; charset=utf-8"

static const struct method {
    const char *path, *name;
    struct params (*answer)(const struct wechat_call *call);
    bool certified; /* wants the client's certificate */
} methods[] = {
    {"/pay/unifiedorder", "unifiedorder", wechat_unifiedorder, false},
    {"/pay/orderquery", "orderquery", wechat_orderquery, false},
    {"/pay/closeorder", "closeorder", wechat_closeorder, false},
    {"/secapi/pay/refund", "refund", wechat_refund, true},
    {"/pay/refundquery", "refundquery", wechat_refundquery, false},
};

static const struct method *find_method(const char *path)
{
    const struct method *method = methods;
    while (strcmp(method->path, path) != 0)
        method++; /* the routes below are the same paths */
    return method;
}

/* ---------------------------------------------------------------------------------------------- checks */

static bool is_four_bytes(const struct params *params)
{
    for (size_t i = 0; i < params->count; i++)
        for (const char *at = params->items[i].value; *at; at++)
            if ((unsigned char)*at >= 0xF0)
                return true;
    return false;
}

/* NULL, or the return_msg of a call that is not understood. Such answers carry no signature. */
static const char *read_call(const struct request *request, struct params *params)
{
    if (strcmp(request->method, "POST") != 0)
        return "REQUIRE_POST_METHOD: 请使用post方法";
    if (request->body_length == 0)
        return "POST_DATA_EMPTY: post数据为空";
    if (xml_parse(params, "xml", request->body, request->body_length))
        return "XML_FORMAT_ERROR: XML格式错误";
    return is_four_bytes(params) ? "NOT_UTF8: 编码格式错误" : NULL;
}

static bool is_equal(const char *a, const char *b)
{
    return a && strcmp(a, b) == 0;
}

/* Whether sign_type is one that exists; absent, it is MD5. */
static bool read_sign_type(const struct params *params, bool *ret_hmac)
{
    const char *type = params_get(params, "sign_type");
    *ret_hmac = is_equal(type, "HMAC-SHA256");
    return !type || type[0] == '\0' || *ret_hmac || strcmp(type, "MD5") == 0;
}

static bool is_signed(const struct wechat_call *call)
{
    char *sign = wechat_signature(call->sandbox->wechat->api_key, call->hmac, call->params);
    bool good = is_equal(params_get(call->params, "sign"), sign);
    free(sign);
    return good;
}

/* The same, of what is understood. Fills call->hmac. */
static const char *check_call(struct wechat_call *call)
{
    const char *nonce = params_get(call->params, "nonce_str");
    if (!is_equal(params_get(call->params, "mch_id"), call->sandbox->wechat->mch_id))
        return "MCHID_NOT_EXIST: mch_id不存在";
    if (!read_sign_type(call->params, &call->hmac))
        return "SIGNERROR: sign_type错误";
    if (!is_signed(call))
        return "SIGNERROR: 签名错误";
    return nonce && nonce[0] && strlen(nonce) <= 32 ? NULL : "LACK_PARAMS: nonce_str";
}

/* ---------------------------------------------------------------------------------------------- answers */

static struct reply unsigned_failure(const char *return_msg)
{
    struct params answer = {0};
    params_set(&answer, "return_code", "FAIL");
    params_set(&answer, "return_msg", return_msg);
    char *text = xml_write(&answer, "xml");
    params_free(&answer);
    return reply_text(200, XML_TYPE, text);
}

static struct reply signed_answer(const struct wechat_call *call, struct params *answer, const struct fault_plan *plan)
{
    wechat_sign(call->sandbox->wechat, call->hmac, answer, plan);
    return reply_text(200, XML_TYPE, xml_write(answer, "xml"));
}

static bool breaks_transport(const struct fault_plan *plan)
{
    return plan->drop || plan->status || plan->html || plan->fail;
}

static struct reply broken_reply(const struct fault_plan *plan)
{
    if (plan->drop)
        return reply_drop();
    if (plan->status)
        return reply_text((unsigned)plan->status, "text/plain; charset=utf-8", text_copy("a fault was asked for\n"));
    if (plan->fail)
        return unsigned_failure("SYSTEMERROR: 系统繁忙，请稍后再试");
    return reply_text(200, "text/html; charset=utf-8", text_copy("<!DOCTYPE html>\n<title>busy</title><p>The system is busy.\n"));
}

/* What the front of the site says before anybody reads the call. */
static struct reply no_certificate(void)
{
    return reply_text(400, "text/html; charset=utf-8",
                      text_copy("<html><head><title>400 No required SSL certificate was sent</title></head></html>\n"));
}

/* ---------------------------------------------------------------------------------------------- a call */

static void log_call(const struct method *method, const struct params *params, const char *result)
{
    const char *pay_no = params_get(params, "out_trade_no");
    say("wechat %s %s: %s", method->name, pay_no && text_is_word(pay_no, 64) ? pay_no : "-", result);
}

static struct params do_work(const struct wechat_call *call, const struct method *method, const struct fault_plan *plan)
{
    const char *code = plan->unavailable ? "SYSTEMERROR" : plan->code;
    const char *appid = params_get(call->params, "appid");
    if (!is_equal(appid, call->sandbox->wechat->appid))
        return wechat_refusal(call, appid ? "APPID_MCHID_NOT_MATCH" : "LACK_PARAMS", "appid is missing or not the merchant's");
    if (!code)
        return method->answer(call);
    if (plan->after) {
        struct params done = method->answer(call);
        params_free(&done);
    }
    return wechat_refusal(call, code, "a fault was asked for");
}

static struct reply answer_call(struct wechat_call *call, const struct method *method, const char *wrong,
                                const struct fault_plan *plan)
{
    if (!wrong)
        wrong = check_call(call);
    if (wrong) {
        log_call(method, call->params, wrong);
        return unsigned_failure(wrong);
    }
    struct params answer = do_work(call, method, plan);
    const char *err_code = params_get(&answer, "err_code");
    log_call(method, call->params, err_code ? err_code : "done");
    struct reply reply = signed_answer(call, &answer, plan);
    params_free(&answer);
    return reply;
}

static struct reply with_faults(struct wechat_call *call, const struct method *method, const char *wrong)
{
    struct sandbox *sandbox = call->sandbox;
    struct fault_plan plan = faults_take(sandbox->faults, FAULT_GATEWAY, method->name, params_get(call->params, "out_trade_no"));
    struct reply reply;
    if (!plan.after && plan.delay_ms)
        server_pause(sandbox->server, plan.delay_ms);
    if (!plan.after && breaks_transport(&plan)) {
        reply = broken_reply(&plan);
        goto out;
    }
    reply = answer_call(call, method, wrong, &plan);
    if (plan.after && plan.delay_ms)
        server_pause(sandbox->server, plan.delay_ms);
    if (breaks_transport(&plan)) {
        free(reply.body);
        reply = broken_reply(&plan);
    }

out:
    fault_plan_free(&plan);
    return reply;
}

static struct reply gateway(struct sandbox *sandbox, const struct request *request)
{
    const struct method *method = find_method(request->path);
    struct params params = {0};
    if (method->certified && sandbox->wechat->demands_certificate && !request->is_certified)
        return no_certificate();
    const char *wrong = read_call(request, &params);
    struct reply reply = with_faults(&(struct wechat_call){.sandbox = sandbox, .params = &params}, method, wrong);
    params_free(&params);
    return reply;
}

#define CALL(path) {"POST", path, BODY_LIMIT, gateway}, {"GET", path, BODY_LIMIT, gateway}
static const struct route routes[] = {
    CALL("/pay/unifiedorder"),  CALL("/pay/orderquery"),  CALL("/pay/closeorder"),
    CALL("/secapi/pay/refund"), CALL("/pay/refundquery"),
};

const struct route_table wechat_gateway_routes = {routes, sizeof routes / sizeof *routes};
