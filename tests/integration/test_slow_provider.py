"""A provider that is slow or down slows nobody else. Two channels with a provider each; one of them hangs, or is not there."""

import concurrent.futures
import contextlib
import os

import pytest

from books import RECORD_UNPAID, UNPAID
from conftest import BUILD
from freezing import freeze, thaw
from paynotifyd import SLOWNESS, channel_settings, free_port
from sandbox import Sandbox
from waiting import wait_for

pytestmark = pytest.mark.store("sqlite")  # nothing of it is the store's


@pytest.fixture
def second(directory, request):
    """Another provider, at an address that stays the same when it is started again."""
    started = Sandbox(BUILD, os.path.join(directory, "second"), speed=1000, listen=f"127.0.0.1:{free_port()}")
    request.node.logs["the second sandbox"] = started.path("sandbox.log")
    with started:
        yield started


@pytest.fixture
def server_with(make_server, second):
    """server_with(**keys): a server whose channel "second" has these keys."""
    def make(**keys):
        return make_server({"channel second": {**channel_settings(second), **keys},
                            "server": {"workers": "2"}}).start()
    return make


@contextlib.contextmanager
def frozen(provider):
    """It takes connections and requests, and answers none."""
    freeze(provider.process.pid)
    try:
        yield
    finally:
        thaw(provider.process.pid)


def metric(server, name, channel="second", **labels):
    wanted = ",".join(f'{key}="{value}"' for key, value in {"channel": channel, **labels}.items())
    return server.metrics().get(f"paynotify_{name}{{{wanted}}}", 0)


def refresh(server, payment):
    return server.ok("GET", f"/v1/payments/{payment['pay_no']}?refresh=true")


def channels(server):
    answer = server.session.get(server.base + "/readyz", timeout=30)
    assert answer.status_code == 200, answer.text
    return {channel["name"]: channel for channel in answer.json()["channels"]}


def pay_by_the_first(server, sandbox, scan, number):
    """A whole payment by the channel that works: its code, a query, the notice."""
    payment = server.payment(server.order(number)["order_id"], product="precreate")
    scan(payment)
    assert refresh(server, payment)["status"] == "unpaid"
    sandbox.pay(payment["pay_no"])
    sandbox.wait_accepted(payment["pay_no"])
    assert server.ok("GET", f"/v1/payments/{payment['pay_no']}")["status"] == "paid"


def test_a_channel_that_hangs_holds_up_no_other(server_with, second, sandbox, scan):
    server = server_with(max_in_flight="4", timeout="2m")
    payment = server.payment(server.order("s-1")["order_id"], channel="second", product="precreate")
    assert refresh(server, payment)["status"] == "unpaid"
    with concurrent.futures.ThreadPoolExecutor(12) as pool, frozen(second):
        calls = [pool.submit(server.api, "GET", f"/v1/payments/{payment['pay_no']}?refresh=true") for _ in range(12)]
        wait_for(lambda: metric(server, "client_in_flight") == 4 and metric(server, "client_waiting") >= 8, 20 * SLOWNESS,
                 "four calls to be under way and eight to wait")
        for number in range(5):
            pay_by_the_first(server, sandbox, scan, f"other-{number}")
        assert metric(server, "client_in_flight") == 4
        assert channels(server)["second"]["state"] == "up"  # it is slow, and has not failed yet
    assert all(call.done() for call in calls)
    wait_for(lambda: metric(server, "client_in_flight") == 0, 30 * SLOWNESS, "the provider's late answers")
    assert refresh(server, payment)["status"] == "unpaid"


def test_silence_is_unknown_and_never_a_failure(server_with, second, books, sandbox, scan):
    server = server_with(timeout="500ms", breaker_failures="3", breaker_wait="1s")
    payment = server.payment(server.order("s-2")["order_id"], channel="second", product="precreate")
    with frozen(second):
        for _ in range(3):
            answer = refresh(server, payment)
            assert (answer["status"], answer["unknown"]) == ("unpaid", True)
        assert metric(server, "channel_breaker_opened_total") >= 1
        made = server.payment(server.order("s-3")["order_id"], channel="second", product="precreate")
        assert made["unknown"] is True and "code_url" not in made
        pay_by_the_first(server, sandbox, scan, "other")
    assert metric(server, "channel_calls_total", operation="query", outcome="unknown") >= 1
    assert books.record(payment["pay_no"])["status"] == books.record(made["pay_no"])["status"] == RECORD_UNPAID
    assert {row["status"] for row in books.rows("SELECT status FROM orders WHERE out_business_id IN ('s-2', 's-3')")} == {UNPAID}
    wait_for(lambda: "unknown" not in refresh(server, payment), 60 * SLOWNESS, "the provider to be asked again")


@pytest.mark.limit(300)
def test_calls_are_held_back_until_the_provider_answers_again(server_with, second, sandbox, scan, pay_page):
    server = server_with(breaker_failures="3", breaker_wait="1s")
    order_id = server.order("s-4")["order_id"]
    code = server.payment(order_id, channel="second", product="precreate")
    form = server.payment(order_id, channel="second", product="wap")
    assert metric(server, "channel_breaker_state") == 0 and channels(server)["second"]["state"] == "up"

    second.stop()
    for _ in range(3):
        assert refresh(server, code)["unknown"] is True
    assert metric(server, "channel_breaker_opened_total") >= 1
    # The wait doubles with every try, so that one of the next calls comes while it lasts.
    wait_for(lambda: refresh(server, code)["unknown"] and metric(server, "channel_held_back_total") > 0, 60 * SLOWNESS, "a refusal")
    assert channels(server)["second"]["reason"]
    assert metric(server, "channel_calls_total", operation="query", outcome="unavailable") >= 3
    assert pay_page(form["pay_url"]).action.startswith(second.gateway)  # a form takes no call
    pay_by_the_first(server, sandbox, scan, "other")

    second.start()
    wait_for(lambda: "unknown" not in refresh(server, code), 120 * SLOWNESS, "a probe to find the provider")
    assert metric(server, "channel_breaker_state") == 0
    assert channels(server)["second"] == {"name": "second", "state": "up"}
