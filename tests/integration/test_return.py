"""The payer's browser comes back from the provider, on both stores: it is a hint and never a fact. What the page shows is what
the books say, and an address that carries no link of ours shows nothing."""

import html
import re
import urllib.parse

import pytest

from books import RECORD_PAID, RECORD_UNPAID
from waiting import wait_for

SHOP = "https://shop.example/thanks?order=1&x=2"
ENGLISH = {"Accept-Language": "en"}


@pytest.fixture
def server(make_server):
    """Only returning payers make it ask."""
    return make_server({"channel alipay": {"query_interval": "1h"}}).start()


def payment_at_the_provider(server, pay_page, submit, number, **more):
    """(payment, return_url) of one whose form the payer has submitted; return_url is what the provider was told."""
    payment = server.payment(server.order(number)["order_id"], **more)
    form = pay_page(payment["pay_url"])
    assert submit(form).status_code == 200
    return payment, urllib.parse.parse_qs(urllib.parse.urlsplit(form.action).query)["return_url"][0]


def press(sandbox, payment, button="pay"):
    """Where the provider sends the browser to after the payer pressed the button."""
    answer = sandbox.press(button, sandbox.trade(payment["pay_no"])["trade_no"])
    assert answer.status_code in (302, 303), answer.text
    return answer.headers["Location"]


def come_back(sandbox, url):
    answer = sandbox.session.get(url, headers=ENGLISH, timeout=30)
    return answer.status_code, answer.text


def hints(server, outcome):
    return server.metrics().get(f'paynotify_hints_total{{channel="alipay",outcome="{outcome}"}}', 0)


def queries(server):
    return sum(count for name, count in server.metrics().items()
               if name.startswith('paynotify_channel_calls_total{channel="alipay",operation="query"'))


def test_a_payer_who_comes_back_before_the_notice_sees_it_paid(server, sandbox, books, pay_page, submit):
    sandbox.fault("notice", "drop", count=-1)
    payment, back = payment_at_the_provider(server, pay_page, submit, "r-1", return_url=SHOP)
    assert back.startswith(f"{server.public}/return/alipay/{payment['pay_no']}-")
    url = press(sandbox, payment)
    assert url.startswith(back + "?")

    status, page = come_back(sandbox, url)
    assert status == 200 and "course r-1" in page and "88.80" in page
    wait_for(lambda: books.record(payment["pay_no"])["status"] == RECORD_PAID, 20, "the provider to be asked")
    status, page = come_back(sandbox, url)
    assert status == 200 and "Payment received" in page
    assert f'href="{html.escape(SHOP)}"' in page


def test_the_page_asks_for_the_state_that_the_books_have(server, sandbox, notice, pay_page, submit):
    payment, back = payment_at_the_provider(server, pay_page, submit, "r-2")
    status, page = come_back(sandbox, back)
    assert status == 200 and "being confirmed" in page and "Back to the shop" not in page
    links = [html.unescape(link) for link in re.findall(r'data-status="([^"]*)"|href="(\.\./[^"]*)"', page) for link in link if link]
    poll, again = (urllib.parse.urljoin(back, link) for link in links)
    assert sandbox.session.get(poll, timeout=30).json()["status"] == "unpaid"
    assert again == payment["pay_url"]
    assert server.notify(notice(payment["pay_no"])) == (200, "success")
    assert sandbox.session.get(poll, timeout=30).json()["status"] == "paid"


def test_coming_back_pays_nothing(server, sandbox, books, pay_page, submit):
    """The provider's own signed words are in the address, and it has not been paid."""
    payment, back = payment_at_the_provider(server, pay_page, submit, "r-3")
    pay_no = payment["pay_no"]
    claim = sandbox.sign_notice(bare=True, app_id=sandbox.app_id, out_trade_no=pay_no, total_amount="88.80", charset="utf-8",
                                trade_no="2026", timestamp="2026-01-01 00:00:00", trade_status="TRADE_SUCCESS")
    before = queries(server)
    for url in (back, f"{server.public}/return/alipay"):
        assert come_back(sandbox, f"{url}?{claim}")[0] == 200
    wait_for(lambda: queries(server) > before, 20, "the provider to be asked")
    assert books.record(pay_no)["status"] == RECORD_UNPAID
    assert server.ok("GET", f"/v1/payments/{pay_no}")["status"] == "unpaid"


def test_without_a_link_of_ours_nothing_is_shown(server, sandbox, books, pay_page, submit):
    """The address that a merchant may have entered in the provider's console: signed by the provider, it still leads to a
    question, and unsigned to nothing."""
    sandbox.fault("notice", "drop", count=-1)
    payment, _ = payment_at_the_provider(server, pay_page, submit, "r-4")
    signed = urllib.parse.urlsplit(press(sandbox, payment)).query
    bare = f"{server.public}/return/alipay"
    for query in (f"?out_trade_no={payment['pay_no']}", "?" + signed.replace("88.80", "88.81"), ""):
        status, page = come_back(sandbox, bare + query)
        assert status == 200 and "course" not in page and "88.8" not in page
    assert queries(server) == 0
    status, page = come_back(sandbox, f"{bare}?{signed}")
    assert status == 200 and "course" not in page and "88.8" not in page
    wait_for(lambda: books.record(payment["pay_no"])["status"] == RECORD_PAID, 20, "the provider to be asked")


def test_a_link_that_is_not_ours_is_refused(server, sandbox, pay_page, submit):
    payment, back = payment_at_the_provider(server, pay_page, submit, "r-5")
    other = server.payment(server.order("r-6")["order_id"])["pay_no"]
    pay_signature = payment["pay_url"].partition("k=")[2]
    for bad in (back[:-1], back[:-1] + ("0" if back[-1] != "0" else "1"), back.replace(payment["pay_no"], other),
                back.rpartition("-")[0], f"{server.public}/return/alipay/{payment['pay_no']}-{pay_signature}",
                f"{server.public}/return/alipay/-", f"{server.public}/return/alipay/x-y"):
        assert come_back(sandbox, bad)[0] == 404, bad
    assert queries(server) == 0


def test_a_reloaded_page_asks_the_provider_once(server, sandbox, pay_page, submit):
    _, back = payment_at_the_provider(server, pay_page, submit, "r-7")
    for _ in range(30):
        assert come_back(sandbox, back)[0] == 200
    wait_for(lambda: hints(server, "answered") >= 1, 20, "the answer")
    # More than one only where thirty loads take longer than what one question is good for.
    assert queries(server) <= 1 + 30 // 5


def test_the_ways_a_page_can_end(server, sandbox, notice, pay_page, submit):
    payment, back = payment_at_the_provider(server, pay_page, submit, "r-8")
    order_id = server.ok("GET", f"/v1/payments/{payment['pay_no']}")["order_id"]
    server.ok("POST", f"/v1/orders/{order_id}/close")
    status, page = come_back(sandbox, back)
    assert status == 200 and "This order is closed" in page and "data-status" not in page
    assert server.notify(notice(payment["pay_no"])) == (200, "success")
    status, page = come_back(sandbox, back)
    assert status == 200 and "The shop will take care of your payment" in page
    assert sandbox.session.get(back, headers={"Accept-Language": "zh"}, timeout=30).text.count("已收到您的付款")
