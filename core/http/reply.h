/*
 * Answering a request, exactly once. Whoever claims it first (handler, callback, deadline, shutdown) answers; everybody
 * else's answer is dropped. After an answer nobody touches the request's connection any more.
 */
#ifndef PN_HTTP_REPLY_H
#define PN_HTTP_REPLY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"
#include "http/request.h"

struct http_header {
    const char *name, *value;
};

struct http_reply {
    int status;
    const char *content_type;
    const void *body; /* copied */
    size_t body_len;
    bool to_machine;    /* without the headers that only a browser heeds */
    const char *policy; /* Content-Security-Policy; NULL: nothing may load */
    const char *cache;    /* Cache-Control; NULL: no-store */
    const char *referrer; /* Referrer-Policy; NULL: no-referrer */
    const struct http_header *headers;
    size_t header_count;
};

/* Claims and answers. Any thread that holds a reference. */
void http_reply(struct http_request *request, const struct http_reply *reply);
/* The second half, for who has claimed the request. */
void http_answer(struct http_request *request, const struct http_reply *reply);

/* Takes the reference to `body`. */
void http_reply_json(struct http_request *request, int status, json_t *body);

/* HTTP thread: hands the finished answer to libmicrohttpd. False when there is none. */
struct MHD_Connection;
bool reply_queue(struct http_request *request, struct MHD_Connection *connection);

#endif
