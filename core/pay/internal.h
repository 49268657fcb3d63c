/*
 * What the files of core/pay share. Nothing outside this folder includes it.
 */
#ifndef PN_PAY_INTERNAL_H
#define PN_PAY_INTERNAL_H

#include <pthread.h>

#include "base/buf.h"
#include "base/metrics.h"
#include "pay/link.h"
#include "pay/pay.h"
#include "pay/settle.h"

struct committer;
struct follow_up;
struct traffic;
struct hints;

/* Read-only after pay_new; the parts have their own locks. */
struct pay {
    struct pay_options options;
    const struct config *config;
    struct store *store;
    struct links *links;
    struct committer *committer;
    struct follow_up *follow_up;
    struct traffic *traffic; /* one for each of config->channels, in their order */
    struct hints *hints;
};

/* ---- committer.c */
enum rc committer_new(struct pay *pay, struct committer **ret_committer, struct error *err);
enum rc committer_start(struct committer *committer, struct error *err);
void committer_drain(struct committer *committer); /* refuses new items, settles what waits, ends the thread */
void committer_free(struct committer *committer);

/* ---- event.c */

/* Fills an event about order and record, links it behind order->last_event, which it becomes. */
enum rc event_make(const char *type, struct order *order, const struct pay_record *record, const struct refund *refund,
                   const char *provider, struct arena *arena, struct event *ret_event, struct error *err);

/* Writes one event inside a transaction whose own statements changed order and record, and remembers its rows for
 * event_done, which is called after the transaction ended, whatever its end. */
struct event_write {
    struct pay *pay;
    struct arena *arena;
    struct event event;
    struct outbox_row *rows;
    size_t row_count;
    bool planned;
};
enum rc event_store(struct event_write *write, struct tx *tx, struct error *err);
void event_done(struct event_write *write, bool committed);

/* ---- provider.c */

/* What is asked of a provider. Copied by the call; what it points to lives as long as the arena. */
struct provider_ask {
    const struct order *order;
    const struct pay_record *record;
    const struct refund *refund; /* REFUND and REFUND_QUERY */
    enum pn_operation operation;
    const char *client_ip; /* of the payer, when he is waiting; or NULL */
    bool background;       /* nobody waits for it: it never takes the places that are kept for callers */
};

/* Asks a provider: request, the HTTP calls it wants, response. done runs once on a worker thread (or before
 * provider_call returns, when no call is needed). rc: RC_OK with a result (its state may still be UNKNOWN); RC_DECLINED;
 * RC_UNAVAILABLE (certainly nothing happened); RC_UNKNOWN; RC_BAD_INPUT; RC_INTERNAL. */
typedef void (*provider_done)(void *arg, enum rc rc, const struct pn_result *result, bool called, const struct error *err);
void provider_call(struct pay *pay, const struct provider_ask *ask, struct arena *arena, provider_done done, void *arg);

/* How many background calls may begin now on this channel without waiting; at most one while it is held back because its
 * provider does not answer. SIZE_MAX for a channel that is not configured: its calls end at once. Any thread. */
size_t provider_room(struct pay *pay, const char *channel);

/* provider_call(QUERY), whatever the ask's operation, then settles what was learned. state: what the provider said, UNKNOWN when it could not be
 * learned; outcome SETTLED_NOT when it was not settled. */
typedef void (*inquiry_done)(void *arg, enum pn_state state, enum settle_outcome outcome, const struct error *err);
void provider_inquire(struct pay *pay, const struct provider_ask *ask, struct arena *arena, inquiry_done done, void *arg);

/* ---- refund_ask.c, refund_inquire.c, refund.c */

/* pay_settle for an answer about a refund that `calls` calls have asked for: a failure is only believed while there are no more. */
enum rc refund_settle(struct pay *pay, const char *channel, const char *source, const struct pn_result *result, int64_t calls,
                      settle_done done, void *arg, struct error *err);

/* Asks the provider what became of a refund, asks for it again where that is safe, settles what was learned, and leaves
 * the schedule right. held: the refund's row of the schedule, which the caller holds. done runs on a worker. */
typedef void (*refund_carried)(void *arg);
void refund_carry_on(struct pay *pay, const struct scheduled *held, struct arena *arena, refund_carried done, void *arg);
/* Asks the provider about one refund of ours and settles the answer: nothing else. learned: the provider gave one. done runs on a
 * worker, or before the call returns. */
typedef void (*refund_inquired)(void *arg, bool learned);
void refund_inquire(struct pay *pay, int64_t refund_no, bool background, struct arena *arena, refund_inquired done, void *arg);
/* What the app wants for a late or duplicate payment: refunds all of it, once. Blocking; the schedule does the asking. */
enum rc refund_by_policy(struct pay *pay, int64_t pay_no, struct error *err);

/* ---- payments.c */
bool record_may_be_paid(const struct order *order, const struct pay_record *record, int64_t now_ms);
/* Reads record, order and the other open attempts; caller NULL sees all. */
enum rc payment_view_load(struct pay *pay, const struct caller *caller, int64_t pay_no, struct arena *arena,
                          struct payment_view *ret_view, struct error *err);
/* The parts: the other open attempts; and, with record and order there, the links and codes for the payer. */
enum rc payment_view_others(struct tx *tx, struct payment_view *view, struct arena *arena, struct error *err);
enum rc payment_view_complete(struct pay *pay, struct payment_view *view, struct arena *arena, struct error *err);

/* ---- cashier.c */
#define CASHIER_KEY_PREFIX "cashier:" /* of the idempotency keys that callers cannot use */

bool cashier_made(const struct pay_record *record);
/* False when it was made for a payer at another address, which its provider holds against him. */
bool cashier_fits_address(const struct pay_record *record, const char *client_ip, struct arena *arena);
/* Under the order's lock: the key of the attempt that this choice means, the open one chosen last or a new one. What was
 * chosen before a new one is put on the schedule to be closed: then *ret_left_others is set and the follow-up is to be
 * woken after the commit. */
enum rc cashier_pick(struct tx *tx, const struct payment_request *request, const char *product, const char *client_ip,
                     struct arena *arena, const char **ret_key, bool *ret_left_others, struct error *err);
/* Whether it was made by the cashier and another one was chosen since. */
enum rc cashier_left(struct tx *tx, const struct pay_record *record, struct arena *arena, bool *ret_left, struct error *err);
/* "cashier/123?k=…", relative to public_url. */
const char *cashier_path(struct pay *pay, int64_t order_id, struct arena *arena);

struct cashier_choice;
/* The ways to pay that a browser can be offered, in the order of the configuration. */
enum rc cashier_choices(const struct config *config, const struct order *order, const char *client_ip, struct arena *arena,
                        struct cashier_choice **ret, size_t *ret_count, struct error *err);

/* ---- accept.c */
/* RC_EXISTS: a newer order has the number, so that it can only be refunded. RC_CONFLICT: it is not a late payment any more. */
enum rc payment_accept(struct pay *pay, int64_t pay_no, struct error *err);

/* ---- return.c */

/* What the provider is told as return_url: "https://…/return/<channel>/<link>". */
const char *pay_return_link(struct pay *pay, const struct pay_record *record, struct arena *arena);

/* ---- hint.c */
enum rc hints_new(const struct config *config, struct hints **ret_hints, struct error *err);
void hints_free(struct hints *hints);

/* ---- prepay.c: how a PREPAY result is kept in pay_records.prepay */
struct prepay {
    enum pn_prepay_kind kind;
    const char *url;
    struct param *fields;
    size_t field_count;
    int64_t made_at; /* of a redirect or a code, which do not live long; 0: not known */
};
/* Whether it may still be shown; otherwise PREPAY is called again, with the same parameters. */
bool prepay_is_fresh(const struct prepay *prepay, int64_t now_ms);
bool prepay_is_stale(const struct pay_record *record, struct arena *arena); /* a code or an app's parameters that the provider may have forgotten */
const char *prepay_write(const struct pn_result *result, int64_t made_at, struct arena *arena);
enum rc prepay_read(const char *json, struct arena *arena, struct prepay *ret, struct error *err);
enum rc prepay_from_result(const struct pn_result *result, struct arena *arena, struct prepay *ret, struct error *err);
/* A form is made anew for each showing; this marks that one was shown, so that closing knows a payer may have it. */
extern const char *const prepay_shown;

/* ---- follow_up.c */
enum rc follow_up_new(struct pay *pay, struct follow_up **ret_follow_up, struct error *err);
enum rc follow_up_start(struct follow_up *follow_up, struct error *err);
void follow_up_wake(struct follow_up *follow_up); /* any thread */
void follow_up_stop(struct follow_up *follow_up);
void follow_up_free(struct follow_up *follow_up);

/* Whether `caller` may see rows of `app`. */
bool caller_sees(const struct caller *caller, const char *app);

#endif
