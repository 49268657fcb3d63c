"""Two servers on one PostgreSQL database: they share the work, and each is there when the other is not."""

import concurrent.futures

import pytest

from books import PAID
from cashier import Cashier
from notices import Senders, until_all_accepted
from waiting import wait_for

pytestmark = pytest.mark.store("pg")


@pytest.fixture
def pair(make_server):
    """Both started; the second uses the link key that the first has made."""
    first = make_server().start()
    second = make_server({"server": {"node_name": "second", "link_key_file": first.directory + "/link.key"}}).start()
    return first, second


def assert_paid_and_told_once(books, messages, count):
    assert books.count("orders", "status = %s", PAID) == count
    assert books.count("events", "type = 'payment.succeeded'") == count
    messages.wait_distinct([row["event_id"] for row in books.rows("SELECT event_id FROM events")], 90)
    wait_for(lambda: books.count("outbox") == 0, 30, "the outbox to be empty")
    assert books.count("delivery_history") == count


def test_notices_to_both_are_settled_once(pair, books, bulk, messages):
    notices = bulk(pair[0], 300)
    with Senders(pair[0].public_port, notices, threads=8) as one, Senders(pair[1].public_port, notices[::-1], threads=8) as other:
        one.join()
        other.join()
    everything = {key for key, _ in notices}
    assert one.answered("success") == other.answered("success") == everything
    assert_paid_and_told_once(books, messages, 300)


def test_the_same_order_at_both_is_one_order(pair, books):
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        orders = list(pool.map(lambda i: pair[i % 2].order(f"n{i // 4}"), range(64)))
    assert len({order["order_id"] for order in orders}) == 16
    assert books.count("orders") == 16


def test_a_choice_at_the_cashiers_of_both_is_one_payment(pair, books):
    """And a server whose clock is behind does not take an older choice for the newer one: choices are counted, not timed."""
    cashiers = [Cashier(pair[0].order("n1")["cashier_url"].replace(pair[0].public, server.public)) for server in pair]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda i: cashiers[i % 2].press("alipay", "precreate"), range(32)))
    assert {answer.status_code for answer in answers} == {303}
    assert books.count("pay_records") == 1
    _, last = cashiers[1].choose("alipay", "wap")
    assert [cashier.at(last).state for cashier in cashiers] == ["open", "open"]
    assert books.count("pay_records", "idempotency_key = %s", "cashier:1") == 1


def test_a_link_of_one_opens_at_the_other(pair, pay_page):
    link = pair[0].payment(pair[0].order("n1")["order_id"])["pay_url"]
    form = pay_page(link.replace(pair[0].public, pair[1].public))
    assert "biz_content" in form.fields


def test_what_a_dead_server_left_is_delivered_by_the_other(pair, clean_broker, books, bulk, messages):
    clean_broker.stop()
    notices = bulk(pair[0], 100)
    until_all_accepted(pair[0].public_port, notices)
    wait_for(lambda: books.count("outbox", "due_at < %s", 2**62) == 100, 30, "the messages to be kept")
    pair[0].kill9()
    clean_broker.start()
    assert_paid_and_told_once(books, messages, 100)


def test_one_stops_under_load_and_the_other_takes_over(pair, books, bulk, messages):
    notices = bulk(pair[0], 400)
    with Senders(pair[0].public_port, notices) as senders:
        assert senders.wait(100)
        pair[0].sigterm()
    until_all_accepted(pair[1].public_port, notices)
    assert_paid_and_told_once(books, messages, 400)
