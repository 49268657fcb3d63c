/*
 * Making a payment: transaction A records the intent, the provider is asked without a thread waiting, transaction B
 * records what it said. The same idempotency key resumes an attempt whose provider never answered. Workers only.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/ids.h"
#include "base/text.h"
#include "pay/internal.h"
#include "pay/merchant.h"
#include "plugin/registry.h"

/* One creation, from the intent to the answer; lives in the caller's arena. */
struct creation {
    struct pay *pay;
    const struct caller *caller;
    const struct payment_request *request;
    const struct pn_product *product;
    int64_t query_in_ms; /* when to ask for the first time what became of it */
    struct arena *arena;
    payment_done done;
    void *arg;
    struct payment_view view;
    const char *key;
    bool left_others; /* attempts that the payer has left are to be closed */
    bool resumed;  /* the same key has been here before */
    bool resolved; /* and has its result already */
    /* what PREPAY said, for the second transaction */
    const char *merchant, *prepay;
    bool declined;
    struct error answer;
    /* what that made of it */
    bool refused;   /* declined, and no other call has got a result meanwhile */
    bool overtaken; /* the order was paid or closed while the provider was asked */
    bool scheduled; /* something is due now */
};

static void creation_end(struct creation *creation, enum rc rc, const struct error *err)
{
    creation->done(creation->arg, rc, rc == RC_OK || creation->refused ? &creation->view : NULL, err);
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
    *ret_json = prepay_write(&kept, 0, creation->arena);
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
        .status = PAYMENT_UNPAID, .idempotency_key = creation->key, .params = params,
        .expires_at = order->expires_at,
    };
    rc = record_insert(tx, &creation->view.record, err);
    return rc ? rc : schedule_put(tx, &(struct schedule_entry){ pay_no, TASK_QUERY, request->channel, creation->query_in_ms }, err);
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
    creation->key = request->idempotency_key;
    if (rc == RC_OK && request->by_cashier) {
        const struct param *client_ip = find_param(request, "client_ip", strlen("client_ip"));
        rc = cashier_pick(tx, request, creation->product->name, client_ip ? client_ip->value : NULL, creation->arena,
                          &creation->key, &creation->left_others, err);
    }
    if (rc)
        return rc;

    rc = RC_NOT_FOUND;
    if (creation->key)
        rc = record_find_key(tx, request->order_id, creation->key, creation->arena, &view->record, err);
    creation->resumed = rc == RC_OK;
    creation->resolved = rc == RC_OK && view->record.merchant && !prepay_is_stale(&view->record, creation->arena);
    if (rc == RC_OK && (strcmp(view->record.channel, request->channel) != 0 ||
                        strcmp(view->record.product, creation->product->name) != 0))
        return error_field(err, RC_CONFLICT, "idempotency_key", "was used for another channel or product");
    if (rc == RC_OK && view->record.status != PAYMENT_UNPAID)
        return error_field(err, RC_CONFLICT, "idempotency_key", "that attempt is closed; use another key");
    if (rc == RC_NOT_FOUND)
        rc = insert_record(creation, tx, err);
    return rc ? rc : payment_view_others(tx, view, creation->arena, err);
}

static enum rc close_soon(struct creation *creation, struct tx *tx, struct error *err)
{
    const struct pay_record *record = &creation->view.record;
    creation->scheduled = true;
    return schedule_put(tx, &(struct schedule_entry){ record->pay_no, TASK_CLOSE, record->channel, 0 }, err);
}

static enum rc refuse(struct creation *creation, struct tx *tx, const struct order *order, struct error *err)
{
    if (creation->resumed) /* what the earlier call made may still be payable there: ask */
        return close_soon(creation, tx, err);
    enum rc rc = record_set_closed(tx, creation->view.record.pay_no, err);
    if (rc == RC_CONFLICT) /* it was paid or closed meanwhile: what the books say now is the answer */
        rc = RC_OK;
    /* A closing order waits for it, perhaps until its expiry. */
    return rc || order->status != ORDER_CLOSING ? rc : close_soon(creation, tx, err);
}

static enum rc keep(struct creation *creation, struct tx *tx, const struct order *order, struct error *err)
{
    bool left = false; /* the payer has chosen again while the provider was asked */
    enum rc rc = RC_OK;
    if (!creation->declined)
        rc = record_set_prepay(tx, creation->view.record.pay_no, creation->merchant, creation->prepay, err);
    if (rc == RC_CONFLICT) /* as above */
        rc = RC_OK;
    if (rc == RC_OK)
        rc = cashier_left(tx, &creation->view.record, creation->arena, &left, err);
    /* What the provider made for an order that was closed meanwhile must go. */
    creation->overtaken = order->status != ORDER_UNPAID;
    return rc || !(creation->overtaken || left) ? rc : close_soon(creation, tx, err);
}

/* Transaction B: what the provider said. Its refusal is not about what another call with the same key has got meanwhile. */
static enum rc prepared_tx(struct tx *tx, void *arg, struct error *err)
{
    struct creation *creation = arg;
    struct pay_record *record = &creation->view.record;
    struct order order;
    creation->scheduled = creation->overtaken = false;
    enum rc rc = order_lock(tx, creation->view.order.order_id, creation->arena, &order, err);
    if (rc == RC_OK)
        rc = record_get(tx, record->pay_no, creation->arena, record, err);
    if (rc)
        return rc;
    bool answered = record->merchant && record->status == PAYMENT_UNPAID && !prepay_is_stale(record, creation->arena);
    creation->refused = creation->declined && !answered;
    rc = creation->refused ? refuse(creation, tx, &order, err) : keep(creation, tx, &order, err);
    if (rc == RC_OK)
        rc = record_get(tx, record->pay_no, creation->arena, record, err);
    creation->view.order = order;
    return rc;
}

static void finish_creation(struct creation *creation)
{
    struct error err = { 0 };
    enum rc rc = payment_view_complete(creation->pay, &creation->view, creation->arena, &err);
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
        /* What took no call can be made again at any time, and fresher; but an app gets it now, with this answer. */
        bool handed_out = called || result->prepay_kind == PN_PREPAY_APP_PARAMS;
        creation->prepay = handed_out ? prepay_write(result, wall_ms(), creation->arena) : NULL;
    }
    enum rc stored = store_write(creation->pay->store, LANE_WORK, prepared_tx, creation, &err);
    if (stored == RC_OK && creation->scheduled)
        follow_up_wake(creation->pay->follow_up);
    if (stored == RC_OK && creation->overtaken)
        stored = error_set(&err, RC_CONFLICT, "the order was paid or closed meanwhile");
    if (stored)
        creation_end(creation, stored, &err);
    else if (creation->refused)
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
    if (request->idempotency_key && strncmp(request->idempotency_key, CASHIER_KEY_PREFIX, strlen(CASHIER_KEY_PREFIX)) == 0)
        return error_field(err, RC_BAD_INPUT, "idempotency_key", "must not begin with \"" CASHIER_KEY_PREFIX "\"");
    if (!channel || !config_app_may_use(creation->caller->app, request->channel))
        return error_field(err, RC_BAD_INPUT, "channel", "no channel \"%s\" for this app", request->channel);
    creation->query_in_ms = channel->query_interval_ms;
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
    if (rc == RC_OK && creation->left_others)
        follow_up_wake(pay->follow_up);
    if (rc)
        creation_end(creation, rc, &err);
    else if (creation->resolved)
        finish_creation(creation);
    else
        provider_call(pay, &(struct provider_ask){ .order = &creation->view.order, .record = &creation->view.record,
                                                   .operation = PN_PREPAY }, arena, prepared, creation);
}
