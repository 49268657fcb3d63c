/*
 * Payments: a new attempt (or the same one for the same key), reading, refreshing at the provider, listing, taking a late
 * payment. Starts on a worker; what follows a provider's answer runs on a worker too.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/ids.h"
#include "base/text.h"
#include "pay/internal.h"
#include "pay/merchant.h"
#include "plugin/registry.h"

bool record_may_be_paid(const struct order *order, const struct pay_record *record, int64_t now_ms)
{
    return record->status == PAYMENT_UNPAID && order->status == ORDER_UNPAID && now_ms < order->expires_at;
}

const char *pay_link(struct pay *pay, int64_t pay_no, struct arena *arena)
{
    const char *signature = link_sign(pay->links, "pay", pay_no, arena);
    return signature ? arena_printf(arena, "%s/pay/%" PRId64 "?k=%s", pay->config->server.public_url, pay_no, signature) : NULL;
}

/* ------------------------------------------------------------------------------------------------ views */

/* record and order are in the view; everything else is worked out here. */
static enum rc complete_view(struct pay *pay, struct payment_view *view, struct arena *arena, struct error *err)
{
    if (view->record.prepay) {
        struct prepay prepay;
        enum rc rc = prepay_read(view->record.prepay, arena, &prepay, err);
        if (rc)
            return rc;
        if (prepay.kind == PN_PREPAY_CODE_URL)
            view->code_url = prepay.url;
        if (prepay.kind == PN_PREPAY_APP_PARAMS) {
            view->app_params = prepay.fields;
            view->app_param_count = prepay.field_count;
        }
    }
    if (record_may_be_paid(&view->order, &view->record, wall_ms()))
        view->pay_url = pay_link(pay, view->record.pay_no, arena);
    return RC_OK;
}

static enum rc load_others(struct tx *tx, struct payment_view *view, struct arena *arena, struct error *err)
{
    struct pay_record *all;
    size_t count, open = 0;
    enum rc rc = records_of_order(tx, view->order.order_id, arena, &all, &count, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < count; i++)
        if (all[i].pay_no != view->record.pay_no && all[i].status == PAYMENT_UNPAID)
            all[open++] = all[i];
    view->others = all;
    view->other_count = open;
    return RC_OK;
}

struct load {
    const struct caller *caller;
    int64_t pay_no;
    struct arena *arena;
    struct payment_view *view;
};

static enum rc load_tx(struct tx *tx, void *arg, struct error *err)
{
    struct load *load = arg;
    struct payment_view *view = load->view;
    enum rc rc = record_get(tx, load->pay_no, load->arena, &view->record, err);
    if (rc)
        return rc;
    if (load->caller && !caller_sees(load->caller, view->record.app))
        return error_set(err, RC_NOT_FOUND, "no such payment");
    rc = order_get(tx, view->record.order_id, load->arena, &view->order, err);
    return rc ? rc : load_others(tx, view, load->arena, err);
}

static enum rc load_view(struct pay *pay, const struct caller *caller, int64_t pay_no, struct arena *arena,
                         struct payment_view *ret_view, struct error *err)
{
    struct load load = { caller, pay_no, arena, ret_view };
    enum rc rc = store_read(pay->store, load_tx, &load, err);
    return rc ? rc : complete_view(pay, ret_view, arena, err);
}

/* ------------------------------------------------------------------------------------------------ create */

/* One creation, from the intent to the answer; lives in the caller's arena. */
struct creation {
    struct pay *pay;
    const struct caller *caller;
    const struct payment_request *request;
    const struct pn_product *product;
    struct arena *arena;
    payment_done done;
    void *arg;
    struct payment_view view;
    bool resolved; /* an earlier attempt with the same key has its result already */
    /* what PREPAY said, for the second transaction */
    const char *merchant, *prepay;
    bool declined, overtaken;
    struct error answer;
};

static void creation_end(struct creation *creation, enum rc rc, const struct error *err)
{
    creation->done(creation->arg, rc, rc == RC_OK ? &creation->view : NULL, err);
}

static enum rc check_order(const struct creation *creation, const struct order *order, int64_t now, struct error *err)
{
    if (!caller_sees(creation->caller, order->app))
        return error_set(err, RC_NOT_FOUND, "no such order");
    switch (order->status) {
    case ORDER_PAID:
    case ORDER_REFUNDED:
        return error_set(err, RC_CONFLICT, "the order is paid");
    case ORDER_CLOSING:
    case ORDER_CLOSED:
        return error_set(err, RC_CONFLICT, "the order is closed");
    case ORDER_UNPAID:
        break;
    }
    if (now >= order->expires_at)
        return error_set(err, RC_CONFLICT, "the order has expired");
    if (!text_in_choices(creation->product->currencies, order->currency, strlen(order->currency)))
        return error_field(err, RC_CONFLICT, "product", "%s takes no %s", creation->product->name, order->currency);
    return RC_OK;
}

static const struct param *find_param(const struct payment_request *request, const char *name, size_t len)
{
    for (size_t i = 0; i < request->param_count; i++)
        if (strlen(request->params[i].name) == len && memcmp(request->params[i].name, name, len) == 0)
            return &request->params[i];
    return NULL;
}

/* The payer parameters that the product asks for, and the return address, as pay_records.params keeps them. */
static enum rc collect_params(struct creation *creation, const char **ret_json, struct error *err)
{
    const struct payment_request *request = creation->request;
    const char *names = creation->product->params ? creation->product->params : "";
    struct pn_kv fields[16];
    struct pn_result kept = { .size = sizeof kept, .prepay_fields = { fields, 0 } };

    for (size_t len; *names && kept.prepay_fields.count < 16; names += len + (names[len] == '|')) {
        len = strcspn(names, "|");
        const struct param *param = find_param(request, names, len);
        if (!param || !param->value[0]) {
            char name[48];
            snprintf(name, sizeof name, "%.*s", (int)len, names);
            return error_field(err, RC_BAD_INPUT, name, "is required by product %s", creation->product->name);
        }
        fields[kept.prepay_fields.count++] =
            (struct pn_kv){ { param->name, strlen(param->name) }, { param->value, strlen(param->value) } };
    }
    if (request->return_url)
        kept.url = (struct pn_str){ request->return_url, strlen(request->return_url) };
    if (!request->return_url && kept.prepay_fields.count == 0) {
        *ret_json = NULL;
        return RC_OK;
    }
    *ret_json = prepay_write(&kept, creation->arena);
    return *ret_json ? RC_OK : error_set(err, RC_NOMEM, "out of memory");
}

static enum rc insert_record(struct creation *creation, struct tx *tx, struct error *err)
{
    const struct payment_request *request = creation->request;
    const struct order *order = &creation->view.order;
    const char *params;
    int64_t pay_no;
    enum rc rc = collect_params(creation, &params, err);
    if (rc)
        return rc;
    if ((rc = ids_next(&pay_no)) != RC_OK)
        return error_set(err, rc, "this node's lease for making ids has lapsed");
    creation->view.record = (struct pay_record){
        .pay_no = pay_no, .order_id = order->order_id, .app = order->app, .channel = request->channel,
        .product = creation->product->name, .amount_minor = order->amount_minor, .currency = order->currency,
        .status = PAYMENT_UNPAID, .idempotency_key = request->idempotency_key, .params = params,
        .expires_at = order->expires_at,
    };
    return record_insert(tx, &creation->view.record, err);
}

/* Transaction A: the intent. */
static enum rc intend_tx(struct tx *tx, void *arg, struct error *err)
{
    struct creation *creation = arg;
    const struct payment_request *request = creation->request;
    struct payment_view *view = &creation->view;
    int64_t now = 0;

    enum rc rc = order_lock(tx, request->order_id, creation->arena, &view->order, err);
    if (rc == RC_OK)
        rc = tx_now(tx, &now, err);
    if (rc == RC_OK)
        rc = check_order(creation, &view->order, now, err);
    if (rc)
        return rc;

    rc = RC_NOT_FOUND;
    if (request->idempotency_key)
        rc = record_find_key(tx, request->order_id, request->idempotency_key, creation->arena, &view->record, err);
    creation->resolved = rc == RC_OK && view->record.merchant;
    if (rc == RC_OK && (strcmp(view->record.channel, request->channel) != 0 ||
                        strcmp(view->record.product, creation->product->name) != 0))
        return error_field(err, RC_CONFLICT, "idempotency_key", "was used for another channel or product");
    if (rc == RC_OK && view->record.status != PAYMENT_UNPAID)
        return error_field(err, RC_CONFLICT, "idempotency_key", "that attempt is closed; use another key");
    if (rc == RC_NOT_FOUND)
        rc = insert_record(creation, tx, err);
    return rc ? rc : load_others(tx, view, creation->arena, err);
}

/* Transaction B: what the provider said. */
static enum rc prepared_tx(struct tx *tx, void *arg, struct error *err)
{
    struct creation *creation = arg;
    struct order order;
    enum rc rc = order_lock(tx, creation->view.order.order_id, creation->arena, &order, err);
    if (rc)
        return rc;
    if (creation->declined)
        rc = record_set_closed(tx, creation->view.record.pay_no, err);
    else
        rc = record_set_prepay(tx, creation->view.record.pay_no, creation->merchant, creation->prepay, err);
    /* It was paid or closed meanwhile: what the books say now is the answer. */
    if (rc == RC_CONFLICT)
        rc = RC_OK;
    /* The order was closed while the provider was asked: what it made must go. */
    creation->overtaken = !creation->declined && order.status != ORDER_UNPAID;
    if (rc == RC_OK && creation->overtaken)
        rc = schedule_put(tx, creation->view.record.pay_no, true, 0, err);
    if (rc == RC_OK)
        rc = record_get(tx, creation->view.record.pay_no, creation->arena, &creation->view.record, err);
    creation->view.order = order;
    return rc;
}

static void finish_creation(struct creation *creation)
{
    struct error err = { 0 };
    enum rc rc = complete_view(creation->pay, &creation->view, creation->arena, &err);
    creation_end(creation, rc, &err);
}

static void prepared(void *arg, enum rc rc, const struct pn_result *result, bool called, const struct error *provider_err)
{
    struct creation *creation = arg;
    struct error err = { 0 };

    if (rc == RC_OK && result->state == PN_STATE_FAILED)
        rc = RC_DECLINED;
    creation->answer = *provider_err;
    bool certain = rc == RC_OK || rc == RC_DECLINED || !called;
    if (rc == RC_UNAVAILABLE || !certain || (rc == RC_OK && result->prepay_kind == PN_PREPAY_NONE)) {
        creation->view.unknown = true;
        creation->view.provider_message = arena_strdup(creation->arena, provider_err->text);
        finish_creation(creation);
        return;
    }
    creation->declined = rc != RC_OK;
    if (rc == RC_OK) {
        struct buf merchant = { 0 };
        merchant_write(&merchant, &result->merchant);
        creation->merchant = arena_strdup(creation->arena, buf_text(&merchant));
        buf_free(&merchant);
        /* What took no call can be made again at any time, and fresher. */
        creation->prepay = called ? prepay_write(result, creation->arena) : NULL;
    }
    enum rc stored = store_write(creation->pay->store, LANE_WORK, prepared_tx, creation, &err);
    if (stored == RC_OK && creation->overtaken) {
        follow_up_wake(creation->pay->follow_up);
        stored = error_set(&err, RC_CONFLICT, "the order was paid or closed meanwhile");
    }
    if (stored)
        creation_end(creation, stored, &err);
    else if (rc)
        creation_end(creation, rc, &creation->answer);
    else
        finish_creation(creation);
}

static enum rc check_request(struct pay *pay, struct creation *creation, struct error *err)
{
    const struct payment_request *request = creation->request;
    const struct config_channel *channel = request->channel ? config_channel_find(pay->config, request->channel) : NULL;
    if (!request->channel)
        return error_field(err, RC_BAD_INPUT, "channel", "is required");
    if (!channel || !config_app_may_use(creation->caller->app, request->channel))
        return error_field(err, RC_BAD_INPUT, "channel", "no channel \"%s\" for this app", request->channel);
    creation->product = request->product ? channel_product(channel->channel, request->product)
                                         : channel_products(channel->channel)[0];
    if (!creation->product)
        return error_field(err, RC_BAD_INPUT, "product", "channel %s has no product \"%s\"", request->channel,
                           request->product ? request->product : "");
    return RC_OK;
}

void pay_payment_create(struct pay *pay, const struct caller *caller, const struct payment_request *request, struct arena *arena,
                        payment_done done, void *arg)
{
    struct error err = { 0 };
    struct creation *creation = arena_alloc(arena, sizeof *creation);
    if (!creation) {
        done(arg, error_set(&err, RC_NOMEM, "out of memory"), NULL, &err);
        return;
    }
    *creation = (struct creation){ .pay = pay, .caller = caller, .request = request, .arena = arena, .done = done, .arg = arg };
    enum rc rc = check_request(pay, creation, &err);
    if (rc == RC_OK)
        rc = store_write(pay->store, LANE_WORK, intend_tx, creation, &err);
    if (rc)
        creation_end(creation, rc, &err);
    else if (creation->resolved)
        finish_creation(creation);
    else
        provider_call(pay, &creation->view.order, &creation->view.record, PN_PREPAY, NULL, arena, prepared, creation);
}

/* ------------------------------------------------------------------------------------------------ read */

struct reading {
    struct pay *pay;
    const struct caller *caller;
    struct arena *arena;
    payment_done done;
    void *arg;
    struct payment_view view;
};

static void refreshed(void *arg, enum pn_state state, enum settle_outcome outcome, const struct error *provider_err)
{
    struct reading *reading = arg;
    struct error err = { 0 };
    struct payment_view view = { 0 };
    enum rc rc = load_view(reading->pay, reading->caller, reading->view.record.pay_no, reading->arena, &view, &err);
    view.unknown = state == PN_STATE_UNKNOWN || outcome == SETTLED_NOT;
    if (view.unknown && provider_err)
        view.provider_message = arena_strdup(reading->arena, provider_err->text);
    reading->done(reading->arg, rc, rc ? NULL : &view, &err);
}

void pay_payment_get(struct pay *pay, const struct caller *caller, int64_t pay_no, bool refresh, struct arena *arena,
                     payment_done done, void *arg)
{
    struct error err = { 0 };
    struct reading *reading = arena_alloc(arena, sizeof *reading);
    if (!reading) {
        done(arg, error_set(&err, RC_NOMEM, "out of memory"), NULL, &err);
        return;
    }
    *reading = (struct reading){ .pay = pay, .caller = caller, .arena = arena, .done = done, .arg = arg };
    enum rc rc = load_view(pay, caller, pay_no, arena, &reading->view, &err);
    if (rc || !refresh)
        done(arg, rc, rc ? NULL : &reading->view, &err);
    else
        provider_inquire(pay, &reading->view.order, &reading->view.record, arena, refreshed, reading);
}

struct list {
    const struct record_filter *filter;
    struct arena *arena;
    struct pay_record *records;
    size_t count;
};

static enum rc list_tx(struct tx *tx, void *arg, struct error *err)
{
    struct list *list = arg;
    return record_list(tx, list->filter, list->arena, &list->records, &list->count, err);
}

enum rc pay_payment_list(struct pay *pay, const struct caller *caller, struct record_filter *filter, struct arena *arena,
                         struct pay_record **ret, size_t *ret_count, struct error *err)
{
    if (caller->app->role != ROLE_OPERATOR)
        filter->app = caller->app->name;
    struct list list = { .filter = filter, .arena = arena };
    enum rc rc = store_read(pay->store, list_tx, &list, err);
    if (rc)
        return rc;
    *ret = list.records;
    *ret_count = list.count;
    return RC_OK;
}

/* ------------------------------------------------------------------------------------------------ accept */

struct acceptance {
    const struct caller *caller; /* NULL: the app's policy */
    int64_t pay_no;
    struct arena *arena;
    struct event_write write;
};

static enum rc accept_tx(struct tx *tx, void *arg, struct error *err)
{
    struct acceptance *acceptance = arg;
    struct pay_record record;
    struct order order;
    enum rc rc = record_get(tx, acceptance->pay_no, acceptance->arena, &record, err);
    if (rc == RC_OK && acceptance->caller && !caller_sees(acceptance->caller, record.app))
        rc = error_set(err, RC_NOT_FOUND, "no such payment");
    if (rc == RC_OK)
        rc = order_lock(tx, record.order_id, acceptance->arena, &order, err);
    /* The record is read again under the lock: a settlement may have come between. */
    if (rc == RC_OK)
        rc = record_get(tx, acceptance->pay_no, acceptance->arena, &record, err);
    if (rc)
        return rc;
    if (record.status != PAYMENT_PAID || order.status != ORDER_CLOSED)
        return error_set(err, RC_CONFLICT, "only a late payment can be accepted: one that was paid after its order was closed");

    order.status = ORDER_PAID;
    rc = event_make("payment.succeeded", &order, &record, NULL, acceptance->arena, &acceptance->write.event, err);
    if (rc == RC_OK)
        rc = order_set_accepted(tx, order.order_id, record.pay_no, record.paid_at, order.last_event, err);
    if (rc == RC_EXISTS)
        return error_set(err, RC_CONFLICT, "a newer order has the same out_business_id; refund this payment instead");
    return rc ? rc : event_store(&acceptance->write, tx, err);
}

static enum rc accept(struct pay *pay, const struct caller *caller, int64_t pay_no, struct arena *arena, struct error *err)
{
    struct acceptance acceptance = {
        .caller = caller, .pay_no = pay_no, .arena = arena, .write = { .pay = pay, .arena = arena },
    };
    enum rc rc = store_write(pay->store, LANE_WORK, accept_tx, &acceptance, err);
    event_done(&acceptance.write, rc == RC_OK);
    return rc;
}

enum rc payment_accept(struct pay *pay, int64_t pay_no, struct error *err)
{
    struct arena *arena = arena_new(0);
    enum rc rc = accept(pay, NULL, pay_no, arena, err);
    arena_free(arena);
    return rc;
}

enum rc pay_payment_accept(struct pay *pay, const struct caller *caller, int64_t pay_no, struct arena *arena,
                           struct payment_view *ret, struct error *err)
{
    struct payment_view view = { 0 };
    enum rc rc = accept(pay, caller, pay_no, arena, err);
    if (rc == RC_OK)
        rc = load_view(pay, caller, pay_no, arena, &view, err);
    if (rc == RC_OK)
        *ret = view;
    return rc;
}
