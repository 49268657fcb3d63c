/*
 * Reading payments: one with all that its caller may want to know, refreshed at the provider on request; lists. Starts on
 * a worker; what follows a provider's answer runs on a worker too.
 */
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "pay/internal.h"
#include "plugin/registry.h"

enum { REVIVE_MS = 1000 };

bool record_may_be_paid(const struct order *order, const struct pay_record *record, int64_t now_ms)
{
    return record->status == PAYMENT_UNPAID && order->status == ORDER_UNPAID && now_ms < order->expires_at;
}

static const char *pay_link(struct pay *pay, int64_t pay_no, struct arena *arena)
{
    const char *signature = link_sign(pay->links, "pay", pay_no, arena);
    return signature ? arena_printf(arena, "%s/pay/%" PRId64 "?k=%s", pay->config->server.public_url, pay_no, signature) : NULL;
}

/* What is made for the shop's app opens in no browser. */
static bool has_page(struct pay *pay, const struct pay_record *record)
{
    const struct config_channel *channel = config_channel_find(pay->config, record->channel);
    const struct pn_product *product = channel ? channel_product(channel->channel, record->product) : NULL;
    return !product || product->prepay_kind != PN_PREPAY_APP_PARAMS;
}

enum rc payment_view_complete(struct pay *pay, struct payment_view *view, struct arena *arena, struct error *err)
{
    if (!record_may_be_paid(&view->order, &view->record, wall_ms()))
        return RC_OK; /* who pays now pays late */
    if (view->record.prepay) {
        struct prepay prepay;
        enum rc rc = prepay_read(view->record.prepay, arena, &prepay, err);
        if (rc)
            return rc;
        if (prepay.kind == PN_PREPAY_CODE_URL && prepay_is_fresh(&prepay, wall_ms()))
            view->code_url = prepay.url;
        if (prepay.kind == PN_PREPAY_APP_PARAMS && prepay_is_fresh(&prepay, wall_ms())) {
            view->app_params = prepay.fields;
            view->app_param_count = prepay.field_count;
        }
    }
    if (has_page(pay, &view->record))
        view->pay_url = pay_link(pay, view->record.pay_no, arena);
    return RC_OK;
}

enum rc payment_view_others(struct tx *tx, struct payment_view *view, struct arena *arena, struct error *err)
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
    return rc ? rc : payment_view_others(tx, view, load->arena, err);
}

enum rc payment_view_load(struct pay *pay, const struct caller *caller, int64_t pay_no, struct arena *arena,
                         struct payment_view *ret_view, struct error *err)
{
    struct load load = { caller, pay_no, arena, ret_view };
    enum rc rc = store_read(pay->store, load_tx, &load, err);
    return rc ? rc : payment_view_complete(pay, ret_view, arena, err);
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

static enum rc revive_tx(struct tx *tx, void *arg, struct error *err)
{
    const struct payment_view *view = arg;
    enum schedule_task task = view->order.status == ORDER_CLOSING ? TASK_CLOSE : TASK_QUERY;
    return schedule_put(tx, &(struct schedule_entry){ view->record.pay_no, task, view->record.channel, REVIVE_MS }, err);
}

/* Whoever asks about a payment that the schedule has given up brings it back. */
static void revive(struct pay *pay, struct payment_view *view)
{
    struct error err = { 0 };
    bool given_up = view->record.needs_review && view->record.status == PAYMENT_UNPAID;
    if (given_up && store_write(pay->store, LANE_WORK, revive_tx, view, &err) != RC_OK)
        log_warn("a payment was not scheduled again", LOG_I("pay_no", view->record.pay_no), LOG_S("detail", err.text));
}

static void refreshed(void *arg, enum pn_state state, enum settle_outcome outcome, const struct error *provider_err)
{
    struct reading *reading = arg;
    struct error err = { 0 };
    struct payment_view view = { 0 };
    enum rc rc = payment_view_load(reading->pay, reading->caller, reading->view.record.pay_no, reading->arena, &view, &err);
    if (rc == RC_OK)
        revive(reading->pay, &view);
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
    enum rc rc = payment_view_load(pay, caller, pay_no, arena, &reading->view, &err);
    if (rc || !refresh)
        done(arg, rc, rc ? NULL : &reading->view, &err);
    else
        provider_inquire(pay, &(struct provider_ask){ .order = &reading->view.order, .record = &reading->view.record }, arena,
                         refreshed, reading);
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

