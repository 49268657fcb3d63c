/*
 * See pay_rig.h.
 */
#include "config.h"

#include "unit/pay_rig.h"

#include "base/clock.h"
#include "base/ids.h"
#include "plugin/internal.h"
#include "store/driver.h"
#include "store/statement.h"
#include "unit/scratch.h"

struct pay_rig rig;
struct provider_script provider;

static const struct store_driver *real;

/* ---- the provider */

void provider_says(uint32_t state)
{
    provider = (struct provider_script){ 0 };
    for (int operation = 0; operation <= PN_REFRESH; operation++)
        provider.says[operation] = state;
}

static int open_channel(const void *settings, const struct pn_host *host, struct pn_call *call, void **ret_state)
{
    (void)settings, (void)call;
    *ret_state = (void *)(uintptr_t)host;
    return PN_OK;
}

static int request(const void *self, struct pn_call *call, const struct pn_payment *payment, struct pn_step *ret_step)
{
    const struct pn_host *host = self;
    struct pn_result *done = host->alloc(call, sizeof *done);
    void (*meanwhile)(void) = provider.meanwhile;
    if (payment->operation == PN_PREPAY && meanwhile) {
        provider.meanwhile = NULL;
        meanwhile();
    }
    provider.asked[payment->operation]++;
    if (provider.rc[payment->operation] != PN_OK)
        return (host->fail)(call, provider.rc[payment->operation], NULL, "as the script says"); /* cmocka has a macro fail() */
    bool closed = payment->operation == PN_QUERY && provider.asked[PN_CLOSE] > 0 && provider.says_once_closed;
    uint32_t state = closed ? provider.says_once_closed : provider.says[payment->operation];
    *done = (struct pn_result){ .size = sizeof *done, .state = state, .pay_no = payment->pay_no,
                                .total_minor = provider.hides_total ? PN_NOT_STATED : payment->amount_minor,
                                .refunded_minor = PN_NOT_STATED };
    if (payment->operation == PN_PREPAY && provider.gives_code && state != PN_STATE_FAILED) {
        done->prepay_kind = PN_PREPAY_CODE_URL;
        done->url = (struct pn_str){ "pay://code", strlen("pay://code") };
    }
    if (provider.names)
        done->pay_no = (struct pn_str){ provider.names, strlen(provider.names) };
    ret_step->done = done;
    return PN_OK;
}

static const struct pn_product code = { sizeof code, PN_PREPAY_CODE_URL, "code", "code", "code", NULL, "CNY" };
static const struct pn_product form = { sizeof form, PN_PREPAY_FORM, "form", "form", "form", NULL, "CNY" };
static const struct pn_product *products[] = { &code, &form, NULL };
static struct plugin plugin = { .products = products, .channel = { .open = open_channel, .request = request } };

/* ---- the outbox */

static void plan(void *ctx, const struct event *event, struct arena *to, struct outbox_row **ret_rows, size_t *ret_count)
{
    (void)ctx;
    *ret_rows = arena_alloc(to, sizeof **ret_rows);
    **ret_rows = (struct outbox_row){ .event_id = event->event_id, .order_id = event->order_id, .sink = "s" };
    *ret_count = 1;
    rig.planned++;
}

static void on_committed(void *ctx, const struct event *events, size_t event_count, const struct outbox_row *rows, size_t row_count)
{
    (void)ctx, (void)events, (void)event_count, (void)rows;
    rig.committed += row_count;
}

static void on_aborted(void *ctx, const struct outbox_row *rows, size_t row_count)
{
    (void)ctx, (void)rows;
    rig.aborted += row_count;
}

/* ---- rows */

void rig_write(tx_fn fn, void *arg)
{
    struct error err = { 0 };
    if (real->write(rig.store, LANE_WORK, fn, arg, &err) != RC_OK)
        fail_msg("%s", err.text);
}

int64_t rig_id(void)
{
    int64_t made;
    assert_int_equal(ids_next(&made), RC_OK);
    return made;
}

enum rc rig_make_unpaid(struct tx *tx, void *arg, struct error *err)
{
    struct order *order = arg;
    *order = (struct order){ .order_id = rig_id(), .app = "a",
                             .out_business_id = arena_printf(rig.arena, "n%lld", (long long)rig_id()), .name = "n",
                             .amount_minor = 100, .currency = "CNY", .status = ORDER_UNPAID };
    return order_insert(tx, order, 60000, NULL, 0, err);
}

enum rc rig_make_closing(struct tx *tx, void *arg, struct error *err)
{
    struct order *order = arg;
    enum rc rc = rig_make_unpaid(tx, order, err);
    return rc ? rc : order_set_closing(tx, order->order_id, err);
}

enum rc rig_add_record(struct tx *tx, void *arg, struct error *err)
{
    const struct order *order = arg;
    struct pay_record record = { .pay_no = rig_id(), .order_id = order->order_id, .app = "a", .channel = "c", .product = "code",
                                 .amount_minor = 100, .currency = "CNY", .status = PAYMENT_UNPAID,
                                 .expires_at = order->expires_at };
    return record_insert(tx, &record, err);
}

enum rc rig_read_order(struct tx *tx, void *arg, struct error *err)
{
    struct order *order = arg;
    return order_get(tx, order->order_id, rig.arena, order, err);
}

static enum rc count_scheduled(struct tx *tx, void *arg, struct error *err)
{
    static const struct sql count = { .name = "test_scheduled", .text = "SELECT count(*) FROM query_schedule" };
    return tx_i64(tx, &count, NULL, 0, arg, err);
}

int64_t rig_scheduled(void)
{
    int64_t count;
    rig_write(count_scheduled, &count);
    return count;
}

/* ---- one turn of the schedule */

struct turn {
    pthread_mutex_t lock;
    pthread_cond_t ended;
    bool over;
    struct task_end end;
};

static void on_end(void *arg, const struct task_end *end)
{
    struct turn *turn = arg;
    pthread_mutex_lock(&turn->lock);
    turn->end = *end;
    turn->over = true;
    pthread_cond_signal(&turn->ended);
    pthread_mutex_unlock(&turn->lock);
}

static enum rc hold_tx(struct tx *tx, void *arg, struct error *err)
{
    struct scheduled *row = arg;
    const struct schedule_entry entry = { row->subject, row->task, row->channel, 60 * 60 * 1000 };
    return schedule_hold(tx, &entry, 1, &row->version, err);
}

/* As after a claim. */
struct task_end rig_turn(struct scheduled row)
{
    struct turn turn = { .lock = PTHREAD_MUTEX_INITIALIZER, .ended = PTHREAD_COND_INITIALIZER };
    struct arena *arena = arena_new(0);
    if (!row.channel)
        row.channel = row.task == TASK_EXPIRE ? "" : "c";
    if (row.task <= TASK_EXPIRE) /* the books hold no others yet */
        rig_write(hold_tx, &row);
    task_run(rig.pay, &row, arena, on_end, &turn);
    pthread_mutex_lock(&turn.lock);
    while (!turn.over)
        pthread_cond_wait(&turn.ended, &turn.lock);
    pthread_mutex_unlock(&turn.lock);
    arena_free(arena);
    return turn.end;
}

/* ---- what people are told */

struct audits {
    const char *pay_no, *outcome;
    int64_t count;
};

static enum rc count_audits(struct tx *tx, void *arg, struct error *err)
{
    static const struct sql count = { .name = "test_audits",
                                      .text = "SELECT count(*) FROM notify_audit WHERE pay_no = $1 AND outcome = $2" };
    struct audits *audits = arg;
    return tx_i64(tx, &count, VALUES(value_text(audits->pay_no), value_text(audits->outcome)), &audits->count, err);
}

int64_t rig_audits(int64_t pay_no, const char *outcome)
{
    struct audits audits = { .pay_no = arena_printf(rig.arena, "%lld", (long long)pay_no), .outcome = outcome };
    rig_write(count_audits, &audits);
    return audits.count;
}

/* ---- life */

int rig_open(void **state)
{
    (void)state;
    struct error err = { 0 };
    rig.arena = arena_new(0);
    scratch_make();
    const char *url = arena_printf(rig.arena, "sqlite:%s", scratch_path("db"));
    if (store_open(&(struct store_options){ .url = url, .statement_timeout_ms = 5000 }, &rig.store, &err) != RC_OK)
        fail_msg("%s", err.text);
    real = rig.store->driver;
    ids_lease(1, 0, mono_ms() + 600000);
    rig.app = (struct config_app){ .name = "a" };
    rig.channel = (struct config_channel){ .name = "c", .query_interval_ms = 30000 };
    rig.config = (struct config){ .apps = &rig.app, .app_count = 1, .channels = &rig.channel, .channel_count = 1 };
    rig.config.server.link_key_file = arena_strdup(rig.arena, scratch_path("link.key"));
    rig.config.server.settle_queue = 64;
    rig.config.server.settle_batch = 8;
    if (channel_open(&plugin, "c", NULL, &rig.channel.channel, &err) != RC_OK || pool_new(2, 8, "test", &rig.workers, &err) != RC_OK)
        fail_msg("%s", err.text);
    const struct pay_options options = { .config = &rig.config, .store = rig.store, .workers = rig.workers, .incarnation = 1,
                                         .events = { NULL, plan, on_committed, on_aborted } };
    if (pay_new(&options, &rig.pay, &err) != RC_OK || committer_start(rig.pay->committer, &err) != RC_OK)
        fail_msg("%s", err.text);
    return 0;
}

int rig_close(void **state)
{
    (void)state;
    pay_drain(rig.pay);
    pool_free(rig.workers);
    pay_free(rig.pay);
    channel_close(rig.channel.channel);
    store_close(rig.store);
    arena_free(rig.arena);
    scratch_remove();
    return 0;
}
