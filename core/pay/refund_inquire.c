/*
 * One question about one refund, whose answer is settled: for whoever reads it or has a hint about it. The schedule goes on as
 * before. Workers only.
 */
#include "pay/refund.h"

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
    const struct refund *refund = &asking->view.refund;
    bool said = refund_answer(asking, rc, result, called, err) == SAYS_STATE;
    /* Which of several calls failed is for the schedule to find out, which knows when the last one was. */
    if (!said || (asking->said.state == PN_STATE_FAILED && refund->calls > 1 && refund->status != REFUND_PROCESSING)) {
        inquiry->done(inquiry->arg, false);
        return;
    }
    refund_answer_as(asking, (enum pn_state)asking->said.state);
    if (refund_settle(asking->pay, asking->view.record.channel, "query", &asking->said, refund->calls, inquiry_settled, inquiry,
                      NULL) != RC_OK)
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
