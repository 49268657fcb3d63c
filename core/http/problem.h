/*
 * RFC 9457 problem documents: the one shape of every error that the API answers.
 */
#ifndef PN_HTTP_PROBLEM_H
#define PN_HTTP_PROBLEM_H

#include "base/error.h"
#include "http/reply.h"
#include "http/request.h"

enum problem_type {
    PROBLEM_BAD_REQUEST,
    PROBLEM_BAD_JSON,
    PROBLEM_INVALID_FIELD,
    PROBLEM_UNAUTHORIZED,
    PROBLEM_FORBIDDEN,
    PROBLEM_NOT_FOUND,
    PROBLEM_METHOD_NOT_ALLOWED,
    PROBLEM_CONFLICT,
    PROBLEM_BODY_TOO_LARGE,
    PROBLEM_MEDIA_TYPE,
    PROBLEM_DECLINED,
    PROBLEM_INTERNAL,
    PROBLEM_OVERLOADED,
    PROBLEM_UNAVAILABLE,
    PROBLEM_STOPPING,
    PROBLEM_OUTCOME_UNKNOWN,
    PROBLEM_TIMEOUT,
    PROBLEM_TYPES
};

struct problem {
    enum problem_type type;
    const char *detail; /* one sentence */
    const char *field;  /* the offending input field; NULL or "": none */
    const char *order_id; /* what was made before it went wrong; NULL: nothing */
    const struct http_header *header; /* one more header; NULL: none */
};

int problem_status(enum problem_type type);
const char *problem_name(enum problem_type type); /* "not-found" of urn:paynotify:problem:not-found */
enum problem_type problem_of(const struct error *err);

/* Claims and answers. */
void http_problem(struct http_request *request, const struct problem *problem);
/* For who has claimed the request. */
void http_answer_problem(struct http_request *request, const struct problem *problem);
/* What a failed call of the layers below means to the caller. Internal failures are logged, not told. */
void http_fail(struct http_request *request, const struct error *err);
/* The same, naming the order that was made before. */
void http_fail_order(struct http_request *request, const struct error *err, const char *order_id);

#endif
