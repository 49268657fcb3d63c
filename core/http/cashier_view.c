/*
 * The cashier's page: the order, then what its state asks for. Everything that came from outside is escaped and stands in
 * an element that keeps its direction to itself. Called by http/cashier.c on workers.
 */
#include "http/cashier_view.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/money.h"
#include "http/assets.h"
#include "http/qr.h"

enum { REFRESH_S = 5 };

/* What is being written. */
struct view {
    struct page *page;
    const struct cashier_page *shown;
    const char *signature;
    struct arena *arena;
};

/* The title and one sentence of a state. */
static const struct words {
    int status;
    const char *zh, *en, *zh_text, *en_text;
} words[] = {
    [CASHIER_CHOICE] = { 200, "选择支付方式", "Choose how to pay", NULL, NULL },
    [CASHIER_OPEN] = { 200, "支付订单", "Pay this order", NULL, NULL },
    [CASHIER_STALE] = { 409, "二维码已失效", "This code is too old", "请获取新的二维码。", "Please get a new one." },
    [CASHIER_UNANSWERED] = { 503, "请稍后再试", "Please try again", "支付渠道暂时没有响应。您没有被扣款。",
                             "The payment provider did not answer. Nothing was charged." },
    [CASHIER_LEFT] = { 409, "您已选择其他支付方式", "You have chosen another way to pay", "请不要再用这一笔支付，它正在关闭。",
                       "Please do not pay with this one any more; it is being closed." },
    [CASHIER_DECLINED] = { 409, "无法使用此方式支付", "This way to pay did not work",
                           "支付渠道没有接受此订单，请选择其他支付方式。",
                           "The payment provider did not accept it. Please choose another way to pay." },
    [CASHIER_ENDED] = { 410, "这笔支付已关闭", "This payment is closed", "请重新选择支付方式。",
                        "Please choose again how to pay." },
    [CASHIER_PAID] = { 200, "支付成功", "Payment complete", "商家已收到付款通知，无需再次支付。",
                       "The shop has been told. There is nothing more to pay." },
    [CASHIER_TWICE] = { 200, "您支付了两次", "You have paid twice", "此订单此前已支付，商家已收到通知，会处理多付的款项。",
                        "The order had been paid before. The shop has been told about the second payment." },
    [CASHIER_LATE] = { 200, "付款已收到", "Your payment has arrived", "付款到达时订单已关闭，商家已收到通知，会处理这笔款项。",
                       "The order had been closed before. The shop has been told about the payment." },
    [CASHIER_REFUNDED] = { 200, "订单已退款", "This order was refunded", "款项会退回原支付账户。",
                           "The money goes back to the account that paid." },
    [CASHIER_EXPIRED] = { 410, "订单已过期", "This order has expired", "此订单不能再支付。如已付款，请等待商家确认。",
                          "It can no longer be paid. If you have paid already, the shop will be told." },
    [CASHIER_CLOSED] = { 410, "订单已关闭", "This order is closed", "此订单不能再支付。如已付款，请等待商家确认。",
                         "It can no longer be paid. If you have paid already, the shop will be told." },
};

int cashier_http_status(enum cashier_state state)
{
    return words[state].status;
}

static const char *pick(const struct view *view, const char *zh, const char *en)
{
    return view->page->language == LANGUAGE_EN ? en : zh;
}

static void adds(struct view *view, const char *html)
{
    buf_adds(&view->page->html, html);
}

static void text(struct view *view, const char *from_outside)
{
    buf_add_html(&view->page->html, from_outside);
}

/* A paragraph of our own words. */
static void say(struct view *view, const char *class, const char *zh, const char *en)
{
    buf_addf(&view->page->html, "<p class=\"%s\">%s</p>\n", class, pick(view, zh, en));
}

static void isolated(struct view *view, const char *class, const char *from_outside)
{
    if (!from_outside)
        return;
    buf_addf(&view->page->html, "<p class=\"%s\" dir=\"auto\"><bdi>", class);
    text(view, from_outside);
    adds(view, "</bdi></p>\n");
}

/* ---- parts */

static void add_order(struct view *view)
{
    const struct order *order = &view->shown->order;
    char money[MONEY_TEXT_MAX];
    adds(view, "<section class=\"order\">\n");
    buf_addf(&view->page->html, "<p class=\"amount\">%s %s</p>\n", money_format(order->amount_minor, order->currency, money),
             order->currency);
    isolated(view, "name", order->name);
    isolated(view, "description", order->description);
    buf_addf(&view->page->html, "<p class=\"number\">%s <bdi>", pick(view, "订单号", "Order"));
    text(view, order->out_business_id);
    adds(view, "</bdi></p>\n");
    if (view->shown->left_ms > 0) {
        long seconds = (long) ((view->shown->left_ms + 999) / 1000);
        char clock[48];
        if (seconds >= 3600)
            snprintf(clock, sizeof clock, "%ld:%02ld:%02ld", seconds / 3600, seconds / 60 % 60, seconds % 60);
        else
            snprintf(clock, sizeof clock, "%02ld:%02ld", seconds / 60, seconds % 60);
        buf_addf(&view->page->html, "<p class=\"left\">%s <span id=\"clock\" role=\"timer\">%s</span></p>\n",
                 pick(view, "剩余时间", "Time left"), clock);
    }
    adds(view, "</section>\n");
}

static const char *label_of(const struct view *view, const struct cashier_choice *choice)
{
    return choice->product ? pick(view, choice->product->label_zh, choice->product->label_en) : choice->channel;
}

/* Two instances of one plugin offer the same: then the channel's name tells them apart. */
static bool is_ambiguous(const struct view *view, const struct cashier_choice *choice)
{
    for (size_t i = 0; i < view->shown->choice_count; i++)
        if (&view->shown->choices[i] != choice && strcmp(label_of(view, &view->shown->choices[i]), label_of(view, choice)) == 0)
            return true;
    return false;
}

static void add_choice(struct view *view, const struct cashier_choice *choice, const char *class, const char *label,
                       const char *label_end)
{
    buf_addf(&view->page->html,
             "<form method=\"post\" action=\"%" PRId64 "/pay\"><input type=\"hidden\" name=\"k\" value=\"%s\">"
             "<input type=\"hidden\" name=\"channel\" value=\"",
             view->shown->order.order_id, view->signature);
    text(view, choice->channel);
    adds(view, "\"><input type=\"hidden\" name=\"product\" value=\"");
    text(view, choice->product->name);
    buf_addf(&view->page->html, "\"><button class=\"%s\" type=\"submit\">", class);
    text(view, label);
    if (label_end) {
        adds(view, " · ");
        text(view, label_end);
    }
    adds(view, "</button></form>\n");
}

/* Their labels, each once, separated as the language does it. */
static void add_others(struct view *view)
{
    const struct cashier_page *shown = view->shown;
    for (size_t i = 0; i < shown->other_count; i++) {
        size_t before = 0;
        while (before < i && strcmp(label_of(view, &shown->others[before]), label_of(view, &shown->others[i])) != 0)
            before++;
        if (before < i)
            continue;
        if (i > 0)
            adds(view, pick(view, "、", ", "));
        text(view, label_of(view, &shown->others[i]));
    }
}

static void warn(struct view *view, const char *zh_before, const char *zh_after, const char *en_before, const char *en_after)
{
    if (view->shown->other_count == 0)
        return;
    buf_addf(&view->page->html, "<p class=\"warn\" role=\"alert\">%s<bdi>", pick(view, zh_before, en_before));
    add_others(view);
    buf_addf(&view->page->html, "</bdi>%s</p>\n", pick(view, zh_after, en_after));
}

static void add_picture(struct view *view, const char *class, const char *code)
{
    const char *uri = qr_data_uri(code, view->arena);
    if (uri)
        buf_addf(&view->page->html, "<img class=\"%s\" alt=\"%s\" width=\"200\" height=\"200\" src=\"%s\">\n", class,
                 pick(view, "支付二维码", "QR code for the payment"), uri);
}

static void link_to(struct view *view, int64_t pay_no, const char *zh, const char *en)
{
    buf_addf(&view->page->html, "<a href=\"%" PRId64 "?k=%s", view->shown->order.order_id, view->signature);
    if (pay_no > 0)
        buf_addf(&view->page->html, "&amp;pay=%" PRId64, pay_no);
    buf_addf(&view->page->html, "\">%s</a>\n", pick(view, zh, en));
}

/* ---- states */

static void show_choices(struct view *view)
{
    const struct cashier_page *shown = view->shown;
    warn(view, "您已经开始了另一笔支付（", "）。如果已经付款，请等待确认，不要重复支付。", "You have begun to pay with ",
         ". If you have paid there already, wait for the confirmation and do not pay twice.");
    if (shown->choice_count == 0)
        say(view, "hint", "此订单暂时没有可用的支付方式，请联系商家。", "There is no way to pay this order here. Please ask the shop.");
    for (size_t i = 0; i < shown->choice_count; i++) {
        const struct cashier_choice *choice = &shown->choices[i];
        add_choice(view, choice, "choice", label_of(view, choice), is_ambiguous(view, choice) ? choice->channel : NULL);
    }
}

static void show_code(struct view *view)
{
    adds(view, "<section class=\"pay\">\n<p><bdi>");
    text(view, label_of(view, &view->shown->chosen));
    adds(view, "</bdi></p>\n");
    add_picture(view, "code", view->shown->view.code_url);
    say(view, "hint", "请用手机扫描二维码付款。", "Scan this code with your phone to pay.");
    say(view, "hint narrow", "就在这部手机上？请先保存二维码图片，再在支付应用的“扫一扫”中从相册选取。",
        "On this very phone? Save the code as a picture and pick it in the payment app's scanner.");
    adds(view, "</section>\n");
}

static void show_button(struct view *view)
{
    const char *url = view->shown->view.pay_url;
    if (!url)
        return;
    adds(view, "<section class=\"pay\">\n<p><bdi>");
    text(view, label_of(view, &view->shown->chosen));
    adds(view, "</bdi></p>\n<a class=\"button main\" id=\"pay\" href=\"");
    text(view, url);
    buf_addf(&view->page->html, "\">%s</a>\n<div class=\"wide\">\n", pick(view, "前往支付", "Go to the payment"));
    add_picture(view, "code", url);
    say(view, "hint", "或用手机扫描二维码，在手机上支付。", "Or scan this code to pay on your phone.");
    adds(view, "</div>\n</section>\n");
}

static void show_open(struct view *view)
{
    warn(view, "您此前选择的支付方式（", "）可能仍可付款。请只支付一次。", "What you chose before (",
         ") may still be payable. Please pay only once.");
    if (view->shown->view.code_url)
        show_code(view);
    else
        show_button(view);
    say(view, "hint pay", "付款完成后，本页面会自动更新。", "This page changes as soon as the payment has arrived.");
}

/* The same choice, once more. */
static void show_again(struct view *view, const char *zh, const char *en)
{
    if (view->shown->chosen.product)
        add_choice(view, &view->shown->chosen, "main", pick(view, zh, en), NULL);
}

static void add_links(struct view *view)
{
    const struct cashier_page *shown = view->shown;
    bool may_choose = shown->left_ms > 0 && shown->state != CASHIER_CHOICE;
    adds(view, "<p class=\"links\">\n");
    if (shown->current > 0 && shown->current != shown->view.record.pay_no)
        link_to(view, shown->current, "继续当前的支付", "Go on with the payment begun last");
    if (may_choose)
        link_to(view, 0, "选择其他支付方式", "Choose another way to pay");
    if (shown->order.return_url) {
        adds(view, "<a id=\"back\" href=\"");
        text(view, shown->order.return_url);
        buf_addf(&view->page->html, "\">%s</a>\n", pick(view, "返回商家", "Back to the shop"));
    }
    adds(view, "</p>\n");
}

static void add_frame(struct view *view)
{
    const struct cashier_page *shown = view->shown;
    buf_addf(&view->page->html, "<main id=\"cashier\" data-state=\"%s\" data-left=\"%" PRId64 "\" data-status=\"%" PRId64
             "/status?k=%s", cashier_state_name(shown->state), (shown->left_ms + 999) / 1000, shown->order.order_id,
             view->signature);
    if (shown->view.record.pay_no > 0)
        buf_addf(&view->page->html, "&amp;pay=%" PRId64, shown->view.record.pay_no);
    adds(view, "\">\n");
}

void cashier_view(struct page *ret_page, const struct cashier_page *shown, const char *signature, enum language language,
                  struct arena *arena)
{
    const struct words *said = &words[shown->state];
    struct view view = { ret_page, shown, signature, arena };
    const char *style = asset_url("cashier.css", arena), *script = asset_url("cashier.js", arena);
    page_begin_linked(ret_page, language, language == LANGUAGE_EN ? said->en : said->zh, style ? style : "cashier.css",
                      script ? script : "cashier.js", shown->state == CASHIER_OPEN ? REFRESH_S : 0);
    add_frame(&view);
    if (shown->state == CASHIER_PAID)
        adds(&view, "<p class=\"done\" aria-hidden=\"true\">✓</p>\n");
    buf_addf(&ret_page->html, "<h1>%s</h1>\n", pick(&view, said->zh, said->en));
    add_order(&view);
    if (said->zh_text)
        say(&view, "pay", said->zh_text, said->en_text);
    if (shown->state == CASHIER_CHOICE)
        show_choices(&view);
    else if (shown->state == CASHIER_OPEN)
        show_open(&view);
    else if (shown->state == CASHIER_STALE)
        show_again(&view, "获取新的二维码", "Get a new code");
    else if (shown->state == CASHIER_UNANSWERED)
        show_again(&view, "重试", "Try again");
    add_links(&view);
}
