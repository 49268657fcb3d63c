"""Any bytes on any port: answered as they should be, no row changed, and the server goes on serving."""

import random
import re
import socket
import urllib.parse

import pytest

from books import PAID, RECORD_UNPAID
from waiting import wait_for

LIMIT = 64 * 1024


class Wire:
    """A raw connection."""

    def __init__(self, port, timeout=30):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        """False when the other side has hung up."""
        try:
            self.socket.sendall(data)
            return True
        except OSError:
            return False

    def finish_sending(self):
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def read_all(self):
        """Everything until the server closes; a reset ends it as well."""
        data = b""
        try:
            while piece := self.socket.recv(65536):
                data += piece
        except ConnectionError:
            pass
        return data

    def read_answers(self, count):
        """The (status, body) of that many answers with Content-Length."""
        data, answers = b"", []
        while len(answers) < count:
            head, end, rest = data.partition(b"\r\n\r\n")
            length = re.search(rb"content-length: *(\d+)", head, re.I)
            if end and length and len(rest) >= int(length.group(1)):
                answers.append((int(head.split()[1]), rest[:int(length.group(1))]))
                data = rest[int(length.group(1)):]
                continue
            piece = self.socket.recv(65536)
            if not piece:
                break
            data += piece
        return answers


def request(body, path="/notify/alipay", headers="", method="POST", length=None):
    head = (f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
            f"Content-Length: {len(body) if length is None else length}\r\n{headers}\r\n")
    return head.encode() + body


@pytest.fixture
def payment(server):
    """An unpaid payment, and at the end the proof that it can still be paid."""
    order_id = server.order("n1")["order_id"]
    return server.payment(order_id)["pay_no"]


@pytest.fixture
def unchanged(server, books, payment, notice):
    """Nothing that happens in the test may change a row, and the server must still take a good notice afterwards."""
    before = books.counts()
    yield payment
    assert books.counts() == before
    assert books.record(payment)["status"] == RECORD_UNPAID
    assert server.notify(notice(payment)) == (200, "success")


def refused(server, body, **more):
    status, text = server.notify(body, **more)
    assert status != 0, "no answer"
    assert text != "success", f"accepted: {body[:200]!r}"


# ---------------------------------------------------------------------------------------------------- notifications

def test_garbage_bodies(server, unchanged):
    randomness = random.Random(1)
    bodies = [b"", b"&", b"=", b"&&&&=&=", b"a", b"a=b", b"%", b"a=%zz", b"a=%0", b"sign=", b"sign=&sign_type=RSA2", b"\0" * 100,
              b"<xml/>", b'{"a": 1}', b"out_trade_no=1&out_trade_no=2", b"a=" + b"%00" * 50, "金额=一".encode("gb18030")]
    bodies += [randomness.randbytes(randomness.randrange(1, 3000)) for _ in range(50)]
    for body in bodies:
        refused(server, body)


def test_mutated_notices(server, notice, unchanged):
    """One byte changed somewhere: unless it means the same, it is refused."""
    randomness = random.Random(2)
    body = notice(unchanged)
    meant = sorted(urllib.parse.parse_qsl(body.decode(), keep_blank_values=True))
    for _ in range(150):
        mutated = bytearray(body)
        mutated[randomness.randrange(len(body))] = randomness.randrange(256)
        if sorted(urllib.parse.parse_qsl(mutated.decode("latin-1"), keep_blank_values=True, encoding="latin-1")) != meant:
            refused(server, bytes(mutated))


def test_truncated_notices(server, notice, unchanged):
    body = notice(unchanged)
    for cut in sorted(set(random.Random(3).sample(range(len(body)), 40))):
        refused(server, body[:cut])


def test_wrongly_signed_notices(server, sandbox, notice, unchanged):
    refused(server, sandbox.sign_notice(wrong_key=True, out_trade_no=unchanged, total_amount="88.80"))
    refused(server, sandbox.sign_notice(bare=True, out_trade_no=unchanged, total_amount="88.80", trade_status="TRADE_SUCCESS"))
    good = notice(unchanged).decode()
    for worse in (good.replace("sign_type=RSA2", "sign_type=RSA"), good.replace("sign_type=RSA2", "sign_type=MD5"),
                  good + "&total_amount=88.80", good + "&extra=1", re.sub(r"sign=[^&]*", "sign=", good),
                  re.sub(r"&?sign=[^&]*", "", good), good.replace("total_amount=88.80", "total_amount=88.8"),
                  good.replace("TRADE_SUCCESS", "TRADE_FINISHED")):
        assert worse != good
        refused(server, worse)


def test_wrongly_encoded_notices(server, notice, unchanged):
    good = notice(unchanged, subject="Java 课程").decode()
    name = urllib.parse.quote("课程")
    assert name in good
    refused(server, good.replace(name, urllib.parse.quote("课程", encoding="gbk")))
    refused(server, good.replace(name, "课程".encode("gbk").decode("latin-1")).encode("latin-1"))
    refused(server, good.replace(name, urllib.parse.quote(name)))
    refused(server, good.replace("%", "%25"))


def test_a_body_at_the_limit_is_read_and_one_beyond_is_not(server, unchanged):
    refused(server, b"a=" + b"x" * (LIMIT - 2))
    with Wire(server.public_port) as wire:
        wire.send(request(b"a=" + b"x" * LIMIT, headers="Connection: close\r\n"))
        wire.finish_sending()
        assert b" 413 " in wire.read_all().split(b"\r\n")[0]


def test_a_huge_length_is_refused_before_the_body(server, unchanged):
    for length in (10**10, 2**63 - 1, 2**64, -1, "abc", "1e3"):
        with Wire(server.public_port) as wire:
            wire.send(request(b"", length=length))
            answer = wire.read_all() if not isinstance(length, int) or length >= 2**63 or length < 0 else wire.socket.recv(100)
            assert b" 200 " not in answer.split(b"\r\n")[0], length


def test_an_endless_chunked_body_is_cut(server, unchanged):
    with Wire(server.public_port) as wire:
        wire.send(b"POST /notify/alipay HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(4096):
            if not wire.send(b"400\r\n" + b"x" * 1024 + b"\r\n"):
                break
        else:
            wire.finish_sending()
            assert b" 413 " in wire.read_all()


def test_a_chunked_notice_is_taken(server, books, notice, payment):
    body = notice(payment)
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(body[i:i + 100]), body[i:i + 100]) for i in range(0, len(body), 100)) + b"0\r\n\r\n"
    with Wire(server.public_port) as wire:
        wire.send(b"POST /notify/alipay HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + chunks)
        assert wire.read_all().endswith(b"success")
    assert books.record(payment)["status"] != RECORD_UNPAID


def test_a_notice_in_single_bytes_is_taken(server, books, notice, payment):
    with Wire(server.public_port) as wire:
        wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in request(notice(payment), headers="Connection: close\r\n"):
            wire.send(bytes([byte]))
        assert wire.read_all().endswith(b"success")
    assert books.record(payment)["status"] != RECORD_UNPAID


def test_pipelined_notices_are_all_answered(server, books, notice, payment):
    other = server.payment(server.order("n2")["order_id"])["pay_no"]
    bodies = [notice(payment), b"garbage", notice(other), notice(payment)]
    with Wire(server.public_port) as wire:
        wire.send(b"".join(request(body) for body in bodies))
        answers = wire.read_answers(4)
    assert [text == b"success" for _, text in answers] == [True, False, True, True]
    assert books.count("orders", "status = %s", PAID) == 2


def test_a_body_that_never_ends_is_cut(make_server, books, notice):
    server = make_server({"server": {"receive_timeout": "2s"}}).start()
    payment = server.payment(server.order("n1")["order_id"])["pay_no"]
    before = books.counts()
    body = notice(payment)
    with Wire(server.public_port) as silent, Wire(server.public_port) as headless, Wire(server.public_port) as dripping:
        silent.send(request(body)[:-10])
        headless.send(b"POST /notify/al")
        dripping.send(request(body)[:100])
        # One more byte now and then keeps nobody alive.
        wait_for(lambda: not (dripping.send(b"x") and dripping.send(b"y")), 30, "the dripping connection to be cut", step=0.2)
        for wire in (silent, headless):
            assert b"success" not in wire.read_all()
    assert books.counts() == before
    assert server.notify(body) == (200, "success")


def test_connections_that_go_away_change_nothing(server, notice, unchanged):
    whole = request(notice(unchanged))
    for cut in range(0, len(whole) - 1, 40):
        with Wire(server.public_port) as wire:
            wire.send(whole[:cut])
    assert server.is_ready()


def test_who_hangs_up_before_the_answer_is_settled_all_the_same(server, books, notice, payment):
    with Wire(server.public_port) as wire:
        wire.send(request(notice(payment)))
    wait_for(lambda: books.record(payment)["status"] != RECORD_UNPAID, 10, "the notice to be settled")


def test_garbage_instead_of_http(server, unchanged):
    randomness = random.Random(4)
    pieces = [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\r\n" * 100, b"GET", b"GET / HTTP/9.9\r\n\r\n", b"\0" * 1000,
              b"A" * 100000, b"GET /" + b"x" * 70000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
              b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 5000 + b"\r\n"]
    pieces += [randomness.randbytes(randomness.randrange(1, 2000)) for _ in range(30)]
    for port in (server.public_port, server.api_port):
        for piece in pieces:
            with Wire(port) as wire:
                wire.send(piece)
                wire.finish_sending()
                # 505 is the right answer to a version that nobody has.
                assert not re.match(rb"HTTP/1.1 50[0-4]", wire.read_all()), piece[:50]
    assert server.is_ready()


def test_wrong_methods_and_paths(server, unchanged):
    for method, path, status in (("GET", "/notify/alipay", 405), ("PUT", "/notify/alipay", 405), ("POST", "/notify/nobody", 404),
                                 ("POST", "/notify/", 404), ("GET", "/v1/orders", 404), ("GET", "/metrics", 404),
                                 ("GET", "/../../etc/passwd", 404), ("GET", "/pay/1", 404), ("GET", "/%00", 404)):
        with Wire(server.public_port) as wire:
            wire.send(request(b"", path=path, method=method, headers="Connection: close\r\n"))
            assert int(wire.read_all().split()[1]) in (status, 400), (method, path)


# ---------------------------------------------------------------------------------------------------- the API

def test_bad_json(server, books, unchanged):
    key = {"Authorization": f"Bearer {server.keys['learning']}", "Content-Type": "application/json"}
    bodies = [b"", b"{", b"[]", b"null", b"1", b'"x"', b"{}", b'{"a":1}', b"[" * 100000, b'{"out_business_id": "a\\u0000b"}',
              b'{"out_business_id": "\xff\xfe"}', b'{"out_business_id":"a","out_business_id":"b"}', b"\0", b"{" * 5000,
              b'{"out_business_id": "' + b"x" * 5000 + b'"}']
    for body in bodies:
        answer = server.session.post(server.base + "/v1/orders", data=body, headers=key, timeout=30)
        assert 400 <= answer.status_code < 500, body[:60]
        assert answer.headers["Content-Type"].startswith("application/problem+json"), body[:60]


def test_bad_fields_are_named(server, unchanged):
    good = {"out_business_id": "x1", "amount": "88.80", "currency": "CNY", "name": "course"}
    bad = {"amount": ["0", "0.00", "-1", "1.234", "1e3", " 1", "", "abc", "99999999999999999999", 88.8, 1, None, "１.00", "0x10", "+1"],
           "currency": ["", "CN", "cny!", "XXXX", 1, "ZZZ"],
           "out_business_id": ["", None, 1, "x" * 1000, "a\nb"],
           "name": [1, [], "x" * 10000],
           "expires_in": [-1, "soon", 10**12],
           "goods": ["x", [1], [{}], {"a": 1}],
           "attach": ["x" * 100000]}
    for field, values in bad.items():
        for value in values:
            answer = server.api("POST", "/v1/orders", {**good, field: value})
            assert 400 <= answer.status_code < 500, (field, value, answer.text)
            assert field in answer.text, (field, value, answer.text)


def test_a_body_beyond_one_mebibyte_is_refused(server, unchanged):
    with Wire(server.api_port) as wire:
        body = b'{"name": "' + b"x" * (1 << 20) + b'"}'
        wire.send(request(body, path="/v1/orders", headers=f"Authorization: Bearer {server.keys['learning']}\r\nConnection: close\r\n"))
        wire.finish_sending()
        assert b" 413 " in wire.read_all().split(b"\r\n")[0]


def test_bad_ids_in_paths(server, unchanged):
    for path in ("/v1/orders/abc", "/v1/orders/-1", "/v1/orders/99999999999999999999", "/v1/orders/1%00", "/v1/payments/0x1",
                 "/v1/orders/" + "9" * 4000, "/v1/payments/1'--", "/v1/orders?limit=-1", "/v1/orders?status=x", "/v1/orders?cursor=%ff"):
        status = server.api("GET", path).status_code
        assert 400 <= status < 500, path
