/*
 * How orders, payments and refunds look in JSON: ids as decimal strings, money as decimal strings in major units, times as RFC
 * 3339, absent facts left out. Pure; the caller owns what is returned.
 */
#ifndef PN_HTTP_VIEWS_H
#define PN_HTTP_VIEWS_H

#include <jansson.h>

#include "pay/pay.h"

const char *order_status_name(enum order_status status);
const char *payment_status_name(enum payment_status status);
/* A name or a code as text; 0 when it is neither. */
int order_status_of(const char *text);
int payment_status_of(const char *text);
int refund_status_of(const char *text);

/* cashier_url: the signed link; NULL leaves it out. */
json_t *view_order(const struct order *order, const char *cashier_url);
json_t *view_order_full(const struct order_view *view, const char *cashier_url); /* with goods and payments */
json_t *view_record(const struct pay_record *record);
json_t *view_payment(const struct payment_view *view, struct arena *arena); /* with what the payer needs */
json_t *view_refund(const struct refund *refund);
json_t *view_refund_full(const struct refund_view *view); /* with where its payment and its order stand */
/* Adds what a new payment gives to the answer of POST /v1/orders: pay_no, pay_url, qrcode, … */
void view_add_attempt(json_t *order, const struct payment_view *view, struct arena *arena);

/* {"items": [...], "next": "…"}: next only when a further page may exist. */
json_t *view_page(const char *name, json_t *items, int64_t next_before);

#endif
