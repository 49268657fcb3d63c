/*
 * What a plugin returned, before anything else of the server sees it: sizes, counts, UTF-8 without NUL where a text goes
 * to the store, exactly one of next and done. Informative texts are mended, identities are refused. Called by channel.c
 * from any thread.
 */
#include <string.h>

#include "base/text.h"
#include "plugin/internal.h"

enum {
    URLS_MAX = 8, HEADERS_MAX = 64, FIELDS_MAX = 256, MERCHANT_MAX = 16,
    IDENTITY_MAX = 128, FIELD_NAME_MAX = 128, FIELD_VALUE_MAX = 16384, MESSAGE_MAX = 1024,
    URL_MAX = 8192, BODY_MAX = 1 << 20, CERTIFICATE_MAX = 1 << 16, MEMORY_MAX = 1 << 18, HTTP_TIMEOUT_MAX_MS = 300000
};

static const void *refuse(struct pn_call *call, const char *what)
{
    error_set(&call->err, RC_INTERNAL, "the plugin returned %s", what);
    return NULL;
}

/* A copy of ours, zero where the plugin is older than we are. */
static void *copy_struct(struct pn_call *call, const void *theirs, size_t theirs_size, size_t ours_size)
{
    void *copy = arena_alloc(call->arena, ours_size);
    if (copy)
        memcpy(copy, theirs, theirs_size < ours_size ? theirs_size : ours_size);
    return copy;
}

static bool sound(struct pn_str text)
{
    return text.data || !text.len;
}

static bool identity(struct pn_str text)
{
    return sound(text) && text.len <= IDENTITY_MAX && text_is_utf8(text.data, text.len);
}

static bool printable(struct pn_str text, size_t max)
{
    if (!sound(text) || text.len > max)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char) text.data[i] < 0x20 || text.data[i] == 0x7f)
            return false;
    return true;
}

static bool begins_with(struct pn_str text, const char *prefix)
{
    size_t length = strlen(prefix);
    return text.len > length && memcmp(text.data, prefix, length) == 0;
}

static bool http_url(struct pn_str url)
{
    return printable(url, URL_MAX) && (begins_with(url, "https://") || begins_with(url, "http://")) &&
           !memchr(url.data, ' ', url.len) && text_is_utf8(url.data, url.len);
}

/* ---- requests */

static bool header_name(struct pn_str name)
{
    for (size_t i = 0; i < name.len; i++)
        if ((unsigned char) name.data[i] <= ' ' || (unsigned char) name.data[i] >= 0x7f || name.data[i] == ':')
            return false;
    return name.data && name.len && name.len <= FIELD_NAME_MAX;
}

static bool headers_fit(struct pn_kv_list headers)
{
    if (headers.count > HEADERS_MAX || (headers.count && !headers.items))
        return false;
    for (size_t i = 0; i < headers.count; i++)
        if (!header_name(headers.items[i].name) || !printable(headers.items[i].value, URL_MAX))
            return false;
    return true;
}

static bool method_fits(struct pn_str method)
{
    for (size_t i = 0; i < method.len; i++)
        if (method.data[i] < 'A' || method.data[i] > 'Z')
            return false;
    return method.data && method.len && method.len <= 16;
}

static bool certificate_fits(struct pn_str certificate, struct pn_str key)
{
    return sound(certificate) && sound(key) && !certificate.len == !key.len && certificate.len <= CERTIFICATE_MAX &&
           key.len <= CERTIFICATE_MAX;
}

const struct pn_http_request *check_request(struct pn_call *call, const struct pn_http_request *request)
{
    if (request->size < sizeof *request)
        return refuse(call, "a request of the wrong size");
    struct pn_http_request *copy = copy_struct(call, request, request->size, sizeof *copy);
    if (!copy)
        return refuse(call, "more than its memory limit");
    if (!method_fits(copy->method))
        return refuse(call, "a request with a broken method");
    if (copy->urls.count < 1 || copy->urls.count > URLS_MAX || !copy->urls.items)
        return refuse(call, "a request with no URL or too many");
    for (size_t i = 0; i < copy->urls.count; i++)
        if (!http_url(copy->urls.items[i]))
            return refuse(call, "a request with a broken URL");
    if (!headers_fit(copy->headers))
        return refuse(call, "a request with broken headers");
    if (!sound(copy->body) || copy->body.len > BODY_MAX)
        return refuse(call, "a request with a body over 1 MiB");
    if (copy->timeout_ms < 0 || copy->timeout_ms > HTTP_TIMEOUT_MAX_MS)
        return refuse(call, "a request with a broken time-out");
    if (!certificate_fits(copy->client_certificate, copy->client_key))
        return refuse(call, "a request with half a client certificate");
    return copy;
}

/* ---- results */

/* The list, or a mended copy of it. count > max or without memory: false. */
static bool mend_fields(struct arena *arena, struct pn_kv_list *list, size_t max)
{
    if (list->count > max || (list->count && !list->items))
        return false;
    struct pn_kv *copy = NULL;
    for (size_t i = 0; i < list->count; i++) {
        struct pn_kv mended = { text_mended(arena, list->items[i].name, FIELD_NAME_MAX),
                                text_mended(arena, list->items[i].value, FIELD_VALUE_MAX) };
        if (!copy && mended.name.data == list->items[i].name.data && mended.value.data == list->items[i].value.data)
            continue;
        if (!copy && !(copy = arena_dup(arena, list->items, list->count * sizeof *copy)))
            return false;
        copy[i] = mended;
    }
    if (copy)
        list->items = copy;
    return true;
}

static bool merchant_fits(struct pn_kv_list merchant)
{
    if (merchant.count > MERCHANT_MAX || (merchant.count && !merchant.items))
        return false;
    for (size_t i = 0; i < merchant.count; i++)
        if (!header_name(merchant.items[i].name) || !identity(merchant.items[i].value))
            return false;
    return true;
}

static bool prepay_fits(const struct pn_result *result)
{
    switch (result->prepay_kind) {
    case PN_PREPAY_NONE: return true;
    case PN_PREPAY_FORM: return http_url(result->url);
    case PN_PREPAY_REDIRECT: /* http or an app's own scheme; a "javascript:" has no "//" */
        return printable(result->url, URL_MAX) && result->url.len && text_is_utf8(result->url.data, result->url.len) &&
               memmem(result->url.data, result->url.len, "://", 3);
    case PN_PREPAY_CODE_URL: return printable(result->url, 2048) && result->url.len && text_is_utf8(result->url.data, result->url.len);
    case PN_PREPAY_APP_PARAMS: return result->prepay_fields.count > 0;
    default: return false;
    }
}

const struct pn_result *check_result(struct pn_call *call, const struct pn_result *result)
{
    if (result->size < sizeof *result)
        return refuse(call, "a result of the wrong size");
    struct pn_result *copy = copy_struct(call, result, result->size, sizeof *copy);
    if (!copy)
        return refuse(call, "more than its memory limit");
    if (copy->state > PN_STATE_PROCESSING)
        return refuse(call, "a state that does not exist");
    if (!identity(copy->pay_no) || !identity(copy->refund_no) || !identity(copy->currency) || !identity(copy->trade_no))
        return refuse(call, "a number that is no text or is too long");
    if (copy->total_minor < PN_NOT_STATED || copy->refunded_minor < PN_NOT_STATED || copy->paid_at_ms < 0)
        return refuse(call, "a negative amount or time");
    if (!merchant_fits(copy->merchant))
        return refuse(call, "a broken merchant identity");
    if (!sound(copy->payer) || !sound(copy->code) || !sound(copy->message) || !sound(copy->memory) || copy->memory.len > MEMORY_MAX)
        return refuse(call, "a broken text");
    copy->payer = text_mended(call->arena, copy->payer, IDENTITY_MAX);
    copy->code = text_mended(call->arena, copy->code, IDENTITY_MAX);
    copy->message = text_mended(call->arena, copy->message, MESSAGE_MAX);
    if (!mend_fields(call->arena, &copy->fields, FIELDS_MAX) || !mend_fields(call->arena, &copy->prepay_fields, FIELDS_MAX))
        return refuse(call, "too many fields");
    if (!prepay_fits(copy))
        return refuse(call, "a broken way to pay");
    return copy;
}

bool check_step(struct pn_call *call, struct pn_step *step)
{
    if (!step->next == !step->done)
        return refuse(call, step->next ? "both a request and a result" : "neither a request nor a result");
    if (step->next)
        return (step->next = check_request(call, step->next));
    return (step->done = check_result(call, step->done));
}

bool check_notification(struct pn_call *call, struct pn_notification *notification)
{
    if (!sound(notification->reason) || !identity(notification->pay_no) || !identity(notification->refund_no))
        return refuse(call, "a broken notification");
    notification->reason = text_mended(call->arena, notification->reason, MESSAGE_MAX);
    switch (notification->verdict) {
    case PN_AUTHENTIC:
        if (!notification->result)
            return refuse(call, "an authentic notification without a result");
        notification->result = check_result(call, notification->result);
        if (notification->result && !notification->result->pay_no.len)
            return refuse(call, "an authentic notification without a pay_no");
        return notification->result;
    case PN_HINT: return notification->pay_no.len || refuse(call, "a hint without a pay_no");
    case PN_REFUSED: return true;
    default: return refuse(call, "a verdict that does not exist");
    }
}

bool check_reply(const struct pn_reply *reply)
{
    return reply->status >= 100 && reply->status <= 599 && printable(reply->content_type, FIELD_NAME_MAX) && sound(reply->body) &&
           reply->body.len <= 65536;
}
