/*
 * Routing keys with fields of the event: "pay.{app}.{event_type}". Compiled once at open, rendered per message without
 * allocating.
 */
#ifndef PAYNOTIFY_RABBITMQ_TEMPLATE_H
#define PAYNOTIFY_RABBITMQ_TEMPLATE_H

#include "fault.h"

#include <paynotify/plugin.h>
#include <stdbool.h>

#define TEMPLATE_MAX 255 /* AMQP's short string, which bounds a routing key */
#define TEMPLATE_SEGMENTS 32

struct template_segment {
    struct pn_str literal; /* points into the setting; absent: a field */
    size_t field;          /* offset of a struct pn_str in struct pn_event */
};

struct template
{
    struct template_segment segments[TEMPLATE_SEGMENTS];
    size_t count;
    bool constant; /* no fields */
};

/* 0, or -1 with `fault` naming the setting `name`. The template points into `text`. */
int template_compile(struct pn_str text, const char *name, struct template *ret_template, struct fault *fault);

/* The length, or -1 when the key would be longer than TEMPLATE_MAX. */
int template_render(const struct template *template, const struct pn_event *event, char ret_key[TEMPLATE_MAX]);

#endif
