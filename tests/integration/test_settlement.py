"""Each row of the table in doc/architecture.md, "State machine", that needs no refund: what a provider says, held against
the books, gives the outcome, the reply and the event that the table promises. On both stores."""

import threading

from books import CLOSED, CLOSING, PAID, RECORD_CLOSED, RECORD_PAID, RECORD_UNPAID, UNPAID
from paynotifyd import channel_settings
from waiting import wait_for


def new_payment(server, number="n1", **more):
    """(order_id, pay_no) of an order with one attempt to pay it."""
    order = server.order(number)
    return order["order_id"], server.payment(order["order_id"], **more)["pay_no"]


def assert_state(books, order_id, pay_no, order_status, record_status, events):
    assert books.order(order_id)["status"] == order_status
    assert books.record(pay_no)["status"] == record_status
    assert books.events(order_id) == events


def close_order(server, order_id):
    """Closed in the books, whatever the provider takes to agree."""
    wait_for(lambda: server.ok("POST", f"/v1/orders/{order_id}/close")["status"] == "closed", 30, "the order to be closed")


# ---------------------------------------------------------------------------------------------------- paid

def test_paid_is_applied(server, books, notice):
    order_id, pay_no = new_payment(server)
    assert server.notify(notice(pay_no)) == (200, "success")
    assert_state(books, order_id, pay_no, PAID, RECORD_PAID, ["payment.succeeded"])


def test_finished_counts_as_paid(server, books, notice):
    order_id, pay_no = new_payment(server)
    assert server.notify(notice(pay_no, trade_status="TRADE_FINISHED")) == (200, "success")
    assert_state(books, order_id, pay_no, PAID, RECORD_PAID, ["payment.succeeded"])


def test_paid_after_the_record_was_closed_is_applied(server, books, notice):
    order_id, pay_no = new_payment(server)
    assert server.notify(notice(pay_no, trade_status="TRADE_CLOSED")) == (200, "success")
    assert_state(books, order_id, pay_no, UNPAID, RECORD_CLOSED, [])
    assert server.notify(notice(pay_no)) == (200, "success")
    assert_state(books, order_id, pay_no, PAID, RECORD_PAID, ["payment.succeeded"])


def test_paid_again_is_repeated(server, books, notice):
    order_id, pay_no = new_payment(server)
    for _ in range(2):
        assert server.notify(notice(pay_no)) == (200, "success")
    assert server.notify(notice(pay_no, trade_status="TRADE_FINISHED")) == (200, "success")
    assert_state(books, order_id, pay_no, PAID, RECORD_PAID, ["payment.succeeded"])


def test_paid_closes_the_other_attempts(server, sandbox, books, notice, scan):
    order_id, first = new_payment(server)
    other = server.payment(order_id, product="precreate")
    second = other["pay_no"]
    scan(other)
    assert server.notify(notice(first)) == (200, "success")
    wait_for(lambda: books.record(second)["status"] == RECORD_CLOSED, 30, "the other attempt to be closed")
    assert sandbox.trade(second)["status"] == "TRADE_CLOSED"
    assert_state(books, order_id, first, PAID, RECORD_PAID, ["payment.succeeded"])


def test_paid_while_the_order_is_closing_is_applied(server, books, notice, pay_page):
    order = server.order("n1")
    payment = server.payment(order["order_id"])
    # Somebody holds the form, and the provider has not heard of it: the order cannot be closed yet.
    pay_page(payment["pay_url"])
    assert server.api("POST", f"/v1/orders/{order['order_id']}/close").status_code == 202
    assert books.order(order["order_id"])["status"] == CLOSING
    assert server.notify(notice(payment["pay_no"])) == (200, "success")
    assert_state(books, order["order_id"], payment["pay_no"], PAID, RECORD_PAID, ["payment.succeeded"])


# ---------------------------------------------------------------------------------------------------- late

def test_paid_after_the_order_was_closed_is_late_and_held(server, books, notice, messages):
    order_id, pay_no = new_payment(server)
    close_order(server, order_id)
    assert server.notify(notice(pay_no)) == (200, "success")
    assert_state(books, order_id, pay_no, CLOSED, RECORD_PAID, ["order.closed", "payment.late"])
    assert messages.drain() == []


def test_late_payment_is_accepted_by_a_call(server, books, notice, messages):
    order_id, pay_no = new_payment(server)
    close_order(server, order_id)
    assert server.notify(notice(pay_no)) == (200, "success")
    server.ok("POST", f"/v1/payments/{pay_no}/accept")
    assert_state(books, order_id, pay_no, PAID, RECORD_PAID, ["order.closed", "payment.late", "payment.succeeded"])
    messages.wait(1)
    # A second call finds it done, and sends nothing again.
    assert server.api("POST", f"/v1/payments/{pay_no}/accept").status_code in (200, 409)
    assert books.events(order_id).count("payment.succeeded") == 1


def test_late_payment_is_not_accepted_when_a_newer_order_has_the_number(server, books, notice):
    order_id, pay_no = new_payment(server)
    close_order(server, order_id)
    newer = server.order("n1")["order_id"]
    assert newer != order_id
    assert server.notify(notice(pay_no)) == (200, "success")
    assert server.api("POST", f"/v1/payments/{pay_no}/accept").status_code == 409
    assert_state(books, order_id, pay_no, CLOSED, RECORD_PAID, ["order.closed", "payment.late"])
    assert books.order(newer)["status"] == UNPAID


def test_late_payment_is_accepted_by_policy(make_server, books, notice, messages):
    server = make_server({"app learning": {"late_payment": "accept"}}).start()
    order_id, pay_no = new_payment(server)
    close_order(server, order_id)
    assert server.notify(notice(pay_no)) == (200, "success")
    wait_for(lambda: books.order(order_id)["status"] == PAID, 30, "the late payment to be accepted")
    assert books.events(order_id) == ["order.closed", "payment.late", "payment.succeeded"]
    messages.wait(1)


# ---------------------------------------------------------------------------------------------------- duplicate

def test_second_paid_record_of_an_order_is_a_duplicate(server, books, notice, messages):
    order_id, first = new_payment(server)
    second = server.payment(order_id)["pay_no"]
    assert server.notify(notice(first)) == (200, "success")
    assert server.notify(notice(second)) == (200, "success")
    assert_state(books, order_id, first, PAID, RECORD_PAID, ["payment.succeeded", "payment.duplicate"])
    assert books.record(second)["status"] == RECORD_PAID
    assert str(books.order(order_id)["paid_pay_no"]) == first
    messages.wait(1)
    wait_for(lambda: books.count("outbox") == 0, 10, "the outbox to be empty")
    assert len(messages.drain()) == 1


# ---------------------------------------------------------------------------------------------------- mismatch

def assert_mismatch(server, books, order_id, pay_no, body):
    status, text = server.notify(body)
    assert text != "success", f"{status} {text}"
    assert_state(books, order_id, pay_no, UNPAID, RECORD_UNPAID, ["payment.review"])
    assert books.audits(pay_no) == ["mismatch"]


def test_another_amount_is_a_mismatch(server, books, notice):
    for number, amount in enumerate(("88.79", "88.81", "0.01", "8880.00")):
        order_id, pay_no = new_payment(server, f"n{number}")
        assert_mismatch(server, books, order_id, pay_no, notice(pay_no, total_amount=amount))


def test_another_seller_is_a_mismatch(make_server, sandbox, books, notice):
    server = make_server({"channel alipay": {"seller_id": sandbox.seller_id}}).start()
    order_id, pay_no = new_payment(server)
    assert_mismatch(server, books, order_id, pay_no, notice(pay_no, seller_id="2088000000000009"))


def test_another_application_changes_nothing(server, books, notice):
    order_id, pay_no = new_payment(server)
    _, text = server.notify(notice(pay_no, app_id="2021000000000009"))
    assert text != "success"
    assert books.order(order_id)["status"] == UNPAID
    assert books.record(pay_no)["status"] == RECORD_UNPAID
    assert "payment.succeeded" not in books.events(order_id)


def test_a_notice_proves_nothing_while_the_prepay_is_unanswered(server, sandbox, books, notice):
    """The books know no merchant yet, and anybody's authentic notice would fit; the provider is asked instead."""
    order_id = server.order("n1")["order_id"]
    sandbox.fault("gateway", "drop", count=-1)
    pay_no = server.payment(order_id, product="precreate")["pay_no"]
    assert server.notify(notice(pay_no, app_id="2021000000000009", seller_id="2088000000000009")) == (200, "fail")
    assert_state(books, order_id, pay_no, UNPAID, RECORD_UNPAID, ["payment.review"])
    assert books.audits(pay_no) == ["mismatch"]


def test_another_channel_is_a_mismatch(make_server, sandbox, books, notice):
    server = make_server({"channel second": channel_settings(sandbox)}).start()
    order_id, pay_no = new_payment(server)
    _, text = server.notify(notice(pay_no), channel="second")
    assert text != "success"
    assert_state(books, order_id, pay_no, UNPAID, RECORD_UNPAID, ["payment.review"])


def test_another_trade_number_for_a_paid_record_is_a_mismatch(server, books, notice):
    order_id, pay_no = new_payment(server)
    assert server.notify(notice(pay_no, trade_no="2026112200000001")) == (200, "success")
    _, text = server.notify(notice(pay_no, trade_no="2026112200000002"))
    assert text != "success"
    assert_state(books, order_id, pay_no, PAID, RECORD_PAID, ["payment.succeeded", "payment.review"])
    assert books.record(pay_no)["trade_no"] == "2026112200000001"


def test_a_mismatch_does_not_stop_the_right_notice(server, books, notice):
    order_id, pay_no = new_payment(server)
    assert server.notify(notice(pay_no, total_amount="0.01"))[1] != "success"
    assert server.notify(notice(pay_no)) == (200, "success")
    assert_state(books, order_id, pay_no, PAID, RECORD_PAID, ["payment.review", "payment.succeeded"])


# ---------------------------------------------------------------------------------------------------- the rest

def test_closed_closes_the_record_and_not_the_order(server, books, notice):
    order_id, pay_no = new_payment(server)
    assert server.notify(notice(pay_no, trade_status="TRADE_CLOSED")) == (200, "success")
    assert_state(books, order_id, pay_no, UNPAID, RECORD_CLOSED, [])


def test_closed_after_paid_is_reviewed(server, books, notice):
    order_id, pay_no = new_payment(server)
    assert server.notify(notice(pay_no)) == (200, "success")
    assert server.notify(notice(pay_no, trade_status="TRADE_CLOSED")) == (200, "success")
    assert_state(books, order_id, pay_no, PAID, RECORD_PAID, ["payment.succeeded", "payment.review"])
    assert len(books.audits(pay_no)) == 1


def test_a_report_of_a_refund_in_part_is_booked_and_audited(server, books, notice):
    order_id, pay_no = new_payment(server)
    assert server.notify(notice(pay_no)) == (200, "success")
    refund = {"refund_fee": "10.00", "gmt_refund": "2026-11-22 10:00:00.000", "out_biz_no": "r1"}
    assert server.notify(notice(pay_no, **refund)) == (200, "success")
    assert_state(books, order_id, pay_no, PAID, RECORD_PAID, ["payment.succeeded", "refund.succeeded"])
    assert books.audits(pay_no) == ["refund"]


def test_not_paid_yet_is_noted(server, books, notice):
    order_id, pay_no = new_payment(server)
    assert server.notify(notice(pay_no, trade_status="WAIT_BUYER_PAY")) == (200, "success")
    assert_state(books, order_id, pay_no, UNPAID, RECORD_UNPAID, [])
    assert books.audits(pay_no) == ["noted"]


def test_an_unknown_payment_is_refused(server, books, notice):
    before = books.counts()
    for pay_no in ("1", "7243920154880000003", "9223372036854775807", "9223372036854775808", "no_number", "-1"):
        _, text = server.notify(notice(pay_no))
        assert text != "success", pay_no
    assert books.counts() == before


# ---------------------------------------------------------------------------------------------------- in one batch

def notify_in_one_batch(server, books, notice, plug, bodies):
    """Holds the committer on the payment `plug` until all bodies wait behind it, so that one batch takes them together.
    Returns the replies, in the order of the bodies."""
    replies = [None] * len(bodies)

    def send(index, body):
        replies[index] = server.notify(body)[1]
    with books.held(books.record(plug)["order_id"]):
        threads = [threading.Thread(target=server.notify, args=(notice(plug),))]
        threads += [threading.Thread(target=send, args=item) for item in enumerate(bodies)]
        for thread in threads:
            thread.start()
        # All but the plug wait for the committer; or it took them all together, which is one batch as well.
        in_one_batch = (len(bodies), 0)
        wait_for(lambda: server.metrics()["paynotify_settlements_waiting"] in in_one_batch
                 and server.metrics()["paynotify_http_connections"] > len(bodies), 10, "the notices to wait")
    for thread in threads:
        thread.join()
    return replies


def test_one_record_with_two_trade_numbers_in_one_batch(server, books, notice):
    _, plug = new_payment(server, "plug")
    order_id, pay_no = new_payment(server)
    replies = notify_in_one_batch(server, books, notice, plug, [notice(pay_no, trade_no="2026112200000001"),
                                                                notice(pay_no, trade_no="2026112200000002")])
    assert sorted(text == "success" for text in replies) == [False, True]
    assert_state(books, order_id, pay_no, PAID, RECORD_PAID, ["payment.succeeded", "payment.review"])
    assert books.audits(pay_no) == ["mismatch"]


def test_two_records_of_one_order_in_one_batch(server, books, notice, messages):
    _, plug = new_payment(server, "plug")
    order_id, first = new_payment(server)
    second = server.payment(order_id)["pay_no"]
    assert notify_in_one_batch(server, books, notice, plug, [notice(first), notice(second)]) == ["success", "success"]
    assert books.events(order_id) == ["payment.succeeded", "payment.duplicate"]
    assert [books.record(pay_no)["status"] for pay_no in (first, second)] == [RECORD_PAID, RECORD_PAID]
    assert str(books.order(order_id)["paid_pay_no"]) in (first, second)
    messages.wait(2)  # the plug's and this order's


def test_the_same_notice_many_times_in_one_batch(server, books, notice):
    _, plug = new_payment(server, "plug")
    order_id, pay_no = new_payment(server)
    assert notify_in_one_batch(server, books, notice, plug, [notice(pay_no)] * 10) == ["success"] * 10
    assert_state(books, order_id, pay_no, PAID, RECORD_PAID, ["payment.succeeded"])


def test_good_and_bad_notices_in_one_batch(server, books, notice):
    _, plug = new_payment(server, "plug")
    order_id, pay_no = new_payment(server)
    other_id, other = new_payment(server, "n2")
    replies = notify_in_one_batch(server, books, notice, plug, [
        notice(pay_no, total_amount="1.00"), notice("12345"), notice(other), notice(other, trade_status="WAIT_BUYER_PAY")])
    assert [text == "success" for text in replies] == [False, False, True, True]
    assert_state(books, order_id, pay_no, UNPAID, RECORD_UNPAID, ["payment.review"])
    assert_state(books, other_id, other, PAID, RECORD_PAID, ["payment.succeeded"])
