/*
 * paynotify-sandbox: plays payment providers (Alipay, WeChat Pay) for tests and for trying paynotify out, with its own test
 * keys and without money. Here: the command line, start and stop, and the clock that lets unpaid trades expire.
 */
#include <curl/curl.h>
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alipay.h"
#include "certificates.h"
#include "control.h"
#include "keys.h"
#include "notifier.h"
#include "text.h"
#include "wechat.h"

#define TICK_NS 200000000L

struct options {
    const char *listen, *tls_listen, *dir, *app_id, *port_file;
    int64_t speed, close_after_ms;
    bool certificates;
};

static const char usage[] =
    "usage: paynotify-sandbox --dir DIR [--listen ADDRESS:PORT] [--speed N] [--app-id ID] [--certificates] [--port-file FILE]\n"
    "                         [--wechat-tls ADDRESS:PORT] [--wechat-close-after SECONDS]\n"
    "Plays Alipay and WeChat Pay with test keys. It is no real provider, and no money moves.\n"
    "  --dir DIR          keys, merchant.conf and wechat-merchant.conf; made when missing\n"
    "  --listen A:P       default 127.0.0.1:0, a free port; [::1]:0 for IPv6\n"
    "  --speed N          repeats notices N times faster than the providers (1 to 1000000, default 1)\n"
    "  --app-id ID        of the merchant's application at Alipay, digits (default 9021000100000001)\n"
    "  --certificates     Alipay's certificate mode in place of plain keys\n"
    "  --port-file FILE   the port is written there once requests are answered\n"
    "  --wechat-tls A:P   serves HTTPS there, too, and refunds at WeChat then want the client's certificate\n"
    "  --wechat-close-after S  WeChat closes no order younger than that (0 to 86400, default 300)\n";

/* False: it is no number from least to most. */
static bool parse_number(const char *text, int64_t least, int64_t most, int64_t *ret_number)
{
    char *end;
    errno = 0;
    long number = strtol(text, &end, 10);
    if (errno || end == text || *end || number < least || number > most)
        return false;
    *ret_number = number;
    return true;
}

static bool parse_options(int argc, char **argv, struct options *options)
{
    static const struct option names[] = {{"listen", required_argument, NULL, 'l'},  {"dir", required_argument, NULL, 'd'},
                                          {"speed", required_argument, NULL, 's'},   {"app-id", required_argument, NULL, 'a'},
                                          {"port-file", required_argument, NULL, 'p'}, {"help", no_argument, NULL, 'h'},
                                          {"certificates", no_argument, NULL, 'C'},
                                          {"wechat-tls", required_argument, NULL, 't'},
                                          {"wechat-close-after", required_argument, NULL, 'c'},
                                          {NULL, 0, NULL, 0}};
    for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        switch (c) {
        case 'l': options->listen = optarg; break;
        case 'd': options->dir = optarg; break;
        case 'a': options->app_id = optarg; break;
        case 'p': options->port_file = optarg; break;
        case 'C': options->certificates = true; break;
        case 's':
            if (!parse_number(optarg, 1, 1000000, &options->speed))
                return false;
            break;
        case 't': options->tls_listen = optarg; break;
        case 'c':
            if (!parse_number(optarg, 0, 86400, &options->close_after_ms))
                return false;
            options->close_after_ms *= 1000;
            break;
        case 'h': fputs(usage, stdout); exit(0);
        default: return false;
        }
    }
    size_t digits = strspn(options->app_id, "0123456789");
    return options->dir && optind == argc && digits >= 1 && digits <= 32 && options->app_id[digits] == '\0';
}

/* Readers never see half a file. */
static bool write_file(const char *path, const char *text)
{
    char *draft = text_format("%s.%ld", path, (long)getpid());
    FILE *out = fopen(draft, "we");
    bool done = out && fputs(text, out) >= 0;
    if (out && fclose(out) != 0)
        done = false;
    done = done && rename(draft, path) == 0;
    if (!done)
        fprintf(stderr, "paynotify-sandbox: %s cannot be written: %s\n", path, strerror(errno));
    free(draft);
    return done;
}

/* What the merchant pastes into paynotify.conf. */
static bool write_alipay(const struct sandbox *sandbox, const char *folder)
{
    char *path = text_format("%s/merchant.conf", folder);
    char *trust = sandbox->certificates ? text_format("app_cert_file = %s/app-cert.crt\n"
                                                      "alipay_cert_file = %s/alipay-cert.crt\n"
                                                      "alipay_root_cert_file = %s/alipay-root.crt\n",
                                                      folder, folder, folder)
                                        : text_format("alipay_public_key_file = %s/alipay-public.pem\n", folder);
    char *text = text_format("; Test account of paynotify-sandbox: no real provider, no money. Goes under [channel alipay].\n"
                             "app_id = %s\n"
                             "gateway = %s/gateway.do\n"
                             "private_key_file = %s/app-private.pem\n"
                             "%sseller_id = %s\n",
                             sandbox->app_id, server_url(sandbox->server), folder, trust, sandbox->seller_id);
    bool done = write_file(path, text);
    free(trust);
    free(path);
    free(text);
    return done;
}

static bool write_wechat(const struct sandbox *sandbox, const char *folder)
{
    const char *tls_url = server_tls_url(sandbox->server);
    char *path = text_format("%s/wechat-merchant.conf", folder);
    char *certificate = tls_url ? text_format("client_p12_file = %s/apiclient_cert.p12\n"
                                              "; and under [server]: ca_file = %s/wechat-ca.pem\n",
                                              folder, folder)
                                : text_copy("");
    char *text = text_format("; Test account of paynotify-sandbox: no real provider, no money. Goes under [channel wechat].\n"
                             "appid = %s\n"
                             "mch_id = %s\n"
                             "api_key_file = %s/wechat-key.txt\n"
                             "url = %s\n%s",
                             sandbox->wechat->appid, sandbox->wechat->mch_id, folder,
                             tls_url ? tls_url : server_url(sandbox->server), certificate);
    bool done = write_file(path, text);
    free(path);
    free(certificate);
    free(text);
    return done;
}

static bool write_merchants(const struct sandbox *sandbox, const char *dir)
{
    char *folder = need(realpath(dir, NULL));
    bool done = write_alipay(sandbox, folder) && write_wechat(sandbox, folder);
    free(folder);
    return done;
}

static bool announce(const struct sandbox *sandbox, const struct options *options)
{
    const char *url = server_url(sandbox->server), *tls_url = server_tls_url(sandbox->server);
    printf("paynotify-sandbox plays Alipay and WeChat Pay with test keys. It is NOT a real provider: nothing is paid, no money moves.\n"
           "trades  %s/ (Alipay) %s/wechat (WeChat Pay)\ngateway %s/gateway.do %s\ncontrol %s/control\n"
           "for paynotify.conf: %s/merchant.conf %s/wechat-merchant.conf\n",
           url, url, url, tls_url ? tls_url : url, url, options->dir, options->dir);
    fflush(stdout);
    if (!options->port_file)
        return true;
    char *port = text_format("%d\n", server_port(sandbox->server));
    bool done = write_file(options->port_file, port);
    free(port);
    return done;
}

/* Blocked before any thread starts, so that only this one takes them. */
static sigset_t block_signals(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    return signals;
}

static void expire_all(struct sandbox *sandbox)
{
    alipay_expire_all(sandbox);
    wechat_expire_all(sandbox);
}

static void serve_until_signal(struct sandbox *sandbox, const sigset_t *signals)
{
    const struct timespec tick = {.tv_nsec = TICK_NS};
    while (sigtimedwait(signals, NULL, &tick) < 0)
        expire_all(sandbox);
}

static bool open_wechat(struct sandbox *sandbox, const struct options *options, struct server_tls *tls, char **ret_error)
{
    sandbox->wechat = wechat_open(options->dir, ret_error);
    if (!sandbox->wechat)
        return false;
    sandbox->wechat->settings.close_after_ms = options->close_after_ms;
    sandbox->wechat->demands_certificate = options->tls_listen != NULL;
    return !options->tls_listen || (wechat_certificates(options->dir, sandbox->wechat->mch_id, tls, ret_error) &&
                                    server_add_tls(sandbox->server, options->tls_listen, tls, ret_error));
}

/* What is open when it fails is for main to free. */
static bool open_sandbox(struct sandbox *sandbox, const struct options *options, struct server_tls *tls)
{
    char *error = NULL;
    sandbox->server = server_bind(options->listen, &error);
    if (sandbox->server)
        sandbox->keys = keys_open(options->dir, &error);
    if (sandbox->keys && options->certificates)
        sandbox->certificates = certificates_open(options->dir, sandbox->keys, &error);
    bool trusted = sandbox->keys && (sandbox->certificates || !options->certificates);
    bool done = trusted && open_wechat(sandbox, options, tls, &error);
    if (error)
        fprintf(stderr, "paynotify-sandbox: %s\n", error);
    free(error);
    return done && write_merchants(sandbox, options->dir);
}

int main(int argc, char **argv)
{
    static const struct route_table *const parts[] = {&alipay_gateway_routes, &alipay_payer_routes,  &alipay_settings_routes,
                                                      &wechat_gateway_routes, &wechat_payer_routes,  &control_routes,
                                                      &wechat_control_routes};
    struct route_table tables[sizeof parts / sizeof *parts + 1] = {0};
    struct options options = {.listen = "127.0.0.1:0", .app_id = "9021000100000001", .speed = 1, .close_after_ms = 300000};
    struct server_tls tls = {0};
    if (!parse_options(argc, argv, &options)) {
        fputs(usage, stderr);
        return 2;
    }
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        tables[i] = *parts[i];

    int status = 1;
    sigset_t signals = block_signals();
    struct alipay_settings alipay = {0};
    struct sandbox sandbox = {.alipay = &alipay, .app_id = options.app_id, .seller_id = "2088102100000001"};
    curl_global_init(CURL_GLOBAL_DEFAULT);
    json_object_seed(0);
    sandbox.trades = trades_new();
    sandbox.faults = faults_new();
    if (!open_sandbox(&sandbox, &options, &tls))
        goto out;
    sandbox.notifier = notifier_start(sandbox.faults, &sandbox, options.speed);
    if (server_run(sandbox.server, &sandbox, tables) != 0) {
        fputs("paynotify-sandbox: the HTTP server does not start\n", stderr);
        goto out;
    }
    if (!announce(&sandbox, &options))
        goto out;
    serve_until_signal(&sandbox, &signals);
    status = 0;

out:
    server_free(sandbox.server);
    notifier_free(sandbox.notifier);
    faults_free(sandbox.faults);
    trades_free(sandbox.trades);
    certificates_free(sandbox.certificates);
    wechat_free(sandbox.wechat);
    keys_free(sandbox.keys);
    server_tls_free(&tls);
    curl_global_cleanup();
    return status;
}
