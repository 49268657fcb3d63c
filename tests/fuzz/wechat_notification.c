/*
 * The whole way of a notice, and of an answer, of WeChat's. The input is signed here before it is fed (where it can be read),
 * and an input that begins with <root> is also encrypted as a refund notice, so that what lies behind the checks is reached.
 */
#include <openssl/evp.h>
#include <stdint.h>
#include <stdlib.h>

#include "common/base64.h"
#include "common/charset.h"
#include "unit/plugin_host.h"
#include "wechat/wechat.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct wechat *channel(void)
{
    static struct wechat_settings settings;
    static struct pn_call call;
    static void *state;

    if (state)
        return state;
    call = plugin_call(0);
    plugin_defaults(&pn_plugin, &settings);
    plugin_setting(&pn_plugin, &settings, "appid", STR("wx1a2b3c4d5e6f7081"));
    plugin_setting(&pn_plugin, &settings, "mch_id", STR("1900000001"));
    plugin_setting(&pn_plugin, &settings, "api_key", STR("K7p2Qm9Xr4Tn8Vb1Zc6Ls3Hd5Gf0Jw2E"));
    plugin_setting(&pn_plugin, &settings, "sign_type", STR("MD5"));
    if (pn_plugin.channel->open(&settings, &plugin_host, &call, &state) != PN_OK)
        abort();
    return state;
}

static void check_text(struct pn_str text)
{
    if (!utf8_valid(text) || (text.len && memchr(text.data, '\0', text.len)))
        abort();
}

static void check_result(const struct pn_result *result)
{
    if (result->size != sizeof(*result) || result->state > PN_STATE_PROCESSING || result->total_minor < PN_NOT_STATED ||
        result->refunded_minor < PN_NOT_STATED || result->paid_at_ms < 0)
        abort();
    if (result->state == PN_STATE_PAID && (result->total_minor == PN_NOT_STATED || result->refunded_minor > result->total_minor))
        abort();
    check_text(result->pay_no);
    check_text(result->trade_no);
    check_text(result->refund_no);
    check_text(result->payer);
    check_text(result->code);
    check_text(result->message);
    check_text(result->url);
    for (size_t i = 0; i < result->merchant.count; i++)
        check_text(result->merchant.items[i].value);
    for (size_t i = 0; i < result->fields.count; i++) {
        check_text(result->fields.items[i].name);
        check_text(result->fields.items[i].value);
    }
}

static void notify(struct pn_str body)
{
    struct pn_http_incoming incoming = { .size = sizeof(incoming), .body = body };
    struct pn_notification notice = { .size = sizeof(notice) };
    struct pn_call call = plugin_call(0);

    if (pn_plugin.channel->notification(channel(), &call, &incoming, &notice) != PN_OK)
        abort();
    if (notice.verdict == PN_AUTHENTIC)
        check_result(notice.result);
    else if (notice.result || (notice.verdict == PN_HINT ? !notice.pay_no.len || !notice.refund_no.len : !notice.reason.len))
        abort();
    check_text(notice.pay_no);
    check_text(notice.refund_no);
    plugin_call_free(&call);
}

static void respond(uint32_t operation, uint32_t round, struct pn_str body)
{
    struct pn_payment payment = {
        .size = sizeof(payment), .operation = operation, .pay_no = STR("WN20240520N1001"), .product = STR("native"),
        .amount_minor = 8880, .refund_no = STR("RF1"), .refund_minor = 1, .notify_url = STR("https://pay.test.example/notify/wechat"),
    };
    struct pn_http_response response = { .size = sizeof(response), .status = 200, .body = body };
    struct pn_step step = { .size = sizeof(step) };
    struct pn_call call = plugin_call(0);
    int rc = pn_plugin.channel->response(channel(), &call, &payment, round, &response, &step);

    if ((rc == PN_OK) != (!step.next != !step.done) || (rc != PN_OK) != (call.failures == 1))
        abort();
    if (step.done)
        check_result(step.done);
    plugin_call_free(&call);
}

static void everywhere(struct pn_str body)
{
    notify(body);
    for (uint32_t operation = PN_PREPAY; operation <= PN_REFUND_QUERY; operation++)
        respond(operation, 1, body);
    respond(PN_QUERY, 2, body);
}

/* The same fields with a signature that holds. */
static void feed_signed(struct pn_str input)
{
    static struct pn_kv fields[XML_ELEMENTS_MAX + 1];
    struct pn_call call = plugin_call(0);
    char *text = malloc(input.len ? input.len : 1), *body = NULL;
    size_t count = 0, kept = 0;

    if (!text)
        abort();
    if (xml_read(input, "xml", text, fields, &count))
        goto out;
    for (size_t i = 0; i < count; i++)
        if (!str_is(fields[i].name, "sign"))
            fields[kept++] = fields[i];
    if (sign_fields(channel(), &call, fields, &kept, "sign") != PN_OK)
        abort();
    body = malloc(xml_write(fields, kept, NULL));
    if (!body)
        abort();
    everywhere((struct pn_str){ body, xml_write(fields, kept, body) });
out:
    plugin_call_free(&call);
    free(body);
    free(text);
}

static void feed_encrypted(struct pn_str input)
{
    unsigned char *bytes = malloc(input.len + 32);
    char *base64 = malloc(BASE64_LEN(input.len + 32)), *body = NULL;
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    int first = 0, last = 0;
    struct pn_kv fields[] = {
        { STR("return_code"), STR("SUCCESS") }, { STR("appid"), STR("wx1a2b3c4d5e6f7081") }, { STR("mch_id"), STR("1900000001") },
        { STR("req_info"), { base64, 0 } },
    };

    if (!bytes || !base64 || !EVP_EncryptInit_ex2(context, channel()->crypto.aes, channel()->refund_key, NULL, NULL) ||
        !EVP_EncryptUpdate(context, bytes, &first, (const unsigned char *)input.data, (int)input.len) ||
        !EVP_EncryptFinal_ex(context, bytes + first, &last))
        abort();
    base64_encode(bytes, (size_t)(first + last), base64);
    fields[3].value.len = BASE64_LEN((size_t)(first + last));
    body = malloc(xml_write(fields, 4, NULL));
    if (!body)
        abort();
    notify((struct pn_str){ body, xml_write(fields, 4, body) });
    EVP_CIPHER_CTX_free(context);
    free(body);
    free(base64);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pn_str input = { (const char *)data, size };

    everywhere(input);
    feed_signed(input);
    if (size >= 5 && memcmp(data, "<root", 5) == 0)
        feed_encrypted(input);
    return 0;
}
