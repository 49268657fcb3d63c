/*
 * The outbound HTTP client (client.h): one thread drives one libcurl multi handle. client_send only copies the request
 * and puts it into the inbox; everything else, `done` included, runs on the client's thread. Each label (a channel) has
 * at most so many requests in flight, so that one slow provider cannot take all sockets; the rest wait, in two lines: what
 * somebody waits for goes first and has places that background work cannot take. The waiting counts towards the time-out.
 */
#include "config.h"

#include "client/client.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "client/internal.h"

enum { PER_LABEL_DEFAULT = 512, BODY_DEFAULT = 1024 * 1024, SPARE_MAX = 64, POLL_MAX_MS = 1000 };

struct client {
    size_t per_label_max, body_max;
    char *ca_file;
    CURLM *multi;
    pthread_t thread;
    bool joined;

    pthread_mutex_t lock; /* guards these */
    struct transfer *inbox, **inbox_tail;
    bool stopping;

    /* the client's thread only */
    struct label *labels;
    struct transfer *in_flight;
    CURL *spare[SPARE_MAX]; /* kept for their TLS sessions */
    size_t spare_count;
};

size_t client_background_max(size_t in_flight_max)
{
    return in_flight_max > 1 ? in_flight_max - (in_flight_max + 3) / 4 : 1;
}

/* ---- labels */

static struct label *label_find(struct client *client, const char *name)
{
    for (struct label *label = client->labels; label; label = label->next)
        if (strcmp(label->name, name) == 0)
            return label;
    struct label *label = calloc(1, sizeof *label);
    if (!label || !(label->name = strdup(name)))
        abort(); /* a few per process, at its beginning */
    for (int background = 0; background < 2; background++)
        label->waiting[background].tail = &label->waiting[background].first;
    static const char channel[] = "channel";
    label->calls = metric_counter_of("paynotify_client_calls_total", channel, name, "Calls to providers that ended.");
    label->errors = metric_counter_of("paynotify_client_errors_total", channel, name, "Calls to providers without an answer.");
    label->latency_us = metric_counter_of("paynotify_client_call_microseconds_total", channel, name,
                                          "Time that calls to providers took, waiting for their turn included.");
    label->in_flight_gauge = metric_gauge_of("paynotify_client_in_flight", channel, name, "Calls to providers under way.");
    label->waiting_gauge = metric_gauge_of("paynotify_client_waiting", channel, name, "Calls to providers waiting for their turn.");
    label->next = client->labels;
    client->labels = label;
    return label;
}

static void labels_free(struct client *client)
{
    for (struct label *label = client->labels, *next; label; label = next) {
        next = label->next;
        free(label->name);
        free(label);
    }
}

/* ---- one transfer, from admission to done */

static void report(struct transfer *transfer, const struct client_response *response)
{
    struct label *label = transfer->label;
    if (label) {
        metric_add(label->calls, 1);
        metric_add(label->latency_us, mono_us() - transfer->started_us);
        if (response->rc != RC_OK)
            metric_add(label->errors, 1);
    }
    transfer->done(transfer->arg, response);
    transfer_free(transfer);
}

static void report_unsent(struct transfer *transfer, const char *detail)
{
    report(transfer, &(struct client_response){ .rc = RC_UNAVAILABLE, .detail = detail });
}

static CURL *easy_take(struct client *client)
{
    return client->spare_count > 0 ? client->spare[--client->spare_count] : curl_easy_init();
}

static void easy_give(struct client *client, CURL *easy)
{
    if (!easy)
        return;
    curl_easy_reset(easy);
    if (client->spare_count < SPARE_MAX)
        client->spare[client->spare_count++] = easy;
    else
        curl_easy_cleanup(easy);
}

static void link_in(struct client *client, struct transfer *transfer)
{
    transfer->prev = NULL;
    transfer->next = client->in_flight;
    if (client->in_flight)
        client->in_flight->prev = transfer;
    client->in_flight = transfer;
    transfer->label->in_flight[transfer->background]++;
    metric_add(transfer->label->in_flight_gauge, 1);
}

static void link_out(struct client *client, struct transfer *transfer)
{
    if (transfer->prev)
        transfer->prev->next = transfer->next;
    else
        client->in_flight = transfer->next;
    if (transfer->next)
        transfer->next->prev = transfer->prev;
    transfer->label->in_flight[transfer->background]--;
    metric_add(transfer->label->in_flight_gauge, -1);
}

/* Gives the transfer's next try to libcurl. False when libcurl takes no more. */
static bool launch(struct client *client, struct transfer *transfer)
{
    return transfer_prepare(transfer, transfer->easy, client->ca_file) &&
           curl_multi_add_handle(client->multi, transfer->easy) == CURLM_OK;
}

static void start(struct client *client, struct transfer *transfer)
{
    if (transfer->may_send && !transfer->may_send(transfer->arg)) {
        report_unsent(transfer, "held back, because the other side does not answer");
        return;
    }
    transfer->easy = easy_take(client);
    if (!transfer->easy || !launch(client, transfer)) {
        easy_give(client, transfer->easy);
        report_unsent(transfer, "libcurl does not take the request");
        return;
    }
    link_in(client, transfer);
}

/* Whether the label has a place for one more; a quarter of them is kept from background work. */
static bool has_place(const struct label *label, bool background)
{
    size_t taken = label->in_flight[0] + label->in_flight[1];
    return taken < label->in_flight_max &&
           (!background || label->in_flight[1] < client_background_max(label->in_flight_max));
}

static void wait_in_line(struct waiting *waiting, struct transfer *transfer)
{
    if (!waiting->first || transfer->start_by_ms < waiting->next_expiry)
        waiting->next_expiry = transfer->start_by_ms;
    transfer->next = NULL;
    *waiting->tail = transfer;
    waiting->tail = &transfer->next;
    metric_add(transfer->label->waiting_gauge, 1);
}

static void admit(struct client *client, struct transfer *transfer)
{
    struct label *label = transfer->label = label_find(client, transfer->label_name);
    struct waiting *waiting = &label->waiting[transfer->background];
    label->in_flight_max = transfer->in_flight_max ? transfer->in_flight_max : client->per_label_max;
    if (transfer->refused)
        report_unsent(transfer, transfer->refused);
    else if (!waiting->first && has_place(label, transfer->background))
        start(client, transfer);
    else
        wait_in_line(waiting, transfer);
}

static struct transfer *waiting_take(struct waiting *waiting)
{
    struct transfer *transfer = waiting->first;
    waiting->first = transfer->next;
    if (!waiting->first)
        waiting->tail = &waiting->first;
    metric_add(transfer->label->waiting_gauge, -1);
    return transfer;
}

/* Ends a transfer that libcurl is no longer working on. */
static void finish(struct client *client, struct transfer *transfer, CURLcode code)
{
    struct client_response response;
    transfer_result(transfer, code, &response);
    link_out(client, transfer);
    easy_give(client, transfer->easy);
    report(transfer, &response);
}

static void on_message(struct client *client, CURL *easy, CURLcode code)
{
    struct transfer *transfer = NULL;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &transfer);
    curl_multi_remove_handle(client->multi, easy);
    if (!transfer_again(transfer, code)) {
        finish(client, transfer, code);
        return;
    }
    curl_easy_reset(easy);
    if (!launch(client, transfer))
        finish(client, transfer, code);
}

/* ---- the thread */

static void take_finished(struct client *client)
{
    int left;
    for (CURLMsg *message; (message = curl_multi_info_read(client->multi, &left));)
        if (message->msg == CURLMSG_DONE)
            on_message(client, message->easy_handle, message->data.result);
}

static struct transfer *take_inbox(struct client *client, bool *ret_stopping)
{
    pthread_mutex_lock(&client->lock);
    struct transfer *first = client->inbox;
    client->inbox = NULL;
    client->inbox_tail = &client->inbox;
    *ret_stopping = client->stopping;
    pthread_mutex_unlock(&client->lock);
    return first;
}

/* Takes out of a queue whoever waited too long, anywhere in it, for time-outs differ per request. */
static void expire_waiting(struct waiting *waiting, int64_t now)
{
    struct transfer *expired = NULL, **link = &waiting->first;
    waiting->tail = &waiting->first;
    waiting->next_expiry = INT64_MAX;
    for (struct transfer *transfer; (transfer = *link);) {
        if (transfer->start_by_ms <= now) {
            *link = transfer->next;
            transfer->next = expired;
            expired = transfer;
            metric_add(transfer->label->waiting_gauge, -1);
            continue;
        }
        if (transfer->start_by_ms < waiting->next_expiry)
            waiting->next_expiry = transfer->start_by_ms;
        link = &transfer->next;
        waiting->tail = link;
    }
    for (struct transfer *next; expired; expired = next) {
        next = expired->next;
        report_unsent(expired, "too many calls are under way, and none ended in time");
    }
}

/* Gives free places to those who wait, callers first; the earliest time at which somebody's patience ends. */
static int64_t serve_label(struct client *client, struct label *label, int64_t now)
{
    int64_t next = INT64_MAX;
    for (int background = 0; background < 2; background++) {
        struct waiting *waiting = &label->waiting[background];
        if (waiting->first && waiting->next_expiry <= now)
            expire_waiting(waiting, now);
        while (waiting->first && has_place(label, background))
            start(client, waiting_take(waiting));
        if (waiting->first && waiting->next_expiry < next)
            next = waiting->next_expiry;
    }
    return next;
}

/* How long the thread may sleep before one of those who wait must be told. */
static int serve_waiting(struct client *client)
{
    int64_t now = mono_ms(), next = now + POLL_MAX_MS;
    for (struct label *label = client->labels; label; label = label->next) {
        int64_t at = serve_label(client, label, now);
        next = at < next ? at : next;
    }
    return next > now ? (int)(next - now) : 0;
}

static void end_everything(struct client *client)
{
    while (client->in_flight) {
        struct transfer *transfer = client->in_flight;
        curl_multi_remove_handle(client->multi, transfer->easy);
        transfer->cut = "the server is stopping";
        finish(client, transfer, CURLE_ABORTED_BY_CALLBACK);
    }
    for (struct label *label = client->labels; label; label = label->next)
        for (int background = 0; background < 2; background++)
            while (label->waiting[background].first)
                report_unsent(waiting_take(&label->waiting[background]), "the server is stopping");
}

static void *client_main(void *arg)
{
    struct client *client = arg;
    pthread_setname_np(pthread_self(), "pn-client");
    for (;;) {
        bool stopping;
        for (struct transfer *transfer = take_inbox(client, &stopping), *next; transfer; transfer = next) {
            next = transfer->next;
            admit(client, transfer);
        }
        if (stopping)
            break;
        int running;
        curl_multi_perform(client->multi, &running);
        take_finished(client);
        int timeout = serve_waiting(client);
        CURLMcode code = curl_multi_poll(client->multi, NULL, 0, timeout, NULL);
        if (code != CURLM_OK)
            log_error("outbound client cannot poll", LOG_S("detail", curl_multi_strerror(code)));
    }
    end_everything(client);
    return NULL;
}

/* ---- life */

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static CURLcode curl_ready;

static void curl_start(void)
{
    curl_ready = curl_global_init(CURL_GLOBAL_DEFAULT);
}

static void client_destroy(struct client *client)
{
    while (client->spare_count > 0)
        curl_easy_cleanup(client->spare[--client->spare_count]);
    labels_free(client);
    curl_multi_cleanup(client->multi);
    pthread_mutex_destroy(&client->lock);
    free(client->ca_file);
    free(client);
}

static bool client_fill(struct client *client, const struct client_options *options)
{
    client->per_label_max = options && options->per_label_max ? options->per_label_max : PER_LABEL_DEFAULT;
    client->body_max = options && options->body_max ? options->body_max : BODY_DEFAULT;
    client->inbox_tail = &client->inbox;
    pthread_mutex_init(&client->lock, NULL);
    if (options && options->ca_file && !(client->ca_file = strdup(options->ca_file)))
        return false;
    client->multi = curl_multi_init();
    return client->multi && curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, (long)client->per_label_max) == CURLM_OK;
}

enum rc client_new(const struct client_options *options, struct client **ret_client, struct error *err)
{
    pthread_once(&curl_once, curl_start);
    if (curl_ready != CURLE_OK)
        return error_set(err, RC_INTERNAL, "libcurl does not start: %s", curl_easy_strerror(curl_ready));
    struct client *client = calloc(1, sizeof *client);
    if (!client)
        return error_set(err, RC_NOMEM, "no memory for the outbound client");
    if (!client_fill(client, options) || pthread_create(&client->thread, NULL, client_main, client) != 0) {
        client_destroy(client);
        return error_set(err, RC_NOMEM, "cannot start the outbound client");
    }
    *ret_client = client;
    return RC_OK;
}

void client_send(struct client *client, const struct client_request *request, client_done done, void *arg)
{
    struct transfer *transfer = transfer_new(request, client->body_max, done, arg);
    pthread_mutex_lock(&client->lock);
    bool taken = !client->stopping, was_empty = !client->inbox;
    if (taken) {
        *client->inbox_tail = transfer;
        client->inbox_tail = &transfer->next;
    }
    pthread_mutex_unlock(&client->lock);
    if (!taken)
        report_unsent(transfer, "the server is stopping");
    else if (was_empty)
        curl_multi_wakeup(client->multi);
}

void client_stop(struct client *client)
{
    if (client->joined)
        return;
    pthread_mutex_lock(&client->lock);
    client->stopping = true;
    pthread_mutex_unlock(&client->lock);
    curl_multi_wakeup(client->multi);
    pthread_join(client->thread, NULL);
    client->joined = true;
}

void client_free(struct client *client)
{
    if (!client)
        return;
    client_stop(client);
    client_destroy(client);
}
