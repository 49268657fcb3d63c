/*
 * The whole way of an Alipay notice and of a browser's way back, their signatures believed.
 */
#include <stdint.h>
#include <stdlib.h>

#include "alipay/alipay.h"
#include "fuzz/alipay_believer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void judge(const struct pn_http_incoming *incoming, uint32_t good)
{
    struct pn_notification notice = { .size = sizeof(notice) };
    struct pn_call call = plugin_call(0);

    if (pn_plugin.channel->notification(believer(), &call, incoming, &notice) != PN_OK)
        abort();
    if (notice.verdict == PN_REFUSED ? notice.reason.len == 0 : notice.verdict != good || notice.pay_no.len == 0)
        abort();
    if (notice.verdict == PN_AUTHENTIC)
        believer_check(notice.result);
    plugin_call_free(&call);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pn_str input = { (const char *)data, size };

    judge(&(struct pn_http_incoming){ .size = sizeof(struct pn_http_incoming), .method = STR_INIT("POST"), .body = input },
          PN_AUTHENTIC);
    judge(&(struct pn_http_incoming){ .size = sizeof(struct pn_http_incoming), .method = STR_INIT("GET"), .query = input }, PN_HINT);
    return 0;
}
