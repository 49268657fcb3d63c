/*
 * Making events: the canonical JSON that every format is made from, and its place behind the order's last event. Called
 * by the committer for settlements and by workers for what API calls cause.
 */
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/ids.h"
#include "base/money.h"
#include "pay/internal.h"

/* Keys come with their punctuation: this runs once per payment, and formatting is what it would spend its time on. */
static void add_text(struct buf *buf, const char *key, const char *text)
{
    if (!text)
        return;
    buf_adds(buf, key);
    buf_add_json(buf, text);
}

static void add_id(struct buf *buf, const char *key, int64_t id)
{
    char text[ID_TEXT_MAX];
    if (id)
        add_text(buf, key, id_format(id, text));
}

static void add_time(struct buf *buf, const char *key, int64_t ms)
{
    char text[CLOCK_TEXT_MAX];
    if (ms)
        add_text(buf, key, clock_format(ms, text));
}

static void add_money(struct buf *buf, const char *key, int64_t minor, const char *currency)
{
    char text[MONEY_TEXT_MAX];
    add_text(buf, key, money_format(minor, currency, text));
}

static void add_number(struct buf *buf, const char *key, int64_t number)
{
    buf_adds(buf, key);
    buf_add_i64(buf, number);
}

static void add_raw(struct buf *buf, const char *key, const char *json)
{
    if (!json)
        return;
    buf_adds(buf, key);
    buf_adds(buf, json);
}

/* The canonical JSON of an event about `order` and, when not NULL, `record` and `refund`, as they are after it happened. `provider`
 * is the JSON of the provider's fields or NULL. Text from the arena; NULL without memory. */
static const char *event_data(int64_t event_id, const char *type, int64_t time_ms, const struct order *order,
                              const struct pay_record *record, const struct refund *refund, const char *provider,
                              struct arena *arena)
{
    struct buf buf = { 0 };
    char id[ID_TEXT_MAX];
    add_text(&buf, "{\"id\":", id_format(event_id, id));
    add_text(&buf, ",\"type\":", type);
    add_time(&buf, ",\"time\":", time_ms);
    add_text(&buf, ",\"app\":", order->app);
    add_id(&buf, ",\"order_id\":", order->order_id);
    add_text(&buf, ",\"out_business_id\":", order->out_business_id);
    add_text(&buf, ",\"order_type\":", order->order_type);
    if (record) {
        add_id(&buf, ",\"pay_no\":", record->pay_no);
        add_text(&buf, ",\"channel\":", record->channel);
        add_text(&buf, ",\"trade_no\":", record->trade_no);
        add_text(&buf, ",\"payer\":", record->payer);
    }
    if (refund) {
        add_id(&buf, ",\"refund_no\":", refund->refund_no);
        add_text(&buf, ",\"out_refund_id\":", refund->out_refund_id);
        add_money(&buf, ",\"refund_amount\":", refund->amount_minor, refund->currency);
        add_text(&buf, ",\"refund_source\":", refund->source);
        add_text(&buf, ",\"cause\":", refund->cause);
        add_text(&buf, ",\"reason\":", refund->reason);
    }
    add_money(&buf, ",\"amount\":", record ? record->amount_minor : order->amount_minor, order->currency);
    add_money(&buf, ",\"refunded_amount\":", order->refunded_minor, order->currency);
    add_text(&buf, ",\"currency\":", order->currency);
    add_number(&buf, ",\"order_status\":", order->status);
    if (record) {
        add_number(&buf, ",\"payment_status\":", record->status);
        add_time(&buf, ",\"paid_at\":", record->paid_at);
    }
    add_raw(&buf, ",\"attach\":", order->attach);
    add_raw(&buf, ",\"provider\":", provider);
    buf_addc(&buf, '}');
    const char *text = buf.failed ? NULL : arena_strndup(arena, buf.data, buf.len);
    buf_free(&buf);
    return text;
}

enum rc event_make(const char *type, struct order *order, const struct pay_record *record, const struct refund *refund,
                   const char *provider, struct arena *arena, struct event *ret_event, struct error *err)
{
    int64_t id;
    enum rc rc = ids_next(&id);
    if (rc)
        return error_set(err, rc, "this node's lease for making ids has lapsed");
    int64_t now = ids_time_ms(id);
    const char *data = event_data(id, type, now, order, record, refund, provider, arena);
    if (!data)
        return error_set(err, RC_NOMEM, "out of memory");
    *ret_event = (struct event){
        .event_id = id,
        .type = type,
        .app = order->app,
        .order_type = order->order_type,
        .order_id = order->order_id,
        .pay_no = record ? record->pay_no : 0,
        .trade_no = record ? record->trade_no : NULL,
        .created_at = now,
        .data = data,
        .predecessor = order->last_event,
    };
    order->last_event = id;
    return RC_OK;
}

enum rc event_store(struct event_write *write, struct tx *tx, struct error *err)
{
    const struct pay_event_port *port = &write->pay->options.events;
    event_done(write, false); /* the transaction may be running again */
    port->plan(port->ctx, &write->event, write->arena, &write->rows, &write->row_count);
    write->planned = true;
    struct settle_writes writes = {
        .events = &write->event, .event_count = 1, .outbox = write->rows, .outbox_count = write->row_count,
    };
    return settle_store(tx, &writes, err);
}

void event_done(struct event_write *write, bool committed)
{
    const struct pay_event_port *port = &write->pay->options.events;
    if (!write->planned)
        return;
    write->planned = false;
    if (committed)
        port->committed(port->ctx, &write->event, 1, write->rows, write->row_count);
    else
        port->aborted(port->ctx, write->rows, write->row_count);
}
