/*
 * Where a provider sends the payer's browser back to: an address of ours that carries a signed link in its path, because
 * providers add parameters of their own and some sign them together with the query. That somebody comes back is a hint
 * and no more. Workers.
 */
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/ids.h"
#include "pay/internal.h"

const char *pay_return_link(struct pay *pay, const struct pay_record *record, struct arena *arena)
{
    const char *signature = link_sign(pay->links, "return", record->pay_no, arena);
    return signature ? arena_printf(arena, "%s/return/%s/%" PRId64 "-%s", pay->config->server.public_url, record->channel,
                                    record->pay_no, signature)
                     : NULL;
}

/* "123-<signature>" */
static bool read_link(struct pay *pay, const char *link, struct arena *arena, int64_t *ret_pay_no)
{
    size_t digits = strcspn(link, "-");
    int64_t pay_no;
    if (!link[digits] || !id_parse(arena_strndup(arena, link, digits), &pay_no) ||
        !link_verify(pay->links, "return", pay_no, link + digits + 1))
        return false;
    *ret_pay_no = pay_no;
    return true;
}

struct reading {
    int64_t pay_no;
    struct arena *arena;
    struct pay_return *shown;
};

static enum rc load_tx(struct tx *tx, void *arg, struct error *err)
{
    struct reading *reading = arg;
    enum rc rc = record_get(tx, reading->pay_no, reading->arena, &reading->shown->record, err);
    return rc ? rc : order_get(tx, reading->shown->record.order_id, reading->arena, &reading->shown->order, err);
}

static const char *shop_url(const struct pay_return *shown, struct arena *arena)
{
    struct prepay params = { 0 };
    const char *kept = shown->record.params;
    if (kept && prepay_read(kept, arena, &params, NULL) == RC_OK && params.url)
        return params.url;
    return shown->order.return_url;
}

static enum return_state state_of(const struct pay_return *shown)
{
    bool received = shown->record.status == PAYMENT_PAID || shown->record.status == PAYMENT_REFUNDED;
    if (shown->order.status == ORDER_PAID || shown->order.status == ORDER_REFUNDED)
        return RETURN_PAID;
    if (received)
        return RETURN_LATE;
    int64_t now = wall_ms();
    if (record_may_be_paid(&shown->order, &shown->record, now))
        return RETURN_WAITING;
    return shown->order.status == ORDER_UNPAID && now < shown->order.expires_at ? RETURN_ENDED : RETURN_CLOSED;
}

enum rc pay_return_open(struct pay *pay, const char *link, struct arena *arena, struct pay_return *ret, struct error *err)
{
    struct pay_return shown = { 0 };
    struct reading reading = { .arena = arena, .shown = &shown };
    char digits[ID_TEXT_MAX];
    if (!read_link(pay, link, arena, &reading.pay_no))
        return error_set(err, RC_NOT_FOUND, "no such payment");
    enum rc rc = store_read(pay->store, load_tx, &reading, err);
    if (rc)
        return rc;
    const char *signature = link_sign(pay->links, "pay", reading.pay_no, arena);
    if (!signature)
        return error_set(err, RC_NOMEM, "out of memory");
    shown.state = state_of(&shown);
    shown.shop_url = shop_url(&shown, arena);
    shown.pay_path = arena_printf(arena, "pay/%" PRId64 "?k=%s", reading.pay_no, signature);
    shown.status_path = arena_printf(arena, "pay/%" PRId64 "/status?k=%s", reading.pay_no, signature);
    if (cashier_made(&shown.record)) {
        const char *path = cashier_path(pay, shown.order.order_id, arena);
        shown.cashier_path = path ? arena_printf(arena, "%s&pay=%" PRId64, path, reading.pay_no) : NULL;
    }
    if (shown.record.status == PAYMENT_UNPAID || shown.record.status == PAYMENT_CLOSED)
        pay_hint(pay, shown.record.channel, id_format(reading.pay_no, digits), NULL, HINT_RETURN, NULL, NULL);
    *ret = shown;
    return RC_OK;
}
