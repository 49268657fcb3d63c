/*
 * Fuzzes the escapers: JSON of any bytes must be a text that jansson reads back, the same when it was UTF-8; HTML must
 * hold none of the dangerous characters; a URL only unreserved characters and '%'.
 */
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_json(const char *text, size_t size)
{
    struct buf out = { 0 };
    buf_add_jsonn(&out, text, size);
    json_t *value = json_loadb(out.data, out.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    if (!json_is_string(value))
        abort();
    if (text_is_utf8(text, size) && (json_string_length(value) != size || memcmp(json_string_value(value), text, size) != 0))
        abort();
    json_decref(value);
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    if (size)
        memcpy(text, data, size);
    text[size] = 0;
    check_json(text, size);

    struct buf out = { 0 };
    buf_add_html(&out, text);
    if (strpbrk(buf_text(&out), "<>\"'"))
        abort();
    buf_clear(&out);
    buf_add_url(&out, text, size);
    if (strcspn(buf_text(&out), " &=?#+/<>\"'") != out.len)
        abort();
    buf_free(&out);
    free(text);
    return 0;
}
