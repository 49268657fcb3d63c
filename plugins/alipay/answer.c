/*
 * Gateway answers: {"<method>_response":{…},"sign":"…"}. The signature covers the raw bytes of the node, so the node is cut out
 * of the body as it came and verified, and what is read afterwards is parsed from exactly those bytes: no difference between
 * two parsers can come in between. Called by response.c on a worker. Pure; any thread.
 */
#include <stdio.h>

#include "alipay/alipay.h"
#include "common/charset.h"

enum { NODE_NAME_MAX = 96 };

static const char error_node[] = "error_response";

/* "alipay.trade.query" → "alipay_trade_query_response" */
static void node_name(const char *method, char ret_name[NODE_NAME_MAX])
{
    static const char suffix[] = "_response";
    size_t len = strnlen(method, NODE_NAME_MAX - sizeof(suffix));

    for (size_t i = 0; i < len; i++)
        ret_name[i] = method[i] == '.' ? '_' : method[i];
    memcpy(ret_name + len, suffix, sizeof(suffix));
}

/* Gateway errors come in GBK even where UTF-8 was asked for. */
static bool as_utf8(const struct alipay *alipay, struct pn_call *call, struct pn_str text, struct pn_str *ret)
{
    size_t len = 0;
    char *converted;

    if (utf8_valid(text)) {
        *ret = text;
        return true;
    }
    converted = alipay_alloc(alipay, call, 2 * text.len);
    if (!converted || !gb18030_to_utf8(text, converted, &len))
        return false;
    *ret = (struct pn_str){ converted, len };
    return true;
}

static json_t *parse(struct pn_str text)
{
    return json_loadb(text.data ? text.data : "", text.len, JSON_REJECT_DUPLICATES, NULL);
}

/* text with every "\/" turned into "/". */
static bool unescape_slashes(const struct alipay *alipay, struct pn_call *call, struct pn_str text, struct pn_str *ret)
{
    char *plain = alipay_alloc(alipay, call, text.len);
    size_t len = 0;

    if (!plain)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] != '\\' || i + 1 == text.len || text.data[i + 1] != '/')
            plain[len++] = text.data[i];
    *ret = (struct pn_str){ plain, len };
    return true;
}

/* Alipay escapes slashes and normally signs them so; its own SDK tries the other spelling as well. *node becomes the spelling
 * that is signed. */
static bool verify(const struct alipay *alipay, struct pn_call *call, struct pn_str *node, const struct signature *signature)
{
    struct pn_str plain;

    if (signature_holds(alipay, *node, signature))
        return true;
    if (!memmem(node->data, node->len, "\\/", 2) || !unescape_slashes(alipay, call, *node, &plain) ||
        !signature_holds(alipay, plain, signature))
        return false;
    *node = plain;
    return true;
}

static enum answer_trust check_sign(const struct alipay *alipay, struct pn_call *call, const json_t *sign, struct pn_str *node,
                                    const char **ret_fault)
{
    struct signature signature;

    *ret_fault = "the answer is not signed";
    if (!sign || (json_is_string(sign) && json_string_length(sign) == 0))
        return ANSWER_UNSIGNED;
    *ret_fault = "the answer's sign is not the base64 of a signature of the configured key's length";
    if (!json_is_string(sign) ||
        !signature_read(alipay, (struct pn_str){ json_string_value(sign), json_string_length(sign) }, &signature))
        return ANSWER_MALFORMED;
    *ret_fault = "the answer's signature does not hold";
    if (!verify(alipay, call, node, &signature))
        return ANSWER_INVALID;
    *ret_fault = NULL;
    return ANSWER_SIGNED;
}

static bool is_known(const struct alipay *alipay, struct pn_str sn)
{
    for (size_t i = 0; i < alipay->alipay_cert_count; i++)
        if (str_is(sn, alipay->alipay_cert_sns[i]))
            return true;
    return false;
}

static bool is_sn(struct pn_str sn)
{
    for (size_t i = 0; i < sn.len; i++)
        if (!memchr("0123456789abcdef", sn.data[i], 16))
            return false;
    return sn.len == CERTIFICATE_SN_SIZE - 1;
}

/* In certificate mode an answer says which of Alipay's certificates signed it. NULL: one that we have, or it does not say. Its
 * own words are shown only when they are a number. */
static const char *check_certificate(const struct alipay *alipay, struct pn_call *call, const json_t *named)
{
    enum { FAULT_MAX = 320 };
    struct pn_str sn = { json_string_value(named), json_string_length(named) };
    char *fault;

    if (!alipay->alipay_cert_count || !named || is_known(alipay, sn))
        return NULL;
    fault = alipay_alloc(alipay, call, FAULT_MAX);
    if (!fault)
        return "the answer is signed with another certificate than alipay_cert";
    snprintf(fault, FAULT_MAX,
             "the answer is signed with Alipay's certificate %.*s, not with %s (alipay_cert): download "
             "alipayCertPublicKey_RSA2.crt from Alipay's console and install it as alipay_cert, or as alipay_cert_next while "
             "both are in use",
             is_sn(sn) ? (int)sn.len : 7, is_sn(sn) ? sn.data : "unknown", alipay->alipay_cert_sns[0]);
    return fault;
}

/* The one node that the answer to this method may have: its own or the gateway's error. NULL: neither, both, or no object. */
static const char *choose_node(const json_t *root, const char *wanted)
{
    const json_t *own = json_object_get(root, wanted), *error = json_object_get(root, error_node);

    if (!own == !error || !json_is_object(own ? own : error))
        return NULL;
    return own ? wanted : error_node;
}

void answer_read(const struct alipay *alipay, struct pn_call *call, const char *method, struct pn_str body,
                 struct answer *ret_answer)
{
    struct answer answer = { ANSWER_MALFORMED, "the answer is not JSON", NULL, { NULL, 0 } };
    struct pn_str text, node;
    char wanted[NODE_NAME_MAX];
    const char *name, *fault;
    json_t *root = NULL;

    if (!as_utf8(alipay, call, body, &text))
        goto out;
    root = parse(text);
    if (!json_is_object(root))
        goto out;
    answer.fault = "the answer is not one to this method";
    node_name(method, wanted);
    name = choose_node(root, wanted);
    fault = check_certificate(alipay, call, json_object_get(root, "alipay_cert_sn"));
    if (name && fault) {
        answer.trust = ANSWER_INVALID;
        answer.fault = fault;
        goto out;
    }
    if (!name || !json_raw_member(body, text.data != body.data, name, &answer.node_text))
        goto out;
    answer.trust = check_sign(alipay, call, json_object_get(root, "sign"), &answer.node_text, &answer.fault);
    if (answer.trust != ANSWER_SIGNED && answer.trust != ANSWER_UNSIGNED)
        goto out;
    answer.node = as_utf8(alipay, call, answer.node_text, &node) ? parse(node) : NULL;
    if (!answer.node) {
        answer.trust = ANSWER_MALFORMED;
        answer.fault = "the answer's node is not JSON by itself";
    }
out:
    json_decref(root);
    *ret_answer = answer;
}
