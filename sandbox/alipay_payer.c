/*
 * The pages that "the payer" sees in the browser: the cashier with Pay and Cancel, what became of it, and refusals. Runs on
 * the threads of the HTTP server. Everything that came from outside is escaped.
 */
#include <stdlib.h>
#include <string.h>

#include "alipay.h"
#include "page.h"
#include "text.h"

#define BODY_LIMIT 4096

static void write_button(FILE *out, const char *action, const char *trade_no, const char *label)
{
    fprintf(out,
            "<form method=\"post\" action=\"/payer/%s\"><input type=\"hidden\" name=\"trade\" value=\"%s\">"
            "<button>%s</button></form>\n",
            action, trade_no, label);
}

static struct reply no_trade(void)
{
    struct page *page = page_begin("Alipay", "No such trade");
    return page_end(page, 404);
}

static struct reply show_locked(const struct trade *trade)
{
    bool open = trade->status == TRADE_WAITING;
    struct page *page = page_begin("Alipay", open ? "Pay" : trade->paid_ms ? "Paid" : "Closed");
    char *amount = money_text(trade->total_fen);
    fprintf(page->out, "<p class=\"amount\">&yen; %s</p>\n", amount);
    page_row(page, "For", trade->subject);
    page_row(page, "Order", trade->pay_no);
    page_row(page, "State", alipay_status_text(trade->status));
    if (open) {
        write_button(page->out, "pay", trade->trade_no, "Pay");
        write_button(page->out, "cancel", trade->trade_no, "Cancel");
    }
    free(amount);
    return page_end(page, 200);
}

struct reply alipay_show_trade(struct sandbox *sandbox, const char *trade_no)
{
    trades_lock(sandbox->trades);
    struct trade *trade = alipay_find_trade_no(sandbox, trade_no);
    if (trade)
        alipay_event_open(trade);
    struct reply reply = trade ? show_locked(trade) : no_trade();
    trades_unlock(sandbox->trades);
    return reply;
}

struct reply alipay_show_refusal(const json_t *node)
{
    static const char *const names[] = {"code", "msg", "sub_code", "sub_msg"};
    struct page *page = page_begin("Alipay", "The gateway refuses this order");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *text = json_string_value(json_object_get(node, names[i]));
        page_row(page, names[i], text ? text : "");
    }
    return page_end(page, 400);
}

/* The trade that a button's form names; NULL: none. */
static struct trade *posted_trade(struct sandbox *sandbox, const struct request *request)
{
    struct params params = {0};
    bool good = form_parse(&params, request->body, request->body_length);
    const char *trade_no = good ? params_get(&params, "trade") : NULL;
    struct trade *trade = trade_no ? alipay_find_trade_no(sandbox, trade_no) : NULL;
    params_free(&params);
    return trade;
}

static struct reply pay(struct sandbox *sandbox, const struct request *request)
{
    struct reply reply;
    trades_lock(sandbox->trades);
    struct trade *trade = posted_trade(sandbox, request);
    if (!trade)
        reply = no_trade();
    else if (!alipay_event_pay(sandbox, trade, ANNOUNCE_DEFAULT) && trade->return_url)
        reply = page_redirect(alipay_return_url(sandbox, trade));
    else
        reply = show_locked(trade);
    trades_unlock(sandbox->trades);
    return reply;
}

static struct reply cancel(struct sandbox *sandbox, const struct request *request)
{
    struct reply reply;
    trades_lock(sandbox->trades);
    const struct trade *trade = posted_trade(sandbox, request);
    if (!trade)
        reply = no_trade();
    else if (trade->quit_url)
        reply = page_redirect(text_copy(trade->quit_url));
    else
        reply = show_locked(trade); /* the payer may still change their mind */
    trades_unlock(sandbox->trades);
    return reply;
}

static struct reply qr(struct sandbox *sandbox, const struct request *request)
{
    return alipay_show_trade(sandbox, request->rest);
}

/* The front page, for people who look around: the trades, the oldest first. */
static struct reply front(struct sandbox *sandbox, const struct request *request)
{
    (void)request;
    struct page *page = page_begin("Alipay", "Trades");
    fputs("<p><a href=\"/wechat\">Orders at WeChat Pay</a></p>\n", page->out);
    trades_lock(sandbox->trades);
    for (const struct trade *trade = trades_first(sandbox->trades); trade; trade = trade->next) {
        char *amount = money_text(trade->total_fen);
        fprintf(page->out, "<p><a href=\"/qr/%s\">%s</a> &yen; %s %s</p>\n", trade->trade_no, trade->pay_no, amount,
                alipay_status_text(trade->status));
        free(amount);
    }
    trades_unlock(sandbox->trades);
    return page_end(page, 200);
}

static const struct route routes[] = {
    {"GET", "/", BODY_LIMIT, front},
    {"POST", "/payer/pay", BODY_LIMIT, pay},
    {"POST", "/payer/cancel", BODY_LIMIT, cancel},
    {"GET", "/qr/", BODY_LIMIT, qr},
};

const struct route_table alipay_payer_routes = {routes, sizeof routes / sizeof *routes};
