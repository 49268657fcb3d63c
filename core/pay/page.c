/*
 * What a payer's signed link shows: the provider's form, a redirect, a code to scan, or why not. Workers only; the status
 * poll never calls a provider.
 */
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "pay/internal.h"
#include "pay/merchant.h"
#include "plugin/registry.h"

/* One opening of a link; lives in the caller's arena. */
struct opening {
    struct pay *pay;
    int64_t pay_no;
    struct arena *arena;
    page_done done;
    void *arg;
    struct pay_page page;
    struct prepay prepay;
    const char *merchant, *keep; /* for the record */
};

static void opening_end(struct opening *opening, enum rc rc, const struct error *err)
{
    opening->done(opening->arg, rc, rc == RC_OK ? &opening->page : NULL, err);
}

static enum rc load_tx(struct tx *tx, void *arg, struct error *err)
{
    struct opening *opening = arg;
    enum rc rc = record_get(tx, opening->pay_no, opening->arena, &opening->page.record, err);
    return rc ? rc : order_get(tx, opening->page.record.order_id, opening->arena, &opening->page.order, err);
}

/* Whether the link still leads to a payment; sets the page's kind when not. */
static bool may_go_on(struct pay_page *page)
{
    bool paid = page->order.status == ORDER_PAID || page->order.status == ORDER_REFUNDED || page->record.status == PAYMENT_PAID ||
                page->record.status == PAYMENT_REFUNDED;
    if (paid)
        page->kind = PAGE_PAID;
    else if (!record_may_be_paid(&page->order, &page->record, wall_ms()))
        page->kind = PAGE_REFUSED;
    else
        return true;
    return false;
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
        page->kind = PAGE_REDIRECT;
        break;
    case PN_PREPAY_CODE_URL:
        page->kind = PAGE_CODE;
        break;
    case PN_PREPAY_APP_PARAMS: /* for the caller's app, not for a browser */
    case PN_PREPAY_NONE:
        page->kind = PAGE_REFUSED;
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
    if (rc || !may_go_on(&opening->page) || opening->page.record.prepay)
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
    opening->keep = called ? prepay_write(result, opening->arena) : prepay_shown;
    rc = store_write(opening->pay->store, LANE_WORK, shown_tx, opening, &err);
    if (rc)
        opening_end(opening, rc, &err);
    else if (may_go_on(&opening->page))
        show(opening);
    else
        opening_end(opening, RC_OK, NULL);
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
    *opening = (struct opening){ .pay = pay, .pay_no = pay_no, .arena = arena, .done = done, .arg = arg };
    rc = store_read(pay->store, load_tx, opening, &err);
    opening->page.status_url = arena_printf(arena, "%" PRId64 "/status?k=%s", pay_no, signature);
    if (rc == RC_OK && opening->page.record.prepay)
        rc = prepay_read(opening->page.record.prepay, arena, &opening->prepay, &err);
    if (rc || !may_go_on(&opening->page))
        opening_end(opening, rc, &err);
    else if (opening->prepay.url)
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
