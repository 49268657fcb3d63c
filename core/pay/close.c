/*
 * Closing one record. "Closed" means that the provider agreed: query, close at the provider, query again. What could not be
 * closed now is asked for again later, less and less often, until people must look. Workers only.
 */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "pay/pace.h"
#include "pay/task.h"
#include "plugin/registry.h"

enum {
    MARGIN_MS = 60 * 1000, /* after a record's expiry, before we believe that nobody can pay it any more */
    SOON_MS = 5 * 1000,    /* after a fault of our own */
    CALLS = 3,             /* of a chain: query, close, query */
    ROUNDS = 4             /* of each, at most */
};

struct closing {
    struct pay *pay;
    const struct order *order;
    const struct pay_record *record;
    const struct scheduled *held;
    bool background;
    bool asked_to_close; /* the provider was told; this is the second query */
    bool agreed;         /* and said yes */
    struct arena *arena;
    task_ended done;
    void *arg;
};

int64_t record_lease_ms(const struct pay *pay, const char *channel)
{
    const struct config_channel *found = config_channel_find(pay->config, channel);
    return MARGIN_MS + (found ? CALLS * ROUNDS * found->timeout_ms : 0);
}

static void closing_end(struct closing *closing, struct task_end end)
{
    closing->done(closing->arg, &end);
}

static void again(struct closing *closing, int64_t wait_ms, enum schedule_answer answer)
{
    closing_end(closing, (struct task_end){ .kind = TASK_AGAIN, .wait_ms = wait_ms, .answer = answer });
}

/* A fault of our own: what was learned is not written, so it is asked for once more. */
static void not_written(struct closing *closing, const struct error *err)
{
    log_warn("a closing was not written; it will be tried again", LOG_I("pay_no", closing->record->pay_no),
             LOG_S("detail", err->text));
    again(closing, SOON_MS, ANSWER_NOT_ASKED);
}

static enum rc close_locally_tx(struct tx *tx, void *arg, struct error *err)
{
    struct closing *closing = arg;
    struct order order;
    enum rc rc = order_lock(tx, closing->record->order_id, closing->arena, &order, err);
    if (rc == RC_OK)
        rc = record_set_closed(tx, closing->record->pay_no, err);
    return rc == RC_CONFLICT ? RC_OK : rc; /* settled meanwhile */
}

static void close_locally(struct closing *closing)
{
    struct error err = { 0 };
    if (store_write(closing->pay->store, LANE_WORK, close_locally_tx, closing, &err) != RC_OK)
        not_written(closing, &err);
    else
        closing_end(closing, (struct task_end){ .kind = TASK_OVER });
}

static void give_up(struct closing *closing, const char *why, bool close)
{
    struct error err = { 0 };
    if (record_give_up(closing->pay, closing->record, closing->held, why, close, closing->arena, &err) != RC_OK)
        not_written(closing, &err);
    else
        closing_end(closing, (struct task_end){ .kind = TASK_OVER });
}

static void undecided(struct closing *closing)
{
    int64_t wait = pace_close(closing->held->answers + 1, task_random());
    if (wait == PACE_ENOUGH)
        give_up(closing, "the provider does not let it be closed", false);
    else
        again(closing, wait, ANSWER_LEARNED);
}

/* The provider has never heard of it: somebody may still hold a form that he can open until it expires. */
static void not_found(struct closing *closing)
{
    int64_t left = closing->record->expires_at + MARGIN_MS - wall_ms();
    if (closing->agreed || left <= 0)
        close_locally(closing);
    else
        again(closing, left, ANSWER_LEARNED);
}

static void inquired(void *arg, enum pn_state state, enum settle_outcome outcome, const struct error *err);

static struct provider_ask ask_for(const struct closing *closing, enum pn_operation operation)
{
    return (struct provider_ask){ .order = closing->order, .record = closing->record, .operation = operation,
                                  .background = closing->background };
}

static void inquire(struct closing *closing)
{
    struct provider_ask ask = ask_for(closing, PN_QUERY);
    provider_inquire(closing->pay, &ask, closing->arena, inquired, closing);
}

static void told_to_close(void *arg, enum rc rc, const struct pn_result *result, bool called, const struct error *err)
{
    struct closing *closing = arg;
    (void)called;
    (void)err;
    closing->asked_to_close = true;
    closing->agreed = rc == RC_OK && result->state == PN_STATE_CLOSED;
    inquire(closing);
}

/* What an answer that was settled says about the record. */
static void settled(struct closing *closing, enum pn_state state, enum settle_outcome outcome)
{
    bool over = outcome != SETTLED_MISMATCH && (state == PN_STATE_PAID || state == PN_STATE_CLOSED || state == PN_STATE_REFUNDED);
    if (over && state == PN_STATE_REFUNDED && outcome == SETTLED_NOTED)
        give_up(closing, "the provider reports a refund of a payment that it never reported as paid", true);
    else if (over)
        closing_end(closing, (struct task_end){ .kind = TASK_OVER });
    else if (state == PN_STATE_NOT_FOUND)
        not_found(closing);
    else if (state == PN_STATE_UNPAID && !closing->asked_to_close) {
        struct provider_ask ask = ask_for(closing, PN_CLOSE);
        provider_call(closing->pay, &ask, closing->arena, told_to_close, closing);
    } else {
        undecided(closing);
    }
}

static void inquired(void *arg, enum pn_state state, enum settle_outcome outcome, const struct error *err)
{
    struct closing *closing = arg;
    if (state == PN_STATE_UNKNOWN)
        closing_end(closing, task_unknown(closing->pay, closing->record, closing->held, err, pace_close_unknown, closing->arena));
    else if (outcome == SETTLED_NOT)
        again(closing, SOON_MS, ANSWER_NOT_ASKED);
    else
        settled(closing, state, outcome);
}

bool record_never_shown(const struct pay *pay, const struct pay_record *record)
{
    const struct config_channel *channel = config_channel_find(pay->config, record->channel);
    const struct pn_product *product = channel ? channel_product(channel->channel, record->product) : NULL;
    return product && product->prepay_kind == PN_PREPAY_FORM && !record->prepay;
}

void record_close_at_provider(struct pay *pay, const struct order *order, const struct pay_record *record,
                              const struct scheduled *held, bool background, struct arena *arena, task_ended done, void *arg)
{
    struct closing *closing = arena_alloc(arena, sizeof *closing);
    if (!closing) {
        done(arg, &(struct task_end){ .kind = TASK_AGAIN, .wait_ms = SOON_MS, .answer = ANSWER_NOT_ASKED });
        return;
    }
    *closing = (struct closing){
        .pay = pay, .order = order, .record = record, .held = held, .background = background, .arena = arena, .done = done,
        .arg = arg,
    };
    if (record_never_shown(pay, record))
        close_locally(closing);
    else
        inquire(closing);
}
