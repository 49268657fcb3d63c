/*
 * PEM as people paste it. Called at open, for keys and certificates. Pure; any thread.
 */
#include "common/pem.h"

#include <openssl/crypto.h>
#include <string.h>

#include "common/base64.h"

static const char *find(struct pn_str text, const char *word)
{
    return text.len ? memmem(text.data, text.len, word, strlen(word)) : NULL;
}

enum pem_found pem_next(struct pn_str *rest, struct pn_str *ret_label, struct pn_str *ret_base64)
{
    static const char begin[] = "-----BEGIN ", dashes[] = "-----", end[] = "-----END ";
    const char *limit = rest->data + rest->len, *from = find(*rest, begin), *stop;
    struct pn_str label;

    if (!from)
        return PEM_NONE;
    from += sizeof(begin) - 1;
    stop = find((struct pn_str){ from, (size_t)(limit - from) }, dashes);
    if (!stop)
        return PEM_CUT_OFF;
    label = (struct pn_str){ from, (size_t)(stop - from) };
    from = stop + sizeof(dashes) - 1;
    stop = find((struct pn_str){ from, (size_t)(limit - from) }, end);
    if (!stop)
        return PEM_CUT_OFF;
    *ret_label = label;
    *ret_base64 = (struct pn_str){ from, (size_t)(stop - from) };
    stop += sizeof(end) - 1;
    *rest = (struct pn_str){ stop, (size_t)(limit - stop) };
    return PEM_BLOCK;
}

unsigned char *pem_decode(struct pn_str text, size_t *ret_len)
{
    char *packed = OPENSSL_malloc(text.len + 1);
    unsigned char *bytes = OPENSSL_malloc(text.len + 1);
    size_t n = 0;

    if (packed && bytes)
        for (size_t i = 0; i < text.len; i++)
            if (!memchr(" \t\r\n", text.data[i], 4))
                packed[n++] = text.data[i];
    if (!packed || !bytes || !base64_decode(packed, n, bytes, ret_len)) {
        OPENSSL_clear_free(bytes, text.len + 1);
        bytes = NULL;
    }
    OPENSSL_clear_free(packed, text.len + 1);
    return bytes;
}
