/*
 * From an event to the three frames of a message. Called by sink_submit, on the sink's thread, for every message:
 * nothing is allocated here once the buffer has grown to its size.
 */
#include "sink.h"

/* AMQP's short strings end at 255 bytes. Nothing that the host makes is near that; a foreign value might be. */
static int too_long(const struct pn_event *event, struct fault *fault)
{
    const struct {
        const char *name;
        const struct pn_str *value;
    } texts[] = { { "event id", &event->id },
                  { "event type", &event->type },
                  { "content type", &event->content_type },
                  { "content encoding", &event->content_encoding },
                  { "app", &event->app },
                  { "order type", &event->order_type } };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i].value->len > TEMPLATE_MAX) {
            fault_set(fault, NULL, "the %s is longer than %d bytes", texts[i].name, TEMPLATE_MAX);
            return 1;
        }
    return 0;
}

static void add_text(amqp_table_t *headers, const char *key, struct pn_str value)
{
    if (value.len > 0)
        headers->entries[headers->num_entries++] =
            (amqp_table_entry_t){ .key = amqp_cstring_bytes(key),
                                  .value = { .kind = AMQP_FIELD_KIND_UTF8, .value.bytes = wire_bytes(value) } };
}

static void fill_headers(amqp_table_t *headers, const struct pn_event *event)
{
    add_text(headers, "app", event->app);
    add_text(headers, "order_type", event->order_type);
    if (event->attempt > 1) /* a consumer may want to know that this may be a repeat */
        headers->entries[headers->num_entries++] =
            (amqp_table_entry_t){ .key = amqp_cstring_bytes("attempt"),
                                  .value = { .kind = AMQP_FIELD_KIND_I32, .value.i32 = (int32_t) event->attempt } };
}

static void fill_properties(amqp_basic_properties_t *properties, const struct pn_event *event)
{
    enum { PERSISTENT = 2 };
    fill_headers(&properties->headers, event);
    properties->_flags = AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_MESSAGE_ID_FLAG | AMQP_BASIC_TIMESTAMP_FLAG |
                         AMQP_BASIC_TYPE_FLAG | AMQP_BASIC_APP_ID_FLAG;
    if (properties->headers.num_entries > 0)
        properties->_flags |= AMQP_BASIC_HEADERS_FLAG;
    if (event->content_type.len > 0)
        properties->_flags |= AMQP_BASIC_CONTENT_TYPE_FLAG;
    if (event->content_encoding.len > 0)
        properties->_flags |= AMQP_BASIC_CONTENT_ENCODING_FLAG;
    properties->content_type = wire_bytes(event->content_type);
    properties->content_encoding = wire_bytes(event->content_encoding);
    properties->delivery_mode = PERSISTENT;
    properties->message_id = wire_bytes(event->id);
    properties->timestamp = (uint64_t) (event->created_at_ms / 1000);
    properties->type = wire_bytes(event->type);
    properties->app_id = (amqp_bytes_t){ sizeof "paynotify" - 1, "paynotify" };
}

int publish(struct sink *sink, const struct pn_event *event, struct fault *fault)
{
    char key[TEMPLATE_MAX];
    amqp_table_entry_t entries[3];
    struct wire_message message = { .properties.headers.entries = entries, .body = event->body };
    int key_length = template_render(&sink->routing_key, event, key);
    if (key_length < 0) {
        fault_set(fault, NULL, "the routing key is longer than %d bytes", TEMPLATE_MAX);
        return 1;
    }
    if (too_long(event, fault))
        return 1;
    message.publish = (amqp_basic_publish_t){ .exchange = wire_bytes(sink->settings->exchange),
                                              .routing_key = { (size_t) key_length, key },
                                              .mandatory = sink->settings->mandatory != 0 };
    fill_properties(&message.properties, event);
    return wire_put_message(&sink->out, &message, sink->frame_max);
}
