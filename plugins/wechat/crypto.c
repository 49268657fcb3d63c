/*
 * What the channel needs of OpenSSL: algorithms fetched once at open, the key of refund notices, and their decryption. Any
 * thread after open.
 */
#include <openssl/crypto.h>

#include "common/base64.h"
#include "wechat/wechat.h"

enum { AES_BLOCK = 16, MD5_LEN = 16 };

const char *crypto_open(struct crypto *crypto)
{
    crypto->library = OSSL_LIB_CTX_new();
    if (!crypto->library)
        return "OpenSSL has no memory";
    crypto->provider = OSSL_PROVIDER_load(crypto->library, "default");
    if (!crypto->provider)
        return "OpenSSL has no default provider";
    crypto->md5 = EVP_MD_fetch(crypto->library, "MD5", NULL);
    crypto->hmac = EVP_MAC_fetch(crypto->library, "HMAC", NULL);
    crypto->aes = EVP_CIPHER_fetch(crypto->library, "AES-256-ECB", NULL);
    if (!crypto->md5 || !crypto->hmac || !crypto->aes)
        return "OpenSSL lacks MD5, HMAC or AES-256-ECB";
    return NULL;
}

void crypto_close(struct crypto *crypto)
{
    EVP_CIPHER_free(crypto->aes);
    EVP_MAC_free(crypto->hmac);
    EVP_MD_free(crypto->md5);
    if (crypto->provider)
        OSSL_PROVIDER_unload(crypto->provider);
    OSSL_LIB_CTX_free(crypto->library);
}

bool crypto_refund_key(const struct crypto *crypto, struct pn_str api_key, unsigned char ret_key[AES_KEY_LEN])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char digest[MD5_LEN];
    unsigned len = 0;

    if (!EVP_Digest(api_key.data, api_key.len, digest, &len, crypto->md5, NULL) || len != MD5_LEN)
        return false;
    for (size_t i = 0; i < MD5_LEN; i++) {
        ret_key[2 * i] = (unsigned char)digits[digest[i] >> 4];
        ret_key[2 * i + 1] = (unsigned char)digits[digest[i] & 15];
    }
    return true;
}

/* OpenSSL checks every byte of the padding. */
static bool decrypt(const struct wechat *wechat, const unsigned char *bytes, size_t count, unsigned char *ret_text, size_t *ret_len)
{
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    int first = 0, last = 0;
    bool made = context && EVP_DecryptInit_ex2(context, wechat->crypto.aes, wechat->refund_key, NULL, NULL) &&
                EVP_DecryptUpdate(context, ret_text, &first, bytes, (int)count) &&
                EVP_DecryptFinal_ex(context, ret_text + first, &last);

    EVP_CIPHER_CTX_free(context);
    *ret_len = made ? (size_t)(first + last) : 0;
    return made;
}

/* Copies `in` without line breaks. */
static size_t unfold(struct pn_str in, char *ret_text)
{
    size_t len = 0;

    for (size_t i = 0; i < in.len; i++)
        if (in.data[i] != '\n' && in.data[i] != '\r')
            ret_text[len++] = in.data[i];
    return len;
}

bool crypto_open_req_info(const struct wechat *wechat, struct pn_str in, char *spare, char *ret_text, size_t *ret_len)
{
    unsigned char *bytes = (unsigned char *)spare; /* decoded in place: three bytes never overtake four characters */
    size_t count = 0;

    if (!base64_decode(spare, unfold(in, spare), bytes, &count) || count == 0 || count % AES_BLOCK != 0)
        return false;
    return decrypt(wechat, bytes, count, (unsigned char *)ret_text, ret_len);
}
