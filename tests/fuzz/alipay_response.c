/*
 * The whole way of a gateway answer, its signature believed. The first byte chooses what was asked.
 */
#include <stdint.h>
#include <stdlib.h>

#include "alipay/alipay.h"
#include "fuzz/alipay_believer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pn_payment payment = { .size = sizeof(payment), .pay_no = STR("PN20240520R1"), .product = STR("precreate") };
    struct pn_http_response response = { .size = sizeof(response), .status = 200 };
    struct pn_step step = { .size = sizeof(step) };
    struct pn_call call = plugin_call(0);
    int rc;

    if (size == 0)
        return 0;
    payment.operation = data[0] == 'p' ? PN_PREPAY : data[0] == 'c' ? PN_CLOSE : PN_QUERY;
    response.body = (struct pn_str){ (const char *)data + 1, size - 1 };
    rc = pn_plugin.channel->response(believer(), &call, &payment, 1, &response, &step);
    if (step.next || (rc == PN_OK) != (step.done != NULL) || (rc != PN_OK) != (call.failures == 1))
        abort();
    if (rc == PN_OK)
        believer_check(step.done);
    plugin_call_free(&call);
    return 0;
}
