"""sink-rabbitmq against a real RabbitMQ, without the server: tests/unit/sink_driver loads the plugin and does as it is told.

Delivery is at least once: where a connection breaks, a message may come twice, and none may be missing.
"""
import os
import queue
import re
import socket
import ssl
import subprocess
import threading
import uuid

import pika
import pytest

from rabbitmq import RabbitMQ, free_ports
from waiting import wait_for

BUILD = os.environ.get("PN_BUILDDIR") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FIRST_ID = 7000000000000000000


class Driver:
    """One sink_driver process. ask() sends a command and returns its answer; what the plugin logged is in `log`."""

    def __init__(self, **settings):
        self.log = []
        self.failures = []
        self.reasons = []
        self._lines = queue.Queue()
        self._process = subprocess.Popen(
            [os.path.join(BUILD, "tests/unit/sink_driver"), os.path.join(BUILD, ".libs/paynotify-sink-rabbitmq.so"),
             *(f"{name}={value}" for name, value in settings.items())],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self._process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def begin(self, command):
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()

    def answer(self, word, seconds=100):
        while True:
            line = self._lines.get(timeout=seconds)
            assert line is not None, f"the driver ended with {self._process.wait()}"
            assert not line.startswith("FAULT"), line
            if line.startswith("log "):
                self.log.append(line[4:])
            elif line.startswith("fail "):
                self.failures.append(line[5:])
            elif line.startswith("reason "):
                self.reasons.append(line[7:])
            elif line.startswith(word + " "):
                return line[len(word) + 1:]

    def ask(self, command, seconds=100):
        self.begin(command)
        return self.answer(command.split(" ")[0], seconds)

    def connect(self, timeout_ms=10000):
        return int(self.ask(f"connect {timeout_ms}"))

    def outcomes(self, command="outcomes"):
        self.reasons = []
        self.begin(command)
        text = self.answer("outcomes")
        return {k: int(v) for k, v in re.findall(r"(\w+)=(\d+)", text) if int(v) > 0}

    def expect_open(self):
        assert self.answer("open") == "ok"
        return self

    def end(self):
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()


@pytest.fixture(scope="module")
def broker():
    node = RabbitMQ()
    try:
        yield node.start(tls=True)
    finally:
        node.close()


@pytest.fixture
def names():
    """Names of a test's own: an exchange and a queue."""
    tail = uuid.uuid4().hex[:8]
    return {"exchange": f"x-{tail}", "queue": f"q-{tail}"}


@pytest.fixture
def drive(broker, names):
    """Opens sinks on this broker; ends them with the test."""
    drivers = []

    def open_sink(connect=True, **settings):
        driver = Driver(**{"url": broker.url, **names, **settings}).expect_open()
        drivers.append(driver)
        if connect:
            assert driver.connect() == 0, driver.failures
        return driver
    yield open_sink
    for driver in drivers:
        driver.end()


@pytest.fixture
def channel(broker):
    connection = pika.BlockingConnection(pika.URLParameters(broker.url))
    yield connection.channel()
    if connection.is_open:
        connection.close()


def read_all(channel, queue_name):
    """Every message that is in the queue now: (routing key, properties, body)."""
    found = []
    while True:
        method, properties, body = channel.basic_get(queue_name, auto_ack=True)
        if method is None:
            return found
        found.append((method.routing_key, properties, body))


def ids_in(broker, queue_name):
    connection = pika.BlockingConnection(pika.URLParameters(broker.url))
    channel = connection.channel()
    count = channel.queue_declare(queue_name, passive=True).method.message_count
    ids = []
    if count:
        for _, properties, _ in channel.consume(queue_name, auto_ack=True, inactivity_timeout=20):
            ids.append(int(properties.message_id) - FIRST_ID)
            if len(ids) == count:
                break
    connection.close()
    return ids


# --------------------------------------------------------------------------------------------------------- delivering


def test_five_thousand_messages_arrive_once_and_in_order(broker, drive, names):
    sink = drive()
    assert sink.ask("submit 5000") == "ok 5000"
    assert sink.ask("settle 60000") == "ok 0"
    assert sink.outcomes() == {"delivered": 5000}
    assert ids_in(broker, names["queue"]) == list(range(5000))
    assert sink.outcomes("close") == {"delivered": 5000}


def test_a_consumer_sees_the_properties(drive, names, channel):
    sink = drive(routing_key="pay.{app}.{event_type}")
    sink.ask("event app=shop")
    sink.ask('event body={"id":"7","messageType":"payresult_notify"}')
    sink.ask("submit 1")
    sink.ask("settle 20000")
    (key, properties, body), = read_all(channel, names["queue"])
    assert key == "pay.shop.payment.succeeded"
    assert body == b'{"id":"7","messageType":"payresult_notify"}'
    assert properties.delivery_mode == 2
    assert properties.message_id == str(FIRST_ID)
    assert properties.content_type == "application/json"
    assert properties.content_encoding == "UTF-8"
    assert properties.timestamp == 1700000000
    assert properties.type == "payment.succeeded"
    assert properties.app_id == "paynotify"
    assert properties.headers == {"app": "shop", "order_type": "60201"}


def test_exchange_and_queue_are_durable_and_as_reference_a_declares_them(broker, drive, channel):
    sink = Driver(url=broker.url).expect_open()
    try:
        assert sink.connect() == 0
        channel.exchange_declare("paynotify_exchange_fanout", "fanout", durable=True)
        channel.queue_declare("paynotify_queue", durable=True)
        sink.ask("submit 3")
        sink.ask("settle 20000")
        assert len(read_all(channel, "paynotify_queue")) == 3
    finally:
        sink.end()


def test_a_direct_exchange_binds_the_queue_by_the_routing_key(drive, names, channel):
    sink = drive(exchange_type="direct", routing_key="queue.order", queue="queue.order")
    sink.ask("submit 2")
    sink.ask("settle 20000")
    assert [key for key, _, _ in read_all(channel, "queue.order")] == ["queue.order"] * 2


def test_the_default_exchange_needs_only_a_queue(drive, names, channel):
    sink = drive(exchange="", routing_key=names["queue"])
    sink.ask("submit 2")
    sink.ask("settle 20000")
    assert sink.outcomes() == {"delivered": 2}
    assert len(read_all(channel, names["queue"])) == 2


def test_a_quorum_queue_can_be_asked_for(drive, names):
    sink = drive(queue_type="quorum")
    sink.ask("submit 10")
    assert sink.ask("settle 60000") == "ok 0"
    assert sink.outcomes() == {"delivered": 10}


def test_a_body_larger_than_a_frame_arrives_whole(drive, names, channel):
    sink = drive()
    sink.ask("pad 700000")
    sink.ask("submit 2")
    assert sink.ask("settle 60000") == "ok 0"
    assert [body for _, _, body in read_all(channel, names["queue"])] == [b"x" * 700000] * 2


def test_the_window_bounds_what_is_in_flight(drive):
    sink = drive(window=7)
    assert sink.ask("offer 100") == "full 1"  # until the first confirm
    assert sink.ask("settle 20000") == "ok 0"
    for _ in range(2):
        assert sink.ask("offer 100") == "full 7"
        assert sink.ask("settle 20000") == "ok 0"
    assert sink.ask("submit 50") == "ok 50"
    sink.ask("settle 20000")
    assert sink.outcomes() == {"delivered": 65}


def test_a_message_that_amqp_cannot_carry_is_rejected_and_the_next_one_is_not(drive):
    sink = drive(routing_key="{out_business_id}")
    sink.ask("event out_business_id=" + "x" * 256)
    sink.ask("submit 1")
    sink.ask("event out_business_id=" + "x" * 255)
    sink.ask("submit 1")
    sink.ask("settle 20000")
    assert sink.outcomes() == {"delivered": 1, "rejected": 1}
    assert sink.reasons == ["the routing key is longer than 255 bytes"]


def test_pump_returns_at_once_when_it_is_woken(drive):
    sink = drive()
    sink.ask("wake")
    for _ in range(3):
        assert sink.ask("pump 600000", seconds=60) == "ok"


# ------------------------------------------------------------------------------------------------- not every message


def test_an_unroutable_message_is_to_be_tried_again(drive, channel, names):
    sink = drive(queue="")
    sink.ask("submit 2500")
    assert sink.ask("settle 60000") == "ok 0"
    assert sink.outcomes() == {"retry": 2500}
    assert sink.reasons == [f'unroutable: 312 NO_ROUTE (exchange "{names["exchange"]}", routing key "")']
    channel.queue_declare(names["queue"], durable=True)
    channel.queue_bind(names["queue"], names["exchange"])
    sink.ask("again")
    assert sink.ask("settle 60000") == "ok 0"
    assert sink.outcomes() == {"delivered": 2500}
    messages = read_all(channel, names["queue"])
    assert [int(p.message_id) - FIRST_ID for _, p, _ in messages] == list(range(2500))
    assert {p.headers["attempt"] for _, p, _ in messages} == {2}


def test_unroutable_and_routable_messages_are_told_apart(drive):
    sink = drive(exchange_type="topic", routing_key="{app}", binding_key="shop")
    for i in range(40):
        sink.ask("event app=" + ("shop" if i % 2 else "nobody"))
        sink.ask("submit 5")
    assert sink.ask("settle 20000") == "ok 0"
    assert sink.outcomes() == {"delivered": 100, "retry": 100}


def test_without_mandatory_the_broker_drops_what_nobody_wants(drive):
    sink = drive(queue="", mandatory="false")
    sink.ask("submit 5")
    sink.ask("settle 20000")
    assert sink.outcomes() == {"delivered": 5}


def test_a_full_queue_refuses_and_the_message_is_to_be_tried_again(drive, channel, names):
    channel.exchange_declare(names["exchange"], "fanout", durable=True)
    channel.queue_declare(names["queue"], durable=True, arguments={"x-max-length": 10, "x-overflow": "reject-publish"})
    channel.queue_bind(names["queue"], names["exchange"])
    sink = drive(declare="false")
    sink.ask("submit 50")
    assert sink.ask("settle 20000") == "ok 0"
    outcomes = sink.outcomes()
    assert outcomes["retry"] >= 35 and outcomes["delivered"] >= 10 and sum(outcomes.values()) == 50
    assert sink.reasons == ["the broker refused the message (basic.nack): a queue is full or failed"]
    assert channel.queue_declare(names["queue"], passive=True).method.message_count == outcomes["delivered"]


# ------------------------------------------------------------------------------------------------- trouble with brokers


def test_a_blocked_broker_fills_the_window_and_heartbeats_go_on(broker, drive, names):
    broker.ctl("set_vm_memory_high_watermark", "0")
    try:
        sink = drive(heartbeat=1000)
        assert sink.ask("offer 10") == "full 1"  # a broker tells only those who publish: so one is all that it gets
        wait_for(lambda: sink.ask("pump 100") and any("takes no messages" in line for line in sink.log),
                 30, "the broker to say that it is blocked")
        assert sink.ask("offer 10") == "full 0"
        for _ in range(8):  # a pump ends with each sign of life; two heartbeats of silence would end the connection
            assert sink.ask("pump 1000") == "ok"
        assert sink.ask("offer 10") == "full 0"
    finally:
        broker.ctl("set_vm_memory_high_watermark", "0.8")
    wait_for(lambda: sink.ask("pump 100") and any("takes messages again" in line for line in sink.log),
             30, "the broker to take messages again")
    assert sink.ask("submit 10") == "ok 10"
    assert sink.ask("settle 20000") == "ok 0"
    assert sink.outcomes() == {"delivered": 11}
    assert ids_in(broker, names["queue"]) == list(range(11))


def test_a_frozen_broker_is_given_up_and_nothing_is_lost(broker, drive, names):
    sink = drive(heartbeat=1000)
    sink.ask("submit 100")
    sink.ask("settle 20000")
    broker.freeze()
    try:
        assert sink.ask("offer 300") == "ok 300"
        while sink.ask("pump 1000") == "ok":
            pass
        assert "has been silent" in sink.log[-1]
        assert sink.outcomes() == {"delivered": 100, "unavailable": 300}
        assert sink.connect(500) == -5
        assert "does not answer" in sink.failures[-1]
    finally:
        broker.thaw()
    assert sink.connect() == 0
    sink.ask("again")
    assert sink.ask("settle 30000") == "ok 0"
    assert sink.outcomes() == {"delivered": 400}
    assert set(ids_in(broker, names["queue"])) == set(range(400))


def test_an_idle_connection_stays_up(broker, drive):
    sink = drive(heartbeat=1000)
    for _ in range(8):
        assert sink.ask("pump 1500") == "ok"
    sink.ask("submit 1")
    sink.ask("settle 20000")
    assert sink.outcomes() == {"delivered": 1}


def test_interrupt_ends_a_call_that_does_not_come_back(broker, drive):
    sink = drive()
    broker.freeze()
    try:
        sink.ask("submit 1")
        sink.ask("interrupt 200")
        while sink.ask("pump 600000", seconds=60) == "ok":
            pass
        assert sink.outcomes() == {"unavailable": 1}
        assert sink.reasons == ["the server gave the connection up"]
    finally:
        broker.thaw()


def test_closing_settles_what_a_frozen_broker_never_confirmed(broker, drive):
    sink = drive()
    sink.ask("submit 1")
    sink.ask("settle 20000")
    broker.freeze()
    try:
        sink.ask("offer 10")
        sink.ask("pump 10")
        assert sink.outcomes("close") == {"delivered": 1, "unavailable": 10}
    finally:
        broker.thaw()


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_a_broker_restarted_in_the_middle_loses_nothing(broker, drive, names, how):
    sink = drive()
    sink.begin("submit 200000")
    wait_for(lambda: message_count(broker, names["queue"]) > 1000, 60, "the first messages to arrive")
    getattr(broker, how)()
    try:
        assert sink.answer("submit").startswith("down ")
        before = sink.outcomes()
        assert before["unavailable"] > 0 and "flying" not in before
        assert sink.connect(500) == -5
        assert "Connection refused" in sink.failures[-1]
    finally:
        broker.start()
    assert sink.connect() == 0
    sink.ask("again")
    assert sink.ask("settle 60000") == "ok 0"
    after = sink.outcomes()
    assert set(after) == {"delivered"}
    assert set(ids_in(broker, names["queue"])) == set(range(after["delivered"]))


def message_count(broker, queue_name):
    connection = pika.BlockingConnection(pika.URLParameters(broker.url))
    try:
        return connection.channel().queue_declare(queue_name, passive=True).method.message_count
    finally:
        connection.close()


def test_an_exchange_that_vanishes_ends_the_connection_and_not_the_process(drive, names, channel):
    sink = drive()
    sink.ask("submit 1")
    sink.ask("settle 20000")
    channel.exchange_delete(names["exchange"])
    sink.ask("submit 20")
    assert sink.ask("settle 20000").startswith("down")
    assert f"404 NOT_FOUND - no exchange '{names['exchange']}'" in sink.log[-1]
    assert sink.outcomes() == {"delivered": 1, "unavailable": 20}
    assert sink.connect() == 0  # declares it anew
    sink.ask("again")
    sink.ask("settle 20000")
    assert sink.outcomes() == {"delivered": 21}


# ---------------------------------------------------------------------------------------------------- cannot connect


def refusal(driver, timeout_ms=10000):
    assert driver.connect(timeout_ms) == -5
    return driver.failures[-1]


def test_a_missing_exchange_is_told_when_connecting(drive, names):
    text = refusal(drive(connect=False, declare="false"))
    assert f'exchange "{names["exchange"]}"' in text and "404 NOT_FOUND" in text


def test_an_exchange_of_another_type_is_told_when_connecting(drive, names, channel):
    channel.exchange_declare(names["exchange"], "direct", durable=True)
    text = refusal(drive(connect=False))
    assert f'exchange "{names["exchange"]}"' in text and "406 PRECONDITION_FAILED" in text and "type" in text


def test_a_wrong_password_is_told_without_showing_it(broker, drive):
    sink = drive(connect=False, url=f"amqp://guest:hunter2@127.0.0.1:{broker.port}/")
    text = refusal(sink)
    assert 'login as "guest"' in text and "403 ACCESS_REFUSED" in text
    assert "hunter2" not in " ".join(sink.failures + sink.log)


def test_a_missing_virtual_host_is_told(broker, drive):
    text = refusal(drive(connect=False, url=f"amqp://127.0.0.1:{broker.port}/nowhere"))
    assert "530 NOT_ALLOWED" in text and "nowhere" in text


def test_nobody_listening_is_told(drive):
    port, = free_ports(1)
    assert "Connection refused" in refusal(drive(connect=False, url=f"amqp://127.0.0.1:{port}/"))


def test_a_name_that_does_not_exist_is_told(drive):
    assert "cannot resolve nowhere.invalid" in refusal(drive(connect=False, url="amqp://nowhere.invalid/"))


@pytest.fixture
def impostor():
    """A server that answers every connection with the given bytes, or not at all, over TLS when it has a context."""
    listener = socket.create_server(("127.0.0.1", 0))
    kept = []

    def serve(answer, context=None):
        def run():
            while True:
                try:
                    connection, _ = listener.accept()
                    kept.append(connection)
                    if context:
                        connection = context.wrap_socket(connection, server_side=True)
                        kept.append(connection)
                    connection.sendall(answer)
                except ssl.SSLError:
                    pass
                except OSError:
                    return
        threading.Thread(target=run, daemon=True).start()
        return listener.getsockname()[1]
    yield serve
    listener.close()
    for connection in kept:
        connection.close()


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"AMQP\0\1\0\0", b"\x01\0\0\xff\xff\xff\xff\0"])
def test_what_does_not_speak_amqp_is_told(drive, impostor, answer):
    assert "does not speak AMQP 0-9-1" in refusal(drive(connect=False, url=f"amqp://127.0.0.1:{impostor(answer)}/"))


@pytest.mark.parametrize("scheme,text", [("amqp", "does not answer"), ("amqps", "does not answer the TLS handshake")])
def test_a_server_that_says_nothing_is_given_up_in_time(drive, impostor, scheme, text):
    assert text in refusal(drive(connect=False, url=f"{scheme}://127.0.0.1:{impostor(b'')}/"), 300)


@pytest.mark.parametrize("settings,field", [
    ({"url": "amqp://u:hunter2@h:port/"}, "url"),
    ({"routing_key": "{nothing}"}, "routing_key"),
    ({"exchange": ""}, "routing_key"),
    ({"exchange_type": "direct", "routing_key": "{app}"}, "binding_key"),
    ({"queue": "q" * 256}, "queue"),
    ({"ca": "nonsense"}, "url"),
    ({"url": "amqps://localhost/", "ca": "nonsense"}, "ca"),
    ({"url": "amqps://localhost/", "client_cert": "nonsense"}, "client_key"),
])
def test_wrong_settings_are_named(settings, field):
    driver = Driver(**{"url": "amqp://localhost", **settings})
    try:
        with pytest.raises(AssertionError, match="ended with 1"):
            driver.expect_open()
        assert driver.failures[0].startswith(f"-2 {field}: ")
        assert "hunter2" not in driver.failures[0]
    finally:
        driver.end()


# ---------------------------------------------------------------------------------------------------------------- TLS


def test_messages_arrive_over_tls(broker, drive, names):
    sink = drive(url=broker.tls_url, ca=f"@{broker.ca_file}")
    assert sink.ask("submit 5000") == "ok 5000"
    assert sink.ask("settle 60000") == "ok 0"
    assert sink.outcomes() == {"delivered": 5000}
    assert ids_in(broker, names["queue"]) == list(range(5000))
    assert sink.outcomes("close") == {"delivered": 5000}


def test_large_bodies_arrive_over_tls(broker, drive, names, channel):
    sink = drive(url=broker.tls_url, ca=f"@{broker.ca_file}")
    sink.ask("pad 700000")
    sink.ask("submit 3")
    assert sink.ask("settle 60000") == "ok 0"
    assert [len(body) for _, _, body in read_all(channel, names["queue"])] == [700000] * 3


def test_a_broker_killed_under_tls_is_noticed(broker, drive):
    sink = drive(url=broker.tls_url, ca=f"@{broker.ca_file}")
    sink.ask("submit 1")
    sink.ask("settle 20000")
    broker.kill()
    try:
        sink.ask("offer 10")
        while sink.ask("pump 1000") == "ok":
            pass
        assert sink.outcomes() == {"delivered": 1, "unavailable": 10}
    finally:
        broker.start()
    assert sink.connect() == 0
    sink.ask("again")
    sink.ask("settle 20000")
    assert sink.outcomes() == {"delivered": 11}


def test_a_client_certificate_is_presented_and_must_fit_its_key(broker, drive, names):
    tls = os.path.dirname(broker.ca_file)
    settings = {"url": broker.tls_url, "ca": f"@{broker.ca_file}", "client_cert": f"@{tls}/client.pem"}
    sink = drive(**settings, client_key=f"@{tls}/client.key")
    sink.ask("submit 1")
    sink.ask("settle 20000")
    assert sink.outcomes() == {"delivered": 1}
    other = Driver(**settings, client_key=f"@{tls}/server.key")
    with pytest.raises(AssertionError, match="ended with 1"):
        other.expect_open()
    assert other.failures[0].startswith("-2 client_key: ")


@pytest.mark.parametrize("ca", ["other-ca.pem", None])
def test_a_certificate_by_an_unknown_ca_is_refused(broker, drive, ca):
    settings = {"ca": f"@{os.path.dirname(broker.ca_file)}/{ca}"} if ca else {}
    text = refusal(drive(connect=False, url=broker.tls_url, **settings))
    assert "certificate is not accepted" in text


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_certificate_for_another_name_is_refused(broker, drive, impostor, host):
    tls = os.path.dirname(broker.ca_file)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{tls}/stranger.pem", f"{tls}/stranger.key")
    port = impostor(b"", context)
    text = refusal(drive(connect=False, url=f"amqps://{host}:{port}/", ca=f"@{broker.ca_file}"))
    assert "certificate is not accepted" in text and "mismatch" in text
