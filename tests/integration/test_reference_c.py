"""Row by row what a mall with WeChat Pay's native codes has today, and must find here: design's reference C. On both stores."""

import json
import re
import urllib.parse

import pytest
import requests

import messages as messages_module
import wechat
from books import CLOSED, PAID, RECORD_CLOSED, RECORD_UNPAID, UNPAID
from paynotifyd import SLOWNESS, wechat_settings
from waiting import wait_for

MALL = "mall"


@pytest.fixture
def names(clean_broker):
    """The mall's own names of exchange, key and queue, fresh for each test."""
    names = {"exchange": "exchange.order", "queue": "queue.order"}
    yield names
    connection = messages_module.pika.BlockingConnection(messages_module.pika.URLParameters(clean_broker.url))
    channel = connection.channel()
    channel.queue_delete(names["queue"])
    channel.exchange_delete(names["exchange"])
    connection.close()


@pytest.fixture
def mall(make_server, sandbox, clean_broker, names):
    """mall(**channel): a server as the mall would configure it, with these keys of its channel."""
    def make(app=None, **channel):
        return make_server({
            "channel wechat": {**wechat_settings(sandbox, sign_type="MD5"), **channel},
            "app learning": {"channels": "wechat", **(app or {})},
            f"sink {MALL}": {"plugin": "sink-rabbitmq", "url": clean_broker.url, "format": "provider",
                             "exchange": names["exchange"], "exchange_type": "direct", "routing_key": "queue.order",
                             "queue": names["queue"]},
        }).start()
    return make


@pytest.fixture
def queue(names, clean_broker):
    reader = messages_module.Messages(clean_broker.url, names["queue"])
    yield reader
    reader.close()


def pay_code(server, number="m1", **order):
    """(order, payment): what the mall calls generating a pay code."""
    made = server.order(number, **order)
    return made, server.payment(made["order_id"], channel="wechat", product="native", client_ip="203.0.113.9")


def asked(sandbox, method, pay_no):
    return len(re.findall(rf"wechat {method} {pay_no}:", sandbox.log()))


def get(url, **more):
    return requests.get(url, timeout=30 * SLOWNESS, allow_redirects=False, **more)


# ---------------------------------------------------------------------------------------------------- pay code

def test_a_pay_code_is_made_by_unifiedorder(mall, sandbox):
    server = mall()
    order, payment = pay_code(server)
    assert payment["code_url"].startswith("weixin://wxpay/bizpayurl?pr=")
    assert (payment["amount"], payment["order_id"]) == ("88.80", order["order_id"])
    trade = sandbox.trade(payment["pay_no"])  # its out_trade_no is our pay_no, because WeChat takes each number once
    assert (trade["status"], trade["total_amount"]) == ("NOTPAY", "88.80")
    assert asked(sandbox, "unifiedorder", payment["pay_no"]) == 1
    # Another attempt for the same order is another number, and no error of WeChat's.
    assert server.payment(order["order_id"], channel="wechat", product="native")["pay_no"] != payment["pay_no"]


def test_the_page_shows_the_code_with_number_and_amount(mall, sandbox):
    server = mall()
    order = server.order("m1")
    link, _, signature = order["cashier_url"].partition("?k=")
    chosen = requests.post(link + "/pay", data={"k": signature, "channel": "wechat", "product": "native"}, timeout=30 * SLOWNESS,
                           allow_redirects=False)
    page = get(urllib.parse.urljoin(chosen.url, chosen.headers["Location"]))
    assert page.status_code == 200
    assert 'src="data:image/png;base64,' in page.text
    assert "m1" in page.text and "88.80" in page.text
    assert len(sandbox.trades()) == 1


# ---------------------------------------------------------------------------------------------------- polling page

def status_of(payment):
    link, _, signature = payment["pay_url"].partition("?k=")
    answer = get(f"{link}/status?k={signature}")
    assert answer.status_code == 200 and answer.headers["Cache-Control"] == "no-store"
    said = answer.json()
    assert said["pay_no"] == payment["pay_no"]
    return said["status"], said["order_status"]


def test_the_page_learns_of_the_payment_without_asking_wechat(mall, sandbox, books):
    server = mall(query_interval="1h")
    order, payment = pay_code(server)
    page = get(payment["pay_url"])
    assert "88.80" in page.text and "setTimeout(ask,3000)" in page.text
    for _ in range(3):
        assert status_of(payment) == ("unpaid", "unpaid")
    assert asked(sandbox, "orderquery", payment["pay_no"]) == 0
    sandbox.pay(payment["pay_no"])
    wait_for(lambda: status_of(payment) == ("paid", "paid"), 30 * SLOWNESS, "the page to hear of it")
    assert get(payment["pay_url"]).status_code == 409  # nothing more to pay
    assert asked(sandbox, "orderquery", payment["pay_no"]) == 0


def test_the_page_stops_when_time_is_out(mall, sandbox, books):
    sandbox.wechat_set(close_after_ms=0)
    server = mall(query_interval="1h")
    order, payment = pay_code(server, expires_in=2)
    wait_for(lambda: status_of(payment)[1] == "closed", 60 * SLOWNESS, "the order to expire")
    assert status_of(payment) == ("closed", "closed")
    assert get(payment["pay_url"]).status_code == 410


# ---------------------------------------------------------------------------------------------------- queries

def test_the_state_is_asked_for_by_orderquery(mall, sandbox, books):
    server = mall(query_interval="1h")
    order, payment = pay_code(server)
    assert server.ok("GET", f"/v1/payments/{payment['pay_no']}?refresh=true")["status"] == "unpaid"
    sandbox.pay(payment["pay_no"], notify=False)
    assert server.ok("GET", f"/v1/payments/{payment['pay_no']}?refresh=true")["status"] == "paid"
    assert asked(sandbox, "orderquery", payment["pay_no"]) == 2
    assert books.order(order["order_id"])["status"] == PAID


def test_ten_queries_without_a_payment_close_the_order_and_give_back_what_was_reserved(mall, sandbox, books, queue):
    sandbox.wechat_set(close_after_ms=0)
    server = mall({"close_after_queries": "10"}, query_interval="100ms")
    order, payment = pay_code(server, attach={"stock": {"sku-1": 2}, "coupon": "c1"})
    wait_for(lambda: books.order(order["order_id"])["status"] == CLOSED, 90 * SLOWNESS, "the order to be closed")
    assert books.record(payment["pay_no"])["status"] == RECORD_CLOSED
    assert sandbox.trade(payment["pay_no"])["status"] == "CLOSED"
    assert asked(sandbox, "closeorder", payment["pay_no"]) == 1
    assert asked(sandbox, "orderquery", payment["pay_no"]) == 12  # ten, and one on each side of the close
    assert books.events(order["order_id"]) == ["order.closed"]
    data = json.loads(books.rows("SELECT data FROM events")[0]["data"])
    assert data["attach"] == {"stock": {"sku-1": 2}, "coupon": "c1"}
    assert queue.drain() == []  # their listener would take it for a failed payment of an order that may be paid again


def test_a_payment_that_the_background_finds_is_told_like_any_other(mall, sandbox, books, queue):
    server = mall({"close_after_queries": "10"}, query_interval="1s")
    order, payment = pay_code(server)
    sandbox.pay(payment["pay_no"], notify=False)
    body = json.loads(queue.wait(1, 60 * SLOWNESS)[0][1])
    assert (body["return_code"], body["result_code"]) == ("SUCCESS", "SUCCESS")
    assert body["out_trade_no"] == "m1" and body["pay_no"] == payment["pay_no"]
    assert body["transaction_id"] == books.record(payment["pay_no"])["trade_no"]
    assert re.fullmatch(r"\d{14}", body["time_end"])


# ---------------------------------------------------------------------------------------------------- notify

def test_a_notification_is_answered_as_wechat_wants_it(mall, sandbox, books):
    server = mall(query_interval="1h")
    order, payment = pay_code(server)
    sandbox.pay(payment["pay_no"])
    answer = sandbox.wait_accepted(payment["pay_no"])["notices"][0]["attempts"][-1]["answer"]
    assert answer == "<xml><return_code><![CDATA[SUCCESS]]></return_code><return_msg><![CDATA[OK]]></return_msg></xml>"
    assert books.order(order["order_id"])["status"] == PAID


@pytest.mark.parametrize("hostile", [
    '<!DOCTYPE xml [<!ENTITY x SYSTEM "file:///etc/passwd">]><xml><return_code>&x;</return_code></xml>',
    '<!DOCTYPE xml [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><xml><return_code>&b;</return_code></xml>',
    "<xml><return_code>SUCCESS</return_code><result_code>SUCCESS</result_code><out_trade_no>%s</out_trade_no></xml>",
], ids=["external entity", "entity bomb", "no signature"])
def test_both_holes_of_the_original_are_closed(mall, sandbox, books, hostile):
    server = mall(query_interval="1h")
    order, payment = pay_code(server)
    status, text = server.notify(hostile.replace("%s", payment["pay_no"]), channel="wechat", headers={"Content-Type": "text/xml"})
    assert wechat.read_xml(text)["return_code"] == "FAIL"
    assert books.order(order["order_id"])["status"] == UNPAID
    assert books.record(payment["pay_no"])["status"] == RECORD_UNPAID


# ---------------------------------------------------------------------------------------------------- publish, consumer

def test_the_message_is_what_their_listener_reads(mall, sandbox, books, queue):
    server = mall(query_interval="1h")
    order, payment = pay_code(server)
    sandbox.pay(payment["pay_no"])
    properties, raw = queue.wait(1, 60 * SLOWNESS)[0]
    assert (properties.content_type, properties.content_encoding, properties.delivery_mode) == ("text/plain", "UTF-8", 2)
    body = json.loads(raw)
    assert body["out_trade_no"] == "m1"  # THEIR number; ours is beside it
    assert body["pay_no"] == payment["pay_no"]
    assert (body["return_code"], body["result_code"]) == ("SUCCESS", "SUCCESS")
    assert body["transaction_id"] == sandbox.trade(payment["pay_no"])["trade_no"]
    assert re.fullmatch(r"\d{14}", body["time_end"])
    assert body["total_fee"] == "8880"
    assert not {"sign", "nonce_str"} & set(body)


def test_the_exchange_is_direct_and_durable(mall, sandbox, queue, names, clean_broker):
    server = mall(query_interval="1h")
    order, payment = pay_code(server)
    sandbox.pay(payment["pay_no"])
    queue.wait(1, 60 * SLOWNESS)
    connection = messages_module.pika.BlockingConnection(messages_module.pika.URLParameters(clean_broker.url))
    try:
        # Declaring something again fails unless it is there with just these properties.
        connection.channel().exchange_declare(names["exchange"], "direct", durable=True)
        connection.channel().queue_declare(names["queue"], durable=True)
    finally:
        connection.close()


def test_nothing_but_a_success_is_ever_sent(mall, sandbox, books, queue):
    """Their listener marks the order as deleted at anything else."""
    sandbox.wechat_set(close_after_ms=0)
    server = mall(query_interval="1h")
    closed, _ = pay_code(server, "m1")
    assert server.ok("POST", f"/v1/orders/{closed['order_id']}/close")["status"] == "closed"
    failed, payment = pay_code(server, "m2")
    sandbox.fault("notice", "change", fields={"total_fee": "1"}, pay_no=payment["pay_no"])
    sandbox.pay(payment["pay_no"])
    wait_for(lambda: books.order(failed["order_id"])["status"] == PAID, 60 * SLOWNESS, "the right notice")
    server.ok("POST", f"/v1/payments/{payment['pay_no']}/refunds", {"out_refund_id": "r1"})
    wait_for(lambda: "refund.succeeded" in books.events(failed["order_id"]), 60 * SLOWNESS, "the refund")
    queue.wait(1, 60 * SLOWNESS)
    wait_for(lambda: books.count("outbox") == 0, 30 * SLOWNESS, "the outbox to be empty")
    assert [json.loads(body)["out_trade_no"] for _, body in queue.drain()] == ["m2"]


def test_a_configuration_that_would_send_anything_else_is_refused(mall, make_server, sandbox, clean_broker):
    server = make_server({f"sink {MALL}": {"plugin": "sink-rabbitmq", "url": clean_broker.url, "format": "provider",
                                           "events": "payment.succeeded, order.closed"}})
    server.start(wait=False)
    server.process.wait(30 * SLOWNESS)
    assert "order.closed" in server.text_of_log() and server.process.returncode != 0
