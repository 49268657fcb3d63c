/*
 * The text that is signed and its signature, for requests, answers, notices and what a payer's app gets. Pure; any thread.
 */
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>
#include <stdint.h>
#include <stdlib.h>

#include "wechat/wechat.h"

enum { DIGEST_MAX = SIGN_LEN_MAX / 2 };

static int by_name(const void *a, const void *b)
{
    const struct pn_kv *left = a, *right = b;

    return str_compare(left->name, right->name);
}

void sign_sort(struct pn_kv *fields, size_t count)
{
    qsort(fields, count, sizeof(*fields), by_name);
}

static char *append(char *to, struct pn_str text)
{
    if (text.len)
        memcpy(to, text.data, text.len);
    return to + text.len;
}

int sign_text(const struct wechat *wechat, struct pn_call *call, const struct pn_kv *fields, size_t count, struct pn_str *ret_text)
{
    size_t length = 0;
    char *text, *to;

    for (size_t i = 0; i < count; i++)
        length += fields[i].name.len + fields[i].value.len + 2;
    text = to = wechat_alloc(wechat, call, length + 1);
    if (!text)
        return wechat_no_memory(wechat, call);
    for (size_t i = 0; i < count; i++) {
        if (fields[i].value.len == 0 || str_is(fields[i].name, "sign"))
            continue;
        if (to > text)
            *to++ = '&';
        to = append(to, fields[i].name);
        *to++ = '=';
        to = append(to, fields[i].value);
    }
    *ret_text = (struct pn_str){ text, (size_t)(to - text) };
    return PN_OK;
}

/* The API key is fed apart, so that no copy of it stays in the call's memory. */
static bool digest_md5(const struct wechat *wechat, struct pn_str text, unsigned char ret[DIGEST_MAX], size_t *ret_len)
{
    static const char key_name[] = "&key=";
    struct pn_str key = wechat->settings->api_key;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    unsigned len = 0;
    bool made = context && EVP_DigestInit_ex2(context, wechat->crypto.md5, NULL) &&
                EVP_DigestUpdate(context, text.data, text.len) && EVP_DigestUpdate(context, key_name, sizeof(key_name) - 1) &&
                EVP_DigestUpdate(context, key.data, key.len) && EVP_DigestFinal_ex(context, ret, &len);

    EVP_MD_CTX_free(context);
    *ret_len = len;
    return made;
}

static bool digest_hmac(const struct wechat *wechat, struct pn_str text, unsigned char ret[DIGEST_MAX], size_t *ret_len)
{
    static const unsigned char key_name[] = "&key=";
    static char sha256[] = "SHA256";
    struct pn_str key = wechat->settings->api_key;
    const unsigned char *key_bytes = (const unsigned char *)key.data;
    OSSL_PARAM params[] = { OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, sha256, 0), OSSL_PARAM_construct_end() };
    EVP_MAC_CTX *context = EVP_MAC_CTX_new(wechat->crypto.hmac);
    bool made = context && EVP_MAC_init(context, key_bytes, key.len, params) &&
                EVP_MAC_update(context, (const unsigned char *)text.data, text.len) &&
                EVP_MAC_update(context, key_name, sizeof(key_name) - 1) && EVP_MAC_update(context, key_bytes, key.len) &&
                EVP_MAC_final(context, ret, ret_len, DIGEST_MAX);

    EVP_MAC_CTX_free(context);
    return made;
}

bool sign_make(const struct wechat *wechat, struct pn_str text, char ret_sign[SIGN_LEN_MAX], size_t *ret_len)
{
    static const char digits[] = "0123456789ABCDEF";
    unsigned char digest[DIGEST_MAX];
    size_t len = 0;

    if (!(wechat->is_hmac ? digest_hmac : digest_md5)(wechat, text, digest, &len))
        return false;
    for (size_t i = 0; i < len; i++) {
        ret_sign[2 * i] = digits[digest[i] >> 4];
        ret_sign[2 * i + 1] = digits[digest[i] & 15];
    }
    *ret_len = 2 * len;
    return true;
}

bool sign_holds(const struct wechat *wechat, struct pn_str text, struct pn_str sign)
{
    char wanted[SIGN_LEN_MAX];
    size_t len = 0;

    return sign_make(wechat, text, wanted, &len) && sign.len == len && CRYPTO_memcmp(sign.data, wanted, len) == 0;
}

int sign_fields(const struct wechat *wechat, struct pn_call *call, struct pn_kv *fields, size_t *count, const char *sign_name)
{
    char *sign = wechat_alloc(wechat, call, SIGN_LEN_MAX);
    struct pn_str text;
    size_t len = 0;
    int rc;

    if (!sign)
        return wechat_no_memory(wechat, call);
    sign_sort(fields, *count);
    rc = sign_text(wechat, call, fields, *count, &text);
    if (rc != PN_OK)
        return rc;
    if (!sign_make(wechat, text, sign, &len))
        return wechat_fail(wechat, call, PN_INTERNAL, NULL, "OpenSSL cannot sign");
    fields[(*count)++] = (struct pn_kv){ str_of(sign_name), { sign, len } };
    return PN_OK;
}
