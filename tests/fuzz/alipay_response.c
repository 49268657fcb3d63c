/*
 * The whole way of a gateway answer, its signature believed. The first byte chooses what was asked, a capital in
 * certificate mode.
 */
#include <stdint.h>
#include <stdlib.h>

#include "alipay/alipay.h"
#include "fuzz/alipay_believer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum pn_operation operation_of(uint8_t letter)
{
    switch (letter) {
    case 'p':
        return PN_PREPAY;
    case 'c':
        return PN_CLOSE;
    case 'r':
        return PN_REFUND;
    case 'f':
        return PN_REFUND_QUERY;
    default:
        return PN_QUERY;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pn_payment payment = { .size = sizeof(payment), .pay_no = STR("PN20240520R1"), .product = STR("precreate"),
                                  .refund_no = STR("RF1"), .refund_minor = 1 };
    struct pn_http_response response = { .size = sizeof(response), .status = 200 };
    struct pn_step step = { .size = sizeof(step) };
    struct pn_call call = plugin_call(0);
    bool certified;
    int rc;

    if (size == 0)
        return 0;
    certified = data[0] >= 'A' && data[0] <= 'Z';
    payment.operation = operation_of(certified ? (uint8_t)(data[0] | 0x20) : data[0]);
    response.body = (struct pn_str){ (const char *)data + 1, size - 1 };
    rc = pn_plugin.channel->response(certified ? certified_believer() : believer(), &call, &payment, 1, &response, &step);
    if (step.next || (rc == PN_OK) != (step.done != NULL) || (rc != PN_OK) != (call.failures == 1))
        abort();
    if (rc == PN_OK)
        believer_check(step.done);
    plugin_call_free(&call);
    return 0;
}
