"""Alipay's other ways from end to end, on both stores: the app product, whose order string a phone's SDK takes; certificate mode,
in which both sides name the certificates that they sign with; and refunds that were made in Alipay's console."""

import os

import pytest

import merchant
from books import PAID
from waiting import wait_for


def wait_paid(books, order_id):
    wait_for(lambda: books.order(order_id)["status"] == PAID, 20, "the order to be paid")
    assert books.events(order_id) == ["payment.succeeded"]


def pay_at_alipay(server, sandbox, submit, pay_page, number, **more):
    order = server.order(number)
    payment = server.payment(order["order_id"])
    assert submit(pay_page(payment["pay_url"])).status_code == 200
    sandbox.pay(payment["pay_no"], **more)
    return order["order_id"], payment["pay_no"]


def order_string(payment):
    """All that the merchant's app gets, and hands on."""
    assert list(payment["app_params"]) == ["order_string"] and "pay_url" not in payment
    return payment["app_params"]["order_string"]


def pay_in_app(server, sandbox, books, number):
    order = server.order(number)
    payment = server.payment(order["order_id"], product="app")
    page = sandbox.open_app(order_string(payment))
    assert page.status_code == 200, page.text
    assert sandbox.trade(payment["pay_no"])["product"] == "app"
    sandbox.pay(payment["pay_no"])
    wait_paid(books, order["order_id"])
    return payment


def test_an_app_pays_with_its_order_string(server, sandbox, books):
    payment = pay_in_app(server, sandbox, books, "a-1")
    assert server.ok("GET", f"/v1/payments/{payment['pay_no']}")["status"] == "paid"


def test_an_app_s_payment_is_found_by_asking(server, sandbox, books):
    order = server.order("a-2")
    payment = server.payment(order["order_id"], product="app")
    path = f"/v1/payments/{payment['pay_no']}?refresh=true"
    assert server.ok("GET", path)["status"] == "unpaid"
    sandbox.open_app(order_string(payment))
    sandbox.pay(payment["pay_no"], notify=False)
    assert server.ok("GET", path)["status"] == "paid"
    wait_paid(books, order["order_id"])


def test_an_order_string_that_somebody_changed_pays_nothing(server, sandbox, books):
    payment = server.payment(server.order("a-3")["order_id"], product="app")
    page = sandbox.open_app(order_string(payment).replace("88.80", "00.01"))
    assert page.status_code == 400 and "isv.invalid-signature" in page.text
    assert sandbox.trades() == []


@pytest.mark.certificates
def test_certificate_mode_pays_in_every_product(server, sandbox, books, pay_page, submit, scan):
    pay_in_app(server, sandbox, books, "z-1")
    for number, product in (("z-2", "wap"), ("z-3", "page"), ("z-4", "precreate")):
        order = server.order(number)
        payment = server.payment(order["order_id"], product=product)
        if product == "precreate":
            scan(payment)
        else:
            assert submit(pay_page(payment["pay_url"])).status_code == 200
        sandbox.pay(payment["pay_no"])
        wait_paid(books, order["order_id"])


@pytest.mark.certificates
def test_certificate_mode_asks_and_believes_the_answer(server, sandbox, books, pay_page, submit):
    order = server.order("z-5")
    payment = server.payment(order["order_id"])
    submit(pay_page(payment["pay_url"]))
    sandbox.pay(payment["pay_no"], notify=False)
    assert server.ok("GET", f"/v1/payments/{payment['pay_no']}?refresh=true")["status"] == "paid"
    wait_paid(books, order["order_id"])


@pytest.mark.certificates
def test_a_notice_may_name_the_certificate(server, sandbox, books, pay_page, submit):
    order = server.order("z-6")
    payment = server.payment(order["order_id"])
    submit(pay_page(payment["pay_url"]))
    sn = merchant.certificate_sn(merchant.certificates_in(sandbox.path("alipay-cert.crt"))[0])
    sandbox.fault("notice", "change", fields={"alipay_cert_sn": sn})
    sandbox.pay(payment["pay_no"])
    wait_paid(books, order["order_id"])


@pytest.mark.certificates
def test_an_answer_by_a_certificate_that_is_not_installed_is_not_believed(server, sandbox, books, pay_page, submit):
    """Alipay has renewed its certificate: nothing is believed until an operator installs it, and the log says so."""
    payment = server.payment(server.order("z-7")["order_id"])
    submit(pay_page(payment["pay_url"]))
    sandbox.pay(payment["pay_no"], notify=False)
    sandbox.fault("gateway", "other_certificate", count=-1)
    path = f"/v1/payments/{payment['pay_no']}?refresh=true"
    answer = server.ok("GET", path)
    assert (answer["status"], answer.get("unknown")) == ("unpaid", True)
    sandbox.clear_faults()
    assert server.ok("GET", path)["status"] == "paid"


@pytest.fixture
def old_certificate(directory):
    """Of Alipay's as it was before its renewal: another key, signed by somebody."""
    path = os.path.join(directory, "old")
    rsa = ("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
    for name in ("issuer", "leaf"):
        merchant.openssl("genpkey", *rsa, "-out", f"{path}-{name}.key")
    merchant.openssl("req", "-x509", "-new", "-key", f"{path}-issuer.key", "-subj", "/CN=issuer", "-out", f"{path}-issuer.crt")
    request = merchant.openssl("req", "-new", "-key", f"{path}-leaf.key", "-subj", "/CN=leaf")
    merchant.openssl("x509", "-req", "-CA", f"{path}-issuer.crt", "-CAkey", f"{path}-issuer.key", "-set_serial", "7", "-out",
                     f"{path}.crt", data=request)
    return f"{path}.crt"


@pytest.mark.certificates
def test_while_alipay_renews_its_certificate_either_is_believed(make_server, sandbox, books, submit, pay_page, old_certificate):
    installed = {"alipay_cert_file": old_certificate, "alipay_cert_next_file": sandbox.path("alipay-cert.crt")}
    server = make_server({"channel alipay": installed}).start()
    order_id, pay_no = pay_at_alipay(server, sandbox, submit, pay_page, "z-8")
    wait_paid(books, order_id)
    order_id, pay_no = pay_at_alipay(server, sandbox, submit, pay_page, "z-9", notify=False)
    assert server.ok("GET", f"/v1/payments/{pay_no}?refresh=true")["status"] == "paid"


@pytest.mark.certificates
def test_a_wrong_application_certificate_is_refused_before_anything_starts(make_server, sandbox):
    server = make_server({"channel alipay": {"app_cert_file": sandbox.path("alipay-cert.crt")}})
    server.start(wait=False)
    assert server.process.wait(30) != 0
    assert "app_cert" in server.text_of_log() and "is not the certificate of private_key" in server.text_of_log()
    assert os.path.exists(sandbox.path("app-cert.crt"))


# -- refunds that were made in Alipay's console


def until_refunded(server, pay_no, amount):
    def look():
        shown = server.ok("GET", f"/v1/payments/{pay_no}")
        return shown if shown["refunded_amount"] == amount else None
    return wait_for(look, 20, f"{amount} to be refunded")


def test_refunds_of_the_console_appear_in_the_books(server, sandbox, books, submit, pay_page):
    order_id, pay_no = pay_at_alipay(server, sandbox, submit, pay_page, "f-1")
    wait_paid(books, order_id)
    sandbox.refund(pay_no, amount="8.80")
    shown = until_refunded(server, pay_no, "8.80")
    assert (shown["status"], shown["order_status"]) == ("paid", "paid")
    sandbox.refund(pay_no)
    shown = until_refunded(server, pay_no, "88.80")
    assert (shown["status"], shown["order_status"]) == ("refunded", "refunded")
    assert books.events(order_id) == ["payment.succeeded", "refund.succeeded", "refund.succeeded"]
    assert not shown["needs_review"]


def test_notices_of_refunds_may_repeat_and_come_before_that_of_the_payment(server, sandbox, books, submit, pay_page):
    sandbox.fault("notice", "reorder", count=3)
    sandbox.fault("notice", "duplicate", times=2, count=3)
    order_id, pay_no = pay_at_alipay(server, sandbox, submit, pay_page, "f-2")
    sandbox.refund(pay_no, amount="8.80", out_request_no="F1")
    sandbox.refund(pay_no, amount="10.00", out_request_no="F2")
    sandbox.wait_accepted(pay_no, 3)
    shown = until_refunded(server, pay_no, "18.80")
    assert (shown["status"], shown["needs_review"]) == ("paid", False)
    assert books.events(order_id).count("payment.succeeded") == 1


def test_a_full_refund_that_nobody_told_is_found_by_asking(server, sandbox, books, submit, pay_page):
    order_id, pay_no = pay_at_alipay(server, sandbox, submit, pay_page, "f-3")
    wait_paid(books, order_id)
    sandbox.refund(pay_no, notify=False)
    shown = server.ok("GET", f"/v1/payments/{pay_no}?refresh=true")
    assert (shown["status"], shown["refunded_amount"], shown["order_status"]) == ("refunded", "88.80", "refunded")
    assert not shown["needs_review"]
    assert books.events(order_id) == ["payment.succeeded", "refund.succeeded"]
    server.ok("GET", f"/v1/payments/{pay_no}?refresh=true")
    assert len(books.events(order_id)) == 2


def test_a_payment_that_came_and_went_untold_is_not_credited(server, sandbox, books, submit, pay_page):
    """Nothing of it is left at the provider: a shop that were told "paid" now would deliver for nothing."""
    order_id, pay_no = pay_at_alipay(server, sandbox, submit, pay_page, "f-4", notify=False)
    sandbox.refund(pay_no, notify=False)
    assert server.ok("GET", f"/v1/payments/{pay_no}?refresh=true")["status"] == "closed"
    assert books.events(order_id) == []
