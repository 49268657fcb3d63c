/*
 * The books: one interface, two stores (sqlite/, pg/). Everything that changes state runs in store_write, everything
 * else in store_read; inside, the functions below are single operations, each with its one SQL statement.
 *
 * Threads: any thread may call store_write and store_read; they block. On SQLite all writes are jobs of one writer
 * thread that commits several together; on PostgreSQL a write takes a connection of its lane.
 * Texts handed in are UTF-8 without NUL. Texts handed out live in the given arena. Times are UTC ms, and the database's
 * clock writes them unless a parameter says otherwise. Money is minor units.
 * Leases and due times count from the statement that writes them: whoever measures a lease by its own monotonic clock
 * starts before the call.
 */
#ifndef PN_STORE_STORE_H
#define PN_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"

struct store;
struct tx; /* a transaction, valid inside its function only */

/* Reference A's codes; stored as they are. */
enum order_status { ORDER_UNPAID = 600001, ORDER_PAID = 600002, ORDER_CLOSED = 600003, ORDER_REFUNDED = 600004, ORDER_CLOSING = 600005 };
enum payment_status { PAYMENT_UNPAID = 601001, PAYMENT_PAID = 601002, PAYMENT_REFUNDED = 601003, PAYMENT_CLOSED = 601004 };

#define DUE_NEVER INT64_MAX /* outbox.due_at of a row that waits for its predecessor */

/* ---------------------------------------------------------------------------------------------------- life */

struct store_options {
    const char *url;
    int64_t connections;          /* PostgreSQL: workers' (8); there is one more for each other lane */
    int64_t statement_timeout_ms; /* a write or read that takes longer fails with RC_TIMEOUT or RC_UNKNOWN */
};

/* Connects and migrates (under an advisory lock). A newer schema, an unreachable server or a wrong URL is one clear
 * error without the password. */
enum rc store_open(const struct store_options *options, struct store **ret_store, struct error *err);
void store_close(struct store *store); /* waits for running transactions; NULL is fine */
const char *store_kind(const struct store *store); /* "sqlite", "postgresql" */
enum rc store_ping(struct store *store, struct error *err); /* for /readyz; bounded by 2 s */

enum lane { LANE_SETTLE, LANE_COMPLETE, LANE_POLL, LANE_WORK };

/*
 * Runs fn in a transaction and commits it. fn may run more than once (serialization failures and deadlocks are retried
 * up to 5 times), so it must write its results afresh each time and must not act outside the transaction. When fn fails,
 * everything is rolled back and its rc is returned; RC_RETRY of fn counts as a lost race. A statement that failed spoils the
 * transaction, except where the operation says which code it gives (RC_NOT_FOUND, RC_CONFLICT, RC_EXISTS of an insert).
 * How long: on PostgreSQL at most statement_timeout_ms, settlements at most 3 s, connecting and retries included. On SQLite
 * that bounds the wait for the writer; a job that runs is waited for.
 * RC_OK          committed, durable (LANE_COMPLETE on PostgreSQL: may be lost in a crash of the database server)
 * RC_UNAVAILABLE certainly not committed: no connection
 * RC_UNKNOWN     the connection was lost at COMMIT
 * RC_DATA        the store refused a value
 * RC_TIMEOUT     rolled back or never begun, by time
 */
typedef enum rc (*tx_fn)(struct tx *tx, void *arg, struct error *err);
enum rc store_write(struct store *store, enum lane lane, tx_fn fn, void *arg, struct error *err);
/* fn sees one moment of the books throughout. */
enum rc store_read(struct store *store, tx_fn fn, void *arg, struct error *err);

enum rc tx_now(struct tx *tx, int64_t *ret_ms, struct error *err); /* the database's clock */

/* ---------------------------------------------------------------------------------------------------- orders */

struct order {
    int64_t order_id;
    const char *app, *out_business_id;
    const char *user_id, *order_type; /* NULL when not given */
    const char *name, *description;
    int64_t amount_minor;
    const char *currency;
    const char *attach;     /* JSON text or NULL */
    const char *return_url; /* or NULL */
    enum order_status status;
    int64_t refunded_minor;
    int64_t created_at, expires_at;
    int64_t paid_at, closed_at; /* 0: not */
    int64_t paid_pay_no;        /* the record that paid it; 0: none */
    int64_t last_event;         /* 0: none */
};

struct order_line {
    const char *goods_id, *goods_type, *name, *detail; /* NULL when not given */
    int64_t price_minor, quantity;
};

/* RC_EXISTS when an order of (app, out_business_id) with closed_at IS NULL is there. created_at is set from the database's clock
 * and expires_at = created_at + expires_in_ms; both are written back to *order. */
enum rc order_insert(struct tx *tx, struct order *order, int64_t expires_in_ms, const struct order_line *lines, size_t line_count,
                     struct error *err);
enum rc order_get(struct tx *tx, int64_t order_id, struct arena *arena, struct order *ret, struct error *err); /* RC_NOT_FOUND */
enum rc order_find_open(struct tx *tx, const char *app, const char *out_business_id, struct arena *arena, struct order *ret,
                        struct error *err); /* the one with closed_at IS NULL */
/* Every writer locks the order first. FOR NO KEY UPDATE on PostgreSQL. */
enum rc order_lock(struct tx *tx, int64_t order_id, struct arena *arena, struct order *ret, struct error *err);
enum rc order_lines(struct tx *tx, int64_t order_id, struct arena *arena, struct order_line **ret, size_t *ret_count,
                    struct error *err);

/* unpaid → closing. RC_CONFLICT when the order is not unpaid. */
enum rc order_set_closing(struct tx *tx, int64_t order_id, struct error *err);
/* unpaid or closing → closed, closed_at = now, last_event = event. RC_CONFLICT otherwise. */
enum rc order_set_closed(struct tx *tx, int64_t order_id, int64_t event_id, struct error *err);
/* closed → paid, for a late payment that is accepted; the record pay_no needs no review any more. RC_CONFLICT when not closed;
 * RC_EXISTS when a newer open order has the number. */
enum rc order_set_accepted(struct tx *tx, int64_t order_id, int64_t pay_no, int64_t paid_at, int64_t event_id, struct error *err);

struct order_filter {
    const char *app;             /* NULL: every app (operator) */
    const char *out_business_id, *user_id;
    int status;                  /* 0: any */
    int64_t created_from, created_to; /* 0: open; [from, to) */
    int64_t before_id;           /* cursor: ids below this; 0: from the newest */
    size_t limit;
};
enum rc order_list(struct tx *tx, const struct order_filter *filter, struct arena *arena, struct order **ret, size_t *ret_count,
                   struct error *err); /* newest first */

/* ---------------------------------------------------------------------------------------------------- pay records */

struct pay_record {
    int64_t pay_no, order_id;
    const char *app, *channel, *product;
    int64_t amount_minor;
    const char *currency;
    const char *merchant;        /* "app_id=…;seller_id=…", as PREPAY said; NULL before */
    enum payment_status status;
    const char *trade_no, *payer; /* NULL: not known */
    int64_t refunded_minor;  /* went back for certain */
    int64_t refunding_minor; /* reserved by refunds that have not ended */
    int64_t stated_back_minor; /* the highest total of refunds that the provider has stated */
    int64_t paid_at;
    const char *idempotency_key; /* NULL: none */
    const char *params;          /* JSON object of payer parameters, return_url included; NULL: none */
    const char *prepay;          /* JSON of the prepay result to show again; NULL: not yet or made anew each time */
    bool needs_review;
    int64_t created_at, expires_at;
};

/* created_at is set from the database's clock and written back. RC_EXISTS when (order_id, idempotency_key) is taken. */
enum rc record_insert(struct tx *tx, struct pay_record *record, struct error *err);
enum rc record_get(struct tx *tx, int64_t pay_no, struct arena *arena, struct pay_record *ret, struct error *err);
enum rc record_find_key(struct tx *tx, int64_t order_id, const char *idempotency_key, struct arena *arena, struct pay_record *ret,
                        struct error *err);
enum rc records_of_order(struct tx *tx, int64_t order_id, struct arena *arena, struct pay_record **ret, size_t *ret_count,
                         struct error *err); /* oldest first */
/* Stores what PREPAY said, while unpaid. RC_CONFLICT otherwise. */
enum rc record_set_prepay(struct tx *tx, int64_t pay_no, const char *merchant, const char *prepay, struct error *err);
/* unpaid → closed. RC_CONFLICT otherwise. The order must be locked. */
enum rc record_set_closed(struct tx *tx, int64_t pay_no, struct error *err);
/* People must look at it. RC_CONFLICT when it says so already. The order must be locked. */
enum rc record_set_review(struct tx *tx, int64_t pay_no, struct error *err);

struct record_filter {
    const char *app; /* NULL: every app */
    int status;
    const char *channel, *trade_no, *user_id;
    int64_t created_from, created_to;
    int needs_review; /* -1: any */
    int64_t before_id;
    size_t limit;
};
enum rc record_list(struct tx *tx, const struct record_filter *filter, struct arena *arena, struct pay_record **ret,
                    size_t *ret_count, struct error *err);

/* ---------------------------------------------------------------------------------------------------- refunds */

enum refund_status {
    REFUND_CREATED = 602001,
    REFUND_PROCESSING = 602002,
    REFUND_SUCCEEDED = 602003,
    REFUND_FAILED = 602004,
    REFUND_UNKNOWN = 602005
};

struct refund {
    int64_t refund_no, pay_no, order_id; /* refund_no is ours, and the number that the provider gets */
    const char *app, *channel;
    const char *out_refund_id; /* the caller's, unique in the app; NULL: made by a policy or at the provider */
    const char *source;        /* "api", "policy", "provider" */
    const char *cause;         /* "late", "duplicate": of a payment that is not its order's; NULL */
    int64_t amount_minor;
    const char *currency;
    const char *reason;        /* or NULL */
    enum refund_status status;
    bool doubt;                /* a call that asked for it may have reached the provider without our learning what came of it */
    int64_t calls;             /* that asked for it, each counted before it leaves: a failure speaks of those that it can know of */
    const char *provider_no;   /* how the provider names a refund that is not ours; NULL */
    const char *code, *message; /* what the provider said last; NULL */
    int64_t created_at, finished_at; /* 0: not finished */
};

/* created_at is set from the database's clock and written back, finished_at too when the status says so. RC_EXISTS when
 * (app, out_refund_id) is taken. The order must be locked, here and below. */
enum rc refund_insert(struct tx *tx, struct refund *refund, struct error *err);
enum rc refund_get(struct tx *tx, int64_t refund_no, struct arena *arena, struct refund *ret, struct error *err);
enum rc refund_find(struct tx *tx, const char *app, const char *out_refund_id, struct arena *arena, struct refund *ret,
                    struct error *err);
enum rc refunds_of_record(struct tx *tx, int64_t pay_no, struct arena *arena, struct refund **ret, size_t *ret_count,
                          struct error *err); /* oldest first */
/* Sets aside `amount_minor` (above 0) of a paid record. RC_CONFLICT when less than that is left, or it is not paid. */
enum rc refund_reserve(struct tx *tx, int64_t pay_no, int64_t amount_minor, struct error *err);
/* failed → created, for a retry that reserves anew; its cause may be another by now. RC_CONFLICT otherwise. */
enum rc refund_set_again(struct tx *tx, int64_t refund_no, const char *cause, struct error *err);
/* Before a call leaves: doubt becomes true, and it is counted; after one that certainly did not: false. Only while created, processing or
 * unknown: RC_CONFLICT otherwise. */
enum rc refund_set_doubt(struct tx *tx, int64_t refund_no, bool doubt, struct error *err);

struct refund_filter {
    const char *app; /* NULL: every app */
    int64_t pay_no, order_id; /* 0: any */
    int status;
    const char *out_refund_id;
    int64_t created_from, created_to;
    int64_t before_id;
    size_t limit;
};
enum rc refund_list(struct tx *tx, const struct refund_filter *filter, struct arena *arena, struct refund **ret, size_t *ret_count,
                    struct error *err); /* newest first */

/* ---------------------------------------------------------------------------------------------------- settlement */

/* Locks the orders of these pay_nos in order of order_id, then, in a second statement, reads all records of them.
 * Numbers that do not exist are simply not in the answer. Both arrays are sorted by id. The records come without params and
 * prepay, which are long and decide nothing. */
enum rc settle_load(struct tx *tx, const int64_t *pay_nos, size_t count, struct arena *arena, struct order **ret_orders,
                    size_t *ret_order_count, struct pay_record **ret_records, size_t *ret_record_count, struct error *err);

struct record_change {
    int64_t pay_no;
    enum payment_status from, to;
    const char *trade_no, *payer; /* NULL: unchanged */
    int64_t paid_at;              /* 0: unchanged */
    bool needs_review;            /* true sets it; false leaves it */
};
struct order_change {
    int64_t order_id;
    enum order_status from, to; /* may be equal, when only last_event changes */
    int64_t paid_pay_no, paid_at; /* 0: unchanged */
    int64_t last_event;           /* 0: unchanged */
};

/* What happened: append only. `data` is the canonical JSON of the event (pay/events.h), every format is made from it. */
struct event {
    int64_t event_id;
    const char *type; /* "payment.succeeded" */
    const char *app, *order_type;
    int64_t order_id, pay_no; /* pay_no 0: none */
    const char *trade_no;     /* indexed; NULL: none */
    int64_t created_at;
    const char *data;
    /* not stored: */
    int64_t predecessor;      /* orders.last_event before this one; 0: none. The outbox chains by it */
};

/* One event still to deliver to one sink. */
struct outbox_row {
    int64_t event_id, order_id;
    const char *sink;
    int64_t predecessor; /* as in the event; written as due_at = DUE_NEVER when that is still pending for this sink */
    bool leased;         /* wanted: insert leased to `claim`, handed over in memory after the commit */
    int64_t claim;       /* the process's incarnation */
    int64_t lease_ms;
    bool chained;        /* out: it waits for its predecessor, so nothing is handed over */
    /* the outbox's own notes, not stored: */
    int64_t planned_at;   /* monotonic ms: the lease in the store begins later, so memory never trusts it too long */
    size_t planned_bytes; /* room reserved */
};

struct audit {
    int64_t audit_id;
    const char *channel, *pay_no; /* as the provider wrote it */
    const char *source;           /* "notification", "query" */
    const char *outcome;          /* "mismatch" */
    const char *trade_no;
    int64_t amount_minor;         /* -1: not stated */
    const char *detail;           /* one line; NULL: none */
};

/* What refunds change; rare beside payments, so one statement each. */
struct refund_change {
    int64_t refund_no;
    enum refund_status from, to;
    const char *code, *message; /* NULL: unchanged */
};
struct refund_totals {
    int64_t pay_no;
    int64_t from_refunded, from_refunding, refunded, refunding, stated_back;
    int64_t order_id; /* the order's refunded_minor goes along; 0: the payment is not its order's */
    int64_t order_from_refunded, order_refunded;
};

enum schedule_task {
    TASK_QUERY = 1,  /* ask again and again what became of an open payment */
    TASK_CHECK = 2,  /* ask about a payment, whatever the books say about it */
    TASK_CLOSE = 3,  /* query, close, query again */
    TASK_POLICY = 4, /* what the app wants done with a late or duplicate payment */
    TASK_REFUND = 5, /* carry a refund on until its end is certain */
    TASK_EXPIRE = 6  /* close an order whose time is over */
};

/* Something to do at a time. */
struct schedule_entry {
    int64_t subject;     /* a pay_no, a refund_no (TASK_REFUND) or an order_id (TASK_EXPIRE): ids never meet */
    enum schedule_task task;
    const char *channel; /* whose provider will be asked: each channel's work is claimed apart; "" for what asks nobody */
    int64_t due_in_ms;
};

/* Everything that a batch of decisions writes, as few statements as the store can. A record or order is named at most once;
 * each change is conditional on `from`; RC_RETRY when one did not meet it; RC_DATA when a sum goes beyond what was paid. Order:
 * refunds, totals, records, orders, events, outbox (sets `chained`), audits, schedule, where a subject may be named again. */
struct settle_writes {
    const struct record_change *records;
    size_t record_count;
    const struct order_change *orders;
    size_t order_count;
    const struct event *events;
    size_t event_count;
    struct outbox_row *outbox;
    size_t outbox_count;
    const struct audit *audits;
    size_t audit_count;
    struct refund *refund_inserts;
    size_t refund_insert_count;
    const struct refund_change *refund_changes;
    size_t refund_change_count;
    const struct refund_totals *refund_totals;
    size_t refund_totals_count;
    const struct schedule_entry *schedule;
    size_t schedule_count;
};
enum rc settle_store(struct tx *tx, struct settle_writes *writes, struct error *err);

/* ---------------------------------------------------------------------------------------------------- outbox */

struct outbox_claimed {
    struct event event;
    const char *sink;
    int attempts; /* failed so far */
};

/* Takes up to `limit` rows of `sink` that are due, oldest first, and moves their due_at to now + lease_ms under `claim`.
 * *ret_more is true when more may be due: the limit was reached. */
enum rc outbox_claim(struct tx *tx, const char *sink, size_t limit, int64_t claim, int64_t lease_ms, struct arena *arena,
                     struct outbox_claimed **ret, size_t *ret_count, bool *ret_more, struct error *err);

enum outbox_end { OUTBOX_DELIVERED, OUTBOX_DEAD, OUTBOX_RETRY, OUTBOX_BACK };

struct outbox_result {
    int64_t event_id;
    const char *sink;
    int64_t claim;        /* fence: a row that another process has taken since is left alone */
    enum outbox_end end;  /* delivered or dead: to the history, successors freed; retry: attempts + 1; back: untouched */
    int64_t retry_in_ms;  /* RETRY and BACK: due_at = now + this */
    int attempts;         /* for the history: including this one */
    const char *reason;   /* NULL: none */
};
/* One transaction's worth: deletes, inserts history, reschedules, then frees successors in a second statement.
 * *ret_freed: successors made due. */
enum rc outbox_complete(struct tx *tx, const struct outbox_result *results, size_t count, size_t *ret_freed, struct error *err);

/* Makes everything that `claim` holds due at once: at a clean stop, and for a predecessor that is dead. */
enum rc outbox_release(struct tx *tx, int64_t claim, size_t *ret_count, struct error *err);

struct outbox_depth {
    const char *sink;
    int64_t pending, due; /* due: not leased, not waiting */
    int64_t oldest_created_at;
};
enum rc outbox_depths(struct tx *tx, struct arena *arena, struct outbox_depth **ret, size_t *ret_count, struct error *err);
/* Cheap look for the poller: which sinks have rows due now. */
enum rc outbox_due_sinks(struct tx *tx, struct arena *arena, const char ***ret, size_t *ret_count, struct error *err);

/* ---------------------------------------------------------------------------------------------------- schedule */

/* Who works on a row holds it by its version: any put or claim since then makes its again or done a no-op. */
struct scheduled {
    int64_t subject;
    enum schedule_task task;
    const char *channel;
    int attempts; /* claims since the task began, this one included */
    int answers;  /* of a provider, since the task began, that taught something */
    int unknowns; /* in a row that taught nothing */
    int64_t version;
};
/* How a row's last turn ended: the provider answered; it was asked, and nothing was learned; it was not asked. */
enum schedule_answer { ANSWER_LEARNED = 0, ANSWER_UNKNOWN = 1, ANSWER_NOT_ASKED = 2 };
/* What is there already keeps its sooner time and its greater task; a new task counts from the beginning. */
enum rc schedule_put(struct tx *tx, const struct schedule_entry *entry, struct error *err);
/* Puts the row, and takes it for `claim` for due_in_ms: whoever had it, and whatever was due, stands back. */
enum rc schedule_hold(struct tx *tx, const struct schedule_entry *entry, int64_t claim, int64_t *ret_version, struct error *err);
/* Takes up to `limit` rows of `channel` that are due, longest due first: due_at = now + lease_ms under `claim`. */
enum rc schedule_claim(struct tx *tx, const char *channel, size_t limit, int64_t claim, int64_t lease_ms, struct arena *arena,
                       struct scheduled **ret, size_t *ret_count, struct error *err);
enum rc schedule_again(struct tx *tx, int64_t subject, int64_t version, int64_t due_in_ms, enum schedule_answer answer,
                       struct error *err);
enum rc schedule_done(struct tx *tx, int64_t subject, int64_t version, struct error *err); /* version 0: any */
/* Whether the row is still held by this version. */
enum rc schedule_held(struct tx *tx, int64_t subject, int64_t version, bool *ret_held, struct error *err);
/* Looks through the first `limit` due rows of `channel` (longest due first) and removes those that have nothing left to ask:
 * TASK_QUERY of a record that is not unpaid any more, TASK_EXPIRE of an order that is neither unpaid nor closing. A payment costs its
 * schedule one row of a batch, not a look of its own. *ret_count: removed; when it is `limit`, there may be more. */
enum rc schedule_prune(struct tx *tx, const char *channel, size_t limit, size_t *ret_count, struct error *err);
/* Makes everything that `claim` holds due at once: at a clean stop, and for a predecessor that is dead. */
enum rc schedule_release(struct tx *tx, int64_t claim, struct error *err);

struct schedule_depth {
    const char *channel;
    int64_t pending, due; /* due: neither held nor later */
    int64_t oldest_due_at; /* of those that are due; 0: none is */
};
/* For the metrics. */
enum rc schedule_depths(struct tx *tx, struct arena *arena, struct schedule_depth **ret, size_t *ret_count, struct error *err);

/* ---------------------------------------------------------------------------------------------------- nodes, memory */

/* Takes a node number (0…1023) for `name`: the one that name has, whose incarnation is then returned in
 * *ret_predecessor and is dead by definition (a name stands for a listening address), or a free or lapsed one.
 * *ret_floor_ms: no id was given out under this number after that time. RC_FULL when all are taken. */
enum rc node_acquire(struct tx *tx, const char *name, int64_t incarnation, int64_t lease_ms, int *ret_node,
                     int64_t *ret_predecessor, int64_t *ret_floor_ms, struct error *err);
/* RC_CONFLICT when another incarnation has it. */
enum rc node_renew(struct tx *tx, int node, int64_t incarnation, int64_t lease_ms, struct error *err);
enum rc node_release(struct tx *tx, int node, int64_t incarnation, struct error *err);

enum rc memory_get(struct tx *tx, const char *channel, struct arena *arena, const char **ret_data, size_t *ret_len,
                   int64_t *ret_version, int64_t *ret_refresh_at, struct error *err);
enum rc memory_put(struct tx *tx, const char *channel, const char *data, size_t len, int64_t version, int64_t refresh_at,
                   struct error *err); /* RC_CONFLICT when the stored version is not version - 1 */

#endif
