/*
 * POST /control/sign-notice: notices signed as the provider would, without any trade behind them, one or many thousand. For
 * tests that bring odd notices, and for load drivers. Runs on the threads of the HTTP server.
 */
#include <stdlib.h>
#include <string.h>

#include "alipay.h"
#include "control.h"
#include "json.h"
#include "text.h"
#include "wechat.h"

#define MOST_NOTICES 50000

/* What is signed: `sample` is a usual notice, `sign` lays the faults over the fields and makes the body. */
struct maker {
    const char *name;
    struct params (*sample)(struct sandbox *sandbox);
    char *(*sign)(struct sandbox *sandbox, struct params *fields, const struct fault_plan *plan);
};

struct job {
    struct sandbox *sandbox;
    const struct maker *maker;
    const json_t *request;
    bool bare;
    struct fault_plan plan;
};

static struct params sample_alipay(struct sandbox *sandbox)
{
    return alipay_sample_notice(sandbox, "0", "0.01");
}

static char *sign_alipay(struct sandbox *sandbox, struct params *fields, const struct fault_plan *plan)
{
    return alipay_sign_notice(sandbox->keys, fields, plan);
}

static char *sign_md5(struct sandbox *sandbox, struct params *fields, const struct fault_plan *plan)
{
    return wechat_sign_notice(sandbox->wechat, false, fields, plan);
}

static char *sign_hmac(struct sandbox *sandbox, struct params *fields, const struct fault_plan *plan)
{
    return wechat_sign_notice(sandbox->wechat, true, fields, plan);
}

static char *seal_refund(struct sandbox *sandbox, struct params *fields, const struct fault_plan *plan)
{
    return wechat_seal_notice(sandbox->wechat, fields, plan);
}

static const struct maker makers[] = {
    {"alipay", sample_alipay, sign_alipay},
    {"wechat-md5", wechat_sample_notice, sign_md5},
    {"wechat-hmac", wechat_sample_notice, sign_hmac},
    {"wechat-refund", wechat_sample_refund_notice, seal_refund},
};

/* NULL: there is none of that name. */
static const struct maker *find_maker(const char *name)
{
    for (size_t i = 0; i < sizeof makers / sizeof *makers; i++)
        if (strcmp(makers[i].name, name) == 0)
            return &makers[i];
    return NULL;
}

/* The usual notice with `fields` over it; with "bare" nothing but `fields`. The caller frees. */
static char *signed_body(const struct job *job, const json_t *fields)
{
    struct params params = {0};
    const char *name;
    json_t *value;
    if (!job->bare)
        params = job->maker->sample(job->sandbox);
    json_object_foreach((json_t *)fields, name, value)
        params_set(&params, name, json_string_value(value)); /* NULL for null: removes */
    char *body = job->maker->sign(job->sandbox, &params, &job->plan);
    params_free(&params);
    return body;
}

static struct reply sign_one(const struct job *job, const json_t *fields)
{
    if (!json_is_fields(fields))
        return control_refuse(400, "\"fields\" is an object of texts; null leaves a field out");
    char *body = signed_body(job, fields);
    json_t *json = json_pack("{s:s}", "body", body);
    free(body);
    return control_reply(200, json);
}

static struct reply sign_list(const struct job *job, const json_t *notices)
{
    json_t *bodies = json_array();
    size_t i;
    json_t *fields;
    if (!json_is_array(notices) || json_array_size(notices) > MOST_NOTICES)
        goto refuse;
    json_array_foreach((json_t *)notices, i, fields) {
        if (!json_is_fields(fields))
            goto refuse;
        char *body = signed_body(job, fields);
        json_array_append_new(bodies, json_string(body));
        free(body);
    }
    return control_reply(200, json_pack("{s:o}", "bodies", bodies));

refuse:
    json_decref(bodies);
    return control_refuse(400, "\"notices\" is a list of at most 50000 objects of texts");
}

/* One body per line: a pay_no each, everything else the same. */
static struct reply sign_bulk(const struct job *job, const json_t *pay_nos)
{
    json_t *fields = json_deep_copy(json_object_get(job->request, "fields")), *pay_no;
    char *text = NULL;
    size_t length, i;
    if (!fields)
        fields = json_object();
    if (!json_is_fields(fields) || !json_is_array(pay_nos) || json_array_size(pay_nos) > MOST_NOTICES)
        goto refuse;
    json_array_foreach((json_t *)pay_nos, i, pay_no)
        if (!json_is_string(pay_no))
            goto refuse;

    FILE *out = need(open_memstream(&text, &length));
    json_array_foreach((json_t *)pay_nos, i, pay_no) {
        json_object_set(fields, "out_trade_no", pay_no);
        char *body = signed_body(job, fields);
        fprintf(out, "%s\n", body);
        free(body);
    }
    fclose(out);
    json_decref(fields);
    return reply_text(200, "text/plain; charset=utf-8", need(text));

refuse:
    json_decref(fields);
    return control_refuse(400, "\"pay_nos\" is a list of at most 50000 texts, \"fields\" an object of texts");
}

struct reply control_sign_notice(struct sandbox *sandbox, const struct request *request)
{
    static const char *const members[] = {"style", "fields", "notices", "pay_nos", "bare", "wrong_key", NULL};
    json_t *wanted = json_loadb(request->body, request->body_length, 0, NULL);
    const char *style = json_string_value(json_object_get(wanted, "style"));
    struct job job = {.sandbox = sandbox,
                      .maker = find_maker(style ? style : "alipay"),
                      .request = wanted,
                      .bare = json_is_true(json_object_get(wanted, "bare")),
                      .plan.wrong_key = json_is_true(json_object_get(wanted, "wrong_key"))};
    const json_t *pay_nos = json_object_get(wanted, "pay_nos"), *notices = json_object_get(wanted, "notices");
    struct reply reply = !json_has_only(wanted, members) || !job.maker
                             ? control_refuse(400, "a JSON object of fields, notices or pay_nos, and bare, wrong_key, style "
                                                   "(alipay, wechat-md5, wechat-hmac, wechat-refund)")
                         : pay_nos ? sign_bulk(&job, pay_nos)
                         : notices ? sign_list(&job, notices)
                                   : sign_one(&job, json_object_get(wanted, "fields"));
    json_decref(wanted);
    return reply;
}
