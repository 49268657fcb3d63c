/*
 * What events look like on the wire: the body that each format makes of an event's canonical JSON. Called by the relay
 * threads, once per event and format. Pure functions.
 */
#ifndef PN_OUTBOX_FORMATS_H
#define PN_OUTBOX_FORMATS_H

#include <paynotify/plugin.h>

#include "base/error.h"
#include "config/config.h"
#include "store/store.h"

/* Both formats of today only ever carry payment.succeeded: their consumers take every message as "paid". */
bool format_carries(enum event_format format, const char *event_type);

/* One allocation that holds the finished event: everything but the attempt. Free it with free. RC_DATA when the event
 * cannot be read, RC_NOMEM. `scratch` is the caller's, to be used again and again. */
enum rc format_render(enum event_format format, const struct event *event, struct buf *scratch, struct pn_event **ret_event);

#endif
