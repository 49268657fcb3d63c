/*
 * paynotifyd: reads the configuration, starts every part in order, waits for a signal, stops them in the opposite order.
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "config/config.h"
#include "http/server.h"
#include "outbox/outbox.h"
#include "pay/pay.h"
#include "store/node.h"

enum { EXIT_CONFIG = 1, EXIT_START = 2, CONFIRM_DRAIN_MS = 5000, STOP_MARGIN_S = 2 };

struct server {
    struct config *config;
    struct http_server *http;
    struct store *store;
    struct node *node;
    struct client *client;
    struct pool *workers;
    struct outbox *outbox;
    struct pay *pay;
};

/* ------------------------------------------------------------------------------------------------ wiring */

static void port_plan(void *ctx, const struct event *event, struct arena *arena, struct outbox_row **ret_rows, size_t *ret_count)
{
    outbox_plan(ctx, event, arena, ret_rows, ret_count);
}

static void port_committed(void *ctx, const struct event *events, size_t event_count, const struct outbox_row *rows,
                           size_t row_count)
{
    outbox_committed(ctx, events, event_count, rows, row_count);
}

static void port_aborted(void *ctx, const struct outbox_row *rows, size_t row_count)
{
    outbox_aborted(ctx, rows, row_count);
}

/* ------------------------------------------------------------------------------------------------ start and stop */

/* The client keeps as many connections as the busiest channel may have. */
static size_t calls_at_a_time(const struct config *config)
{
    int64_t most = 1;
    for (size_t i = 0; i < config->channel_count; i++)
        if (config->channels[i].max_in_flight > most)
            most = config->channels[i].max_in_flight;
    return (size_t)most;
}

static enum rc make_parts(struct server *server, struct error *err)
{
    const struct config *config = server->config;
    struct client_options client = { .ca_file = config->server.ca_file, .per_label_max = calls_at_a_time(config) };
    enum rc rc = client_new(&client, &server->client, err);
    if (rc == RC_OK)
        rc = pool_new((size_t)config->server.workers, 4096, "pn-worker", &server->workers, err);
    if (rc)
        return rc;

    struct outbox_options outbox = {
        .config = config, .store = server->store, .incarnation = node_incarnation(server->node),
    };
    if ((rc = outbox_new(&outbox, &server->outbox, err)) != RC_OK)
        return rc;

    struct pay_options pay = {
        .config = config, .store = server->store, .client = server->client, .workers = server->workers,
        .events = { server->outbox, port_plan, port_committed, port_aborted },
        .incarnation = node_incarnation(server->node),
    };
    return pay_new(&pay, &server->pay, err);
}

static enum rc start(struct server *server, struct error *err)
{
    const struct config *config = server->config;
    struct store_options store = {
        .url = config->store.url, .connections = config->store.connections,
        .statement_timeout_ms = config->store.statement_timeout_ms,
    };
    /* The address comes first: whoever holds it is the only process of its node name. */
    enum rc rc = http_bind(config, &server->http, err);
    if (rc == RC_OK)
        rc = store_open(&store, &server->store, err);
    if (rc == RC_OK)
        rc = node_start(server->store, config->store.shown_url, config->server.node_name, &server->node, err);
    if (rc == RC_OK)
        rc = make_parts(server, err);
    if (rc == RC_OK)
        rc = outbox_start(server->outbox, err);
    if (rc == RC_OK)
        rc = pay_start(server->pay, err);
    if (rc)
        return rc;
    struct http_options http = {
        .config = config, .store = server->store, .pay = server->pay, .outbox = server->outbox, .workers = server->workers,
    };
    return http_start(server->http, &http, err);
}

/* From the outside in: nothing new comes in, what came in is finished, what was promised is written. */
static void stop(struct server *server)
{
    if (server->http)
        http_quiesce(server->http);
    if (server->pay)
        pay_drain(server->pay);
    if (server->http)
        http_stop(server->http);
    if (server->client)
        client_stop(server->client);
    if (server->workers)
        pool_stop(server->workers);
    if (server->outbox)
        outbox_stop(server->outbox, CONFIRM_DRAIN_MS);
    pool_free(server->workers);
    if (server->client)
        client_free(server->client);
    pay_free(server->pay);
    if (server->outbox)
        outbox_free(server->outbox);
    node_stop(server->node);
    store_close(server->store);
    if (server->http)
        http_free(server->http);
}

static void block_signals(sigset_t *ret_stop)
{
    sigemptyset(ret_stop);
    sigaddset(ret_stop, SIGTERM);
    sigaddset(ret_stop, SIGINT);
    pthread_sigmask(SIG_BLOCK, ret_stop, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
}

static int run(struct config *config)
{
    struct server server = { .config = config };
    struct error err = { 0 };
    sigset_t stop_signals;
    int received = 0, status = EXIT_SUCCESS;

    block_signals(&stop_signals);
    if (start(&server, &err) != RC_OK) {
        log_error("cannot start", LOG_S("detail", err.text));
        status = EXIT_START;
    } else {
        log_notice("ready", LOG_S("version", PN_VERSION), LOG_S("public_url", config->server.public_url),
                   LOG_S("store", config->store.shown_url), LOG_S("node", config->server.node_name),
                   LOG_I("channels", config->channel_count), LOG_I("sinks", config->sink_count));
        sigwait(&stop_signals, &received);
        log_notice("stopping", LOG_S("signal", strsignal(received)));
    }
    /* A part that hangs must not keep a service manager waiting: what is not finished by then is found again at start. */
    alarm((unsigned)(config->server.shutdown_ms / 1000) + STOP_MARGIN_S);
    stop(&server);
    if (status == EXIT_SUCCESS)
        log_notice("stopped");
    return status;
}

/* ------------------------------------------------------------------------------------------------ command line */

static const char usage[] =
    "Usage: paynotifyd [-c FILE] [--check-config | --list-routes | --version | --help]\n"
    "\n"
    "  -c, --config FILE   the configuration (default: " PN_SYSCONF_DIR "/paynotify/paynotify.conf)\n"
    "      --check-config  check it, plugins and keys included, and say everything that is wrong\n"
    "      --list-routes   print the HTTP routes: method, path, who may call it\n"
    "      --version       print the version\n";

static struct config *load(const char *path)
{
    struct faults faults = { 0 };
    struct config *config = NULL;
    if (config_load(path, &faults, &config) != RC_OK)
        fputs(buf_text(&faults.text), stderr);
    faults_free(&faults);
    return config;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "config", required_argument, NULL, 'c' }, { "check-config", no_argument, NULL, 'k' },
        { "list-routes", no_argument, NULL, 'r' },  { "version", no_argument, NULL, 'V' },
        { "help", no_argument, NULL, 'h' },         { NULL, 0, NULL, 0 },
    };
    const char *path = PN_SYSCONF_DIR "/paynotify/paynotify.conf";
    bool check_only = false;

    for (int option; (option = getopt_long(argc, argv, "c:h", options, NULL)) != -1;) {
        switch (option) {
        case 'c':
            path = optarg;
            break;
        case 'k':
            check_only = true;
            break;
        case 'r':
            http_list_routes(stdout);
            return EXIT_SUCCESS;
        case 'V':
            puts("paynotifyd " PN_VERSION);
            return EXIT_SUCCESS;
        case 'h':
            fputs(usage, stdout);
            return EXIT_SUCCESS;
        default:
            fputs(usage, stderr);
            return EXIT_CONFIG;
        }
    }
    if (optind != argc) {
        fprintf(stderr, "paynotifyd: unexpected argument \"%s\"\n%s", argv[optind], usage);
        return EXIT_CONFIG;
    }

    struct config *config = load(path);
    if (!config)
        return EXIT_CONFIG;
    int status = EXIT_SUCCESS;
    if (check_only) {
        printf("%s: ok\n", path);
    } else {
        log_setup(config->server.log_format, config->server.log_level);
        status = run(config);
    }
    config_free(config);
    return status;
}
