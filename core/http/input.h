/*
 * What handlers read from a request. Each function answers the request with a problem and returns false when the input
 * is wrong, so that a handler reads as a straight line. Workers.
 */
#ifndef PN_HTTP_INPUT_H
#define PN_HTTP_INPUT_H

#include <stdbool.h>
#include <stdint.h>

#include "http/query.h"
#include "http/request.h"
#include "http/spec.h"
#include "pay/pay.h"

enum { PAGE_DEFAULT = 20, PAGE_MOST = 100 };

/* The number in the route's {…}; anything else there is "not found". */
bool input_id(struct http_request *request, int64_t *ret_id);

/* The body by its spec; 415 without application/json. */
bool input_body(struct http_request *request, const struct spec *spec, const char *const *extra_names, void *ret);

/* The query; `known` ends with NULL. */
bool input_query(struct http_request *request, const char *const *known, struct query *ret);
bool input_text(struct http_request *request, const struct query *query, const char *name, size_t max, const char **ret);
bool input_number(struct http_request *request, const struct query *query, const char *name, int64_t *ret); /* one of ours */
bool input_time(struct http_request *request, const struct query *query, const char *name, int64_t *ret);
bool input_boolean(struct http_request *request, const struct query *query, const char *name, int *ret); /* absent: untouched */
bool input_status(struct http_request *request, const struct query *query, int (*status_of)(const char *), int *ret);
/* `cursor` and `limit`. */
bool input_page(struct http_request *request, const struct query *query, int64_t *ret_before, size_t *ret_limit);

bool input_fault(struct http_request *request, const char *field, const char *detail); /* answers 422, returns false */

#endif
