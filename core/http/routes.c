/*
 * The table of routes. doc/openapi.yaml describes exactly these.
 */
#include "http/handlers.h"
#include "http/route.h"

enum { NOTIFY_BODY = 64 * 1024, FORM_BODY = 4096, API_BODY = 1024 * 1024, BOTH = SIDE_PUBLIC | SIDE_API };

static const struct http_route routes[] = {
    { "POST", "/notify/{channel}", SIDE_PUBLIC, FOR_ANYONE, NOTIFY_BODY, RUN_INLINE, false, notify_take, notify_give_up },

    { "POST", "/v1/orders", SIDE_API, FOR_APPS, API_BODY, RUN_WORKER, false, orders_create, NULL },
    { "GET", "/v1/orders", SIDE_API, FOR_APPS, 0, RUN_WORKER, false, orders_list, NULL },
    { "GET", "/v1/orders/{order_id}", SIDE_API, FOR_APPS, 0, RUN_WORKER, false, orders_get, NULL },
    { "POST", "/v1/orders/{order_id}/payments", SIDE_API, FOR_APPS, API_BODY, RUN_WORKER, false, payments_create, NULL },
    { "POST", "/v1/orders/{order_id}/close", SIDE_API, FOR_APPS, 0, RUN_WORKER, false, orders_close, NULL },
    { "GET", "/v1/payments", SIDE_API, FOR_APPS, 0, RUN_WORKER, false, payments_list, NULL },
    { "GET", "/v1/payments/{pay_no}", SIDE_API, FOR_APPS, 0, RUN_WORKER, false, payments_get, NULL },
    { "POST", "/v1/payments/{pay_no}/accept", SIDE_API, FOR_APPS, 0, RUN_WORKER, false, payments_accept, NULL },
    { "POST", "/v1/payments/{pay_no}/refunds", SIDE_API, FOR_APPS, API_BODY, RUN_WORKER, false, refunds_create, NULL },
    { "GET", "/v1/refunds", SIDE_API, FOR_APPS, 0, RUN_WORKER, false, refunds_list, NULL },
    { "GET", "/v1/refunds/{refund_no}", SIDE_API, FOR_APPS, 0, RUN_WORKER, false, refunds_get, NULL },
    { "POST", "/v1/refunds/{refund_no}/retry", SIDE_API, FOR_APPS, 0, RUN_WORKER, false, refunds_retry, NULL },

    { "GET", "/pay/{pay_no}", SIDE_PUBLIC, FOR_ANYONE, 0, RUN_WORKER, true, payer_page, payer_page_give_up },
    { "GET", "/pay/{pay_no}/status", SIDE_PUBLIC, FOR_ANYONE, 0, RUN_WORKER, true, payer_status, NULL },
    { "GET", "/cashier/cashier.css", SIDE_PUBLIC, FOR_ANYONE, 0, RUN_INLINE, false, asset_style, NULL },
    { "GET", "/cashier/cashier.js", SIDE_PUBLIC, FOR_ANYONE, 0, RUN_INLINE, false, asset_script, NULL },
    { "GET", "/cashier/{order_id}", SIDE_PUBLIC, FOR_ANYONE, 0, RUN_WORKER, true, cashier_show, payer_page_give_up },
    { "POST", "/cashier/{order_id}/pay", SIDE_PUBLIC, FOR_ANYONE, FORM_BODY, RUN_WORKER, true, cashier_choose, payer_page_give_up },
    { "GET", "/cashier/{order_id}/status", SIDE_PUBLIC, FOR_ANYONE, 0, RUN_WORKER, true, cashier_status, NULL },
    { "GET", "/return/{channel}", SIDE_PUBLIC, FOR_ANYONE, 0, RUN_INLINE, true, return_bare, NULL },
    { "GET", "/return/{channel}/{link}", SIDE_PUBLIC, FOR_ANYONE, 0, RUN_WORKER, true, return_linked, payer_page_give_up },

    { "GET", "/healthz", BOTH, FOR_ANYONE, 0, RUN_INLINE, false, ops_health, NULL },
    { "GET", "/readyz", SIDE_API, FOR_ANYONE, 0, RUN_WORKER, false, ops_ready, NULL },
    { "GET", "/metrics", SIDE_API, FOR_ANYONE, 0, RUN_INLINE, false, ops_metrics, NULL },
};

const struct http_route *http_routes(size_t *ret_count)
{
    *ret_count = sizeof routes / sizeof routes[0];
    return routes;
}
