/*
 * An event in memory on its way to the sinks: one copy, counted references, shared by all sinks that want it, with what
 * each format made of it. Any thread.
 */
#ifndef PN_OUTBOX_PAYLOAD_H
#define PN_OUTBOX_PAYLOAD_H

#include <stdatomic.h>

#include "outbox/formats.h"

enum { FORMAT_COUNT = 2 };

struct payload {
    _Atomic unsigned refs;
    _Atomic(struct pn_event *) rendered[FORMAT_COUNT];
    struct event event; /* its texts stand behind the struct */
};

/* Copies the event; one reference. NULL without memory. */
struct payload *payload_new(const struct event *event);
struct payload *payload_ref(struct payload *payload);
void payload_unref(struct payload *payload);

/* How much memory the event will take, more or less. */
size_t payload_bytes(const struct event *event);

/* The finished event in `format`, made on the first call; lives as long as the payload. Fails as format_render does. */
enum rc payload_render(struct payload *payload, enum event_format format, struct buf *scratch, const struct pn_event **ret_event);

#endif
