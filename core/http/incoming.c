/*
 * From a request to what plugins see of it; see incoming.h.
 */
#include "http/incoming.h"

#include <microhttpd.h>
#include <string.h>

#include "http/engine.h"

enum { HEADERS_MAX = 64 };

struct reading {
    struct pn_http_incoming incoming;
    struct pn_kv *headers;
    size_t room;
    struct arena *arena;
};

static struct pn_str str(const char *text)
{
    return (struct pn_str){ text, strlen(text) };
}

static enum MHD_Result add_header(void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
    (void) kind;
    struct reading *reading = arg;
    size_t n = strlen(name);
    if (reading->incoming.headers.count == reading->room)
        return MHD_NO;
    char *lower = arena_strndup(reading->arena, name, n);
    if (!lower)
        return MHD_NO;
    for (size_t i = 0; i < n; i++)
        if (lower[i] >= 'A' && lower[i] <= 'Z')
            lower[i] = (char) (lower[i] - 'A' + 'a');
    reading->headers[reading->incoming.headers.count++] = (struct pn_kv){ { lower, n }, str(value ? value : "") };
    return MHD_YES;
}

const struct pn_http_incoming *incoming_read(struct http_request *request, const char *method)
{
    int count = MHD_get_connection_values(request->connection, MHD_HEADER_KIND, NULL, NULL);
    size_t room = count < HEADERS_MAX ? (size_t) count : HEADERS_MAX;
    struct reading *reading = arena_alloc(request->arena, sizeof *reading);
    struct pn_kv *headers = arena_alloc(request->arena, room * sizeof *headers);
    if (!reading || !headers)
        return NULL;
    *reading = (struct reading){ .headers = headers, .room = room, .arena = request->arena };
    reading->incoming = (struct pn_http_incoming){
        .size = sizeof reading->incoming,
        .method = str(method),
        .query = str(request->query),
        .headers = { headers, 0 },
        .body = { buf_text(&request->body), request->body.len },
    };
    MHD_get_connection_values(request->connection, MHD_HEADER_KIND, add_header, reading);
    return &reading->incoming;
}

const struct notify_channel *incoming_channel(const struct http_server *server, const char *name)
{
    for (size_t i = 0; i < server->channel_count; i++)
        if (strcmp(server->channels[i].name, name) == 0)
            return &server->channels[i];
    return NULL;
}
