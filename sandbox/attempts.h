/*
 * The log of attempts at one notice: what was sent when, and what the merchant said. Kept by the notifier, under its lock.
 */
#ifndef SANDBOX_ATTEMPTS_H
#define SANDBOX_ATTEMPTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define ANSWER_KEPT 256

struct attempt {
    struct attempt *next;
    int64_t at_ms;
    long status; /* of HTTP; 0: none */
    bool sent, accepted;
    char *error; /* NULL: an answer came */
    char answer[ANSWER_KEPT + 1];
};

struct attempts {
    struct attempt *first, *last;
};

/* A new entry at the end, zeroed but for its time. */
struct attempt *attempts_add(struct attempts *attempts, int64_t at_ms);
void attempts_free(struct attempts *attempts);
json_t *attempts_describe(const struct attempts *attempts);

#endif
