/*
 * What the files about refunds share: refund.c begins them, refund_ask.c asks the provider and keeps the schedule right,
 * refund_inquire.c only asks, refund_answer.c reads answers. Inside core/pay only.
 */
#ifndef PN_PAY_REFUND_H
#define PN_PAY_REFUND_H

#include "pay/internal.h"

/* One refund being asked for, or about. Lives in the arena. */
struct asking {
    struct pay *pay;
    struct arena *arena;
    struct scheduled held; /* our hold on the refund's row of the schedule */
    bool background;       /* nobody waits for it */
    bool doubted;          /* a call before this chain may have reached the provider */
    int64_t calls;         /* that have asked for the refund, as far as this chain knows: see refund_settle */
    struct refund_view view;
    refund_done done;
    void *arg;

    /* from one question to the next */
    bool unsent;           /* the call for the refund certainly did not leave */
    bool refused;          /* asked for again, and declined: whether it is unknown there is asked once more */
    struct pn_str refusal; /* the words of that */
    enum schedule_answer learned;
    bool enough;           /* asking again would teach nothing */
    enum settle_outcome outcome;
    struct pn_result said; /* on its way to the committer */
};

/* ---- refund_ask.c */

bool refund_ended(const struct refund *refund);
/* Reads refund, record and order. */
enum rc refund_view_read(struct tx *tx, int64_t refund_no, struct arena *arena, struct refund_view *ret, struct error *err);

/* Inside a transaction that holds the order's lock and has read view.refund: the provider is about to be called. Whoever comes
 * after a crash has to doubt; *asking learns whether it has to, too. */
enum rc refund_mark(struct asking *asking, struct tx *tx, struct error *err);

/* After that transaction: asks for the refund, or about one that is in doubt, settles what was learned, leaves the schedule
 * right and ends with what is in the books then. */
void refund_ask(struct asking *asking);

/* ---- refund_answer.c */

enum refund_answer {
    SAYS_STATE,     /* the provider's word about this refund: done, working on it, failed */
    SAYS_NOT_FOUND, /* it has never heard of it */
    SAYS_NO,        /* it will not do it, or it could not even be asked to */
    NOT_SENT,       /* certainly nothing happened */
    SAYS_NOTHING
};
/* Keeps what was said in asking->said. */
enum refund_answer refund_answer(struct asking *asking, enum rc rc, const struct pn_result *result, bool called,
                                 const struct error *err);
/* Makes asking->said a result about this refund, ready to be settled. */
void refund_answer_as(struct asking *asking, enum pn_state state);

#endif
