"""The checker of the campaigns sees what is wrong: good books pass, and each single damage to them is found."""

import os
import shutil

import pytest

import consistency
from books import Books, PAID, UNPAID, RECORD_CLOSED, RECORD_PAID, RECORD_UNPAID
from waiting import wait_for

pytestmark = pytest.mark.store("sqlite")

# What is done to the books of one paid order (1), one closed (2) and one with a late payment (3); and what is said of it.
DAMAGE = [
    ("UPDATE pay_records SET status = {RECORD_UNPAID}, paid_at = NULL WHERE order_id = {paid}", "the provider has money"),
    ("UPDATE pay_records SET status = {RECORD_PAID} WHERE order_id = {closed}", "the provider has no money"),
    ("UPDATE pay_records SET trade_no = '1' WHERE order_id = {paid}", "has trade_no 1"),
    ("UPDATE pay_records SET amount_minor = 1 WHERE order_id = {paid}", "is about 1"),
    ("UPDATE pay_records SET paid_at = NULL WHERE order_id = {paid}", "with paid_at None"),
    ("UPDATE pay_records SET refunded_minor = 5 WHERE order_id = {paid}", "says 5 + 0, its refunds 0 + 0"),
    ("DELETE FROM events WHERE order_id = {paid}", "has the events {}"),
    ("UPDATE events SET type = 'payment.duplicate' WHERE order_id = {paid}", "'payment.duplicate': 1"),
    ("INSERT INTO events SELECT event_id + 1, type, app, order_type, order_id, pay_no, trade_no, created_at, data FROM events"
     " WHERE order_id = {paid}", "'payment.succeeded': 2"),
    ("DELETE FROM events WHERE type = 'payment.late'", "is paid and not late"),
    ("DELETE FROM events WHERE type = 'order.closed' AND order_id = {closed}", "with the events []"),
    ("UPDATE orders SET status = {UNPAID} WHERE order_id = {paid}", "the order is 600001, paid by"),
    ("UPDATE orders SET status = {PAID} WHERE order_id = {closed}", "the order is paid by None"),
    ("UPDATE orders SET last_event = 1 WHERE order_id = {paid}", "the order says 1"),
    ("UPDATE orders SET closed_at = NULL WHERE order_id = {closed}", "closed at None"),
    ("UPDATE orders SET refunded_minor = 1 WHERE order_id = {paid}", "1 went back, says the order"),
    ("UPDATE pay_records SET status = {RECORD_UNPAID} WHERE order_id = {closed}", "still open"),
    ("INSERT INTO query_schedule (subject, task, channel, version, due_at) SELECT pay_no, 1, 'alipay', 1, 0 FROM pay_records"
     " WHERE order_id = {paid}", "which has ended"),
    ("UPDATE pay_records SET status = {RECORD_UNPAID} WHERE order_id = {closed}", "nobody will ask for it"),
    ("UPDATE delivery_history SET delivered = 0", "is a dead letter"),
    ("INSERT INTO delivery_history SELECT * FROM delivery_history", "2 times, say the books"),
]


@pytest.fixture
def good(server, sandbox, books, messages, scan):
    """Good books with an order of each kind: (the stopped server's books, trades, consumed ids, names to order ids)."""
    names = {}
    for name in ("paid", "closed", "late"):
        names[name] = server.order(name)["order_id"]
        payment = server.payment(names[name], product="precreate")
        if name == "late":
            books.age(names[name])
        else:
            scan(payment)
        if name != "paid":
            wait_for(lambda: server.ok("POST", f"/v1/orders/{names[name]}/close")["status"] == "closed", 30, "the order to be closed")
        if name == "late":
            scan(payment)
        if name != "closed":
            sandbox.pay(payment["pay_no"])
            sandbox.wait_accepted(payment["pay_no"])
    wait_for(lambda: not books.make_due(leased=True) and books.count("query_schedule") == 0, 30, "the schedule to be empty")
    messages.wait_distinct(consistency.carried(books))
    wait_for(lambda: books.count("outbox") == 0, 30, "the outbox to be empty")
    server.sigterm()
    return books, sandbox.trades(), set(messages.ids()), names


def test_good_books_pass_and_every_damage_is_found(good, directory):
    books, trades, consumed, names = good
    consistency.assert_consistent(books, trades, consumed)
    codes = {"PAID": PAID, "UNPAID": UNPAID, "RECORD_PAID": RECORD_PAID, "RECORD_UNPAID": RECORD_UNPAID,
             "RECORD_CLOSED": RECORD_CLOSED}
    for number, (sql, expected) in enumerate(DAMAGE):
        copy = os.path.join(directory, f"copy{number}.db")
        shutil.copy(books.where, copy)
        damaged = Books("sqlite", copy)
        damaged.change(sql.format(**codes, **names))
        said = consistency.explain(consistency.check(damaged, trades, consumed))
        assert expected in said, f"after {sql}:\n{said}"


def test_a_message_that_never_came_is_found(good):
    books, trades, consumed, _ = good
    said = consistency.explain(consistency.check(books, trades, consumed - {next(iter(consumed))}))
    assert "the consumer never saw" in said


def test_money_that_the_books_do_not_know_is_found(good):
    books, trades, consumed, _ = good
    stranger = dict(trades[0], pay_no="4711")
    assert "the books do not" in consistency.explain(consistency.check(books, [*trades, stranger], consumed))


def test_refunds_that_the_books_do_not_know_are_found(good):
    books, trades, consumed, _ = good
    refund = {"refund_no": "r1", "status": "SUCCESS", "amount": "1.00"}
    refunded = [dict(trade, refunds=[refund]) if trade["paid_ms"] else trade for trade in trades]
    assert "in the provider's console" in consistency.explain(consistency.check(books, refunded, consumed))
