/*
 * Form parameters: strict parser, encoder, and the text to sign; see form.h. Pure functions; any thread.
 */
#include "form.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

#define MOST_PARAMS 100

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* NULL when the escapes are wrong, or what they give is no UTF-8 text. */
static char *decode(const char *text, size_t n)
{
    char *out = need(malloc(n + 1));
    size_t length = 0;
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        if (c == '+') {
            c = ' ';
        } else if (c == '%') {
            int high = n - i > 2 ? hex_digit(text[i + 1]) : -1;
            int low = n - i > 2 ? hex_digit(text[i + 2]) : -1;
            if (high < 0 || low < 0)
                goto refuse;
            c = (char)(high * 16 + low);
            i += 2;
        }
        if (c == '\0')
            goto refuse;
        out[length++] = c;
    }
    if (!text_is_utf8(out, length))
        goto refuse;
    out[length] = '\0';
    return out;

refuse:
    free(out);
    return NULL;
}

static void append(struct params *params, char *name, char *value)
{
    if (params->count == params->room) {
        params->room = params->room ? params->room * 2 : 16;
        params->items = need(realloc(params->items, params->room * sizeof *params->items));
    }
    params->items[params->count++] = (struct param){.name = name, .value = value};
}

static struct param *find(const struct params *params, const char *name)
{
    for (size_t i = 0; i < params->count; i++)
        if (strcmp(params->items[i].name, name) == 0)
            return &params->items[i];
    return NULL;
}

static bool parse_piece(struct params *params, const char *piece, size_t n)
{
    const char *equals = memchr(piece, '=', n);
    if (!equals || equals == piece || params->count == MOST_PARAMS)
        return false;
    size_t name_length = (size_t)(equals - piece);
    char *name = decode(piece, name_length);
    char *value = decode(equals + 1, n - name_length - 1);
    if (!name || !value || find(params, name)) {
        free(name);
        free(value);
        return false;
    }
    append(params, name, value);
    return true;
}

bool form_parse(struct params *params, const char *text, size_t n)
{
    const char *end = text + n;
    while (text < end) {
        const char *cut = memchr(text, '&', (size_t)(end - text));
        const char *piece_end = cut ? cut : end;
        if (!parse_piece(params, text, (size_t)(piece_end - text)))
            return false;
        if (cut && cut + 1 == end)
            return false;
        text = cut ? cut + 1 : end;
    }
    return true;
}

void params_set(struct params *params, const char *name, const char *value)
{
    struct param *there = find(params, name);
    if (value && there) {
        char *copy = text_copy(value);
        free(there->value);
        there->value = copy;
    } else if (value) {
        append(params, text_copy(name), text_copy(value));
    } else if (there) {
        free(there->name);
        free(there->value);
        size_t after = params->count - (size_t)(there - params->items) - 1;
        memmove(there, there + 1, after * sizeof *there);
        params->count--;
    }
}

const char *params_get(const struct params *params, const char *name)
{
    const struct param *there = find(params, name);
    return there ? there->value : NULL;
}

struct params params_copy(const struct params *params)
{
    struct params copy = {0};
    for (size_t i = 0; i < params->count; i++)
        append(&copy, text_copy(params->items[i].name), text_copy(params->items[i].value));
    return copy;
}

void params_free(struct params *params)
{
    for (size_t i = 0; i < params->count; i++) {
        free(params->items[i].name);
        free(params->items[i].value);
    }
    free(params->items);
    *params = (struct params){0};
}

static int by_name(const void *a, const void *b)
{
    const struct param *left = a, *right = b;
    return strcmp(left->name, right->name); /* compares as unsigned char, in no locale */
}

static bool listed(const char *const *list, const char *name)
{
    for (; *list; list++)
        if (strcmp(*list, name) == 0)
            return true;
    return false;
}

char *params_sign_text(const struct params *params, const char *const *except, bool drop_empty)
{
    struct param *sorted = need(malloc((params->count + 1) * sizeof *sorted));
    size_t count = 0;
    for (size_t i = 0; i < params->count; i++) {
        const struct param *item = &params->items[i];
        if (!listed(except, item->name) && (item->value[0] != '\0' || !drop_empty))
            sorted[count++] = *item;
    }
    qsort(sorted, count, sizeof *sorted, by_name);

    char *text = NULL;
    size_t length;
    FILE *out = need(open_memstream(&text, &length));
    for (size_t i = 0; i < count; i++)
        fprintf(out, "%s%s=%s", i ? "&" : "", sorted[i].name, sorted[i].value);
    fclose(out);
    free(sorted);
    return need(text);
}

static void write_encoded(FILE *out, const char *text)
{
    for (; *text; text++) {
        unsigned char byte = (unsigned char)*text;
        bool plain = (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') ||
                     strchr("-_.*", byte) != NULL;
        if (plain)
            fputc(byte, out);
        else if (byte == ' ')
            fputc('+', out);
        else
            fprintf(out, "%%%02X", byte);
    }
}

char *params_encode(const struct params *params)
{
    char *text = NULL;
    size_t length;
    FILE *out = need(open_memstream(&text, &length));
    for (size_t i = 0; i < params->count; i++) {
        if (i)
            fputc('&', out);
        write_encoded(out, params->items[i].name);
        fputc('=', out);
        write_encoded(out, params->items[i].value);
    }
    fclose(out);
    return need(text);
}
