/*
 * The sender of notices; see notifier.h. A *round* is one attempt at a notice (with a duplicating fault, several requests
 * at once). Rounds wait in a list ordered by time; curl handles are touched by the notifier's thread only, everything else
 * under the lock.
 */
#include "notifier.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "attempts.h"
#include "text.h"

#define TIMEOUT_MS 5000L
#define MOST_TRANSFERS 64

struct notice {
    struct notice *next;
    const struct notice_style *style;
    char *pay_no, *url, *id, *about;
    struct params fields;
    size_t gaps_used;
    bool accepted, given_up;
    struct attempts attempts;
};

struct round {
    struct round *next; /* waiting, or kept back */
    struct notice *notice;
    int64_t due_ms; /* steady clock */
    bool scheduled; /* one of the schedule's, which the next one follows */
    bool planned;   /* faults were taken for it already */
    struct fault_plan plan;
    int open;              /* transfers that run */
    struct round *then;    /* starts when this one has ended */
};

struct transfer {
    struct transfer *next;
    struct round *round;
    CURL *curl;
    struct curl_slist *headers;
    char *body;
    int64_t at_ms;
    char answer[ANSWER_KEPT + 1];
    size_t answer_length;
    char error[CURL_ERROR_SIZE];
};

struct notifier {
    pthread_t thread;
    pthread_mutex_t lock;
    struct faults *faults;
    void *context;
    int64_t speed;
    CURLM *multi;
    bool stop;
    struct notice *first, **end;
    struct round *waiting; /* by due_ms */
    struct round *kept;    /* the newest first */
    struct transfer *transfers;
    size_t transfer_count;
};

/* --------------------------------------------------------------------------------------------- rounds in waiting */

static void enqueue(struct notifier *notifier, struct round *round)
{
    struct round **link = &notifier->waiting;
    while (*link && (*link)->due_ms <= round->due_ms)
        link = &(*link)->next;
    round->next = *link;
    *link = round;
}

static struct round *new_round(struct notice *notice, bool scheduled, int64_t due_ms)
{
    struct round *round = need(calloc(1, sizeof *round));
    round->notice = notice;
    round->scheduled = scheduled;
    round->due_ms = due_ms;
    return round;
}

static void free_rounds(struct round *round)
{
    for (struct round *next; round; round = next) {
        next = round->next;
        free_rounds(round->then);
        fault_plan_free(&round->plan);
        free(round);
    }
}

static void schedule_next(struct notifier *notifier, struct notice *notice)
{
    const struct notice_style *style = notice->style;
    if (notice->accepted)
        return;
    if (notice->gaps_used == style->gap_count) {
        notice->given_up = true;
        say("notice %s about %s: given up", notice->id, notice->pay_no);
        return;
    }
    int64_t gap = style->gaps_ms[notice->gaps_used++] / notifier->speed;
    enqueue(notifier, new_round(notice, true, clock_steady_ms() + gap));
}

static void end_round(struct notifier *notifier, struct round *round)
{
    if (round->scheduled)
        schedule_next(notifier, round->notice);
    if (round->then) {
        round->then->due_ms = clock_steady_ms();
        enqueue(notifier, round->then);
    }
    fault_plan_free(&round->plan);
    free(round);
}

/* Those kept back go one after the other, the last first: each starts when the one before has been answered. */
static void release_kept(struct notifier *notifier)
{
    struct round *first = notifier->kept;
    if (!first)
        return;
    notifier->kept = NULL;
    for (struct round *round = first; round; round = round->then) {
        round->then = round->next;
        round->next = NULL;
    }
    first->due_ms = clock_steady_ms();
    enqueue(notifier, first);
}

/* ------------------------------------------------------------------------------------------------------ attempts */

static size_t keep_answer(char *bytes, size_t size, size_t count, void *context)
{
    struct transfer *transfer = context;
    size_t n = size * count, room = ANSWER_KEPT - transfer->answer_length;
    if (n > room)
        return 0; /* nobody answers a notice with that much: curl ends the transfer */
    memcpy(transfer->answer + transfer->answer_length, bytes, n);
    transfer->answer_length += n;
    return n;
}

static void start_transfer(struct notifier *notifier, struct round *round)
{
    const struct notice *notice = round->notice;
    struct transfer *transfer = need(calloc(1, sizeof *transfer));
    transfer->round = round;
    transfer->at_ms = clock_now_ms();
    transfer->body = notice->style->compose(notifier->context, &notice->fields, &round->plan);

    char *type = text_format("Content-Type: %s", notice->style->content_type);
    transfer->headers = need(curl_slist_append(curl_slist_append(NULL, type), "Expect:"));
    free(type);

    CURL *curl = transfer->curl = need(curl_easy_init());
    curl_easy_setopt(curl, CURLOPT_URL, notice->url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "paynotify-sandbox");
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, transfer->headers);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, transfer->body);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, keep_answer);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, transfer->error);
    curl_easy_setopt(curl, CURLOPT_PRIVATE, transfer);
    curl_multi_add_handle(notifier->multi, curl);

    transfer->next = notifier->transfers;
    notifier->transfers = transfer;
    notifier->transfer_count++;
    round->open++;
}

static void free_transfer(struct notifier *notifier, struct transfer *transfer)
{
    struct transfer **link = &notifier->transfers;
    while (*link != transfer)
        link = &(*link)->next;
    *link = transfer->next;
    notifier->transfer_count--;
    curl_multi_remove_handle(notifier->multi, transfer->curl);
    curl_easy_cleanup(transfer->curl);
    curl_slist_free_all(transfer->headers);
    free(transfer->body);
    free(transfer);
}

static void finish_transfer(struct notifier *notifier, struct transfer *transfer, CURLcode result)
{
    struct round *round = transfer->round;
    struct notice *notice = round->notice;
    struct attempt *attempt = attempts_add(&notice->attempts, transfer->at_ms);
    attempt->sent = true;
    curl_easy_getinfo(transfer->curl, CURLINFO_RESPONSE_CODE, &attempt->status);
    memcpy(attempt->answer, transfer->answer, sizeof attempt->answer);
    if (result != CURLE_OK)
        attempt->error = text_copy(transfer->error[0] ? transfer->error : curl_easy_strerror(result));
    else
        attempt->accepted = notice->style->accepted(attempt->status, transfer->answer, transfer->answer_length);
    notice->accepted = notice->accepted || attempt->accepted;
    say("notice %s about %s, %s: HTTP %ld, %s", notice->id, notice->pay_no, notice->about, attempt->status,
        attempt->accepted ? "accepted" : attempt->error ? attempt->error : "not accepted");
    free_transfer(notifier, transfer);
    if (--round->open == 0)
        end_round(notifier, round);
}

static void run_round(struct notifier *notifier, struct round *round)
{
    struct notice *notice = round->notice;
    if (round->scheduled && notice->accepted) {
        end_round(notifier, round);
        return;
    }
    if (!round->planned) {
        round->plan = faults_take(notifier->faults, FAULT_NOTICE, NULL, notice->pay_no);
        round->planned = true;
        if (round->plan.hold) {
            round->next = notifier->kept;
            notifier->kept = round;
            if (round->plan.hold_is_last)
                release_kept(notifier);
            return;
        }
    }
    if (round->plan.delay_ms > 0) {
        round->due_ms = clock_steady_ms() + round->plan.delay_ms;
        round->plan.delay_ms = 0;
        enqueue(notifier, round);
        return;
    }
    if (round->plan.drop) {
        attempts_add(&notice->attempts, clock_now_ms())->error = text_copy("dropped by a fault");
        end_round(notifier, round);
        return;
    }
    for (int i = 0; i <= round->plan.duplicates; i++)
        start_transfer(notifier, round);
}

/* ------------------------------------------------------------------------------------------------------ the thread */

/* Starts what is due; returns the time until the next is. */
static int run_due(struct notifier *notifier)
{
    while (notifier->waiting && notifier->transfer_count < MOST_TRANSFERS) {
        struct round *round = notifier->waiting;
        int64_t wait = round->due_ms - clock_steady_ms();
        if (wait > 0)
            return wait < 1000 ? (int)wait : 1000;
        notifier->waiting = round->next;
        round->next = NULL;
        run_round(notifier, round);
    }
    return 1000;
}

static void finish_done(struct notifier *notifier)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(notifier->multi, &left))) {
        struct transfer *transfer;
        CURLcode result = message->data.result; /* the message dies with its handle */
        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
        finish_transfer(notifier, transfer, result);
    }
}

static void *run(void *context)
{
    struct notifier *notifier = context;
    pthread_mutex_lock(&notifier->lock);
    while (!notifier->stop) {
        int running;
        curl_multi_perform(notifier->multi, &running);
        finish_done(notifier);
        int wait_ms = run_due(notifier);
        pthread_mutex_unlock(&notifier->lock);
        curl_multi_poll(notifier->multi, NULL, 0, wait_ms, NULL); /* returns at once for transfers just started */
        pthread_mutex_lock(&notifier->lock);
    }
    pthread_mutex_unlock(&notifier->lock);
    return NULL;
}

/* ------------------------------------------------------------------------------------------------------ its life */

struct notifier *notifier_start(struct faults *faults, void *context, int64_t speed)
{
    struct notifier *notifier = need(calloc(1, sizeof *notifier));
    pthread_mutex_init(&notifier->lock, NULL);
    notifier->faults = faults;
    notifier->context = context;
    notifier->speed = speed;
    notifier->end = &notifier->first;
    notifier->multi = need(curl_multi_init());
    if (pthread_create(&notifier->thread, NULL, run, notifier) != 0)
        need(NULL);
    return notifier;
}

static void free_notice(struct notice *notice)
{
    attempts_free(&notice->attempts);
    free(notice->pay_no);
    free(notice->url);
    free(notice->id);
    free(notice->about);
    params_free(&notice->fields);
    free(notice);
}

void notifier_free(struct notifier *notifier)
{
    if (!notifier)
        return;
    pthread_mutex_lock(&notifier->lock);
    notifier->stop = true;
    pthread_mutex_unlock(&notifier->lock);
    curl_multi_wakeup(notifier->multi);
    pthread_join(notifier->thread, NULL);
    while (notifier->transfers) {
        struct transfer *transfer = notifier->transfers;
        struct round *round = transfer->round;
        free_transfer(notifier, transfer);
        if (--round->open == 0)
            free_rounds(round);
    }
    free_rounds(notifier->waiting);
    free_rounds(notifier->kept);
    for (struct notice *notice = notifier->first, *next; notice; notice = next) {
        next = notice->next;
        free_notice(notice);
    }
    curl_multi_cleanup(notifier->multi);
    pthread_mutex_destroy(&notifier->lock);
    free(notifier);
}

/* ------------------------------------------------------------------------------------------------------ for others */

void notifier_add(struct notifier *notifier, const struct notice_order *order)
{
    struct notice *notice = need(calloc(1, sizeof *notice));
    notice->style = order->style;
    notice->pay_no = text_copy(order->pay_no);
    notice->url = text_copy(order->url);
    notice->id = text_copy(order->id);
    notice->about = text_copy(order->about);
    notice->fields = order->fields;
    pthread_mutex_lock(&notifier->lock);
    *notifier->end = notice;
    notifier->end = &notice->next;
    enqueue(notifier, new_round(notice, true, clock_steady_ms()));
    pthread_mutex_unlock(&notifier->lock);
    curl_multi_wakeup(notifier->multi);
}

bool notifier_again(struct notifier *notifier, const char *pay_no, const char *id)
{
    struct notice *found = NULL;
    pthread_mutex_lock(&notifier->lock);
    for (struct notice *notice = notifier->first; notice; notice = notice->next)
        if (strcmp(notice->pay_no, pay_no) == 0 && (!id || strcmp(notice->id, id) == 0))
            found = notice;
    if (found)
        enqueue(notifier, new_round(found, false, clock_steady_ms()));
    pthread_mutex_unlock(&notifier->lock);
    curl_multi_wakeup(notifier->multi);
    return found != NULL;
}

void notifier_release(struct notifier *notifier)
{
    pthread_mutex_lock(&notifier->lock);
    release_kept(notifier);
    pthread_mutex_unlock(&notifier->lock);
    curl_multi_wakeup(notifier->multi);
}

json_t *notifier_describe(struct notifier *notifier, const char *pay_no)
{
    json_t *list = json_array();
    pthread_mutex_lock(&notifier->lock);
    for (const struct notice *notice = notifier->first; notice; notice = notice->next) {
        if (strcmp(notice->pay_no, pay_no) != 0)
            continue;
        json_array_append_new(list, json_pack("{s:s,s:s,s:s,s:b,s:b,s:o}", "notice_id", notice->id, "about", notice->about,
                                              "url", notice->url, "accepted", notice->accepted, "given_up",
                                              notice->given_up, "attempts", attempts_describe(&notice->attempts)));
    }
    pthread_mutex_unlock(&notifier->lock);
    return list;
}
