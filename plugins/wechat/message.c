/*
 * Reads what WeChat sends, answers and notices alike: the fields, each of them once, and whether the signature holds. Only the
 * configured way of signing counts: a message that names another one is not believed. Pure; any thread.
 */
#include "wechat/wechat.h"

static const char *check_names(const struct pn_kv *fields, size_t count)
{
    for (size_t i = 0; i + 1 < count; i++)
        if (str_eq(fields[i].name, fields[i + 1].name))
            return "an element occurs twice";
    return NULL;
}

static int read_fields(const struct wechat *wechat, struct pn_call *call, struct pn_str body, const char *root,
                       struct pn_kv **ret_fields, size_t *ret_count, const char **ret_fault)
{
    char *text = wechat_alloc(wechat, call, body.len < XML_BYTES_MAX ? body.len : XML_BYTES_MAX);
    struct pn_kv *fields = wechat_alloc(wechat, call, XML_ELEMENTS_MAX * sizeof(*fields));

    if (!text || !fields)
        return wechat_no_memory(wechat, call);
    *ret_fault = xml_read(body, root, text, fields, ret_count);
    if (*ret_fault)
        return PN_OK;
    sign_sort(fields, *ret_count);
    *ret_fault = check_names(fields, *ret_count);
    *ret_fields = fields;
    return PN_OK;
}

int message_fields(const struct wechat *wechat, struct pn_call *call, struct pn_str body, const char *root,
                   struct pn_kv_list *ret_fields, const char **ret_fault)
{
    struct pn_kv *fields = NULL;
    size_t count = 0;
    int rc = read_fields(wechat, call, body, root, &fields, &count, ret_fault);

    if (rc == PN_OK)
        *ret_fields = (struct pn_kv_list){ fields, count };
    return rc;
}

/* Takes `sign` out of the fields. */
static struct pn_str take_sign(struct pn_kv *fields, size_t *count)
{
    struct pn_str sign = { NULL, 0 };
    size_t kept = 0;

    for (size_t i = 0; i < *count; i++)
        if (str_is(fields[i].name, "sign"))
            sign = fields[i].value;
        else
            fields[kept++] = fields[i];
    *count = kept;
    return sign;
}

static int verify(const struct wechat *wechat, struct pn_call *call, struct pn_str sign, struct message *message)
{
    struct pn_str sign_type = kv_get(message->fields, "sign_type"), text;
    int rc;

    message->trust = MESSAGE_UNSIGNED;
    message->fault = "return_code is not SUCCESS";
    if (!str_is(kv_get(message->fields, "return_code"), "SUCCESS"))
        return PN_OK;
    message->fault = "there is no sign";
    if (!sign.len)
        return PN_OK;
    message->trust = MESSAGE_INVALID;
    message->fault = "sign_type is not the configured one";
    if (sign_type.len && !str_eq(sign_type, wechat->settings->sign_type))
        return PN_OK;
    rc = sign_text(wechat, call, message->fields.items, message->fields.count, &text);
    if (rc != PN_OK)
        return rc;
    message->fault = "the signature does not hold";
    if (!sign_holds(wechat, text, sign))
        return PN_OK;
    message->trust = MESSAGE_SIGNED;
    message->fault = NULL;
    return PN_OK;
}

int message_read(const struct wechat *wechat, struct pn_call *call, struct pn_str body, struct message *ret_message)
{
    struct message message = { .trust = MESSAGE_MALFORMED };
    struct pn_kv *fields = NULL;
    struct pn_str sign;
    size_t count = 0;
    int rc = read_fields(wechat, call, body, "xml", &fields, &count, &message.fault);

    if (rc == PN_OK && !message.fault) {
        sign = take_sign(fields, &count);
        message.fields = (struct pn_kv_list){ fields, count };
        rc = verify(wechat, call, sign, &message);
    }
    if (rc == PN_OK)
        *ret_message = message;
    return rc;
}
