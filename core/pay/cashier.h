/*
 * The cashier: one signed link per order, where the payer chooses among the app's channels and pays. What is chosen there
 * is an ordinary payment with a key of the cashier's own. Called by http on workers.
 */
#ifndef PN_PAY_CASHIER_H
#define PN_PAY_CASHIER_H

#include "pay/pay.h"

/* One way to pay. */
struct cashier_choice {
    const char *channel;
    const struct pn_product *product; /* NULL: the channel is not configured any more */
};

enum cashier_state {
    CASHIER_CHOICE,     /* no attempt is shown */
    CASHIER_OPEN,       /* the attempt may be paid */
    CASHIER_STALE,      /* its code has grown too old to be scanned: choosing the same again makes a new one */
    CASHIER_UNANSWERED, /* its provider has not said what the payer needs: choosing the same again asks again */
    CASHIER_LEFT,       /* the payer has chosen again since; it is being closed */
    CASHIER_DECLINED,   /* its provider refused it */
    CASHIER_ENDED,      /* it is closed; the order may still be paid */
    CASHIER_PAID,
    CASHIER_TWICE,      /* the attempt was paid, and another had paid the order before */
    CASHIER_LATE,       /* the attempt was paid after the order had been closed */
    CASHIER_REFUNDED,
    CASHIER_EXPIRED,
    CASHIER_CLOSED
};
const char *cashier_state_name(enum cashier_state state); /* "choice" */

struct cashier_page {
    enum cashier_state state;
    struct order order;
    struct payment_view view;     /* of the attempt shown; its record.pay_no is 0 when there is none */
    struct cashier_choice chosen; /* how it is paid */
    const struct cashier_choice *choices;
    size_t choice_count;
    const struct cashier_choice *others; /* attempts that could still be paid beside the one shown */
    size_t other_count;
    int64_t current; /* the attempt chosen last, while it is open; 0: none */
    int64_t left_ms; /* until the order expires, by the store's clock; 0: it has, or nothing can be paid */
};

/* What the link shows. pay_no: the attempt to show, 0 for none; one that is not the cashier's is none. client_ip: "" when
 * not known. RC_NOT_FOUND also for a wrong signature. Blocking; never calls a provider. */
enum rc pay_cashier_load(struct pay *pay, int64_t order_id, const char *signature, int64_t pay_no, const char *client_ip,
                         struct arena *arena, struct cashier_page *ret_page, struct error *err);

/* The payer chooses: finds the attempt that he chose last when it is the same and open, or makes a new one and lets the
 * older ones be closed at their providers. As pay_payment_create, and RC_BAD_INPUT without a view for what the page did not
 * offer, RC_FULL after 50 choices for one order. */
void pay_cashier_choose(struct pay *pay, int64_t order_id, const char *signature, const char *channel, const char *product,
                        const char *client_ip, struct arena *arena, payment_done done, void *arg);

/* "https://…/cashier/123?k=…" in the arena; NULL without memory. */
const char *pay_cashier_link(struct pay *pay, int64_t order_id, struct arena *arena);

#endif
