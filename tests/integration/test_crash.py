"""kill -9 and SIGTERM under notification load: what was answered `success` is paid in the books and its message arrives.

PN_ROUNDS says how often the server is killed (5; check-long: 50).
"""

import os
import random

import pytest

from books import PAID, RECORD_PAID
from notices import Senders, until_all_accepted
from waiting import wait_for

ROUNDS = int(os.environ.get("PN_ROUNDS", "5"))
PER_ROUND = 400


def assert_nothing_is_lost(books, messages, accepted):
    """Every accepted payment is paid once, with its order and one event, and its event reaches the queue."""
    paid = {str(row["pay_no"]): row for row in books.rows(
        "SELECT r.pay_no, r.status, o.status AS order_status, o.paid_pay_no FROM pay_records r"
        " JOIN orders o ON o.order_id = r.order_id")}
    for pay_no in accepted:
        row = paid[pay_no]
        assert (row["status"], row["order_status"], str(row["paid_pay_no"])) == (RECORD_PAID, PAID, pay_no)
    events = {}
    for row in books.rows("SELECT event_id, pay_no FROM events WHERE type = 'payment.succeeded'"):
        events.setdefault(str(row["pay_no"]), []).append(str(row["event_id"]))
    assert all(len(ids) == 1 for ids in events.values())
    assert accepted <= set(events)
    messages.wait_distinct([events[pay_no][0] for pay_no in accepted], 120)


@pytest.mark.limit(300 + 20 * ROUNDS)
def test_kill_9_under_load_loses_nothing_that_was_accepted(make_server, books, bulk, messages):
    random.seed(7)
    server = make_server().start()
    accepted = set()
    for _ in range(ROUNDS):
        notices = bulk(server, PER_ROUND)
        with Senders(server.public_port, notices) as senders:
            assert senders.wait(random.randrange(PER_ROUND // 8, PER_ROUND * 3 // 4))
            server.kill9()
        accepted |= senders.answered("success")
        server.start()
        # Only what was accepted must be there; what was not is sent again, as a provider does, and settles once.
        assert_nothing_is_lost(books, messages, senders.answered("success"))
        until_all_accepted(server.public_port, notices)
        accepted |= {key for key, _ in notices}
    assert len(accepted) == ROUNDS * PER_ROUND
    assert_nothing_is_lost(books, messages, accepted)
    wait_for(lambda: books.count("outbox") == 0, 60, "the outbox to be empty")


@pytest.mark.limit(300)
def test_sigterm_under_load_loses_and_aborts_nothing(make_server, books, bulk, messages):
    server = make_server().start()
    for _ in range(3):
        notices = bulk(server, PER_ROUND)
        with Senders(server.public_port, notices) as senders:
            assert senders.wait(PER_ROUND // 4)
            server.sigterm()
        server.start()
        assert_nothing_is_lost(books, messages, senders.answered("success"))
        until_all_accepted(server.public_port, notices)
    wait_for(lambda: books.count("outbox") == 0, 60, "the outbox to be empty")


def test_kill_9_of_the_server_while_the_broker_is_away_keeps_the_message(make_server, clean_broker, books, bulk, messages):
    server = make_server().start()
    clean_broker.stop()
    notices = bulk(server, 50)
    until_all_accepted(server.public_port, notices)
    server.kill9()
    clean_broker.start()
    server.start()
    assert_nothing_is_lost(books, messages, {key for key, _ in notices})


@pytest.mark.store("pg")
def test_kill_9_of_postgres_under_load_loses_nothing_that_was_accepted(make_server, postgres, books, bulk, messages):
    server = make_server().start()
    notices = bulk(server, PER_ROUND)
    with Senders(server.public_port, notices) as senders:
        assert senders.wait(PER_ROUND // 4)
        postgres.kill()
        postgres.start()
    assert server.running()
    server.wait_ready()
    assert_nothing_is_lost(books, messages, senders.answered("success"))
    until_all_accepted(server.public_port, notices)
    assert_nothing_is_lost(books, messages, {key for key, _ in notices})
