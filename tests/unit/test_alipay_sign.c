/*
 * Signing requests: every case of tests/vectors/alipay-sign.json gives the text that is signed, the signature and the query
 * string, byte for byte.
 */
#include <iconv.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base64.h"
#include "unit/alipay_fixture.h"

enum { PARAMS_MAX = 32 };

static struct alipay_channel channel;

static void assert_str(struct pn_str got, struct pn_str want)
{
    assert_int_equal(got.len, want.len);
    if (want.len)
        assert_memory_equal(got.data, want.data, want.len);
}

static struct pn_str as_gbk(struct pn_str text)
{
    char *bytes = test_malloc(text.len + 1), *to = bytes, *from = (char *)(uintptr_t)text.data;
    size_t left = text.len, room = text.len;
    iconv_t converter = iconv_open("GBK", "UTF-8");

    assert_true(converter != (iconv_t)-1);
    assert_int_equal(iconv(converter, &from, &left, &to, &room), 0);
    iconv_close(converter);
    return (struct pn_str){ bytes, (size_t)(to - bytes) };
}

static void assert_sha256(struct pn_str text, struct pn_str want_hex)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    char hex[2 * EVP_MAX_MD_SIZE + 1] = "";

    assert_int_equal(EVP_Digest(text.data, text.len, digest, &len, EVP_sha256(), NULL), 1);
    for (unsigned i = 0; i < len; i++)
        snprintf(hex + 2 * (size_t)i, 3, "%02x", digest[i]);
    assert_str(str_of(hex), want_hex);
}

/* The legacy algorithm is only recognised: our own code has none. */
static void assert_sha1_signature(struct pn_str text, struct pn_str sign)
{
    struct pn_str pem = vectors_key("app", "public_spki_pem");
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
    EVP_PKEY *pkey = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    unsigned char signature[512];
    size_t len = 0;

    assert_true(base64_decode(sign.data, sign.len, signature, &len));
    assert_int_equal(EVP_DigestVerifyInit(context, NULL, EVP_sha1(), NULL, pkey), 1);
    assert_int_equal(EVP_DigestVerify(context, signature, len, (const unsigned char *)text.data, text.len), 1);
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(pkey);
    BIO_free(bio);
}

static size_t read_params(const json_t *item, struct pn_kv *params)
{
    const json_t *pairs = json_object_get(item, "params");
    bool gbk = str_is(vector_str(item, "charset"), "GBK");
    size_t count = json_array_size(pairs);

    assert_true(count < PARAMS_MAX);
    for (size_t i = 0; i < count; i++) {
        const json_t *pair = json_array_get(pairs, i);
        const json_t *value = json_array_get(pair, 1);
        struct pn_str text = { json_string_value(value), json_string_length(value) };

        params[i] = (struct pn_kv){ str_of(json_string_value(json_array_get(pair, 0))), gbk ? as_gbk(text) : text };
    }
    return count;
}

static void signs_as_recorded(void **state)
{
    const json_t *item = *state;
    bool legacy = str_is(vector_str(item, "sign_type"), "RSA");
    struct pn_kv params[PARAMS_MAX + 1];
    size_t given = read_params(item, params), count = given;
    struct pn_str want = vector_bytes(item, "sign_string"), text, url;

    plugin_call_free(&channel.call);
    assert_int_equal(params_sign(channel.state, &channel.call, params, &count), PN_OK);
    assert_int_equal(count, given - json_array_size(json_object_get(item, "empty_params_to_drop")) + 1);
    assert_true(str_is(params[count - 1].name, "sign"));

    assert_int_equal(params_join(channel.state, &channel.call, params, count - 1, &text), PN_OK);
    assert_str(text, want);
    assert_sha256(text, vector_str(item, "sign_string_sha256"));
    if (legacy) {
        assert_sha1_signature(text, vector_str(item, "sign"));
        assert_false(str_eq(params[count - 1].value, vector_str(item, "sign")));
        params[count - 1].value = vector_str(item, "sign");
    }
    assert_str(params[count - 1].value, vector_str(item, "sign"));
    assert_int_equal(params_url(channel.state, &channel.call, STR("u"), params, count, &url), PN_OK);
    assert_str((struct pn_str){ url.data + 2, url.len - 2 }, vector_str(item, "encoded_sorted_query"));

    if (str_is(vector_str(item, "charset"), "GBK"))
        for (size_t i = 0; i + 1 < count; i++)
            test_free((void *)(uintptr_t)params[i].value.data);
    free((void *)(uintptr_t)want.data);
}

int main(void)
{
    json_t *root = vectors_load("alipay-sign");
    struct suite *suite = suite_new();
    int failed;

    alipay_channel_open(&channel, NULL, false);
    suite_add_cases(suite, "sign", json_object_get(root, "cases"), 34, signs_as_recorded);
    failed = suite_run(suite, "alipay sign");
    alipay_channel_close(&channel);
    json_decref(root);
    return failed;
}
