/*
 * Parameters of requests and notices: their order, the text that is signed, signing. Pure; any thread.
 */
#include <stdlib.h>

#include "alipay/alipay.h"
#include "common/base64.h"
#include "common/form.h"

static int by_name(const void *a, const void *b)
{
    const struct pn_kv *left = a, *right = b;

    return str_compare(left->name, right->name);
}

void params_sort(struct pn_kv *params, size_t count)
{
    qsort(params, count, sizeof(*params), by_name);
}

static char *append(char *to, struct pn_str text)
{
    if (text.len)
        memcpy(to, text.data, text.len);
    return to + text.len;
}

int params_join(const struct alipay *alipay, struct pn_call *call, const struct pn_kv *params, size_t count,
                struct pn_str *ret_text)
{
    size_t length = 0;
    char *text, *to;

    for (size_t i = 0; i < count; i++)
        length += params[i].name.len + params[i].value.len + 2;
    text = to = alipay_alloc(alipay, call, length + 1);
    if (!text)
        return alipay_no_memory(alipay, call);
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            *to++ = '&';
        to = append(to, params[i].name);
        *to++ = '=';
        to = append(to, params[i].value);
    }
    *ret_text = (struct pn_str){ text, (size_t)(to - text) };
    return PN_OK;
}

static size_t drop_empty(struct pn_kv *params, size_t count)
{
    size_t kept = 0;

    for (size_t i = 0; i < count; i++)
        if (params[i].value.len)
            params[kept++] = params[i];
    return kept;
}

int params_sign(const struct alipay *alipay, struct pn_call *call, struct pn_kv *params, size_t *count)
{
    unsigned char signature[RSA_BYTES_MAX];
    size_t kept = drop_empty(params, *count), size = rsa_key_size(alipay->own_key);
    struct pn_str text;
    char *sign;
    int rc;

    params_sort(params, kept);
    rc = params_join(alipay, call, params, kept, &text);
    if (rc != PN_OK)
        return rc;
    if (!rsa_sign(alipay->own_key, text, signature))
        return alipay_fail(alipay, call, PN_INTERNAL, NULL, "OpenSSL cannot sign");
    sign = alipay_alloc(alipay, call, BASE64_LEN(size));
    if (!sign)
        return alipay_no_memory(alipay, call);
    base64_encode(signature, size, sign);
    params[kept++] = (struct pn_kv){ STR_INIT("sign"), { sign, BASE64_LEN(size) } };
    *count = kept;
    return PN_OK;
}

int params_url(const struct alipay *alipay, struct pn_call *call, struct pn_str base, const struct pn_kv *params, size_t count,
               struct pn_str *ret_url)
{
    char *url = alipay_alloc(alipay, call, base.len + 1 + form_length(params, count)), *to;

    if (!url)
        return alipay_no_memory(alipay, call);
    to = append(url, base);
    *to++ = memchr(base.data, '?', base.len) ? '&' : '?';
    to += form_write(params, count, to);
    *ret_url = (struct pn_str){ url, (size_t)(to - url) };
    return PN_OK;
}
