/*
 * A channel for tests of the loader, the settings and the calls: one option of each type, and answers that show what
 * came in. Test-only; never installed.
 */
#include <paynotify/plugin.h>
#include <stdlib.h>
#include <string.h>

struct settings {
    struct pn_str app_id, gateway, mode, key;
    struct pn_list tags;
    int64_t limit, quick, wait_ms;
};

static const struct pn_option options[] = {
    { "app_id", PN_OPT_STRING, PN_OPT_REQUIRED, offsetof(struct settings, app_id), NULL, NULL, 0, 0, "the merchant's number" },
    { "key", PN_OPT_BYTES, PN_OPT_SECRET, offsetof(struct settings, key), NULL, NULL, 0, 0, "signs requests" },
    { "gateway", PN_OPT_URL, 0, offsetof(struct settings, gateway), "https://gateway.example/", "http|https", 0, 0, "the provider" },
    { "mode", PN_OPT_ENUM, 0, offsetof(struct settings, mode), "plain", "plain|fancy", 0, 0, "how" },
    { "tags", PN_OPT_LIST, 0, offsetof(struct settings, tags), NULL, NULL, 0, 0, "any words" },
    { "limit", PN_OPT_INTEGER, 0, offsetof(struct settings, limit), "5", NULL, 1, 10, "at most this" },
    { "quick", PN_OPT_BOOLEAN, 0, offsetof(struct settings, quick), "no", NULL, 0, 0, "whether to hurry" },
    { "wait", PN_OPT_DURATION, 0, offsetof(struct settings, wait_ms), "250ms", NULL, 0, 60000, "how long to wait" },
};

static const struct pn_product page = { sizeof page, PN_PREPAY_REDIRECT, "page", "网页支付", "Web page", NULL, "CNY|USD" };
static const struct pn_product code = { sizeof code, PN_PREPAY_CODE_URL, "code", "扫码支付", "QR code", "client_ip", "CNY" };
static const struct pn_product *const products[] = { &page, &code, NULL };

struct state {
    const struct pn_host *host;
    const struct settings *settings;
};

static struct pn_str text(const char *chars)
{
    struct pn_str str = { chars, strlen(chars) };
    return str;
}

static int channel_open(const void *settings, const struct pn_host *host, struct pn_call *call, void **ret_state)
{
    const struct settings *given = settings;
    struct state *state;
    if (given->app_id.len == 3 && memcmp(given->app_id.data, "bad", 3) == 0)
        return host->fail(call, PN_BAD_CONFIG, "app_id", "the merchant's number is bad");
    state = malloc(sizeof *state);
    if (!state)
        return PN_INTERNAL;
    state->host = host;
    state->settings = given;
    *ret_state = state;
    return PN_OK;
}

static void channel_close(void *state)
{
    free(state);
}

/* QUERY asks the gateway; everything else is finished at once. REFUND is declined. */
static int request(const void *opened, struct pn_call *call, const struct pn_payment *payment, struct pn_step *ret_step)
{
    const struct state *state = opened;
    struct pn_http_request *next;
    struct pn_result *done;
    if (payment->operation == PN_REFUND)
        return state->host->fail(call, PN_DECLINED, "NO_MONEY", "the provider declines");
    if (payment->operation == PN_QUERY) {
        next = state->host->alloc(call, sizeof *next);
        next->size = sizeof *next;
        next->method = text("GET");
        next->urls.items = &state->settings->gateway;
        next->urls.count = 1;
        ret_step->next = next;
        return PN_OK;
    }
    done = state->host->alloc(call, sizeof *done);
    done->size = sizeof *done;
    done->pay_no = payment->pay_no;
    done->total_minor = done->refunded_minor = PN_NOT_STATED;
    if (payment->operation == PN_PREPAY) {
        done->prepay_kind = PN_PREPAY_REDIRECT;
        done->url = state->settings->gateway;
    }
    ret_step->done = done;
    return PN_OK;
}

/* The answer's body is the trade number. */
static int response(const void *opened, struct pn_call *call, const struct pn_payment *payment, uint32_t round,
                    const struct pn_http_response *answer, struct pn_step *ret_step)
{
    const struct state *state = opened;
    struct pn_result *done = state->host->alloc(call, sizeof *done);
    (void) round;
    done->size = sizeof *done;
    done->state = PN_STATE_PAID;
    done->pay_no = payment->pay_no;
    done->trade_no = answer->body;
    done->total_minor = payment->amount_minor;
    done->refunded_minor = PN_NOT_STATED;
    ret_step->done = done;
    return PN_OK;
}

/* The body is the pay_no of something paid; an empty one is refused. */
static int notification(const void *opened, struct pn_call *call, const struct pn_http_incoming *incoming,
                        struct pn_notification *ret_notification)
{
    const struct state *state = opened;
    struct pn_result *result;
    if (!incoming->body.len) {
        ret_notification->verdict = PN_REFUSED;
        ret_notification->reason = text("empty");
        return PN_OK;
    }
    result = state->host->alloc(call, sizeof *result);
    result->size = sizeof *result;
    result->state = PN_STATE_PAID;
    result->pay_no = incoming->body;
    result->total_minor = result->refunded_minor = PN_NOT_STATED;
    result->paid_at_ms = state->host->now_ms(call);
    ret_notification->verdict = PN_AUTHENTIC;
    ret_notification->result = result;
    return PN_OK;
}

static int reply(const void *state, struct pn_call *call, const struct pn_http_incoming *incoming, int accepted,
                 struct pn_reply *ret_reply)
{
    (void) state;
    (void) call;
    (void) incoming;
    ret_reply->status = 200;
    ret_reply->content_type = text("text/plain");
    ret_reply->body = text(accepted ? "success" : "failure");
    return PN_OK;
}

static const struct pn_channel channel = {
    .size = sizeof channel,
    .products = products,
    .open = channel_open,
    .close = channel_close,
    .request = request,
    .response = response,
    .notification = notification,
    .reply = reply,
};

const struct pn_plugin pn_plugin = {
    PN_PLUGIN_HEAD(PN_KIND_CHANNEL, struct settings, "good-channel", "1.0"),
    .summary = "a channel for tests",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .channel = &channel,
};
