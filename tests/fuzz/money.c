/*
 * Fuzzes money_parse: what it takes is printed in full decimals and must come back as the same value.
 */
#include "base/money.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const currencies[] = { "CNY", "JPY", "BHD", "CLF", "???" };
    for (size_t i = 0; i < sizeof currencies / sizeof currencies[0]; i++) {
        int64_t minor = -1, again = -1;
        char text[MONEY_TEXT_MAX];
        if (money_parse((const char *) data, size, currencies[i], &minor) != RC_OK) {
            if (minor != -1)
                abort();
            continue;
        }
        money_format(minor, currencies[i], text);
        if (minor < 0 || money_parse(text, strlen(text), currencies[i], &again) != RC_OK || again != minor)
            abort();
    }
    return 0;
}
