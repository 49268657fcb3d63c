/*
 * The part of a body that describes a payment attempt, shared by POST /v1/orders and POST /v1/orders/{id}/payments.
 */
#ifndef PN_HTTP_ATTEMPT_H
#define PN_HTTP_ATTEMPT_H

#include <stdbool.h>

#include "http/request.h"
#include "http/spec.h"
#include "pay/pay.h"

enum { ATTEMPT_NAME_MAX = 64, ATTEMPT_KEY_MAX = 64 };

struct attempt_body {
    const char *channel, *product, *idempotency_key;
    struct spec_list params; /* struct spec_extra: what the channels' products ask of the payer */
};

/* Checks that the channel and the product exist and that the app may use them; answers and returns false otherwise. The
 * order's number and return_url are the caller's to fill in. Workers. */
bool attempt_read(struct http_request *request, const struct attempt_body *body, struct payment_request *ret);

#endif
