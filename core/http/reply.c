/*
 * The one place where answers are made and queued. A response is built on the thread that answers; libmicrohttpd gets it
 * on its own thread, after the connection was resumed, so no other thread ever works on a running connection.
 */
#include "http/reply.h"

#include <microhttpd.h>

#include "http/engine.h"
#include "http/rawjson.h"

static const char closed_policy[] = "default-src 'none'; frame-ancestors 'none'";

static void protect_browser(struct MHD_Response *response, const struct http_reply *reply)
{
    MHD_add_response_header(response, "Cache-Control", reply->cache ? reply->cache : "no-store");
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(response, "X-Frame-Options", "DENY");
    MHD_add_response_header(response, "Referrer-Policy", reply->referrer ? reply->referrer : "no-referrer");
    MHD_add_response_header(response, "Content-Security-Policy", reply->policy ? reply->policy : closed_policy);
}

static struct MHD_Response *build(const struct http_request *request, const struct http_reply *reply)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(reply->body_len, (void *) (uintptr_t) reply->body,
                                                                    MHD_RESPMEM_MUST_COPY);
    if (!response)
        return NULL;
    if (reply->content_type)
        MHD_add_response_header(response, "Content-Type", reply->content_type);
    if (!reply->to_machine)
        protect_browser(response, reply);
    for (size_t i = 0; i < reply->header_count; i++)
        MHD_add_response_header(response, reply->headers[i].name, reply->headers[i].value);
    if (request->close_after || atomic_load(&request->server->draining))
        MHD_add_response_header(response, "Connection", "close");
    return response;
}

static void count(const struct http_request *request, int status)
{
    struct http_server *server = request->server;
    size_t hundreds = status >= 100 && status < 600 ? (size_t) status / 100 : 0;
    if (!request->route || !server->answers) {
        if (server->unrouted)
            metric_add(server->unrouted, 1);
        return;
    }
    size_t routes;
    size_t at = (size_t) (request->route - http_routes(&routes));
    if (at < routes && server->answers[at][hundreds])
        metric_add(server->answers[at][hundreds], 1);
}

void http_answer(struct http_request *request, const struct http_reply *reply)
{
    struct http_server *server = request->server;
    request->response = build(request, reply);
    request->status = reply->status;
    count(request, reply->status);
    bool suspended = request->suspended;
    struct MHD_Connection *connection = request->connection;
    atomic_store(&request->state, REQUEST_ANSWERED);
    if (!suspended)
        return; /* still inside the access callback, which queues it */
    deadlines_remove(server->deadlines, request);
    MHD_resume_connection(connection);
    engine_resumed(server);
}

void http_reply(struct http_request *request, const struct http_reply *reply)
{
    if (request_claim(request))
        http_answer(request, reply);
}

void http_reply_json(struct http_request *request, int status, json_t *body)
{
    struct buf text = { 0 };
    if (body)
        rawjson_write(&text, body);
    bool fine = body && !text.failed;
    http_reply(request, &(struct http_reply){ .status = fine ? status : 500,
                                              .content_type = "application/json",
                                              .body = buf_text(&text),
                                              .body_len = fine ? text.len : 0 });
    json_decref(body);
    buf_free(&text);
}

bool reply_queue(struct http_request *request, struct MHD_Connection *connection)
{
    if (atomic_load(&request->state) != REQUEST_ANSWERED || !request->response)
        return false;
    return MHD_queue_response(connection, (unsigned) request->status, request->response) == MHD_YES;
}
