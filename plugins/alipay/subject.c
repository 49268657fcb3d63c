/*
 * Makes a text fit for Alipay's subject and body. An order is never refused because of its name. Pure; any thread.
 */
#include "alipay/alipay.h"
#include "common/charset.h"

/* What stands for the character `code`, which is `as_is` in the input. */
static struct pn_str replacement(unsigned code, struct pn_str as_is)
{
    switch (code) {
    case '/':
        return STR("\uff0f");
    case '=':
        return STR("\uff1d");
    case '&':
        return STR("\uff06");
    case 0x2028: /* line and paragraph separators */
    case 0x2029:
        return STR(" ");
    default:
        return code < 0x20 || (code >= 0x7f && code < 0xa0) ? STR(" ") : as_is;
    }
}

size_t subject_clean(struct pn_str in, size_t max_chars, char *ret_text)
{
    size_t len = 0, chars = 0;

    for (size_t i = 0, size; i < in.len && chars < max_chars; i += size, chars++) {
        unsigned code;
        struct pn_str out = STR("?");

        size = utf8_next(in.data + i, in.len - i, &code);
        if (size)
            out = replacement(code, (struct pn_str){ in.data + i, size });
        else
            size = 1;
        memcpy(ret_text + len, out.data, out.len);
        len += out.len;
    }
    return len;
}
