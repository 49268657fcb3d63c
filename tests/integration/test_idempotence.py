"""Doing something again, or many at once, is the same as doing it once."""

import concurrent.futures

from books import PAID, RECORD_PAID
from waiting import wait_for


def at_once(count, call):
    """The results of `count` calls that run together."""
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda _: call(), range(count)))


def test_the_same_number_twice_is_one_order(server, books):
    first, second = server.order("n1"), server.order("n1")
    assert first["order_id"] == second["order_id"]
    assert books.count("orders") == 1


def test_the_same_number_concurrently_is_one_order(server, books):
    orders = at_once(24, lambda: server.order("n1"))
    assert len({order["order_id"] for order in orders}) == 1
    assert books.count("orders") == 1
    assert books.count("order_goods") == 0


def test_a_paid_order_is_returned_again(server, books, notice):
    order = server.order("n1")
    pay_no = server.payment(order["order_id"])["pay_no"]
    assert server.notify(notice(pay_no)) == (200, "success")
    assert server.order("n1")["order_id"] == order["order_id"]
    assert books.count("orders") == 1


def test_the_same_number_with_other_facts_is_a_conflict(server, books):
    server.order("n1", user_id="u1")
    for change in ({"amount": "88.81"}, {"user_id": "u2"}, {"order_type": "60202"}):
        body = {"out_business_id": "n1", "amount": "88.80", "currency": "CNY", "name": "x", "order_type": "60201",
                "user_id": "u1", **change}
        assert server.api("POST", "/v1/orders", body).status_code == 409, change
    assert books.count("orders") == 1


def test_the_same_number_of_another_app_is_another_order(server, books):
    mine = server.order("n1")
    body = {"out_business_id": "n1", "amount": "1.00", "currency": "CNY", "name": "x"}
    theirs = server.ok("POST", "/v1/orders", body, app="other")
    assert mine["order_id"] != theirs["order_id"]
    assert books.count("orders") == 2


def test_the_same_idempotency_key_concurrently_is_one_attempt(server, books):
    order_id = server.order("n1")["order_id"]
    payments = at_once(16, lambda: server.payment(order_id, idempotency_key="k1"))
    assert len({payment["pay_no"] for payment in payments}) == 1
    assert books.count("pay_records") == 1


def test_every_attempt_without_a_key_has_its_own_pay_no(server, books):
    order_id = server.order("n1")["order_id"]
    assert len({server.payment(order_id)["pay_no"] for _ in range(5)}) == 5
    assert books.count("pay_records") == 5


def assert_paid_once(books, messages, order_id, pay_no):
    assert books.order(order_id)["status"] == PAID
    assert books.record(pay_no)["status"] == RECORD_PAID
    assert books.events(order_id) == ["payment.succeeded"]
    messages.wait(1)
    wait_for(lambda: books.count("outbox") == 0, 10, "the outbox to be empty")
    assert len(messages.drain()) == 1
    assert books.count("delivery_history") == 1


def test_the_same_notice_50_times_pays_once(server, books, notice, messages):
    order_id = server.order("n1")["order_id"]
    pay_no = server.payment(order_id)["pay_no"]
    body = notice(pay_no)
    assert [server.notify(body) for _ in range(50)] == [(200, "success")] * 50
    assert_paid_once(books, messages, order_id, pay_no)


def test_the_same_notice_50_times_concurrently_pays_once(server, books, notice, messages):
    order_id = server.order("n1")["order_id"]
    pay_no = server.payment(order_id)["pay_no"]
    body = notice(pay_no)
    assert at_once(50, lambda: server.notify(body)) == [(200, "success")] * 50
    assert_paid_once(books, messages, order_id, pay_no)


def test_concurrent_closes_close_once(server, books):
    order_id = server.order("n1")["order_id"]
    server.payment(order_id)
    answers = at_once(8, lambda: server.api("POST", f"/v1/orders/{order_id}/close").status_code)
    assert set(answers) <= {200, 202}
    wait_for(lambda: server.api("POST", f"/v1/orders/{order_id}/close").status_code == 200, 30, "the order to be closed")
    assert books.events(order_id) == ["order.closed"]
