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
    char nonce[NONCE_TEXT]; /* "": style and script are files of ours */
    const char *referrer;   /* Referrer-Policy; NULL: no-referrer */
};

/* Begins a page whose heading is `title`; `language` picks among the two texts that each call takes. */
void page_begin(struct page *page, enum language language, const char *zh, const char *en);
/* The same with the cashier's style sheet and script (assets.h), in a frame of its own: the caller opens and closes <main>. */
void page_begin_linked(struct page *page, enum language language, const char *title, const char *style_url,
                       const char *script_url, int refresh_seconds);
void page_text(struct page *page, const char *zh, const char *en);            /* a paragraph */
void page_fact(struct page *page, const char *zh, const char *en, const char *value); /* "Amount: 88.80 CNY"; value escaped */
/* A paragraph that leads to `url`, which is escaped; `before` stands in front of it as it is. */
void page_link(struct page *page, const char *before, const char *url, const char *zh, const char *en);
void page_script(struct page *page, const char *script);                      /* our own text, never input */

/* Ends the page and answers with it. `sources` adds to the Content-Security-Policy, such as "form-action https://…;"; NULL: nothing. Claims;
 * frees the page. */
void page_reply(struct http_request *request, int status, struct page *page, const char *sources);
/* The same with one more header; NULL: none. */
struct http_header;
void page_reply_with(struct http_request *request, int status, struct page *page, const char *sources,
                     const struct http_header *header);
/* For who has claimed the request. */
void page_answer(struct http_request *request, int status, struct page *page, const char *sources);

/* A whole page that says one thing. */
void page_say(struct http_request *request, int status, const char *zh, const char *en, const char *zh_text, const char *en_text);

/* The sources of form-action for this action URL: its origin, and over https its sibling hosts too, because payment
 * gateways redirect among those and browsers hold redirects against form-action. In the arena; NULL when the URL is no
 * http or https URL. */
const char *page_form_sources(const char *url, struct arena *arena);

#endif
