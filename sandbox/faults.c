/*
 * The list of faults; see faults.h. A short linked list under one mutex, in the order in which the faults were added.
 */
#include "faults.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "text.h"

#define MOST_MS (INT64_C(24) * 3600 * 1000)

enum kind { DELAY, DROP, STATUS, HTML, UNAVAILABLE, FAIL, REFUSE, BAD_SIGNATURE, WRONG_KEY, OTHER_CERTIFICATE, CHANGE, TAMPER, DUPLICATE, REORDER };

static const struct {
    const char *name;
    bool gateway, notice; /* where it can happen */
} kinds[] = {
    [DELAY] = {"delay", true, true},
    [DROP] = {"drop", true, true},
    [STATUS] = {"status", true, false},
    [HTML] = {"html", true, false},
    [UNAVAILABLE] = {"unavailable", true, false},
    [FAIL] = {"fail", true, false},
    [REFUSE] = {"refuse", true, false},
    [BAD_SIGNATURE] = {"bad_signature", true, true},
    [WRONG_KEY] = {"wrong_key", true, true},
    [OTHER_CERTIFICATE] = {"other_certificate", true, false},
    [CHANGE] = {"change", true, true},
    [TAMPER] = {"tamper", true, true},
    [DUPLICATE] = {"duplicate", false, true},
    [REORDER] = {"reorder", false, true},
};

static const char *const targets[] = {[FAULT_GATEWAY] = "gateway", [FAULT_NOTICE] = "notice"};

struct fault {
    struct fault *next;
    json_int_t id;
    enum fault_target target;
    enum kind kind;
    char *method, *pay_no; /* NULL: any */
    char *code;            /* of a refusal */
    json_int_t left;       /* negative: until cleared */
    json_int_t amount;     /* ms, HTTP status or number of duplicates */
    bool after;
    json_t *fields;
};

struct faults {
    pthread_mutex_t lock;
    struct fault *first;
    json_int_t last_id;
};

struct faults *faults_new(void)
{
    struct faults *faults = need(calloc(1, sizeof *faults));
    pthread_mutex_init(&faults->lock, NULL);
    return faults;
}

static void free_fault(struct fault *fault)
{
    if (!fault)
        return;
    free(fault->method);
    free(fault->pay_no);
    free(fault->code);
    json_decref(fault->fields);
    free(fault);
}

void faults_clear(struct faults *faults)
{
    pthread_mutex_lock(&faults->lock);
    for (struct fault *fault = faults->first, *next; fault; fault = next) {
        next = fault->next;
        free_fault(fault);
    }
    faults->first = NULL;
    pthread_mutex_unlock(&faults->lock);
}

void faults_free(struct faults *faults)
{
    if (!faults)
        return;
    faults_clear(faults);
    pthread_mutex_destroy(&faults->lock);
    free(faults);
}

static const char *parse_amount(struct fault *fault, const json_t *wanted)
{
    const char *key = fault->kind == DELAY ? "ms" : fault->kind == STATUS ? "status" : "times";
    json_int_t least = fault->kind == STATUS ? 400 : 1;
    json_int_t most = fault->kind == DELAY ? MOST_MS : fault->kind == STATUS ? 599 : 100;
    const json_t *amount = json_object_get(wanted, key);
    fault->amount = amount ? json_integer_value(amount) : fault->kind == STATUS ? 500 : 1;
    if ((amount && !json_is_integer(amount)) || fault->amount < least || fault->amount > most)
        return "\"ms\" is 1 to 86400000, \"status\" 400 to 599, \"times\" 1 to 100";
    return NULL;
}

static const char *parse_fields(struct fault *fault, const json_t *wanted)
{
    json_t *fields = json_object_get(wanted, "fields");
    if (!fields && fault->kind == TAMPER) {
        fault->fields = json_object();
        return NULL;
    }
    fault->fields = json_deep_copy(fields);
    if (!json_is_fields(fault->fields) || json_object_size(fault->fields) == 0)
        return "\"fields\" is an object of texts; null leaves a field out";
    return NULL;
}

static const char *parse_code(struct fault *fault, const json_t *wanted)
{
    const char *code = json_string_value(json_object_get(wanted, "code"));
    if (!code || code[0] == '\0')
        return "to refuse takes a \"code\", as the provider calls it";
    fault->code = text_copy(code);
    return NULL;
}

static const char *parse_target(struct fault *fault, const json_t *wanted)
{
    const char *target = json_string_value(json_object_get(wanted, "target"));
    const char *kind = json_string_value(json_object_get(wanted, "kind"));
    if (!target || (strcmp(target, "gateway") != 0 && strcmp(target, "notice") != 0))
        return "\"target\" is gateway or notice";
    fault->target = strcmp(target, "gateway") == 0 ? FAULT_GATEWAY : FAULT_NOTICE;
    for (size_t i = 0; kind && i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(kinds[i].name, kind) == 0 && (fault->target == FAULT_GATEWAY ? kinds[i].gateway : kinds[i].notice)) {
            fault->kind = (enum kind)i;
            return NULL;
        }
    }
    return "this target knows no such \"kind\"";
}

static const char *parse_fault(struct fault *fault, const json_t *wanted)
{
    static const char *const members[] = {"target", "kind", "count", "method", "pay_no", "after",
                                          "ms",     "status", "times", "fields", "code",   NULL};
    if (!json_has_only(wanted, members))
        return "a fault is a JSON object of target, kind, count, method, pay_no, after, ms, status, times, fields, code";
    const char *wrong = parse_target(fault, wanted);
    if (wrong)
        return wrong;
    const json_t *count = json_object_get(wanted, "count");
    fault->left = count ? json_integer_value(count) : 1;
    if ((count && !json_is_integer(count)) || fault->left == 0 || fault->left < -1)
        return "\"count\" is how often, or -1 for until it is cleared";
    if (fault->kind == REORDER && fault->left < 2)
        return "to reorder takes a \"count\" of 2 or more";
    const char *method, *pay_no;
    if (!json_text(wanted, "method", &method) || !json_text(wanted, "pay_no", &pay_no))
        return "\"method\" and \"pay_no\" are texts";
    fault->method = text_copy(method);
    fault->pay_no = text_copy(pay_no);
    fault->after = json_is_true(json_object_get(wanted, "after"));
    if (fault->target == FAULT_NOTICE && (method || json_object_get(wanted, "after")))
        return "\"method\" and \"after\" are for the gateway";
    if (fault->kind == DELAY || fault->kind == STATUS || fault->kind == DUPLICATE)
        return parse_amount(fault, wanted);
    if (fault->kind == CHANGE || fault->kind == TAMPER)
        return parse_fields(fault, wanted);
    return fault->kind == REFUSE ? parse_code(fault, wanted) : NULL;
}

const char *faults_add(struct faults *faults, const json_t *wanted, json_int_t *ret_id)
{
    struct fault *fault = need(calloc(1, sizeof *fault));
    const char *wrong = parse_fault(fault, wanted);
    if (wrong) {
        free_fault(fault);
        return wrong;
    }
    pthread_mutex_lock(&faults->lock);
    *ret_id = fault->id = ++faults->last_id;
    struct fault **end = &faults->first;
    while (*end)
        end = &(*end)->next;
    *end = fault;
    pthread_mutex_unlock(&faults->lock);
    return NULL;
}

json_t *faults_describe(struct faults *faults)
{
    json_t *list = json_array();
    pthread_mutex_lock(&faults->lock);
    for (const struct fault *fault = faults->first; fault; fault = fault->next)
        json_array_append_new(list, json_pack("{s:I,s:s,s:s,s:s?,s:s?,s:s?,s:I,s:O?}", "id", fault->id, "target",
                                              targets[fault->target], "kind", kinds[fault->kind].name, "method",
                                              fault->method, "pay_no", fault->pay_no, "code", fault->code, "left", fault->left, "fields",
                                              fault->fields));
    pthread_mutex_unlock(&faults->lock);
    return list;
}

static bool applies(const struct fault *fault, enum fault_target target, const char *method, const char *pay_no)
{
    return fault->target == target && (!fault->method || (method && strcmp(method, fault->method) == 0)) &&
           (!fault->pay_no || (pay_no && strcmp(pay_no, fault->pay_no) == 0));
}

static void plan_in(struct fault_plan *plan, const struct fault *fault)
{
    switch (fault->kind) {
    case DELAY: plan->delay_ms = fault->amount; break;
    case DROP: plan->drop = true; break;
    case STATUS: plan->status = (int)fault->amount; break;
    case HTML: plan->html = true; break;
    case UNAVAILABLE: plan->unavailable = true; break;
    case FAIL: plan->fail = true; break;
    case REFUSE: plan->code = text_copy(fault->code); break;
    case BAD_SIGNATURE: plan->bad_signature = true; break;
    case WRONG_KEY: plan->wrong_key = true; break;
    case OTHER_CERTIFICATE: plan->other_certificate = true; break;
    case CHANGE: plan->change = json_incref(fault->fields); break;
    case TAMPER: plan->tamper = json_incref(fault->fields); break;
    case DUPLICATE: plan->duplicates = (int)fault->amount; break;
    case REORDER:
        plan->hold = true;
        plan->hold_is_last = fault->left == 1;
        break;
    }
    plan->after = plan->after || fault->after;
}

struct fault_plan faults_take(struct faults *faults, enum fault_target target, const char *method, const char *pay_no)
{
    struct fault_plan plan = {0};
    bool taken[sizeof kinds / sizeof *kinds] = {false};
    pthread_mutex_lock(&faults->lock);
    for (struct fault **link = &faults->first; *link;) {
        struct fault *fault = *link;
        /* One of a kind at a time, so that several make a sequence. */
        if (!applies(fault, target, method, pay_no) || taken[fault->kind]) {
            link = &fault->next;
            continue;
        }
        taken[fault->kind] = true;
        plan_in(&plan, fault);
        if (fault->left > 0 && --fault->left == 0) {
            *link = fault->next;
            free_fault(fault);
        } else {
            link = &fault->next;
        }
    }
    pthread_mutex_unlock(&faults->lock);
    return plan;
}

void fault_plan_free(struct fault_plan *plan)
{
    free(plan->code);
    json_decref(plan->change);
    json_decref(plan->tamper);
    *plan = (struct fault_plan){0};
}

json_t *fault_tampering(const struct fault_plan *plan, const char *amount_name, const char *amount)
{
    if (plan->tamper && json_object_size(plan->tamper) == 0)
        return json_pack("{s:s}", amount_name, amount);
    return plan->tamper ? json_incref(plan->tamper) : NULL;
}
