/*
 * A request's head: whether its end is certain, which route it means, who calls, how long its body says it is. HTTP
 * threads, before a byte of the body is read.
 */
#include "http/head.h"

#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "http/auth.h"
#include "http/engine.h"
#include "http/handlers.h"
#include "http/problem.h"

enum { FORWARDED_MAX = 1024 };

static const char *header(struct http_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

struct joined {
    char text[FORWARDED_MAX];
    size_t len;
    bool overflow;
};

static enum MHD_Result join_forwarded(void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
    (void) kind;
    struct joined *joined = arg;
    if (!value || strcasecmp(name, "X-Forwarded-For") != 0)
        return MHD_YES;
    size_t n = strlen(value);
    if (joined->len + n + 2 > sizeof joined->text) {
        joined->overflow = true;
        return MHD_NO;
    }
    if (joined->len > 0)
        joined->text[joined->len++] = ',';
    memcpy(joined->text + joined->len, value, n + 1);
    joined->len += n;
    return MHD_YES;
}

static void note_language(struct http_request *request)
{
    request->language = language_choose(header(request, MHD_HTTP_HEADER_ACCEPT_LANGUAGE));
}

static void note_client(struct http_request *request)
{
    struct joined forwarded = { .len = 0 };
    char text[ADDRESS_TEXT_MAX];
    MHD_get_connection_values(request->connection, MHD_HEADER_KIND, join_forwarded, &forwarded);
    const char *list = forwarded.len > 0 && !forwarded.overflow ? forwarded.text : NULL;
    const struct sockaddr *peer = (const struct sockaddr *) &request->peer->peer;
    request->client_ip = arena_strdup(request->arena, proxies_client(request->server->proxies, peer, list, text));
    note_language(request);
}

/* False when the answer is given already. */
static bool find_route(struct http_request *request, unsigned side, const char *method)
{
    struct route_match match;
    size_t count;
    const struct http_route *routes = http_routes(&count);
    route_find(routes, count, side, method, request->path, &match);
    request->route = match.route;
    if (match.id)
        request->id = arena_strndup(request->arena, match.id, match.id_len);
    if (match.route)
        return true;
    bool is_page = match.other && match.other->wants_client;
    if (is_page) {
        note_language(request);
        payer_wrong_method(request, match.allow);
    } else if (match.allow[0])
        http_problem(request, &(struct problem){ .type = PROBLEM_METHOD_NOT_ALLOWED,
                                                 .detail = "Allow names the methods of this path.",
                                                 .header = &(struct http_header){ "Allow", match.allow } });
    else
        http_problem(request, &(struct problem){ .type = PROBLEM_NOT_FOUND, .detail = "No route has this path." });
    return false;
}

static bool check_role(struct http_request *request)
{
    if (request->route->role == FOR_ANYONE)
        return true;
    request->caller.app = auth_app(request->server->options.config, header(request, MHD_HTTP_HEADER_AUTHORIZATION));
    if (!request->caller.app) {
        http_problem(request,
                     &(struct problem){ .type = PROBLEM_UNAUTHORIZED,
                                        .detail = "Send \"Authorization: Bearer KEY\" with a key of a configured app.",
                                        .header = &(struct http_header){ "WWW-Authenticate", "Bearer realm=\"paynotify\"" } });
        return false;
    }
    if (request->route->role == FOR_OPERATORS && request->caller.app->role != ROLE_OPERATOR) {
        http_problem(request,
                     &(struct problem){ .type = PROBLEM_FORBIDDEN, .detail = "This needs a key with the role operator." });
        return false;
    }
    return true;
}

/* "application/json", with or without parameters. */
static bool names_json(const char *type)
{
    static const char json[] = "application/json";
    if (!type || strncasecmp(type, json, sizeof json - 1) != 0)
        return false;
    type += sizeof json - 1;
    return *type == '\0' || *type == ';' || *type == ' ';
}

void head_too_large(struct http_request *request)
{
    char detail[80];
    snprintf(detail, sizeof detail, "The body of this call may have %zu bytes.", request->route->body_max);
    http_problem(request, &(struct problem){ .type = PROBLEM_BODY_TOO_LARGE, .detail = detail });
}

struct framing {
    unsigned lengths, encodings;
};

static enum MHD_Result count_framing(void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
    (void) kind;
    (void) value;
    struct framing *framing = arg;
    framing->lengths += strcasecmp(name, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0;
    framing->encodings += strcasecmp(name, MHD_HTTP_HEADER_TRANSFER_ENCODING) == 0;
    return MHD_YES;
}

/* A request whose end a proxy before us may see elsewhere than libmicrohttpd does would smuggle another one in. */
static bool check_framing(struct http_request *request)
{
    struct framing framing = { 0 };
    MHD_get_connection_values(request->connection, MHD_HEADER_KIND, count_framing, &framing);
    if (framing.lengths + framing.encodings <= 1)
        return true;
    request->close_after = true;
    http_problem(request,
                 &(struct problem){ .type = PROBLEM_BAD_REQUEST, .detail = "More than one header says where the body ends." });
    return false;
}

void head_read(struct http_request *request, unsigned side, const char *method)
{
    if (!check_framing(request) || !find_route(request, side, method) || !check_role(request))
        return;
    if (request->route->wants_client)
        note_client(request);
    request->is_json = names_json(header(request, MHD_HTTP_HEADER_CONTENT_TYPE));
    const char *length = header(request, MHD_HTTP_HEADER_CONTENT_LENGTH);
    if (length && request->route->body_max > 0 && strtoull(length, NULL, 10) > request->route->body_max)
        head_too_large(request);
}

bool head_answers_early(struct http_request *request)
{
    if (request_is_open(request))
        return false;
    const char *length = header(request, MHD_HTTP_HEADER_CONTENT_LENGTH);
    if (request->close_after || header(request, MHD_HTTP_HEADER_EXPECT))
        return true;
    return length && strtoull(length, NULL, 10) > HEAD_DISCARD_MAX;
}
