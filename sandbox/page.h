/*
 * HTML pages for the payer, alike for all providers: begin, write rows, end. Used by the handlers that show them; any thread.
 */
#ifndef SANDBOX_PAGE_H
#define SANDBOX_PAGE_H

#include <stdio.h>

#include "server.h"

struct page {
    FILE *out; /* what is written here belongs to the page; escape what came from outside */
    char *text;
    size_t length;
};

/* `provider` is whom it plays; both texts are ours and need no escaping. */
struct page *page_begin(const char *provider, const char *title);
/* Escapes `text`. */
void page_row(struct page *page, const char *label, const char *text);
/* Frees the page. */
struct reply page_end(struct page *page, unsigned status);

/* 303; takes ownership of `url`. */
struct reply page_redirect(char *url);

#endif
