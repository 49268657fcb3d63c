/*
 * What is known of a request before its body comes. HTTP threads.
 */
#ifndef PN_HTTP_HEAD_H
#define PN_HTTP_HEAD_H

#include <stdbool.h>

#include "http/request.h"

/* How much of an over-long or unwanted body is read, and thrown away, so that the sender hears the answer. */
enum { HEAD_DISCARD_MAX = 1024 * 1024 };

/* Finds the route, the caller and what the handler will ask for; answers the request when that fails. */
void head_read(struct http_request *request, unsigned side, const char *method);

/* Whether an answer that is known from the head alone must leave before the body was read: the sender waits for it, or
 * sends more than we are willing to throw away. libmicrohttpd then closes the connection behind it. */
bool head_answers_early(struct http_request *request);

void head_too_large(struct http_request *request); /* answers 413 */

#endif
