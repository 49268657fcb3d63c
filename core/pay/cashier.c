/*
 * The cashier's business: what its link shows, and what choosing does. The attempts made here carry the keys "cashier:0",
 * "cashier:1", … in the order in which they were chosen. Only the last one is ever shown as payable: choosing again puts
 * all before it on the schedule to be closed, in the transaction that makes the new one. So nobody is shown a code that is
 * about to be closed. Workers only.
 */
#include "pay/cashier.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "pay/internal.h"
#include "plugin/registry.h"

/* So that nobody who plays with the buttons fills the books and calls providers without end. */
enum { CHOICES_MAX = 50 };

static const char key_prefix[] = CASHIER_KEY_PREFIX;

const char *cashier_state_name(enum cashier_state state)
{
    static const char *const names[] = {
        [CASHIER_CHOICE] = "choice",     [CASHIER_OPEN] = "open",         [CASHIER_UNANSWERED] = "unanswered",
        [CASHIER_LEFT] = "left",         [CASHIER_DECLINED] = "declined", [CASHIER_ENDED] = "ended",
        [CASHIER_PAID] = "paid",         [CASHIER_TWICE] = "twice",       [CASHIER_LATE] = "late",
        [CASHIER_REFUNDED] = "refunded", [CASHIER_EXPIRED] = "expired",   [CASHIER_CLOSED] = "closed",
        [CASHIER_STALE] = "stale",
    };
    return names[state];
}

/* ------------------------------------------------------------------------------------------------ links */

const char *cashier_path(struct pay *pay, int64_t order_id, struct arena *arena)
{
    const char *signature = link_sign(pay->links, "cashier", order_id, arena);
    return signature ? arena_printf(arena, "cashier/%" PRId64 "?k=%s", order_id, signature) : NULL;
}

const char *pay_cashier_link(struct pay *pay, int64_t order_id, struct arena *arena)
{
    const char *path = cashier_path(pay, order_id, arena);
    return path ? arena_printf(arena, "%s/%s", pay->config->server.public_url, path) : NULL;
}

/* ------------------------------------------------------------------------------------------------ attempts */

/* The how-manieth choice of its order this was, from 0; -1: not made by the cashier. */
static long choice_number(const struct pay_record *record)
{
    const char *key = record->idempotency_key;
    if (!key || strncmp(key, key_prefix, sizeof key_prefix - 1) != 0)
        return -1;
    const char *digits = key + sizeof key_prefix - 1;
    size_t len = strlen(digits);
    return len > 0 && len < 10 && strspn(digits, "0123456789") == len ? strtol(digits, NULL, 10) : -1;
}

/* The attempt chosen last; NULL: none. */
static const struct pay_record *last_choice(const struct pay_record *records, size_t count)
{
    const struct pay_record *last = NULL;
    for (size_t i = 0; i < count; i++)
        if (choice_number(&records[i]) > (last ? choice_number(last) : -1))
            last = &records[i];
    return last;
}

bool cashier_made(const struct pay_record *record)
{
    return choice_number(record) >= 0;
}

enum rc cashier_left(struct tx *tx, const struct pay_record *record, struct arena *arena, bool *ret_left, struct error *err)
{
    struct pay_record *records;
    size_t count;
    if (!cashier_made(record)) {
        *ret_left = false;
        return RC_OK;
    }
    enum rc rc = records_of_order(tx, record->order_id, arena, &records, &count, err);
    if (rc == RC_OK)
        *ret_left = last_choice(records, count)->pay_no != record->pay_no;
    return rc;
}

bool cashier_fits_address(const struct pay_record *record, const char *client_ip, struct arena *arena)
{
    struct prepay params = { 0 };
    if (!record->params || prepay_read(record->params, arena, &params, NULL) != RC_OK)
        return true;
    for (size_t i = 0; i < params.field_count; i++)
        if (strcmp(params.fields[i].name, "client_ip") == 0)
            return client_ip && strcmp(params.fields[i].value, client_ip) == 0;
    return true;
}

enum rc cashier_pick(struct tx *tx, const struct payment_request *request, const char *product, const char *client_ip,
                     struct arena *arena, const char **ret_key, bool *ret_left_others, struct error *err)
{
    struct pay_record *records;
    size_t count;
    bool left_others = false;
    enum rc rc = records_of_order(tx, request->order_id, arena, &records, &count, err);
    if (rc)
        return rc;
    const struct pay_record *last = last_choice(records, count);
    bool again = last && last->status == PAYMENT_UNPAID && strcmp(last->channel, request->channel) == 0 &&
                 strcmp(last->product, product) == 0 && cashier_fits_address(last, client_ip, arena);
    if (!again && last && choice_number(last) + 1 >= CHOICES_MAX)
        return error_set(err, RC_FULL, "the payer has chosen %d times", CHOICES_MAX);
    for (size_t i = 0; !again && rc == RC_OK && i < count; i++)
        if (cashier_made(&records[i]) && records[i].status == PAYMENT_UNPAID) {
            const struct schedule_entry close = { records[i].pay_no, TASK_CLOSE, records[i].channel, 0 };
            rc = schedule_put(tx, &close, err);
            left_others = true;
        }
    if (rc)
        return rc;
    const char *key = again ? last->idempotency_key
                            : arena_printf(arena, "%s%ld", key_prefix, last ? choice_number(last) + 1 : 0);
    if (!key)
        return error_set(err, RC_NOMEM, "out of memory");
    *ret_key = key;
    *ret_left_others = left_others;
    return RC_OK;
}

/* ------------------------------------------------------------------------------------------------ choices */

/* What a browser can do with the result, for this currency, with nothing asked of the payer but his address. */
static bool is_offered(const struct pn_product *product, const char *currency, const char *client_ip)
{
    bool shown = product->prepay_kind == PN_PREPAY_CODE_URL || product->prepay_kind == PN_PREPAY_FORM ||
                 product->prepay_kind == PN_PREPAY_REDIRECT;
    bool asks_nothing = !product->params || !product->params[0];
    bool asks_address = !asks_nothing && strcmp(product->params, "client_ip") == 0;
    return shown && (asks_nothing || (asks_address && client_ip && client_ip[0])) && product->currencies &&
           text_in_choices(product->currencies, currency, strlen(currency));
}

static size_t product_count(const struct config_channel *channel)
{
    size_t count = 0;
    while (channel_products(channel->channel)[count])
        count++;
    return count;
}

enum rc cashier_choices(const struct config *config, const struct order *order, const char *client_ip, struct arena *arena,
                        struct cashier_choice **ret, size_t *ret_count, struct error *err)
{
    const struct config_app *app = config_app_find(config, order->app);
    size_t room = 1, count = 0;
    for (size_t c = 0; c < config->channel_count; c++)
        room += product_count(&config->channels[c]);
    struct cashier_choice *choices = arena_alloc(arena, room * sizeof *choices);
    if (!choices)
        return error_set(err, RC_NOMEM, "out of memory");
    for (size_t c = 0; app && c < config->channel_count; c++) {
        const struct config_channel *channel = &config->channels[c];
        if (!config_app_may_use(app, channel->name))
            continue;
        for (const struct pn_product *const *product = channel_products(channel->channel); *product; product++)
            if (is_offered(*product, order->currency, client_ip))
                choices[count++] = (struct cashier_choice){ channel->name, *product };
    }
    *ret = choices;
    *ret_count = count;
    return RC_OK;
}

static struct cashier_choice choice_of(const struct config *config, const struct pay_record *record)
{
    const struct config_channel *channel = config_channel_find(config, record->channel);
    return (struct cashier_choice){ record->channel, channel ? channel_product(channel->channel, record->product) : NULL };
}

/* ------------------------------------------------------------------------------------------------ the page */

struct load {
    int64_t order_id, pay_no;
    struct arena *arena;
    struct order order;
    struct pay_record *records;
    size_t count;
    int64_t now;
};

static enum rc load_tx(struct tx *tx, void *arg, struct error *err)
{
    struct load *load = arg;
    enum rc rc = order_get(tx, load->order_id, load->arena, &load->order, err);
    if (rc == RC_OK)
        rc = records_of_order(tx, load->order_id, load->arena, &load->records, &load->count, err);
    return rc ? rc : tx_now(tx, &load->now, err);
}

static const struct pay_record *find(const struct load *load)
{
    for (size_t i = 0; i < load->count; i++)
        if (load->records[i].pay_no == load->pay_no && cashier_made(&load->records[i]))
            return &load->records[i];
    return NULL;
}

static bool is_paid(const struct pay_record *record)
{
    return record && (record->status == PAYMENT_PAID || record->status == PAYMENT_REFUNDED);
}

static enum cashier_state state_of(const struct load *load, const struct pay_record *shown)
{
    const struct order *order = &load->order;
    switch (order->status) {
    case ORDER_REFUNDED:
    case ORDER_PAID:
        if (is_paid(shown) && shown->pay_no != order->paid_pay_no)
            return CASHIER_TWICE;
        return order->status == ORDER_PAID ? CASHIER_PAID : CASHIER_REFUNDED;
    case ORDER_CLOSING:
    case ORDER_CLOSED:
        if (is_paid(shown))
            return CASHIER_LATE;
        return load->now >= order->expires_at ? CASHIER_EXPIRED : CASHIER_CLOSED;
    case ORDER_UNPAID:
        break;
    }
    if (load->now >= order->expires_at)
        return CASHIER_EXPIRED;
    if (!shown)
        return CASHIER_CHOICE;
    bool last = last_choice(load->records, load->count)->pay_no == shown->pay_no;
    if (shown->status == PAYMENT_CLOSED)
        return last && !shown->merchant ? CASHIER_DECLINED : CASHIER_ENDED;
    if (!last)
        return CASHIER_LEFT;
    if (!shown->merchant)
        return CASHIER_UNANSWERED;
    return prepay_is_stale(shown, load->arena) ? CASHIER_STALE : CASHIER_OPEN;
}

/* The other open attempts, named by how they are paid. */
static enum rc note_others(struct pay *pay, const struct load *load, struct cashier_page *page, struct error *err)
{
    struct cashier_choice *others = arena_alloc(load->arena, (load->count + 1) * sizeof *others);
    if (!others)
        return error_set(err, RC_NOMEM, "out of memory");
    for (size_t i = 0; i < load->count; i++)
        if (load->records[i].status == PAYMENT_UNPAID && load->records[i].pay_no != page->view.record.pay_no)
            others[page->other_count++] = choice_of(pay->config, &load->records[i]);
    page->others = others;
    return RC_OK;
}

enum rc pay_cashier_load(struct pay *pay, int64_t order_id, const char *signature, int64_t pay_no, const char *client_ip,
                         struct arena *arena, struct cashier_page *ret_page, struct error *err)
{
    if (!link_verify(pay->links, "cashier", order_id, signature))
        return error_set(err, RC_NOT_FOUND, "no such order");
    struct load load = { .order_id = order_id, .pay_no = pay_no, .arena = arena };
    enum rc rc = store_read(pay->store, load_tx, &load, err);
    if (rc)
        return rc;
    const struct pay_record *shown = find(&load);
    const struct pay_record *last = last_choice(load.records, load.count);
    struct cashier_page page = { .state = state_of(&load, shown), .order = load.order, .view.order = load.order };
    bool payable = load.order.status == ORDER_UNPAID && load.now < load.order.expires_at;
    page.left_ms = payable ? load.order.expires_at - load.now : 0;
    page.current = payable && last && last->status == PAYMENT_UNPAID ? last->pay_no : 0;
    if (shown) {
        page.view.record = *shown;
        page.chosen = choice_of(pay->config, shown);
        rc = payment_view_complete(pay, &page.view, arena, err);
    }
    if (rc == RC_OK)
        rc = note_others(pay, &load, &page, err);
    struct cashier_choice *choices;
    if (rc == RC_OK)
        rc = cashier_choices(pay->config, &load.order, client_ip, arena, &choices, &page.choice_count, err);
    if (rc)
        return rc;
    page.choices = choices;
    *ret_page = page;
    return RC_OK;
}

/* ------------------------------------------------------------------------------------------------ choosing */

struct choosing {
    struct caller caller;
    struct payment_request request;
    struct param client_ip;
};

static enum rc prepare(struct pay *pay, struct choosing *choosing, int64_t order_id, const char *signature,
                       const char *client_ip, struct arena *arena, struct error *err)
{
    struct payment_request *request = &choosing->request;
    struct load load = { .order_id = order_id, .arena = arena };
    struct cashier_choice *choices;
    size_t count;
    if (!link_verify(pay->links, "cashier", order_id, signature))
        return error_set(err, RC_NOT_FOUND, "no such order");
    enum rc rc = store_read(pay->store, load_tx, &load, err);
    if (rc == RC_OK)
        rc = cashier_choices(pay->config, &load.order, client_ip, arena, &choices, &count, err);
    if (rc)
        return rc;
    bool offered = false;
    for (size_t i = 0; i < count; i++)
        offered |= strcmp(choices[i].channel, request->channel) == 0 && strcmp(choices[i].product->name, request->product) == 0;
    if (!offered)
        return error_field(err, RC_BAD_INPUT, "channel", "this way to pay is not offered");
    choosing->caller.app = config_app_find(pay->config, load.order.app);
    choosing->client_ip = (struct param){ "client_ip", client_ip };
    request->params = &choosing->client_ip;
    request->param_count = 1;
    return RC_OK;
}

void pay_cashier_choose(struct pay *pay, int64_t order_id, const char *signature, const char *channel, const char *product,
                        const char *client_ip, struct arena *arena, payment_done done, void *arg)
{
    struct error err = { 0 };
    struct choosing *choosing = arena_alloc(arena, sizeof *choosing);
    if (!choosing) {
        done(arg, error_set(&err, RC_NOMEM, "out of memory"), NULL, &err);
        return;
    }
    choosing->request = (struct payment_request){ .order_id = order_id, .channel = channel, .product = product, .by_cashier = true };
    enum rc rc = prepare(pay, choosing, order_id, signature, client_ip, arena, &err);
    if (rc)
        done(arg, rc, NULL, &err);
    else
        pay_payment_create(pay, &choosing->caller, &choosing->request, arena, done, arg);
}
