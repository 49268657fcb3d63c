/*
 * What a payer's browser sees: the pay link and its status poll. Workers; the link's signature is checked by pay.
 */
#include <stdio.h>
#include <string.h>

#include "base/ids.h"
#include "base/log.h"
#include "base/money.h"
#include "http/engine.h"
#include "http/handlers.h"
#include "http/html.h"
#include "http/input.h"
#include "http/problem.h"
#include "http/qr.h"
#include "http/views.h"

/* Shows "paid" in place of the code, and goes on to the shop when it left an address. */
static const char poll_script[] =
    "(function(){var m=document.getElementById('poll'),n=0;function ask(){if(++n>600)return;"
    "fetch(m.dataset.status,{cache:'no-store'}).then(function(r){if(!r.ok)throw 0;return r.json()}).then(function(s){"
    "if(s.status==='paid'||s.order_status==='paid'){location.reload()}else if(s.status==='unpaid'){setTimeout(ask,3000)}"
    "else{location.reload()}}).catch(function(){setTimeout(ask,3000)})}setTimeout(ask,3000)})();";

void payer_unknown_link(struct http_request *request)
{
    page_say(request, 404, "链接无效", "This link is not valid", "请回到商家页面重新获取支付链接。",
                 "Please go back to the shop and ask for a new payment link.");
}

void payer_add_order(struct page *page, const struct order *order)
{
    char money[MONEY_TEXT_MAX], amount[MONEY_TEXT_MAX + 8];
    snprintf(amount, sizeof amount, "%s %s", money_format(order->amount_minor, order->currency, money), order->currency);
    page_fact(page, "商品", "For", order->name);
    page_fact(page, "金额", "Amount", amount);
}

static void reply_paid(struct http_request *request, const struct order *order)
{
    struct page page;
    page_begin(&page, request->language, "订单已支付", "This order is paid");
    page_text(&page, "无需再次支付。", "There is nothing more to pay.");
    if (order->return_url)
        page_link(&page, "", order->return_url, "返回商家", "Back to the shop");
    page_reply(request, 409, &page, NULL);
}

/* ---- GET /pay/{pay_no} */

static void show_form(struct http_request *request, const struct pay_page *shown)
{
    const char *sources = page_form_sources(shown->url, request->arena);
    struct page page;
    page_begin(&page, request->language, "正在前往支付", "Taking you to the payment");
    payer_add_order(&page, &shown->order);
    buf_adds(&page.html, "<form id=\"pay\" method=\"post\" accept-charset=\"utf-8\" action=\"");
    buf_add_html(&page.html, shown->url);
    buf_adds(&page.html, "\">\n");
    for (size_t i = 0; i < shown->field_count; i++) {
        buf_adds(&page.html, "<input type=\"hidden\" name=\"");
        buf_add_html(&page.html, shown->fields[i].name);
        buf_adds(&page.html, "\" value=\"");
        buf_add_html(&page.html, shown->fields[i].value);
        buf_adds(&page.html, "\">\n");
    }
    buf_addf(&page.html, "<noscript><button type=\"submit\">%s</button></noscript></form>\n",
             request->language == LANGUAGE_EN ? "Continue to payment" : "继续支付");
    page_script(&page, "document.getElementById('pay').submit();");
    page_reply(request, 200, &page, sources);
}

static void show_code(struct http_request *request, const struct pay_page *shown)
{
    const char *picture = qr_data_uri(shown->url, request->arena);
    struct page page;
    page_begin(&page, request->language, "扫码支付", "Scan to pay");
    payer_add_order(&page, &shown->order);
    if (picture)
        buf_addf(&page.html, "<img alt=\"QR\" src=\"%s\">\n", picture);
    if (shown->status_url) {
        buf_adds(&page.html, "<p id=\"poll\" data-status=\"");
        buf_add_html(&page.html, shown->status_url);
        buf_adds(&page.html, "\"></p>\n");
        page_script(&page, poll_script);
    }
    page_reply(request, 200, &page, "connect-src 'self'; form-action 'none'");
}

/* A page of ours that goes on by itself, because some providers look where the payer comes from: the Referer is our
 * origin, whoever sent the payer here. */
static void show_redirect(struct http_request *request, const struct pay_page *shown)
{
    struct page page;
    page_begin(&page, request->language, "正在前往支付", "Taking you to the payment");
    page.referrer = "strict-origin";
    payer_add_order(&page, &shown->order);
    buf_adds(&page.html, "<p><a id=\"go\" href=\"");
    buf_add_html(&page.html, shown->url);
    buf_addf(&page.html, "\">%s</a></p>\n", request->language == LANGUAGE_EN ? "Continue to payment" : "继续支付");
    page_script(&page, "location.replace(document.getElementById('go').href);");
    page_reply(request, 200, &page, NULL);
}

void payer_see_other(struct http_request *request, const char *url)
{
    if (!url) {
        payer_try_again(request);
        return;
    }
    const struct http_header location = { "Location", url };
    http_reply(request, &(struct http_reply){ .status = 303, .headers = &location, .header_count = 1 });
}

static void show_refused(struct http_request *request, const struct pay_page *shown)
{
    bool expired = shown->order.status == ORDER_UNPAID && shown->record.status == PAYMENT_UNPAID;
    if (shown->order.status == ORDER_UNPAID && !expired) /* its order may still be paid in another way */
        page_say(request, 410, "这笔支付已关闭", "This payment is closed", "请回到商家页面重新获取支付链接。",
                 "Please go back to the shop and ask for a new payment link.");
    else
        page_say(request, 410, expired ? "订单已过期" : "订单已关闭", expired ? "This order has expired" : "This order is closed",
                 "此订单不能再支付，请回到商家页面重新下单。", "It can no longer be paid. Please order again at the shop.");
}

/* Says nothing about money: whoever comes here may have paid, and we have not heard of it yet. */
void payer_try_again(struct http_request *request)
{
    page_say(request, 503, "请稍后再试", "Please try again",
             "支付服务暂时没有响应，请稍等片刻后刷新此页面。如果已经付款，请不要重复支付。",
             "The payment service did not answer. Wait a moment and reload this page. If you have paid already, do not pay again.");
}

static void show(struct http_request *request, const struct pay_page *shown)
{
    switch (shown->kind) {
    case PAGE_FORM: show_form(request, shown); return;
    case PAGE_REDIRECT: show_redirect(request, shown); return;
    case PAGE_CODE: show_code(request, shown); return;
    case PAGE_PAID: reply_paid(request, &shown->order); return;
    case PAGE_REFUSED: show_refused(request, shown); return;
    case PAGE_ELSEWHERE:
        page_say(request, 410, "请在商家的应用中支付", "Please pay in the shop's app", "这笔支付不能在浏览器中打开。",
                 "This payment does not open in a browser.");
        return;
    case PAGE_CHOOSE_AGAIN: payer_see_other(request, shown->cashier_url); return;
    case PAGE_TRY_AGAIN: payer_try_again(request); return;
    }
}

static void reply_declined(struct http_request *request, const struct pay_page *shown)
{
    struct page page;
    page_begin(&page, request->language, "无法支付", "This cannot be paid");
    page_text(&page, "支付渠道没有接受此订单，请选择其他支付方式。",
              "The payment provider did not accept it. Please choose another way to pay.");
    if (shown && shown->cashier_url) {
        buf_adds(&page.html, "<p><a href=\"");
        buf_add_html(&page.html, shown->cashier_url);
        buf_addf(&page.html, "\">%s</a></p>\n", request->language == LANGUAGE_EN ? "Choose another way" : "选择其他支付方式");
    } else {
        page_text(&page, "请回到商家页面。", "Please go back to the shop.");
    }
    page_reply(request, 409, &page, NULL);
}

static void page_ready(void *arg, enum rc rc, const struct pay_page *shown, const struct error *err)
{
    struct http_request *request = arg;
    if (rc == RC_OK)
        show(request, shown);
    else if (rc == RC_NOT_FOUND)
        payer_unknown_link(request);
    else if (rc == RC_DECLINED || rc == RC_CONFLICT)
        reply_declined(request, shown);
    else {
        static struct log_limit limit;
        if (log_allow(&limit, 60))
            log_warn("pay page failed", LOG_S("error", rc_name(rc)), LOG_S("reason", err->text));
        payer_try_again(request);
    }
    request_unref(request);
}

/* The number and the signature of a pay link; false when the link cannot be one of ours. */
static bool read_link(struct http_request *request, int64_t *ret_pay_no, const char **ret_signature)
{
    struct query query;
    struct error err = { 0 };
    if (!id_parse(request->id, ret_pay_no) || query_parse(request->query, request->arena, &query, &err))
        return false;
    *ret_signature = query_get(&query, "k");
    return *ret_signature != NULL;
}

void payer_page(struct http_request *request)
{
    int64_t pay_no;
    const char *signature;
    if (!read_link(request, &pay_no, &signature)) {
        payer_unknown_link(request);
        return;
    }
    request_ref(request);
    pay_page_open(request->server->options.pay, pay_no, signature, request->client_ip, request->arena, page_ready, request);
}

void payer_wrong_method(struct http_request *request, const char *allow)
{
    struct page page;
    const struct http_header header = { "Allow", allow };
    page_begin(&page, request->language, "请求方式不对", "This is not how the page is opened");
    page_text(&page, "请回到商家页面重新打开支付链接。", "Please go back to the shop and open the payment link again.");
    page_reply_with(request, 405, &page, NULL, &header);
}

void payer_page_give_up(struct http_request *request, struct arena *scratch)
{
    (void) scratch;
    struct page page;
    page_begin(&page, request->language, "请稍后再试", "Please try again");
    page_text(&page, "支付服务暂时没有响应，请刷新此页面。", "The payment service did not answer. Please reload this page.");
    page_answer(request, 503, &page, NULL);
}

/* ---- GET /pay/{pay_no}/status */

void payer_status(struct http_request *request)
{
    int64_t pay_no;
    const char *signature;
    struct pay_record record;
    struct order order;
    struct error err = { 0 };
    if (!read_link(request, &pay_no, &signature)) {
        http_problem(request, &(struct problem){ .type = PROBLEM_NOT_FOUND, .detail = "This link is not valid." });
        return;
    }
    if (pay_page_status(request->server->options.pay, pay_no, signature, request->arena, &record, &order, &err)) {
        http_fail(request, &err);
        return;
    }
    json_t *object = json_object();
    json_object_set_new(object, "pay_no", json_string(request->id));
    json_object_set_new(object, "status", json_string(payment_status_name(record.status)));
    json_object_set_new(object, "order_status", json_string(order_status_name(order.status)));
    http_reply_json(request, 200, object);
}
