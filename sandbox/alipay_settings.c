/*
 * GET and POST /control/alipay: who Alipay's merchant is, and how Alipay is to treat refunds from now on. Runs on the threads of
 * the HTTP server; the settings are atomic.
 */
#include <string.h>

#include "alipay.h"
#include "certificates.h"
#include "control.h"
#include "json.h"
#include "text.h"

#define BODY_LIMIT 4096
#define MOST_MS (INT64_C(24) * 3600 * 1000)

static struct reply show(struct sandbox *sandbox, const struct request *request)
{
    (void)request;
    const struct certificates *certificates = sandbox->certificates;
    const struct alipay_settings *settings = sandbox->alipay;
    char *gateway = text_format("%s/gateway.do", server_url(sandbox->server));
    json_t *json = json_pack("{s:s,s:s,s:s,s:s,s:I,s:s?,s:s?,s:s?}", "app_id", sandbox->app_id, "seller_id", sandbox->seller_id,
                             "gateway", gateway, "refund_outcome", atomic_load(&settings->refunds_wait) ? "processing" : "success",
                             "refund_gap_ms", (json_int_t)atomic_load(&settings->refund_gap_ms), "app_cert_sn",
                             certificates ? certificates->app_sn : NULL, "alipay_cert_sn",
                             certificates ? certificates->provider_sn : NULL, "alipay_root_cert_sn",
                             certificates ? certificates->root_sn : NULL);
    free(gateway);
    return control_reply(200, json);
}

static bool is_outcome(const char *text)
{
    return !text || strcmp(text, "success") == 0 || strcmp(text, "processing") == 0;
}

static struct reply change(struct sandbox *sandbox, const struct request *request)
{
    static const char *const members[] = {"refund_outcome", "refund_gap_ms", NULL};
    json_t *wanted = json_loadb(request->body, request->body_length, 0, NULL);
    const json_t *gap = json_object_get(wanted, "refund_gap_ms");
    json_int_t gap_ms = json_integer_value(gap);
    const char *outcome = NULL;
    bool good = json_has_only(wanted, members) && json_text(wanted, "refund_outcome", &outcome) && is_outcome(outcome) &&
                (!gap || (json_is_integer(gap) && gap_ms >= 0 && gap_ms <= MOST_MS));
    if (good && outcome)
        atomic_store(&sandbox->alipay->refunds_wait, strcmp(outcome, "processing") == 0);
    if (good && gap)
        atomic_store(&sandbox->alipay->refund_gap_ms, gap_ms);
    json_decref(wanted);
    if (!good)
        return control_refuse(400, "a JSON object of refund_outcome (success, processing) and refund_gap_ms (0 to 86400000)");
    return show(sandbox, request);
}

static const struct route routes[] = {
    {"GET", "/control/alipay", BODY_LIMIT, show},
    {"POST", "/control/alipay", BODY_LIMIT, change},
};

const struct route_table alipay_settings_routes = {routes, sizeof routes / sizeof *routes};
