"""What cannot be proven makes the server ask, on both stores: WeChat's refund notices are only encrypted, so whoever has seen one
can send it again, and who knows the key can make one. Nothing of it is believed; the provider's answer is."""

import concurrent.futures
import urllib.parse

import pytest
import requests

from books import RECORD_PAID, RECORD_UNPAID
from paynotifyd import SLOWNESS
from waiting import wait_for

RECEIVED, AGAIN = "<![CDATA[SUCCESS]]></return_code>", "<![CDATA[FAIL]]></return_code>"


@pytest.fixture
def server(make_server, sandbox):
    lines = (line.partition(" = ") for line in sandbox.wechat_conf().splitlines() if " = " in line and line[0] != ";")
    return make_server({"channel wechat": {"plugin": "wechat", **{name: value.strip() for name, _, value in lines}}}).start()


@pytest.fixture
def payment(server):
    """A code that nobody has paid."""
    return server.payment(server.order("h-1")["order_id"], channel="wechat", product="native")


@pytest.fixture
def refund_notice(sandbox):
    """refund_notice(pay_no, **fields): sealed as WeChat does, about a refund of all that was paid."""
    def make(pay_no, wrong_key=False, **fields):
        usual = {"out_trade_no": str(pay_no), "out_refund_no": "1" + str(pay_no), "total_fee": "8880", "refund_fee": "8880"}
        return sandbox.sign_notice(style="wechat-refund", wrong_key=wrong_key, **{**usual, **fields}).encode()
    return make


def send(server, body):
    status, text = server.notify(body, channel="wechat", headers={"Content-Type": "text/xml"})
    assert status == 200 and (RECEIVED in text or AGAIN in text), f"{status} {text}"
    return RECEIVED in text


def queries(server, channel="wechat"):
    return sum(count for name, count in server.metrics().items()
               if name.startswith(f'paynotify_channel_calls_total{{channel="{channel}",operation="query"'))


def test_a_refund_notice_that_is_not_true_asks_and_changes_nothing(server, books, payment, refund_notice):
    before = queries(server)
    assert send(server, refund_notice(payment["pay_no"]))
    assert queries(server) == before + 1
    assert books.record(payment["pay_no"])["status"] == RECORD_UNPAID
    assert books.count("events") == 0
    assert server.ok("GET", f"/v1/payments/{payment['pay_no']}")["status"] == "unpaid"


def test_what_the_provider_answers_is_settled(server, sandbox, books, payment, refund_notice):
    """Its notice of the payment was lost; the hint brings it to light."""
    sandbox.pay(payment["pay_no"], notify=False)
    assert send(server, refund_notice(payment["pay_no"], refund_fee="1"))
    assert books.record(payment["pay_no"])["status"] == RECORD_PAID
    assert books.events(server.ok("GET", f"/v1/payments/{payment['pay_no']}")["order_id"]) == ["payment.succeeded"]


def test_hints_about_nothing_of_the_channels_ask_nobody(server, payment, refund_notice):
    other = server.payment(server.order("h-2")["order_id"])["pay_no"]  # by Alipay
    before = queries(server), queries(server, "alipay")
    for pay_no in ("1", "WN20240520N1001", "99999999999999999999", other):
        assert not send(server, refund_notice(pay_no))
    assert not send(server, refund_notice(payment["pay_no"], wrong_key=True))
    assert (queries(server), queries(server, "alipay")) == before
    assert send(server, refund_notice(payment["pay_no"]))


def test_a_flood_of_hints_asks_little(server, books, payment, refund_notice):
    body = refund_notice(payment["pay_no"])
    before = queries(server)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: send(server, body), range(200)))
    assert any(answers)
    counted = server.metrics()
    asked = counted['paynotify_hints_total{channel="wechat",outcome="answered"}']
    assert 1 <= asked <= 1 + 200 // 20  # 5 s lie between two
    assert queries(server) - before <= asked + 3  # and the schedule may have asked
    assert counted.get('paynotify_hints_total{channel="wechat",outcome="too_soon"}', 0) > 0
    assert books.record(payment["pay_no"])["status"] == RECORD_UNPAID


def test_without_an_answer_the_hint_is_not_received(server, sandbox, payment, refund_notice):
    body = refund_notice(payment["pay_no"])
    sandbox.fault("gateway", "drop", count=-1)
    assert not send(server, body)
    sandbox.clear_faults()
    wait_for(lambda: send(server, body), 60 * SLOWNESS, "the provider to be asked again")


def test_a_silent_provider_does_not_keep_the_sender_waiting(server, sandbox, payment, refund_notice):
    """The answer comes by the notification's own deadline, not by the call's."""
    server.sections["server"]["notify_deadline"] = "500ms"
    server.sections["channel wechat"]["timeout"] = "2m"
    server.restart()
    sandbox.fault("gateway", "delay", ms=60000, count=1)
    assert not send(server, refund_notice(payment["pay_no"]))
    assert server.metrics()['paynotify_client_in_flight{channel="wechat"}'] == 1
    server.kill9()


def test_a_browser_that_comes_back_from_mweb(server, sandbox, books):
    """WeChat adds nothing that could be proven: the address itself is ours, and only its link leads to a question."""
    made = server.payment(server.order("h-3")["order_id"], channel="wechat", product="mweb", client_ip="127.0.0.1")
    answer = requests.get(made["pay_url"], timeout=30, allow_redirects=False)
    target = answer.headers.get("Location") or answer.text
    redirect = urllib.parse.unquote(target[target.index("redirect_url=") + len("redirect_url="):].partition('"')[0])
    assert redirect.startswith(f"{server.public}/return/wechat/{made['pay_no']}-")
    sandbox.pay(made["pay_no"], notify=False)

    before = queries(server)
    bare = sandbox.session.get(f"{server.public}/return/wechat?out_trade_no={made['pay_no']}", timeout=30)
    assert bare.status_code == 200 and "course" not in bare.text and queries(server) == before
    page = sandbox.session.get(redirect, timeout=30)
    assert page.status_code == 200 and "course h-3" in page.text
    wait_for(lambda: books.record(made["pay_no"])["status"] == RECORD_PAID, 20 * SLOWNESS, "the provider to be asked")


def refunding(server, sandbox, payment):
    """A refund of a paid payment that the provider has accepted and not finished."""
    sandbox.pay(payment["pay_no"])
    sandbox.wait_accepted(payment["pay_no"])
    sandbox.wechat_set(refund_outcome="processing")
    made = server.ok("POST", f"/v1/payments/{payment['pay_no']}/refunds", {"out_refund_id": "r-1", "amount": "10.00"})
    assert made["status"] == "processing"
    return made


def refund_status(server, refund):
    return server.ok("GET", f"/v1/refunds/{refund['refund_no']}")["status"]


def test_a_refund_notice_brings_the_refunds_end(server, sandbox, payment):
    refund = refunding(server, sandbox, payment)
    sandbox.act_refund(refund["refund_no"], "succeed")
    sandbox.wait_accepted(payment["pay_no"], 2)
    assert refund_status(server, refund) == "succeeded"


def test_a_refund_notice_that_is_not_true_ends_no_refund(server, sandbox, payment, refund_notice):
    refund = refunding(server, sandbox, payment)
    claim = refund_notice(payment["pay_no"], out_refund_no=refund["refund_no"], refund_fee="1000", refund_status="SUCCESS")
    assert send(server, claim)  # the provider has answered: it is processing
    assert refund_status(server, refund) == "processing"
    assert server.metrics()['paynotify_hints_total{channel="wechat",outcome="answered"}'] == 1
