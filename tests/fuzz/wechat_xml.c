/*
 * The XML reader. What it takes is within its bounds, and reads the same after it has been written again.
 */
#include <stdint.h>
#include <stdlib.h>

#include "common/charset.h"
#include "wechat/wechat.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(struct pn_str text)
{
    if (!utf8_valid(text) || (text.len && memchr(text.data, '\0', text.len)))
        abort();
}

static bool has_return(struct pn_str text)
{
    return text.len && memchr(text.data, '\r', text.len);
}

static void check_again(const struct pn_kv *fields, size_t count)
{
    static struct pn_kv again[XML_ELEMENTS_MAX];
    size_t len = xml_write(fields, count, NULL), read = 0;
    char *body = malloc(len), *text = malloc(len);

    if (!body || !text || xml_write(fields, count, body) != len)
        abort();
    if (len <= XML_BYTES_MAX) {
        if (xml_read((struct pn_str){ body, len }, "xml", text, again, &read) || read != count)
            abort();
        for (size_t i = 0; i < count; i++) /* a carriage return by reference is a line feed when written as it is */
            if (!str_eq(again[i].name, fields[i].name) || (!has_return(fields[i].value) && !str_eq(again[i].value, fields[i].value)))
                abort();
    }
    free(text);
    free(body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct pn_kv fields[XML_ELEMENTS_MAX];
    char *text = malloc(size ? size : 1);
    size_t count = 0;

    if (!text)
        abort();
    if (!xml_read((struct pn_str){ (const char *)data, size }, "xml", text, fields, &count)) {
        if (count > XML_ELEMENTS_MAX || size > XML_BYTES_MAX)
            abort();
        for (size_t i = 0; i < count; i++) {
            check_text(fields[i].name);
            check_text(fields[i].value);
        }
        check_again(fields, count);
    }
    free(text);
    return 0;
}
