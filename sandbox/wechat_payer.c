/*
 * What "the payer" sees of WeChat: the page behind a scanned code, the page behind a mweb_url with its checks, and what became
 * of an order. Runs on the threads of the HTTP server. Everything that came from outside is escaped.
 */
#include <stdlib.h>
#include <string.h>

#include "page.h"
#include "text.h"
#include "wechat.h"

#define BODY_LIMIT 8192
#define NAME "WeChat Pay"

static struct reply refuse_page(const char *title, const char *text)
{
    struct page *page = page_begin(NAME, title);
    page_row(page, "WeChat says", text);
    return page_end(page, 403);
}

static struct reply no_order(void)
{
    return page_end(page_begin(NAME, "No such order"), 404);
}

static void write_pay(struct page *page, const struct trade *trade, const char *redirect)
{
    fprintf(page->out, "<form method=\"post\" action=\"/wechat/payer/pay\"><input type=\"hidden\" name=\"trade\" value=\"%s\">",
            trade->trade_no);
    if (redirect) {
        fputs("<input type=\"hidden\" name=\"redirect_url\" value=\"", page->out);
        text_write_html(page->out, redirect);
        fputs("\">", page->out);
    }
    fputs("<button>Pay</button></form>\n", page->out);
}

static struct reply show_locked(const struct trade *trade, const char *redirect)
{
    bool open = trade->status == TRADE_WAITING;
    struct page *page = page_begin(NAME, open ? "Pay" : trade->paid_ms ? "Paid" : "Closed");
    char *amount = money_text(trade->total_fen);
    fprintf(page->out, "<p class=\"amount\">&yen; %s</p>\n", amount);
    page_row(page, "For", trade->subject);
    page_row(page, "Order", trade->pay_no);
    page_row(page, "State", wechat_state(trade));
    if (open)
        write_pay(page, trade, redirect);
    free(amount);
    return page_end(page, 200);
}

static struct reply show(struct sandbox *sandbox, const char *number)
{
    trades_lock(sandbox->wechat->trades);
    const struct trade *trade = number ? wechat_find(sandbox, number) : NULL;
    struct reply reply = trade ? show_locked(trade, NULL) : no_order();
    trades_unlock(sandbox->wechat->trades);
    return reply;
}

/* ---------------------------------------------------------------------------------------------- codes */

/* /wechat/scan?code=weixin%3A%2F%2F…: what the camera of the app would read. */
static struct reply scan(struct sandbox *sandbox, const struct request *request)
{
    struct params params = {0};
    bool good = form_parse(&params, request->query, strlen(request->query));
    struct reply reply = show(sandbox, good ? params_get(&params, "code") : NULL);
    params_free(&params);
    return reply;
}

static struct reply show_number(struct sandbox *sandbox, const struct request *request)
{
    return show(sandbox, request->rest);
}

static struct reply pay(struct sandbox *sandbox, const struct request *request)
{
    struct params params = {0};
    bool good = form_parse(&params, request->body, request->body_length);
    const char *number = good ? params_get(&params, "trade") : NULL, *redirect = good ? params_get(&params, "redirect_url") : NULL;
    struct reply reply;
    trades_lock(sandbox->wechat->trades);
    struct trade *trade = number ? wechat_find(sandbox, number) : NULL;
    if (!trade)
        reply = no_order();
    else if (!wechat_event_pay(sandbox, trade, 0, ANNOUNCE_DEFAULT) && redirect && text_is_url(redirect, 4096))
        reply = page_redirect(text_copy(redirect));
    else
        reply = show_locked(trade, NULL);
    trades_unlock(sandbox->wechat->trades);
    params_free(&params);
    return reply;
}

/* ---------------------------------------------------------------------------------------------- mweb */

/* Whether the URL is on that site or below it. */
static bool is_on(const char *url, const char *domain)
{
    const char *host = strstr(url, "://");
    size_t n = host ? strcspn(host + 3, ":/?#") : 0, length = strlen(domain);
    if (n < length)
        return false;
    const char *end = host + 3 + n - length;
    return strncasecmp(end, domain, length) == 0 && (n == length || end[-1] == '.');
}

/* NULL, or what WeChat would say. */
static const char *refuse_browser(const struct wechat_settings *settings, const struct trade *trade, const struct request *request)
{
    const char *address = wechat_order_text(trade, "spbill_create_ip");
    const char *type = wechat_order_text(trade, "trade_type");
    if (strcmp(type, "MWEB") != 0)
        return "商家参数格式有误，请联系商家解决 (the order is not MWEB)";
    if (settings->domain[0] && !request->referer)
        return "商家参数格式有误，请联系商家解决 (no Referer)";
    if (settings->domain[0] && !is_on(request->referer, settings->domain))
        return "商家存在未配置的参数，请联系商家解决 (the Referer is not of the registered domain)";
    if (settings->check_address && strcmp(address, request->address) != 0)
        return "网络环境未能通过安全验证，请稍后再试 (the browser's address is not spbill_create_ip)";
    if (clock_now_ms() >= trade->created_ms + settings->mweb_life_ms)
        return "支付请求已失效，请重新发起支付 (the mweb_url is too old)";
    return NULL;
}

static struct reply show_mweb(struct sandbox *sandbox, const struct params *params, const struct request *request)
{
    struct wechat_settings settings = wechat_settings(sandbox);
    const char *prepay_id = params_get(params, "prepay_id"), *redirect = params_get(params, "redirect_url");
    const struct trade *trade = prepay_id ? wechat_find(sandbox, prepay_id) : NULL;
    if (!trade)
        return no_order();
    const char *wrong = refuse_browser(&settings, trade, request);
    if (!wrong && redirect && !text_is_url(redirect, 4096))
        wrong = "商家参数格式有误，请联系商家解决 (redirect_url)";
    return wrong ? refuse_page("No way to pay", wrong) : show_locked(trade, redirect);
}

static struct reply mweb(struct sandbox *sandbox, const struct request *request)
{
    struct params params = {0};
    struct reply reply;
    if (form_parse(&params, request->query, strlen(request->query))) {
        trades_lock(sandbox->wechat->trades);
        reply = show_mweb(sandbox, &params, request);
        trades_unlock(sandbox->wechat->trades);
    } else {
        reply = refuse_page("No way to pay", "商家参数格式有误，请联系商家解决 (malformed parameters)");
    }
    params_free(&params);
    return reply;
}

/* ---------------------------------------------------------------------------------------------- looking around */

/* All orders, the oldest first, and a field to paste a code into. */
static struct reply front(struct sandbox *sandbox, const struct request *request)
{
    (void)request;
    struct page *page = page_begin(NAME, "Orders");
    fputs("<form action=\"/wechat/scan\"><input name=\"code\" placeholder=\"weixin://wxpay/bizpayurl?pr=...\" size=\"40\"> "
          "<button>Scan</button></form>\n",
          page->out);
    trades_lock(sandbox->wechat->trades);
    for (const struct trade *trade = trades_first(sandbox->wechat->trades); trade; trade = trade->next) {
        char *amount = money_text(trade->total_fen);
        fprintf(page->out, "<p><a href=\"/wechat/pay/%s\">%s</a> &yen; %s %s</p>\n", trade->trade_no, trade->pay_no, amount,
                wechat_state(trade));
        free(amount);
    }
    trades_unlock(sandbox->wechat->trades);
    return page_end(page, 200);
}

static const struct route routes[] = {
    {"GET", "/wechat", BODY_LIMIT, front},
    {"GET", "/wechat/scan", BODY_LIMIT, scan},
    {"GET", "/wechat/pay/", BODY_LIMIT, show_number},
    {"POST", "/wechat/payer/pay", BODY_LIMIT, pay},
    {"GET", "/cgi-bin/mmpayweb-bin/checkmweb", BODY_LIMIT, mweb},
};

const struct route_table wechat_payer_routes = {routes, sizeof routes / sizeof *routes};
