"""The whole path, on both stores: an order, its pay link, the form that the provider accepts, the signed notification, the
books, and the message that a consumer of reference A reads."""

import base64
import struct

from told import assert_paid_and_told


def test_order_to_message(server, sandbox, books, messages, pay_page, submit):
    order = server.order("c-1", channel="alipay", goods=[
        {"goods_id": "g1", "goods_type": "60201", "name": "Java", "price": "88.80", "quantity": 1}])

    # What reference A's one call returned: the pay number and a PNG of the pay link to scan.
    kind, _, data = order["qrcode"].partition(",")
    assert kind == "data:image/png;base64"
    png = base64.b64decode(data, validate=True)
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", png[16:24])
    assert width == height == 200
    assert books.count("order_goods") == 1

    # The phone opens the link and the form submits itself to the provider; the payer presses Pay.
    form = pay_page(order["pay_url"])
    assert form.action.startswith(sandbox.url)
    page = submit(form)
    assert page.status_code == 200, page.text
    sandbox.pay(order["pay_no"])
    assert_paid_and_told(server, books, messages, order["order_id"], order["pay_no"], "c-1")


def test_page_product(server, sandbox, books, messages, pay_page, submit):
    order = server.order("c-2")
    payment = server.payment(order["order_id"], product="page", return_url="https://shop.example/thanks")
    assert submit(pay_page(payment["pay_url"])).status_code == 200
    sandbox.pay(payment["pay_no"])
    assert_paid_and_told(server, books, messages, order["order_id"], payment["pay_no"], "c-2")


def test_precreate_product(server, sandbox, books, messages, scan):
    order = server.order("c-3")
    payment = server.payment(order["order_id"], product="precreate")
    assert payment["code_url"].startswith("http")
    scan(payment)
    sandbox.pay(payment["pay_no"])
    assert_paid_and_told(server, books, messages, order["order_id"], payment["pay_no"], "c-3")


def test_a_lost_notification_is_found_by_asking(server, sandbox, books, messages, pay_page, submit):
    order = server.order("c-4")
    payment = server.payment(order["order_id"])
    submit(pay_page(payment["pay_url"]))
    sandbox.fault("notice", "drop", count=-1)
    sandbox.pay(payment["pay_no"])
    shown = server.ok("GET", f"/v1/payments/{payment['pay_no']}?refresh=true")
    assert shown["status"] == "paid"
    assert_paid_and_told(server, books, messages, order["order_id"], payment["pay_no"], "c-4")


def test_tampered_notices_change_nothing_and_the_next_one_pays(server, sandbox, books, messages, pay_page, submit):
    order = server.order("c-5")
    payment = server.payment(order["order_id"])
    submit(pay_page(payment["pay_url"]))
    sandbox.fault("notice", "tamper", count=1)
    sandbox.fault("notice", "wrong_key", count=1)
    sandbox.fault("notice", "duplicate", count=1, times=3)
    sandbox.pay(payment["pay_no"])
    assert_paid_and_told(server, books, messages, order["order_id"], payment["pay_no"], "c-5")


def test_the_provider_is_asked_again_after_a_broken_answer(server, sandbox, pay_page, submit):
    payment = server.payment(server.order("c-6")["order_id"])
    submit(pay_page(payment["pay_url"]))
    path = f"/v1/payments/{payment['pay_no']}?refresh=true"
    for kind in ("status", "html", "drop", "bad_signature", "unavailable"):
        sandbox.fault("gateway", kind, count=-1)
        answer = server.ok("GET", path)
        assert (answer["status"], answer.get("unknown")) == ("unpaid", True), kind
        sandbox.clear_faults()
    answer = server.ok("GET", path)
    assert (answer["status"], answer.get("unknown", False)) == ("unpaid", False)


def test_an_answer_without_a_good_signature_is_not_believed(server, sandbox, pay_page, submit):
    """The trade is paid, and every answer says so: only the signed one counts."""
    payment = server.payment(server.order("c-7")["order_id"])
    submit(pay_page(payment["pay_url"]))
    sandbox.fault("notice", "drop", count=-1)
    sandbox.pay(payment["pay_no"])
    path = f"/v1/payments/{payment['pay_no']}?refresh=true"
    for kind in ("bad_signature", "unavailable", "status", "html"):
        sandbox.fault("gateway", kind, count=1)
        answer = server.ok("GET", path)
        assert (answer["status"], answer.get("unknown")) == ("unpaid", True), kind
    assert server.ok("GET", path)["status"] == "paid"
