"""The broker or the database is away, frozen or refuses: payments go on where they can, and every message arrives."""

import threading
import time

import pika
import pytest

from books import PAID
from messages import EXCHANGE, QUEUE
from notices import Senders, until_all_accepted
from waiting import wait_for

# A heartbeat that finds a silent broker within the test.
QUICK = {"sink learning-centre": {"heartbeat": "2s"}}


def pay(server, notice, number="n1"):
    """The order_id of an order that a notification paid."""
    order_id = server.order(number)["order_id"]
    pay_no = server.payment(order_id)["pay_no"]
    assert server.notify(notice(pay_no)) == (200, "success")
    return order_id


def event_ids(books):
    return [row["event_id"] for row in books.rows("SELECT event_id FROM events WHERE type = 'payment.succeeded'")]


def assert_all_arrive(books, messages, seconds=90):
    messages.wait_distinct(event_ids(books), seconds)
    wait_for(lambda: books.count("outbox") == 0, 60, "the outbox to be empty")
    assert books.count("delivery_history") == len(event_ids(books))


def test_broker_down_when_paid_and_up_later(server, clean_broker, books, notice, messages):
    clean_broker.stop()
    order_id = pay(server, notice)
    assert books.order(order_id)["status"] == PAID
    assert books.count("outbox") == 1
    clean_broker.start()
    assert_all_arrive(books, messages)


def test_server_starts_without_its_broker(make_server, clean_broker, books, notice, messages):
    clean_broker.stop()
    server = make_server().start()
    pay(server, notice)
    clean_broker.start()
    assert_all_arrive(books, messages)


def test_a_broker_that_is_away_costs_no_attempt(server, clean_broker, books, notice, messages):
    clean_broker.stop()
    pay(server, notice)
    clean_broker.start()
    assert_all_arrive(books, messages)
    assert books.value("SELECT attempts FROM delivery_history") == 1


def test_unroutable_is_retried_and_not_lost(server, clean_broker, books, notice, messages):
    pay(server, notice)
    messages.wait(1)  # the sink has declared its queue, so that it is gone when deleted
    wait_for(lambda: books.count("outbox") == 0, 30, "the outbox to be empty")
    connection = pika.BlockingConnection(pika.URLParameters(clean_broker.url))
    channel = connection.channel()
    channel.queue_delete(QUEUE)
    pay(server, notice, "n2")
    wait_for(lambda: books.value("SELECT attempts FROM outbox") >= 1, 30, "the message to be returned")
    assert books.count("delivery_history") == 1
    channel.queue_declare(QUEUE, durable=True)
    channel.queue_bind(QUEUE, EXCHANGE)
    connection.close()
    assert_all_arrive(books, messages)


def test_exchange_deleted_under_the_server(server, clean_broker, books, notice, messages):
    pay(server, notice)
    messages.wait(1)
    connection = pika.BlockingConnection(pika.URLParameters(clean_broker.url))
    connection.channel().exchange_delete(EXCHANGE)
    connection.close()
    pay(server, notice, "n2")
    assert_all_arrive(books, messages)


@pytest.mark.limit(400)
def test_broker_restarted_in_the_middle_of_10000_messages(make_server, clean_broker, books, bulk, messages):
    server = make_server(QUICK).start()
    notices = bulk(server, 10000)
    with Senders(server.public_port, notices, threads=8) as senders:
        assert senders.wait(2500)
        clean_broker.kill()
        clean_broker.start()
        assert senders.wait(6000)
        clean_broker.stop()
        clean_broker.start()
        senders.join()
    until_all_accepted(server.public_port, notices)
    assert len(event_ids(books)) == 10000
    assert_all_arrive(books, messages, 180)


def test_frozen_broker_does_not_stop_payments(make_server, clean_broker, books, bulk, messages):
    server = make_server(QUICK).start()
    notices = bulk(server, 400)
    with Senders(server.public_port, notices[:100]) as senders:
        senders.join()
    clean_broker.freeze()
    try:
        with Senders(server.public_port, notices[100:]) as senders:
            senders.join()
        assert senders.answered("success") == {key for key, _ in notices[100:]}
        assert server.is_ready()
        # Long enough for the heartbeat to find out that nobody is there.
        wait_for(lambda: books.count("outbox", "due_at <= %s", int(time.time() * 1000) + 5000) > 0, 30, "the sink to be found down")
    finally:
        clean_broker.thaw()
    assert_all_arrive(books, messages)


def test_frozen_broker_does_not_stop_the_server_from_stopping(make_server, clean_broker, books, notice, messages):
    server = make_server(QUICK).start()
    clean_broker.freeze()
    try:
        pay(server, notice)
        server.sigterm()
    finally:
        clean_broker.thaw()
    server.start()
    assert_all_arrive(books, messages)


@pytest.mark.store("pg")
def test_frozen_postgres_is_answered_with_failure_and_thawed_goes_on(server, postgres, books, bulk, messages):
    notices = bulk(server, 300)
    with Senders(server.public_port, notices[:100]) as senders:
        senders.join()
    assert len(senders.answered("success")) == 100
    postgres.freeze()
    try:
        with Senders(server.public_port, notices[100:200], threads=100, timeout=20) as senders:
            senders.join()
        # Each got an answer, and no one was told that it is done.
        assert all(answers and None not in answers for answers in senders.answers.values())
        assert senders.answered("success") == set()
        assert server.session.get(server.base + "/healthz", timeout=5).status_code == 200
        assert server.session.get(server.base + "/readyz", timeout=10).status_code == 503
    finally:
        postgres.thaw()
    server.wait_ready()
    until_all_accepted(server.public_port, notices)
    assert_all_arrive(books, messages)


@pytest.mark.store("pg")
def test_restarted_postgres_is_found_again(server, postgres, books, bulk, messages):
    notices = bulk(server, 400)
    with Senders(server.public_port, notices) as senders:
        assert senders.wait(100)
        postgres.restart()
    server.wait_ready()
    until_all_accepted(server.public_port, notices)
    assert_all_arrive(books, messages)


@pytest.mark.store("sqlite")
def test_locked_sqlite_is_answered_with_failure_and_goes_on(server, books, notice, messages):
    order_id = server.order("n1")["order_id"]
    pay_no = server.payment(order_id)["pay_no"]
    body = notice(pay_no)
    replies = []
    with books.held(order_id):
        thread = threading.Thread(target=lambda: replies.append(server.notify(body)))
        thread.start()
        thread.join(60)
    assert replies and replies[0][1] != "success"
    wait_for(lambda: server.notify(body) == (200, "success"), 30, "the notice to be accepted")
    assert_all_arrive(books, messages)
