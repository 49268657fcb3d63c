/*
 * The whole way of an Alipay notice, its signature believed.
 */
#include <stdint.h>
#include <stdlib.h>

#include "alipay/alipay.h"
#include "fuzz/alipay_believer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pn_http_incoming incoming = { .size = sizeof(incoming), .body = { (const char *)data, size } };
    struct pn_notification notice = { .size = sizeof(notice) };
    struct pn_call call = plugin_call(0);

    if (pn_plugin.channel->notification(believer(), &call, &incoming, &notice) != PN_OK)
        abort();
    if (notice.verdict == PN_AUTHENTIC)
        believer_check(notice.result);
    else if (notice.verdict != PN_REFUSED || notice.reason.len == 0)
        abort();
    plugin_call_free(&call);
    return 0;
}
