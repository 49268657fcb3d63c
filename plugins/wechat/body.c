/*
 * Makes a text fit for WeChat's body and refund_desc. An order is never refused because of its name. Pure; any thread.
 */
#include "common/charset.h"
#include "wechat/wechat.h"

/* What stands for the character `code`, which is `as_is` in the input. '&' and '=' separate fields in the signed text, where
 * they could be taken for the end of the value; WeChat knows no characters of four bytes. */
static struct pn_str replacement(unsigned code, struct pn_str as_is)
{
    switch (code) {
    case '=':
        return STR("\uff1d");
    case '&':
        return STR("\uff06");
    case 0x2028: /* line and paragraph separators */
    case 0x2029:
        return STR(" ");
    default:
        if (code < 0x20 || (code >= 0x7f && code < 0xa0))
            return STR(" ");
        return code >= 0xfffe ? STR("?") : as_is;
    }
}

size_t body_clean(struct pn_str in, size_t max, char *ret_text)
{
    size_t len = 0;

    for (size_t i = 0, size; i < in.len; i += size) {
        unsigned code;
        struct pn_str out = STR("?");

        size = utf8_next(in.data + i, in.len - i, &code);
        if (size)
            out = replacement(code, (struct pn_str){ in.data + i, size });
        else
            size = 1;
        if (out.len > max - len)
            break;
        memcpy(ret_text + len, out.data, out.len);
        len += out.len;
    }
    return len;
}
