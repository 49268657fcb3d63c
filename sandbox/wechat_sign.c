/*
 * WeChat's signatures and its encryption (protocol sections 2 and 6). Pure but for random numbers; any thread.
 */
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"
#include "wechat.h"

static void write_hex(const unsigned char *bytes, size_t n, const char *digits, char *ret_text)
{
    for (size_t i = 0; i < n; i++) {
        ret_text[2 * i] = digits[bytes[i] >> 4];
        ret_text[2 * i + 1] = digits[bytes[i] & 15];
    }
    ret_text[2 * n] = '\0';
}

char *wechat_signature(const char *key, bool hmac, const struct params *fields)
{
    static const char *const unsigned_names[] = {"sign", NULL};
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    char *joined = params_sign_text(fields, unsigned_names, true);
    char *text = text_format("%s&key=%s", joined, key);
    const unsigned char *bytes = (const unsigned char *)text;
    bool done = hmac ? HMAC(EVP_sha256(), key, (int)strlen(key), bytes, strlen(text), digest, &n) != NULL
                     : EVP_Digest(bytes, strlen(text), digest, &n, EVP_md5(), NULL) == 1;
    char *sign = need(done ? malloc(2 * (size_t)n + 1) : NULL);
    write_hex(digest, n, "0123456789ABCDEF", sign);
    free(joined);
    free(text);
    return sign;
}

void wechat_nonce(char ret_nonce[static WECHAT_KEY_LENGTH + 1])
{
    unsigned char bytes[WECHAT_KEY_LENGTH / 2];
    need(RAND_bytes(bytes, sizeof bytes) == 1 ? bytes : NULL);
    write_hex(bytes, sizeof bytes, "0123456789abcdef", ret_nonce);
}

void wechat_change_fields(struct params *fields, const json_t *change)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)change, name, value)
        params_set(fields, name, json_string_value(value)); /* NULL for null: removes */
}

void wechat_sign(const struct wechat *wechat, bool hmac, struct params *fields, const struct fault_plan *plan)
{
    char nonce[WECHAT_KEY_LENGTH + 1];
    wechat_nonce(nonce);
    if (!params_get(fields, "nonce_str"))
        params_set(fields, "nonce_str", nonce);
    wechat_change_fields(fields, plan->change);
    char *sign = wechat_signature(plan->wrong_key ? wechat->stranger_key : wechat->api_key, hmac, fields);
    if (plan->bad_signature)
        sign[0] = sign[0] == 'A' ? 'B' : 'A';
    params_set(fields, "sign", sign);
    free(sign);
    json_t *tampering = fault_tampering(plan, "total_fee", "1");
    wechat_change_fields(fields, tampering);
    json_decref(tampering);
}

/* The key is the lower-case hexadecimal text of the API key's MD5. */
static void encryption_key(const char *api_key, char ret_key[static WECHAT_KEY_LENGTH + 1])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    bool done = EVP_Digest(api_key, strlen(api_key), digest, &n, EVP_md5(), NULL) == 1;
    need(done ? digest : NULL);
    write_hex(digest, n, "0123456789abcdef", ret_key);
}

char *wechat_encrypt(const char *key, const char *text)
{
    char secret[WECHAT_KEY_LENGTH + 1];
    int n = (int)strlen(text), first = 0, last = 0;
    unsigned char *bytes = need(malloc((size_t)n + EVP_MAX_BLOCK_LENGTH));
    encryption_key(key, secret);
    EVP_CIPHER_CTX *context = need(EVP_CIPHER_CTX_new());
    bool done = EVP_EncryptInit_ex(context, EVP_aes_256_ecb(), NULL, (const unsigned char *)secret, NULL) == 1 &&
                EVP_EncryptUpdate(context, bytes, &first, (const unsigned char *)text, n) == 1 &&
                EVP_EncryptFinal_ex(context, bytes + first, &last) == 1;
    EVP_CIPHER_CTX_free(context);
    need(done ? bytes : NULL);
    size_t length = (size_t)(first + last);
    char *base64 = need(malloc(length / 3 * 4 + 8));
    EVP_EncodeBlock((unsigned char *)base64, bytes, (int)length);
    free(bytes);
    return base64;
}
