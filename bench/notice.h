/*
 * Signed Alipay notifications, complete HTTP requests, made before a run so that the run measures the server alone.
 * Written against the protocol's description; shares nothing with the plugin or the sandbox.
 */
#ifndef BENCH_NOTICE_H
#define BENCH_NOTICE_H

#include <stddef.h>

struct notice {
    const char *pay_no, *amount; /* "88.80" */
    char *request;               /* head and body, as it goes over the wire */
    size_t length;
};

struct notice_settings {
    const char *key_file; /* PEM: the key that stands in for Alipay's */
    const char *app_id, *seller_id;
    const char *path, *host; /* "/notify/alipay", "127.0.0.1:8080" */
};

/* Fills in `request` of every notice, in as many threads as there are processors. 0, or -1 with a line on stderr. */
int notices_sign(const struct notice_settings *settings, struct notice *notices, size_t count);

#endif
