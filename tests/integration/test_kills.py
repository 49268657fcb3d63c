"""kill -9 of a server while payments, closes and refunds race, and at each step of a close: after the restart, or at another
server of the same books, everything goes on by itself to one consistent end.

PN_ROUNDS says how often a server is killed (3; check-long: 50).
"""

import concurrent.futures

import pytest

import payment_rounds
import refund_rounds
from books import CLOSED, CLOSING, RECORD_CLOSED, UNPAID
from paynotifyd import SLOWNESS, wechat_settings
from races import Arena, Round, make_arena, racing_server, rounds_wanted
from waiting import wait_for

KILLS = rounds_wanted(3)
ORDERS = 30  # that race for each kill


@pytest.fixture
def arena(make_server, sandbox, books, messages):
    return make_arena(make_server, sandbox, books, messages, payment_rounds.POLICIES)


@pytest.fixture
def pair(make_server, sandbox, books, messages):
    """Two servers; providers notify the first, and the second is the one to die."""
    first = racing_server(make_server, sandbox, payment_rounds.POLICIES)
    second = racing_server(make_server, sandbox, payment_rounds.POLICIES, {
        "server": {"node_name": "second", "link_key_file": first.directory + "/link.key", "public_url": first.public}})
    return Arena([first, second], sandbox, books, messages, payment_rounds.POLICIES)


def rounds_of(number):
    apps = list(payment_rounds.POLICIES)
    return [Round(number * ORDERS + i, apps[i % len(apps)]) for i in range(ORDERS)]


def prepare(arena, round_):
    (refund_rounds if round_.number % 3 == 2 else payment_rounds).prepare(arena, round_)


@pytest.mark.limit(180 + 60 * KILLS)
def test_a_server_that_is_killed_while_everything_races_goes_on(arena):
    server = arena.servers[0]

    def kill_and_start():
        arena.kill(server)
        arena.start(server)
    for number in range(KILLS):
        rounds = rounds_of(number)
        arena.together([(prepare, arena, round_) for round_ in rounds])
        arena.race(rounds, kill_and_start, share=rounds[0].rng.random())
        arena.end()


@pytest.mark.store("pg")
@pytest.mark.limit(180 + 90 * KILLS)
def test_what_a_killed_server_was_doing_another_one_ends(pair):
    victim = pair.servers[1]
    for number in range(KILLS):
        rounds = rounds_of(number)
        pair.together([(prepare, pair, round_) for round_ in rounds])
        pair.race(rounds, lambda: pair.kill(victim), share=rounds[0].rng.random())
        pair.end()
        pair.start(victim)


# ------------------------------------------------------------------------------------------------ at each step of a close

STEPS = {"alipay": [("alipay.trade.query", False), ("alipay.trade.close", False), ("alipay.trade.close", True)],
         "wechat": [("orderquery", False), ("closeorder", False), ("closeorder", True)]}


@pytest.mark.parametrize("channel", STEPS)
def test_a_close_goes_on_whichever_call_its_server_died_in(make_server, sandbox, books, channel):
    """The provider has been asked and has not answered; with True it has done what it was asked for."""
    patient = {"timeout": "2m", "query_interval": "1h"}
    server = make_server({"channel wechat": wechat_settings(sandbox, **patient), "channel alipay": patient}).start()
    sandbox.wechat_set(close_after_ms=0)
    for method, done in STEPS[channel]:
        order_id = server.order(f"{method}-{done}")["order_id"]
        payment = server.payment(order_id, channel=channel, product={"alipay": "precreate", "wechat": "native"}[channel])
        if channel == "alipay":
            assert sandbox.session.get(payment["code_url"], timeout=30).status_code == 200
        sandbox.fault("gateway", "delay", ms=60_000, after=done, method=method)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            closing = pool.submit(server.api, "POST", f"/v1/orders/{order_id}/close")
            wait_for(lambda: not sandbox.faults(), 30 * SLOWNESS, "the provider to be asked")
            if done:
                wait_for(lambda: sandbox.trade(payment["pay_no"])["status"] in ("CLOSED", "TRADE_CLOSED"), 30 * SLOWNESS,
                         "it to be closed there")
            server.kill9()
            assert closing.exception(60) is not None
        assert books.order(order_id)["status"] in (UNPAID, CLOSING)
        server.start()
        wait_for(lambda: books.order(order_id)["status"] == CLOSED, 30 * SLOWNESS, f"the close to go on after {method}, {done}")
        assert books.record(payment["pay_no"])["status"] == RECORD_CLOSED
        assert sandbox.trade(payment["pay_no"])["status"] in ("CLOSED", "TRADE_CLOSED")
        assert books.events(order_id) == ["order.closed"]
