/*
 * The payloads of payload.h. Made by whoever committed or claimed an event, used and released by the relay threads.
 */
#include "outbox/payload.h"

#include <stdlib.h>
#include <string.h>

enum { RENDERED_BYTES = 900 }; /* what a format usually makes of an event, for the accounts */

static size_t text_size(const char *text)
{
    return text ? strlen(text) + 1 : 0;
}

static size_t texts_size(const struct event *event)
{
    return text_size(event->type) + text_size(event->app) + text_size(event->order_type) + text_size(event->data);
}

size_t payload_bytes(const struct event *event)
{
    return sizeof(struct payload) + texts_size(event) + RENDERED_BYTES;
}

static const char *put(char **at, const char *text)
{
    if (!text)
        return NULL;
    size_t n = strlen(text) + 1;
    const char *copy = memcpy(*at, text, n);
    *at += n;
    return copy;
}

struct payload *payload_new(const struct event *event)
{
    struct payload *payload = malloc(sizeof *payload + texts_size(event));
    if (!payload)
        return NULL;
    *payload = (struct payload){ .refs = 1 };
    char *at = (char *)(payload + 1);
    payload->event = (struct event){
        .event_id = event->event_id,
        .type = put(&at, event->type),
        .app = put(&at, event->app),
        .order_type = put(&at, event->order_type),
        .order_id = event->order_id,
        .pay_no = event->pay_no,
        .created_at = event->created_at,
        .data = put(&at, event->data),
    };
    return payload;
}

struct payload *payload_ref(struct payload *payload)
{
    atomic_fetch_add_explicit(&payload->refs, 1, memory_order_relaxed);
    return payload;
}

void payload_unref(struct payload *payload)
{
    if (atomic_fetch_sub_explicit(&payload->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (int i = 0; i < FORMAT_COUNT; i++)
        free(payload->rendered[i]);
    free(payload);
}

enum rc payload_render(struct payload *payload, enum event_format format, struct buf *scratch, const struct pn_event **ret_event)
{
    struct pn_event *event = payload->rendered[format], *made;
    if (!event) {
        enum rc rc = format_render(format, &payload->event, scratch, &made);
        if (rc)
            return rc;
        /* two sinks of one format may get here at once: the first one's stays */
        if (atomic_compare_exchange_strong(&payload->rendered[format], &event, made))
            event = made;
        else
            free(made);
    }
    *ret_event = event;
    return RC_OK;
}
