/*
 * Alipay's signatures on notices and answers. Called on HTTP threads and workers. Pure; any thread.
 */
#include "alipay/alipay.h"
#include "common/base64.h"

bool signature_read(const struct alipay *alipay, struct pn_str sign, struct signature *ret_signature)
{
    bool fits = false;

    if (sign.len > BASE64_LEN(RSA_BYTES_MAX) || !base64_decode(sign.data, sign.len, ret_signature->bytes, &ret_signature->len))
        return false;
    for (size_t i = 0; i < alipay->alipay_key_count; i++)
        fits = fits || ret_signature->len == rsa_key_size(alipay->alipay_keys[i]);
    return fits;
}

bool signature_holds(const struct alipay *alipay, struct pn_str text, const struct signature *signature)
{
    for (size_t i = 0; i < alipay->alipay_key_count; i++)
        if (rsa_verify(alipay->alipay_keys[i], text, signature->bytes, signature->len))
            return true;
    return false;
}
