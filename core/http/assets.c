/*
 * GET /cashier/cashier.css and cashier.js, and their versioned addresses. HTTP threads serve them, workers write pages
 * that name them.
 */
#include "http/assets.h"

#include <microhttpd.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "base/text.h"
#include "http/handlers.h"
#include "http/query.h"
#include "http/reply.h"

enum { ASSETS_MAX = 8, VERSION_BYTES = 8 };

static char versions[ASSETS_MAX][2 * VERSION_BYTES + 1];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void hash_all(void)
{
    unsigned char sum[SHA256_DIGEST_LENGTH];
    for (size_t i = 0; i < ASSETS_MAX && embedded_assets[i].name; i++) {
        SHA256((const unsigned char *) embedded_assets[i].text, strlen(embedded_assets[i].text), sum);
        hex_encode(sum, VERSION_BYTES, versions[i]);
    }
}

const char *asset_find(const char *name, const char **ret_version)
{
    pthread_once(&once, hash_all);
    for (size_t i = 0; i < ASSETS_MAX && embedded_assets[i].name; i++) {
        if (strcmp(embedded_assets[i].name, name) != 0)
            continue;
        *ret_version = versions[i];
        return embedded_assets[i].text;
    }
    return NULL;
}

const char *asset_url(const char *name, struct arena *arena)
{
    const char *version;
    return asset_find(name, &version) ? arena_printf(arena, "%s?v=%s", name, version) : NULL;
}

/* Cached for ever under the version that it has; otherwise asked for again each time, because another server of the same
 * name may have an older one. */
static void serve(struct http_request *request, const char *name, const char *content_type)
{
    const char *version = "";
    const char *text = asset_find(name, &version);
    struct query query;
    struct error err = { 0 };
    bool known = query_parse(request->query, request->arena, &query, &err) == RC_OK;
    const char *asked = known ? query_get(&query, "v") : NULL;
    const char *tag = arena_printf(request->arena, "\"%s\"", version);
    const char *have = MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_IF_NONE_MATCH);
    bool unchanged = tag && have && strstr(have, tag);
    const struct http_header headers[] = { { "ETag", tag } };
    http_reply(request, &(struct http_reply){ .status = unchanged ? 304 : 200,
                                              .content_type = content_type,
                                              .body = text,
                                              .body_len = unchanged ? 0 : strlen(text),
                                              .cache = asked && strcmp(asked, version) == 0
                                                           ? "public, max-age=31536000, immutable"
                                                           : "no-cache",
                                              .headers = headers,
                                              .header_count = tag ? 1 : 0 });
}

void asset_style(struct http_request *request)
{
    serve(request, "cashier.css", "text/css; charset=utf-8");
}

void asset_script(struct http_request *request)
{
    serve(request, "cashier.js", "text/javascript; charset=utf-8");
}
