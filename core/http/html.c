/*
 * The frame of every page and its security headers. Any thread.
 */
#include "http/html.h"

#include <string.h>
#include <sys/random.h>

#include "base/text.h"
#include "http/reply.h"

static const char style[] =
    "body{font:16px/1.6 system-ui,sans-serif;margin:0;background:#f5f6f8;color:#1d2129}"
    "main{max-width:26rem;margin:12vh auto 0;padding:2rem;background:#fff;border-radius:12px;text-align:center}"
    "h1{font-size:1.3rem;margin:0 0 1rem}p{margin:.4rem 0}img{width:200px;height:200px;margin:1rem}"
    "button{font:inherit;padding:.6rem 2rem;border:0;border-radius:8px;background:#1677ff;color:#fff}";

void page_begin(struct page *page, enum language language, const char *zh, const char *en)
{
    unsigned char bytes[(NONCE_TEXT - 1) / 2];
    *page = (struct page){ .language = language };
    while (getrandom(bytes, sizeof bytes, 0) != (ssize_t) sizeof bytes)
        continue;
    hex_encode(bytes, sizeof bytes, page->nonce);
    const char *title = language == LANGUAGE_EN ? en : zh;
    buf_addf(&page->html,
             "<!doctype html>\n<html lang=\"%s\"><head><meta charset=\"utf-8\">"
             "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>",
             language == LANGUAGE_EN ? "en" : "zh");
    buf_add_html(&page->html, title);
    buf_addf(&page->html, "</title><style nonce=\"%s\">%s</style></head><body><main><h1>", page->nonce, style);
    buf_add_html(&page->html, title);
    buf_adds(&page->html, "</h1>\n");
}

void page_begin_linked(struct page *page, enum language language, const char *title, const char *style_url,
                       const char *script_url, int refresh_seconds)
{
    *page = (struct page){ .language = language };
    buf_addf(&page->html,
             "<!doctype html>\n<html lang=\"%s\"><head><meta charset=\"utf-8\">"
             "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>",
             language == LANGUAGE_EN ? "en" : "zh");
    buf_add_html(&page->html, title);
    buf_addf(&page->html,
             "</title><link rel=\"icon\" href=\"data:,\"><link rel=\"stylesheet\" href=\"%s\">"
             "<script src=\"%s\" defer></script>",
             style_url, script_url);
    if (refresh_seconds > 0)
        buf_addf(&page->html, "<noscript><meta http-equiv=\"refresh\" content=\"%d\"></noscript>", refresh_seconds);
    buf_adds(&page->html, "</head><body>");
}

void page_text(struct page *page, const char *zh, const char *en)
{
    buf_adds(&page->html, "<p>");
    buf_add_html(&page->html, page->language == LANGUAGE_EN ? en : zh);
    buf_adds(&page->html, "</p>\n");
}

void page_fact(struct page *page, const char *zh, const char *en, const char *value)
{
    if (!value)
        return;
    buf_adds(&page->html, "<p>");
    buf_add_html(&page->html, page->language == LANGUAGE_EN ? en : zh);
    buf_adds(&page->html, page->language == LANGUAGE_EN ? ": " : "：");
    buf_add_html(&page->html, value);
    buf_adds(&page->html, "</p>\n");
}

void page_link(struct page *page, const char *before, const char *url, const char *zh, const char *en)
{
    buf_addf(&page->html, "<p><a href=\"%s", before);
    buf_add_html(&page->html, url);
    buf_addf(&page->html, "\">%s</a></p>\n", page->language == LANGUAGE_EN ? en : zh);
}

void page_script(struct page *page, const char *script)
{
    buf_addf(&page->html, "<script nonce=\"%s\">%s</script>\n", page->nonce, script);
}

static void answer(struct http_request *request, int status, struct page *page, const char *sources, const struct http_header *header)
{
    struct buf policy = { 0 };
    buf_adds(&page->html, "</main></body></html>\n");
    if (page->nonce[0])
        buf_addf(&policy, "default-src 'none'; script-src 'nonce-%s'; style-src 'nonce-%s'", page->nonce, page->nonce);
    else
        buf_adds(&policy, "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'");
    buf_addf(&policy, "; img-src data:; base-uri 'none'; frame-ancestors 'none'; %s", sources ? sources : "form-action 'none'");
    const struct http_header retry = { "Retry-After", "2" };
    if (status == 503)
        header = &retry;
    http_answer(request, &(struct http_reply){ .status = page->html.failed ? 500 : status,
                                               .content_type = "text/html; charset=utf-8",
                                               .body = buf_text(&page->html),
                                               .body_len = page->html.len,
                                               .policy = buf_text(&policy),
                                               .referrer = page->referrer,
                                               .headers = header,
                                               .header_count = header ? 1 : 0 });
    buf_free(&policy);
    buf_free(&page->html);
}

void page_answer(struct http_request *request, int status, struct page *page, const char *sources)
{
    answer(request, status, page, sources, NULL);
}

void page_reply(struct http_request *request, int status, struct page *page, const char *sources)
{
    page_reply_with(request, status, page, sources, NULL);
}

void page_reply_with(struct http_request *request, int status, struct page *page, const char *sources,
                     const struct http_header *header)
{
    if (request_claim(request))
        answer(request, status, page, sources, header);
    else
        buf_free(&page->html);
}

void page_say(struct http_request *request, int status, const char *zh, const char *en, const char *zh_text, const char *en_text)
{
    struct page page;
    page_begin(&page, request->language, zh, en);
    page_text(&page, zh_text, en_text);
    page_reply(request, status, &page, NULL);
}

/* The host's parent domain, when siblings under it can be told from strangers: at least three labels, no number. */
static const char *parent_of(const char *host, size_t n)
{
    const char *dot = memchr(host, '.', n);
    const char *end = host + n;
    if (!dot || strspn(host, "0123456789.") >= n || *host == '[')
        return NULL;
    return memchr(dot + 1, '.', (size_t) (end - dot - 1)) ? dot : NULL;
}

const char *page_form_sources(const char *url, struct arena *arena)
{
    size_t scheme = strncmp(url, "https://", 8) == 0 ? 8 : strncmp(url, "http://", 7) == 0 ? 7 : 0;
    if (scheme == 0)
        return NULL;
    const char *host = url + scheme;
    size_t origin = strcspn(host, "/?#");
    size_t host_len = *host == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/?#");
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-:[]";
    if (origin == 0 || strspn(host, allowed) < origin)
        return NULL;
    const char *parent = scheme == 8 ? parent_of(host, host_len) : NULL;
    if (!parent)
        return arena_printf(arena, "form-action %.*s", (int) (scheme + origin), url);
    return arena_printf(arena, "form-action %.*s https://*%.*s", (int) (scheme + origin), url,
                        (int) (host_len - (size_t) (parent - host)), parent);
}
