/*
 * Flat XML: strict parser and writer; see xml.h. Pure functions; any thread.
 */
#include "xml.h"

#include <stdlib.h>
#include <string.h>

#include "text.h"

#define MOST_ELEMENTS 200
#define NAME_LIMIT 64

/* Reads on while nothing is wrong. The text ends with a NUL that belongs to nothing. */
struct reader {
    const char *at, *end;
    const char *wrong; /* NULL: nothing, so far */
    FILE *out;         /* where character data goes; NULL: only blanks may come */
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_name_start(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

static bool is_name_char(char c)
{
    return is_name_start(c) || (c >= '0' && c <= '9') || c == '-' || c == '.';
}

static bool starts(const struct reader *reader, const char *text)
{
    size_t n = strlen(text);
    return (size_t)(reader->end - reader->at) >= n && memcmp(reader->at, text, n) == 0;
}

static bool take(struct reader *reader, const char *text)
{
    bool there = starts(reader, text);
    if (there)
        reader->at += strlen(text);
    return there;
}

static void fail(struct reader *reader, const char *wrong)
{
    if (!reader->wrong)
        reader->wrong = wrong;
}

static void skip_blanks(struct reader *reader)
{
    while (reader->at < reader->end && is_blank(*reader->at))
        reader->at++;
}

/* Behind the next `mark`. NULL: there is none; else where the skipped text began, and *ret_length how long it was. */
static const char *skip_to(struct reader *reader, const char *mark, size_t *ret_length)
{
    const char *from = reader->at, *found = memmem(from, (size_t)(reader->end - from), mark, strlen(mark));
    if (!found)
        return NULL;
    *ret_length = (size_t)(found - from);
    reader->at = found + strlen(mark);
    return from;
}

/* ---------------------------------------------------------------------------------------------- character data */

/* Line ends become \n, as XML has it. */
static void put_literal(struct reader *reader, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (text[i] != '\r')
            fputc(text[i], reader->out);
        else if (i + 1 == n || text[i + 1] != '\n')
            fputc('\n', reader->out);
    }
}

static void put_character(struct reader *reader, unsigned long code)
{
    static const unsigned char leads[] = {0x00, 0xC0, 0xE0, 0xF0};
    bool blank = code == '\t' || code == '\n' || code == '\r';
    if (code > 0x10FFFF || (code < ' ' && !blank) || (code >= 0xD800 && code <= 0xDFFF) || code == 0xFFFE || code == 0xFFFF) {
        fail(reader, "a reference to a character that XML forbids");
        return;
    }
    if (code < 0x80) {
        fputc((int)code, reader->out);
        return;
    }
    int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    fputc((int)(leads[more] | code >> (6 * more)), reader->out);
    for (int i = more - 1; i >= 0; i--)
        fputc((int)(0x80 | (code >> (6 * i) & 0x3F)), reader->out);
}

/* Behind "&#". */
static void read_number(struct reader *reader)
{
    bool hex = take(reader, "x");
    const char *digits = hex ? "0123456789abcdefABCDEF" : "0123456789";
    size_t n = strspn(reader->at, digits); /* stops at the NUL behind the text, at the latest */
    if (n == 0 || n > 7 || reader->at[n] != ';') {
        fail(reader, "a malformed character reference");
        return;
    }
    put_character(reader, strtoul(reader->at, NULL, hex ? 16 : 10));
    reader->at += n + 1;
}

/* Behind '&'. */
static void read_reference(struct reader *reader)
{
    static const struct {
        const char *text;
        char stands_for;
    } entities[] = {{"amp;", '&'}, {"lt;", '<'}, {"gt;", '>'}, {"quot;", '"'}, {"apos;", '\''}};
    if (take(reader, "#")) {
        read_number(reader);
        return;
    }
    for (size_t i = 0; i < sizeof entities / sizeof *entities; i++) {
        if (take(reader, entities[i].text)) {
            fputc(entities[i].stands_for, reader->out);
            return;
        }
    }
    fail(reader, "an unknown entity");
}

static void read_cdata(struct reader *reader)
{
    size_t n;
    const char *text = skip_to(reader, "]]>", &n);
    if (text)
        put_literal(reader, text, n);
    else
        fail(reader, "CDATA without an end");
}

static void read_comment(struct reader *reader)
{
    size_t n;
    const char *text = skip_to(reader, "--", &n);
    if (!text || !take(reader, ">"))
        fail(reader, "a malformed comment");
}

/* Up to the next tag: character data into reader->out, comments into nothing. */
static void read_text(struct reader *reader)
{
    while (!reader->wrong && reader->at < reader->end) {
        if (take(reader, "<!--")) {
            read_comment(reader);
        } else if (reader->out && take(reader, "<![CDATA[")) {
            read_cdata(reader);
        } else if (*reader->at == '<') {
            return;
        } else if (!reader->out) {
            if (!is_blank(*reader->at++))
                fail(reader, "text outside of the elements");
        } else if (take(reader, "&")) {
            read_reference(reader);
        } else if (starts(reader, "]]>")) {
            fail(reader, "]]> outside of CDATA");
        } else {
            size_t n = starts(reader, "\r\n") ? 2 : 1;
            put_literal(reader, reader->at, n);
            reader->at += n;
        }
    }
}

/* ---------------------------------------------------------------------------------------------- elements */

/* "<name>" or "</name>", with blanks before '>'. *ret_empty, when asked for: it was "<name/>". */
static void read_tag(struct reader *reader, const char *open, char ret_name[static NAME_LIMIT], bool *ret_empty)
{
    size_t n = 0;
    if (!take(reader, open)) {
        fail(reader, "a tag is missing");
        return;
    }
    if (reader->at < reader->end && is_name_start(*reader->at))
        while (n < NAME_LIMIT - 1 && reader->at < reader->end && is_name_char(*reader->at))
            ret_name[n++] = *reader->at++;
    ret_name[n] = '\0';
    skip_blanks(reader);
    if (ret_empty)
        *ret_empty = take(reader, "/");
    if (n == 0 || !take(reader, ">"))
        fail(reader, "a malformed tag; attributes, DOCTYPE and processing instructions are not allowed");
}

/* Its text behind the opening tag, and the closing tag. */
static char *read_value(struct reader *reader, const char *name)
{
    char *value = NULL, closing[NAME_LIMIT] = "";
    size_t length;
    reader->out = need(open_memstream(&value, &length));
    read_text(reader);
    fclose(reader->out);
    reader->out = NULL;
    need(value);
    if (!reader->wrong)
        read_tag(reader, "</", closing, NULL);
    if (strcmp(closing, name) != 0)
        fail(reader, "elements are nested or not closed");
    return value;
}

static void read_element(struct reader *reader, struct params *params)
{
    char name[NAME_LIMIT];
    bool empty = false;
    read_tag(reader, "<", name, &empty);
    if (reader->wrong)
        return;
    char *value = empty ? text_copy("") : read_value(reader, name);
    if (!reader->wrong && params_get(params, name))
        fail(reader, "an element is there twice");
    if (!reader->wrong && params->count == MOST_ELEMENTS)
        fail(reader, "there are too many elements");
    if (!reader->wrong)
        params_set(params, name, value);
    free(value);
}

/* <?xml …?>, which may name no other encoding than UTF-8. */
static void read_declaration(struct reader *reader)
{
    size_t n;
    if (!starts(reader, "<?xml") || reader->end - reader->at < 6 || !is_blank(reader->at[5]))
        return;
    const char *text = skip_to(reader, "?>", &n);
    const char *encoding = text ? memmem(text, n, "encoding", 8) : NULL;
    if (!text || (encoding && strncasecmp(encoding + 8, "=\"UTF-8\"", 8) != 0 && strncasecmp(encoding + 8, "='UTF-8'", 8) != 0))
        fail(reader, "a declaration that is malformed, or of another encoding than UTF-8");
}

static bool is_text(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)text[i] < ' ' && !is_blank(text[i]))
            return false;
    return text_is_utf8(text, n);
}

const char *xml_parse(struct params *params, const char *root, const char *text, size_t n)
{
    struct reader reader = {.at = text, .end = text + n};
    char name[NAME_LIMIT] = "";
    bool empty = false;
    if (!is_text(text, n))
        return "the text is no UTF-8, or holds control characters";
    read_declaration(&reader);
    read_text(&reader);
    if (!reader.wrong)
        read_tag(&reader, "<", name, &empty);
    if (strcmp(name, root) != 0)
        fail(&reader, "the root element has another name");
    if (!empty) {
        for (read_text(&reader); !reader.wrong && !starts(&reader, "</"); read_text(&reader))
            read_element(&reader, params);
        if (!reader.wrong)
            read_tag(&reader, "</", name, NULL);
        if (strcmp(name, root) != 0)
            fail(&reader, "the root element is not closed");
    }
    read_text(&reader);
    if (reader.at != reader.end)
        fail(&reader, "there is more behind the root element");
    return reader.wrong;
}

/* ---------------------------------------------------------------------------------------------- writing */

/* "]]>" is split over two sections, and a carriage return, which readers change, stands between them. */
static void write_value(FILE *out, const char *value)
{
    fputs("<![CDATA[", out);
    for (const char *at = value; *at; at++) {
        if (*at == '\r')
            fputs("]]>&#13;<![CDATA[", out);
        else if (*at == '>' && at - value >= 2 && at[-1] == ']' && at[-2] == ']')
            fputs("]]><![CDATA[>", out);
        else
            fputc(*at, out);
    }
    fputs("]]>", out);
}

char *xml_write(const struct params *params, const char *root)
{
    char *text = NULL;
    size_t length;
    FILE *out = need(open_memstream(&text, &length));
    fprintf(out, "<%s>", root);
    for (size_t i = 0; i < params->count; i++) {
        fprintf(out, "<%s>", params->items[i].name);
        write_value(out, params->items[i].value);
        fprintf(out, "</%s>", params->items[i].name);
    }
    fprintf(out, "</%s>", root);
    fclose(out);
    return need(text);
}
