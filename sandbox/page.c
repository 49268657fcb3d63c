/*
 * HTML pages; see page.h. No state.
 */
#include "page.h"

#include <stdlib.h>

#include "text.h"

struct page *page_begin(const char *provider, const char *title)
{
    struct page *page = need(calloc(1, sizeof *page));
    page->out = need(open_memstream(&page->text, &page->length));
    fprintf(page->out,
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>%s</title>\n"
            "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
            "<style>body{font:16px sans-serif;max-width:26em;margin:2em auto;padding:0 1em}"
            ".note{background:#fe9;padding:.5em}.amount{font-size:2em}"
            "button{font-size:1.1em;padding:.5em 1.5em;margin:.3em 0}</style></head>\n<body>\n"
            "<p class=\"note\">paynotify-sandbox: this is not %s, and no money moves.</p>\n<h1>%s</h1>\n",
            title, provider, title);
    return page;
}

void page_row(struct page *page, const char *label, const char *text)
{
    fprintf(page->out, "<p>%s: ", label);
    text_write_html(page->out, text);
    fputs("</p>\n", page->out);
}

struct reply page_end(struct page *page, unsigned status)
{
    fputs("</body></html>\n", page->out);
    fclose(page->out);
    struct reply reply = reply_text(status, "text/html; charset=utf-8", need(page->text));
    free(page);
    return reply;
}

struct reply page_redirect(char *url)
{
    struct reply reply = reply_text(303, "text/plain; charset=utf-8", text_copy("see there\n"));
    reply.location = url;
    return reply;
}
