/*
 * Fuzzes clock_parse, id_parse and hex_decode: what they take must survive printing and parsing again.
 */
#include "base/clock.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/ids.h"
#include "base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_clock(const char *text)
{
    int64_t ms = -1, again = -1;
    char shown[CLOCK_TEXT_MAX];
    if (clock_parse(text, &ms) != RC_OK)
        return;
    /* Offsets can lead out of the years 0 to 9999, which are printed and not read again. */
    if (ms < INT64_C(-62167219200000) || ms > INT64_C(253402300799999))
        return;
    if (clock_parse(clock_format(ms, shown), &again) != RC_OK || again != ms)
        abort();
}

static void check_id(const char *text)
{
    int64_t id = -1;
    char shown[ID_TEXT_MAX];
    if (id_parse(text, &id) && (id <= 0 || strcmp(id_format(id, shown), text) != 0))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    if (size)
        memcpy(text, data, size);
    text[size] = 0;
    unsigned char bytes[16];
    check_clock(text);
    check_id(text);
    hex_decode(text, bytes, sizeof bytes);
    free(text);
    return 0;
}
