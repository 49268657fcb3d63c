/*
 * The business: orders, payments, settlement, closing, pay links. No SQL, no sockets, no provider names. The HTTP layer
 * and the follow-up worker call in here.
 *
 * Blocking functions run on a worker thread. Functions that may have to wait for a provider take a `done` callback, which
 * runs on a worker thread, exactly once, possibly before the function returns; the arena given must live until then.
 */
#ifndef PN_PAY_PAY_H
#define PN_PAY_PAY_H

#include <paynotify/plugin.h>

#include "base/arena.h"
#include "base/pool.h"
#include "client/client.h"
#include "config/config.h"
#include "store/store.h"

struct pay;

/* Where committed events go: the outbox, wired up by main so that pay does not look sideways. */
struct pay_event_port {
    void *ctx;
    void (*plan)(void *ctx, const struct event *event, struct arena *arena, struct outbox_row **ret_rows, size_t *ret_count);
    void (*committed)(void *ctx, const struct event *events, size_t event_count, const struct outbox_row *rows, size_t row_count);
    void (*aborted)(void *ctx, const struct outbox_row *rows, size_t row_count);
};

struct pay_options {
    const struct config *config;
    struct store *store;
    struct client *client;
    struct pool *workers;
    struct pay_event_port events;
    int64_t incarnation; /* of this process: what it works on in the schedule is free again when it is dead */
};

enum rc pay_new(const struct pay_options *options, struct pay **ret_pay, struct error *err); /* makes the link key if absent */
enum rc pay_start(struct pay *pay, struct error *err); /* committer and follow-up thread */
void pay_drain(struct pay *pay);                       /* refuses new settlements, settles what waits, stops the threads */
void pay_free(struct pay *pay);

/* Who asks: rows of other apps are RC_NOT_FOUND; an operator sees all. */
struct caller {
    const struct config_app *app;
};

/* ---- orders: blocking */

struct order_request {
    const char *out_business_id, *user_id, *order_type, *name, *description, *attach, *return_url;
    int64_t amount_minor;
    const char *currency;
    int64_t expires_in_ms; /* 0: the default */
    const struct order_line *lines;
    size_t line_count;
};

/* Makes the order, or returns the open or paid one with the same number (*ret_created false). RC_CONFLICT when that one
 * has another amount, currency, order_type or user; RC_BAD_INPUT names the field. */
enum rc pay_order_create(struct pay *pay, const struct caller *caller, const struct order_request *request, struct arena *arena,
                         struct order *ret_order, bool *ret_created, struct error *err);

struct order_view {
    struct order order;
    struct order_line *lines;
    size_t line_count;
    struct pay_record *records;
    size_t record_count;
};
enum rc pay_order_get(struct pay *pay, const struct caller *caller, int64_t order_id, struct arena *arena, struct order_view *ret,
                      struct error *err);
enum rc pay_order_list(struct pay *pay, const struct caller *caller, struct order_filter *filter, struct arena *arena,
                       struct order **ret, size_t *ret_count, struct error *err);

/* ---- payments */

struct payment_request {
    int64_t order_id;
    const char *channel;
    const char *product;         /* NULL: the channel's first */
    const char *return_url;      /* NULL: the order's */
    const char *idempotency_key; /* NULL: always a new attempt */
    const struct param { const char *name, *value; } *params; /* openid, client_ip, …: checked against the product's table */
    size_t param_count;
    bool by_cashier; /* the key is the cashier's own, and what it made before is left (cashier.h) */
};

struct payment_view {
    struct pay_record record;
    struct order order;
    const char *pay_url;   /* signed link, while it may be paid; NULL otherwise */
    const char *code_url;  /* CODE_URL products */
    const struct param *app_params;
    size_t app_param_count;
    struct pay_record *others; /* attempts of the same order that are still open */
    size_t other_count;
    bool unknown;              /* PREPAY or a query is unresolved: ask again */
    const char *provider_code, *provider_message; /* with unknown */
};

typedef void (*payment_done)(void *arg, enum rc rc, const struct payment_view *view, const struct error *err);

/* RC_CONFLICT when the order is paid, closing, closed or expired; RC_DECLINED when the provider refuses, or what the
 * channel gives as its reason when it does (the record is closed, and the view shows it); an UNKNOWN prepay is RC_OK with
 * view->unknown. Any other failure has no view. */
void pay_payment_create(struct pay *pay, const struct caller *caller, const struct payment_request *request, struct arena *arena,
                        payment_done done, void *arg);
/* refresh: the provider is asked first, and what it says is settled. */
void pay_payment_get(struct pay *pay, const struct caller *caller, int64_t pay_no, bool refresh, struct arena *arena,
                     payment_done done, void *arg);
enum rc pay_payment_list(struct pay *pay, const struct caller *caller, struct record_filter *filter, struct arena *arena,
                         struct pay_record **ret, size_t *ret_count, struct error *err);
/* Takes a late payment. Blocking. */
enum rc pay_payment_accept(struct pay *pay, const struct caller *caller, int64_t pay_no, struct arena *arena,
                           struct payment_view *ret, struct error *err);

/* Query, close at the provider, query again, for every open attempt; then the order. RC_OK: view->order is closed, or
 * closing when a provider is not sure yet; RC_CONFLICT: paid. */
typedef void (*order_done)(void *arg, enum rc rc, const struct order *order, const struct error *err);
void pay_order_close(struct pay *pay, const struct caller *caller, int64_t order_id, struct arena *arena, order_done done, void *arg);

/* ---- refunds (pay/refund.c) */

struct refund_request {
    int64_t pay_no;
    const char *out_refund_id; /* the caller's number: the same again is the same refund */
    const char *amount;        /* decimal, in the payment's currency; NULL: everything that is left */
    const char *reason;        /* or NULL */
};
struct refund_view {
    struct refund refund;
    bool created; /* by this very call */
    struct pay_record record;
    struct order order;
};
typedef void (*refund_done)(void *arg, enum rc rc, const struct refund_view *view, const struct error *err);

/* Reserves the amount, then asks the provider. The same number again comes to the refund that there is. RC_OK with whatever status the refund has by then: a time-out is unknown,
 * never failed, and the schedule goes on until the end is certain. RC_CONFLICT: not paid, less left than wanted, or the
 * number was used for another payment or amount. */
void pay_refund_create(struct pay *pay, const struct caller *caller, const struct refund_request *request, struct arena *arena,
                       refund_done done, void *arg);
/* A failed refund reserves anew and is asked for under its old number; one that has not ended is asked about now.
 * RC_CONFLICT: it has succeeded, or less is left. */
void pay_refund_retry(struct pay *pay, const struct caller *caller, int64_t refund_no, struct arena *arena, refund_done done,
                      void *arg);
/* refresh: the provider is asked first about a refund that has not ended. */
void pay_refund_get(struct pay *pay, const struct caller *caller, int64_t refund_no, bool refresh, struct arena *arena,
                    refund_done done, void *arg);
enum rc pay_refund_list(struct pay *pay, const struct caller *caller, struct refund_filter *filter, struct arena *arena,
                        struct refund **ret, size_t *ret_count, struct error *err);

/* ---- the payer's pages */

/* What the link /pay/{pay_no}?k=… shows. signature: the value of k. RC_NOT_FOUND also for a wrong signature. */
struct pay_page {
    struct pay_record record;
    struct order order;
    enum {
        PAGE_FORM,
        PAGE_REDIRECT,
        PAGE_CODE,
        PAGE_PAID,
        PAGE_REFUSED,   /* too late: the attempt or the order has ended */
        PAGE_ELSEWHERE, /* it may be paid, but not in a browser */
        PAGE_TRY_AGAIN,
        PAGE_CHOOSE_AGAIN
    } kind;
    const char *url; /* form action, redirect target, or the code to draw */
    const struct param *fields;
    size_t field_count;
    const char *status_url; /* of the status poll, relative to the page: public_url may have a path */
    const char *cashier_url; /* relative likewise, when the cashier made this payment; NULL: it did not */
};
/* page: also after a failure, for its cashier_url, when the link was one of ours; otherwise NULL then. */
typedef void (*page_done)(void *arg, enum rc rc, const struct pay_page *page, const struct error *err);
void pay_page_open(struct pay *pay, int64_t pay_no, const char *signature, const char *client_ip, struct arena *arena,
                   page_done done, void *arg);
/* Blocking; never calls a provider. */
enum rc pay_page_status(struct pay *pay, int64_t pay_no, const char *signature, struct arena *arena, struct pay_record *ret_record,
                        struct order *ret_order, struct error *err);

/* ---- hints */

enum hint_source { HINT_NOTICE, HINT_RETURN }; /* a message to /notify, a browser at /return */

/* Somebody says, without proof, that something happened to pay_no, or to its refund refund_no (NULL: not about one). The
 * provider is asked, unless it has just been asked about the same or the channel has had too many hints; what it answers is
 * settled. `done` (or NULL) runs once, on a worker or before the call returns; true: the provider has answered, and its
 * answer is in the books. Any thread; never blocks. */
typedef void (*hint_done)(void *arg, bool answered);
void pay_hint(struct pay *pay, const char *channel, const char *pay_no, const char *refund_no, enum hint_source source,
              hint_done done, void *arg);

/* ---- the page that a provider sends the payer's browser back to */

enum return_state {
    RETURN_WAITING,
    RETURN_PAID,
    RETURN_LATE,
    RETURN_ENDED, /* the attempt is closed, its order may still be paid */
    RETURN_CLOSED
};
struct pay_return {
    struct pay_record record;
    struct order order;
    enum return_state state;
    const char *shop_url;               /* the way back to the shop; NULL: it left none */
    const char *pay_path, *status_path; /* relative to public_url */
    const char *cashier_path;           /* likewise, when the payment was chosen there and is shown there; NULL: it was not */
};

/* link: what stands behind /return/{channel}/; RC_NOT_FOUND when it is none of ours. While the payment is not known as
 * paid its provider is asked (pay_hint), without waiting. Blocking. */
enum rc pay_return_open(struct pay *pay, const char *link, struct arena *arena, struct pay_return *ret, struct error *err);

/* ---- how channels do, for operators; any thread */

enum { CHANNEL_REASON_MAX = 160 };
enum channel_state { CHANNEL_UP, CHANNEL_TRYING, CHANNEL_HELD_BACK };
struct channel_status {
    const char *name;
    enum channel_state state;
    char reason[CHANNEL_REASON_MAX]; /* why the last call failed; empty after an answer */
};
size_t pay_channel_status(struct pay *pay, struct channel_status *ret, size_t max);

/* ---- notifications (settle.h has the machine) */

enum settle_outcome {
    SETTLED_APPLIED, SETTLED_REPEATED, SETTLED_LATE, SETTLED_DUPLICATE, SETTLED_MISMATCH, SETTLED_CLOSED, SETTLED_REFUND,
    SETTLED_NOTED,
    SETTLED_LATER, /* a notice of a refund that may be ours and may not: the provider shall tell again when ours have ended */
    SETTLED_UNKNOWN_PAYMENT,
    SETTLED_NOT /* not decided: store down, queue full, connection lost */
};
const char *settle_outcome_name(enum settle_outcome outcome);
bool settle_outcome_accepted(enum settle_outcome outcome); /* whether the provider is answered success */

/* Queues what a provider said; copies what it needs from `result`. `done` runs once on the committer's thread after the
 * commit and must not block. RC_FULL or RC_UNAVAILABLE: not queued, done will not run. Any thread. */
typedef void (*settle_done)(void *arg, enum settle_outcome outcome);
enum rc pay_settle(struct pay *pay, const char *channel, const char *source, const struct pn_result *result, settle_done done,
                   void *arg, struct error *err);

#endif
