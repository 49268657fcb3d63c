/*
 * Reading and writing the flat XML of API v2. libxml2 does the lexing; the callbacks here build no tree, and whatever is not a
 * flat list of elements ends the parsing at once: a DOCTYPE before any entity of it is declared. Called by message.c for
 * everything that arrives at /notify/<channel>. Pure; any thread.
 */
#include <libxml/parser.h>
#include <string.h>
#include <strings.h>

#include "common/charset.h"
#include "wechat/wechat.h"

enum { DEPTH_ROOT = 1, DEPTH_FIELD = 2 };

struct reader {
    xmlParserCtxtPtr parser;
    const char *root, *fault;
    int depth;
    char *text;
    size_t room, used;
    struct pn_kv *fields;
    size_t count;
};

static void stop(struct reader *reader, const char *fault)
{
    if (!reader->fault)
        reader->fault = fault;
    xmlStopParser(reader->parser);
}

/* Appends to the text, which has room for whatever a body of its length can hold. */
static struct pn_str keep(struct reader *reader, const char *bytes, size_t len)
{
    struct pn_str kept = { reader->text + reader->used, len };

    if (len > reader->room - reader->used) {
        stop(reader, "the XML is larger than its text");
        return (struct pn_str){ NULL, 0 };
    }
    memcpy(reader->text + reader->used, bytes, len);
    reader->used += len;
    return kept;
}

static void begin_field(struct reader *reader, const char *name)
{
    size_t len = strlen(name);

    if (reader->count == XML_ELEMENTS_MAX) {
        stop(reader, "too many elements");
    } else if (len > XML_NAME_MAX) {
        stop(reader, "the name of an element is too long");
    } else {
        struct pn_kv *field = &reader->fields[reader->count++];

        field->name = keep(reader, name, len);
        field->value = (struct pn_str){ reader->text + reader->used, 0 };
    }
}

static void on_start(void *arg, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri, int namespace_count,
                     const xmlChar **namespaces, int attribute_count, int default_count, const xmlChar **attributes)
{
    struct reader *reader = arg;

    (void)namespace_count, (void)namespaces, (void)attribute_count, (void)default_count, (void)attributes;
    if (reader->fault)
        return;
    if (++reader->depth > DEPTH_FIELD)
        stop(reader, "an element inside an element");
    else if (prefix || uri)
        stop(reader, "an element of a namespace");
    else if (reader->depth == DEPTH_FIELD)
        begin_field(reader, (const char *)name);
    else if (strcmp((const char *)name, reader->root) != 0)
        stop(reader, "the root element has another name");
}

static void on_end(void *arg, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri)
{
    struct reader *reader = arg;

    (void)name, (void)prefix, (void)uri;
    reader->depth--;
}

static bool is_blank(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] != ' ' && text[i] != '\t' && text[i] != '\n' && text[i] != '\r')
            return false;
    return true;
}

static void on_text(void *arg, const xmlChar *bytes, int len)
{
    struct reader *reader = arg;

    if (reader->fault || len <= 0)
        return;
    if (reader->depth == DEPTH_FIELD)
        reader->fields[reader->count - 1].value.len += keep(reader, (const char *)bytes, (size_t)len).len;
    else if (!is_blank((const char *)bytes, (size_t)len))
        stop(reader, "text between the elements");
}

static void on_doctype(void *arg, const xmlChar *name, const xmlChar *public_id, const xmlChar *system_id)
{
    (void)name, (void)public_id, (void)system_id;
    stop(arg, "a DOCTYPE");
}

/* Whatever the parser says, the document's being well-formed or not is all that matters; silence keeps it off stderr. */
static void on_error(void *arg, xmlErrorPtr error)
{
    (void)arg, (void)error;
}

/* False when an XML declaration names another encoding: the parser is told to overlook it. */
static bool declared_utf8(struct pn_str body)
{
    static const char opening[] = "<?xml", attribute[] = "encoding", utf8[] = "utf-8";
    const char *end, *at;

    if (body.len < sizeof(opening) || memcmp(body.data, opening, sizeof(opening) - 1) != 0)
        return true;
    end = memmem(body.data, body.len, "?>", 2);
    at = end ? memmem(body.data, (size_t)(end - body.data), attribute, sizeof(attribute) - 1) : NULL;
    if (!at)
        return true;
    for (at += sizeof(attribute) - 1; at < end && (is_blank(at, 1) || strchr("=\"'", *at)); at++)
        continue;
    return (size_t)(end - at) >= sizeof(utf8) && strncasecmp(at, utf8, sizeof(utf8) - 1) == 0 && strchr("\"'", at[sizeof(utf8) - 1]);
}

static const char *check_bytes(struct pn_str *body)
{
    static const char bom[] = "\xef\xbb\xbf";

    if (body->len == 0)
        return "the body is empty";
    if (body->len > XML_BYTES_MAX)
        return "the body is too large";
    if (memchr(body->data, '\0', body->len) || !utf8_valid(*body))
        return "the body is not UTF-8";
    if (body->len >= 3 && memcmp(body->data, bom, 3) == 0)
        *body = (struct pn_str){ body->data + 3, body->len - 3 };
    return declared_utf8(*body) ? NULL : "the XML declares another encoding than UTF-8";
}

static void parse(struct reader *reader, struct pn_str body)
{
    xmlParserCtxtPtr parser = reader->parser;

    xmlCtxtUseOptions(parser, XML_PARSE_NONET | XML_PARSE_IGNORE_ENC);
    if (xmlParseChunk(parser, body.data, (int)body.len, 1) != 0 || !parser->wellFormed || reader->depth != 0)
        stop(reader, "not well-formed XML");
}

const char *xml_read(struct pn_str body, const char *root, char *text, struct pn_kv *fields, size_t *ret_count)
{
    xmlSAXHandler handler = {
        .initialized = XML_SAX2_MAGIC, .internalSubset = on_doctype, .externalSubset = on_doctype, .startElementNs = on_start,
        .endElementNs = on_end, .characters = on_text, .ignorableWhitespace = on_text, .cdataBlock = on_text, .serror = on_error,
    };
    struct reader reader = { .root = root, .text = text, .room = body.len, .fields = fields };
    const char *fault = check_bytes(&body);

    if (fault)
        return fault;
    reader.parser = xmlCreatePushParserCtxt(&handler, &reader, NULL, 0, NULL);
    if (!reader.parser)
        return "no memory for the XML parser";
    parse(&reader, body);
    xmlFreeParserCtxt(reader.parser);
    if (!reader.fault)
        *ret_count = reader.count;
    return reader.fault;
}

/* ---- writing */

struct writer {
    char *text; /* NULL: only counts */
    size_t len;
};

static void put(struct writer *writer, struct pn_str text)
{
    if (writer->text && text.len)
        memcpy(writer->text + writer->len, text.data, text.len);
    writer->len += text.len;
}

/* "]]>" ends a CDATA section, so it is cut in two. */
static void put_cdata(struct writer *writer, struct pn_str value)
{
    const char *from = value.data, *end = value.data + value.len, *at;

    put(writer, STR("<![CDATA["));
    while (value.len && (at = memmem(from, (size_t)(end - from), "]]>", 3)) != NULL) {
        put(writer, (struct pn_str){ from, (size_t)(at - from) + 2 });
        put(writer, STR("]]><![CDATA["));
        from = at + 2;
    }
    if (value.len)
        put(writer, (struct pn_str){ from, (size_t)(end - from) });
    put(writer, STR("]]>"));
}

size_t xml_write(const struct pn_kv *fields, size_t count, char *ret_text)
{
    struct writer writer = { .text = ret_text };

    put(&writer, STR("<xml>"));
    for (size_t i = 0; i < count; i++) {
        put(&writer, STR("<"));
        put(&writer, fields[i].name);
        put(&writer, STR(">"));
        put_cdata(&writer, fields[i].value);
        put(&writer, STR("</"));
        put(&writer, fields[i].name);
        put(&writer, STR(">"));
    }
    put(&writer, STR("</xml>"));
    return writer.len;
}
