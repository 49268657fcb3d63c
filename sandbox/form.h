/*
 * Parameters as Alipay's protocol has them: parsed from and written to application/x-www-form-urlencoded, and joined to
 * the text that a signature covers. Used by the gateway, the payer's page and the notices; any thread.
 */
#ifndef SANDBOX_FORM_H
#define SANDBOX_FORM_H

#include <stdbool.h>
#include <stddef.h>

struct param {
    char *name;
    char *value;
};

struct params {
    struct param *items;
    size_t count, room;
};

/* Appends what `text` holds. False when it is malformed: bad escapes, NUL or bytes that are no UTF-8, a piece without a
 * name or '=', a name that is there already, more than 100 parameters. An empty text holds nothing and is fine. */
bool form_parse(struct params *params, const char *text, size_t n);

void params_set(struct params *params, const char *name, const char *value); /* NULL removes */
const char *params_get(const struct params *params, const char *name);       /* NULL: absent */
struct params params_copy(const struct params *params);
void params_free(struct params *params);

/* k=v joined with '&', sorted by name in byte order, raw values, without the parameters named in `except` (NULL ends the
 * list) and, when asked, without empty values. The caller frees. */
char *params_sign_text(const struct params *params, const char *const *except, bool drop_empty);

/* Percent-encoded, in the order they were set. The caller frees. */
char *params_encode(const struct params *params);

#endif
