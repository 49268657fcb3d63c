/*
 * Routing key templates. Compiled from open, rendered from submit, on the sink's thread.
 */
#include "template.h"

#include <string.h>

static const struct {
    const char *name;
    size_t offset;
} fields[] = {
    { "event_type", offsetof(struct pn_event, type) },
    { "event_id", offsetof(struct pn_event, id) },
    { "app", offsetof(struct pn_event, app) },
    { "order_type", offsetof(struct pn_event, order_type) },
    { "order_id", offsetof(struct pn_event, order_id) },
    { "out_business_id", offsetof(struct pn_event, out_business_id) },
    { "pay_no", offsetof(struct pn_event, pay_no) },
    { "channel", offsetof(struct pn_event, channel) },
};

static bool find_field(const char *name, size_t length, size_t *ret_offset)
{
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (strlen(fields[i].name) == length && !memcmp(fields[i].name, name, length)) {
            *ret_offset = fields[i].offset;
            return true;
        }
    return false;
}

/* Takes the segment that begins at `*at`, a literal or a {field}, and moves `*at` behind it. */
static int next_segment(const char **at, const char *end, const char *setting, struct template_segment *ret_segment,
                        struct fault *fault)
{
    const char *from = *at, *to;
    if (*from != '{') {
        for (to = from; to < end && *to != '{'; to++)
            if (*to == '}')
                return fault_set(fault, setting, "a '}' without its '{'");
        *ret_segment = (struct template_segment){ .literal = { from, (size_t) (to - from) } };
        *at = to;
        return 0;
    }
    to = memchr(from, '}', (size_t) (end - from));
    if (!to)
        return fault_set(fault, setting, "a '{' without its '}'");
    if (!find_field(from + 1, (size_t) (to - from) - 1, &ret_segment->field))
        return fault_set(fault, setting,
                         "\"%.*s\" is no field; there are {event_type}, {event_id}, {app}, {order_type}, {order_id}, "
                         "{out_business_id}, {pay_no} and {channel}",
                         (int) (to - from > 40 ? 40 : to - from + 1), from);
    ret_segment->literal = (struct pn_str){ NULL, 0 };
    *at = to + 1;
    return 0;
}

int template_compile(struct pn_str text, const char *name, struct template *ret_template, struct fault *fault)
{
    struct template made = { .constant = true };
    size_t literals = 0;
    if (text.len > 0) {
        const char *at = text.data, *end = text.data + text.len;
        while (at < end) {
            if (made.count == TEMPLATE_SEGMENTS)
                return fault_set(fault, name, "too many fields");
            struct template_segment *segment = &made.segments[made.count++];
            if (next_segment(&at, end, name, segment, fault))
                return -1;
            literals += segment->literal.len;
            if (!segment->literal.data)
                made.constant = false;
        }
    }
    if (literals > TEMPLATE_MAX)
        return fault_set(fault, name, "longer than %d bytes", TEMPLATE_MAX);
    *ret_template = made;
    return 0;
}

int template_render(const struct template *template, const struct pn_event *event, char ret_key[TEMPLATE_MAX])
{
    size_t length = 0;
    for (size_t i = 0; i < template->count; i++) {
        struct pn_str part = template->segments[i].literal;
        if (!part.data)
            memcpy(&part, (const char *) event + template->segments[i].field, sizeof part);
        if (part.len > TEMPLATE_MAX - length)
            return -1;
        if (part.len > 0)
            memcpy(ret_key + length, part.data, part.len);
        length += part.len;
    }
    return (int) length;
}
