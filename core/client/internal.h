/*
 * What client.c (the thread, the inbox, the queues per label) and transfer.c (one request on one libcurl handle) share.
 * A transfer belongs to the caller until it is in the inbox and to the client's thread from then on.
 */
#ifndef PN_CLIENT_INTERNAL_H
#define PN_CLIENT_INTERNAL_H

#include <curl/curl.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/metrics.h"
#include "client/client.h"

/* Who wait for a place, oldest first. */
struct waiting {
    struct transfer *first, **tail;
    int64_t next_expiry; /* nobody's time is up before */
};

struct label {
    struct label *next;
    char *name;
    size_t in_flight_max;
    size_t in_flight[2];       /* by `background` */
    struct waiting waiting[2]; /* the same */
    struct metric *calls, *errors, *latency_us, *in_flight_gauge, *waiting_gauge;
};

struct transfer {
    struct transfer *next, *prev; /* inbox, a label's queue (next only), or the list of those in flight */
    struct arena *arena;          /* holds this struct too */
    client_done done;
    void *arg;

    /* the request */
    const char *label_name, *method;
    const char *const *urls;
    size_t url_count;
    struct curl_slist *header_lines;
    const char *body;
    size_t body_len;
    bool repeatable, background;
    size_t in_flight_max;
    int (*may_send)(void *arg);
    struct curl_blob client_cert, client_key; /* without data: none */
    int64_t started_us, deadline_ms; /* monotonic; the clock runs from client_send, waiting included */
    int64_t start_by_ms;             /* later there would be too little time left for an answer */
    const char *refused;             /* found wrong before it was sent: never goes out */

    /* where it is */
    struct label *label;
    CURL *easy;
    size_t url; /* the one in use */
    bool sent;  /* the first byte of the request may have left, on any try */
    bool fresh; /* the reused connection was stale: use a new one */

    /* the answer */
    size_t body_max;
    struct buf answer;
    struct client_header *headers;
    size_t header_count;
    size_t header_bytes;
    bool headers_complete;
    const char *cut; /* why we ended it ourselves: a limit, the server stopping */
    char curl_text[CURL_ERROR_SIZE];
};

/* Copies the request. Never NULL; `refused` is set when it cannot be sent as it is. Any thread. */
struct transfer *transfer_new(const struct client_request *request, size_t body_max, client_done done, void *arg);
void transfer_free(struct transfer *transfer);

/* Points `easy` (reset before) at the transfer's current URL. False: libcurl refuses an option, no memory. */
bool transfer_prepare(struct transfer *transfer, CURL *easy, const char *ca_file);

/* After libcurl finished one try with `code`: true when another try is due (the transfer then points at the next URL, or
 * at the same one with a fresh connection). Otherwise *ret_response says what it came to. */
bool transfer_again(struct transfer *transfer, CURLcode code);
void transfer_result(struct transfer *transfer, CURLcode code, struct client_response *ret_response);

#endif
