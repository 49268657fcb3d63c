/*
 * Asking a provider, asynchronously: the channel plugin says what to send, core's client sends it, a worker lets the
 * plugin read the answer, until there is a result. No thread waits meanwhile. Workers start it; every continuation runs
 * on a worker.
 */
#include <string.h>

#include "base/clock.h"
#include "base/ids.h"
#include "base/log.h"
#include "pay/internal.h"
#include "pay/traffic.h"
#include "plugin/registry.h"

enum { ROUNDS_MAX = 4 };

/* Lives in the caller's arena, like everything that it points to. */
struct call {
    struct pay *pay;
    const struct config_channel *channel;
    struct traffic *traffic;
    bool background;
    struct arena *arena;
    struct pn_payment payment;
    provider_done done;
    void *arg;
    uint32_t round;
    struct pn_call plugin_call;
    struct breaker_permit permit;
    /* the client's answer, copied for the worker */
    enum rc rc;
    const char *detail;
    struct pn_http_response response;
};

static struct pn_str str(const char *text)
{
    return (struct pn_str){ text, text ? strlen(text) : 0 };
}

static const char *outcome_of(enum rc rc, const struct pn_result *result)
{
    bool unknown = rc == RC_OK && result->state == PN_STATE_UNKNOWN && result->prepay_kind == PN_PREPAY_NONE;
    return rc == RC_OK && !unknown ? "answered" : rc == RC_OK ? "unknown" : rc_name(rc);
}

static void end(struct call *call, enum rc rc, const struct pn_result *result, const struct error *err)
{
    traffic_leave(call->traffic, call->background);
    if (call->round > 0)
        traffic_count(call->traffic, (enum pn_operation)call->payment.operation, outcome_of(rc, result));
    call->done(call->arg, rc, result, call->round > 0, err);
}

static enum rc from_plugin(int rc)
{
    switch (rc) {
    case PN_OK:
        return RC_OK;
    case PN_DECLINED:
        return RC_DECLINED;
    case PN_BAD_INPUT:
        return RC_BAD_INPUT;
    case PN_NOT_DONE:
        return RC_UNAVAILABLE;
    case PN_UNSUPPORTED:
        return RC_CONFLICT;
    case PN_UNKNOWN:
    case PN_NOT_AUTHENTIC:
        return RC_UNKNOWN;
    default:
        return RC_INTERNAL;
    }
}

static void go_on(struct call *call, int plugin_rc, const struct pn_step *step);

/* On a worker: the plugin reads the answer. */
static void on_answer(void *arg)
{
    struct call *call = arg;
    struct error err = { 0 };
    if (call->rc != RC_OK) {
        /* what an earlier round set off at the provider is not undone because a later one could not leave */
        enum rc rc = call->rc == RC_UNAVAILABLE && call->round == 1 ? RC_UNAVAILABLE : RC_UNKNOWN;
        error_set(&err, rc, "%s: %s", call->channel->name, call->detail ? call->detail : "no answer");
        end(call, rc, NULL, &err);
        return;
    }
    struct pn_step step = { .size = sizeof step };
    call_begin(&call->plugin_call, call->arena, call->channel->name);
    int rc = channel_response(call->channel->channel, &call->plugin_call, &call->payment, call->round, &call->response, &step);
    go_on(call, rc, &step);
}

/* On the client's thread, right before the request leaves. */
static int may_send(void *arg)
{
    struct call *call = arg;
    call->permit = traffic_permit(call->traffic);
    return call->permit.granted;
}

static void report(struct call *call, const struct client_response *response)
{
    if (!call->permit.granted)
        return;
    if (!response->tried)
        traffic_unused(call->traffic, call->permit);
    else if (response->rc == RC_OK)
        traffic_answered(call->traffic);
    else
        traffic_failed(call->traffic, call->permit, response->detail);
}

/* On the client's thread: copies the answer, which is only valid now, and hands on. */
static void on_response(void *arg, const struct client_response *response)
{
    struct call *call = arg;
    report(call, response);
    struct pn_kv *headers = arena_alloc(call->arena, (response->header_count + 1) * sizeof *headers);
    char *body = arena_dup(call->arena, response->body ? response->body : "", response->body_len);
    call->rc = headers && body ? response->rc : RC_UNKNOWN;
    call->detail = arena_strdup(call->arena, response->detail);
    for (size_t i = 0; headers && i < response->header_count; i++)
        headers[i] = (struct pn_kv){ str(arena_strdup(call->arena, response->headers[i].name)),
                                     str(arena_strdup(call->arena, response->headers[i].value)) };
    call->response = (struct pn_http_response){
        .size = sizeof call->response, .status = (int32_t)response->status,
        .headers = { headers, response->header_count }, .body = { body, response->body_len },
    };
    pool_continue(call->pay->options.workers, on_answer, call);
}

static const char *text_of(struct call *call, const struct pn_str *text)
{
    return arena_strndup(call->arena, text->len ? text->data : "", text->len);
}

static void hold_back(struct call *call)
{
    struct error err = { 0 };
    enum rc rc = call->round == 0 ? RC_UNAVAILABLE : RC_UNKNOWN;
    error_set(&err, rc, "%s: the provider does not answer; it will be asked again soon", call->channel->name);
    end(call, rc, NULL, &err);
}

static void send_request(struct call *call, const struct pn_http_request *request)
{
    if (traffic_refuses(call->traffic)) {
        hold_back(call);
        return;
    }
    const char **urls = arena_alloc(call->arena, (request->urls.count + 1) * sizeof *urls);
    struct client_header *headers = arena_alloc(call->arena, (request->headers.count + 1) * sizeof *headers);
    if (!urls || !headers) {
        struct error err = { 0 };
        end(call, error_set(&err, RC_NOMEM, "out of memory"), NULL, &err);
        return;
    }
    for (size_t i = 0; i < request->urls.count; i++)
        urls[i] = text_of(call, &request->urls.items[i]);
    for (size_t i = 0; i < request->headers.count; i++)
        headers[i] = (struct client_header){ text_of(call, &request->headers.items[i].name),
                                             text_of(call, &request->headers.items[i].value) };
    struct client_request out = {
        .label = call->channel->name, .method = text_of(call, &request->method), .urls = urls,
        .url_count = request->urls.count, .headers = headers, .header_count = request->headers.count,
        .body = request->body.data, .body_len = request->body.len,
        .timeout_ms = request->timeout_ms ? request->timeout_ms : call->channel->timeout_ms,
        .repeatable = (request->flags & PN_HTTP_REPEATABLE) != 0,
        .background = call->background, .in_flight_max = (size_t)call->channel->max_in_flight, .may_send = may_send,
        .client_cert = request->client_certificate.data, .client_cert_len = request->client_certificate.len,
        .client_key = request->client_key.data, .client_key_len = request->client_key.len,
    };
    call->round++;
    call->permit = (struct breaker_permit){ 0 };
    client_send(call->pay->options.client, &out, on_response, call);
}

static void go_on(struct call *call, int plugin_rc, const struct pn_step *step)
{
    struct error err = call->plugin_call.err;
    if (plugin_rc != PN_OK) {
        if (!err.text[0])
            error_set(&err, RC_INTERNAL, "%s: the channel gave no reason", call->channel->name);
        end(call, from_plugin(plugin_rc), NULL, &err);
    } else if (step->done) {
        end(call, RC_OK, step->done, &err);
    } else if (call->round >= ROUNDS_MAX) {
        error_set(&err, RC_UNKNOWN, "%s: the channel wants more than %d calls", call->channel->name, ROUNDS_MAX);
        end(call, RC_UNKNOWN, NULL, &err);
    } else {
        send_request(call, step->next);
    }
}

/* The stored payer parameters, and the payer's address as we saw it, unless one was given when the payment was made: a
 * provider refuses to hear the same payment again with anything changed. */
static struct pn_kv_list params_of(const struct pay_record *record, const char *client_ip, struct arena *arena)
{
    struct prepay params = { 0 };
    size_t count = 0;
    if (record->params)
        prepay_read(record->params, arena, &params, NULL);
    struct pn_kv *items = arena_alloc(arena, (params.field_count + 1) * sizeof *items);
    if (!items)
        return (struct pn_kv_list){ 0 };
    for (size_t i = 0; i < params.field_count; i++) {
        items[count++] = (struct pn_kv){ str(params.fields[i].name), str(params.fields[i].value) };
        if (strcmp(params.fields[i].name, "client_ip") == 0)
            client_ip = NULL;
    }
    if (client_ip)
        items[count++] = (struct pn_kv){ str("client_ip"), str(client_ip) };
    return (struct pn_kv_list){ items, count };
}

static void fill_payment(struct call *call, const struct provider_ask *ask)
{
    const struct order *order = ask->order;
    const struct pay_record *record = ask->record;
    char digits[ID_TEXT_MAX];
    const char *public_url = call->pay->config->server.public_url;
    call->payment = (struct pn_payment){
        .size = sizeof call->payment,
        .operation = ask->operation,
        .pay_no = str(arena_strdup(call->arena, id_format(record->pay_no, digits))),
        .product = str(record->product),
        .name = str(order->name),
        .description = str(order->description),
        .currency = str(record->currency),
        .amount_minor = record->amount_minor,
        .trade_no = str(record->trade_no),
        .notify_url = str(arena_printf(call->arena, "%s/notify/%s", public_url, record->channel)),
        .return_url = str(pay_return_link(call->pay, record, call->arena)),
        .created_at_ms = record->created_at,
        .expires_at_ms = record->expires_at,
        .params = params_of(record, ask->client_ip, call->arena),
        .refunded_minor = record->refunded_minor,
    };
    if (!ask->refund)
        return;
    call->payment.refund_no = str(arena_strdup(call->arena, id_format(ask->refund->refund_no, digits)));
    call->payment.refund_reason = str(ask->refund->reason);
    call->payment.refund_minor = ask->refund->amount_minor;
}

void provider_call(struct pay *pay, const struct provider_ask *ask, struct arena *arena, provider_done done, void *arg)
{
    struct error err = { 0 };
    const struct config_channel *channel = config_channel_find(pay->config, ask->record->channel);
    struct call *call = arena_alloc(arena, sizeof *call);
    if (!channel || !call) {
        enum rc rc = channel ? RC_NOMEM : RC_CONFLICT;
        error_set(&err, rc, channel ? "out of memory" : "channel \"%s\" is not configured any more", ask->record->channel);
        done(arg, rc, NULL, false, &err);
        return;
    }
    *call = (struct call){
        .pay = pay, .channel = channel, .traffic = traffic_of(pay, channel), .background = ask->background, .arena = arena,
        .done = done, .arg = arg,
    };
    fill_payment(call, ask);
    traffic_enter(call->traffic, call->background);

    struct pn_step step = { .size = sizeof step };
    call_begin(&call->plugin_call, arena, channel->name);
    int rc = channel_request(channel->channel, &call->plugin_call, &call->payment, &step);
    go_on(call, rc, &step);
}

/* ------------------------------------------------------------------------------------------------ inquiries */

struct inquiry {
    struct pay *pay;
    const char *channel;
    int64_t pay_no;
    inquiry_done done;
    void *arg;
    enum pn_state state;
    enum settle_outcome outcome;
};

static void inquiry_end(void *arg)
{
    struct inquiry *inquiry = arg;
    inquiry->done(inquiry->arg, inquiry->state, inquiry->outcome, NULL);
}

/* On the committer's thread. */
static void inquiry_settled(void *arg, enum settle_outcome outcome)
{
    struct inquiry *inquiry = arg;
    inquiry->outcome = outcome;
    pool_continue(inquiry->pay->options.workers, inquiry_end, inquiry);
}

static bool is_about(const struct pn_result *result, int64_t pay_no)
{
    char digits[ID_TEXT_MAX];
    id_format(pay_no, digits);
    return result->pay_no.len == strlen(digits) && memcmp(result->pay_no.data, digits, result->pay_no.len) == 0;
}

static void inquiry_answered(void *arg, enum rc rc, const struct pn_result *result, bool called, const struct error *err)
{
    struct inquiry *inquiry = arg;
    struct error failure = { 0 };
    (void)called;
    if (rc != RC_OK) {
        failure = *err;
        failure.rc = rc;
        inquiry->done(inquiry->arg, PN_STATE_UNKNOWN, SETTLED_NOT, &failure);
        return;
    }
    inquiry->state = (enum pn_state)result->state;
    if (inquiry->state == PN_STATE_UNKNOWN || inquiry->state == PN_STATE_NOT_FOUND) {
        inquiry->done(inquiry->arg, inquiry->state, SETTLED_NOTED, NULL);
        return;
    }
    if (!is_about(result, inquiry->pay_no)) {
        error_set(&failure, RC_UNKNOWN, "%s: the answer is about another payment", inquiry->channel);
        inquiry->done(inquiry->arg, PN_STATE_UNKNOWN, SETTLED_NOT, &failure);
        return;
    }
    if (inquiry->state == PN_STATE_UNPAID) { /* most answers: nothing to write, so the committer is left in peace */
        inquiry->done(inquiry->arg, inquiry->state, SETTLED_NOTED, NULL);
        return;
    }
    rc = pay_settle(inquiry->pay, inquiry->channel, "query", result, inquiry_settled, inquiry, &failure);
    if (rc)
        inquiry->done(inquiry->arg, inquiry->state, SETTLED_NOT, &failure);
}

void provider_inquire(struct pay *pay, const struct provider_ask *ask, struct arena *arena, inquiry_done done, void *arg)
{
    struct provider_ask query = *ask;
    query.operation = PN_QUERY;
    struct inquiry *inquiry = arena_alloc(arena, sizeof *inquiry);
    if (!inquiry) {
        struct error err = { 0 };
        error_set(&err, RC_NOMEM, "out of memory");
        done(arg, PN_STATE_UNKNOWN, SETTLED_NOT, &err);
        return;
    }
    *inquiry = (struct inquiry){ .pay = pay, .channel = ask->record->channel, .pay_no = ask->record->pay_no,
                                 .done = done, .arg = arg };
    provider_call(pay, &query, arena, inquiry_answered, inquiry);
}
