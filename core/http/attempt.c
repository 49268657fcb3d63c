/*
 * From a body to struct payment_request. What a product needs of the payer is checked by pay against its table.
 */
#include "http/attempt.h"

#include "http/engine.h"
#include "http/input.h"
#include "http/problem.h"
#include "plugin/registry.h"

bool attempt_read(struct http_request *request, const struct attempt_body *body, struct payment_request *ret)
{
    const struct config *config = request->server->options.config;
    const struct config_channel *channel = config_channel_find(config, body->channel);
    if (!channel)
        return input_fault(request, "channel", "is no configured channel");
    if (!config_app_may_use(request->caller.app, body->channel)) {
        http_problem(request, &(struct problem){ .type = PROBLEM_FORBIDDEN,
                                                 .field = "channel",
                                                 .detail = "This app is not configured for that channel." });
        return false;
    }
    if (body->product && !channel_product(channel->channel, body->product))
        return input_fault(request, "product", "is no product of this channel");
    const struct spec_extra *extras = body->params.items;
    struct param *params = arena_alloc(request->arena, body->params.count * sizeof *params);
    for (size_t i = 0; params && i < body->params.count; i++)
        params[i] = (struct param){ extras[i].name, extras[i].value };
    *ret = (struct payment_request){
        .channel = body->channel,
        .product = body->product,
        .idempotency_key = body->idempotency_key,
        .params = params,
        .param_count = params ? body->params.count : 0,
    };
    return true;
}
