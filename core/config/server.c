/*
 * The sections [server] and [store] of paynotify.conf. Called by config_load at start-up, one thread.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/text.h"
#include "config/load.h"

/* Decimal digits only, 0 to `max`. */
static bool small_number(const char *text, long max)
{
    char *end;
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 6 || text[digits])
        return false;
    long value = strtol(text, &end, 10);
    return value <= max;
}

static bool is_address(int family, const char *text)
{
    unsigned char bytes[sizeof(struct in6_addr)];
    return inet_pton(family, text, bytes) == 1;
}

static bool port_fits(const char *port)
{
    return small_number(port, 65535) && strtol(port, NULL, 10) > 0;
}

/* "0.0.0.0:8080", "[::]:8080", "unix:/run/paynotify.sock" */
static bool listen_fits(const char *text)
{
    char host[INET6_ADDRSTRLEN] = "";
    if (strncmp(text, "unix:", 5) == 0)
        return text[5] == '/' && strlen(text + 5) < sizeof ((struct sockaddr_un *) 0)->sun_path;
    const char *colon = strrchr(text, ':');
    if (!colon || !port_fits(colon + 1))
        return false;
    bool v6 = text[0] == '[' && colon > text + 1 && colon[-1] == ']';
    const char *from = v6 ? text + 1 : text;
    size_t length = (size_t) (colon - from) - v6;
    if (length == 0 || length >= sizeof host)
        return false;
    memcpy(host, from, length);
    return is_address(v6 ? AF_INET6 : AF_INET, host);
}

static void check_listen(const struct section_view *view, const char *key, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!listen_fits(list[i]))
            section_fault(view, key, "wanted an address and a port such as 0.0.0.0:8080, [::]:8080 or unix:/run/paynotify.sock, found \"%.80s\"",
                          list[i]);
}

static void check_listen_twice(const struct section_view *view, const struct config_server *server)
{
    for (size_t i = 0; i < server->api_listen_count; i++) {
        for (size_t j = 0; j < server->public_listen_count; j++)
            if (strcmp(server->api_listen[i], server->public_listen[j]) == 0)
                section_fault(view, "api_listen", "%s is also in public_listen; the API must not be reachable from outside",
                              server->api_listen[i]);
        for (size_t j = 0; j < i; j++)
            if (strcmp(server->api_listen[i], server->api_listen[j]) == 0)
                section_fault(view, "api_listen", "%s stands twice", server->api_listen[i]);
    }
    for (size_t i = 0; i < server->public_listen_count; i++)
        for (size_t j = 0; j < i; j++)
            if (strcmp(server->public_listen[i], server->public_listen[j]) == 0)
                section_fault(view, "public_listen", "%s stands twice", server->public_listen[i]);
}

static bool network_fits(const char *text)
{
    char host[INET6_ADDRSTRLEN] = "";
    size_t length = strcspn(text, "/");
    if (length >= sizeof host)
        return false;
    memcpy(host, text, length);
    bool v4 = is_address(AF_INET, host);
    return (v4 || is_address(AF_INET6, host)) && (!text[length] || small_number(text + length + 1, v4 ? 32 : 128));
}

static const char *public_url(const struct section_view *view, struct pn_str url)
{
    size_t length = url.len;
    while (length && url.data[length - 1] == '/')
        length--;
    if (strpbrk(url.data, "?#@"))
        section_fault(view, "public_url", "wanted a plain URL such as https://pay.example.com, without user, query or fragment");
    return arena_strndup(view->loading->config->arena, url.data, length);
}

static const char *node_name(struct loading *loading, const struct server_settings *settings, const char *api_listen)
{
    char host[256] = "";
    if (settings->node_name.len)
        return settings->node_name.data;
    if (gethostname(host, sizeof host - 1) != 0)
        memcpy(host, "localhost", sizeof "localhost");
    return arena_printf(loading->config->arena, "%s %s", host, api_listen);
}

static int64_t default_http_threads(void)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    return processors < 1 ? 1 : processors > 4 ? 4 : processors;
}

static int choice_index(const char *choices, struct pn_str value)
{
    int index = 0;
    for (const char *p = choices; *p; index++) {
        size_t length = strcspn(p, "|");
        if (length == value.len && memcmp(p, value.data, length) == 0)
            return index;
        p += length + (p[length] == '|');
    }
    return 0;
}

static void copy_sizes(const struct server_settings *settings, struct config_server *ret)
{
    ret->http_threads = settings->http_threads ? settings->http_threads : default_http_threads();
    ret->workers = settings->workers;
    ret->connection_limit = settings->connection_limit;
    ret->notify_deadline_ms = settings->notify_deadline;
    ret->receive_timeout_ms = settings->receive_timeout;
    ret->shutdown_ms = settings->shutdown_timeout;
    ret->order_expiry_ms = settings->order_expiry;
    ret->settle_queue = settings->settle_queue;
    ret->settle_batch = settings->settle_batch;
    ret->sink_queue_events = settings->sink_queue_events;
    ret->sink_queue_bytes = settings->sink_queue_bytes;
}

/* Needed for the other sections even when this one has faults, so that they do not all have one too. */
static const char *plugin_dir(struct loading *loading, struct ini_section *section)
{
    const struct ini_key *key = section ? ini_find(section, "plugin_dir") : NULL;
    const char *given = key ? path_from(loading, key->value) : NULL;
    return given ? given : PN_PLUGIN_DIR;
}

void load_server(struct loading *loading, struct ini_section *section)
{
    struct section_view view;
    struct config_server *server = &loading->config->server;
    section_open(loading, section, "server", &view);
    const struct server_settings *settings = section_fill(&view, &server_table, NULL);
    server->plugin_dir = plugin_dir(loading, section);
    if (!settings)
        return;
    copy_sizes(settings, server);
    server->public_listen = names_of(loading, settings->public_listen, &server->public_listen_count);
    server->api_listen = names_of(loading, settings->api_listen, &server->api_listen_count);
    check_listen(&view, "public_listen", server->public_listen, server->public_listen_count);
    check_listen(&view, "api_listen", server->api_listen, server->api_listen_count);
    check_listen_twice(&view, server);
    server->public_url = public_url(&view, settings->public_url);
    server->trusted_proxies = names_of(loading, settings->trusted_proxies, &server->trusted_proxy_count);
    for (size_t i = 0; i < server->trusted_proxy_count; i++)
        if (!network_fits(server->trusted_proxies[i]))
            section_fault(&view, "trusted_proxies", "wanted an address or a network such as 10.0.0.0/8, found \"%.80s\"",
                          server->trusted_proxies[i]);
    server->link_key_file = path_from(loading, settings->link_key_file.data); /* its default depends on the store */
    server->ca_file = path_from(loading, settings->ca_file.data);
    if (server->ca_file && access(server->ca_file, R_OK) != 0)
        section_fault(&view, "ca_file", "cannot read %s: %s", server->ca_file, strerror(errno));
    server->node_name = node_name(loading, settings, server->api_listen[0]);
    server->log_format = choice_index("logfmt|json", settings->log_format) ? LOG_JSON : LOG_LOGFMT;
    server->log_level = (enum log_level) choice_index("error|warn|notice|info|debug", settings->log_level);
}

/* ---- [store] */

/* The URL with "***" for its password, which stands before the "@" or in a parameter. */
static const char *shown_url(struct arena *arena, const char *url)
{
    const char *host = strstr(url, "://");
    if (!host)
        return url;
    host += 3;
    size_t authority = strcspn(host, "/?");
    const char *at = memrchr(host, '@', authority), *colon = at ? memchr(host, ':', (size_t) (at - host)) : NULL;
    const char *shown = colon ? arena_printf(arena, "%.*s:***%s", (int) (colon - url), url, at) : url;
    const char *parameters = strchr(shown, '?');
    if (parameters && strcasestr(parameters, "password"))
        shown = arena_printf(arena, "%.*s?***", (int) (parameters - shown), shown);
    return shown;
}

static const char *default_link_key(struct arena *arena, const char *store_url)
{
    const char *slash = strncmp(store_url, "sqlite:", 7) == 0 ? strrchr(store_url, '/') : NULL;
    if (slash)
        return arena_printf(arena, "%.*s/link.key", (int) (slash - store_url - 7), store_url + 7);
    return strncmp(store_url, "sqlite:", 7) == 0 ? "link.key" : "/var/lib/paynotify/link.key";
}

void load_store(struct loading *loading, struct ini_section *section)
{
    struct section_view view;
    struct arena *arena = loading->config->arena;
    struct config_store *store = &loading->config->store;
    section_open(loading, section, "store", &view);
    const struct store_settings *settings = section_fill(&view, &store_table, NULL);
    if (!settings)
        return;
    store->connections = settings->connections;
    store->statement_timeout_ms = settings->statement_timeout;
    store->url = settings->url.data;
    if (strncmp(store->url, "sqlite:", 7) == 0 && store->url[7])
        store->url = arena_printf(arena, "sqlite:%s", path_from(loading, store->url + 7));
    else if (strncmp(store->url, "postgresql://", 13) != 0 && strncmp(store->url, "postgres://", 11) != 0)
        section_fault(&view, "url", "wanted sqlite:PATH or postgresql://user:password@host/database");
    store->shown_url = shown_url(arena, store->url);
    if (!loading->config->server.link_key_file)
        loading->config->server.link_key_file = default_link_key(arena, store->url);
}
