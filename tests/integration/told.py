"""How a payment ends on its whole way, whichever channel it took."""

from books import PAID, RECORD_PAID
from waiting import wait_for


def assert_paid_and_told(server, books, messages, order_id, pay_no, number):
    """Paid in the books and in the API, told once, nothing left in the outbox."""
    wait_for(lambda: books.order(order_id)["status"] == PAID, 20, "the order to be paid")
    assert books.record(pay_no)["status"] == RECORD_PAID
    assert books.events(order_id) == ["payment.succeeded"]

    (properties, _), body = messages.wait(1)[0], messages.bodies()[0]
    assert set(body) == {"id", "messageType", "businessKey1", "businessKey2", "businessKey3", "payment"}
    assert (body["messageType"], body["businessKey1"], body["businessKey2"], body["businessKey3"]) == \
        ("payresult_notify", number, "60201", None)
    event_id = books.rows("SELECT event_id FROM events")[0]["event_id"]
    assert int(body["id"]) == event_id < 2**63
    assert body["payment"]["pay_no"] == pay_no
    assert properties.message_id == str(event_id)
    assert properties.delivery_mode == 2
    assert properties.content_type == "application/json"

    wait_for(lambda: books.count("outbox") == 0, 10, "the outbox to be empty")
    history = books.rows("SELECT * FROM delivery_history")
    assert [row["event_id"] for row in history] == [event_id]
    shown = server.ok("GET", f"/v1/payments/{pay_no}")
    assert (shown["status"], shown["status_code"]) == ("paid", str(RECORD_PAID))
    assert shown["trade_no"] == books.record(pay_no)["trade_no"]
    assert server.ok("GET", f"/v1/orders/{order_id}")["status_code"] == str(PAID)
    assert len(messages.drain()) == 1
