/*
 * The state machine of design §5. Pure: no store, no clock, no allocation; the committer calls it for each item of a
 * batch, in arrival order, on the picture that it loaded under the order's lock.
 */
#include "pay/settle.h"

#include <string.h>

#include "pay/merchant.h"

/* What does not fit the books, in words for the audit; NULL when everything that was stated fits. */
static const char *mismatch(const struct fact *fact, const struct pay_record *record)
{
    if (strcmp(fact->channel, record->channel) != 0)
        return "it came through another channel";
    if (!merchant_matches(record->merchant, fact->merchant))
        return "it was addressed to another merchant";
    if (fact->total_minor != PN_NOT_STATED && fact->total_minor != record->amount_minor)
        return "the amount differs";
    if (fact->currency && strcmp(fact->currency, record->currency) != 0)
        return "the currency differs";
    if (fact->trade_no && record->trade_no && strcmp(fact->trade_no, record->trade_no) != 0)
        return "it names another trade number";
    /* Money is only believed when its amount is stated. */
    if (fact->state == PN_STATE_PAID && fact->total_minor == PN_NOT_STATED)
        return "it does not state the amount";
    return NULL;
}

static enum settle_outcome refuse(const char *why, struct pay_record *record, struct effects *effects)
{
    effects->audit = why;
    /* The provider repeats what we refuse: one event per record is enough to wake somebody. */
    if (!record->needs_review)
        effects->event = "payment.review";
    record->needs_review = true;
    return SETTLED_MISMATCH;
}

static enum settle_outcome decide_paid(const struct fact *fact, enum late_policy late, struct order *order,
                                       struct pay_record *record, struct effects *effects)
{
    if (record->status == PAYMENT_PAID || record->status == PAYMENT_REFUNDED)
        return SETTLED_REPEATED;

    record->status = PAYMENT_PAID;
    record->trade_no = fact->trade_no;
    record->payer = fact->payer;
    record->paid_at = fact->paid_at;

    switch (order->status) {
    case ORDER_UNPAID:
    case ORDER_CLOSING:
        order->status = ORDER_PAID;
        order->paid_pay_no = record->pay_no;
        order->paid_at = fact->paid_at;
        effects->event = "payment.succeeded";
        effects->close_siblings = true;
        return SETTLED_APPLIED;
    case ORDER_CLOSED:
        effects->event = "payment.late";
        effects->audit = "the order was closed before";
        effects->follow_up = late == LATE_ACCEPT;
        return SETTLED_LATE;
    case ORDER_PAID:
    case ORDER_REFUNDED:
        effects->event = "payment.duplicate";
        effects->audit = "another payment paid the order before";
        return SETTLED_DUPLICATE;
    }
    return SETTLED_NOT;
}

static bool told_unasked(const struct fact *fact)
{
    return strcmp(fact->source, "notification") == 0;
}

/* Before its PREPAY has been answered, the books do not know to whom a payment has to be addressed. What a provider signs
 * for any of its merchants is then no proof that the money is ours; its answer to our own question is. */
static bool addressee_unknown(const struct fact *fact, const struct pay_record *record)
{
    return fact->state == PN_STATE_PAID && told_unasked(fact) && fact->merchant && !record->merchant &&
           (record->status == PAYMENT_UNPAID || record->status == PAYMENT_CLOSED);
}

static enum settle_outcome decide_refunded(const struct fact *fact, const struct pay_record *record, struct effects *effects)
{
    effects->audit = "the provider reports a refund";
    /* A refund of what we do not know as paid means that we missed the payment: ask, unless this is the answer. */
    effects->follow_up = told_unasked(fact) && (record->status == PAYMENT_UNPAID || record->status == PAYMENT_CLOSED);
    return SETTLED_REFUND;
}

static enum settle_outcome decide_closed(const struct fact *fact, struct pay_record *record, struct effects *effects)
{
    switch (record->status) {
    case PAYMENT_UNPAID:
        record->status = PAYMENT_CLOSED;
        return SETTLED_CLOSED;
    case PAYMENT_CLOSED:
    case PAYMENT_REFUNDED:
        return SETTLED_REPEATED;
    case PAYMENT_PAID:
        break;
    }
    if (fact->refunded_minor != PN_NOT_STATED && fact->refunded_minor >= record->amount_minor)
        return decide_refunded(fact, record, effects);
    effects->audit = "closed by the provider, but paid in the books";
    if (!record->needs_review)
        effects->event = "payment.review";
    record->needs_review = true;
    return SETTLED_NOTED;
}

enum settle_outcome settle_decide(const struct fact *fact, enum late_policy late, struct order *order,
                                  struct pay_record *record, struct effects *ret_effects)
{
    *ret_effects = (struct effects){ 0 };
    const char *why = mismatch(fact, record);
    if (why)
        return refuse(why, record, ret_effects);
    if (addressee_unknown(fact, record)) {
        ret_effects->follow_up = true;
        return refuse("the books do not say to whom it has to be addressed; the provider is asked", record, ret_effects);
    }

    switch (fact->state) {
    case PN_STATE_PAID:
        return decide_paid(fact, late, order, record, ret_effects);
    case PN_STATE_CLOSED:
        return decide_closed(fact, record, ret_effects);
    case PN_STATE_REFUNDED:
        return decide_refunded(fact, record, ret_effects);
    case PN_STATE_FAILED:
        ret_effects->audit = "the provider reports a failed attempt";
        return SETTLED_NOTED;
    case PN_STATE_UNPAID:
    case PN_STATE_NOT_FOUND:
    case PN_STATE_UNKNOWN:
    case PN_STATE_PROCESSING:
        /* Our own question is no news; what a provider says unasked is kept. */
        if (told_unasked(fact))
            ret_effects->audit = "not paid yet";
        return SETTLED_NOTED;
    }
    return SETTLED_NOTED;
}

const char *settle_outcome_name(enum settle_outcome outcome)
{
    static const char *const names[] = {
        [SETTLED_APPLIED] = "applied",   [SETTLED_REPEATED] = "repeated", [SETTLED_LATE] = "late",
        [SETTLED_DUPLICATE] = "duplicate", [SETTLED_MISMATCH] = "mismatch", [SETTLED_CLOSED] = "closed",
        [SETTLED_REFUND] = "refund",     [SETTLED_NOTED] = "noted",       [SETTLED_UNKNOWN_PAYMENT] = "unknown",
        [SETTLED_NOT] = "not_settled",
    };
    return names[outcome];
}

bool settle_outcome_accepted(enum settle_outcome outcome)
{
    return outcome != SETTLED_MISMATCH && outcome != SETTLED_UNKNOWN_PAYMENT && outcome != SETTLED_NOT;
}
