/*
 * Refunds: made by call or by an app's policy, tried again, read. The amount is set aside under the order's lock before
 * anything is sent, so that the sum never exceeds what was paid. Called on workers; what follows a provider's answer runs
 * on a worker, too.
 */
#include "pay/refund.h"

#include <string.h>

#include "base/ids.h"
#include "base/money.h"
#include "pay/task.h"

static int64_t left_of(const struct pay_record *record)
{
    return record->amount_minor - record->refunded_minor - record->refunding_minor;
}

/* Sets `amount_minor` aside. */
static enum rc reserve(struct tx *tx, struct pay_record *record, int64_t amount_minor, struct error *err)
{
    char left[MONEY_TEXT_MAX];
    if (record->status != PAYMENT_PAID && record->status != PAYMENT_REFUNDED)
        return error_set(err, RC_CONFLICT, "the payment is not paid");
    if (left_of(record) == 0)
        return error_set(err, RC_CONFLICT, "nothing of the payment is left to refund");
    if (amount_minor > left_of(record))
        return error_field(err, RC_CONFLICT, "amount", "only %s %s of the payment is left to refund",
                           money_format(left_of(record), record->currency, left), record->currency);
    enum rc rc = refund_reserve(tx, record->pay_no, amount_minor, err);
    if (rc == RC_OK)
        record->refunding_minor += amount_minor;
    return rc;
}

static enum rc hold(struct asking *asking, struct tx *tx, struct error *err)
{
    const struct refund *refund = &asking->view.refund;
    const struct schedule_entry entry = { refund->refund_no, TASK_REFUND, refund->channel,
                                          record_lease_ms(asking->pay, refund->channel) };
    asking->held = (struct scheduled){ .subject = refund->refund_no, .task = TASK_REFUND, .channel = refund->channel };
    return schedule_hold(tx, &entry, asking->pay->options.incarnation, &asking->held.version, err);
}

/* What becomes of the answer's failure to be written: the refund may have been made. */
static enum rc not_known(enum rc rc, struct error *err)
{
    if (rc)
        error_set(err, RC_UNKNOWN, "what became of the refund could not be written: %s", err->text);
    return rc ? RC_UNKNOWN : RC_OK;
}

/* ------------------------------------------------------------------------------------------------ create */

struct creation {
    struct asking asking;
    const struct caller *caller;
    const struct refund_request *request;
    int64_t amount_minor; /* 0: everything that is left */
    refund_done done;
    void *arg;
};

static enum rc read_amount(struct creation *creation, struct error *err)
{
    const char *amount = creation->request->amount;
    creation->amount_minor = 0;
    if (!amount)
        return RC_OK;
    if (money_parse(amount, strlen(amount), creation->asking.view.record.currency, &creation->amount_minor) != RC_OK)
        return error_field(err, RC_BAD_INPUT, "amount",
                           "must be a decimal amount such as \"88.80\", with the currency's decimals at most");
    return creation->amount_minor ? RC_OK : error_field(err, RC_BAD_INPUT, "amount", "must be more than 0");
}

static enum rc find_same(struct creation *creation, struct tx *tx, struct error *err)
{
    const struct refund_request *request = creation->request;
    struct refund_view *view = &creation->asking.view;
    char amount[MONEY_TEXT_MAX];
    enum rc rc = refund_find(tx, view->record.app, request->out_refund_id, creation->asking.arena, &view->refund, err);
    if (rc)
        return rc;
    if (view->refund.pay_no != request->pay_no)
        return error_field(err, RC_CONFLICT, "out_refund_id", "was used for another payment");
    if (creation->amount_minor && creation->amount_minor != view->refund.amount_minor)
        return error_field(err, RC_CONFLICT, "out_refund_id", "was used for a refund of %s %s",
                           money_format(view->refund.amount_minor, view->refund.currency, amount), view->refund.currency);
    return RC_OK;
}

/* Doubted from the beginning: it is going to be asked for as soon as this is committed. */
static enum rc insert(struct creation *creation, struct tx *tx, struct error *err)
{
    const struct refund_request *request = creation->request;
    struct refund_view *view = &creation->asking.view;
    const struct pay_record *record = &view->record;
    int64_t amount = creation->amount_minor ? creation->amount_minor : left_of(record), refund_no;
    enum rc rc = reserve(tx, &view->record, amount, err);
    if (rc)
        return rc;
    if ((rc = ids_next(&refund_no)) != RC_OK)
        return error_set(err, rc, "this node's lease for making ids has lapsed");
    view->created = true;
    view->refund = (struct refund){
        .refund_no = refund_no, .pay_no = record->pay_no, .order_id = record->order_id, .app = record->app,
        .channel = record->channel, .out_refund_id = request->out_refund_id, .source = "api",
        .cause = settle_refund_cause(&view->order, record), .amount_minor = amount, .currency = record->currency,
        .reason = request->reason, .status = REFUND_CREATED, .doubt = true, .calls = 1,
    };
    creation->asking.calls = 1;
    rc = refund_insert(tx, &view->refund, err);
    /* Somebody else was faster, with another payment. */
    return rc == RC_EXISTS ? error_set(err, RC_RETRY, "a refund with this out_refund_id was made at this moment") : rc;
}

static enum rc create_tx(struct tx *tx, void *arg, struct error *err)
{
    struct creation *creation = arg;
    struct asking *asking = &creation->asking;
    struct refund_view *view = &asking->view;
    view->created = false;
    enum rc rc = record_get(tx, creation->request->pay_no, asking->arena, &view->record, err);
    if (rc == RC_OK && !caller_sees(creation->caller, view->record.app))
        rc = error_set(err, RC_NOT_FOUND, "no such payment");
    if (rc == RC_OK)
        rc = order_lock(tx, view->record.order_id, asking->arena, &view->order, err);
    if (rc == RC_OK) /* again, under the lock */
        rc = record_get(tx, creation->request->pay_no, asking->arena, &view->record, err);
    if (rc == RC_OK)
        rc = read_amount(creation, err);
    if (rc)
        return rc;
    rc = find_same(creation, tx, err);
    if (rc != RC_NOT_FOUND)
        return rc;
    if (!config_channel_find(asking->pay->config, view->record.channel))
        return error_set(err, RC_CONFLICT, "channel \"%s\" is not configured any more", view->record.channel);
    rc = insert(creation, tx, err);
    return rc ? rc : hold(asking, tx, err);
}

static void created(void *arg, enum rc rc, const struct refund_view *view, const struct error *end_err)
{
    struct creation *creation = arg;
    struct error err = *end_err;
    creation->done(creation->arg, not_known(rc, &err), view, &err);
}

void pay_refund_create(struct pay *pay, const struct caller *caller, const struct refund_request *request, struct arena *arena,
                       refund_done done, void *arg)
{
    struct error err = { 0 };
    struct creation *creation = arena_alloc(arena, sizeof *creation);
    if (!creation) {
        done(arg, error_set(&err, RC_NOMEM, "out of memory"), NULL, &err);
        return;
    }
    *creation = (struct creation){
        .asking = { .pay = pay, .arena = arena, .done = created, .arg = creation }, .caller = caller, .request = request,
        .done = done, .arg = arg,
    };
    enum rc rc = store_write(pay->store, LANE_WORK, create_tx, creation, &err);
    if (rc || !creation->asking.view.created)
        done(arg, rc, rc ? NULL : &creation->asking.view, &err);
    else
        refund_ask(&creation->asking);
}

/* ------------------------------------------------------------------------------------------------ retry */

static enum rc read_seen(struct tx *tx, const struct caller *caller, int64_t refund_no, struct arena *arena,
                         struct refund_view *ret, struct error *err)
{
    enum rc rc = refund_view_read(tx, refund_no, arena, ret, err);
    return rc == RC_OK && !caller_sees(caller, ret->refund.app) ? error_set(err, RC_NOT_FOUND, "no such refund") : rc;
}

struct retry {
    struct asking asking;
    const struct caller *caller;
    int64_t refund_no;
    refund_done done;
    void *arg;
};

/* Whatever failed, failed for certain: the only call that is in doubt from now on is the one that comes. */
static enum rc begin_again(struct asking *asking, struct tx *tx, struct error *err)
{
    struct refund *refund = &asking->view.refund;
    enum rc rc = reserve(tx, &asking->view.record, refund->amount_minor, err);
    refund->cause = settle_refund_cause(&asking->view.order, &asking->view.record); /* a late payment may be accepted by now */
    if (rc == RC_OK)
        rc = refund_set_again(tx, refund->refund_no, refund->cause, err);
    if (rc == RC_OK)
        rc = refund_set_doubt(tx, refund->refund_no, true, err);
    refund->status = REFUND_CREATED;
    asking->doubted = false;
    asking->calls = refund->calls + 1;
    return rc;
}

static enum rc retry_tx(struct tx *tx, void *arg, struct error *err)
{
    struct retry *retry = arg;
    struct asking *asking = &retry->asking;
    struct refund_view *view = &asking->view;
    struct order order;
    enum rc rc = read_seen(tx, retry->caller, retry->refund_no, asking->arena, view, err);
    if (rc == RC_OK)
        rc = order_lock(tx, view->refund.order_id, asking->arena, &order, err);
    if (rc == RC_OK) /* again, under the lock */
        rc = refund_view_read(tx, retry->refund_no, asking->arena, view, err);
    if (rc)
        return rc;
    if (view->refund.status == REFUND_SUCCEEDED)
        return error_set(err, RC_CONFLICT, "the refund has succeeded");
    rc = view->refund.status == REFUND_FAILED ? begin_again(asking, tx, err) : refund_mark(asking, tx, err);
    return rc ? rc : hold(asking, tx, err);
}

static void retried(void *arg, enum rc rc, const struct refund_view *view, const struct error *end_err)
{
    struct retry *retry = arg;
    struct error err = *end_err;
    retry->done(retry->arg, not_known(rc, &err), view, &err);
}

void pay_refund_retry(struct pay *pay, const struct caller *caller, int64_t refund_no, struct arena *arena, refund_done done,
                      void *arg)
{
    struct error err = { 0 };
    struct retry *retry = arena_alloc(arena, sizeof *retry);
    if (!retry) {
        done(arg, error_set(&err, RC_NOMEM, "out of memory"), NULL, &err);
        return;
    }
    *retry = (struct retry){
        .asking = { .pay = pay, .arena = arena, .done = retried, .arg = retry }, .caller = caller, .refund_no = refund_no,
        .done = done, .arg = arg,
    };
    enum rc rc = store_write(pay->store, LANE_WORK, retry_tx, retry, &err);
    if (rc)
        done(arg, rc, NULL, &err);
    else
        refund_ask(&retry->asking);
}

/* ------------------------------------------------------------------------------------------------ read, list */

struct reading {
    struct pay *pay;
    const struct caller *caller;
    int64_t refund_no;
    struct arena *arena;
    refund_done done;
    void *arg;
    struct refund_view view;
};

static enum rc read_tx(struct tx *tx, void *arg, struct error *err)
{
    struct reading *reading = arg;
    return read_seen(tx, reading->caller, reading->refund_no, reading->arena, &reading->view, err);
}

static void show(struct reading *reading)
{
    struct error err = { 0 };
    enum rc rc = store_read(reading->pay->store, read_tx, reading, &err);
    reading->done(reading->arg, rc, rc ? NULL : &reading->view, &err);
}

static void refreshed(void *arg, bool learned)
{
    (void)learned; /* the status says it */
    show(arg);
}

void pay_refund_get(struct pay *pay, const struct caller *caller, int64_t refund_no, bool refresh, struct arena *arena,
                    refund_done done, void *arg)
{
    struct error err = { 0 };
    struct reading *reading = arena_alloc(arena, sizeof *reading);
    if (!reading) {
        done(arg, error_set(&err, RC_NOMEM, "out of memory"), NULL, &err);
        return;
    }
    *reading = (struct reading){ .pay = pay, .caller = caller, .refund_no = refund_no, .arena = arena, .done = done, .arg = arg };
    enum rc rc = store_read(pay->store, read_tx, reading, &err);
    if (rc || !refresh || refund_ended(&reading->view.refund))
        done(arg, rc, rc ? NULL : &reading->view, &err);
    else
        refund_inquire(pay, refund_no, false, arena, refreshed, reading);
}

struct list {
    const struct refund_filter *filter;
    struct arena *arena;
    struct refund *refunds;
    size_t count;
};

static enum rc list_tx(struct tx *tx, void *arg, struct error *err)
{
    struct list *list = arg;
    return refund_list(tx, list->filter, list->arena, &list->refunds, &list->count, err);
}

enum rc pay_refund_list(struct pay *pay, const struct caller *caller, struct refund_filter *filter, struct arena *arena,
                        struct refund **ret, size_t *ret_count, struct error *err)
{
    if (caller->app->role != ROLE_OPERATOR)
        filter->app = caller->app->name;
    struct list list = { .filter = filter, .arena = arena };
    enum rc rc = store_read(pay->store, list_tx, &list, err);
    if (rc)
        return rc;
    *ret = list.refunds;
    *ret_count = list.count;
    return RC_OK;
}

/* ------------------------------------------------------------------------------------------------ by policy */

struct by_policy {
    int64_t pay_no;
    struct arena *arena;
    bool made;
};

/* Once: whatever refund the payment has had, succeeded or not, the rest is for people. */
static enum rc policy_tx(struct tx *tx, void *arg, struct error *err)
{
    struct by_policy *policy = arg;
    struct pay_record record;
    struct order order;
    struct refund *refunds, refund;
    size_t count = 0;
    policy->made = false;
    enum rc rc = record_get(tx, policy->pay_no, policy->arena, &record, err);
    if (rc == RC_OK)
        rc = order_lock(tx, record.order_id, policy->arena, &order, err);
    if (rc == RC_OK)
        rc = record_get(tx, policy->pay_no, policy->arena, &record, err);
    if (rc == RC_OK)
        rc = refunds_of_record(tx, policy->pay_no, policy->arena, &refunds, &count, err);
    const char *cause = rc == RC_OK ? settle_refund_cause(&order, &record) : NULL;
    if (rc || count > 0 || !cause || record.status != PAYMENT_PAID || left_of(&record) == 0)
        return rc;
    refund = (struct refund){
        .pay_no = record.pay_no, .order_id = record.order_id, .app = record.app, .channel = record.channel, .source = "policy",
        .cause = cause, .amount_minor = left_of(&record), .currency = record.currency, .status = REFUND_CREATED,
    };
    if ((rc = ids_next(&refund.refund_no)) != RC_OK)
        return error_set(err, rc, "this node's lease for making ids has lapsed");
    rc = reserve(tx, &record, refund.amount_minor, err);
    if (rc == RC_OK)
        rc = refund_insert(tx, &refund, err);
    if (rc == RC_OK)
        rc = schedule_put(tx, &(struct schedule_entry){ refund.refund_no, TASK_REFUND, refund.channel, 0 }, err);
    policy->made = rc == RC_OK;
    return rc;
}

enum rc refund_by_policy(struct pay *pay, int64_t pay_no, struct error *err)
{
    struct by_policy policy = { .pay_no = pay_no, .arena = arena_new(0) };
    enum rc rc = store_write(pay->store, LANE_WORK, policy_tx, &policy, err);
    if (rc == RC_OK && policy.made)
        follow_up_wake(pay->follow_up);
    arena_free(policy.arena);
    return rc;
}
