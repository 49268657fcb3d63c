/*
 * The state machine of design §5. Pure: no store, no clock, no allocation; the committer calls it for each item of a
 * batch, in arrival order, on the picture that it loaded under the order's lock.
 */
#include "pay/settle.h"

#include <string.h>

#include "pay/merchant.h"

enum { END_ORDER_MS = 30 * 1000 };

static bool is_paid(const struct pay_record *record)
{
    return record->status == PAYMENT_PAID || record->status == PAYMENT_REFUNDED;
}

static bool tells_of_money(const struct fact *fact, const struct pay_record *record)
{
    return fact->state == PN_STATE_PAID || (fact->state == PN_STATE_REFUNDED && !is_paid(record));
}

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
    if (fact->refunded_minor != PN_NOT_STATED && fact->refunded_minor > record->amount_minor)
        return "it states more refunded than was paid";
    return NULL;
}

static void add_event(struct effects *effects, const char *type, int refund)
{
    effects->events[effects->event_count].type = type;
    effects->events[effects->event_count++].refund = refund;
}

/* The provider repeats what we refuse: one event per record is enough to wake somebody. */
static void call_people(const char *why, struct pay_record *record, struct effects *effects)
{
    effects->audit = why;
    if (!record->needs_review)
        add_event(effects, "payment.review", -1);
    record->needs_review = true;
}

static enum settle_outcome refuse(const char *why, struct pay_record *record, struct effects *effects)
{
    call_people(why, record, effects);
    return SETTLED_MISMATCH;
}

static bool told_unasked(const struct fact *fact)
{
    return strcmp(fact->source, "notification") == 0;
}

/* ------------------------------------------------------------------------------------------------ payments */

static enum settle_outcome decide_paid(const struct fact *fact, const struct policies *policies, struct order *order,
                                       struct pay_record *record, struct effects *effects)
{
    if (is_paid(record))
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
        add_event(effects, "payment.succeeded", -1);
        effects->close_siblings = true;
        return SETTLED_APPLIED;
    case ORDER_CLOSED:
        add_event(effects, "payment.late", -1);
        effects->audit = "the order was closed before";
        if (policies->late != LATE_HOLD)
            effects->task = TASK_POLICY;
        return SETTLED_LATE;
    case ORDER_PAID:
    case ORDER_REFUNDED:
        add_event(effects, "payment.duplicate", -1);
        effects->audit = "another payment paid the order before";
        if (policies->duplicate != DUPLICATE_HOLD)
            effects->task = TASK_POLICY;
        return SETTLED_DUPLICATE;
    }
    return SETTLED_NOT;
}

/* Before its PREPAY has been answered, the books do not know to whom a payment has to be addressed. What a provider signs
 * for any of its merchants is then no proof that the money is ours; its answer to our own question is. */
static bool addressee_unknown(const struct fact *fact, const struct pay_record *record)
{
    return tells_of_money(fact, record) && told_unasked(fact) && fact->merchant && !record->merchant && !is_paid(record);
}

/* ------------------------------------------------------------------------------------------------ refunds */

const char *settle_refund_cause(const struct order *order, const struct pay_record *record)
{
    if (order->paid_pay_no == record->pay_no)
        return NULL;
    return order->status == ORDER_PAID || order->status == ORDER_REFUNDED ? "duplicate" : "late";
}

static bool is_reserved(const struct refund *refund)
{
    return refund->status == REFUND_CREATED || refund->status == REFUND_PROCESSING || refund->status == REFUND_UNKNOWN;
}

static int find_refund(const struct refund_book *book, int64_t refund_no)
{
    for (size_t i = 0; refund_no && i < book->count; i++)
        if (book->items[i].refund_no == refund_no)
            return (int)i;
    return -1;
}

static bool made_at_provider(const struct refund *refund)
{
    return strcmp(refund->source, "provider") == 0;
}

/* A refund that was taken for failed may have been found again in a total, as one that the provider made. */
static bool counted_already(const struct fact *fact, const struct refund *refund, const struct pay_record *record,
                            const struct refund_book *book)
{
    if (fact->refunded_minor != PN_NOT_STATED)
        return refund->amount_minor > fact->refunded_minor - record->refunded_minor;
    for (size_t i = 0; i < book->count; i++)
        if (made_at_provider(&book->items[i]) && book->items[i].amount_minor >= refund->amount_minor)
            return true;
    return false;
}

/* The money is back with the payer. A refund of a late or duplicate payment leaves its order alone. */
static void count_back(int64_t amount_minor, struct order *order, struct pay_record *record)
{
    record->refunded_minor += amount_minor;
    if (record->refunded_minor == record->amount_minor)
        record->status = PAYMENT_REFUNDED;
    if (order->paid_pay_no != record->pay_no)
        return;
    order->refunded_minor += amount_minor;
    if (order->refunded_minor == order->amount_minor)
        order->status = ORDER_REFUNDED;
}

static enum settle_outcome refund_succeeded(const struct fact *fact, int index, struct order *order, struct pay_record *record, struct refund_book *book,
                                            struct effects *effects)
{
    struct refund *refund = &book->items[index];
    if (refund->status == REFUND_SUCCEEDED)
        return SETTLED_REPEATED;
    int64_t others = record->refunded_minor + record->refunding_minor - (is_reserved(refund) ? refund->amount_minor : 0);
    if (refund->amount_minor > record->amount_minor - others) {
        call_people("a refund that had failed has succeeded, and more is refunded than was paid", record, effects);
        return SETTLED_NOTED;
    }
    if (refund->status == REFUND_FAILED && counted_already(fact, refund, record, book)) {
        call_people("a refund that had failed has succeeded, and its amount seems to be booked as one made at the provider", record, effects);
        return SETTLED_NOTED;
    }
    if (is_reserved(refund))
        record->refunding_minor -= refund->amount_minor;
    refund->status = REFUND_SUCCEEDED;
    count_back(refund->amount_minor, order, record);
    add_event(effects, "refund.succeeded", index);
    return SETTLED_REFUND;
}

static enum settle_outcome refund_failed(const struct fact *fact, int index, struct pay_record *record, struct refund_book *book, struct effects *effects)
{
    struct refund *refund = &book->items[index];
    if (refund->status == REFUND_FAILED)
        return SETTLED_REPEATED;
    if (refund->status == REFUND_SUCCEEDED) {
        call_people("the provider says that a refund failed, which had succeeded", record, effects);
        return SETTLED_NOTED;
    }
    /* Another call has asked for it since the question left: this failure is not about that one. */
    if (fact->calls ? fact->calls != refund->calls : refund->calls > 1)
        return SETTLED_NOTED;
    record->refunding_minor -= refund->amount_minor;
    refund->status = REFUND_FAILED;
    add_event(effects, "refund.failed", index);
    return SETTLED_REFUND;
}

/* What a provider says about one refund of ours. */
static enum settle_outcome decide_our_refund(const struct fact *fact, int index, struct order *order, struct pay_record *record,
                                             struct refund_book *book, struct effects *effects)
{
    struct refund *refund = &book->items[index];
    if (fact->code)
        refund->code = fact->code;
    if (fact->message)
        refund->message = fact->message;
    switch (fact->state) {
    case PN_STATE_REFUNDED:
        return refund_succeeded(fact, index, order, record, book, effects);
    case PN_STATE_FAILED:
        return refund_failed(fact, index, record, book, effects);
    case PN_STATE_PROCESSING:
        if (refund->status == REFUND_CREATED || refund->status == REFUND_UNKNOWN)
            refund->status = REFUND_PROCESSING;
        else if (refund->status == REFUND_FAILED)
            call_people("the provider works on a refund that had failed; its amount is not set aside any more", record, effects);
        return SETTLED_NOTED;
    case PN_STATE_UNKNOWN:
    case PN_STATE_UNPAID:
    case PN_STATE_PAID:
    case PN_STATE_CLOSED:
    case PN_STATE_NOT_FOUND:
        if (refund->status == REFUND_CREATED)
            refund->status = REFUND_UNKNOWN;
        return SETTLED_NOTED;
    }
    return SETTLED_NOTED;
}

/* More went back than the books know: what refunds of ours that have not ended cannot explain was made at the provider. What they
 * may explain is looked at again when they end, which is why the record keeps the highest total. */
static bool decide_total(const struct fact *fact, struct order *order, struct pay_record *record, struct refund_book *book,
                         struct effects *effects)
{
    if (fact->refunded_minor > record->stated_back_minor) /* PN_NOT_STATED is less than any */
        record->stated_back_minor = fact->refunded_minor;
    if (!is_paid(record) || record->stated_back_minor <= record->refunded_minor)
        return false;
    effects->ask_refunds = record->refunding_minor > 0 && fact->refunded_minor > record->refunded_minor;
    int64_t foreign = record->stated_back_minor - record->refunded_minor - record->refunding_minor;
    if (foreign <= 0 || book->count == book->capacity)
        return false;
    book->items[book->count] = (struct refund){
        .pay_no = record->pay_no, .order_id = order->order_id, .app = order->app, .channel = record->channel,
        .source = "provider", .cause = settle_refund_cause(order, record), .amount_minor = foreign, .currency = record->currency,
        .status = REFUND_SUCCEEDED, .provider_no = find_refund(book, fact->refund) < 0 ? fact->refund_no : NULL,
    };
    count_back(foreign, order, record);
    add_event(effects, "refund.succeeded", (int)book->count++);
    return true;
}

static enum settle_outcome decide_refunded(const struct fact *fact, const struct policies *policies, struct order *order,
                                           struct pay_record *record, struct refund_book *book, struct effects *effects)
{
    if (!is_paid(record) && fact->total_minor == PN_NOT_STATED) {
        /* A refund of what we do not know as paid means that we missed the payment: ask, unless this is the answer. */
        effects->audit = "the provider reports a refund of a payment that the books do not know as paid";
        effects->task = told_unasked(fact) ? TASK_CHECK : 0;
        return SETTLED_NOTED;
    }
    bool was_paid = is_paid(record);
    enum settle_outcome outcome = decide_paid(fact, policies, order, record, effects);
    int index = find_refund(book, fact->refund);
    if (index >= 0)
        outcome = decide_our_refund(fact, index, order, record, book, effects);
    if (decide_total(fact, order, record, book, effects))
        outcome = SETTLED_REFUND;
    if (index < 0 && fact->refunded_minor == PN_NOT_STATED) {
        if (told_unasked(fact) && !effects->task)
            effects->task = TASK_CHECK;
        outcome = was_paid ? SETTLED_NOTED : outcome;
    }
    if (told_unasked(fact) && !effects->audit)
        effects->audit = "the provider reports a refund";
    /* Should ours fail, this was about another one, of which a provider that tells of refunds by notices alone says no more. */
    bool may_be_ours = effects->ask_refunds && fact->refunded_minor > record->refunded_minor;
    return may_be_ours && told_unasked(fact) ? SETTLED_LATER : outcome;
}

static enum settle_outcome decide_closed(const struct fact *fact, struct order *order, struct pay_record *record,
                                         struct refund_book *book, struct effects *effects)
{
    switch (record->status) {
    case PAYMENT_UNPAID:
        record->status = PAYMENT_CLOSED;
        /* Whoever asked will end the order; when he does not, or nobody asked, the schedule does. */
        if (order->status == ORDER_CLOSING) {
            effects->task = TASK_CLOSE;
            effects->task_in_ms = told_unasked(fact) ? 0 : END_ORDER_MS;
        }
        return SETTLED_CLOSED;
    case PAYMENT_CLOSED:
    case PAYMENT_REFUNDED:
        return SETTLED_REPEATED;
    case PAYMENT_PAID:
        break;
    }
    if (decide_total(fact, order, record, book, effects))
        return SETTLED_REFUND;
    if (record->refunding_minor > 0) { /* a full refund closes the trade at some providers */
        effects->ask_refunds = true;
        return SETTLED_NOTED;
    }
    call_people("closed by the provider, but paid in the books", record, effects);
    return SETTLED_NOTED;
}

/* ------------------------------------------------------------------------------------------------ the decision */

bool settle_wants_refunds(const struct fact *fact, const struct pay_record *record)
{
    return fact->refund_no || fact->state == PN_STATE_REFUNDED ||
           (fact->refunded_minor != PN_NOT_STATED && fact->refunded_minor > record->refunded_minor);
}

enum settle_outcome settle_decide(const struct fact *fact, const struct policies *policies, struct order *order,
                                  struct pay_record *record, struct refund_book *refunds, struct effects *ret_effects)
{
    *ret_effects = (struct effects){ 0 };
    const char *why = mismatch(fact, record);
    if (why)
        return refuse(why, record, ret_effects);
    if (addressee_unknown(fact, record)) {
        ret_effects->task = TASK_CHECK;
        return refuse("the books do not say to whom it has to be addressed; the provider is asked", record, ret_effects);
    }
    int index = find_refund(refunds, fact->refund);
    enum settle_outcome outcome;
    if (index >= 0 && fact->state != PN_STATE_REFUNDED) {
        outcome = decide_our_refund(fact, index, order, record, refunds, ret_effects);
        decide_total(fact, order, record, refunds, ret_effects);
        return outcome;
    }
    switch (fact->state) {
    case PN_STATE_PAID:
        outcome = decide_paid(fact, policies, order, record, ret_effects);
        if (decide_total(fact, order, record, refunds, ret_effects) && outcome == SETTLED_REPEATED)
            outcome = SETTLED_REFUND;
        return outcome;
    case PN_STATE_CLOSED:
        return decide_closed(fact, order, record, refunds, ret_effects);
    case PN_STATE_REFUNDED:
        return decide_refunded(fact, policies, order, record, refunds, ret_effects);
    case PN_STATE_FAILED:
    case PN_STATE_UNPAID:
    case PN_STATE_NOT_FOUND:
    case PN_STATE_UNKNOWN:
    case PN_STATE_PROCESSING:
        /* Our own question is no news; what a provider says unasked is kept. */
        if (told_unasked(fact))
            ret_effects->audit = fact->state == PN_STATE_FAILED ? "the provider reports a failed attempt" : "not paid yet";
        return SETTLED_NOTED;
    }
    return SETTLED_NOTED;
}

const char *settle_outcome_name(enum settle_outcome outcome)
{
    static const char *const names[] = {
        [SETTLED_APPLIED] = "applied",   [SETTLED_REPEATED] = "repeated", [SETTLED_LATE] = "late",
        [SETTLED_DUPLICATE] = "duplicate", [SETTLED_MISMATCH] = "mismatch", [SETTLED_CLOSED] = "closed",
        [SETTLED_REFUND] = "refund",     [SETTLED_NOTED] = "noted",       [SETTLED_LATER] = "later",
        [SETTLED_UNKNOWN_PAYMENT] = "unknown", [SETTLED_NOT] = "not_settled",
    };
    return names[outcome];
}

bool settle_outcome_accepted(enum settle_outcome outcome)
{
    return outcome != SETTLED_MISMATCH && outcome != SETTLED_LATER && outcome != SETTLED_UNKNOWN_PAYMENT && outcome != SETTLED_NOT;
}
