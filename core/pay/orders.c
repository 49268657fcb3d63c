/*
 * Orders: create (idempotent on the business's own number), read, list. Blocking, on worker threads.
 */
#include <string.h>

#include "base/ids.h"
#include "base/money.h"
#include "pay/internal.h"

bool caller_sees(const struct caller *caller, const char *app)
{
    return caller->app->role == ROLE_OPERATOR || strcmp(caller->app->name, app) == 0;
}

/* ------------------------------------------------------------------------------------------------ create */

struct create {
    struct pay *pay;
    const struct caller *caller;
    const struct order_request *request;
    struct arena *arena;
    struct order order;
    bool created;
};

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* A repeat must mean the same purchase; anything else the business service has mixed up. */
static enum rc check_same(const struct order *order, const struct order_request *request, struct error *err)
{
    char amount[MONEY_TEXT_MAX];
    if (order->amount_minor != request->amount_minor)
        return error_field(err, RC_CONFLICT, "amount", "order %s exists with amount %s", order->out_business_id,
                           money_format(order->amount_minor, order->currency, amount));
    if (!same_text(order->currency, request->currency))
        return error_field(err, RC_CONFLICT, "currency", "order %s exists with currency %s", order->out_business_id,
                           order->currency);
    if (!same_text(order->order_type, request->order_type))
        return error_field(err, RC_CONFLICT, "order_type", "order %s exists with another order_type", order->out_business_id);
    if (!same_text(order->user_id, request->user_id))
        return error_field(err, RC_CONFLICT, "user_id", "order %s exists for another user", order->out_business_id);
    return RC_OK;
}

static enum rc find_same(struct create *create, struct tx *tx, struct error *err)
{
    enum rc rc = order_find_open(tx, create->caller->app->name, create->request->out_business_id, create->arena, &create->order,
                                 err);
    create->created = false;
    return rc ? rc : check_same(&create->order, create->request, err);
}

static enum rc create_tx(struct tx *tx, void *arg, struct error *err)
{
    struct create *create = arg;
    const struct order_request *request = create->request;
    enum rc rc = find_same(create, tx, err);
    if (rc != RC_NOT_FOUND)
        return rc;

    int64_t id;
    if ((rc = ids_next(&id)) != RC_OK)
        return error_set(err, rc, "this node's lease for making ids has lapsed");
    create->order = (struct order){
        .order_id = id, .app = create->caller->app->name, .out_business_id = request->out_business_id,
        .user_id = request->user_id, .order_type = request->order_type, .name = request->name,
        .description = request->description, .amount_minor = request->amount_minor, .currency = request->currency,
        .attach = request->attach, .return_url = request->return_url, .status = ORDER_UNPAID,
    };
    create->created = true;
    int64_t expires_in = request->expires_in_ms ? request->expires_in_ms : create->pay->config->server.order_expiry_ms;
    rc = order_insert(tx, &create->order, expires_in, request->lines, request->line_count, err);
    if (rc == RC_OK)
        return schedule_put(tx, &(struct schedule_entry){ id, TASK_EXPIRE, "", expires_in }, err);
    if (rc != RC_EXISTS)
        return rc;
    /* Somebody else was faster with the same number; his order is committed by now, and when it is closed already, the
     * number is free again. */
    rc = find_same(create, tx, err);
    return rc == RC_NOT_FOUND ? error_set(err, RC_RETRY, "the order with this number was closed at this moment") : rc;
}

static enum rc check_request(const struct order_request *request, struct error *err)
{
    if (!request->out_business_id || !request->out_business_id[0])
        return error_field(err, RC_BAD_INPUT, "out_business_id", "is required");
    if (!request->name || !request->name[0])
        return error_field(err, RC_BAD_INPUT, "name", "is required");
    if (!request->currency || money_decimals(request->currency) < 0)
        return error_field(err, RC_BAD_INPUT, "currency", "is not an ISO 4217 code");
    if (request->amount_minor <= 0)
        return error_field(err, RC_BAD_INPUT, "amount", "must be more than zero");
    return RC_OK;
}

enum rc pay_order_create(struct pay *pay, const struct caller *caller, const struct order_request *request, struct arena *arena,
                         struct order *ret_order, bool *ret_created, struct error *err)
{
    struct create create = { .pay = pay, .caller = caller, .request = request, .arena = arena };
    enum rc rc = check_request(request, err);
    if (rc == RC_OK)
        rc = store_write(pay->store, LANE_WORK, create_tx, &create, err);
    if (rc)
        return rc;
    *ret_order = create.order;
    *ret_created = create.created;
    return RC_OK;
}

/* ------------------------------------------------------------------------------------------------ read, list */

struct get {
    const struct caller *caller;
    int64_t order_id;
    struct arena *arena;
    struct order_view view;
};

static enum rc get_tx(struct tx *tx, void *arg, struct error *err)
{
    struct get *get = arg;
    struct order_view *view = &get->view;
    enum rc rc = order_get(tx, get->order_id, get->arena, &view->order, err);
    if (rc)
        return rc;
    if (!caller_sees(get->caller, view->order.app))
        return error_set(err, RC_NOT_FOUND, "no such order");
    rc = order_lines(tx, get->order_id, get->arena, &view->lines, &view->line_count, err);
    return rc ? rc : records_of_order(tx, get->order_id, get->arena, &view->records, &view->record_count, err);
}

enum rc pay_order_get(struct pay *pay, const struct caller *caller, int64_t order_id, struct arena *arena, struct order_view *ret,
                      struct error *err)
{
    struct get get = { .caller = caller, .order_id = order_id, .arena = arena };
    enum rc rc = store_read(pay->store, get_tx, &get, err);
    if (rc == RC_OK)
        *ret = get.view;
    return rc;
}

struct list {
    const struct order_filter *filter;
    struct arena *arena;
    struct order *orders;
    size_t count;
};

static enum rc list_tx(struct tx *tx, void *arg, struct error *err)
{
    struct list *list = arg;
    return order_list(tx, list->filter, list->arena, &list->orders, &list->count, err);
}

enum rc pay_order_list(struct pay *pay, const struct caller *caller, struct order_filter *filter, struct arena *arena,
                       struct order **ret, size_t *ret_count, struct error *err)
{
    if (caller->app->role != ROLE_OPERATOR)
        filter->app = caller->app->name;
    struct list list = { .filter = filter, .arena = arena };
    enum rc rc = store_read(pay->store, list_tx, &list, err);
    if (rc)
        return rc;
    *ret = list.orders;
    *ret_count = list.count;
    return RC_OK;
}
