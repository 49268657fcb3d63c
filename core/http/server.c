/*
 * The HTTP face as a whole: bind, start, quiesce, stop, free, in this order, from main.
 */
#include "http/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "http/engine.h"
#include "http/problem.h"
#include "plugin/registry.h"

enum {
    WORK_DEADLINE_MS = 20 * 1000,
    IDLE_MS = 75 * 1000, /* a kept-alive connection without a request */
    SEND_MS = 60 * 1000,
    DRAIN_MS = 5 * 1000,            /* for answers to leave before connections are closed */
    BODIES_MAX = 128 * 1024 * 1024, /* of all bodies together, so that many large requests do not exhaust the memory */
    SPARE_FILES = 256,              /* descriptors that are not connections: stores, brokers, providers, logs */
    API_CONNECTIONS = 2048,
    INHERITED_MAX = 16
};

/* ---- binding */

static enum rc add_listener(struct http_server *server, unsigned side, struct listener *listener, struct error *err)
{
    struct http_daemon *grown = realloc(server->daemons, (server->daemon_count + 1) * sizeof *grown);
    if (!grown) {
        listen_close(listener);
        return error_set(err, RC_NOMEM, "no memory for a listener");
    }
    server->daemons = grown;
    server->daemons[server->daemon_count++] = (struct http_daemon){ .server = server, .side = side, .listener = *listener };
    return RC_OK;
}

static enum rc bind_side(struct http_server *server, unsigned side, const char *name, const char *const *addresses, size_t count,
                         struct error *err)
{
    struct listener inherited[INHERITED_MAX];
    size_t given = listen_inherited(name, inherited, INHERITED_MAX);
    for (size_t i = 0; i < given; i++) {
        enum rc rc = add_listener(server, side, &inherited[i], err);
        if (rc)
            return rc;
    }
    for (size_t i = 0; given == 0 && i < count; i++) {
        struct listener listener;
        enum rc rc = listen_open(addresses[i], &listener, err);
        if (!rc)
            rc = add_listener(server, side, &listener, err);
        if (rc)
            return rc;
    }
    return RC_OK;
}

enum rc http_bind(const struct config *config, struct http_server **ret_server, struct error *err)
{
    struct http_server *server = calloc(1, sizeof *server);
    if (!server)
        return error_set(err, RC_NOMEM, "no memory for the HTTP server");
    const struct config_server *c = &config->server;
    enum rc rc = bind_side(server, SIDE_PUBLIC, "public", c->public_listen, c->public_listen_count, err);
    if (!rc)
        rc = bind_side(server, SIDE_API, "api", c->api_listen, c->api_listen_count, err);
    if (rc) {
        http_free(server);
        return rc;
    }
    *ret_server = server;
    return RC_OK;
}

/* ---- starting */

/* On the deadline thread, or in http_stop: nobody has answered. */
static void give_up(void *arg, struct http_request *request, bool closing)
{
    struct http_server *server = arg;
    if (!request_claim(request))
        return;
    const struct http_route *route = request->route;
    if (!closing) {
        static struct log_limit limit;
        metric_add(server->late, 1);
        if (log_allow(&limit, 60))
            log_warn("request answered by its deadline", LOG_S("route", route->path));
    }
    if (!route->give_up) {
        enum problem_type type = closing ? PROBLEM_STOPPING : PROBLEM_TIMEOUT;
        http_answer_problem(request, &(struct problem){ .type = type, .detail = "It may still be done; ask again." });
        return;
    }
    struct arena *scratch = arena_new(0);
    route->give_up(request, scratch);
    arena_free(scratch);
}

static void name_metrics(struct http_server *server)
{
    static const char *const hundreds[6] = { NULL, NULL, "2xx", "3xx", "4xx", "5xx" };
    size_t count;
    const struct http_route *routes = http_routes(&count);
    server->unrouted = metric_counter("paynotify_http_unrouted_total", NULL, "Requests for paths or methods that do not exist.");
    server->late = metric_counter("paynotify_http_deadlines_total", NULL, "Requests answered because their time was up.");
    server->answers = arena_alloc(server->arena, count * sizeof *server->answers);
    for (size_t i = 0; server->answers && i < count; i++) {
        for (size_t h = 2; h < 6; h++) {
            char labels[128];
            snprintf(labels, sizeof labels, "route=\"%s %s\",status=\"%s\"", routes[i].method, routes[i].path, hundreds[h]);
            server->answers[i][h] = metric_counter("paynotify_http_answers_total", labels,
                                                   "Answers by route and kind of status.");
        }
    }
}

static struct metric *verdict_metric(const char *channel, const char *verdict)
{
    char labels[160];
    snprintf(labels, sizeof labels, "channel=\"%s\",verdict=\"%s\"", channel, verdict);
    return metric_counter("paynotify_notifications_total", labels, "What providers sent, by what the channel said about it.");
}

/* Every payer parameter that some product asks for, each once. */
static void add_params(struct http_server *server, const char *list, size_t *count)
{
    while (list && *list) {
        size_t n = strcspn(list, "|");
        bool known = false;
        for (size_t i = 0; i < *count; i++)
            known = known || (strlen(server->payer_params[i]) == n && memcmp(server->payer_params[i], list, n) == 0);
        if (!known && *count < PAYER_PARAMS_MAX)
            server->payer_params[(*count)++] = arena_strndup(server->arena, list, n);
        list += n;
        if (*list)
            list++;
    }
}

static enum rc note_channels(struct http_server *server, struct error *err)
{
    const struct config *config = server->options.config;
    size_t params = 0;
    server->channels = arena_alloc(server->arena, config->channel_count * sizeof *server->channels);
    server->payer_params = arena_alloc(server->arena, (PAYER_PARAMS_MAX + 1) * sizeof *server->payer_params);
    if (!server->channels || !server->payer_params)
        return error_set(err, RC_NOMEM, "no memory for the channels");
    for (size_t i = 0; i < config->channel_count; i++) {
        const struct config_channel *c = &config->channels[i];
        server->channels[i] = (struct notify_channel){
            .name = c->name,
            .channel = c->channel,
            .authentic = verdict_metric(c->name, "authentic"),
            .hint = verdict_metric(c->name, "hint"),
            .refused = verdict_metric(c->name, "refused"),
            .failed = verdict_metric(c->name, "failed"),
        };
        const struct pn_product *const *products = channel_products(c->channel);
        for (size_t p = 0; products && products[p]; p++)
            add_params(server, products[p]->params, &params);
    }
    server->channel_count = config->channel_count;
    return RC_OK;
}

/* The API's callers are a few services of our own; the world comes to the public side. */
static rlim_t connections_wanted(const struct http_daemon *daemon)
{
    rlim_t limit = (rlim_t) daemon->server->options.config->server.connection_limit;
    return daemon->side == SIDE_API && limit > API_CONNECTIONS ? API_CONNECTIONS : limit;
}

/* Raises the limit of open files to what all daemons together may need. Returns the share, in thousandths, that can be had
 * of what is wanted. */
static unsigned reserve_files(const struct http_server *server)
{
    rlim_t wanted = 0;
    struct rlimit limit;
    for (size_t i = 0; i < server->daemon_count; i++)
        wanted += connections_wanted(&server->daemons[i]);
    if (wanted == 0 || getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 1000;
    if (limit.rlim_cur < wanted + SPARE_FILES) {
        limit.rlim_cur = wanted + SPARE_FILES < limit.rlim_max ? wanted + SPARE_FILES : limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    if (limit.rlim_cur >= wanted + SPARE_FILES)
        return 1000;
    rlim_t left = limit.rlim_cur > 2 * SPARE_FILES ? limit.rlim_cur - SPARE_FILES : limit.rlim_cur / 2;
    log_warn("fewer connections than configured: the limit of open files is too low", LOG_I("connections", left),
             LOG_I("wanted", wanted), LOG_I("open_files", limit.rlim_cur));
    return (unsigned) (left * 1000 / wanted);
}

static enum rc start_daemons(struct http_server *server, struct error *err)
{
    unsigned share = reserve_files(server);
    unsigned threads = (unsigned) server->options.config->server.http_threads;
    for (size_t i = 0; i < server->daemon_count; i++) {
        struct http_daemon *daemon = &server->daemons[i];
        enum rc rc = engine_start(daemon, threads, (unsigned) (connections_wanted(daemon) * share / 1000), err);
        if (rc)
            return rc;
        log_notice("listening", LOG_S("side", daemon->side == SIDE_PUBLIC ? "public" : "api"),
                   LOG_S("address", daemon->listener.address));
    }
    return RC_OK;
}

enum rc http_start(struct http_server *server, const struct http_options *options, struct error *err)
{
    const struct config_server *c = &options->config->server;
    const int64_t deadlines[DEADLINE_CLASSES] = { [DEADLINE_NOTIFY] = c->notify_deadline_ms, [DEADLINE_WORK] = WORK_DEADLINE_MS };
    server->options = *options;
    server->body_bytes_max = BODIES_MAX;
    server->arena = arena_new(0);
    server->requests = request_pool_new();
    if (!server->requests)
        return error_set(err, RC_NOMEM, "no memory for requests");
    enum rc rc = note_channels(server, err);
    if (!rc)
        rc = proxies_new(c->trusted_proxies, c->trusted_proxy_count, &server->proxies, err);
    if (!rc)
        rc = deadlines_new(deadlines, give_up, server, &server->deadlines, err);
    if (!rc)
        rc = watchdog_new(c->receive_timeout_ms, IDLE_MS, SEND_MS, &server->watchdog, err);
    if (rc)
        return rc;
    name_metrics(server);
    return start_daemons(server, err);
}

/* ---- stopping */

void http_quiesce(struct http_server *server)
{
    atomic_store(&server->draining, true);
    for (size_t i = 0; i < server->daemon_count; i++)
        engine_quiesce(&server->daemons[i]);
}

/* Stopping libmicrohttpd with a suspended connection aborts the process, so this waits for as long as it takes: every
 * request that was in the list is claimed, and its claimer is about to resume it. */
static void wait_for_resumes(struct http_server *server)
{
    struct timespec pause = { .tv_nsec = 1000000 };
    while (atomic_load(&server->suspended) > 0)
        nanosleep(&pause, NULL);
}

/* Answers that are queued get a moment to leave. */
static void wait_for_answers(struct http_server *server)
{
    struct timespec pause = { .tv_nsec = 5000000 };
    int64_t until = mono_ms() + DRAIN_MS;
    while (watchdog_busy(server->watchdog) > 0 && mono_ms() < until)
        nanosleep(&pause, NULL);
}

void http_stop(struct http_server *server)
{
    if (!server->deadlines)
        return;
    http_quiesce(server);
    deadlines_close(server->deadlines);
    wait_for_resumes(server);
    wait_for_answers(server);
    for (size_t i = 0; i < server->daemon_count; i++)
        engine_stop(&server->daemons[i]);
}

void http_free(struct http_server *server)
{
    if (!server)
        return;
    for (size_t i = 0; i < server->daemon_count; i++)
        listen_close(&server->daemons[i].listener);
    watchdog_free(server->watchdog);
    deadlines_free(server->deadlines);
    proxies_free(server->proxies);
    request_pool_free(server->requests);
    arena_free(server->arena);
    free(server->daemons);
    free(server);
}

void http_list_routes(FILE *out)
{
    size_t count;
    const struct http_route *routes = http_routes(&count);
    for (size_t i = 0; i < count; i++)
        fprintf(out, "%s %s %s\n", routes[i].method, routes[i].path, route_role_name(routes[i].role));
}
