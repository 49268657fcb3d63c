/*
 * Reading and refusing input. Called by the handlers of /v1 on workers.
 */
#include "http/input.h"

#include <string.h>

#include "base/clock.h"
#include "base/ids.h"
#include "http/problem.h"

bool input_fault(struct http_request *request, const char *field, const char *detail)
{
    http_problem(request, &(struct problem){ .type = PROBLEM_INVALID_FIELD, .field = field, .detail = detail });
    return false;
}

bool input_id(struct http_request *request, int64_t *ret_id)
{
    if (id_parse(request->id, ret_id))
        return true;
    http_problem(request, &(struct problem){ .type = PROBLEM_NOT_FOUND, .detail = "The path holds no such number." });
    return false;
}

bool input_body(struct http_request *request, const struct spec *spec, const char *const *extra_names, void *ret)
{
    struct error err = { 0 };
    if (!request->is_json) {
        http_problem(request, &(struct problem){ .type = PROBLEM_MEDIA_TYPE, .detail = "Send Content-Type: application/json." });
        return false;
    }
    enum rc rc = spec_parse(spec, extra_names, request->body.data, request->body.len, request->arena, ret, &err);
    if (!rc)
        return true;
    if (rc == RC_BAD_INPUT && !err.field[0])
        http_problem(request, &(struct problem){ .type = PROBLEM_BAD_JSON, .detail = err.text });
    else
        http_fail(request, &err);
    return false;
}

bool input_query(struct http_request *request, const char *const *known, struct query *ret)
{
    struct error err = { 0 };
    enum rc rc = query_parse(request->query, request->arena, ret, &err);
    if (!rc)
        rc = query_only(ret, known, &err);
    if (rc)
        http_fail(request, &err);
    return rc == RC_OK;
}

bool input_text(struct http_request *request, const struct query *query, const char *name, size_t max, const char **ret)
{
    const char *text = query_get(query, name);
    if (text && (!*text || strlen(text) > max))
        return input_fault(request, name, "is empty or too long");
    *ret = text;
    return true;
}

bool input_number(struct http_request *request, const struct query *query, const char *name, int64_t *ret)
{
    const char *text = query_get(query, name);
    return !text || id_parse(text, ret) || input_fault(request, name, "must be a number such as 7212345678901234567");
}

bool input_time(struct http_request *request, const struct query *query, const char *name, int64_t *ret)
{
    const char *text = query_get(query, name);
    if (!text || clock_parse(text, ret) == RC_OK)
        return true;
    return input_fault(request, name, "must be a time such as 2024-05-20T05:14:20Z (write + as %2B)");
}

bool input_boolean(struct http_request *request, const struct query *query, const char *name, int *ret)
{
    const char *text = query_get(query, name);
    if (!text)
        return true;
    if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
        return input_fault(request, name, "must be true or false");
    *ret = strcmp(text, "true") == 0;
    return true;
}

bool input_status(struct http_request *request, const struct query *query, int (*status_of)(const char *), int *ret)
{
    const char *text = query_get(query, "status");
    if (!text)
        return true;
    *ret = status_of(text);
    return *ret != 0 || input_fault(request, "status", "is no status");
}

bool input_page(struct http_request *request, const struct query *query, int64_t *ret_before, size_t *ret_limit)
{
    const char *cursor = query_get(query, "cursor"), *limit = query_get(query, "limit");
    int64_t most = PAGE_DEFAULT;
    if (cursor && !id_parse(cursor, ret_before))
        return input_fault(request, "cursor", "must be `next` of an earlier answer");
    if (limit && (!id_parse(limit, &most) || most > PAGE_MOST))
        return input_fault(request, "limit", "must be a number from 1 to 100");
    *ret_limit = (size_t) most;
    return true;
}
