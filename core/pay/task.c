/*
 * What is done for one row of the schedule. The row says what was wanted when it was written; what the books say now
 * decides. Workers only; no thread waits for a provider.
 */
#include "pay/task.h"

#include <sys/random.h>

#include "base/clock.h"
#include "base/log.h"
#include "pay/pace.h"
#include "plugin/registry.h"

enum { SOON_MS = 5 * 1000 }; /* after a fault of our own, such as a store that is away */

struct task {
    struct pay *pay;
    struct arena *arena;
    struct scheduled scheduled;
    struct pay_record record;
    struct order order;
    task_ended done;
    void *arg;
};

static const struct task_end over = { .kind = TASK_OVER };

uint32_t task_random(void)
{
    uint32_t random = 0;
    (void)!getrandom(&random, sizeof random, GRND_NONBLOCK); /* without: less jitter */
    return random;
}

static struct task_end again(int64_t wait_ms, enum schedule_answer answer)
{
    return (struct task_end){ .kind = TASK_AGAIN, .wait_ms = wait_ms, .answer = answer };
}

static void task_done(struct task *task, struct task_end end)
{
    task->done(task->arg, &end);
}

static void task_failed(struct task *task, const struct error *err)
{
    static struct log_limit limit;
    if (log_allow(&limit, 30))
        log_warn("what the schedule wants will be tried again", LOG_I("subject", task->scheduled.subject),
                 LOG_S("detail", err->text));
    task_done(task, again(SOON_MS, ANSWER_NOT_ASKED));
}

/* ------------------------------------------------------------------------------------------------ how long to wait */

static int64_t interval_of(const struct pay *pay, const char *channel)
{
    const struct config_channel *found = config_channel_find(pay->config, channel);
    return found ? found->query_interval_ms : SOON_MS;
}

static int64_t next_query(const struct pay *pay, const struct pay_record *record)
{
    int64_t now = wall_ms();
    return pace_query(interval_of(pay, record->channel), now - record->created_at, record->expires_at - now, task_random());
}

/* What kept the question from leaving says nothing about the payment, however long it lasts. */
static bool was_asked(const struct error *err)
{
    return !err || (err->rc != RC_UNAVAILABLE && err->rc != RC_NOMEM);
}

struct task_end task_unknown(struct pay *pay, const struct pay_record *record, const struct scheduled *held, const struct error *err,
                             int64_t (*pace)(int unknowns, uint32_t random), struct arena *arena)
{
    struct error failure = { 0 };
    if (!was_asked(err))
        return again(next_query(pay, record), ANSWER_NOT_ASKED);
    int64_t wait = pace(held->unknowns + 1, task_random());
    if (wait != PACE_ENOUGH)
        return again(wait, ANSWER_UNKNOWN);
    if (record_give_up(pay, record, held, "the provider has not answered for days; it is not asked any more", false, arena,
                       &failure) != RC_OK)
        return again(SOON_MS, ANSWER_NOT_ASKED);
    return over;
}

/* ------------------------------------------------------------------------------------------------ settled records */

/* The record is not open any more; its order may have waited for that. */
static void end_settled(struct task *task)
{
    struct error err = { 0 };
    if (task->order.status == ORDER_CLOSING &&
        order_close_finish(task->pay, task->order.order_id, task->arena, &task->order, &err) != RC_OK)
        task_failed(task, &err);
    else
        task_done(task, over);
}

enum wish { WISH_NOTHING, WISH_ACCEPT, WISH_REFUND };

/* What the app wants done with money that came too late, or a second time. */
static enum wish wish_of(const struct task *task)
{
    static const enum wish late[] = { [LATE_HOLD] = WISH_NOTHING, [LATE_ACCEPT] = WISH_ACCEPT, [LATE_REFUND] = WISH_REFUND };
    const struct config_app *app = config_app_find(task->pay->config, task->order.app);
    if (!app || task->record.status != PAYMENT_PAID || task->order.paid_pay_no == task->record.pay_no)
        return WISH_NOTHING;
    if (task->order.status == ORDER_CLOSED)
        return late[app->late_payment];
    bool paid = task->order.status == ORDER_PAID || task->order.status == ORDER_REFUNDED;
    return paid && app->duplicate_payment == DUPLICATE_REFUND ? WISH_REFUND : WISH_NOTHING;
}

static enum rc load_tx(struct tx *tx, void *arg, struct error *err)
{
    struct task *task = arg;
    enum rc rc = record_get(tx, task->scheduled.subject, task->arena, &task->record, err);
    return rc ? rc : order_get(tx, task->record.order_id, task->arena, &task->order, err);
}

static enum rc fulfil(struct task *task, enum wish wish, struct error *err)
{
    enum rc rc = wish == WISH_ACCEPT ? payment_accept(task->pay, task->record.pay_no, err) : RC_EXISTS;
    /* What was late is a second payment by now, when another late one was accepted. */
    if (rc == RC_CONFLICT && store_read(task->pay->store, load_tx, task, NULL) == RC_OK && wish_of(task) == WISH_REFUND)
        rc = RC_EXISTS;
    /* a newer order has taken the number over: this money belongs to nothing */
    return rc == RC_EXISTS ? refund_by_policy(task->pay, task->record.pay_no, err) : rc;
}

/* What could not be done for what has been done already is for people, if any of the money is left. */
static enum rc apply_policy(struct task *task, struct error *err)
{
    enum wish wish = wish_of(task);
    if (wish == WISH_NOTHING)
        return RC_OK;
    enum rc rc = fulfil(task, wish, err);
    const char *because = rc == RC_CONFLICT ? err->text : "there was a refund of it before";
    const char *why = arena_printf(task->arena, "the app's policy was not carried out: %s", because);
    return rc && rc != RC_CONFLICT ? rc : record_left_over(task->pay, &task->record, &task->scheduled, why, task->arena, err);
}

static void look_after_settled(struct task *task)
{
    struct error err = { 0 };
    if (task->scheduled.task == TASK_POLICY && apply_policy(task, &err) != RC_OK)
        task_failed(task, &err);
    else
        end_settled(task);
}

/* ------------------------------------------------------------------------------------------------ queries */

static bool ends_record(enum settle_outcome outcome)
{
    return outcome != SETTLED_NOTED && outcome != SETTLED_MISMATCH && outcome != SETTLED_NOT;
}

/* The provider says that an open record is not paid. After enough of these the app may want its order closed. */
static void end_unpaid(struct task *task)
{
    const struct config_app *app = config_app_find(task->pay->config, task->order.app);
    struct error err = { 0 };
    bool enough = app && app->close_after_queries && task->scheduled.answers + 1 >= app->close_after_queries;
    if (!enough || task->order.status != ORDER_UNPAID)
        task_done(task, again(next_query(task->pay, &task->record), ANSWER_LEARNED));
    else if (order_close_soon(task->pay, task->order.order_id, false, task->arena, NULL, &err) != RC_OK)
        task_failed(task, &err);
    else
        task_done(task, (struct task_end){ .kind = TASK_LEFT }); /* closed, or due to be closed */
}

static void inquired(void *arg, enum pn_state state, enum settle_outcome outcome, const struct error *err)
{
    struct task *task = arg;
    if (state == PN_STATE_UNKNOWN)
        task_done(task, task_unknown(task->pay, &task->record, &task->scheduled, err, pace_unknown, task->arena));
    else if (outcome == SETTLED_NOT)
        task_done(task, again(SOON_MS, ANSWER_NOT_ASKED));
    else if (task->record.status != PAYMENT_UNPAID || ends_record(outcome))
        end_settled(task);
    else
        end_unpaid(task);
}

static void inquire(struct task *task)
{
    if (task->scheduled.task != TASK_CHECK && record_never_shown(task->pay, &task->record))
        end_unpaid(task); /* nobody can have paid what nobody was given */
    else
        provider_inquire(task->pay,
                         &(struct provider_ask){ .order = &task->order, .record = &task->record, .background = true }, task->arena,
                         inquired, task);
}

static void closed(void *arg, const struct task_end *end)
{
    struct task *task = arg;
    if (end->kind == TASK_OVER)
        end_settled(task);
    else
        task_done(task, *end);
}

/* ------------------------------------------------------------------------------------------------ the whole */

static void look_after_record(struct task *task)
{
    struct error err = { 0 };
    enum rc rc = store_read(task->pay->store, load_tx, task, &err);
    bool open = rc == RC_OK && task->record.status == PAYMENT_UNPAID;
    if (rc == RC_NOT_FOUND)
        task_done(task, over);
    else if (rc)
        task_failed(task, &err);
    else if (open && (task->scheduled.task == TASK_CLOSE || task->order.status != ORDER_UNPAID))
        record_close_at_provider(task->pay, &task->order, &task->record, &task->scheduled, true, task->arena, closed, task);
    else if (open || task->scheduled.task == TASK_CHECK)
        inquire(task);
    else
        look_after_settled(task);
}

static void expire(struct task *task)
{
    struct error err = { 0 };
    int64_t left_ms = 0;
    if (order_close_soon(task->pay, task->scheduled.subject, true, task->arena, &left_ms, &err) != RC_OK)
        task_failed(task, &err);
    else
        task_done(task, left_ms > 0 ? again(left_ms, ANSWER_NOT_ASKED) : over);
}

static void carried(void *arg)
{
    task_done(arg, (struct task_end){ .kind = TASK_LEFT });
}

void task_run(struct pay *pay, const struct scheduled *scheduled, struct arena *arena, task_ended done, void *arg)
{
    struct task *task = arena_alloc(arena, sizeof *task);
    if (!task) {
        done(arg, &(struct task_end){ .kind = TASK_AGAIN, .wait_ms = SOON_MS, .answer = ANSWER_NOT_ASKED });
        return;
    }
    *task = (struct task){ .pay = pay, .arena = arena, .scheduled = *scheduled, .done = done, .arg = arg };
    switch (scheduled->task) {
    case TASK_QUERY:
    case TASK_CHECK:
    case TASK_CLOSE:
    case TASK_POLICY:
        look_after_record(task);
        return;
    case TASK_REFUND:
        refund_carry_on(pay, &task->scheduled, arena, carried, task);
        return;
    case TASK_EXPIRE:
        expire(task);
        return;
    }
    task_done(task, again(SOON_MS, ANSWER_NOT_ASKED)); /* a newer server's */
}
