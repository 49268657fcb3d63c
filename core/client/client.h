/*
 * Outbound HTTP: one thread with one libcurl multi handle sends every request of the server to providers. TLS is always
 * verified, redirects are never followed, answers are read up to a limit. `done` runs on the client's thread and must
 * not block: it hands on (pool_continue).
 */
#ifndef PN_CLIENT_CLIENT_H
#define PN_CLIENT_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"

struct client;

struct client_header {
    const char *name, *value;
};

struct client_request {
    const char *label;       /* for metrics and logs: the channel's name */
    const char *method;
    const char *const *urls; /* tried in order after a failure to connect; when `repeatable`, after any broken connection */
    size_t url_count;
    const struct client_header *headers;
    size_t header_count;
    const void *body;
    size_t body_len;
    int64_t timeout_ms;      /* from client_send on; at most half of it is spent waiting for a place */
    int repeatable;
    int background;          /* nobody waits for it: takes at most three quarters of the label's places, and the last turn */
    size_t in_flight_max;    /* of the label; 0: the client's per_label_max */
    int (*may_send)(void *arg); /* asked on the client's thread right before it leaves; 0: RC_UNAVAILABLE. NULL: it may */
    const void *client_cert, *client_key; /* PEM, presented over TLS; NULL: none */
    size_t client_cert_len, client_key_len;
};

struct client_response {
    enum rc rc;      /* RC_OK: an answer arrived, whatever its status; RC_UNAVAILABLE: certainly not sent;
                        RC_UNKNOWN: sent, no complete answer; RC_TIMEOUT: the same, by time */
    long status;
    const struct client_header *headers; /* names in lower case */
    size_t header_count;
    const char *body;
    size_t body_len;
    const char *detail; /* what went wrong, for the log; NULL with RC_OK */
    int tried;          /* 0: it ended here, and its failure says nothing about the other side */
};

typedef void (*client_done)(void *arg, const struct client_response *response); /* valid during the call only */

struct client_options {
    const char *ca_file;        /* NULL: the system's */
    size_t per_label_max;       /* in flight at once per label, unless a request says otherwise; more wait; default 512 */
    size_t body_max;            /* default 1 MiB */
};

/* How many of a label's places background requests may take. */
size_t client_background_max(size_t in_flight_max);

enum rc client_new(const struct client_options *options, struct client **ret_client, struct error *err);

/* Copies what it needs. done is called exactly once, also after client_stop. Any thread. */
void client_send(struct client *client, const struct client_request *request, client_done done, void *arg);

void client_stop(struct client *client); /* what is in flight ends with RC_UNKNOWN or RC_UNAVAILABLE */
void client_free(struct client *client);

#endif
