"""A payment's life after its creation: queries, expiry, closing, silence, late money. On both stores.

Time is not waited for: orders expire after a second, queries come every 200 ms, and what is due in minutes or days is made
due in the books.
"""

import concurrent.futures
import json
import re

import pytest

from books import CLOSED, CLOSING, PAID, RECORD_CLOSED, RECORD_PAID, RECORD_REFUNDED, RECORD_UNPAID, UNPAID
from merchant import beijing
from paynotifyd import SLOWNESS
from waiting import wait_for

FOR_EVER = {"channel alipay": {"query_interval": "1h"}}
OFTEN = {"channel alipay": {"query_interval": "200ms"}}
HOURS_48 = 48 * 3600


def wait_status(books, order_id, status, what="the order's state"):
    wait_for(lambda: books.order(order_id)["status"] == status, 60 * SLOWNESS, what)


def attempt(server, scan, number="n1", **order):
    """(order_id, pay_no) of an order whose code was scanned, so that its provider knows the trade."""
    order_id = server.order(number, **order)["order_id"]
    payment = server.payment(order_id, product="precreate")
    scan(payment)
    return order_id, payment["pay_no"]


def asked(sandbox, pay_no, method="query"):
    """How often the provider was asked."""
    return len(re.findall(rf"alipay\.trade\.{method} {pay_no}:", sandbox.log()))


def event_data(books, order_id, event_type):
    rows = books.rows("SELECT data FROM events WHERE order_id = %s AND type = %s", int(order_id), event_type)
    assert len(rows) == 1
    return json.loads(rows[0]["data"])


def tasks(server, task, end=None):
    """How often the schedule did that."""
    return sum(value for name, value in server.metrics().items()
               if name.startswith(f'paynotify_schedule_tasks_total{{task="{task}"') and (end is None or f'end="{end}"' in name))


# ---------------------------------------------------------------------------------------------------- queries

def test_a_lost_notification_is_found_by_a_query(make_server, sandbox, books, scan, messages):
    server = make_server(OFTEN).start()
    order_id, pay_no = attempt(server, scan)
    sandbox.pay(pay_no, notify=False)
    wait_status(books, order_id, PAID)
    assert books.events(order_id) == ["payment.succeeded"]
    messages.wait(1)
    wait_for(lambda: books.scheduled(pay_no) is None, 30, "the payment to leave the schedule")
    assert sandbox.trade(pay_no)["notices"] == []


def test_an_open_payment_is_asked_about_again_and_again(make_server, sandbox, books, scan):
    server = make_server(OFTEN).start()
    order_id, pay_no = attempt(server, scan)
    wait_for(lambda: asked(sandbox, pay_no) >= 4, 30 * SLOWNESS, "four queries")
    assert books.order(order_id)["status"] == UNPAID
    wait_for(lambda: books.scheduled(pay_no)["answers"] >= 3, 30, "the answers to be counted")
    assert books.audits(pay_no) == []


def test_a_payment_without_an_answered_prepay_is_asked_about(make_server, sandbox, books):
    server = make_server(OFTEN).start()
    order_id = server.order("n1")["order_id"]
    sandbox.fault("gateway", "drop", method="alipay.trade.precreate")
    payment = server.payment(order_id, product="precreate")
    assert books.record(payment["pay_no"])["merchant"] is None
    wait_for(lambda: asked(sandbox, payment["pay_no"]) >= 2, 30 * SLOWNESS, "two queries")


def test_nobody_is_asked_about_a_form_that_nobody_opened(make_server, sandbox, books, pay_page):
    server = make_server(OFTEN).start()
    payment = server.payment(server.order("n1")["order_id"])
    wait_for(lambda: books.scheduled(payment["pay_no"])["attempts"] >= 3, 30 * SLOWNESS, "three turns")
    assert asked(sandbox, payment["pay_no"]) == 0
    pay_page(payment["pay_url"])
    wait_for(lambda: asked(sandbox, payment["pay_no"]) > 0, 30 * SLOWNESS, "a query")


def test_what_is_paid_leaves_the_schedule_without_a_question(make_server, sandbox, books, scan, notice):
    server = make_server(FOR_EVER).start()
    order_id, pay_no = attempt(server, scan)
    assert server.notify(notice(pay_no)) == (200, "success")
    assert books.scheduled(pay_no) and books.scheduled(order_id)
    books.make_due()
    wait_for(lambda: not books.scheduled(pay_no) and not books.scheduled(order_id), 30 * SLOWNESS, "the rows to go")
    assert asked(sandbox, pay_no) == 0 and tasks(server, "expire") == 0


def test_enough_queries_without_a_payment_close_the_order(make_server, sandbox, books, scan):
    server = make_server({**OFTEN, "app learning": {"close_after_queries": "3"}}).start()
    order_id, pay_no = attempt(server, scan, attach={"coupon": "c1"})
    wait_status(books, order_id, CLOSED)
    assert books.record(pay_no)["status"] == RECORD_CLOSED
    assert books.events(order_id) == ["order.closed"]
    assert sandbox.trade(pay_no)["status"] == "TRADE_CLOSED"
    assert asked(sandbox, pay_no, "close") == 1
    assert asked(sandbox, pay_no) == 5  # three of them, and two around the close


def test_silence_closes_no_order(make_server, sandbox, books, scan):
    """A provider that does not answer has not said that nobody paid."""
    server = make_server({"app learning": {"close_after_queries": "2"},
                          "channel alipay": {"query_interval": "200ms", "breaker_failures": "0"}}).start()
    sandbox.fault("gateway", "drop", method="alipay.trade.query", count=-1)
    order_id, pay_no = attempt(server, scan)
    for turn in range(1, 4):
        wait_for(lambda: books.scheduled(pay_no)["unknowns"] == turn, 30 * SLOWNESS, f"unknown answer {turn}")
        assert books.scheduled(pay_no)["answers"] == 0 and books.order(order_id)["status"] == UNPAID
        books.make_one_due(pay_no)
    wait_for(lambda: books.scheduled(pay_no)["unknowns"] == 4, 30 * SLOWNESS, "unknown answer 4")
    sandbox.clear_faults()
    books.make_one_due(pay_no)
    wait_status(books, order_id, CLOSED)


# ---------------------------------------------------------------------------------------------------- silence

def test_after_days_of_silence_people_are_called_once(make_server, sandbox, books, scan):
    server = make_server({"channel alipay": {"query_interval": "200ms", "breaker_failures": "0"}}).start()
    order_id, pay_no = attempt(server, scan)
    sandbox.fault("gateway", "unavailable", method="alipay.trade.query", count=-1)
    for turn in range(1, 8):
        wait_for(lambda: books.scheduled(pay_no)["unknowns"] == turn, 30 * SLOWNESS, f"unknown answer {turn}")
        books.make_one_due(pay_no)
    wait_for(lambda: books.record(pay_no)["needs_review"], 30 * SLOWNESS, "people to be called")
    assert books.scheduled(pay_no) is None
    assert books.events(order_id) == ["payment.review"]
    assert books.audits(pay_no) == ["unknown"]
    assert books.order(order_id)["status"] == UNPAID and books.record(pay_no)["status"] == RECORD_UNPAID
    assert [shown["pay_no"] for shown in server.ok("GET", "/v1/payments?needs_review=true")["payments"]] == [pay_no]

    # Who asks for it brings it back, and what was missed is settled; the review stays for people to see.
    sandbox.clear_faults()
    server.ok("GET", f"/v1/payments/{pay_no}?refresh=true")
    wait_for(lambda: books.scheduled(pay_no), 30, "the payment to be scheduled again")
    sandbox.pay(pay_no, notify=False)
    wait_status(books, order_id, PAID)
    assert books.events(order_id) == ["payment.review", "payment.succeeded"]


def test_a_closing_that_never_ends_calls_people_and_can_be_taken_up_again(make_server, sandbox, books, scan):
    server = make_server({"channel alipay": {"query_interval": "1h", "breaker_failures": "0"}}).start()
    order_id, pay_no = attempt(server, scan)
    sandbox.fault("gateway", "unavailable", count=-1)
    assert server.api("POST", f"/v1/orders/{order_id}/close").status_code == 202
    for turn in range(1, 14):
        wait_for(lambda: books.scheduled(pay_no)["unknowns"] == turn, 30 * SLOWNESS, f"unknown answer {turn}")
        books.make_one_due(pay_no)
    wait_for(lambda: books.record(pay_no)["needs_review"], 30 * SLOWNESS, "people to be called")
    assert books.scheduled(pay_no) is None
    assert books.order(order_id)["status"] == CLOSING
    assert books.events(order_id) == ["payment.review"]

    sandbox.clear_faults()
    assert server.ok("POST", f"/v1/orders/{order_id}/close")["status"] == "closed"
    assert books.events(order_id) == ["payment.review", "order.closed"]


def test_a_provider_that_is_held_back_has_not_been_silent(make_server, sandbox, books, scan):
    """An outage of days must not wear out the patience with each payment."""
    server = make_server({"channel alipay": {"query_interval": "200ms", "breaker_failures": "1", "breaker_wait": "10m"}}).start()
    order_id, pay_no = attempt(server, scan)
    sandbox.fault("gateway", "drop", method="alipay.trade.query", count=-1)
    row = wait_for(lambda: (found := books.scheduled(pay_no))["unknowns"] == 1 and found, 30 * SLOWNESS, "the one unknown answer")
    assert server.metrics()['paynotify_channel_breaker_state{channel="alipay"}'] == 2
    books.make_one_due(pay_no)
    other = server.order("n2", expires_in=1)["order_id"]
    wait_status(books, other, CLOSED, "the schedule to have taken its turns")
    assert books.scheduled(pay_no)["attempts"] == row["attempts"]
    assert books.order(order_id)["status"] == UNPAID


# ---------------------------------------------------------------------------------------------------- expiry

def test_an_order_that_nobody_tried_to_pay_expires(server, books):
    order_id = server.order("n1", expires_in=1, attach={"stock": ["sku-1"], "coupon": 7})["order_id"]
    wait_status(books, order_id, CLOSED)
    event = event_data(books, order_id, "order.closed")
    assert event["attach"] == {"stock": ["sku-1"], "coupon": 7}
    assert (event["order_id"], event["out_business_id"], event["order_status"]) == (order_id, "n1", CLOSED)
    wait_for(lambda: books.scheduled(order_id) is None, 30, "the order to leave the schedule")
    assert server.order("n1")["order_id"] != order_id


def test_a_form_that_nobody_opened_expires_with_its_order(server, sandbox, books):
    order_id = server.order("n1", expires_in=1)["order_id"]
    pay_no = server.payment(order_id)["pay_no"]
    wait_status(books, order_id, CLOSED)
    assert books.record(pay_no)["status"] == RECORD_CLOSED
    assert books.events(order_id) == ["order.closed"]
    assert asked(sandbox, pay_no) == 0


def test_an_attempt_is_closed_at_its_provider_when_the_order_expires(server, sandbox, books, scan, messages):
    order_id, pay_no = attempt(server, scan, expires_in=1, attach={"coupon": "c1"})
    wait_status(books, order_id, CLOSED)
    assert books.record(pay_no)["status"] == RECORD_CLOSED
    assert sandbox.trade(pay_no)["status"] == "TRADE_CLOSED"
    assert event_data(books, order_id, "order.closed")["attach"] == {"coupon": "c1"}
    assert messages.drain() == []  # this sink's format only ever carries successes
    wait_for(lambda: books.count("query_schedule") == 0, 30, "the schedule to be empty")


def test_a_payment_that_was_missed_is_found_when_its_order_expires(make_server, sandbox, books, scan):
    server = make_server(FOR_EVER).start()
    order_id, pay_no = attempt(server, scan)
    sandbox.pay(pay_no, notify=False)
    books.change("UPDATE orders SET expires_at = 1 WHERE order_id = %s", int(order_id))
    books.make_one_due(order_id)
    wait_status(books, order_id, PAID)
    assert books.events(order_id) == ["payment.succeeded"]


def test_a_provider_that_never_heard_of_it_is_asked_once_more_after_the_expiry(make_server, sandbox, books, pay_page):
    server = make_server(FOR_EVER).start()
    order_id = server.order("n1")["order_id"]
    payment = server.payment(order_id)
    pay_no = payment["pay_no"]
    pay_page(payment["pay_url"])  # somebody holds the form
    assert server.api("POST", f"/v1/orders/{order_id}/close").status_code == 202
    assert books.order(order_id)["status"] == CLOSING
    books.make_one_due(pay_no)
    wait_for(lambda: asked(sandbox, pay_no) == 2, 30 * SLOWNESS, "another question")
    wait_for(lambda: books.scheduled(pay_no)["claim"] == 0, 30, "the answer to be written")
    assert books.order(order_id)["status"] == CLOSING
    books.age(order_id)
    books.make_one_due(pay_no)
    wait_status(books, order_id, CLOSED)
    assert asked(sandbox, pay_no) == 3
    assert books.events(order_id) == ["order.closed"]


@pytest.mark.limit(400)
def test_payers_who_pay_while_their_orders_expire_leave_one_consistent_end(server, sandbox, books, scan):
    """Whoever comes first: an order is paid, or it is closed, and then its payment is refused or late."""
    attempts = [attempt(server, scan, f"n{number}", expires_in=2) for number in range(12)]

    def pay(pair):
        try:
            sandbox.pay(pair[1])
        except Exception as refused:  # the provider closed it first
            assert "HTTPError" in type(refused).__name__
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for index, pair in enumerate(attempts):
            wait_for(lambda: index < 6 or books.order(pair[0])["status"] != UNPAID, 60 * SLOWNESS, "the expiry")
            pool.submit(pay, pair)
    wait_for(lambda: all(books.order(order_id)["status"] in (PAID, CLOSED) for order_id, _ in attempts), 120 * SLOWNESS,
             "every order to end")
    for order_id, pay_no in attempts:
        paid = sandbox.trade(pay_no)["status"] == "TRADE_SUCCESS"
        if paid:
            wait_for(lambda: books.record(pay_no)["status"] == RECORD_PAID, 30 * SLOWNESS, "the payment to be known")
        events = books.events(order_id)
        if books.order(order_id)["status"] == PAID:
            assert paid and events == ["payment.succeeded"]
        else:
            assert events == (["order.closed", "payment.late"] if paid else ["order.closed"])
            assert books.record(pay_no)["status"] == (RECORD_PAID if paid else RECORD_CLOSED)


# ---------------------------------------------------------------------------------------------------- WeChat's five minutes

def test_wechat_closes_nothing_young_and_is_asked_later(wechat_server, sandbox, books):
    sandbox.wechat_set(close_after_ms=3600_000)
    order_id = wechat_server.order("n1")["order_id"]
    pay_no = wechat_server.payment(order_id, channel="wechat", product="native")["pay_no"]
    assert wechat_server.api("POST", f"/v1/orders/{order_id}/close").status_code == 202
    for answers in (1, 2, 3):
        wait_for(lambda: books.scheduled(pay_no)["answers"] == answers, 30 * SLOWNESS, "another refusal")
        assert books.order(order_id)["status"] == CLOSING
        books.make_one_due(pay_no)
    sandbox.wechat_set(close_after_ms=0)
    books.make_one_due(pay_no)
    wait_status(books, order_id, CLOSED)
    assert books.record(pay_no)["status"] == RECORD_CLOSED
    assert books.events(order_id) == ["order.closed"]


def test_what_is_paid_while_wechat_refuses_to_close_is_applied(wechat_server, sandbox, books):
    sandbox.wechat_set(close_after_ms=3600_000)
    order_id = wechat_server.order("n1")["order_id"]
    pay_no = wechat_server.payment(order_id, channel="wechat", product="native")["pay_no"]
    assert wechat_server.api("POST", f"/v1/orders/{order_id}/close").status_code == 202
    sandbox.pay(pay_no, notify=False)
    books.make_one_due(pay_no)
    wait_status(books, order_id, PAID)
    assert books.events(order_id) == ["payment.succeeded"]
    wait_for(lambda: books.scheduled(pay_no) is None, 30 * SLOWNESS, "the payment to leave the schedule")


# ---------------------------------------------------------------------------------------------------- late money

def close_order(server, order_id):
    wait_for(lambda: server.ok("POST", f"/v1/orders/{order_id}/close")["status"] == "closed", 30, "the order to be closed")


def late_payment(server, sandbox, number="n1"):
    """(order_id, pay_no) of a payment that its provider takes after the order was closed: nobody had opened its code."""
    order_id = server.order(number)["order_id"]
    payment = server.payment(order_id, product="precreate")
    server.books.age(order_id)
    close_order(server, order_id)
    assert sandbox.session.get(payment["code_url"], timeout=30).status_code == 200
    sandbox.pay(payment["pay_no"])
    return order_id, payment["pay_no"]


@pytest.fixture
def late_server(make_server, books):
    def make(**app):
        server = make_server({"app learning": app}).start()
        server.books = books
        return server
    return make


def test_late_money_is_held_for_a_call(late_server, sandbox, books):
    server = late_server(late_payment="hold")
    order_id, pay_no = late_payment(server, sandbox)
    wait_for(lambda: books.record(pay_no)["status"] == RECORD_PAID, 30, "the payment to be known")
    assert books.events(order_id) == ["order.closed", "payment.late"]
    server.ok("POST", f"/v1/payments/{pay_no}/refunds", {"out_refund_id": "r1"})
    wait_for(lambda: books.record(pay_no)["status"] == RECORD_REFUNDED, 30, "the refund by call")
    assert books.order(order_id)["status"] == CLOSED
    assert event_data(books, order_id, "refund.succeeded")["cause"] == "late"


def test_late_money_is_accepted_by_setting(late_server, sandbox, books, messages):
    server = late_server(late_payment="accept")
    order_id, _ = late_payment(server, sandbox)
    wait_status(books, order_id, PAID)
    assert books.events(order_id) == ["order.closed", "payment.late", "payment.succeeded"]
    messages.wait(1)


def test_late_money_is_refunded_by_setting(late_server, sandbox, books, messages):
    server = late_server(late_payment="refund")
    order_id, pay_no = late_payment(server, sandbox)
    wait_for(lambda: books.record(pay_no)["status"] == RECORD_REFUNDED, 30 * SLOWNESS, "the refund")
    assert books.order(order_id)["status"] == CLOSED
    assert books.events(order_id) == ["order.closed", "payment.late", "refund.succeeded"]
    assert messages.drain() == []


def test_late_money_is_refunded_when_a_newer_order_has_taken_the_number(late_server, sandbox, books):
    server = late_server(late_payment="accept")
    order_id = server.order("n1")["order_id"]
    payment = server.payment(order_id, product="precreate")
    books.age(order_id)
    close_order(server, order_id)
    newer = server.order("n1")["order_id"]
    assert newer != order_id
    assert sandbox.session.get(payment["code_url"], timeout=30).status_code == 200
    sandbox.pay(payment["pay_no"])
    wait_for(lambda: books.record(payment["pay_no"])["status"] == RECORD_REFUNDED, 30 * SLOWNESS, "the refund")
    assert books.order(order_id)["status"] == CLOSED and books.order(newer)["status"] == UNPAID
    assert books.events(order_id) == ["order.closed", "payment.late", "refund.succeeded"]


def test_a_second_payment_is_refunded_by_setting(late_server, sandbox, books, scan):
    server = late_server(duplicate_payment="refund")
    order_id = server.order("n1")["order_id"]
    first, second = (server.payment(order_id, product="precreate") for _ in range(2))
    for payment in (first, second):
        scan(payment)
        sandbox.pay(payment["pay_no"], notify=False)
    server.ok("GET", f"/v1/payments/{first['pay_no']}?refresh=true")
    # The second one is found because the order's other attempts are closed once it is paid.
    wait_for(lambda: books.record(second["pay_no"])["status"] == RECORD_REFUNDED, 30 * SLOWNESS, "the refund")
    assert books.record(first["pay_no"])["status"] == RECORD_PAID
    order = books.order(order_id)
    assert (order["status"], str(order["paid_pay_no"]), order["refunded_minor"]) == (PAID, first["pay_no"], 0)
    assert books.events(order_id) == ["payment.succeeded", "payment.duplicate", "refund.succeeded"]


def test_a_notification_that_is_two_days_late_is_settled(server, books, notice):
    open_order = server.order("n1")["order_id"]
    open_payment = server.payment(open_order)["pay_no"]
    closed_order = server.order("n2")["order_id"]
    closed_payment = server.payment(closed_order)["pay_no"]
    close_order(server, closed_order)
    old = {"notify_time": beijing(-HOURS_48), "gmt_create": beijing(-HOURS_48), "gmt_payment": beijing(-HOURS_48)}
    for pay_no in (open_payment, closed_payment):
        assert server.notify(notice(pay_no, **old)) == (200, "success")
    assert books.events(open_order) == ["payment.succeeded"]
    assert books.events(closed_order) == ["order.closed", "payment.late"]


# ---------------------------------------------------------------------------------------------------- what operators see

def test_the_metrics_tell_what_is_scheduled_and_how_late(make_server, sandbox, books, scan):
    """A provider that is held back, and one payment that should have been asked about an hour ago."""
    server = make_server({"channel alipay": {"query_interval": "200ms", "breaker_failures": "1", "breaker_wait": "10m"}}).start()
    sandbox.fault("gateway", "drop", method="alipay.trade.query", count=-1)
    _, pay_no = attempt(server, scan)
    wait_for(lambda: tasks(server, "query", "unknown") == 1, 30 * SLOWNESS, "the one unknown answer")
    wait_for(lambda: books.scheduled(pay_no)["claim"] == 0, 30, "it to be written")
    books.change("UPDATE query_schedule SET due_at = due_at - 3600000 WHERE subject = %s", int(pay_no))

    def shown(name, channel="alipay"):
        return server.metrics().get(f'paynotify_schedule_{name}{{channel="{channel}"}}')
    wait_for(lambda: shown("due") == 1, 60 * SLOWNESS, "the metrics to be looked at")
    assert (shown("pending"), shown("in_flight")) == (1, 0)
    assert 3000 < shown("late_seconds") < 7200
    assert (shown("pending", "(expiry)"), shown("due", "(expiry)"), shown("late_seconds", "(expiry)")) == (1, 0, 0)


def test_a_start_tells_of_open_payments_whose_channel_is_gone(wechat_server, books):
    server = wechat_server
    orphaned = 'open payments or refunds belong to a channel that is not configured; nobody asks about them"'
    pay_nos = []
    for number in ("n1", "n2"):
        order_id = server.order(number)["order_id"]
        pay_nos.append(server.payment(order_id, channel="wechat", product="native")["pay_no"])
    assert orphaned not in server.text_of_log()
    server.sigterm()
    channel = server.sections.pop("channel wechat")
    server.start()
    wait_for(lambda: orphaned in server.text_of_log(), 30 * SLOWNESS, "a warning")
    assert f"{orphaned} channel=wechat pending=2" in server.text_of_log()
    assert server.metrics()['paynotify_schedule_pending{channel="wechat"}'] == 2
    server.sigterm()
    server.sections["channel wechat"] = channel
    answers = books.scheduled(pay_nos[0])["answers"]
    server.start()
    books.make_one_due(pay_nos[0])
    wait_for(lambda: books.scheduled(pay_nos[0])["answers"] > answers, 30 * SLOWNESS, "the schedule to go on with it")
    assert server.text_of_log().count(orphaned) == 1


# ---------------------------------------------------------------------------------------------------- several servers, crashes

@pytest.mark.store("pg")
def test_two_servers_never_ask_twice(make_server, sandbox, books, scan):
    first = make_server(FOR_EVER).start()
    second = make_server({**FOR_EVER, "server": {"node_name": "second", "link_key_file": first.directory + "/link.key"}}).start()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        payments = [pay_no for _, pay_no in pool.map(lambda n: attempt(first, scan, f"n{n}"), range(150))]
    books.make_due()
    wait_for(lambda: books.count("query_schedule", "answers = 1") == len(payments), 60 * SLOWNESS, "all to be asked about")
    assert [asked(sandbox, pay_no) for pay_no in payments] == [1] * len(payments)
    assert tasks(first, "query") + tasks(second, "query") == len(payments)


def test_a_close_that_died_with_its_server_goes_on_at_once(make_server, sandbox, books, scan):
    server = make_server({"channel alipay": {"query_interval": "1h", "timeout": "2m"}}).start()
    order_id, pay_no = attempt(server, scan)
    sandbox.fault("gateway", "delay", ms=60_000)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        closing = pool.submit(server.api, "POST", f"/v1/orders/{order_id}/close")
        wait_for(lambda: books.scheduled(pay_no)["claim"] != 0, 30 * SLOWNESS, "the close to be under way")
        server.kill9()
        assert closing.exception(60) is not None
    assert books.order(order_id)["status"] == CLOSING
    sandbox.clear_faults()
    server.start()
    wait_status(books, order_id, CLOSED, "the close to be taken up")
    assert sandbox.trade(pay_no)["status"] == "TRADE_CLOSED"
    assert books.events(order_id) == ["order.closed"]


def test_a_query_that_died_with_its_server_is_asked_again_at_once(make_server, sandbox, books, scan):
    server = make_server({"channel alipay": {"query_interval": "1h", "timeout": "2m"}}).start()
    order_id, pay_no = attempt(server, scan)
    sandbox.pay(pay_no, notify=False)
    sandbox.fault("gateway", "delay", ms=60_000)
    books.make_one_due(pay_no)
    wait_for(lambda: books.scheduled(pay_no)["claim"] != 0, 30 * SLOWNESS, "the query to be under way")
    server.kill9()
    sandbox.clear_faults()
    server.start()
    wait_status(books, order_id, PAID)
