/*
 * Where a provider sends the payer's browser back to. Nothing that the browser brings is believed: it only makes core ask
 * the provider. /return/{channel}/{link} carries our own signature and shows the payment; /return/{channel} is for
 * addresses that were given to a provider in other ways, and shows nothing about any order.
 */
#include "base/log.h"
#include "http/engine.h"
#include "http/handlers.h"
#include "http/html.h"
#include "http/incoming.h"
#include "plugin/registry.h"

/* The first question soon, because the provider is being asked just now. */
static const char poll_script[] =
    "(function(){var m=document.getElementById('poll'),n=0;function ask(){if(++n>600)return;"
    "fetch(m.dataset.status,{cache:'no-store'}).then(function(r){if(!r.ok)throw 0;return r.json()}).then(function(s){"
    "if(s.status==='unpaid'&&s.order_status==='unpaid'){setTimeout(ask,3000)}else{location.reload()}"
    "}).catch(function(){setTimeout(ask,3000)})}setTimeout(ask,1000)})();";

static void reply_unknown_link(struct http_request *request)
{
    page_say(request, 404, "链接无效", "This link is not valid", "请回到商家页面查看您的订单。",
             "Please go back to the shop and look at your order there.");
}

/* ---- GET /return/{channel}/{link} */

static void add_waiting(struct page *page, const struct pay_return *shown)
{
    page_text(page, "如果您已完成支付，此页面很快会更新。", "If you have paid, this page will say so soon.");
    buf_adds(&page->html, "<p id=\"poll\" data-status=\"../../");
    buf_add_html(&page->html, shown->status_path);
    buf_adds(&page->html, "\"></p>\n<noscript>");
    page_link(page, "", "", "刷新", "Look again");
    buf_adds(&page->html, "</noscript>\n");
    page_link(page, "../../", shown->pay_path, "还没有支付？继续支付", "Not paid yet? Continue to payment");
    page_script(page, poll_script);
}

static void show(struct http_request *request, const struct pay_return *shown)
{
    static const struct { const char *zh, *en; } titles[] = {
        [RETURN_WAITING] = { "支付结果确认中", "Your payment is being confirmed" },
        [RETURN_PAID] = { "支付成功", "Payment received" },
        [RETURN_LATE] = { "已收到您的付款", "Your payment has arrived" },
        [RETURN_ENDED] = { "这笔支付已关闭", "This payment is closed" },
        [RETURN_CLOSED] = { "订单已关闭", "This order is closed" },
    };
    struct page page;
    page_begin(&page, request->language, titles[shown->state].zh, titles[shown->state].en);
    payer_add_order(&page, &shown->order);
    if (shown->state == RETURN_WAITING)
        add_waiting(&page, shown);
    else if (shown->state == RETURN_LATE)
        page_text(&page, "订单此前已关闭，商家会处理这笔付款。", "The order was closed before. The shop will take care of your payment.");
    else if (shown->state == RETURN_ENDED)
        page_text(&page, "如需继续支付，请回到商家页面。如果您刚刚付过款，商家会收到通知。",
                  "To pay, please go back to the shop. If you have just paid, the shop will be told.");
    else if (shown->state == RETURN_CLOSED)
        page_text(&page, "它不能再支付。如果您刚刚付过款，商家会收到通知。",
                  "It can no longer be paid. If you have just paid, the shop will be told.");
    if (shown->shop_url)
        page_link(&page, "", shown->shop_url, "返回商家", "Back to the shop");
    page_reply(request, 200, &page, "connect-src 'self'; form-action 'none'");
}

void return_linked(struct http_request *request)
{
    struct pay_return shown;
    struct error err = { 0 };
    enum rc rc = pay_return_open(request->server->options.pay, request->id, request->arena, &shown, &err);
    if (rc == RC_OK && shown.cashier_path) {
        payer_see_other(request, arena_printf(request->arena, "../../%s", shown.cashier_path));
    } else if (rc == RC_OK) {
        show(request, &shown);
    } else if (rc == RC_NOT_FOUND) {
        reply_unknown_link(request);
    } else {
        static struct log_limit limit;
        if (log_allow(&limit, 60))
            log_warn("return page failed", LOG_S("error", rc_name(rc)), LOG_S("reason", err.text));
        page_say(request, 503, "请稍后再试", "Please try again", "支付服务暂时没有响应，请稍等片刻后刷新此页面。",
                 "The payment service did not answer. Wait a moment and reload this page.");
    }
}

/* ---- GET /return/{channel} */

/* The channel says which payment the browser comes from, if anything. */
static void take_hint(struct http_request *request, const struct notify_channel *channel)
{
    const struct pn_http_incoming *incoming = incoming_read(request, "GET");
    struct pn_notification judged = { .size = sizeof judged };
    struct pn_call call;
    call_begin(&call, request->arena, channel->name);
    if (!incoming || channel_notification(channel->channel, &call, incoming, &judged) != PN_OK || judged.verdict == PN_REFUSED)
        return;
    const struct pn_str *pay_no = judged.verdict == PN_AUTHENTIC ? &judged.result->pay_no : &judged.pay_no;
    const char *text = arena_strndup(request->arena, pay_no->data, pay_no->len);
    if (text)
        pay_hint(request->server->options.pay, channel->name, text, NULL, HINT_RETURN, NULL, NULL);
}

void return_bare(struct http_request *request)
{
    const struct notify_channel *channel = incoming_channel(request->server, request->id);
    if (!channel) {
        reply_unknown_link(request);
        return;
    }
    if (request->query[0])
        take_hint(request, channel);
    page_say(request, 200, "支付结果确认中", "Your payment is being confirmed",
             "支付完成后，商家会很快收到通知。您可以关闭此页面，回到商家查看订单。",
             "The shop will be told as soon as the payment is complete. You may close this page and look at your order there.");
}
