/*
 * What stands in a request's head: path, query, forwarded addresses, language. One input is cut into these at line breaks.
 */
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "http/language.h"
#include "http/proxies.h"
#include "http/query.h"
#include "http/route.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_route(const char *path)
{
    struct route_match match;
    size_t count;
    const struct http_route *routes = http_routes(&count);
    route_find(routes, count, SIDE_PUBLIC | SIDE_API, "GET", path, &match);
    if (match.id && (match.id < path || match.id + match.id_len > path + strlen(path) || memchr(match.id, '/', match.id_len)))
        abort();
}

static void try_query(const char *text)
{
    struct arena *arena = arena_new(0);
    struct query query;
    struct error err = { 0 };
    if (query_parse(text, arena, &query, &err) == RC_OK)
        for (size_t i = 0; i < query.count; i++)
            if (!text_is_utf8(query.items[i].name, strlen(query.items[i].name)) ||
                !text_is_utf8(query.items[i].value, strlen(query.items[i].value)))
                abort();
    arena_free(arena);
}

static void try_forwarded(const char *text)
{
    static const char *const trusted[] = { "127.0.0.0/8", "10.0.0.0/8", "::1" };
    struct sockaddr_in peer = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    char client[ADDRESS_TEXT_MAX];
    struct proxies *proxies;
    struct error err = { 0 };
    if (proxies_new(trusted, 3, &proxies, &err))
        abort();
    proxies_client(proxies, (struct sockaddr *) &peer, text, client);
    if (client[0] == '\0' || strspn(client, "0123456789abcdef.:") != strlen(client))
        abort();
    proxies_free(proxies);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const tries[])(const char *) = { try_route, try_query, try_forwarded };
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    char *line = text;
    for (size_t i = 0; line && i < 4; i++) {
        char *rest = strchr(line, '\n');
        if (rest)
            *rest++ = '\0';
        if (i < 3)
            tries[i](line);
        else
            language_choose(line);
        line = rest;
    }
    free(text);
    return 0;
}
