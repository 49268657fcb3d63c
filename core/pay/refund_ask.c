/*
 * Asking a provider for a refund and about it. Certain is only what the provider says about this refund, or its refusal of
 * the only call that can have reached it; everything else is asked again, under the same number, which is safe by contract.
 * A chain of small functions that name each other, like close.c; workers only.
 */
#include <string.h>

#include "base/ids.h"
#include "base/log.h"
#include "base/text.h"
#include "pay/pace.h"
#include "pay/refund.h"
#include "pay/task.h"

bool refund_ended(const struct refund *refund)
{
    return refund->status == REFUND_SUCCEEDED || refund->status == REFUND_FAILED;
}

enum rc refund_view_read(struct tx *tx, int64_t refund_no, struct arena *arena, struct refund_view *ret, struct error *err)
{
    enum rc rc = refund_get(tx, refund_no, arena, &ret->refund, err);
    if (rc == RC_OK)
        rc = record_get(tx, ret->refund.pay_no, arena, &ret->record, err);
    return rc ? rc : order_get(tx, ret->refund.order_id, arena, &ret->order, err);
}

/* Locks the order, then reads everything under the lock. */
static enum rc lock_and_read(struct asking *asking, struct tx *tx, struct error *err)
{
    struct order order;
    enum rc rc = order_lock(tx, asking->view.refund.order_id, asking->arena, &order, err);
    return rc ? rc : refund_view_read(tx, asking->view.refund.refund_no, asking->arena, &asking->view, err);
}

enum rc refund_mark(struct asking *asking, struct tx *tx, struct error *err)
{
    const struct refund *refund = &asking->view.refund;
    asking->doubted = refund->doubt || refund->status != REFUND_CREATED;
    return asking->doubted ? RC_OK : refund_set_doubt(tx, refund->refund_no, true, err);
}

/* ------------------------------------------------------------------------------------------------ the end of a chain */

static int64_t wait_of(const struct asking *asking)
{
    switch (asking->learned) {
    case ANSWER_LEARNED:
        return pace_refund(asking->held.answers + 1, task_random());
    case ANSWER_UNKNOWN:
        return pace_refund_unknown(asking->held.unknowns + 1, task_random());
    case ANSWER_NOT_ASKED:
        break;
    }
    return pace_refund_unsent(asking->held.attempts + 1, task_random());
}

/* A refund that failed leaves a question: while it was open, its amount may have explained one that was made at the provider, and
 * such a one may be why it was refused. */
static enum rc leave(struct asking *asking, struct tx *tx, struct error *err)
{
    const struct pay_record *record = &asking->view.record;
    const struct schedule_entry check = { record->pay_no, TASK_CHECK, record->channel, 0 };
    enum rc rc = RC_OK;
    if (asking->view.refund.status == REFUND_FAILED)
        rc = schedule_put(tx, &check, err);
    return rc ? rc : schedule_done(tx, asking->held.subject, asking->held.version, err);
}

/* The last transaction: what the books say now, and when to ask again. Whoever has taken the row over looks after it himself. */
static enum rc end_tx(struct tx *tx, void *arg, struct error *err)
{
    struct asking *asking = arg;
    const struct scheduled *held = &asking->held;
    bool ours = false;
    asking->enough = false;
    enum rc rc = lock_and_read(asking, tx, err);
    if (rc == RC_OK)
        rc = schedule_held(tx, held->subject, held->version, &ours, err);
    if (rc || !ours)
        return rc;
    struct refund *refund = &asking->view.refund;
    if (refund_ended(refund))
        return leave(asking, tx, err);
    if (asking->unsent && !asking->doubted && refund->status == REFUND_CREATED)
        rc = refund_set_doubt(tx, refund->refund_no, false, err);
    int64_t wait = wait_of(asking);
    asking->enough = wait == PACE_ENOUGH;
    return rc || asking->enough ? rc : schedule_again(tx, held->subject, held->version, wait, asking->learned, err);
}

/* When that fails, the lease brings the refund back. */
static void end(struct asking *asking)
{
    struct error err = { 0 };
    enum rc rc = store_write(asking->pay->store, LANE_WORK, end_tx, asking, &err);
    if (rc == RC_OK && asking->enough) {
        rc = record_give_up(asking->pay, &asking->view.record, &asking->held,
                            "what became of a refund could not be learned for days; it is not asked about any more", false,
                            asking->arena, &err);
        asking->view.record.needs_review = true;
    }
    if (rc)
        log_warn("a refund will be asked about again", LOG_I("refund_no", asking->view.refund.refund_no), LOG_S("detail", err.text));
    asking->done(asking->arg, rc, rc ? NULL : &asking->view, &err);
}

/* ------------------------------------------------------------------------------------------------ settling */

static void settled_on_worker(void *arg)
{
    struct asking *asking = arg;
    if (asking->outcome == SETTLED_NOT)
        asking->learned = ANSWER_NOT_ASKED; /* what was said is lost: soon again */
    else if (asking->outcome == SETTLED_MISMATCH)
        asking->learned = ANSWER_UNKNOWN;
    end(asking);
}

/* On the committer's thread. */
static void settled(void *arg, enum settle_outcome outcome)
{
    struct asking *asking = arg;
    asking->outcome = outcome;
    pool_continue(asking->pay->options.workers, settled_on_worker, asking);
}

static struct pn_str str(const char *text)
{
    return (struct pn_str){ text, text ? strlen(text) : 0 };
}

/* What can be stored: an error's text may have been cut inside a character. */
static struct pn_str sound(const char *text)
{
    size_t all = strlen(text), len = 0;
    for (size_t n; len < all && (n = text_utf8_length(text + len, all - len)) > 0; len += n)
        ;
    return (struct pn_str){ len ? text : NULL, len };
}

static void settle(struct asking *asking, enum pn_state state)
{
    struct error err = { 0 };
    char digits[ID_TEXT_MAX];
    asking->said.size = sizeof asking->said;
    asking->said.state = state;
    asking->said.pay_no = str(arena_strdup(asking->arena, id_format(asking->view.refund.pay_no, digits)));
    asking->said.refund_no = str(arena_strdup(asking->arena, id_format(asking->view.refund.refund_no, digits)));
    asking->learned = state == PN_STATE_UNKNOWN ? ANSWER_UNKNOWN : ANSWER_LEARNED;
    if (pay_settle(asking->pay, asking->view.record.channel, "refund", &asking->said, settled, asking, &err) == RC_OK)
        return;
    asking->learned = ANSWER_NOT_ASKED;
    end(asking);
}

/* ------------------------------------------------------------------------------------------------ answers */

enum answer {
    SAYS_STATE,     /* the provider's word about this refund, in asking->said */
    SAYS_NOT_FOUND, /* it has never heard of it */
    SAYS_NO,   /* it will not do it, or it could not even be asked to */
    NOT_SENT,  /* certainly nothing happened */
    SAYS_NOTHING
};

static bool names(const struct pn_str *text, int64_t id)
{
    char digits[ID_TEXT_MAX];
    id_format(id, digits);
    return text->len == 0 || (text->len == strlen(digits) && memcmp(text->data, digits, text->len) == 0);
}

static bool is_about(const struct asking *asking, const struct pn_result *result)
{
    const struct refund *refund = &asking->view.refund;
    bool fits = result->refunded_minor == PN_NOT_STATED || result->state != PN_STATE_REFUNDED ||
                result->refunded_minor >= refund->amount_minor;
    return fits && names(&result->pay_no, refund->pay_no) && names(&result->refund_no, refund->refund_no);
}

static enum answer read_result(struct asking *asking, const struct pn_result *result)
{
    if (!is_about(asking, result)) {
        asking->said.message = str("the answer is about another refund");
        return SAYS_NOTHING;
    }
    asking->said = *result;
    switch ((enum pn_state)result->state) {
    case PN_STATE_REFUNDED:
    case PN_STATE_PROCESSING:
    case PN_STATE_FAILED:
        return SAYS_STATE;
    case PN_STATE_NOT_FOUND:
        return SAYS_NOT_FOUND;
    default:
        return SAYS_NOTHING;
    }
}

static enum answer read_answer(struct asking *asking, enum rc rc, const struct pn_result *result, bool called,
                               const struct error *err)
{
    asking->said = (struct pn_result){ .total_minor = PN_NOT_STATED, .refunded_minor = PN_NOT_STATED };
    if (rc == RC_OK)
        return read_result(asking, result);
    asking->said.message = sound(arena_strdup(asking->arena, err->text));
    if (rc == RC_UNAVAILABLE || (rc == RC_NOMEM && !called))
        return NOT_SENT;
    bool refused = rc == RC_DECLINED || (!called && rc != RC_UNKNOWN);
    return refused ? SAYS_NO : SAYS_NOTHING;
}

static void not_asked(struct asking *asking)
{
    asking->learned = ANSWER_NOT_ASKED;
    end(asking);
}

static void query(struct asking *asking);
static void ask_again(struct asking *asking);

/* Nobody else may have asked meanwhile, or this refusal is not about the only call. */
static enum rc still_ours_tx(struct tx *tx, void *arg, struct error *err)
{
    struct asking *asking = arg;
    bool ours;
    enum rc rc = schedule_held(tx, asking->held.subject, asking->held.version, &ours, err);
    return rc || ours ? rc : error_set(err, RC_CONFLICT, "somebody else looks after this refund");
}

static void refused(struct asking *asking)
{
    if (asking->doubted) {
        asking->refused = true;
        asking->refusal = asking->said.message;
        query(asking);
    } else if (store_read(asking->pay->store, still_ours_tx, asking, NULL) != RC_OK) {
        settle(asking, PN_STATE_UNKNOWN);
    } else {
        settle(asking, PN_STATE_FAILED);
    }
}

static void asked_for(void *arg, enum rc rc, const struct pn_result *result, bool called, const struct error *err)
{
    struct asking *asking = arg;
    switch (read_answer(asking, rc, result, called, err)) {
    case SAYS_STATE:
        settle(asking, (enum pn_state)asking->said.state);
        break;
    case SAYS_NO:
        refused(asking);
        break;
    case NOT_SENT:
        asking->unsent = true;
        not_asked(asking);
        break;
    case SAYS_NOT_FOUND:
    case SAYS_NOTHING:
        settle(asking, PN_STATE_UNKNOWN);
        break;
    }
}

static void asked_about(void *arg, enum rc rc, const struct pn_result *result, bool called, const struct error *err)
{
    struct asking *asking = arg;
    enum answer answer = read_answer(asking, rc, result, called, err);
    if (answer == SAYS_STATE) {
        settle(asking, (enum pn_state)asking->said.state);
    } else if (answer == NOT_SENT) {
        not_asked(asking);
    } else if (asking->view.refund.status == REFUND_PROCESSING) { /* accepted once: only the provider can end it */
        settle(asking, PN_STATE_UNKNOWN);
    } else if (asking->refused) {
        asking->said.message = asking->refusal; /* says more than "not found" */
        settle(asking, answer == SAYS_NOT_FOUND ? PN_STATE_FAILED : PN_STATE_UNKNOWN);
    } else {
        ask_again(asking);
    }
}

/* ------------------------------------------------------------------------------------------------ asking */

static void call(struct asking *asking, enum pn_operation operation, provider_done done)
{
    const struct provider_ask ask = { .order = &asking->view.order, .record = &asking->view.record,
                                      .refund = &asking->view.refund, .operation = operation, .background = asking->background };
    provider_call(asking->pay, &ask, asking->arena, done, asking);
}

static void query(struct asking *asking)
{
    call(asking, PN_REFUND_QUERY, asked_about);
}

/* Before a call that may follow another one: it must still be wanted, and ours to make. */
static enum rc mark_tx(struct tx *tx, void *arg, struct error *err)
{
    struct asking *asking = arg;
    bool ours;
    enum rc rc = lock_and_read(asking, tx, err);
    if (rc == RC_OK)
        rc = schedule_held(tx, asking->held.subject, asking->held.version, &ours, err);
    if (rc == RC_OK && !ours)
        return error_set(err, RC_CONFLICT, "somebody else looks after this refund");
    if (rc == RC_OK && refund_ended(&asking->view.refund))
        return error_set(err, RC_CONFLICT, "the refund has ended");
    return rc ? rc : refund_mark(asking, tx, err);
}

static void ask_again(struct asking *asking)
{
    enum rc rc = store_write(asking->pay->store, LANE_WORK, mark_tx, asking, NULL);
    if (rc == RC_OK) {
        asking->doubted = true; /* why else would it have been asked about */
        call(asking, PN_REFUND, asked_for);
    } else {
        not_asked(asking);
    }
}

void refund_ask(struct asking *asking)
{
    if (asking->doubted)
        query(asking);
    else
        call(asking, PN_REFUND, asked_for);
}

/* ------------------------------------------------------------------------------------------------ by the schedule */

struct carrying {
    struct asking asking;
    refund_carried done;
    void *arg;
};

static void carried(void *arg, enum rc rc, const struct refund_view *view, const struct error *err)
{
    struct carrying *carrying = arg;
    (void)rc, (void)view, (void)err;
    carrying->done(carrying->arg);
}

static enum rc begin_tx(struct tx *tx, void *arg, struct error *err)
{
    struct asking *asking = arg;
    enum rc rc = refund_get(tx, asking->held.subject, asking->arena, &asking->view.refund, err);
    return rc ? rc : mark_tx(tx, asking, err);
}

void refund_carry_on(struct pay *pay, const struct scheduled *held, struct arena *arena, refund_carried done, void *arg)
{
    struct error err = { 0 };
    struct carrying *carrying = arena_alloc(arena, sizeof *carrying);
    if (!carrying) {
        done(arg);
        return;
    }
    *carrying = (struct carrying){
        .asking = { .pay = pay, .arena = arena, .held = *held, .background = true, .done = carried, .arg = carrying },
        .done = done, .arg = arg,
    };
    struct asking *asking = &carrying->asking;
    enum rc rc = store_write(pay->store, LANE_WORK, begin_tx, asking, &err);
    if (rc == RC_OK)
        refund_ask(asking);
    else if (rc == RC_CONFLICT) /* ended, or taken over */
        end(asking);
    else {
        log_warn("a refund will be asked about again", LOG_I("refund_no", held->subject), LOG_S("detail", err.text));
        done(arg);
    }
}

/* ------------------------------------------------------------------------------------------------ only a question */

struct inquiry {
    struct asking asking;
    refund_inquired done;
    void *arg;
};

static void inquiry_end(void *arg)
{
    struct inquiry *inquiry = arg;
    enum settle_outcome outcome = inquiry->asking.outcome;
    inquiry->done(inquiry->arg, outcome != SETTLED_NOT && outcome != SETTLED_MISMATCH);
}

/* On the committer's thread. */
static void inquiry_settled(void *arg, enum settle_outcome outcome)
{
    struct inquiry *inquiry = arg;
    inquiry->asking.outcome = outcome;
    pool_continue(inquiry->asking.pay->options.workers, inquiry_end, inquiry);
}

static void inquired(void *arg, enum rc rc, const struct pn_result *result, bool called, const struct error *err)
{
    struct inquiry *inquiry = arg;
    struct asking *asking = &inquiry->asking;
    char digits[ID_TEXT_MAX];
    if (read_answer(asking, rc, result, called, err) != SAYS_STATE) {
        inquiry->done(inquiry->arg, false);
        return;
    }
    asking->said.pay_no = str(arena_strdup(asking->arena, id_format(asking->view.refund.pay_no, digits)));
    asking->said.refund_no = str(arena_strdup(asking->arena, id_format(asking->view.refund.refund_no, digits)));
    if (pay_settle(asking->pay, asking->view.record.channel, "query", &asking->said, inquiry_settled, inquiry, NULL) != RC_OK)
        inquiry->done(inquiry->arg, false);
}

static enum rc read_tx(struct tx *tx, void *arg, struct error *err)
{
    struct asking *asking = arg;
    return refund_view_read(tx, asking->held.subject, asking->arena, &asking->view, err);
}

/* One that failed may turn out to have succeeded; one that was never sent cannot be asked about. */
static bool worth_asking(const struct refund *refund)
{
    return refund->status != REFUND_SUCCEEDED && (refund->status != REFUND_CREATED || refund->doubt);
}

void refund_inquire(struct pay *pay, int64_t refund_no, bool background, struct arena *arena, refund_inquired done, void *arg)
{
    struct inquiry *inquiry = arena_alloc(arena, sizeof *inquiry);
    if (!inquiry) {
        done(arg, false);
        return;
    }
    *inquiry = (struct inquiry){
        .asking = { .pay = pay, .arena = arena, .held = { .subject = refund_no } }, .done = done, .arg = arg,
    };
    struct asking *asking = &inquiry->asking;
    if (store_read(pay->store, read_tx, asking, NULL) != RC_OK) {
        done(arg, false);
    } else if (!worth_asking(&asking->view.refund)) {
        done(arg, asking->view.refund.status == REFUND_SUCCEEDED);
    } else {
        const struct provider_ask ask = { .order = &asking->view.order, .record = &asking->view.record,
                                          .refund = &asking->view.refund, .operation = PN_REFUND_QUERY,
                                          .background = background };
        provider_call(pay, &ask, arena, inquired, inquiry);
    }
}
