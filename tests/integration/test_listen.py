"""Where the server listens (IPv4, IPv6, unix sockets, sockets from systemd), how many connections it holds, and what a stop
does to requests on the way."""

import http.client
import os
import socket
import subprocess
import threading

import pytest

from paynotifyd import BUILD, SLOWNESS, free_port, is_sanitized
from waiting import wait_for


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=30)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def get(connection, path):
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    return answer.status


# Has nothing to do with the store.
pytestmark = pytest.mark.parametrize("store", ["sqlite"], indirect=True)


def test_several_addresses_of_every_kind(make_server, directory):
    path, port = os.path.join(directory, "public.sock"), free_port()
    server = make_server()
    listen = server.sections["server"]["public_listen"]
    server.sections["server"]["public_listen"] = f"{listen}, [::1]:{port}, unix:{path}"
    server.start()
    assert get(http.client.HTTPConnection("127.0.0.1", server.public_port), "/healthz") == 200
    assert get(http.client.HTTPConnection("::1", port), "/healthz") == 200
    assert get(UnixConnection(path), "/healthz") == 200
    assert get(UnixConnection(path), "/v1/orders") == 404
    server.kill9()
    server.start()  # over the socket file that is left
    assert get(UnixConnection(path), "/healthz") == 200
    server.sigterm()
    assert not os.path.exists(path)


def test_a_taken_address_is_named(make_server):
    server = make_server()
    with socket.create_server(("127.0.0.1", server.public_port)):
        server.start(wait=False)
        assert server.process.wait(30 * SLOWNESS) != 0
    assert f"127.0.0.1:{server.public_port}" in server.text_of_log() and "taken" in server.text_of_log()


def test_sockets_from_systemd_replace_the_configured_ones(make_server):
    """What systemd does: the sockets as descriptors 3 and 4, their names beside them. The shell writes its own pid first."""
    server = make_server()
    server.write_config()
    with socket.create_server(("127.0.0.1", 0)) as api, socket.create_server(("127.0.0.1", 0)) as public:
        ports = api.getsockname()[1], public.getsockname()[1]
        started = subprocess.Popen(
            ["/bin/bash", "-c", f'exec 8<&{api.fileno()} 9<&{public.fileno()}; exec 3<&8 4<&9; export LISTEN_PID=$$; exec "$0" -c "$1"',
             os.path.join(BUILD, "paynotifyd"), server.config],
            pass_fds=(api.fileno(), public.fileno()), env=dict(os.environ, LISTEN_FDS="2", LISTEN_FDNAMES="api:public"),
            stderr=subprocess.PIPE)
    try:
        wait_for(lambda: get(http.client.HTTPConnection("127.0.0.1", ports[0], timeout=30), "/readyz") == 200, 30 * SLOWNESS, "ready")
        assert get(http.client.HTTPConnection("127.0.0.1", ports[1]), "/healthz") == 200
        assert get(http.client.HTTPConnection("127.0.0.1", ports[1]), "/readyz") == 404
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", server.public_port))
    finally:
        started.terminate()
        assert started.wait(40 * SLOWNESS) == 0, started.stderr.read()


def test_ten_thousand_idle_connections(make_server, notice):
    """They are held, cost little, and keep nobody out."""
    server = make_server().start()
    pay_no = server.payment(server.order("n1")["order_id"])["pay_no"]
    before, idle = server.rss_kib(), []
    try:
        for number in range(10000):
            # Own source addresses, because a pair of addresses has too few ports that are free.
            idle.append(socket.create_connection(("127.0.0.1", server.public_port), source_address=(f"127.0.1.{number % 50 + 1}", 0)))
        wait_for(lambda: server.metrics()["paynotify_http_connections"] >= 10000, 60, "all connections to be accepted")
        assert server.notify(notice(pay_no)) == (200, "success")
        if not is_sanitized():  # whose shadow memory is not ours
            assert server.rss_kib() - before < 150 * 1024
    finally:
        for connection in idle:
            connection.close()
    wait_for(lambda: server.metrics()["paynotify_http_connections"] < 100, 60, "all connections to be gone")


def test_no_forwarded_address_breaks_a_pay_page(make_server, sandbox):
    server = make_server({"server": {"trusted_proxies": "127.0.0.1, 10.0.0.0/8"}}).start()
    url = server.payment(server.order("n1")["order_id"])["pay_url"]
    for forwarded in ("203.0.113.9", "203.0.113.9, 10.0.0.1", "x" * 2000, "<script>", "::1", ", ,,"):
        answer = server.session.get(url, headers={"X-Forwarded-For": forwarded}, timeout=30)
        assert answer.status_code == 200 and "<script>," not in answer.text


def test_a_stop_answers_what_is_on_its_way(make_server, sandbox):
    """A prepay that waits for its provider when the server is told to stop is answered, not dropped."""
    server = make_server().start()
    order_id = server.order("n1")["order_id"]
    sandbox.fault("gateway", "delay", count=-1, ms=15000)
    answers = []
    asking = threading.Thread(target=lambda: answers.append(
        server.api("POST", f"/v1/orders/{order_id}/payments", {"channel": "alipay", "product": "precreate"})))
    asking.start()
    wait_for(lambda: server.ok("GET", f"/v1/orders/{order_id}")["payments"], 20, "the payment to be begun")
    server.sigterm()
    asking.join(30)
    assert answers and answers[0].status_code in (201, 503, 504), answers
