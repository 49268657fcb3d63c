/*
 * Exact decimal money. Pure functions on int64_t minor units; called by every layer, from any thread.
 */
#include "base/money.h"

#include <string.h>

/* ISO 4217: each active code with its number of decimals, sorted. Codes without a minor unit (XAU, XDR, …) are no money
 * here. */
static const char currencies[] =
    "AED2AFN2ALL2AMD2ANG2AOA2ARS2AUD2AWG2AZN2BAM2BBD2BDT2BGN2BHD3BIF0BMD2BND2BOB2BOV2BRL2BSD2BTN2BWP2"
    "BYN2BZD2CAD2CDF2CHE2CHF2CHW2CLF4CLP0CNY2COP2COU2CRC2CUP2CVE2CZK2DJF0DKK2DOP2DZD2EGP2ERN2ETB2EUR2"
    "FJD2FKP2GBP2GEL2GHS2GIP2GMD2GNF0GTQ2GYD2HKD2HNL2HTG2HUF2IDR2ILS2INR2IQD3IRR2ISK0JMD2JOD3JPY0KES2"
    "KGS2KHR2KMF0KPW2KRW0KWD3KYD2KZT2LAK2LBP2LKR2LRD2LSL2LYD3MAD2MDL2MGA2MKD2MMK2MNT2MOP2MRU2MUR2MVR2"
    "MWK2MXN2MXV2MYR2MZN2NAD2NGN2NIO2NOK2NPR2NZD2OMR3PAB2PEN2PGK2PHP2PKR2PLN2PYG0QAR2RON2RSD2RUB2RWF0"
    "SAR2SBD2SCR2SDG2SEK2SGD2SHP2SLE2SOS2SRD2SSP2STN2SVC2SYP2SZL2THB2TJS2TMT2TND3TOP2TRY2TTD2TWD2TZS2"
    "UAH2UGX0USD2USN2UYI0UYU2UYW4UZS2VED2VES2VND0VUV0WST2XAF0XCD2XCG2XOF0XPF0YER2ZAR2ZMW2ZWG2";
enum { ENTRY = 4 };

int money_decimals(const char *currency)
{
    if (!currency || strnlen(currency, ENTRY) != ENTRY - 1)
        return -1;
    size_t low = 0, high = (sizeof currencies - 1) / ENTRY;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const char *entry = currencies + middle * ENTRY;
        int order = memcmp(currency, entry, ENTRY - 1);
        if (order == 0)
            return entry[ENTRY - 1] - '0';
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return -1;
}

enum rc money_parse(const char *text, size_t len, const char *currency, int64_t *ret_minor)
{
    int decimals = money_decimals(currency);
    if (decimals < 0 || !text)
        return RC_BAD_INPUT;
    int64_t minor = 0;
    int behind = -1; /* digits seen behind the point; -1 before it */
    size_t digits_before = 0;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (c == '.' && behind < 0 && digits_before) {
            behind = 0;
            continue;
        }
        if (c < '0' || c > '9' || behind == decimals)
            return RC_BAD_INPUT;
        if (__builtin_mul_overflow(minor, 10, &minor) || __builtin_add_overflow(minor, c - '0', &minor))
            return RC_BAD_INPUT;
        if (behind < 0)
            digits_before++;
        else
            behind++;
    }
    if (!digits_before || behind == 0) /* "", ".5", "88." */
        return RC_BAD_INPUT;
    for (int i = behind < 0 ? 0 : behind; i < decimals; i++)
        if (__builtin_mul_overflow(minor, 10, &minor))
            return RC_BAD_INPUT;
    *ret_minor = minor;
    return RC_OK;
}

const char *money_format(int64_t minor, const char *currency, char ret_text[MONEY_TEXT_MAX])
{
    int decimals = money_decimals(currency);
    char *p = ret_text + MONEY_TEXT_MAX - 1;
    *p = 0;
    uint64_t rest = minor < 0 ? -(uint64_t) minor : (uint64_t) minor;
    int written = 0;
    do {
        if (written == decimals && written)
            *--p = '.';
        *--p = (char) ('0' + rest % 10);
        rest /= 10;
        written++;
    } while (rest || written <= (decimals > 0 ? decimals : 0));
    if (minor < 0)
        *--p = '-';
    memmove(ret_text, p, strlen(p) + 1);
    return ret_text;
}
