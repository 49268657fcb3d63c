/*
 * Problem documents. Their `type` is stable: callers may branch on it; titles and details are for people. Any thread.
 */
#include "http/problem.h"

#include "base/log.h"
#include "http/route.h"

#define TYPE_PREFIX "urn:paynotify:problem:"

static const struct {
    int status;
    const char *name, *title;
} types[PROBLEM_TYPES] = {
    [PROBLEM_BAD_REQUEST] = { 400, "bad-request", "The request cannot be read" },
    [PROBLEM_BAD_JSON] = { 400, "bad-json", "The body is not the JSON that this call takes" },
    [PROBLEM_INVALID_FIELD] = { 422, "invalid-field", "A field has a value that cannot be taken" },
    [PROBLEM_UNAUTHORIZED] = { 401, "unauthorized", "An API key is needed" },
    [PROBLEM_FORBIDDEN] = { 403, "forbidden", "This key may not do that" },
    [PROBLEM_NOT_FOUND] = { 404, "not-found", "There is no such thing" },
    [PROBLEM_METHOD_NOT_ALLOWED] = { 405, "method-not-allowed", "This path has other methods" },
    [PROBLEM_CONFLICT] = { 409, "conflict", "The state does not allow it" },
    [PROBLEM_BODY_TOO_LARGE] = { 413, "body-too-large", "The body is too large" },
    [PROBLEM_MEDIA_TYPE] = { 415, "media-type", "The body must be application/json" },
    [PROBLEM_DECLINED] = { 422, "declined", "The payment provider declined" },
    [PROBLEM_INTERNAL] = { 500, "internal", "Something went wrong here" },
    [PROBLEM_OVERLOADED] = { 503, "overloaded", "Too much to do just now" },
    [PROBLEM_UNAVAILABLE] = { 503, "unavailable", "Something that is needed cannot be reached" },
    [PROBLEM_STOPPING] = { 503, "stopping", "The server is stopping" },
    [PROBLEM_OUTCOME_UNKNOWN] = { 504, "outcome-unknown", "Whether it was done is not known" },
    [PROBLEM_TIMEOUT] = { 504, "timeout", "It took too long" },
};

int problem_status(enum problem_type type)
{
    return types[type].status;
}

const char *problem_name(enum problem_type type)
{
    return types[type].name;
}

enum problem_type problem_of(const struct error *err)
{
    switch (err->rc) {
    case RC_BAD_INPUT: return err->field[0] ? PROBLEM_INVALID_FIELD : PROBLEM_BAD_REQUEST;
    case RC_NOT_FOUND: return PROBLEM_NOT_FOUND;
    case RC_CONFLICT:
    case RC_EXISTS: return PROBLEM_CONFLICT;
    case RC_DECLINED: return PROBLEM_DECLINED;
    case RC_FULL: return PROBLEM_OVERLOADED;
    case RC_RETRY:
    case RC_TIMEOUT:
    case RC_UNAVAILABLE: return PROBLEM_UNAVAILABLE;
    case RC_UNKNOWN: return PROBLEM_OUTCOME_UNKNOWN;
    case RC_DATA: return PROBLEM_INVALID_FIELD;
    default: return PROBLEM_INTERNAL;
    }
}

static void member(struct buf *body, const char *name, const char *value)
{
    if (!value || !*value)
        return;
    buf_addf(body, ",\"%s\":", name);
    buf_add_json(body, value);
}

void http_answer_problem(struct http_request *request, const struct problem *problem)
{
    struct buf body = { 0 };
    int status = types[problem->type].status;
    buf_addf(&body, "{\"type\":\"" TYPE_PREFIX "%s\",\"title\":\"%s\",\"status\":%d", types[problem->type].name,
             types[problem->type].title, status);
    member(&body, "detail", problem->detail);
    member(&body, "field", problem->field);
    member(&body, "order_id", problem->order_id);
    buf_addc(&body, '}');
    struct http_header headers[2];
    size_t count = 0;
    if (problem->header)
        headers[count++] = *problem->header;
    if (status == 503)
        headers[count++] = (struct http_header){ "Retry-After", "1" };
    http_answer(request, &(struct http_reply){ .status = status,
                                               .content_type = "application/problem+json",
                                               .body = body.data,
                                               .body_len = body.len,
                                               .headers = headers,
                                               .header_count = count });
    buf_free(&body);
}

void http_problem(struct http_request *request, const struct problem *problem)
{
    if (request_claim(request))
        http_answer_problem(request, problem);
}

void http_fail(struct http_request *request, const struct error *err)
{
    http_fail_order(request, err, NULL);
}

void http_fail_order(struct http_request *request, const struct error *err, const char *order_id)
{
    static struct log_limit limit;
    struct problem problem = { .type = problem_of(err), .detail = err->text, .field = err->field, .order_id = order_id };
    if (problem.type == PROBLEM_INTERNAL || problem.type == PROBLEM_UNAVAILABLE) {
        if (log_allow(&limit, 60))
            log_warn("request failed", LOG_S("route", request->route ? request->route->path : ""),
                     LOG_S("error", rc_name(err->rc)), LOG_S("reason", err->text));
        problem.detail = problem.type == PROBLEM_INTERNAL ? "The server's log says more." : "Nothing was changed; try again.";
    }
    http_problem(request, &problem);
}
