/*
 * Asking a provider for a refund and about it. Certain is only what the provider says about this refund, or its refusal of
 * the only call that can have reached it; everything else is asked again, under the same number, which is safe by contract.
 * A chain of small functions that name each other, like close.c; workers only.
 */
#include "base/log.h"
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
    asking->calls = refund->calls + !asking->doubted;
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

/* While it was open, its amount may have explained a refund that was made at the provider, and such a one may be why it was
 * refused: unless the answer that ended it stated the total, the payment is asked about. */
static enum rc leave(struct asking *asking, struct tx *tx, struct error *err)
{
    const struct pay_record *record = &asking->view.record;
    const struct schedule_entry check = { record->pay_no, TASK_CHECK, record->channel, 0 };
    enum rc rc = RC_OK;
    bool masked = asking->said.refunded_minor == PN_NOT_STATED && record->stated_back_minor > record->refunded_minor - asking->view.refund.amount_minor;
    if (asking->view.refund.status == REFUND_FAILED || masked)
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

static void settle(struct asking *asking, enum pn_state state)
{
    struct error err = { 0 };
    refund_answer_as(asking, state);
    asking->learned = state == PN_STATE_UNKNOWN ? ANSWER_UNKNOWN : ANSWER_LEARNED;
    if (refund_settle(asking->pay, asking->view.record.channel, "refund", &asking->said, asking->calls, settled, asking, &err) == RC_OK)
        return;
    asking->learned = ANSWER_NOT_ASKED;
    end(asking);
}

/* ------------------------------------------------------------------------------------------------ what follows from answers */

static void not_asked(struct asking *asking)
{
    asking->learned = ANSWER_NOT_ASKED;
    end(asking);
}

static void query(struct asking *asking);
static void ask_again(struct asking *asking);

static void refused(struct asking *asking)
{
    if (asking->doubted) {
        asking->refused = true;
        asking->refusal = asking->said.message;
        query(asking);
    } else {
        settle(asking, PN_STATE_FAILED);
    }
}

/* Whether enough time has passed since the last call that it cannot still be on its way. */
static bool has_settled_down(const struct asking *asking)
{
    return asking->held.unknowns >= 2;
}

/* What the provider says failed may be an earlier call under the same number, while a later one waits there. */
static bool failure_is_of_last_call(const struct asking *asking)
{
    return asking->calls <= 1 || asking->view.refund.status == REFUND_PROCESSING || has_settled_down(asking);
}

static void asked_for(void *arg, enum rc rc, const struct pn_result *result, bool called, const struct error *err)
{
    struct asking *asking = arg;
    switch (refund_answer(asking, rc, result, called, err)) {
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
    enum refund_answer answer = refund_answer(asking, rc, result, called, err);
    if (answer == SAYS_STATE && asking->said.state == PN_STATE_FAILED && !failure_is_of_last_call(asking)) {
        settle(asking, PN_STATE_UNKNOWN);
    } else if (answer == SAYS_STATE) {
        settle(asking, (enum pn_state)asking->said.state);
    } else if (answer == NOT_SENT) {
        not_asked(asking);
    } else if (asking->view.refund.status == REFUND_PROCESSING) { /* accepted once: only the provider can end it */
        settle(asking, PN_STATE_UNKNOWN);
    } else if (asking->refused) {
        asking->said.message = asking->refusal; /* says more than "not found" */
        settle(asking, answer == SAYS_NOT_FOUND && has_settled_down(asking) ? PN_STATE_FAILED : PN_STATE_UNKNOWN);
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

/* The refund must still be wanted, and ours to ask for. */
static enum rc check_tx(struct asking *asking, struct tx *tx, struct error *err)
{
    bool ours;
    enum rc rc = lock_and_read(asking, tx, err);
    if (rc == RC_OK)
        rc = schedule_held(tx, asking->held.subject, asking->held.version, &ours, err);
    if (rc == RC_OK && !ours)
        return error_set(err, RC_CONFLICT, "somebody else looks after this refund");
    if (rc == RC_OK && refund_ended(&asking->view.refund))
        return error_set(err, RC_CONFLICT, "the refund has ended");
    return rc;
}

/* Before a call that follows another one. */
static enum rc again_tx(struct tx *tx, void *arg, struct error *err)
{
    struct asking *asking = arg;
    enum rc rc = check_tx(asking, tx, err);
    asking->calls = asking->view.refund.calls + 1;
    return rc ? rc : refund_set_doubt(tx, asking->view.refund.refund_no, true, err);
}

static void ask_again(struct asking *asking)
{
    enum rc rc = store_write(asking->pay->store, LANE_WORK, again_tx, asking, NULL);
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
    if (rc == RC_OK)
        rc = check_tx(asking, tx, err);
    return rc ? rc : refund_mark(asking, tx, err);
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
