"""WeChat Pay from an order to the message, against the sandbox, on both stores; where signatures count, in both ways of
signing."""

import base64
import os

import pytest
import requests

import wechat
from books import CLOSED, PAID, RECORD_CLOSED, RECORD_PAID, RECORD_UNPAID, UNPAID
from browser import PayForm, PayLink
from paynotifyd import BUILD, free_port, wechat_settings
from sandbox import Sandbox
from told import assert_paid_and_told

NATIVE = {"channel": "wechat", "product": "native"}

both_signatures = pytest.mark.parametrize("wechat_server", ["MD5", "HMAC-SHA256"], indirect=True)


def new_payment(server, number="w-1", **more):
    """(order_id, the payment)"""
    order = server.order(number)
    return order["order_id"], server.payment(order["order_id"], **{**NATIVE, **more})


def refreshed(server, pay_no):
    return server.ok("GET", f"/v1/payments/{pay_no}?refresh=true")


# ---------------------------------------------------------------------------------------------------- the whole way

@both_signatures
def test_order_to_message(wechat_server, sandbox, books, messages):
    order_id, payment = new_payment(wechat_server)
    assert payment["code_url"].startswith("weixin://wxpay/bizpayurl?pr=")
    page = sandbox.wechat_scan(payment["code_url"])
    assert page.status_code == 200 and "course w-1" in page.text and "88.80" in page.text
    assert sandbox.wechat_press_pay(payment["code_url"]).status_code == 200
    assert_paid_and_told(wechat_server, books, messages, order_id, payment["pay_no"], "w-1")
    trade = sandbox.wait_accepted(payment["pay_no"])
    assert trade["notices"][0]["attempts"][-1]["answer"] == wechat.SUCCESS
    assert wechat_server.ok("GET", f"/v1/payments/{payment['pay_no']}")["trade_no"] == trade["trade_no"]


def test_a_name_that_wechat_would_refuse_is_taken(wechat_server, sandbox):
    order = wechat_server.order("w-2", name="a&b=c \U0001f600 <i>" + "长" * 60)
    payment = wechat_server.payment(order["order_id"], **NATIVE)
    assert sandbox.trade(payment["pay_no"])["subject"].startswith("a＆b＝c ? <i>长")


def test_a_lost_notice_is_found_by_asking(wechat_server, sandbox, books, messages):
    order_id, payment = new_payment(wechat_server)
    assert refreshed(wechat_server, payment["pay_no"])["status"] == "unpaid"
    sandbox.fault("notice", "drop", count=-1)
    sandbox.pay(payment["pay_no"])
    assert refreshed(wechat_server, payment["pay_no"])["status"] == "paid"
    assert_paid_and_told(wechat_server, books, messages, order_id, payment["pay_no"], "w-1")


@both_signatures
def test_notices_that_are_not_wechat_s_change_nothing_and_the_next_one_pays(wechat_server, sandbox, books, messages):
    order_id, payment = new_payment(wechat_server)
    for kind in ("tamper", "wrong_key", "bad_signature"):
        sandbox.fault("notice", kind)
        sandbox.pay(payment["pay_no"]) if kind == "tamper" else sandbox.renotify(payment["pay_no"])
    assert_paid_and_told(wechat_server, books, messages, order_id, payment["pay_no"], "w-1")


def test_a_notice_that_is_not_wechat_s_is_refused(wechat_server, sandbox, books):
    for kind in ("tamper", "wrong_key", "bad_signature"):
        order_id, payment = new_payment(wechat_server, f"w-{kind}")
        sandbox.fault("notice", kind, count=-1, pay_no=payment["pay_no"])
        sandbox.pay(payment["pay_no"])
        assert [attempt["accepted"] for attempt in sandbox.wait_attempts(payment["pay_no"], 2)[:2]] == [False, False]
        assert "FAIL" in sandbox.attempts(payment["pay_no"])[0]["answer"]
        assert books.order(order_id)["status"] == UNPAID
        assert books.record(payment["pay_no"])["status"] == RECORD_UNPAID


def test_a_notice_many_times_pays_once(wechat_server, sandbox, books, messages):
    order_id, payment = new_payment(wechat_server)
    sandbox.fault("notice", "duplicate", times=5)
    sandbox.pay(payment["pay_no"])
    sandbox.wait_accepted(payment["pay_no"])
    sandbox.wait_attempts(payment["pay_no"], 6)
    assert_paid_and_told(wechat_server, books, messages, order_id, payment["pay_no"], "w-1")


def test_a_refund_notice_is_no_payment(wechat_server, wechat_refund_notice, books):
    """Nobody has signed it: whatever it says, the books stay as they are."""
    order_id, payment = new_payment(wechat_server)
    for fields in ({}, {"refund_status": "CHANGE"}, {"result_code": "SUCCESS", "return_code": "SUCCESS"}):
        wechat_server.notify(wechat_refund_notice(payment["pay_no"], "r1", **fields), channel="wechat")
        assert books.order(order_id)["status"] == UNPAID
        assert books.record(payment["pay_no"])["status"] == RECORD_UNPAID
    assert books.events(order_id) == []


@both_signatures
def test_the_other_way_of_signing_is_not_believed(wechat_server, wechat_notice, books):
    """Both are genuine signatures with the right key: only the configured one counts."""
    order_id, payment = new_payment(wechat_server)
    mine = wechat_server.sections["channel wechat"]["sign_type"]
    styles = {"MD5": "wechat-md5", "HMAC-SHA256": "wechat-hmac"}

    def notify(style):
        return wechat_server.notify(wechat_notice(payment["pay_no"], style), channel="wechat", headers={"Content-Type": "text/xml"})
    other = next(style for name, style in styles.items() if name != mine)
    status, text = notify(other)
    assert status == 200 and wechat.read_xml(text)["return_code"] == "FAIL"
    assert books.order(order_id)["status"] == UNPAID
    status, text = notify(styles[mine])
    assert status == 200 and wechat.read_xml(text)["return_code"] == "SUCCESS"
    assert books.order(order_id)["status"] == PAID


def test_what_does_not_fit_the_books_is_held_for_review(wechat_server, sandbox, books):
    changes = [("total_fee", "8879"), ("fee_type", "USD"), ("mch_id", "1900000009"), ("appid", "wx0000000000000000")]
    for name, value in changes:
        order_id, payment = new_payment(wechat_server, f"w-{name}")
        sandbox.fault("notice", "change", fields={name: value}, count=-1, pay_no=payment["pay_no"])
        sandbox.pay(payment["pay_no"])
        assert not sandbox.wait_attempts(payment["pay_no"], 1)[0]["accepted"]
        assert books.order(order_id)["status"] == UNPAID
        assert books.record(payment["pay_no"])["status"] == RECORD_UNPAID
        assert books.events(order_id)[:1] == ["payment.review"], name
        assert books.audits(payment["pay_no"])[:1] == ["mismatch"], name


def test_a_payment_with_a_coupon_is_whole(wechat_server, sandbox, books, messages):
    order_id, payment = new_payment(wechat_server)
    sandbox.pay(payment["pay_no"], coupon="80.00")
    assert_paid_and_told(wechat_server, books, messages, order_id, payment["pay_no"], "w-1")


# ---------------------------------------------------------------------------------------------------- the other products

@both_signatures
@pytest.mark.parametrize("product, more", [("jsapi", {"openid": "o-payer-1"}), ("app", {})])
def test_the_payer_s_app_takes_the_parameters(wechat_server, sandbox, books, messages, product, more):
    order_id, payment = new_payment(wechat_server, product=product, **more)
    for shown in (payment, wechat_server.ok("GET", f"/v1/payments/{payment['pay_no']}")):
        assert shown["app_params"] and not {"pay_url", "code_url", "qrcode"} & set(shown)  # nothing for a browser
    assert sandbox.wechat_open_app(payment["app_params"]) == payment["pay_no"]
    sandbox.pay(payment["pay_no"])
    assert_paid_and_told(wechat_server, books, messages, order_id, payment["pay_no"], "w-1")


def test_a_phone_s_browser_pays_and_comes_back(wechat_server, sandbox, books, messages):
    """WeChat looks at where the browser comes from, by name and by address."""
    order = wechat_server.order("w-1", return_url="https://shop.example/thanks")
    payment = wechat_server.payment(order["order_id"], channel="wechat", product="mweb", client_ip="127.0.0.1")
    sandbox.wechat_set(check_address=True, domain="127.0.0.1")
    link = PayLink(sandbox.session.get(payment["pay_url"], timeout=30))
    page = sandbox.session.get(link.href, timeout=30, headers={"Referer": link.referer})
    assert page.status_code == 200, page.text
    fields = PayForm(page).fields
    back = sandbox.wechat_press_pay(fields["trade"], redirect_url=fields["redirect_url"])
    assert back.status_code == 303 and back.headers["Location"].startswith(wechat_server.public)
    assert_paid_and_told(wechat_server, books, messages, order["order_id"], payment["pay_no"], "w-1")


# ---------------------------------------------------------------------------------------------------- queries that go wrong

@both_signatures
def test_only_a_signed_answer_of_a_paid_order_counts(wechat_server, sandbox):
    _, payment = new_payment(wechat_server)
    sandbox.pay(payment["pay_no"], notify=False)
    for kind in ("bad_signature", "wrong_key", "tamper", "unavailable", "fail", "status", "html", "drop"):
        sandbox.fault("gateway", kind, count=-1)
        answer = refreshed(wechat_server, payment["pay_no"])
        assert (answer["status"], answer.get("unknown")) == ("unpaid", True), kind
        sandbox.clear_faults()
    assert refreshed(wechat_server, payment["pay_no"])["status"] == "paid"


def test_a_prepay_without_an_answer_is_taken_up_again(wechat_server, sandbox):
    """The order was made and the answer lost: the same parameters again give its code."""
    order_id = wechat_server.order("w-1")["order_id"]
    sandbox.fault("gateway", "drop", method="unifiedorder", after=True, count=-1)
    first = wechat_server.payment(order_id, idempotency_key="k1", **NATIVE)
    assert "code_url" not in first
    sandbox.clear_faults()
    again = wechat_server.payment(order_id, idempotency_key="k1", **NATIVE)
    assert again["pay_no"] == first["pay_no"]
    assert "Pay</button>" in sandbox.wechat_scan(again["code_url"]).text
    assert len(sandbox.trades()) == 1


# ---------------------------------------------------------------------------------------------------- closing

def test_close(wechat_server, sandbox, books, messages):
    order_id, payment = new_payment(wechat_server)
    sandbox.wechat_set(close_after_ms=0)
    assert wechat_server.ok("POST", f"/v1/orders/{order_id}/close")["status"] == "closed"
    assert sandbox.trade(payment["pay_no"])["status"] == "CLOSED"
    assert books.order(order_id)["status"] == CLOSED
    assert books.record(payment["pay_no"])["status"] == RECORD_CLOSED
    with pytest.raises(requests.HTTPError):
        sandbox.pay(payment["pay_no"])


def test_an_order_that_wechat_does_not_close_yet_is_closing(wechat_server, sandbox, books):
    order_id, payment = new_payment(wechat_server)
    answer = wechat_server.api("POST", f"/v1/orders/{order_id}/close")
    assert (answer.status_code, answer.json()["status"]) == (202, "closing")
    assert sandbox.trade(payment["pay_no"])["status"] == "NOTPAY"
    assert books.record(payment["pay_no"])["status"] == RECORD_UNPAID


def test_what_is_paid_while_it_is_closed_is_paid(wechat_server, sandbox, books, messages):
    order_id, payment = new_payment(wechat_server)
    sandbox.pay(payment["pay_no"], notify=False)
    answer = wechat_server.api("POST", f"/v1/orders/{order_id}/close")
    assert answer.status_code == 409, answer.text
    assert books.record(payment["pay_no"])["status"] == RECORD_PAID
    assert_paid_and_told(wechat_server, books, messages, order_id, payment["pay_no"], "w-1")


# ---------------------------------------------------------------------------------------------------- hosts and TLS

def test_the_second_site_is_asked_when_the_first_cannot_be_reached(make_server, sandbox, books, messages):
    """Nobody listens at url; everything goes to backup_url."""
    settings = wechat_settings(sandbox, url=f"http://127.0.0.1:{free_port()}", backup_url=sandbox.url)
    server = make_server({"channel wechat": settings}).start()
    order_id, payment = new_payment(server)
    assert refreshed(server, payment["pay_no"])["status"] == "unpaid"
    sandbox.wechat_press_pay(payment["code_url"])
    assert_paid_and_told(server, books, messages, order_id, payment["pay_no"], "w-1")


def test_the_first_site_alone_is_asked_while_it_answers(make_server, sandbox):
    settings = wechat_settings(sandbox, backup_url=f"http://127.0.0.1:{free_port()}")
    server = make_server({"channel wechat": settings}).start()
    _, payment = new_payment(server)
    sandbox.fault("gateway", "status", method="orderquery")
    assert refreshed(server, payment["pay_no"]).get("unknown")
    assert refreshed(server, payment["pay_no"])["status"] == "unpaid"


@pytest.fixture
def strict(directory, request):
    """A second sandbox, over TLS with a CA of its own."""
    started = Sandbox(BUILD, os.path.join(directory, "strict"), speed=1000, wechat_tls=True)
    request.node.logs["the strict sandbox"] = started.path("sandbox.log")
    with started:
        yield started


def test_over_tls_with_the_test_ca(make_server, strict, books, messages):
    server = make_server({"server": {"ca_file": strict.path("wechat-ca.pem")}, "channel wechat": wechat_settings(strict)}).start()
    order_id, payment = new_payment(server)
    strict.wechat_press_pay(payment["code_url"])
    assert_paid_and_told(server, books, messages, order_id, payment["pay_no"], "w-1")


def test_a_provider_that_the_ca_does_not_vouch_for_is_not_asked(make_server, strict):
    server = make_server({"channel wechat": wechat_settings(strict)}).start()
    _, payment = new_payment(server)
    assert "code_url" not in payment and strict.trades() == []


def test_the_code_of_one_call(make_server, sandbox, directory):
    """Reference A's one call, with a picture of the code for the payer to scan."""
    server = make_server({"channel wechat": wechat_settings(sandbox)}).start()
    order = server.order("w-1", channel="wechat", product="native")
    kind, _, data = order["qrcode"].partition(",")
    assert kind == "data:image/png;base64" and base64.b64decode(data, validate=True).startswith(b"\x89PNG")
    assert "Pay</button>" in sandbox.wechat_scan(order["code_url"]).text
