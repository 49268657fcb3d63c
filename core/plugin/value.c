/*
 * One value of paynotify.conf by its option's type. Called by settings.c and, for defaults, by descriptor.c. Pure.
 */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "plugin/internal.h"

size_t value_size(uint32_t type)
{
    switch (type) {
    case PN_OPT_INTEGER:
    case PN_OPT_BOOLEAN:
    case PN_OPT_DURATION: return sizeof(int64_t);
    case PN_OPT_LIST: return sizeof(struct pn_list);
    case PN_OPT_STRING:
    case PN_OPT_URL:
    case PN_OPT_ENUM:
    case PN_OPT_BYTES: return sizeof(struct pn_str);
    default: return 0;
    }
}

bool value_is_text(uint32_t type)
{
    return type == PN_OPT_STRING || type == PN_OPT_URL || type == PN_OPT_ENUM || type == PN_OPT_BYTES;
}

/* "wanted …, found …", without the value when it is secret. */
static enum rc wrong(const struct pn_option *option, const char *text, struct error *err, const char *wanted)
{
    if (option->flags & PN_OPT_SECRET)
        return error_set(err, RC_CONFIG, "wanted %s", wanted);
    return error_set(err, RC_CONFIG, "wanted %s, found \"%.80s\"", wanted, text);
}

static enum rc out_of_bounds(const struct pn_option *option, const char *text, struct error *err)
{
    return error_set(err, RC_CONFIG, "wanted %lld to %lld%s, found \"%.40s\"", (long long) option->min, (long long) option->max,
                     option->type == PN_OPT_DURATION ? " ms" : "", text);
}

static bool within(const struct pn_option *option, int64_t value)
{
    return option->max <= option->min || (value >= option->min && value <= option->max);
}

/* Digits only, moving *p behind them. */
static bool take_digits(const char **p, int64_t *ret)
{
    int64_t value = 0;
    const char *start = *p;
    for (; **p >= '0' && **p <= '9'; (*p)++)
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, **p - '0', &value))
            return false;
    *ret = value;
    return *p > start;
}

static enum rc parse_integer(const struct pn_option *option, const char *text, int64_t *ret, struct error *err)
{
    int64_t value;
    const char *p = text + (text[0] == '-');
    if (!take_digits(&p, &value) || *p)
        return wrong(option, text, err, "a whole number");
    value = text[0] == '-' ? -value : value;
    if (!within(option, value))
        return out_of_bounds(option, text, err);
    *ret = value;
    return RC_OK;
}

static enum rc parse_duration(const struct pn_option *option, const char *text, int64_t *ret, struct error *err)
{
    static const struct { const char *unit; int64_t ms; } units[] = { { "ms", 1 }, { "s", 1000 }, { "m", 60000 },
                                                                      { "h", 3600000 }, { "d", 86400000 } };
    const char *p = text;
    int64_t value;
    if (take_digits(&p, &value))
        for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
            if (strcmp(p, units[i].unit) == 0 && !__builtin_mul_overflow(value, units[i].ms, &value)) {
                if (!within(option, value))
                    return out_of_bounds(option, text, err);
                *ret = value;
                return RC_OK;
            }
    return wrong(option, text, err, "a duration such as 250ms, 30s, 5m, 2h or 1d");
}

static enum rc parse_boolean(const struct pn_option *option, const char *text, int64_t *ret, struct error *err)
{
    if (text_in_choices("true|yes|on", text, strlen(text)))
        *ret = 1;
    else if (text_in_choices("false|no|off", text, strlen(text)))
        *ret = 0;
    else
        return wrong(option, text, err, "true or false");
    return RC_OK;
}

/* scheme://something, printable and without spaces. */
static enum rc parse_url(const struct pn_option *option, const char *text, struct error *err)
{
    const char *colon = strstr(text, "://");
    for (const unsigned char *p = (const unsigned char *) text; *p; p++)
        if (*p <= ' ' || *p == 0x7f || *p == '"' || *p == '<' || *p == '>')
            return wrong(option, text, err, "a URL without spaces");
    if (!colon || colon == text || !colon[3] || strchr("/?#", colon[3]))
        return wrong(option, text, err, "an absolute URL");
    if (option->choices && !text_in_choices(option->choices, text, (size_t) (colon - text))) {
        char wanted[128] = "a URL that begins with ";
        strncat(wanted, option->choices, sizeof wanted - strlen(wanted) - 1);
        return wrong(option, text, err, wanted);
    }
    return RC_OK;
}

static enum rc parse_enum(const struct pn_option *option, const char *text, struct error *err)
{
    if (text_in_choices(option->choices, text, strlen(text)))
        return RC_OK;
    char wanted[256] = "one of ";
    size_t used = strlen(wanted);
    for (const char *p = option->choices; *p && used + 4 < sizeof wanted; p++) {
        wanted[used++] = *p == '|' ? ',' : *p;
        if (*p == '|')
            wanted[used++] = ' ';
    }
    wanted[used] = 0;
    return wrong(option, text, err, wanted);
}

static const char *skip_blanks(const char *p)
{
    return p + strspn(p, " \t");
}

static enum rc parse_list(const struct pn_option *option, const char *text, struct arena *arena, struct pn_list *ret,
                          struct error *err)
{
    size_t count = 1;
    for (const char *p = text; *p; p++)
        count += *p == ',';
    struct pn_str *items = arena_alloc(arena, count * sizeof *items);
    if (!items)
        return error_set(err, RC_NOMEM, "no memory for a list");
    const char *p = text;
    for (size_t i = 0; i < count; i++) {
        p = skip_blanks(p);
        size_t length = strcspn(p, ",");
        const char *next = p + length + 1;
        while (length && (p[length - 1] == ' ' || p[length - 1] == '\t'))
            length--;
        if (!length)
            return wrong(option, text, err, "values separated by single commas");
        items[i] = (struct pn_str){ arena_strndup(arena, p, length), length };
        p = next;
    }
    *ret = (struct pn_list){ items, count };
    return RC_OK;
}

enum rc value_parse(const struct pn_option *option, const char *text, struct arena *arena, void *slot, struct error *err)
{
    enum rc rc = RC_OK;
    if (!text_is_utf8(text, strlen(text)) && option->type != PN_OPT_BYTES)
        return error_set(err, RC_CONFIG, "wanted UTF-8 text");
    switch (option->type) {
    case PN_OPT_INTEGER: return parse_integer(option, text, slot, err);
    case PN_OPT_BOOLEAN: return parse_boolean(option, text, slot, err);
    case PN_OPT_DURATION: return parse_duration(option, text, slot, err);
    case PN_OPT_LIST: return parse_list(option, text, arena, slot, err);
    case PN_OPT_URL: rc = parse_url(option, text, err); break;
    case PN_OPT_ENUM: rc = parse_enum(option, text, err); break;
    default: break;
    }
    if (rc == RC_OK)
        *(struct pn_str *) slot = (struct pn_str){ arena_strdup(arena, text), strlen(text) };
    return rc;
}
