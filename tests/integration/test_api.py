"""The API of business services and the pages of payers: reading, listing, closing, asking again, links, and who may what."""

import html
import re
import urllib.parse

import pytest

from books import CLOSED, CLOSING, RECORD_CLOSED, UNPAID
from waiting import wait_for


def problem(answer, status):
    """The problem document of an answer that must be refused."""
    assert answer.status_code == status, f"{answer.status_code} {answer.text}"
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    document = answer.json()
    assert document["status"] == status and document["type"] and document["title"]
    return document


# ---------------------------------------------------------------------------------------------------- orders

def test_an_order_is_shown_as_it_was_made(server):
    goods = [{"goods_id": "g1", "goods_type": "60201", "name": "Java 课程 <b>", "price": "80.00", "quantity": 1, "detail": "d"},
             {"name": "book", "price": "10.00", "quantity": 2}]
    made = server.order("n1", goods=goods, description="二", attach={"coupon": 7}, return_url="https://shop.example/back")
    shown = server.ok("GET", f"/v1/orders/{made['order_id']}")
    assert re.fullmatch(r"[1-9]\d{15,18}", shown["order_id"])
    assert shown["amount"] == "88.80" and shown["currency"] == "CNY" and shown["status"] == "unpaid"
    assert shown["attach"] == {"coupon": 7} and shown["description"] == "二" and shown["user_id"] == "u1"
    assert [line["name"] for line in shown["goods"]] == ["Java 课程 <b>", "book"]
    assert [line["price"] for line in shown["goods"]] == ["80.00", "10.00"]
    assert shown["payments"] == []
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", shown["created_at"])


def test_ids_are_texts_that_grow(server):
    ids = [server.order(f"n{i}")["order_id"] for i in range(5)]
    assert all(isinstance(i, str) for i in ids)
    assert [int(i) for i in ids] == sorted(int(i) for i in ids)


def test_amounts_are_exact(server):
    for number, (given, shown) in enumerate((("88.8", "88.80"), ("88", "88.00"), ("0.01", "0.01"), ("100000000", "100000000.00"))):
        assert server.order(f"n{number}", amount=given)["amount"] == shown


def test_orders_are_listed_newest_first_in_pages(server):
    made = [server.order(f"n{i}", user_id="u1" if i % 2 else "u2")["order_id"] for i in range(7)]
    seen, query = [], "/v1/orders?limit=3"
    while True:
        page = server.ok("GET", query)
        assert len(page["orders"]) <= 3
        seen += [order["order_id"] for order in page["orders"]]
        if not page.get("next"):
            break
        query = f"/v1/orders?limit=3&cursor={page['next']}"
    assert seen == made[::-1]
    assert [o["order_id"] for o in server.ok("GET", "/v1/orders?user_id=u2")["orders"]] == [made[6], made[4], made[2], made[0]]
    assert [o["order_id"] for o in server.ok("GET", "/v1/orders?out_business_id=n3")["orders"]] == [made[3]]
    assert server.ok("GET", "/v1/orders?status=paid")["orders"] == []
    assert len(server.ok("GET", "/v1/orders?status=unpaid")["orders"]) == 7


def test_an_app_sees_only_its_own(server):
    order = server.order("n1")
    pay_no = server.payment(order["order_id"])["pay_no"]
    for path in (f"/v1/orders/{order['order_id']}", f"/v1/payments/{pay_no}"):
        problem(server.api("GET", path, app="other"), 404)
        server.ok("GET", path, app="operator")
    problem(server.api("POST", f"/v1/orders/{order['order_id']}/payments", {"channel": "alipay"}, app="other"), 404)
    problem(server.api("POST", f"/v1/orders/{order['order_id']}/close", app="other"), 404)
    problem(server.api("POST", f"/v1/payments/{pay_no}/accept", app="other"), 404)
    assert server.ok("GET", "/v1/orders", app="other")["orders"] == []
    assert server.ok("GET", "/v1/payments", app="other")["payments"] == []


def test_without_a_right_key_there_is_nothing(server):
    order_id = server.order("n1")["order_id"]
    server.keys.update(empty="", wrong="key-of-learnin", longer="key-of-learning ", other_scheme="x")
    for app in (None, "empty", "wrong"):
        answer = server.api("GET", f"/v1/orders/{order_id}", app=app)
        problem(answer, 401)
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert "n1" not in answer.text
    for value in ("key-of-learning", "Basic a2V5", "Bearer", "Bearer key-of-learning x"):
        problem(server.api("GET", f"/v1/orders/{order_id}", app=None, headers={"Authorization": value}), 401)


def test_unknown_fields_and_missing_fields_are_named(server):
    assert "ammount" in problem(server.api("POST", "/v1/orders", {
        "out_business_id": "n1", "ammount": "1.00", "amount": "1.00", "currency": "CNY", "name": "x"}), 422)["field"]
    assert problem(server.api("POST", "/v1/orders", {"out_business_id": "n1", "currency": "CNY", "name": "x"}), 422)["field"] == "amount"


# ---------------------------------------------------------------------------------------------------- payments

def test_other_open_attempts_are_listed(server):
    order_id = server.order("n1")["order_id"]
    first = server.payment(order_id)["pay_no"]
    second = server.payment(order_id)
    assert [other["pay_no"] for other in second["other_open_payments"]] == [first]
    assert {p["pay_no"] for p in server.ok("GET", f"/v1/orders/{order_id}")["payments"]} == {first, second["pay_no"]}


def test_payments_are_listed_by_what_is_asked(server, notice):
    order_ids = [server.order(f"n{i}")["order_id"] for i in range(3)]
    pay_nos = [server.payment(order_id)["pay_no"] for order_id in order_ids]
    assert server.notify(notice(pay_nos[1], trade_no="2026112200000001")) == (200, "success")

    def listed(query):
        return [payment["pay_no"] for payment in server.ok("GET", f"/v1/payments?{query}")["payments"]]
    assert listed("") == pay_nos[::-1]
    assert listed("status=paid") == [pay_nos[1]]
    assert listed("trade_no=2026112200000001") == [pay_nos[1]]
    assert listed("channel=alipay&status=unpaid") == [pay_nos[2], pay_nos[0]]
    assert listed("needs_review=true") == []


def test_a_paid_order_takes_no_further_payment(server, notice):
    order_id = server.order("n1")["order_id"]
    assert server.notify(notice(server.payment(order_id)["pay_no"])) == (200, "success")
    problem(server.api("POST", f"/v1/orders/{order_id}/payments", {"channel": "alipay", "product": "wap"}), 409)


def test_unknown_channels_and_products_are_refused(server, books):
    order_id = server.order("n1")["order_id"]
    for body in ({"channel": "nobody"}, {"channel": "alipay", "product": "nothing"}, {}, {"channel": 1}):
        problem(server.api("POST", f"/v1/orders/{order_id}/payments", body), 422)
    assert books.count("pay_records") == 0


def test_a_prepay_that_the_provider_declines_closes_the_record(server, sandbox, books):
    order_id = server.order("n1")["order_id"]
    sandbox.fault("gateway", "change", count=-1, fields={"code": "40004", "sub_code": "ACQ.ACCESS_FORBIDDEN", "qr_code": None})
    problem(server.api("POST", f"/v1/orders/{order_id}/payments", {"channel": "alipay", "product": "precreate"}), 422)
    assert books.order(order_id)["status"] == UNPAID
    assert [row["status"] for row in books.rows("SELECT status FROM pay_records")] == [RECORD_CLOSED]


def test_a_prepay_without_an_answer_is_resumed(server, sandbox, books):
    order_id = server.order("n1")["order_id"]
    body = {"channel": "alipay", "product": "precreate", "idempotency_key": "k1"}
    sandbox.fault("gateway", "drop", count=-1, after=True)
    first = server.api("POST", f"/v1/orders/{order_id}/payments", body)
    assert first.status_code in (200, 201, 202), first.text
    assert first.json().get("unknown") is True and "code_url" not in first.json()
    sandbox.clear_faults()
    second = server.ok("POST", f"/v1/orders/{order_id}/payments", body)
    assert second["pay_no"] == first.json()["pay_no"] and second["code_url"]
    assert books.count("pay_records") == 1


# ---------------------------------------------------------------------------------------------------- close

def test_closing_an_order_that_nobody_opened(server, books):
    order_id = server.order("n1")["order_id"]
    assert server.api("POST", f"/v1/orders/{order_id}/close").status_code == 200
    assert books.order(order_id)["status"] == CLOSED
    assert books.events(order_id) == ["order.closed"]
    problem(server.api("POST", f"/v1/orders/{order_id}/payments", {"channel": "alipay"}), 409)
    # Its number is free again.
    assert server.order("n1")["order_id"] != order_id


def test_closing_closes_at_the_provider(server, sandbox, books, scan):
    order_id = server.order("n1")["order_id"]
    payment = server.payment(order_id, product="precreate")
    pay_no = payment["pay_no"]
    scan(payment)
    assert server.api("POST", f"/v1/orders/{order_id}/close").status_code == 200
    assert sandbox.trade(pay_no)["status"] == "TRADE_CLOSED"
    assert books.record(pay_no)["status"] == RECORD_CLOSED
    assert books.order(order_id)["status"] == CLOSED


def test_closing_finds_out_that_it_was_paid(server, sandbox, books, messages):
    order_id = server.order("n1")["order_id"]
    pay_no = server.payment(order_id, product="precreate")["pay_no"]
    sandbox.fault("notice", "drop", count=-1)
    sandbox.pay(pay_no)
    problem(server.api("POST", f"/v1/orders/{order_id}/close"), 409)
    assert books.events(order_id) == ["payment.succeeded"]
    messages.wait(1)


def test_closing_a_paid_order_is_a_conflict(server, books, notice):
    order_id = server.order("n1")["order_id"]
    assert server.notify(notice(server.payment(order_id)["pay_no"])) == (200, "success")
    problem(server.api("POST", f"/v1/orders/{order_id}/close"), 409)
    assert books.events(order_id) == ["payment.succeeded"]


def test_closing_waits_for_a_provider_that_is_not_sure(server, sandbox, books, scan):
    order_id = server.order("n1")["order_id"]
    payment = server.payment(order_id, product="precreate")
    pay_no = payment["pay_no"]
    scan(payment)
    sandbox.fault("gateway", "unavailable", count=-1)
    answer = server.api("POST", f"/v1/orders/{order_id}/close")
    assert answer.status_code == 202 and answer.json()["status"] == "closing"
    assert books.order(order_id)["status"] == CLOSING
    sandbox.clear_faults()
    wait_for(lambda: books.order(order_id)["status"] == CLOSED, 60, "the close to be followed up")
    assert sandbox.trade(pay_no)["status"] == "TRADE_CLOSED"


# ---------------------------------------------------------------------------------------------------- links

@pytest.fixture
def pay_url(server):
    return server.payment(server.order("n1", name='<script>alert("&")</script>')["order_id"])["pay_url"]


def test_a_pay_link_gives_a_form_and_keeps_the_name_harmless(pay_page, pay_url):
    form = pay_page(pay_url)
    assert form.method.lower() == "post" and "biz_content" in form.fields
    assert "<script>alert" not in form.text


def test_forged_links_are_refused(server, pay_url):
    path, _, signature = pay_url.partition("?k=")
    other = server.payment(server.order("n2")["order_id"])["pay_url"]
    forged = [path, path + "?k=", path + "?k=x", pay_url[:-1], pay_url + "0", path + "?k=" + signature[::-1],
              path + "?k=" + other.partition("?k=")[2], path[:-1] + ("1" if path[-1] != "1" else "2") + "?k=" + signature,
              path + "?k=" + "0" * len(signature)]
    for url in forged:
        answer = server.session.get(url, timeout=10)
        assert answer.status_code in (403, 404), url
        assert "biz_content" not in answer.text


def test_the_status_page_tells_when_it_is_paid(server, notice, pay_url):
    path, _, signature = pay_url.partition("?k=")
    pay_no = path.rsplit("/", 1)[1]
    status = f"{path}/status?k={signature}"
    assert server.session.get(status, timeout=10).json()["status"] == "unpaid"
    assert server.session.get(f"{path}/status", timeout=10).status_code in (403, 404)
    assert server.notify(notice(pay_no)) == (200, "success")
    assert server.session.get(status, timeout=10).json()["status"] == "paid"


def test_a_link_of_a_paid_closed_or_closing_order_is_refused(server, notice, pay_page):
    paid = server.order("paid")["order_id"]
    first, second = server.payment(paid), server.payment(paid)
    assert server.notify(notice(first["pay_no"])) == (200, "success")
    closed = server.order("closed")["order_id"]
    third = server.payment(closed)
    server.ok("POST", f"/v1/orders/{closed}/close")
    closing = server.order("closing")["order_id"]
    fourth = server.payment(closing)
    pay_page(fourth["pay_url"])
    assert server.api("POST", f"/v1/orders/{closing}/close").status_code == 202
    for payment in (first, second, third, fourth):
        assert "biz_content" not in server.session.get(payment["pay_url"], timeout=10).text


def test_links_hold_over_a_restart(server, pay_page, pay_url):
    server.restart()
    pay_page(pay_url)


def test_the_code_page_polls_under_the_path_of_its_own_link(server, sandbox):
    """Relative, so that it is right behind a proxy that gives the server a path of its public_url."""
    payment = server.payment(server.order("n1")["order_id"], product="precreate")
    page = sandbox.session.get(payment["pay_url"], timeout=30)
    poll = html.unescape(re.search(r'data-status="([^"]*)"', page.text).group(1))
    link = payment["pay_url"].replace("/pay/", "/some/where/pay/", 1)
    asked = urllib.parse.urljoin(link, poll)
    assert urllib.parse.urlsplit(asked).path == f"/some/where/pay/{payment['pay_no']}/status"
    assert sandbox.session.get(asked.replace("/some/where", ""), timeout=30).json()["status"] == "unpaid"


# ---------------------------------------------------------------------------------------------------- operating

def test_health_and_metrics(server, notice):
    assert server.session.get(server.base + "/healthz", timeout=10).status_code == 200
    assert server.session.get(server.base + "/readyz", timeout=10).status_code == 200
    order_id = server.order("n1")["order_id"]
    server.notify(notice(server.payment(order_id)["pay_no"]))
    server.notify(b"garbage")
    applied = [value for name, value in server.metrics().items()
               if name.startswith("paynotify_settlements_total") and 'outcome="applied"' in name]
    assert sum(applied) == 1


def test_no_secret_is_logged(server, sandbox, notice):
    order_id = server.order("n1")["order_id"]
    server.notify(notice(server.payment(order_id)["pay_no"]))
    server.sigterm()
    log = server.text_of_log()
    for key in server.keys.values():
        assert key not in log
    assert "PRIVATE KEY" not in log and "guest:guest" not in log
