/*
 * Sends notices to the merchant and repeats them on the provider's schedule until they are accepted. One thread with one
 * curl multi handle; what a notice looks like is the provider's part (struct notice_style). Any thread may call.
 */
#ifndef SANDBOX_NOTIFIER_H
#define SANDBOX_NOTIFIER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "faults.h"
#include "form.h"

struct notifier;

/* How a provider announces things. Static data of the provider. */
struct notice_style {
    const char *content_type;
    const int64_t *gaps_ms; /* between the attempts after the first */
    size_t gap_count;
    /* The body of one attempt, made anew each time; called on the notifier's thread. The caller frees. */
    char *(*compose)(void *context, const struct params *fields, const struct fault_plan *plan);
    /* Whether the merchant's answer ends the notice. */
    bool (*accepted)(long status, const char *answer, size_t n);
};

/* `context` is handed to compose. Gaps are divided by `speed`. */
struct notifier *notifier_start(struct faults *faults, void *context, int64_t speed);
void notifier_free(struct notifier *notifier); /* stops at once; what was not sent is lost */

struct notice_order {
    const struct notice_style *style;
    const char *pay_no, *url, *id;
    const char *about;    /* for the log: "TRADE_SUCCESS" */
    struct params fields; /* taken over */
};
void notifier_add(struct notifier *notifier, const struct notice_order *order);

/* One more attempt now, besides the schedule: of that notice of the trade, or of its newest when id is NULL. False: there
 * is none. */
bool notifier_again(struct notifier *notifier, const char *pay_no, const char *id);
/* Notices that a "reorder" fault keeps back go out now. */
void notifier_release(struct notifier *notifier);
/* The trade's notices with all their attempts, oldest first. */
json_t *notifier_describe(struct notifier *notifier, const char *pay_no);

#endif
