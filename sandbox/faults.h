/*
 * Faults on demand: a list of orders such as "the next two queries get HTTP 500". The control interface adds them, the
 * gateway and the notifier take what applies to the call or the notice at hand. Any thread; one lock inside.
 */
#ifndef SANDBOX_FAULTS_H
#define SANDBOX_FAULTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct faults;

enum fault_target { FAULT_GATEWAY, FAULT_NOTICE };

/* Everything that is to go wrong this time. Zeroed: nothing. */
struct fault_plan {
    int64_t delay_ms;
    bool drop;         /* gateway: close the connection; notice: do not send it */
    bool after;        /* gateway: drop, status, html, unavailable, fail, code happen after the work is done */
    int status;        /* gateway: this HTTP status */
    bool html;         /* gateway: a page instead of an answer */
    bool unavailable;  /* gateway: the provider's "system busy", signed */
    bool fail;         /* gateway, WeChat Pay: return_code FAIL, unsigned */
    char *code;        /* gateway: a refusal with this code, signed */
    bool bad_signature;
    bool wrong_key;
    bool other_certificate; /* gateway, Alipay's certificate mode: the answer names one that the merchant has not */
    int duplicates;    /* notice: so many more of it */
    bool hold;         /* notice: keep it back … */
    bool hold_is_last; /* … and let all that are kept go, the last first */
    json_t *change;    /* fields to replace (null: leave out) before signing */
    json_t *tamper;    /* the same after signing; empty: the amount, as it is called there */
};

struct faults *faults_new(void);
void faults_free(struct faults *faults);

/* One fault as doc/man/paynotify-sandbox.1 describes it. NULL: added; else what is wrong with it, static text. */
const char *faults_add(struct faults *faults, const json_t *wanted, json_int_t *ret_id);
json_t *faults_describe(struct faults *faults);
void faults_clear(struct faults *faults);

/* What goes wrong now; each fault that is used counts down. `method` and `pay_no` may be NULL. */
struct fault_plan faults_take(struct faults *faults, enum fault_target target, const char *method, const char *pay_no);
void fault_plan_free(struct fault_plan *plan);

/* The fields to replace after signing: those of the plan, or when it names none the amount. NULL: no such fault. The caller
 * drops the reference. */
json_t *fault_tampering(const struct fault_plan *plan, const char *amount_name, const char *amount);

#endif
