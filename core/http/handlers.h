/*
 * The handlers that the table of routes names; one file per family. Each answers its request exactly once, now or later.
 */
#ifndef PN_HTTP_HANDLERS_H
#define PN_HTTP_HANDLERS_H

#include "http/request.h"

/* orders.c: workers */
void orders_create(struct http_request *request);
void orders_list(struct http_request *request);
void orders_get(struct http_request *request);
void orders_close(struct http_request *request);

/* payments.c: workers */
void payments_create(struct http_request *request);
void payments_list(struct http_request *request);
void payments_get(struct http_request *request);
void payments_accept(struct http_request *request);

/* refunds.c: workers */
void refunds_create(struct http_request *request);
void refunds_list(struct http_request *request);
void refunds_get(struct http_request *request);
void refunds_retry(struct http_request *request);

/* notify.c: HTTP threads; the answer comes from the committer's */
void notify_take(struct http_request *request);
void notify_give_up(struct http_request *request, struct arena *scratch);

/* payer.c: workers */
void payer_page(struct http_request *request);
void payer_page_give_up(struct http_request *request, struct arena *scratch);
void payer_status(struct http_request *request);

/* return.c: a worker for the linked one, HTTP threads for the bare one */
void return_linked(struct http_request *request);
void return_bare(struct http_request *request);

/* What the payer's pages share; payer.c. */
struct page;
void payer_add_order(struct page *page, const struct order *order); /* what is paid for, and how much */
void payer_unknown_link(struct http_request *request);
void payer_try_again(struct http_request *request);
void payer_see_other(struct http_request *request, const char *url); /* relative to the request's path, or absolute; NULL: no memory */
void payer_wrong_method(struct http_request *request, const char *allow);

/* cashier.c: workers */
void cashier_show(struct http_request *request);
void cashier_choose(struct http_request *request);
void cashier_status(struct http_request *request);

/* assets.c: HTTP threads */
void asset_style(struct http_request *request);
void asset_script(struct http_request *request);

/* ops.c: HTTP threads, except readyz */
void ops_health(struct http_request *request);
void ops_ready(struct http_request *request);
void ops_metrics(struct http_request *request);

#endif
