/*
 * A file of certificates for Alipay's certificate mode.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "alipay/certificate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct certificate *list = NULL;
    size_t count = 0;
    const char *fault = certificates_read((struct pn_str){ (const char *)data, size }, &list, &count);

    if ((fault == NULL) != (list != NULL) || count > CERTIFICATES_MAX || (list && !count))
        abort();
    for (size_t i = 0; i < count; i++)
        if (!list[i].issuer || !list[i].serial || !list[i].public_key || strlen(list[i].sn) != CERTIFICATE_SN_SIZE - 1)
            abort();
    certificates_free(list, count);
    return 0;
}
