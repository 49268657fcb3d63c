"""Fixtures: one RabbitMQ and one PostgreSQL for a run, a fresh database, sandbox and server for every test.

`server` is parametrised over both stores; it is started with the default configuration. Tests that need another one take
`make_server`. The logs of everything that ran are shown when a test fails.
"""

import concurrent.futures
import itertools
import os
import shutil
import signal
import tempfile

import pytest

import books as books_module
import messages as messages_module
from browser import PayForm
from paynotifyd import BUILD, SLOWNESS, Paynotifyd, wechat_settings
from postgres import Postgres
from rabbitmq import RabbitMQ
from sandbox import Sandbox

TEST_SECONDS = 180


def pytest_configure(config):
    config.addinivalue_line("markers", f"limit(seconds): how long the test may take, if not {TEST_SECONDS} s")
    config.addinivalue_line("markers", "certificates: the sandbox plays Alipay's certificate mode")
    config.addinivalue_line("markers", "policies: what is late or duplicate is refunded by the app's policies")
    config.addinivalue_line("markers", "store(kind): makes sense on this store only")


def pytest_collection_modifyitems(config, items):
    """A test that is about one store does not exist for the other."""
    def fits(item):
        marker = item.get_closest_marker("store")
        return marker is None or item.callspec.params["store"] == marker.args[0]
    items[:] = [item for item in items if fits(item)]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    """No test hangs for ever: past its limit it fails where it stands."""
    marker = item.get_closest_marker("limit")
    seconds = (marker.args[0] if marker else TEST_SECONDS) * SLOWNESS

    def too_long(*_):
        raise AssertionError(f"the test took more than {seconds} s")
    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(seconds)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for name, path in getattr(item, "logs", {}).items():
            try:
                with open(path, encoding="utf-8", errors="replace") as file:
                    report.sections.append((f"log of {name}", "".join(file.readlines()[-150:])))
            except OSError:
                pass


@pytest.fixture(scope="session")
def broker():
    with RabbitMQ() as started:
        yield started


@pytest.fixture(scope="session")
def postgres():
    with Postgres() as started:
        yield started


@pytest.fixture
def directory(request):
    """Of the test; shown logs live here."""
    path = tempfile.mkdtemp(prefix="paynotify-test-")
    request.node.logs = {}
    yield path
    if os.environ.get("PN_KEEP"):
        print(f"kept: {path}")
    else:
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def clean_broker(broker):
    """The session's broker, running, with nothing in it."""
    broker.start()
    messages_module.forget(broker.url)
    return broker


@pytest.fixture
def sandbox(directory, request):
    """The provider's side; it repeats its notices a thousand times faster than Alipay."""
    certificates = request.node.get_closest_marker("certificates") is not None
    started = Sandbox(BUILD, os.path.join(directory, "sandbox"), speed=1000, certificates=certificates)
    request.node.logs["the sandbox"] = started.path("sandbox.log")
    with started:
        yield started


@pytest.fixture(params=["sqlite", "pg"])
def store(request, directory):
    """(kind, URL) of a store that holds nothing yet."""
    if request.param == "sqlite":
        yield "sqlite", f"sqlite:{directory}/paynotify.db"
        return
    server = request.getfixturevalue("postgres")
    name = "test_" + os.path.basename(directory).replace("-", "_").lower()
    server.psql(f"CREATE DATABASE {name}")
    yield "pg", server.url.replace("/paynotify?", f"/{name}?")
    server.psql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture
def books(store, directory):
    kind, url = store
    return books_module.Books(kind, url if kind == "pg" else os.path.join(directory, "paynotify.db"))


@pytest.fixture
def make_server(store, directory, clean_broker, sandbox, request):
    """make_server(settings) gives a server that is not started yet; all of them are stopped at the end."""
    made = []

    def make(settings=None):
        folder = os.path.join(directory, f"server{len(made) + 1}") if made else directory
        os.makedirs(folder, exist_ok=True)
        server = Paynotifyd(folder, store[1], clean_broker.url, sandbox, settings)
        request.node.logs[f"paynotifyd {len(made) + 1}" if made else "paynotifyd"] = server.log
        made.append(server)
        return server
    yield make
    try:
        for server in made:
            server.end()
    finally:
        for server in made:
            server.kill9()


@pytest.fixture
def server(make_server):
    return make_server().start()


@pytest.fixture
def wechat_server(make_server, sandbox, request):
    """With a second channel, wechat. Another sign_type than the plugin's default comes by indirect parametrisation."""
    sign_type = getattr(request, "param", "HMAC-SHA256")
    return make_server({"channel wechat": wechat_settings(sandbox, sign_type=sign_type)}).start()


@pytest.fixture
def messages(clean_broker):
    reader = messages_module.Messages(clean_broker.url)
    yield reader
    reader.close()


@pytest.fixture
def notice(sandbox):
    """notice(pay_no, **fields): the body of a signed notification that 88.80 were paid, with `fields` over it."""
    def make(pay_no, **fields):
        usual = {"out_trade_no": str(pay_no), "total_amount": "88.80", "trade_no": "2026" + str(pay_no)}
        return sandbox.sign_notice(**{**usual, **fields}).encode()
    return make


@pytest.fixture
def wechat_notice(sandbox):
    """The same of WeChat Pay, signed as wechat_server's channel wants it by default."""
    def make(pay_no, style="wechat-hmac", **fields):
        usual = {"out_trade_no": str(pay_no), "total_fee": "8880", "cash_fee": "8880", "transaction_id": "4200" + str(pay_no)}
        return sandbox.sign_notice(style=style, **{**usual, **fields}).encode()
    return make


@pytest.fixture
def wechat_refund_notice(sandbox):
    """wechat_refund_notice(pay_no, refund_no, **fields): 88.80 were refunded, encrypted in req_info and not signed."""
    def make(pay_no, refund_no, **fields):
        usual = {"out_trade_no": str(pay_no), "out_refund_no": str(refund_no), "total_fee": "8880", "refund_fee": "8880",
                 "settlement_total_fee": "8880", "settlement_refund_fee": "8880"}
        return sandbox.sign_notice(style="wechat-refund", **{**usual, **fields}).encode()
    return make


@pytest.fixture
def bulk(sandbox):
    """bulk(server, count): (pay_no, body) of that many new payments of 88.80."""
    numbers = itertools.count(1)

    def make_one(server, number):
        return server.payment(server.order(f"bulk-{number}")["order_id"])["pay_no"]

    def make(server, count):
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            pay_nos = list(pool.map(lambda number: make_one(server, number), itertools.islice(numbers, count)))
        return list(zip(pay_nos, (body.encode() for body in sandbox.sign_bulk(pay_nos, total_amount="88.80"))))
    return make


@pytest.fixture
def pay_page(sandbox):
    """pay_page(url): opens a pay link as a phone does, and gives the form that would submit itself."""
    return lambda url: PayForm(sandbox.session.get(url, timeout=30))


@pytest.fixture
def submit(sandbox):
    """submit(form): what the phone does with it; the answer is the provider's page."""
    return lambda form: sandbox.submit(form.action, form.fields)


@pytest.fixture
def scan(sandbox):
    """scan(payment): the payer's app reads the provider's QR code; from then on the provider knows the trade."""
    def scan_code(payment):
        answer = sandbox.session.get(payment["code_url"], timeout=30)
        assert answer.status_code == 200, answer.text
    return scan_code
