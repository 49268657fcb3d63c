"""The cashier over plain HTTP, on both stores: who may open it, what it offers, what choosing makes, and what it says at each
end of an order. What a browser makes of it is in test_cashier_browser.py."""

import concurrent.futures
import urllib.parse

import pytest
import requests

from cashier import Cashier, Page
from paynotifyd import channel_settings
from waiting import wait_for

OFFERED = [("alipay", "wap"), ("alipay", "page"), ("alipay", "precreate")]


@pytest.fixture
def order(server):
    return server.order("n1", return_url="https://shop.example/back?a=1&b=2", description="two\nlines")


@pytest.fixture
def cashier(order):
    return Cashier(order["cashier_url"])


# ---------------------------------------------------------------------------------------------------- the link

def test_every_order_answer_names_its_cashier(server, order):
    order_id, url = order["order_id"], order["cashier_url"]
    assert url.startswith(f"{server.public}/cashier/{order_id}?k=")
    assert server.order("n1")["cashier_url"] == url
    assert server.ok("GET", f"/v1/orders/{order_id}")["cashier_url"] == url
    assert server.ok("GET", "/v1/orders")["orders"][0]["cashier_url"] == url
    assert server.order("n1", channel="alipay", product="precreate")["cashier_url"] == url
    assert server.ok("POST", f"/v1/orders/{order_id}/close")["cashier_url"] == url


def test_only_the_signed_link_opens(server, order, cashier):
    other = server.order("n2")
    order_id, signature = order["order_id"], order["cashier_url"].partition("?k=")[2]
    pay = server.payment(order_id)["pay_url"].partition("?k=")[2]
    flipped = signature[:-1] + ("0" if signature[-1] != "0" else "1")
    for forged in ("", signature[:-1], signature + "0", flipped, other["cashier_url"].partition("?k=")[2], pay,
                   "%00", "\u200b", "a" * 500):
        url = f"{server.public}/cashier/{order_id}"
        assert cashier.get(url, params={"k": forged}).status_code == 404
        assert cashier.get(url + "/status", params={"k": forged}).status_code == 404
        answer = requests.post(url + "/pay", data={"k": forged, "channel": "alipay", "product": "wap"}, timeout=60,
                               allow_redirects=False)
        assert answer.status_code == 404 and "text/html" in answer.headers["Content-Type"]
    for number in ("1", "0", "-1", "x", "9" * 19, "9" * 40):
        assert cashier.get(f"{server.public}/cashier/{number}?k={signature}").status_code == 404
    assert len(server.ok("GET", f"/v1/orders/{order_id}")["payments"]) == 1


def test_forms_that_are_no_forms_change_nothing(server, order, cashier):
    address, _, signature = cashier.url.partition("?k=")
    good = f"k={signature}&channel=alipay&product=wap"
    for body in ("", "&", "=", "k", "%", good + "&k=" + signature, good + "&a=%", good + "&a=%zz", good + "&a=%00", good + "&%ff=1",
                 "&".join(f"a{i}=" for i in range(100)) + "&" + good, f"k={signature}", f"k={signature}&channel=alipay",
                 good.replace("=", "%3D"), good.upper(), good + "x" * 300, "k[]=" + signature, good.encode("utf-16"), b"\0" + good.encode()):
        answer = requests.post(address + "/pay", data=body, timeout=60, allow_redirects=False)
        assert answer.status_code in (404, 422), (body, answer.status_code)
        assert "text/html" in answer.headers["Content-Type"]
    assert requests.post(address + "/pay", data=good + "&a=" + "x" * 5000, timeout=60).status_code == 413
    assert server.ok("GET", f"/v1/orders/{order['order_id']}")["payments"] == []


def test_methods_and_headers(server, order, cashier):
    shown = cashier.get()
    assert shown.headers["Cache-Control"] == "no-store" and shown.headers["Referrer-Policy"] == "no-referrer"
    policy = shown.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
    head = cashier.get(method="HEAD")
    assert (head.status_code, head.text) == (200, "") and head.headers["Content-Type"] == shown.headers["Content-Type"]
    assert cashier.get(server.public + "/cashier/1?k=x", method="HEAD").status_code == 404
    for method, url, allow in (("POST", order["cashier_url"], "GET, HEAD"), ("DELETE", order["cashier_url"], "GET, HEAD"),
                               ("GET", order["cashier_url"].replace("?", "/pay?"), "POST")):
        answer = cashier.get(url, method=method)
        assert (answer.status_code, answer.headers["Allow"]) == (405, allow)
        assert "text/html" in answer.headers["Content-Type"] and "open the payment link again" in answer.text


def test_style_and_script_are_cached_by_their_version(server, cashier):
    page = cashier.get().text
    for name in ("cashier.css", "cashier.js"):
        version = page.partition(name + "?v=")[2].partition('"')[0]
        answer = cashier.get(f"{server.public}/cashier/{name}?v={version}")
        assert answer.status_code == 200 and "immutable" in answer.headers["Cache-Control"]
        cashier.headers["If-None-Match"] = answer.headers["ETag"]
        again = cashier.get(f"{server.public}/cashier/{name}?v={version}")
        assert (again.status_code, again.content) == (304, b"") and again.headers["ETag"] == answer.headers["ETag"]
        del cashier.headers["If-None-Match"]
        for other in ("", "?v=", "?v=0", "?v=%ff"):
            assert cashier.get(f"{server.public}/cashier/{name}{other}").headers["Cache-Control"] == "no-cache"


# ---------------------------------------------------------------------------------------------------- the choice

def test_the_page_names_the_order_and_offers_what_a_browser_can_do(cashier):
    page = cashier.open()
    assert (page.status, page.state, page.offers) == (200, "choice", OFFERED)
    for text in ("88.80 CNY", "course n1", "two\nlines", "n1", "Alipay (QR code)", "Time left"):
        assert text in page.text
    assert page.links["Back to the shop"] == "https://shop.example/back?a=1&b=2"
    assert 0 < int(page.main["data-left"]) <= 1800
    assert "支付宝（扫码）" in Cashier(cashier.url, **{"Accept-Language": "zh-CN,en;q=0.5"}).open().text


def test_names_show_as_text(server):
    name = "<script>alert(1)</script>\"'&<b>粗 👍🏽 \u202eevil\u202c עברית"
    order = server.order("<i>n&1", name=name, description="</p><img src=x onerror=alert(1)>")
    page = Cashier(order["cashier_url"]).open()
    assert name in page.text and "<i>n&1" in page.text and "</p><img src=x onerror=alert(1)>" in page.text
    assert "<script>alert" not in page.html and page.pictures == []


def test_only_the_app_s_channels_are_offered_and_taken(make_server, sandbox):
    server = make_server({"channel second": channel_settings(sandbox), "app learning": {"channels": "second"}}).start()
    cashier = Cashier(server.order("n1")["cashier_url"])
    assert {channel for channel, _ in cashier.open().offers} == {"second"}
    for channel, product in (("alipay", "wap"), ("second", "app"), ("second", "nothing"), ("nobody", "wap"), ("", ""),
                             ("second", "wap\0"), ("second", "WAP")):
        answer = cashier.press(channel, product)
        assert answer.status_code in (404, 422), (channel, product)
    both = Cashier(server.ok("POST", "/v1/orders", {"out_business_id": "n", "amount": "1", "name": "x"}, app="other")["cashier_url"])
    assert len(both.open().offers) == 6
    assert "Alipay (QR code) · second" in both.open().text
    assert both.choose("alipay", "precreate")[0].state == "open"


def test_a_currency_that_no_product_takes_is_said(server):
    order = server.order("n1", currency="USD")
    page = Cashier(order["cashier_url"]).open()
    assert page.offers == [] and "There is no way to pay this order here" in page.text


# ---------------------------------------------------------------------------------------------------- choosing

def payments(server, order):
    return server.ok("GET", f"/v1/orders/{order['order_id']}")["payments"]


def test_choosing_again_and_loading_again_make_nothing_new(server, order, cashier):
    page, pay_no = cashier.choose("alipay", "precreate")
    assert page.state == "open" and len(page.pictures) == 1 and "may still be payable" not in page.text
    picture = page.pictures[0]
    for _ in range(3):
        again, same = cashier.choose("alipay", "precreate")
        assert same == pay_no and again.pictures == [picture]
        assert cashier.at(pay_no).pictures == [picture]
    assert cashier.open().state == "choice"
    assert [(made["pay_no"], made["channel"], made["product"]) for made in payments(server, order)] == \
        [(pay_no, "alipay", "precreate")]
    assert server.ok("GET", f"/v1/payments/{pay_no}")["status"] == "unpaid"


def test_pages_and_polls_ask_no_provider(make_server):
    server = make_server({"channel alipay": {"query_interval": "1h"}}).start()
    cashier = Cashier(server.order("n1")["cashier_url"])
    _, pay_no = cashier.choose("alipay", "precreate")

    def calls():
        return {name: count for name, count in server.metrics().items() if name.startswith("paynotify_channel_calls_total")}
    before = calls()
    assert sum(before.values()) == 1
    for _ in range(5):
        assert cashier.open().state == "choice"
        assert cashier.at(pay_no).state == cashier.status(pay_no)["state"] == "open"
        assert cashier.choose("alipay", "precreate")[1] == pay_no
    assert calls() == before


@pytest.mark.parametrize("product", ["precreate", "wap"])
def test_twenty_at_once_make_one_payment(server, order, cashier, product):
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: cashier.press("alipay", product), range(20)))
    assert {answer.status_code for answer in answers} == {303}
    assert len({answer.headers["Location"] for answer in answers}) == 1
    assert len(payments(server, order)) == 1


def test_choices_that_race_leave_one_to_pay(server, order, cashier):
    """Whatever order they come in: the last choice is open, and whoever holds another one is told so."""
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda number: cashier.press(*OFFERED[number % 3]), range(12)))
    assert {answer.status_code for answer in answers} == {303}
    shown = {made["pay_no"]: cashier.at(made["pay_no"]).state for made in payments(server, order)}
    assert sorted(shown.values()).count("open") == 1, shown
    assert set(shown.values()) <= {"open", "left", "ended"}
    last = max(shown, key=int)
    assert shown[last] == "open"


def test_another_choice_closes_the_first_at_its_provider(server, sandbox, order, cashier, scan):
    page, first = cashier.choose("alipay", "precreate")
    scan(server.ok("GET", f"/v1/payments/{first}"))  # now the provider knows the trade, and can close it
    page, second = cashier.choose("alipay", "wap")
    assert second != first and page.state == "open" and f"/pay/{second}?k=" in page.html
    wait_for(lambda: server.ok("GET", f"/v1/payments/{first}")["status"] == "closed", 30, "the first to be closed")
    assert sandbox.trade(first)["status"] == "TRADE_CLOSED"
    assert (cashier.at(first).status, cashier.at(first).state) == (410, "ended")
    assert cashier.at(second).state == "open"

    page, third = cashier.choose("alipay", "precreate")
    assert third not in (first, second) and page.state == "open"


def test_the_payer_is_warned_while_another_attempt_is_open(server, order, cashier):
    _, first = cashier.choose("alipay", "precreate")  # nobody scans it: the provider cannot close what it does not know
    page, second = cashier.choose("alipay", "wap")
    assert "may still be payable. Please pay only once" in page.text and "Alipay (QR code)" in page.text
    left = cashier.at(first)
    assert (left.status, left.state, left.pictures) == (409, "left", [])
    assert left.links["Go on with the payment begun last"].endswith(f"&pay={second}")
    choice = cashier.open()
    assert "do not pay twice" in choice.text and choice.offers == OFFERED
    server.payment(order["order_id"], product="page")  # the shop's own
    assert "Alipay (desktop browser)" in cashier.at(second).text


def test_a_link_that_was_left_leads_back_to_the_cashier(server, cashier):
    _, first = cashier.choose("alipay", "wap")
    link = server.ok("GET", f"/v1/payments/{first}")["pay_url"]
    assert "<form" in cashier.get(link).text  # shown, so that it can only end with its order
    _, second = cashier.choose("alipay", "precreate")
    answer = cashier.get(link)
    assert answer.status_code == 303
    page = cashier.open(urllib.parse.urljoin(link, answer.headers["Location"]))
    assert page.state == "left" and f"&pay={second}" in str(page.links)


def test_a_form_that_nobody_opened_is_closed_at_once(server, cashier):
    page, first = cashier.choose("alipay", "wap")
    link = page.links["Go to the payment"]
    _, second = cashier.choose("alipay", "page")
    wait_for(lambda: server.ok("GET", f"/v1/payments/{first}")["status"] == "closed", 30, "the form to be closed")
    assert cashier.get(server.ok("GET", f"/v1/payments/{second}")["pay_url"]).status_code == 200
    back = urllib.parse.urljoin(link, cashier.get(link).headers["Location"])
    assert back == f"{cashier.url}&pay={first}" and cashier.open(back).state == "ended"


def test_the_cashier_s_keys_are_its_own(server, order, cashier):
    answer = server.api("POST", f"/v1/orders/{order['order_id']}/payments",
                        {"channel": "alipay", "product": "wap", "idempotency_key": "cashier:0"})
    assert answer.status_code == 422 and answer.json()["field"] == "idempotency_key"
    theirs = server.payment(order["order_id"], idempotency_key="cashier")["pay_no"]
    assert cashier.at(theirs).state == "choice"
    elsewhere = server.order("n2")
    _, stranger = Cashier(elsewhere["cashier_url"]).choose("alipay", "wap")
    assert cashier.at(stranger).state == "choice" and cashier.at("x").state == "choice"


def test_a_payer_who_never_stops_choosing_is_stopped(server, order, cashier):
    for number in range(50):
        assert cashier.press("alipay", ("wap", "page")[number % 2]).status_code == 303
    answer = cashier.press("alipay", "wap")
    assert answer.status_code == 429 and "Please order again at the shop" in answer.text
    assert cashier.choose("alipay", "page")[0].state == "open" and len(payments(server, order)) == 50


# ---------------------------------------------------------------------------------------------------- the payer's address

def wechat_settings(sandbox):
    lines = (line.partition("=") for line in sandbox.wechat_conf().splitlines() if "=" in line and line[0] != ";")
    return {"plugin": "wechat", **{name.strip(): value.strip() for name, _, value in lines}}


@pytest.fixture
def proxied(make_server, sandbox):
    """A server behind a proxy at 127.0.0.1, and a provider that wants to know the payer's address."""
    return make_server({"channel wechat": wechat_settings(sandbox), "server": {"trusted_proxies": "127.0.0.1"}}).start()


def test_the_provider_is_told_the_payer_s_real_address(proxied, sandbox, books):
    """The provider shows its page only to the address that it was told, and this test comes from 127.0.0.1."""
    sandbox.wechat_set(check_address=True)
    order = proxied.order("n1")
    for forwarded, address in (("203.0.113.7", "203.0.113.7"), ("198.51.100.1, 203.0.113.8", "203.0.113.8"),
                               ("2001:db8::1", "2001:db8::1"), ("junk", "127.0.0.1")):
        payer = Cashier(order["cashier_url"], **{"X-Forwarded-For": forwarded})
        page, pay_no = payer.choose("wechat", "mweb")
        assert page.state == "open" and f'["client_ip","{address}"]' in books.record(pay_no)["params"]
        theirs = Page(payer.get(page.links["Go to the payment"])).links["Continue to payment"]
        shown = sandbox.session.get(theirs, headers={"Referer": proxied.public}, timeout=30).text
        assert ("address is not spbill_create_ip" in shown) == (address != "127.0.0.1")


def test_whoever_is_no_trusted_proxy_is_not_believed(make_server, sandbox, books):
    server = make_server({"channel wechat": wechat_settings(sandbox)}).start()
    payer = Cashier(server.order("n1")["cashier_url"], **{"X-Forwarded-For": "203.0.113.7"})
    _, pay_no = payer.choose("wechat", "mweb")
    assert "127.0.0.1" in books.record(pay_no)["params"] and "203.0.113.7" not in books.record(pay_no)["params"]


def test_a_redirect_is_a_page_of_ours_and_only_for_the_address_that_chose(proxied):
    order = proxied.order("n1")
    here = Cashier(order["cashier_url"], **{"X-Forwarded-For": "203.0.113.7"})
    there = Cashier(order["cashier_url"], **{"X-Forwarded-For": "203.0.113.9"})
    page, pay_no = here.choose("wechat", "mweb")
    link = page.links["Go to the payment"]
    answer = here.get(link)
    assert answer.status_code == 200 and answer.headers["Referrer-Policy"] == "strict-origin"
    assert "location.replace" in answer.text and "checkmweb" in Page(answer).links["Continue to payment"]
    away = there.get(link)
    assert away.status_code == 303 and urllib.parse.urljoin(link, away.headers["Location"]) == order["cashier_url"]
    page, second = there.choose("wechat", "mweb")  # for another address it is another payment
    assert second != pay_no and there.get(page.links["Go to the payment"]).status_code == 200
    assert here.at(pay_no).state in ("left", "ended")


def make_old(books, pay_no):
    kept = books.record(pay_no)["prepay"]
    made_at = kept.partition('"made_at":')[2].partition(",")[0]
    books.change("UPDATE pay_records SET prepay = %s WHERE pay_no = %s", kept.replace(made_at, "1"), int(pay_no))


def test_a_redirect_that_has_grown_old_is_made_anew(proxied, sandbox, books):
    """The provider is asked again, with the same parameters, and only then."""
    payer = Cashier(proxied.order("n1")["cashier_url"], **{"X-Forwarded-For": "203.0.113.7"})
    page, pay_no = payer.choose("wechat", "mweb")
    link = page.links["Go to the payment"]
    sandbox.fault("gateway", "drop", count=-1)
    assert payer.get(link).status_code == 200
    kept = books.record(pay_no)["prepay"]
    made_at = int(kept.partition('"made_at":')[2].partition(",")[0])
    books.change("UPDATE pay_records SET prepay = %s WHERE pay_no = %s",
                 kept.replace(str(made_at), str(made_at - 5 * 60 * 1000)), int(pay_no))
    assert payer.get(link).status_code == 503
    sandbox.clear_faults()
    answer = payer.get(link)
    assert answer.status_code == 200 and "checkmweb" in answer.text
    renewed = int(books.record(pay_no)["prepay"].partition('"made_at":')[2].partition(",")[0])
    assert renewed >= made_at


def test_a_code_that_has_grown_old_is_made_anew(server, order, cashier, books):
    page, pay_no = cashier.choose("alipay", "precreate")
    assert page.state == "open"
    make_old(books, pay_no)
    assert (cashier.at(pay_no).status, cashier.at(pay_no).state, cashier.at(pay_no).pictures) == (409, "stale", [])
    assert cashier.at(pay_no).offers == [("alipay", "precreate")]
    page, same = cashier.choose("alipay", "precreate")
    assert (page.state, same, len(page.pictures)) == ("open", pay_no, 1)
    make_old(books, pay_no)
    assert "Scan to pay" in cashier.get(server.ok("GET", f"/v1/payments/{pay_no}")["pay_url"]).text  # the pay link makes a new one as well
    assert cashier.at(pay_no).state == "open"


def test_callers_get_no_code_that_is_too_old_or_cannot_be_paid(server, order, books):
    made = server.payment(order["order_id"], product="precreate", idempotency_key="k1")
    path = f"/v1/payments/{made['pay_no']}"
    assert server.ok("GET", path)["code_url"] == made["code_url"]
    make_old(books, made["pay_no"])
    old = server.ok("GET", path)
    assert "code_url" not in old and old["pay_url"] == made["pay_url"]
    again = server.payment(order["order_id"], product="precreate", idempotency_key="k1")
    assert again["pay_no"] == made["pay_no"] and again["code_url"] and server.ok("GET", path)["code_url"]
    server.ok("POST", f"/v1/orders/{order['order_id']}/close")
    assert not {"code_url", "pay_url", "qrcode"} & set(server.ok("GET", path))


def test_a_redirect_that_cannot_be_made_anew_leads_back_to_the_cashier(proxied, sandbox, books):
    cashier = Cashier(proxied.order("n1")["cashier_url"], **{"X-Forwarded-For": "203.0.113.7"})
    page, pay_no = cashier.choose("wechat", "mweb")
    make_old(books, pay_no)
    sandbox.fault("gateway", "change", count=1, fields={"result_code": "FAIL", "err_code": "NOAUTH", "mweb_url": None})
    answer = cashier.get(page.links["Go to the payment"])
    assert answer.status_code == 409
    back = urllib.parse.urljoin(answer.url, Page(answer).links["Choose another way"])
    assert back == cashier.url and cashier.open(back).state == "choice"


def test_a_link_opened_after_a_payment_that_nobody_told_of_finds_it(proxied, sandbox, books):
    cashier = Cashier(proxied.order("n1")["cashier_url"], **{"X-Forwarded-For": "203.0.113.7"})
    page, pay_no = cashier.choose("wechat", "mweb")
    make_old(books, pay_no)
    sandbox.pay(pay_no, notify=False)
    assert cashier.get(page.links["Go to the payment"]).status_code == 503  # the provider will not begin it again
    wait_for(lambda: cashier.status(pay_no)["state"] == "paid", 30, "the provider to be asked")


# ---------------------------------------------------------------------------------------------------- what becomes of it

def test_paid(server, order, cashier, notice):
    page, pay_no = cashier.choose("alipay", "precreate")
    assert cashier.status(pay_no)["state"] == "open"
    assert server.notify(notice(pay_no)) == (200, "success")
    assert cashier.status(pay_no) == {"order_id": order["order_id"], "order_status": "paid", "state": "paid", "expires_in": 0}
    for page in (cashier.at(pay_no), cashier.open()):
        assert (page.status, page.state, page.forms) == (200, "paid", [])
        assert page.links["Back to the shop"] == "https://shop.example/back?a=1&b=2"
    back, nothing = cashier.choose("alipay", "wap")
    assert (back.state, nothing) == ("paid", None) and len(payments(server, order)) == 1


def test_paid_twice_is_told_to_the_payer(server, cashier, notice):
    _, first = cashier.choose("alipay", "precreate")
    _, second = cashier.choose("alipay", "wap")
    for pay_no in (second, first):
        assert server.notify(notice(pay_no)) == (200, "success")
    assert cashier.at(second).state == "paid" and cashier.at(first).state == "twice"


def test_closed_by_the_shop_and_paid_late(server, order, cashier, notice):
    _, pay_no = cashier.choose("alipay", "wap")
    assert server.ok("POST", f"/v1/orders/{order['order_id']}/close")["status"] == "closed"
    assert (cashier.at(pay_no).status, cashier.at(pay_no).state, cashier.open().state) == (410, "closed", "closed")
    assert server.notify(notice(pay_no)) == (200, "success")
    assert cashier.at(pay_no).state == "late"


def test_closing_because_somebody_holds_a_form(server, order, cashier, notice):
    page, pay_no = cashier.choose("alipay", "wap")
    assert cashier.get(page.links["Go to the payment"]).status_code == 200
    assert server.ok("POST", f"/v1/orders/{order['order_id']}/close")["status"] == "closing"
    assert (cashier.at(pay_no).state, cashier.open().state, cashier.status()["expires_in"]) == ("closed", "closed", 0)
    back, nothing = cashier.choose("alipay", "precreate")
    assert (back.state, nothing) == ("closed", None)
    assert cashier.get(page.links["Go to the payment"]).status_code == 410
    assert server.notify(notice(pay_no)) == (200, "success")
    assert cashier.at(pay_no).state == "paid"


def test_refunded(server, sandbox, cashier, scan):
    _, pay_no = cashier.choose("alipay", "precreate")
    scan(server.ok("GET", f"/v1/payments/{pay_no}"))
    sandbox.pay(pay_no)
    wait_for(lambda: cashier.status()["state"] == "paid", 30, "the payment to arrive")
    refund = server.ok("POST", f"/v1/payments/{pay_no}/refunds", {"out_refund_id": "r1", "amount": "1.00"})
    assert refund["status"] in ("processing", "succeeded") and cashier.at(pay_no).state == "paid"
    server.ok("POST", f"/v1/payments/{pay_no}/refunds", {"out_refund_id": "r2"})
    wait_for(lambda: cashier.status(pay_no)["state"] == "refunded", 30, "everything to be refunded")
    assert "The money goes back" in cashier.open().text


def test_expired(server, cashier):
    short = server.order("n2", expires_in=1, return_url="https://shop.example/")
    payer = Cashier(short["cashier_url"])
    wait_for(lambda: payer.status()["state"] == "expired", 30, "the order to expire")
    page = payer.open()
    assert (page.status, page.forms, page.links) == (410, [], {"Back to the shop": "https://shop.example/"})
    back, nothing = payer.choose("alipay", "precreate")
    assert (back.state, nothing) == ("expired", None) and payments(server, short) == []


def test_declined(server, sandbox, order, cashier):
    sandbox.fault("gateway", "change", count=1, fields={"code": "40004", "sub_code": "ACQ.ACCESS_FORBIDDEN", "qr_code": None})
    page, pay_no = cashier.choose("alipay", "precreate")
    assert (page.status, page.state) == (409, "declined")
    assert "Choose another way to pay" in page.links
    assert cashier.at(pay_no).state == "declined" and len(payments(server, order)) == 1
    page, other = cashier.choose("alipay", "precreate")
    assert page.state == "open" and other != pay_no


def test_a_provider_that_does_not_answer_can_be_asked_again(server, sandbox, order, cashier):
    sandbox.fault("gateway", "drop", count=-1)
    page, pay_no = cashier.choose("alipay", "precreate")
    assert (page.status, page.state, page.offers) == (503, "unanswered", [("alipay", "precreate")])
    assert cashier.at(pay_no).status == 503
    sandbox.clear_faults()
    page, same = cashier.choose("alipay", "precreate")
    assert (page.state, same) == ("open", pay_no) and len(payments(server, order)) == 1


def test_the_provider_sends_the_payer_back_to_the_cashier(sandbox, cashier, pay_page, submit):
    page, pay_no = cashier.choose("alipay", "wap")
    assert submit(pay_page(page.links["Go to the payment"])).status_code == 200
    back = sandbox.press("pay", sandbox.trade(pay_no)["trade_no"]).headers["Location"]
    sandbox.wait_accepted(pay_no)
    answer = cashier.get(back)
    assert answer.status_code == 303
    url = urllib.parse.urljoin(back, answer.headers["Location"])
    assert url == f"{cashier.url}&pay={pay_no}" and cashier.open(url).state == "paid"
