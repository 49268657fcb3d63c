/*
 * Filling in struct error. Called by every layer, from any thread; nothing here is shared.
 */
#include "base/error.h"

#include <stdio.h>
#include <string.h>

/* Control characters would break the promise of one line. */
static void flatten(char *text)
{
    for (; *text; text++)
        if ((unsigned char) *text < 0x20 || *text == 0x7f)
            *text = ' ';
}

static void __attribute__((format(printf, 4, 0))) record(struct error *err, enum rc rc, const char *field, const char *format,
                                                         va_list args)
{
    if (!err)
        return;
    char text[sizeof err->text];
    /* Formatted aside first: an argument may point into err itself. */
    vsnprintf(text, sizeof text, format, args);
    flatten(text);
    char name[sizeof err->field];
    snprintf(name, sizeof name, "%s", field ? field : "");
    flatten(name);
    err->rc = rc;
    memcpy(err->text, text, sizeof text);
    memcpy(err->field, name, sizeof name);
}

enum rc error_set(struct error *err, enum rc rc, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    record(err, rc, NULL, format, args);
    va_end(args);
    return rc;
}

enum rc error_field(struct error *err, enum rc rc, const char *field, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    record(err, rc, field, format, args);
    va_end(args);
    return rc;
}

void error_prefix(struct error *err, const char *format, ...)
{
    if (!err)
        return;
    char text[sizeof err->text];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    size_t used = strlen(text), room = sizeof text - 1 - used, n = strnlen(err->text, sizeof err->text);
    if (room > 2) { /* cut at the end when it is too long */
        memcpy(text + used, ": ", 2);
        n = n < room - 2 ? n : room - 2;
        memcpy(text + used + 2, err->text, n);
        text[used + 2 + n] = 0;
    }
    flatten(text);
    memcpy(err->text, text, sizeof text);
}

const char *rc_name(enum rc rc)
{
    switch (rc) {
    case RC_OK: return "ok";
    case RC_BAD_INPUT: return "bad_input";
    case RC_NOT_FOUND: return "not_found";
    case RC_CONFLICT: return "conflict";
    case RC_EXISTS: return "exists";
    case RC_FULL: return "full";
    case RC_TIMEOUT: return "timeout";
    case RC_UNAVAILABLE: return "unavailable";
    case RC_UNKNOWN: return "unknown";
    case RC_RETRY: return "retry";
    case RC_DATA: return "data";
    case RC_DECLINED: return "declined";
    case RC_NOMEM: return "no_memory";
    case RC_CONFIG: return "config";
    case RC_INTERNAL: return "internal";
    }
    return "internal";
}
