/*
 * Writing and comparing merchant identities. Called when a PREPAY result is stored and when a fact is packed and decided.
 */
#include "pay/merchant.h"

#include <string.h>

static void write_escaped(struct buf *buf, const struct pn_str *text)
{
    for (size_t i = 0; i < text->len; i++) {
        char c = text->data[i];
        if (c == '%' || c == ';' || c == '=')
            buf_addf(buf, "%%%02X", (unsigned char)c);
        else
            buf_addc(buf, c);
    }
}

void merchant_write(struct buf *buf, const struct pn_kv_list *merchant)
{
    for (size_t i = 0; i < merchant->count; i++) {
        if (i)
            buf_addc(buf, ';');
        write_escaped(buf, &merchant->items[i].name);
        buf_addc(buf, '=');
        write_escaped(buf, &merchant->items[i].value);
    }
}

/* The pair that begins at `text`: its length, and where its value begins. */
static size_t pair_length(const char *text, size_t *ret_name_len)
{
    size_t len = strcspn(text, ";");
    size_t name_len = strcspn(text, "=;");
    *ret_name_len = name_len;
    return len;
}

/* False when `books` has the same name with another value. */
static bool pair_fits(const char *books, const char *pair, size_t len, size_t name_len)
{
    while (*books) {
        size_t other_name, other_len = pair_length(books, &other_name);
        if (other_name == name_len && memcmp(books, pair, name_len) == 0)
            return other_len == len && memcmp(books, pair, len) == 0;
        books += other_len + (books[other_len] == ';');
    }
    return true;
}

bool merchant_matches(const char *books, const char *stated)
{
    if (!books || !stated)
        return true;
    while (*stated) {
        size_t name_len, len = pair_length(stated, &name_len);
        if (!pair_fits(books, stated, len, name_len))
            return false;
        stated += len + (stated[len] == ';');
    }
    return true;
}
