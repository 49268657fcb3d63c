/*
 * The XML that WeChat Pay v2 speaks: one root element with flat elements of text in it. Own code, so that a misreading of the
 * server's parser cannot hide in the same library. Used by the WeChat side of the sandbox; any thread.
 */
#ifndef SANDBOX_XML_H
#define SANDBOX_XML_H

#include <stdbool.h>
#include <stddef.h>

#include "form.h"

/* There must be a NUL behind the n bytes. NULL: *params holds the elements in their order; else what is wrong (static text), and *params some of them. UTF-8 only;
 * no DOCTYPE, attributes, nesting, processing instructions but a declaration, entities but the five built in, nor a name
 * twice; at most 200 elements. Comments are skipped; text and CDATA are joined and not trimmed, with line ends as \n. */
const char *xml_parse(struct params *params, const char *root, const char *text, size_t n);

/* One CDATA element each. The caller frees. */
char *xml_write(const struct params *params, const char *root);

#endif
