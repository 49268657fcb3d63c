/*
 * The one state machine (design §5): what a provider says, held against the books, decides what changes. A pure function
 * over a picture in memory, so that several items of one batch see each other's effects; both stores write what comes
 * out. Called by the committer only.
 */
#ifndef PN_PAY_SETTLE_H
#define PN_PAY_SETTLE_H

#include "pay/pay.h"

/* What a provider said, with owned text (committer.c packs it). Absent texts are NULL. */
struct fact {
    const char *channel, *source; /* "notification" or "query" */
    const char *pay_no_text;
    int64_t pay_no;
    enum pn_state state;
    int64_t total_minor, refunded_minor; /* PN_NOT_STATED */
    const char *currency, *trade_no, *payer;
    const char *refund_no;     /* as the provider says it */
    int64_t refund;            /* the same as a number of ours; 0 when it cannot be one */
    int64_t calls;             /* that had asked for `refund` when its failure was learned; 0: not known */
    const char *code, *message;
    const char *merchant;      /* merchant.h */
    const char *provider;      /* the provider's fields as a JSON object */
    int64_t paid_at;           /* 0: not stated */
};

/* The refunds of a record, and room for one that the provider made. NULL items: not loaded, see settle_wants_refunds. */
struct refund_book {
    int64_t pay_no;
    struct refund *items;
    size_t count, capacity;
};

struct effects {
    /* Types of the events to write, in order; refund: an index into the book, or -1. */
    struct { const char *type; int refund; } events[3];
    size_t event_count;
    const char *audit;       /* one line for the audit; NULL: no row */
    enum schedule_task task; /* for this record; 0: none */
    int64_t task_in_ms;
    bool ask_refunds;        /* those that have not ended are asked about at once */
    bool close_siblings;     /* query and close the order's other open records at their providers */
};

struct policies {
    enum late_policy late;
    enum duplicate_policy duplicate;
};

/* Whether settle_decide needs the record's refunds to judge this fact. They are rare, so a payment does not load them. */
bool settle_wants_refunds(const struct fact *fact, const struct pay_record *record);

/* Judges one fact about `record` of `order` and changes record, order and refunds in place; ret_effects says what else to
 * write. A refund that is appended has no refund_no yet. */
enum settle_outcome settle_decide(const struct fact *fact, const struct policies *policies, struct order *order,
                                  struct pay_record *record, struct refund_book *refunds, struct effects *ret_effects);

/* "late", "duplicate" or NULL: why a refund of this payment is not a refund of its order. */
const char *settle_refund_cause(const struct order *order, const struct pay_record *record);

#endif
