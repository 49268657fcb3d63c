/*
 * Group commit of settlements (design §7). HTTP threads and workers queue facts with pay_settle; one thread takes
 * everything that waits, up to a batch, decides each on a picture that was loaded under the orders' locks, writes the
 * differences in one transaction, and only after the commit tells each caller its outcome.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/ids.h"
#include "base/log.h"
#include "pay/internal.h"
#include "pay/merchant.h"

/* One queued fact; its texts stand behind the struct, so an item is one allocation. */
struct item {
    struct item *next;
    struct fact fact;
    settle_done done;
    void *arg;
    enum settle_outcome outcome;
    char texts[];
};

struct committer {
    struct pay *pay;
    pthread_t thread;
    bool running;
    size_t queue_max, batch_max;
    struct metric *outcomes[SETTLED_NOT + 1];
    struct metric *batches, *waiting;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t wake;
    struct item *first, **last;
    size_t count;
    bool accepting, stopping;
};

/* What one transaction over a batch works on; rebuilt from scratch when the transaction runs again. */
struct batch {
    struct committer *committer;
    struct arena *arena;
    struct item **items;
    size_t item_count;
    struct order *orders, *orders_before;
    struct pay_record *records, *records_before;
    size_t order_count, record_count;
    struct settle_writes writes;
    struct event *events;
    struct audit *audits;
    int64_t *follow_ups;
    bool planned;
};

/* ------------------------------------------------------------------------------------------------ queueing */

static void write_fields(struct buf *buf, const struct pn_kv_list *fields)
{
    buf_addc(buf, '{');
    for (size_t i = 0; i < fields->count; i++) {
        if (i)
            buf_addc(buf, ',');
        buf_add_jsonn(buf, fields->items[i].name.data, fields->items[i].name.len);
        buf_addc(buf, ':');
        buf_add_jsonn(buf, fields->items[i].value.data, fields->items[i].value.len);
    }
    buf_addc(buf, '}');
}

/* Appends a text and remembers where it begins; absent texts stay absent. Offsets become pointers once all is known. */
static size_t pack(struct buf *buf, const char *data, size_t len)
{
    size_t at = buf->len;
    buf_add(buf, data, len);
    buf_addc(buf, '\0');
    return at;
}

enum packed { P_CHANNEL, P_PAY_NO, P_CURRENCY, P_TRADE_NO, P_PAYER, P_REFUND_NO, P_MERCHANT, P_PROVIDER, P_COUNT };

static void pack_result(struct buf *buf, const char *channel, const struct pn_result *result, size_t ret_at[P_COUNT])
{
    const struct { enum packed which; const struct pn_str *text; } texts[] = {
        { P_PAY_NO, &result->pay_no },     { P_CURRENCY, &result->currency }, { P_TRADE_NO, &result->trade_no },
        { P_PAYER, &result->payer },       { P_REFUND_NO, &result->refund_no },
    };
    ret_at[P_CHANNEL] = pack(buf, channel, strlen(channel));
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        ret_at[texts[i].which] = texts[i].text->len ? pack(buf, texts[i].text->data, texts[i].text->len) : SIZE_MAX;
    ret_at[P_MERCHANT] = result->merchant.count ? buf->len : SIZE_MAX;
    merchant_write(buf, &result->merchant);
    buf_addc(buf, '\0');
    ret_at[P_PROVIDER] = buf->len;
    write_fields(buf, &result->fields);
    buf_addc(buf, '\0');
}

static struct item *item_new(const char *channel, const char *source, const struct pn_result *result, int64_t pay_no)
{
    struct buf buf = { 0 };
    size_t at[P_COUNT];
    struct item *item = NULL;
    pack_result(&buf, channel, result, at);
    if (!buf.failed)
        item = malloc(sizeof *item + buf.len);
    if (item) {
        memcpy(item->texts, buf.data, buf.len);
        const char *texts[P_COUNT];
        for (size_t i = 0; i < P_COUNT; i++)
            texts[i] = at[i] == SIZE_MAX ? NULL : item->texts + at[i];
        item->next = NULL;
        item->outcome = SETTLED_NOT;
        item->fact = (struct fact){
            .channel = texts[P_CHANNEL], .source = source, .pay_no_text = texts[P_PAY_NO], .pay_no = pay_no,
            .state = (enum pn_state)result->state, .total_minor = result->total_minor,
            .refunded_minor = result->refunded_minor, .currency = texts[P_CURRENCY], .trade_no = texts[P_TRADE_NO],
            .payer = texts[P_PAYER], .refund_no = texts[P_REFUND_NO], .merchant = texts[P_MERCHANT],
            .provider = texts[P_PROVIDER], .paid_at = result->paid_at_ms ? result->paid_at_ms : wall_ms(),
        };
    }
    buf_free(&buf);
    return item;
}

static bool parse_pay_no(const struct pn_str *text, int64_t *ret_pay_no)
{
    char digits[ID_TEXT_MAX];
    if (text->len == 0 || text->len >= sizeof digits)
        return false;
    memcpy(digits, text->data, text->len);
    digits[text->len] = '\0';
    return strlen(digits) == text->len && id_parse(digits, ret_pay_no);
}

static enum rc enqueue(struct committer *committer, struct item *item, struct error *err)
{
    enum rc rc = RC_OK;
    pthread_mutex_lock(&committer->lock);
    if (!committer->accepting)
        rc = RC_UNAVAILABLE;
    else if (committer->count >= committer->queue_max)
        rc = RC_FULL;
    else {
        *committer->last = item;
        committer->last = &item->next;
        if (committer->count++ == 0)
            pthread_cond_signal(&committer->wake);
    }
    pthread_mutex_unlock(&committer->lock);
    if (rc)
        error_set(err, rc, rc == RC_FULL ? "the settlement queue is full" : "the server is stopping");
    return rc;
}

enum rc pay_settle(struct pay *pay, const char *channel, const char *source, const struct pn_result *result, settle_done done,
                   void *arg, struct error *err)
{
    int64_t pay_no;
    if (!parse_pay_no(&result->pay_no, &pay_no)) {
        metric_add(pay->committer->outcomes[SETTLED_UNKNOWN_PAYMENT], 1);
        return error_set(err, RC_NOT_FOUND, "no payment of that number");
    }
    struct item *item = item_new(channel, source, result, pay_no);
    if (!item)
        return error_set(err, RC_NOMEM, "out of memory");
    item->done = done;
    item->arg = arg;
    enum rc rc = enqueue(pay->committer, item, err);
    if (rc)
        free(item);
    return rc;
}

/* ------------------------------------------------------------------------------------------------ deciding */

/* Both arrays come sorted from the store. */
static struct pay_record *find_record(const struct batch *batch, int64_t pay_no)
{
    size_t low = 0, high = batch->record_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (batch->records[middle].pay_no < pay_no)
            low = middle + 1;
        else
            high = middle;
    }
    return low < batch->record_count && batch->records[low].pay_no == pay_no ? &batch->records[low] : NULL;
}

static struct order *find_order(const struct batch *batch, int64_t order_id)
{
    size_t low = 0, high = batch->order_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (batch->orders[middle].order_id < order_id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < batch->order_count && batch->orders[low].order_id == order_id ? &batch->orders[low] : NULL;
}

static enum late_policy late_policy_of(const struct pay *pay, const char *app)
{
    const struct config_app *found = config_app_find(pay->config, app);
    return found ? found->late_payment : LATE_HOLD;
}

static enum rc add_audit(struct batch *batch, const struct item *item, const char *detail, struct error *err)
{
    int64_t id;
    if (ids_next(&id) != RC_OK)
        return error_set(err, RC_UNAVAILABLE, "this node's lease for making ids has lapsed");
    batch->audits[batch->writes.audit_count++] = (struct audit){
        .audit_id = id, .channel = item->fact.channel, .pay_no = item->fact.pay_no_text, .source = item->fact.source,
        .outcome = settle_outcome_name(item->outcome), .trade_no = item->fact.trade_no,
        .amount_minor = item->fact.total_minor, .detail = detail,
    };
    return RC_OK;
}

/* A record may get into the list more than once; the store's schedule keeps one row for it. */
static void add_siblings(struct batch *batch, const struct order *order, const struct pay_record *paid)
{
    for (size_t i = 0; i < batch->record_count; i++) {
        const struct pay_record *record = &batch->records[i];
        if (record->order_id == order->order_id && record != paid && record->status == PAYMENT_UNPAID)
            batch->follow_ups[batch->writes.follow_up_count++] = record->pay_no;
    }
}

static enum rc decide_item(struct batch *batch, struct item *item, struct error *err)
{
    struct pay *pay = batch->committer->pay;
    struct pay_record *record = find_record(batch, item->fact.pay_no);
    struct order *order = record ? find_order(batch, record->order_id) : NULL;
    if (!order) {
        item->outcome = SETTLED_UNKNOWN_PAYMENT;
        return RC_OK;
    }
    struct effects effects;
    enum rc rc = RC_OK;
    item->outcome = settle_decide(&item->fact, late_policy_of(pay, order->app), order, record, &effects);
    if (effects.event)
        rc = event_make(effects.event, order, record, item->fact.provider, batch->arena,
                        &batch->events[batch->writes.event_count], err);
    if (rc == RC_OK && effects.event)
        batch->writes.event_count++;
    if (rc == RC_OK && effects.audit)
        rc = add_audit(batch, item, effects.audit, err);
    if (effects.close_siblings)
        add_siblings(batch, order, record);
    if (effects.follow_up)
        batch->follow_ups[batch->writes.follow_up_count++] = record->pay_no;
    return rc;
}

/* ------------------------------------------------------------------------------------------------ writing */

static bool record_differs(const struct pay_record *a, const struct pay_record *b)
{
    return a->status != b->status || a->needs_review != b->needs_review;
}

static enum rc collect_changes(struct batch *batch, struct error *err)
{
    struct record_change *records = arena_alloc(batch->arena, (batch->record_count + 1) * sizeof *records);
    struct order_change *orders = arena_alloc(batch->arena, (batch->order_count + 1) * sizeof *orders);
    if (!records || !orders)
        return error_set(err, RC_NOMEM, "out of memory");
    for (size_t i = 0; i < batch->record_count; i++) {
        const struct pay_record *before = &batch->records_before[i], *after = &batch->records[i];
        if (!record_differs(before, after))
            continue;
        bool paid = after->status != before->status && after->status == PAYMENT_PAID;
        records[batch->writes.record_count++] = (struct record_change){
            .pay_no = after->pay_no, .from = before->status, .to = after->status,
            .trade_no = paid ? after->trade_no : NULL, .payer = paid ? after->payer : NULL,
            .paid_at = paid ? after->paid_at : 0, .needs_review = after->needs_review,
        };
    }
    for (size_t i = 0; i < batch->order_count; i++) {
        const struct order *before = &batch->orders_before[i], *after = &batch->orders[i];
        if (before->status == after->status && before->last_event == after->last_event)
            continue;
        bool paid = after->status != before->status && after->status == ORDER_PAID;
        orders[batch->writes.order_count++] = (struct order_change){
            .order_id = after->order_id, .from = before->status, .to = after->status,
            .paid_pay_no = paid ? after->paid_pay_no : 0, .paid_at = paid ? after->paid_at : 0,
            .last_event = after->last_event == before->last_event ? 0 : after->last_event,
        };
    }
    batch->writes.records = records;
    batch->writes.orders = orders;
    return RC_OK;
}

/* The rows of all events in one array, as the store and the outbox want them. */
static enum rc plan_deliveries(struct batch *batch, struct error *err)
{
    const struct pay_event_port *port = &batch->committer->pay->options.events;
    size_t capacity = 0, count = 0;
    struct outbox_row *all = NULL;
    for (size_t i = 0; i < batch->writes.event_count; i++) {
        struct outbox_row *rows;
        size_t n;
        port->plan(port->ctx, &batch->events[i], batch->arena, &rows, &n);
        if (count + n > capacity) {
            capacity = (count + n) * 2 + batch->writes.event_count;
            struct outbox_row *grown = arena_alloc(batch->arena, capacity * sizeof *grown);
            if (!grown) {
                port->aborted(port->ctx, rows, n);
                port->aborted(port->ctx, all, count);
                return error_set(err, RC_NOMEM, "out of memory");
            }
            if (count)
                memcpy(grown, all, count * sizeof *grown);
            all = grown;
        }
        if (n)
            memcpy(all + count, rows, n * sizeof *all);
        count += n;
    }
    batch->writes.outbox = all;
    batch->writes.outbox_count = count;
    batch->planned = true;
    return RC_OK;
}

static void unplan(struct batch *batch)
{
    const struct pay_event_port *port = &batch->committer->pay->options.events;
    if (batch->planned)
        port->aborted(port->ctx, batch->writes.outbox, batch->writes.outbox_count);
    batch->planned = false;
}

static enum rc load(struct batch *batch, struct tx *tx, struct error *err)
{
    int64_t *pay_nos = arena_alloc(batch->arena, batch->item_count * sizeof *pay_nos);
    if (!pay_nos)
        return error_set(err, RC_NOMEM, "out of memory");
    for (size_t i = 0; i < batch->item_count; i++)
        pay_nos[i] = batch->items[i]->fact.pay_no;
    enum rc rc = settle_load(tx, pay_nos, batch->item_count, batch->arena, &batch->orders, &batch->order_count, &batch->records,
                             &batch->record_count, err);
    if (rc)
        return rc;
    batch->orders_before = arena_dup(batch->arena, batch->orders, batch->order_count * sizeof *batch->orders);
    batch->records_before = arena_dup(batch->arena, batch->records, batch->record_count * sizeof *batch->records);
    batch->events = arena_alloc(batch->arena, batch->item_count * sizeof *batch->events);
    batch->audits = arena_alloc(batch->arena, batch->item_count * sizeof *batch->audits);
    batch->follow_ups = arena_alloc(batch->arena, (batch->item_count + batch->record_count) * 2 * sizeof *batch->follow_ups);
    if (!batch->orders_before || !batch->records_before || !batch->events || !batch->audits || !batch->follow_ups)
        return error_set(err, RC_NOMEM, "out of memory");
    return RC_OK;
}

/* The transaction; see store_write for why it begins by forgetting. */
static enum rc settle_batch(struct tx *tx, void *arg, struct error *err)
{
    struct batch *batch = arg;
    unplan(batch);
    arena_reset(batch->arena);
    batch->writes = (struct settle_writes){ 0 };
    enum rc rc = load(batch, tx, err);
    for (size_t i = 0; rc == RC_OK && i < batch->item_count; i++)
        rc = decide_item(batch, batch->items[i], err);
    if (rc == RC_OK)
        rc = collect_changes(batch, err);
    if (rc == RC_OK)
        rc = plan_deliveries(batch, err);
    if (rc)
        return rc;
    batch->writes.events = batch->events;
    batch->writes.audits = batch->audits;
    batch->writes.follow_ups = batch->follow_ups;
    const struct settle_writes *w = &batch->writes;
    if (w->record_count + w->order_count + w->event_count + w->audit_count + w->follow_up_count == 0)
        return RC_OK;
    return settle_store(tx, &batch->writes, err);
}

/* ------------------------------------------------------------------------------------------------ the thread */

static void report_failure(const struct batch *batch, enum rc rc, const struct error *err)
{
    static struct log_limit limit;
    if (log_allow(&limit, 30))
        log_error("settlements were not committed", LOG_S("reason", rc_name(rc)), LOG_S("detail", err->text),
                  LOG_I("items", batch->item_count));
}

static enum rc settle_items(struct committer *committer, struct arena *arena, struct item **items, size_t count)
{
    struct pay *pay = committer->pay;
    const struct pay_event_port *port = &pay->options.events;
    struct batch batch = { .committer = committer, .arena = arena, .items = items, .item_count = count };
    struct error err = { 0 };

    enum rc rc = store_write(pay->store, LANE_SETTLE, settle_batch, &batch, &err);
    if (rc == RC_OK) {
        if (batch.planned)
            port->committed(port->ctx, batch.events, batch.writes.event_count, batch.writes.outbox, batch.writes.outbox_count);
        if (batch.writes.follow_up_count)
            follow_up_wake(pay->follow_up);
    } else {
        unplan(&batch);
        for (size_t i = 0; i < count; i++)
            items[i]->outcome = SETTLED_NOT;
        if (rc != RC_DATA || count == 1)
            report_failure(&batch, rc, &err);
    }
    arena_reset(arena);
    return rc;
}

static void finish(struct committer *committer, struct item **items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        metric_add(committer->outcomes[items[i]->outcome], 1);
        if (items[i]->done)
            items[i]->done(items[i]->arg, items[i]->outcome);
        free(items[i]);
    }
}

/* Waits for items and takes up to a batch; 0 when the thread shall end. */
static size_t take(struct committer *committer, struct item **ret_items)
{
    size_t n = 0;
    pthread_mutex_lock(&committer->lock);
    while (!committer->first && !committer->stopping)
        pthread_cond_wait(&committer->wake, &committer->lock);
    while (committer->first && n < committer->batch_max) {
        ret_items[n++] = committer->first;
        committer->first = committer->first->next;
    }
    if (!committer->first)
        committer->last = &committer->first;
    committer->count -= n;
    metric_set(committer->waiting, (int64_t)committer->count);
    pthread_mutex_unlock(&committer->lock);
    return n;
}

static void *run(void *arg)
{
    struct committer *committer = arg;
    struct arena *arena = arena_new(0);
    struct item **items = calloc(committer->batch_max, sizeof *items);
    pthread_setname_np(pthread_self(), "pn-committer");
    if (!items)
        abort(); /* at start, before anything was accepted */

    for (size_t n; (n = take(committer, items)) > 0;) {
        metric_add(committer->batches, 1);
        /* One item that the store cannot hold must not spoil the others' settlement. */
        if (settle_items(committer, arena, items, n) == RC_DATA && n > 1)
            for (size_t i = 0; i < n; i++)
                settle_items(committer, arena, &items[i], 1);
        finish(committer, items, n);
    }
    free(items);
    arena_free(arena);
    return NULL;
}

enum rc committer_new(struct pay *pay, struct committer **ret_committer, struct error *err)
{
    struct committer *committer = calloc(1, sizeof *committer);
    if (!committer)
        return error_set(err, RC_NOMEM, "out of memory");
    committer->pay = pay;
    committer->queue_max = (size_t)pay->config->server.settle_queue;
    committer->batch_max = (size_t)pay->config->server.settle_batch;
    committer->last = &committer->first;
    pthread_mutex_init(&committer->lock, NULL);
    pthread_cond_init(&committer->wake, NULL);
    for (int i = 0; i <= SETTLED_NOT; i++) {
        char label[64];
        snprintf(label, sizeof label, "outcome=\"%s\"", settle_outcome_name((enum settle_outcome)i));
        committer->outcomes[i] = metric_counter("paynotify_settlements_total", label, "What providers said, by outcome.");
    }
    committer->batches = metric_counter("paynotify_settlement_batches_total", NULL, "Transactions that settled something.");
    committer->waiting = metric_gauge("paynotify_settlements_waiting", NULL, "Settlements that wait for the committer.");
    *ret_committer = committer;
    return RC_OK;
}

enum rc committer_start(struct committer *committer, struct error *err)
{
    committer->accepting = true;
    if (pthread_create(&committer->thread, NULL, run, committer) != 0)
        return error_set(err, RC_INTERNAL, "cannot start the committer thread");
    committer->running = true;
    return RC_OK;
}

void committer_drain(struct committer *committer)
{
    pthread_mutex_lock(&committer->lock);
    committer->accepting = false;
    committer->stopping = true;
    pthread_cond_signal(&committer->wake);
    pthread_mutex_unlock(&committer->lock);
    if (committer->running)
        pthread_join(committer->thread, NULL);
    committer->running = false;
}

void committer_free(struct committer *committer)
{
    if (!committer)
        return;
    committer_drain(committer);
    pthread_mutex_destroy(&committer->lock);
    pthread_cond_destroy(&committer->wake);
    free(committer);
}
