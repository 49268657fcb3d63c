/*
 * POST /control/sign-notice: notices signed as Alipay would, without any trade behind them, one or many thousand. For tests
 * that bring odd notices, and for load drivers. Runs on the threads of the HTTP server.
 */
#include <stdlib.h>
#include <string.h>

#include "alipay.h"
#include "control.h"
#include "json.h"
#include "text.h"

#define MOST_NOTICES 50000

/* The usual notice with `fields` over it; with "bare" nothing but `fields`. The caller frees. */
static char *signed_body(struct sandbox *sandbox, const json_t *fields, bool bare, const struct fault_plan *plan)
{
    struct params params = {0};
    if (!bare)
        params = alipay_sample_notice(sandbox, "0", "0.01");
    alipay_change_fields(&params, fields);
    char *body = alipay_sign_notice(sandbox->keys, &params, plan);
    params_free(&params);
    return body;
}

struct job {
    struct sandbox *sandbox;
    const json_t *request;
    bool bare;
    struct fault_plan plan;
};

static struct reply sign_one(const struct job *job, const json_t *fields)
{
    if (!json_is_fields(fields))
        return control_refuse(400, "\"fields\" is an object of texts; null leaves a field out");
    char *body = signed_body(job->sandbox, fields, job->bare, &job->plan);
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
        char *body = signed_body(job->sandbox, fields, job->bare, &job->plan);
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
        char *body = signed_body(job->sandbox, fields, job->bare, &job->plan);
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
    static const char *const members[] = {"fields", "notices", "pay_nos", "bare", "wrong_key", NULL};
    json_t *wanted = json_loadb(request->body, request->body_length, 0, NULL);
    struct job job = {.sandbox = sandbox,
                      .request = wanted,
                      .bare = json_is_true(json_object_get(wanted, "bare")),
                      .plan.wrong_key = json_is_true(json_object_get(wanted, "wrong_key"))};
    const json_t *pay_nos = json_object_get(wanted, "pay_nos"), *notices = json_object_get(wanted, "notices");
    struct reply reply = !json_has_only(wanted, members)
                             ? control_refuse(400, "a JSON object of fields, notices or pay_nos, and bare, wrong_key")
                         : pay_nos ? sign_bulk(&job, pay_nos)
                         : notices ? sign_list(&job, notices)
                                   : sign_one(&job, json_object_get(wanted, "fields"));
    json_decref(wanted);
    return reply;
}
