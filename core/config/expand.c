/*
 * ${NAME} from the environment. Called by ini.c at start-up, one thread.
 */
#include "config/expand.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

enum { NAME_MAX_LENGTH = 127 };

static size_t name_length(const char *p)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";
    return *p >= '0' && *p <= '9' ? 0 : strspn(p, letters);
}

/* One "${NAME}" at p, appended to *text. Returns what follows it, or NULL. */
static const char *expand_one(const char *p, struct buf *text, struct error *err)
{
    char name[NAME_MAX_LENGTH + 1];
    size_t length = name_length(p + 2);
    if (length == 0 || length > NAME_MAX_LENGTH || p[2 + length] != '}') {
        error_set(err, RC_CONFIG, "wanted ${NAME} behind \"$\""); /* the rest may be a secret */
        return NULL;
    }
    memcpy(name, p + 2, length);
    name[length] = 0;
    const char *value = getenv(name);
    if (!value) {
        error_set(err, RC_CONFIG, "${%s} is not set in the environment", name);
        return NULL;
    }
    buf_adds(text, value);
    return p + 2 + length + 1;
}

enum rc expand(const char *value, struct arena *arena, const char **ret_text, bool *ret_whole, struct error *err)
{
    struct buf text = { 0 };
    const char *p = value;
    size_t names = 0, letters = 0;
    while (p && *p) {
        if (p[0] == '$' && p[1] == '{') {
            p = expand_one(p, &text, err);
            names++;
        } else {
            buf_addc(&text, *p++);
            letters++;
        }
    }
    char *copy = p && !text.failed ? arena_strdup(arena, buf_text(&text)) : NULL;
    buf_free(&text);
    if (!p)
        return RC_CONFIG;
    if (!copy)
        return error_set(err, RC_NOMEM, "no memory for a value");
    *ret_text = copy;
    *ret_whole = names == 1 && letters == 0;
    return RC_OK;
}
