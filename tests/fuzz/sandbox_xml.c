/*
 * Fuzzes the sandbox's XML parser: what it takes are texts with names of their own, and comes back the same after writing.
 */
#include "xml.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

/* The parser is promised a NUL behind the text, as requests have it. */
static char *terminated(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    must(text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct params params = {0}, again = {0};
    char *input = terminated(data, size);
    if (!xml_parse(&params, "xml", input, size)) {
        char *text = xml_write(&params, "xml");
        must(!xml_parse(&again, "xml", text, strlen(text)));
        must(params.count == again.count);
        for (size_t i = 0; i < params.count; i++) {
            must(strcmp(params.items[i].name, again.items[i].name) == 0);
            must(strcmp(params.items[i].value, again.items[i].value) == 0);
            must(params_get(&params, params.items[i].name) == params.items[i].value);
        }
        free(text);
    }
    free(input);
    params_free(&params);
    params_free(&again);
    return 0;
}
