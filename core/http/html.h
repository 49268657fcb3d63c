/*
 * Pages for people: one frame, everything from outside escaped, scripts and styles only with this answer's nonce.
 */
#ifndef PN_HTTP_HTML_H
#define PN_HTTP_HTML_H

#include <stddef.h>

#include "base/buf.h"
#include "http/language.h"
#include "http/request.h"

enum { NONCE_TEXT = 33 };

struct page {
    struct buf html;
    enum language language;
    char nonce[NONCE_TEXT];
};

/* Begins a page whose heading is `title`; `language` picks among the two texts that each call takes. */
void page_begin(struct page *page, enum language language, const char *zh, const char *en);
void page_text(struct page *page, const char *zh, const char *en);            /* a paragraph */
void page_fact(struct page *page, const char *zh, const char *en, const char *value); /* "Amount: 88.80 CNY"; value escaped */
void page_script(struct page *page, const char *script);                      /* our own text, never input */

/* Ends the page and answers with it. `sources` adds to the Content-Security-Policy, such as "form-action https://…;"; NULL: nothing. Claims;
 * frees the page. */
void page_reply(struct http_request *request, int status, struct page *page, const char *sources);
/* For who has claimed the request. */
void page_answer(struct http_request *request, int status, struct page *page, const char *sources);

/* The sources of form-action for this action URL: its origin, and over https its sibling hosts too, because payment
 * gateways redirect among those and browsers hold redirects against form-action. In the arena; NULL when the URL is no
 * http or https URL. */
const char *page_form_sources(const char *url, struct arena *arena);

#endif
