/*
 * What the server offers to plugins: struct pn_host, constant for each instance, and the call context that lives on the
 * caller's stack. The functions here are called by plugins, from any thread.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/text.h"
#include "plugin/internal.h"

enum { LOG_LINES_PER_MINUTE = 600, LOG_TEXT_MAX = 1000 };

enum rc rc_of_plugin(int rc)
{
    switch (rc) {
    case PN_OK: return RC_OK;
    case PN_BAD_INPUT:
    case PN_NOT_AUTHENTIC: return RC_BAD_INPUT;
    case PN_BAD_CONFIG: return RC_CONFIG;
    case PN_DECLINED: return RC_DECLINED;
    case PN_NOT_DONE: return RC_UNAVAILABLE;
    case PN_UNKNOWN: return RC_UNKNOWN;
    default: return RC_INTERNAL;
    }
}

struct pn_str text_mended(struct arena *arena, struct pn_str text, size_t max)
{
    static const char replacement[] = "\xef\xbf\xbd";
    if (!text.data)
        return (struct pn_str){ 0 };
    if (text.len <= max && text_is_utf8(text.data, text.len))
        return text;
    char *mended = arena_alloc(arena, max + 4);
    size_t used = 0;
    for (size_t i = 0; mended && i < text.len;) {
        size_t n = text_utf8_length(text.data + i, text.len - i);
        const char *from = n ? text.data + i : replacement;
        size_t take = n ? n : sizeof replacement - 1;
        if (used + take > max)
            break;
        memcpy(mended + used, from, take);
        used += take;
        i += n ? n : 1;
    }
    return (struct pn_str){ mended, mended ? used : 0 };
}

static void *host_alloc(struct pn_call *call, size_t size)
{
    return arena_alloc(call->arena, size);
}

static int host_fail(struct pn_call *call, int rc, const char *field, const char *text)
{
    if (rc >= PN_OK || rc < PN_INTERNAL)
        rc = PN_INTERNAL;
    if (!call)
        return rc;
    struct pn_str line = text_mended(call->arena, (struct pn_str){ text, text ? strlen(text) : 0 }, sizeof call->err.text - 1);
    error_field(&call->err, rc_of_plugin(rc), field ? field : "", "%.*s", (int) line.len, line.data ? line.data : "");
    return rc;
}

static void host_log(const struct pn_host *host, struct pn_call *call, int level, const char *text)
{
    struct instance *instance = host->owner;
    (void) call;
    if (level < PN_LOG_ERROR || level > PN_LOG_DEBUG)
        level = PN_LOG_NOTICE;
    if (!log_enabled((enum log_level) level) || !log_allow(&instance->limit, LOG_LINES_PER_MINUTE))
        return;
    char line[LOG_TEXT_MAX + 1] = "";
    strncat(line, text ? text : "", LOG_TEXT_MAX);
    log_at((enum log_level) level, line, LOG_S("plugin", instance->name));
}

static int64_t host_now_ms(struct pn_call *call)
{
    return call->now_ms;
}

static void host_random(struct pn_call *call, void *ret_bytes, size_t count)
{
    char *bytes = ret_bytes;
    (void) call;
    while (count) {
        ssize_t n = getrandom(bytes, count, 0);
        if (n < 0 && errno != EINTR)
            abort(); /* predictable "random" bytes would be worse */
        if (n > 0) {
            bytes += n;
            count -= (size_t) n;
        }
    }
}

static void host_settle(const struct pn_host *host, uint64_t ticket, int outcome, const char *reason)
{
    struct instance *instance = host->owner;
    if (!instance->settled)
        return;
    if (outcome < PN_DELIVERED || outcome > PN_UNAVAILABLE)
        outcome = PN_RETRY;
    instance->settled(instance->settled_arg, ticket, (enum pn_outcome) outcome, reason ? reason : "");
}

void instance_init(struct instance *instance, const char *name)
{
    instance->name = name;
    instance->host = (struct pn_host){
        .size = sizeof instance->host,
        .abi_major = PN_ABI_MAJOR,
        .abi_minor = PN_ABI_MINOR,
        .alloc = host_alloc,
        .fail = host_fail,
        .log = host_log,
        .now_ms = host_now_ms,
        .random = host_random,
        .settle = host_settle,
        .owner = instance,
    };
}

void call_begin(struct pn_call *ret_call, struct arena *arena, const char *instance)
{
    ret_call->arena = arena;
    ret_call->instance = instance;
    ret_call->now_ms = wall_ms();
    ret_call->err.rc = RC_OK;
    ret_call->err.field[0] = 0;
    ret_call->err.text[0] = 0;
}
