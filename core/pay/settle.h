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
    const char *currency, *trade_no, *payer, *refund_no;
    const char *merchant;      /* merchant.h */
    const char *provider;      /* the provider's fields as a JSON object */
    int64_t paid_at;           /* 0: not stated */
};

struct effects {
    const char *event;  /* type of the event to write; NULL: none */
    const char *audit;  /* one line for the audit; NULL: no row */
    bool follow_up;     /* ask the provider about this record soon, or accept it when the app says so */
    bool close_siblings; /* query and close the order's other open records at their providers */
};

/* Judges one fact about `record` of `order` and changes both in place; ret_effects says what else to write. `late` is
 * the app's policy. */
enum settle_outcome settle_decide(const struct fact *fact, enum late_policy late, struct order *order,
                                  struct pay_record *record, struct effects *ret_effects);

#endif
