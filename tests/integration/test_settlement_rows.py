"""Every row of design §5 as each provider tells it, by its own notices and by its answers to our queries, on both stores.

test_settlement.py has the finer points of notifications, with bodies made to order; here the sandbox's trades speak.
"""

import datetime

import pytest

from books import CLOSED, PAID, RECORD_CLOSED, RECORD_PAID, RECORD_REFUNDED, RECORD_UNPAID, REFUNDED, UNPAID
from merchant import beijing
from paynotifyd import wechat_settings
from waiting import wait_for

WAYS = ("notification", "query")


class Alipay:
    name, product, query = "alipay", "precreate", "alipay.trade.query"
    amount_field, other_amount, trade_field = "total_amount", "88.79", "trade_no"
    closed = {"trade_status": "TRADE_CLOSED", "send_pay_date": None}
    unpaid = {"trade_status": "WAIT_BUYER_PAY"}


class WeChat:
    name, product, query = "wechat", "native", "orderquery"
    amount_field, other_amount, trade_field = "total_fee", "8879", "transaction_id"
    closed = {"trade_state": "CLOSED"}
    unpaid = {"trade_state": "PAYERROR"}


class Provider:
    """One provider at the sandbox, and a server with both. tell() lets it say what it knows, in one of the WAYS."""

    def __init__(self, kind, server, sandbox, books):
        self.kind, self.server, self.sandbox, self.books = kind, server, sandbox, books

    def attempt(self, order_id):
        payment = self.server.payment(order_id, channel=self.kind.name, product=self.kind.product)
        if self.kind is Alipay:
            assert self.sandbox.session.get(payment["code_url"], timeout=30).status_code == 200
        return payment["pay_no"]

    def payment(self, number):
        order_id = self.server.order(number)["order_id"]
        return order_id, self.attempt(order_id)

    def query(self, pay_no):
        return self.server.ok("GET", f"/v1/payments/{pay_no}?refresh=true")

    def pay(self, way, pay_no):
        """The payer pays, and the server learns of it."""
        if way == "query":
            self.sandbox.pay(pay_no, notify=False)
            self.query(pay_no)
        else:
            self.sandbox.pay(pay_no)
            self.sandbox.wait_accepted(pay_no)

    def repeat(self, way, pay_no):
        """It says once more what it says now; for a notice, whether it was accepted at once."""
        if way == "query":
            return self.query(pay_no)
        before = len(self.sandbox.attempts(pay_no))
        self.sandbox.notify(pay_no)
        return self.sandbox.wait_attempts(pay_no, before + 1)[before]["accepted"]

    def tell_again(self, way, pay_no):
        """Until it was heard."""
        if way == "query":
            self.query(pay_no)
        else:
            self.sandbox.notify(pay_no)
            self.sandbox.wait_accepted(pay_no)

    def change(self, way, pay_no, count=1, **fields):
        """What it says next about this payment is signed, but other than the truth."""
        target = {"target": "gateway", "method": self.kind.query} if way == "query" else {"target": "notice"}
        self.sandbox.fault(kind="change", pay_no=pay_no, count=count, fields=fields, **target)

    def close_late(self, order_id):
        """The order's time is over for us, and nobody had the code; the payer's app still has it."""
        self.books.age(order_id)
        wait_for(lambda: self.server.ok("POST", f"/v1/orders/{order_id}/close")["status"] == "closed", 30, "the order to be closed")

    def late_payment(self, number):
        """(order_id, pay_no) of an order that is closed, whose code the payer can still pay."""
        order_id = self.server.order(number)["order_id"]
        payment = self.server.payment(order_id, channel=self.kind.name, product=self.kind.product)
        if self.kind is WeChat:  # it agrees to close, so that only its own notice of an earlier moment can be late
            self.sandbox.fault("gateway", "change", method=self.kind.query, pay_no=payment["pay_no"], fields=WeChat.closed)
        self.close_late(order_id)
        if self.kind is Alipay:
            assert self.sandbox.session.get(payment["code_url"], timeout=30).status_code == 200
        return order_id, payment["pay_no"]

    def assert_state(self, order_id, pay_no, order, record, events, review=False):
        row = self.books.record(pay_no)
        found = self.books.order(order_id)["status"], row["status"], self.books.events(order_id), bool(row["needs_review"])
        assert found == (order, record, events, review)


@pytest.fixture(params=[Alipay, WeChat], ids=["alipay", "wechat"])
def kind(request):
    return request.param


@pytest.fixture
def make_provider(kind, make_server, sandbox, books):
    def make(settings=None):
        # Nobody is asked but by the test: what the provider is to say next is meant for that question.
        server = make_server({"channel wechat": wechat_settings(sandbox, query_interval="1h"),
                              "channel alipay": {"query_interval": "1h"}, **(settings or {})}).start()
        return Provider(kind, server, sandbox, books)
    return make


@pytest.fixture
def provider(make_provider):
    return make_provider()


def test_paid_is_applied_and_then_repeated(provider):
    for way in WAYS:
        order_id, pay_no = provider.payment(f"n-{way}")
        provider.pay(way, pay_no)
        for again in (*WAYS, way):
            provider.repeat(again, pay_no)
        provider.assert_state(order_id, pay_no, PAID, RECORD_PAID, ["payment.succeeded"])
        assert provider.books.record(pay_no)["trade_no"] == provider.sandbox.trade(pay_no)["trade_no"]


def test_paid_after_the_record_was_closed_is_applied(provider):
    for way in WAYS:
        order_id, pay_no = provider.payment(f"n-{way}")
        provider.change("query", pay_no, **provider.kind.closed)
        provider.query(pay_no)
        provider.assert_state(order_id, pay_no, UNPAID, RECORD_CLOSED, [])
        provider.pay(way, pay_no)
        provider.assert_state(order_id, pay_no, PAID, RECORD_PAID, ["payment.succeeded"])


def test_paid_closes_the_other_attempt_at_its_provider(provider):
    for way in WAYS:
        order_id, pay_no = provider.payment(f"n-{way}")
        other = provider.attempt(order_id)
        provider.sandbox.wechat_set(close_after_ms=0)
        provider.pay(way, pay_no)
        wait_for(lambda: provider.books.record(other)["status"] == RECORD_CLOSED, 30, "the other attempt to be closed")
        assert provider.sandbox.trade(other)["status"] in ("TRADE_CLOSED", "CLOSED")
        provider.assert_state(order_id, pay_no, PAID, RECORD_PAID, ["payment.succeeded"])


def test_paid_after_the_order_was_closed_is_late_and_held(provider):
    for way in WAYS:
        order_id, pay_no = provider.late_payment(f"n-{way}")
        provider.pay(way, pay_no)
        provider.repeat(way, pay_no)
        provider.assert_state(order_id, pay_no, CLOSED, RECORD_PAID, ["order.closed", "payment.late"])
        provider.server.ok("POST", f"/v1/payments/{pay_no}/accept")
        provider.assert_state(order_id, pay_no, PAID, RECORD_PAID, ["order.closed", "payment.late", "payment.succeeded"])


def test_a_late_payment_is_accepted_by_policy(make_provider):
    provider = make_provider({"app learning": {"late_payment": "accept"}})
    for way in WAYS:
        order_id, pay_no = provider.late_payment(f"n-{way}")
        provider.pay(way, pay_no)
        wait_for(lambda: provider.books.order(order_id)["status"] == PAID, 30, "the late payment to be accepted")
        provider.assert_state(order_id, pay_no, PAID, RECORD_PAID, ["order.closed", "payment.late", "payment.succeeded"])


def test_the_second_payment_of_an_order_is_a_duplicate(provider):
    for way in WAYS:
        order_id, first = provider.payment(f"n-{way}")
        second = provider.attempt(order_id)
        provider.sandbox.pay(second, notify=False)  # both have paid before anybody could close the other
        provider.pay(way, first)
        if way == "query":
            provider.query(second)
        else:
            provider.repeat(way, second)
        provider.assert_state(order_id, second, PAID, RECORD_PAID, ["payment.succeeded", "payment.duplicate"])
        assert str(provider.books.order(order_id)["paid_pay_no"]) == first


def assert_refunded(provider, order_id, pay_no, order, refunded_minor):
    """The payment went back as a whole, and its order knows nothing of it."""
    wait_for(lambda: provider.books.record(pay_no)["status"] == RECORD_REFUNDED, 30, "the payment to be refunded")
    row = provider.books.order(order_id)
    assert (row["status"], row["refunded_minor"]) == (order, refunded_minor)
    assert [refund["amount"] for refund in provider.sandbox.refunds(pay_no)] == ["88.80"]


def test_late_and_duplicate_payments_are_refunded_by_policy(make_provider):
    provider = make_provider({"app learning": {"late_payment": "refund", "duplicate_payment": "refund"}})
    for way in WAYS:
        order_id, pay_no = provider.late_payment(f"late-{way}")
        provider.pay(way, pay_no)
        assert_refunded(provider, order_id, pay_no, CLOSED, 0)
        assert provider.books.events(order_id) == ["order.closed", "payment.late", "refund.succeeded"]

        order_id, first = provider.payment(f"duplicate-{way}")
        second = provider.attempt(order_id)
        provider.sandbox.pay(second, notify=False)
        provider.pay(way, first)
        provider.tell_again(way, second)
        assert_refunded(provider, order_id, second, PAID, 0)
        assert provider.books.events(order_id) == ["payment.succeeded", "payment.duplicate", "refund.succeeded"]


def test_another_amount_is_a_mismatch(provider):
    for way in WAYS:
        order_id, pay_no = provider.payment(f"n-{way}")
        provider.change(way, pay_no, count=-1, **{provider.kind.amount_field: provider.kind.other_amount})
        provider.sandbox.pay(pay_no, notify=False)
        assert way == "query" and provider.query(pay_no) or not provider.repeat(way, pay_no)
        provider.assert_state(order_id, pay_no, UNPAID, RECORD_UNPAID, ["payment.review"], review=True)
        assert set(provider.books.audits(pay_no)) == {"mismatch"}
        provider.sandbox.clear_faults()
        provider.tell_again(way, pay_no)  # and now the truth
        provider.assert_state(order_id, pay_no, PAID, RECORD_PAID, ["payment.review", "payment.succeeded"], review=True)


def test_another_trade_number_for_a_paid_record_is_a_mismatch(provider):
    for way in WAYS:
        order_id, pay_no = provider.payment(f"n-{way}")
        provider.pay(way, pay_no)
        provider.change(way, pay_no, **{provider.kind.trade_field: "4200000000000000000000000001"})
        assert way == "query" and provider.query(pay_no) or not provider.repeat(way, pay_no)
        provider.assert_state(order_id, pay_no, PAID, RECORD_PAID, ["payment.succeeded", "payment.review"], review=True)
        assert provider.books.record(pay_no)["trade_no"] == provider.sandbox.trade(pay_no)["trade_no"]


def test_closed_at_the_provider_closes_the_record_and_not_the_order(provider):
    for way in WAYS:
        if (provider.kind, way) == (WeChat, "notification"):
            continue  # it announces payments and refunds only
        order_id, pay_no = provider.payment(f"n-{way}")
        provider.sandbox.close(pay_no, notify=way == "notification")
        if way == "query":
            provider.query(pay_no)
        else:
            provider.sandbox.wait_accepted(pay_no)
        provider.assert_state(order_id, pay_no, UNPAID, RECORD_CLOSED, [])


def test_closed_but_paid_in_the_books_is_reviewed(provider):
    order_id, pay_no = provider.payment("n")
    provider.pay("query", pay_no)
    for _ in range(2):
        provider.change("query", pay_no, **provider.kind.closed)
        provider.query(pay_no)
    provider.assert_state(order_id, pay_no, PAID, RECORD_PAID, ["payment.succeeded", "payment.review"], review=True)


def test_refunds_of_the_console_are_in_the_books(provider):
    for way in WAYS:
        order_id, pay_no = provider.payment(f"n-{way}")
        provider.pay(way, pay_no)
        provider.sandbox.refund(pay_no, amount="8.80", notify=way == "notification")
        provider.sandbox.refund(pay_no, notify=way == "notification")
        if way == "query":
            provider.query(pay_no)
        wait_for(lambda: provider.books.record(pay_no)["refunded_minor"] == 8880, 30, "the refunds to be known")
        row = provider.books.order(order_id)
        assert (row["status"], row["refunded_minor"]) == (REFUNDED, 8880)
        assert provider.books.record(pay_no)["status"] == RECORD_REFUNDED
        events = provider.books.events(order_id)
        assert events[0] == "payment.succeeded" and set(events[1:]) == {"refund.succeeded"}


def test_refunded_before_we_knew_that_it_was_paid_is_both(provider):
    order_id, pay_no = provider.payment("n")
    provider.sandbox.pay(pay_no, notify=False)
    provider.sandbox.refund(pay_no, notify=True)
    wait_for(lambda: provider.books.record(pay_no)["refunded_minor"] == 8880, 30, "the refund to be known")
    provider.assert_state(order_id, pay_no, REFUNDED, RECORD_REFUNDED, ["payment.succeeded", "refund.succeeded"])


def test_paid_and_refunded_and_only_found_by_asking(provider):
    """Alipay's answer does not say for certain that it was ever paid, so nobody is told; WeChat's does."""
    order_id, pay_no = provider.payment("n")
    provider.sandbox.pay(pay_no, notify=False)
    provider.sandbox.refund(pay_no, notify=False)
    provider.query(pay_no)
    if provider.kind is Alipay:
        provider.assert_state(order_id, pay_no, UNPAID, RECORD_CLOSED, [])
    else:
        provider.assert_state(order_id, pay_no, REFUNDED, RECORD_REFUNDED, ["payment.succeeded", "refund.succeeded"])


def test_not_paid_and_never_heard_of_change_nothing(provider):
    order_id, pay_no = provider.payment("n")
    provider.query(pay_no)
    provider.change("query", pay_no, **provider.kind.unpaid)
    provider.query(pay_no)
    unknown = provider.server.payment(order_id)["pay_no"]  # a form that nobody has opened
    provider.query(unknown)
    provider.assert_state(order_id, pay_no, UNPAID, RECORD_UNPAID, [])
    assert provider.books.record(unknown)["status"] == RECORD_UNPAID
    assert provider.books.count("notify_audit") == 0


def test_notices_48_hours_late_are_fine(provider):
    """To the open order, to one that was closed meanwhile, and to one that was paid by a query long ago."""
    then = datetime.timedelta(hours=48)
    for state, (order, record, events) in {
            "open": (PAID, RECORD_PAID, ["payment.succeeded"]),
            "closed": (CLOSED, RECORD_PAID, ["order.closed", "payment.late"]),
            "paid": (PAID, RECORD_PAID, ["payment.succeeded"])}.items():
        order_id, pay_no = provider.late_payment(state) if state == "closed" else provider.payment(state)
        provider.sandbox.pay(pay_no, notify=False)
        if state == "paid":
            provider.query(pay_no)
        seconds = -then.total_seconds()
        times = {"gmt_create": beijing(seconds), "gmt_payment": beijing(seconds), "notify_time": beijing(seconds)}
        if provider.kind is WeChat:
            times = {"time_end": "".join(filter(str.isdigit, beijing(seconds)))}
        provider.change("notification", pay_no, **times)
        assert provider.repeat("notification", pay_no), state
        provider.assert_state(order_id, pay_no, order, record, events)
