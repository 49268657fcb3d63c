/*
 * Fuzzes the sandbox's form parser: what it takes is well-formed, and comes back the same after encoding.
 */
#include "form.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct params params = {0}, again = {0};
    if (form_parse(&params, (const char *)data, size)) {
        char *text = params_encode(&params);
        must(form_parse(&again, text, strlen(text)));
        must(params.count == again.count);
        for (size_t i = 0; i < params.count; i++) {
            must(strcmp(params.items[i].name, again.items[i].name) == 0);
            must(strcmp(params.items[i].value, again.items[i].value) == 0);
            must(params_get(&params, params.items[i].name) == params.items[i].value);
        }
        free(text);
    }
    free(params_sign_text(&params, (const char *const[]){"sign", NULL}, true));
    params_free(&params);
    params_free(&again);
    return 0;
}
