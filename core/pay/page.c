/*
 * What a payer's signed link shows: the provider's form, a redirect, a code to scan, or why not. Workers only; the status
 * poll never calls a provider.
 *
 * Redirects do not live long (some for five minutes), codes a little longer. A stale one is made anew, with the same
 * parameters. What the cashier made for somebody at another address sends the payer back there to choose again.
 */
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/ids.h"
#include "pay/internal.h"
#include "pay/merchant.h"
#include "plugin/registry.h"

/* One opening of a link; lives in the caller's arena. */
struct opening {
    struct pay *pay;
    int64_t pay_no;
    const char *client_ip;
    struct arena *arena;
    page_done done;
    void *arg;
    struct pay_page page;
    bool left; /* the payer has chosen another way to pay since */
    struct prepay prepay;
    const char *merchant, *keep; /* for the record */
};

static void opening_end(struct opening *opening, enum rc rc, const struct error *err)
{
    bool known = rc == RC_OK || opening->page.record.pay_no != 0;
    opening->done(opening->arg, rc, known ? &opening->page : NULL, err);
}

static enum rc load_tx(struct tx *tx, void *arg, struct error *err)
{
    struct opening *opening = arg;
    enum rc rc = record_get(tx, opening->pay_no, opening->arena, &opening->page.record, err);
    if (rc == RC_OK)
        rc = cashier_left(tx, &opening->page.record, opening->arena, &opening->left, err);
    return rc ? rc : order_get(tx, opening->page.record.order_id, opening->arena, &opening->page.order, err);
}

static bool may_choose_again(const struct order *order)
{
    return order->status == ORDER_UNPAID && wall_ms() < order->expires_at;
}

/* Whether the link still leads to a payment; sets the page's kind when not. */
static bool may_go_on(struct opening *opening)
{
    struct pay_page *page = &opening->page;
    bool paid = page->order.status == ORDER_PAID || page->order.status == ORDER_REFUNDED || page->record.status == PAYMENT_PAID ||
                page->record.status == PAYMENT_REFUNDED;
    if (paid)
        page->kind = PAGE_PAID;
    else if (!record_may_be_paid(&page->order, &page->record, wall_ms()))
        page->kind = cashier_made(&page->record) && may_choose_again(&page->order) ? PAGE_CHOOSE_AGAIN : PAGE_REFUSED;
    else if (opening->left)
        page->kind = PAGE_CHOOSE_AGAIN;
    else
        return true;
    return false;
}

static bool is_web_address(const char *url)
{
    return url && (strncmp(url, "https://", 8) == 0 || strncmp(url, "http://", 7) == 0);
}

static void show(struct opening *opening)
{
    struct pay_page *page = &opening->page;
    page->url = opening->prepay.url;
    page->fields = opening->prepay.fields;
    page->field_count = opening->prepay.field_count;
    switch (opening->prepay.kind) {
    case PN_PREPAY_FORM:
        page->kind = PAGE_FORM;
        break;
    case PN_PREPAY_REDIRECT:
        page->kind = is_web_address(page->url) ? PAGE_REDIRECT : PAGE_ELSEWHERE;
        break;
    case PN_PREPAY_CODE_URL:
        page->kind = PAGE_CODE;
        break;
    case PN_PREPAY_APP_PARAMS: /* for the caller's app, not for a browser */
    case PN_PREPAY_NONE:
        page->kind = PAGE_ELSEWHERE;
    }
    opening_end(opening, RC_OK, NULL);
}

/* Before a payer gets anything payable, the books know that he may have it; under the order's lock, so that closing
 * either sees that or prevents it. */
static enum rc shown_tx(struct tx *tx, void *arg, struct error *err)
{
    struct opening *opening = arg;
    enum rc rc = order_lock(tx, opening->page.order.order_id, opening->arena, &opening->page.order, err);
    if (rc == RC_OK)
        rc = record_get(tx, opening->pay_no, opening->arena, &opening->page.record, err);
    if (rc == RC_OK)
        rc = cashier_left(tx, &opening->page.record, opening->arena, &opening->left, err);
    struct prepay kept = { 0 };
    if (rc == RC_OK && opening->page.record.prepay)
        rc = prepay_read(opening->page.record.prepay, opening->arena, &kept, err);
    bool stays = opening->page.record.prepay && prepay_is_fresh(&kept, wall_ms());
    if (rc || !may_go_on(opening) || stays)
        return rc;
    return record_set_prepay(tx, opening->pay_no, opening->merchant, opening->keep, err);
}

static void prepared(void *arg, enum rc rc, const struct pn_result *result, bool called, const struct error *provider_err)
{
    struct opening *opening = arg;
    struct error err = *provider_err;
    if (rc == RC_OK && result->prepay_kind == PN_PREPAY_NONE)
        rc = RC_UNKNOWN;
    if (rc == RC_UNKNOWN || rc == RC_UNAVAILABLE) {
        char digits[ID_TEXT_MAX];
        if (rc == RC_UNKNOWN) /* it may be paid already, and nobody has told us */
            pay_hint(opening->pay, opening->page.record.channel, id_format(opening->pay_no, digits), NULL, HINT_RETURN, NULL, NULL);
        opening->page.kind = PAGE_TRY_AGAIN;
        opening_end(opening, RC_OK, NULL);
        return;
    }
    if (rc == RC_OK)
        rc = prepay_from_result(result, opening->arena, &opening->prepay, &err);
    if (rc) {
        opening_end(opening, rc, &err);
        return;
    }
    struct buf merchant = { 0 };
    merchant_write(&merchant, &result->merchant);
    opening->merchant = arena_strdup(opening->arena, buf_text(&merchant));
    buf_free(&merchant);
    opening->keep = called ? prepay_write(result, wall_ms(), opening->arena) : prepay_shown;
    rc = store_write(opening->pay->store, LANE_WORK, shown_tx, opening, &err);
    if (rc)
        opening_end(opening, rc, &err);
    else if (may_go_on(opening))
        show(opening);
    else
        opening_end(opening, RC_OK, NULL);
}

/* The parts of the page that do not depend on what the provider says. */
static enum rc fill_page(struct opening *opening, const char *signature, struct error *err)
{
    struct pay_page *page = &opening->page;
    page->status_url = arena_printf(opening->arena, "%" PRId64 "/status?k=%s", opening->pay_no, signature);
    if (cashier_made(&page->record)) {
        const char *path = cashier_path(opening->pay, page->order.order_id, opening->arena);
        if (path && (opening->left || page->record.status == PAYMENT_CLOSED)) /* there it says what became of this one */
            page->cashier_url = arena_printf(opening->arena, "../%s&pay=%" PRId64, path, opening->pay_no);
        else if (path)
            page->cashier_url = arena_printf(opening->arena, "../%s", path);
    }
    return page->record.prepay ? prepay_read(page->record.prepay, opening->arena, &opening->prepay, err) : RC_OK;
}

void pay_page_open(struct pay *pay, int64_t pay_no, const char *signature, const char *client_ip, struct arena *arena,
                   page_done done, void *arg)
{
    struct error err = { 0 };
    struct opening *opening = arena_alloc(arena, sizeof *opening);
    enum rc rc = RC_OK;
    if (!link_verify(pay->links, "pay", pay_no, signature))
        rc = error_set(&err, RC_NOT_FOUND, "no such payment");
    else if (!opening)
        rc = error_set(&err, RC_NOMEM, "out of memory");
    if (rc) {
        done(arg, rc, NULL, &err);
        return;
    }
    *opening = (struct opening){
        .pay = pay, .pay_no = pay_no, .client_ip = client_ip ? client_ip : "", .arena = arena, .done = done, .arg = arg,
    };
    rc = store_read(pay->store, load_tx, opening, &err);
    if (rc == RC_OK)
        rc = fill_page(opening, signature, &err);
    bool elsewhere = rc == RC_OK && cashier_made(&opening->page.record) &&
                     !cashier_fits_address(&opening->page.record, opening->client_ip, arena);
    if (rc == RC_OK && may_go_on(opening) && elsewhere) {
        opening->page.kind = PAGE_CHOOSE_AGAIN;
        opening_end(opening, RC_OK, NULL);
    } else if (rc || !may_go_on(opening))
        opening_end(opening, rc, &err);
    else if (opening->prepay.url && prepay_is_fresh(&opening->prepay, wall_ms()))
        show(opening);
    else
        provider_call(pay, &(struct provider_ask){ .order = &opening->page.order, .record = &opening->page.record,
                                                   .operation = PN_PREPAY, .client_ip = client_ip }, arena, prepared, opening);
}

enum rc pay_page_status(struct pay *pay, int64_t pay_no, const char *signature, struct arena *arena, struct pay_record *ret_record,
                        struct order *ret_order, struct error *err)
{
    if (!link_verify(pay->links, "pay", pay_no, signature))
        return error_set(err, RC_NOT_FOUND, "no such payment");
    struct opening opening = { .pay = pay, .pay_no = pay_no, .arena = arena };
    enum rc rc = store_read(pay->store, load_tx, &opening, err);
    if (rc)
        return rc;
    *ret_record = opening.page.record;
    *ret_order = opening.page.order;
    return RC_OK;
}
