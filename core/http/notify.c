/*
 * POST /notify/{channel}: the hot path. The HTTP thread lets the channel judge the message, suspends the connection and
 * queues the settlement; the committer answers after the commit. What cannot be proven leads to a question to the provider
 * instead. Nothing here blocks, and nothing but a commit leads to the reply that keeps the provider from sending again.
 */
#include <string.h>

#include "base/log.h"
#include "http/engine.h"
#include "http/handlers.h"
#include "http/incoming.h"
#include "http/problem.h"
#include "plugin/registry.h"

/* Lives in the request's arena; read by whoever has claimed the request, while its connection is suspended. */
struct notify_work {
    const struct notify_channel *channel;
    const struct pn_http_incoming *incoming;
};

static struct pn_str str(const char *text)
{
    return (struct pn_str){ text, strlen(text) };
}

static struct notify_work *read_work(struct http_request *request, const struct notify_channel *channel)
{
    struct notify_work *work = arena_alloc(request->arena, sizeof *work);
    if (!work)
        return NULL;
    *work = (struct notify_work){ .channel = channel, .incoming = incoming_read(request, "POST") };
    return work->incoming ? work : NULL;
}

/* The provider's own words for "received" or "send again", by who has claimed the request. */
static void answer(struct http_request *request, bool accepted, struct arena *arena)
{
    const struct notify_work *work = request->work;
    struct pn_call call;
    struct pn_reply reply = { .size = sizeof reply };
    call_begin(&call, arena, work->channel->name);
    channel_reply(work->channel->channel, &call, work->incoming, accepted, &reply);
    const char *type = arena_strndup(arena, reply.content_type.data ? reply.content_type.data : "text/plain",
                                     reply.content_type.data ? reply.content_type.len : strlen("text/plain"));
    http_answer(request, &(struct http_reply){
                             .status = reply.status, .content_type = type, .body = reply.body.data, .body_len = reply.body.len,
                             .to_machine = true });
}

static void refuse(struct http_request *request)
{
    if (request_claim(request))
        answer(request, false, request->arena);
}

void notify_give_up(struct http_request *request, struct arena *scratch)
{
    answer(request, false, scratch);
}

/* Committer's thread, after the commit or its failure. */
static void settled(void *arg, enum settle_outcome outcome)
{
    struct http_request *request = arg;
    if (request_claim(request))
        answer(request, settle_outcome_accepted(outcome), request->arena);
    request_unref(request);
}

static void log_refused(const struct notify_channel *channel, const char *verdict, struct pn_str reason, struct arena *arena)
{
    static struct log_limit limit;
    if (!log_allow(&limit, 60))
        return;
    const char *text = reason.data ? arena_strndup(arena, reason.data, reason.len) : "";
    log_warn("notification refused", LOG_S("channel", channel->name), LOG_S("verdict", verdict), LOG_S("reason", text));
}

/* After request_suspend the request may be answered by its deadline at any moment; it stays alive by our references. */
static void settle(struct http_request *request, const struct notify_channel *channel, const struct pn_result *result)
{
    struct error err = { 0 };
    if (!request_suspend(request, DEADLINE_NOTIFY))
        return;
    request_ref(request);
    enum rc rc = pay_settle(request->server->options.pay, channel->name, "notification", result, settled, request, &err);
    if (rc == RC_OK)
        return;
    static struct log_limit limit;
    if (log_allow(&limit, 60))
        log_warn("notification not settled", LOG_S("channel", channel->name), LOG_S("error", rc_name(rc)));
    refuse(request);
    request_unref(request);
}

/* Worker's thread, after the provider was asked, or ours when it is not. */
static void hint_followed(void *arg, bool answered)
{
    struct http_request *request = arg;
    if (request_claim(request))
        answer(request, answered, request->arena);
    request_unref(request);
}

/* Nothing of it is believed; the provider of the message is answered when the books are as they should be. */
static void follow_hint(struct http_request *request, const struct notify_channel *channel, const struct pn_notification *judged)
{
    const struct pn_str *refund_no = &judged->refund_no;
    const char *pay_no = arena_strndup(request->arena, judged->pay_no.data, judged->pay_no.len);
    const char *refund = refund_no->data ? arena_strndup(request->arena, refund_no->data, refund_no->len) : NULL;
    if (!request_suspend(request, DEADLINE_NOTIFY))
        return;
    request_ref(request);
    pay_hint(request->server->options.pay, channel->name, pay_no, refund, HINT_NOTICE, hint_followed, request);
}

void notify_take(struct http_request *request)
{
    const struct notify_channel *channel = incoming_channel(request->server, request->id);
    if (!channel) {
        http_problem(request, &(struct problem){ .type = PROBLEM_NOT_FOUND, .detail = "No channel of this name is configured." });
        return;
    }
    struct notify_work *work = read_work(request, channel);
    if (!work) {
        http_problem(request, &(struct problem){ .type = PROBLEM_OVERLOADED });
        return;
    }
    request->work = work;
    struct pn_call call;
    struct pn_notification judged = { .size = sizeof judged };
    call_begin(&call, request->arena, channel->name);
    int rc = channel_notification(channel->channel, &call, work->incoming, &judged);
    if (rc == PN_OK && judged.verdict == PN_AUTHENTIC) {
        metric_add(channel->authentic, 1);
        settle(request, channel, judged.result);
        return;
    }
    if (rc == PN_OK && judged.verdict == PN_HINT) {
        metric_add(channel->hint, 1);
        follow_hint(request, channel, &judged);
        return;
    }
    if (rc != PN_OK) {
        metric_add(channel->failed, 1);
        log_refused(channel, "failed", str(call.err.text), request->arena);
    } else {
        metric_add(channel->refused, 1);
        log_refused(channel, "refused", judged.reason, request->arena);
    }
    refuse(request);
}
