/*
 * The Alipay side of the sandbox: what its files share. The gateway (alipay_gateway.c) checks and dispatches calls,
 * alipay_methods.c and alipay_refunds.c answer them,
 * alipay_payer.c shows the payer's pages, alipay_events.c makes things happen to trades,
 * alipay_notice.c writes what Alipay sends to merchants.
 */
#ifndef SANDBOX_ALIPAY_H
#define SANDBOX_ALIPAY_H

#include <jansson.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "faults.h"
#include "form.h"
#include "provider.h"
#include "sandbox.h"
#include "server.h"
#include "trades.h"

extern const struct route_table alipay_gateway_routes, alipay_payer_routes, alipay_settings_routes;

/* What tests may set while it runs. */
struct alipay_settings {
    atomic_bool refunds_wait;    /* accepted refunds are not done until a test says so */
    atomic_llong refund_gap_ms;  /* the least time between two refunds of a trade; 0: none */
};

/* ---- alipay_methods.c: business answers ---- */

/* A gateway call: its parameters from URL and body, and biz_content read (NULL: it is no JSON object). */
struct alipay_call {
    struct sandbox *sandbox;
    const struct params *params;
    const json_t *biz;
    bool charset_in_url;
    bool from_app; /* the phone's SDK hands over an order string */
};

/* The node of an answer. */
json_t *alipay_success(void);
json_t *alipay_refusal(const char *code, const char *sub_code, const char *sub_msg);
json_t *alipay_business(const char *sub_code, const char *sub_msg); /* 40004 */
void alipay_set_text(json_t *node, const char *name, const char *text);

/* Of biz_content. NULL when absent; what is there but no text sets *ret_wrong. */
const char *alipay_member(const json_t *biz, const char *name, bool *ret_wrong);
/* The trade that out_trade_no or trade_no names (trade_no wins), with the trades locked. NULL: *ret_refusal is the answer. */
struct trade *alipay_named_trade(const struct alipay_call *call, json_t **ret_refusal);

json_t *alipay_query(const struct alipay_call *call);
json_t *alipay_close(const struct alipay_call *call);
json_t *alipay_precreate(const struct alipay_call *call);
json_t *alipay_refund(const struct alipay_call *call);
json_t *alipay_refund_query(const struct alipay_call *call);
/* wap.pay, page.pay and app.pay: the node is only made when the call is refused; else the trade is open and shown to the payer. */
json_t *alipay_open_wap(const struct alipay_call *call, char **ret_trade_no);
json_t *alipay_open_page(const struct alipay_call *call, char **ret_trade_no);
json_t *alipay_open_app(const struct alipay_call *call, char **ret_trade_no);

/* ---- alipay_payer.c ---- */

struct reply alipay_show_trade(struct sandbox *sandbox, const char *trade_no);
struct reply alipay_show_refusal(const json_t *node);

/* ---- alipay_events.c: called with the trades locked ---- */

/* The trade, closed first when its time is over. NULL: there is none. */
struct trade *alipay_find(struct sandbox *sandbox, const char *pay_no);
struct trade *alipay_find_trade_no(struct sandbox *sandbox, const char *trade_no);
/* Closes all trades whose time is over. Locks by itself. */
void alipay_expire_all(struct sandbox *sandbox);

/* The payer has it on the screen: if nobody had before, the trade exists from now on. */
void alipay_event_open(struct trade *trade);
/* Each returns NULL or, with nothing changed, why the trade's state does not allow it (static text). */
const char *alipay_event_pay(struct sandbox *sandbox, struct trade *trade, enum announce announce);
const char *alipay_event_close(struct sandbox *sandbox, struct trade *trade, enum announce announce);
const char *alipay_event_expire(struct sandbox *sandbox, struct trade *trade);
const char *alipay_event_finish(struct sandbox *sandbox, struct trade *trade, enum announce announce);
const char *alipay_event_refund(struct sandbox *sandbox, struct trade *trade, int64_t fen, const char *out_request_no,
                                enum announce announce);
/* The end of a refund that is processed: REFUND_SUCCESS, or REFUND_CLOSED, which nobody is told. */
const char *alipay_event_refund_end(struct sandbox *sandbox, struct refund *refund, enum refund_status status,
                                    enum announce announce);
/* What went back by now: of the refunds that are done. */
int64_t alipay_refunded_fen(const struct trade *trade);
/* A notice about the trade as it is, such as WAIT_BUYER_PAY. */
const char *alipay_event_tell(struct sandbox *sandbox, struct trade *trade);

const char *alipay_status_text(enum trade_status status);

/* ---- alipay_notice.c: signed texts that go to the merchant ---- */

/* The only payer there is. */
#define ALIPAY_BUYER_ID "2088102100000009"
#define ALIPAY_BUYER_LOGON_ID "pay***@sandbox.invalid"

/* Queues a notice about the trade. `out_biz_no`: of a refund, else NULL. */
void alipay_notify(struct sandbox *sandbox, const struct trade *trade, const char *out_biz_no);
/* The payer's way back with signed parameters. The caller frees. */
char *alipay_return_url(struct sandbox *sandbox, const struct trade *trade);
/* All fields of a usual payment notice for a pay_no and amount, for tests that sign their own. */
struct params alipay_sample_notice(struct sandbox *sandbox, const char *pay_no, const char *amount);
/* Adds sign_type and sign and encodes. The caller frees. */
char *alipay_sign_notice(struct keys *keys, struct params *fields, const struct fault_plan *plan);
/* A signature with the faults that the plan asks of signatures. The caller frees. */
char *alipay_sign(struct keys *keys, const char *text, const struct fault_plan *plan);
/* Replaces members (null: removes). */
void alipay_change_fields(struct params *fields, const json_t *change);

#endif
