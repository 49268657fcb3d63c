"""Refunds as paynotify-sandbox plays them for Alipay: done once for each out_request_no, never more than was paid, announced to
the payment's notify_url, and every outcome that a merchant has to survive. merchant.py with openssl judges every signature.
"""
import os
import re
import time

import pytest
import requests

import merchant as alipay
from receiver import Receiver
from sandbox import Sandbox

BUILDDIR = os.environ.get("PN_BUILDDIR", os.path.join(os.path.dirname(__file__), "..", ".."))
PAY, QUERY, CLOSE = "alipay.trade.wap.pay", "alipay.trade.query", "alipay.trade.close"
REFUND, REFUND_QUERY = "alipay.trade.refund", "alipay.trade.fastpay.refund.query"


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    running = Sandbox(BUILDDIR, tmp_path_factory.mktemp("sandbox"), speed=100000).start()
    yield running
    assert running.stop() == 0, running.log()


@pytest.fixture(autouse=True)
def as_usual(sandbox):
    yield
    sandbox.clear_faults()
    sandbox.alipay(refund_outcome="success", refund_gap_ms=0)


@pytest.fixture(scope="module")
def merchant(sandbox):
    return alipay.Merchant(sandbox.gateway, sandbox.app_id, sandbox.path("app-private.pem"), sandbox.path("alipay-public.pem"))


@pytest.fixture
def receiver():
    running = Receiver()
    yield running
    running.stop()


numbers = iter(range(1, 10 ** 6))


@pytest.fixture
def paid(sandbox, merchant):
    """paid(receiver): the number of a new payment of 88.80; its own notice is not sent."""
    def pay(receiver=None):
        biz = {"out_trade_no": "PR%d" % next(numbers), "total_amount": "88.80", "subject": "course",
               "product_code": "QUICK_WAP_WAY"}
        more = {"notify_url": receiver.url} if receiver else {}
        assert merchant.post(merchant.params(PAY, biz, **more)).status_code == 200
        sandbox.pay(biz["out_trade_no"], notify=False)
        return biz["out_trade_no"]
    return pay


@pytest.fixture
def refund(merchant):
    """refund(pay_no, amount, number): the node of the answer."""
    def call(pay_no, amount="8.80", number="R1", **more):
        biz = {"out_trade_no": pay_no, "refund_amount": amount, "out_request_no": number, **more}
        return merchant.call(REFUND, {name: value for name, value in biz.items() if value is not None})
    return call


@pytest.fixture
def ask(merchant):
    def call(pay_no, number="R1", **more):
        return merchant.call(REFUND_QUERY, {"out_trade_no": pay_no, "out_request_no": number, **more})
    return call


def refused(node):
    assert node["code"] == "40004", node
    return node["sub_code"]


def status_of(merchant, pay_no):
    return merchant.call(QUERY, {"out_trade_no": pay_no})["trade_status"]


# -- what is refunded

def test_a_partial_refund(sandbox, merchant, receiver, paid, refund, ask):
    pay_no = paid(receiver)
    node = refund(pay_no, refund_reason="想 <b>退款")
    trade = sandbox.trade(pay_no)
    assert {name: node[name] for name in ("code", "fund_change", "refund_fee", "send_back_fee", "out_trade_no", "trade_no")} == {
        "code": "10000", "fund_change": "Y", "refund_fee": "8.80", "send_back_fee": "8.80", "out_trade_no": pay_no,
        "trade_no": trade["trade_no"]}
    told = merchant.check_notice(receiver.next())
    assert (told["trade_status"], told["refund_fee"], told["out_biz_no"]) == ("TRADE_SUCCESS", "8.80", "R1")
    assert (told["out_trade_no"], told["total_amount"]) == (pay_no, "88.80")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}", told["gmt_refund"]) and "gmt_close" not in told
    assert status_of(merchant, pay_no) == "TRADE_SUCCESS"
    found = ask(pay_no)
    assert {name: found[name] for name in ("refund_status", "refund_amount", "total_amount", "out_request_no", "refund_reason")} \
        == {"refund_status": "REFUND_SUCCESS", "refund_amount": "8.80", "total_amount": "88.80", "out_request_no": "R1",
            "refund_reason": "想 <b>退款"}
    assert "gmt_refund_pay" not in found
    more = ask(pay_no, query_options=["gmt_refund_pay", "refund_detail_item_list"])
    assert told["gmt_refund"].startswith(more["gmt_refund_pay"])
    assert [item["amount"] for item in more["refund_detail_item_list"]] == ["8.80"]


def test_refund_fee_is_what_went_back_in_all_and_the_last_part_closes_the_trade(merchant, receiver, paid, refund, ask):
    pay_no = paid(receiver)
    assert refund(pay_no, "8.80", "R1")["refund_fee"] == "8.80"
    assert refund(pay_no, "30", "R2")["refund_fee"] == "38.80"
    last = refund(pay_no, "50.00", "R3")
    assert (last["refund_fee"], last["send_back_fee"]) == ("88.80", "50.00")
    told = [merchant.check_notice(receiver.next()) for _ in range(3)]
    assert sorted((fields["out_biz_no"], fields["refund_fee"], fields["trade_status"]) for fields in told) == \
        [("R1", "8.80", "TRADE_SUCCESS"), ("R2", "38.80", "TRADE_SUCCESS"), ("R3", "88.80", "TRADE_CLOSED")]
    assert ["gmt_close" in fields for fields in sorted(told, key=lambda fields: fields["out_biz_no"])] == [False, False, True]
    assert all("gmt_payment" in fields for fields in told)
    assert status_of(merchant, pay_no) == "TRADE_CLOSED"
    assert [ask(pay_no, number)["refund_amount"] for number in ("R1", "R2", "R3")] == ["8.80", "30.00", "50.00"]


def test_the_same_number_is_the_same_refund(sandbox, receiver, paid, refund):
    pay_no = paid(receiver)
    refund(pay_no)
    again = refund(pay_no)
    assert (again["code"], again["fund_change"], again["refund_fee"]) == ("10000", "N", "8.80")
    assert refused(refund(pay_no, "8.81")) == "ACQ.DISCORDANT_REPEAT_REQUEST"
    assert [one["amount"] for one in sandbox.refunds(pay_no)] == ["8.80"]
    assert len(sandbox.trade(pay_no)["notices"]) == 1
    refund(pay_no, "80.00", "R2")
    closed = refund(pay_no, "80.00", "R2")  # also when nothing is left
    assert (closed["fund_change"], closed["refund_fee"]) == ("N", "88.80")


def test_one_number_may_serve_two_payments(sandbox, paid, refund):
    first, second = paid(), paid()
    assert refund(first)["fund_change"] == refund(second)["fund_change"] == "Y"


def test_never_more_than_was_paid(sandbox, merchant, paid, refund):
    pay_no = paid()
    assert refused(refund(pay_no, "88.81")) == "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL"
    refund(pay_no, "80.00", "R1")
    assert refused(refund(pay_no, "8.81", "R2")) == "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL"
    refund(pay_no, "8.80", "R2")
    assert refused(refund(pay_no, "0.01", "R3")) == "ACQ.REASON_TRADE_REFUND_FEE_ERR"
    assert [one["refund_no"] for one in sandbox.refunds(pay_no)] == ["R1", "R2"]


def test_without_a_number_all_is_refunded_or_nothing(merchant, receiver, paid, refund, ask):
    pay_no = paid(receiver)
    assert refused(refund(pay_no, "8.80", None)) == "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL"
    assert refund(pay_no, "88.80", None)["fund_change"] == "Y"
    assert refund(pay_no, "88.80", None)["fund_change"] == "N"
    assert ask(pay_no, pay_no)["refund_status"] == "REFUND_SUCCESS"
    told = merchant.check_notice(receiver.next())
    assert told["out_biz_no"] == told["trade_no"]


def test_the_trade_may_be_named_by_alipay_s_number(sandbox, merchant, paid):
    trade_no = sandbox.trade(paid())["trade_no"]
    biz = {"trade_no": trade_no, "refund_amount": "1.00", "out_request_no": "R1"}
    assert merchant.call(REFUND, biz)["fund_change"] == "Y"
    assert merchant.call(REFUND_QUERY, biz)["refund_status"] == "REFUND_SUCCESS"


def test_only_a_paid_trade_is_refunded(sandbox, merchant, paid, refund):
    assert refused(refund("nowhere")) == "ACQ.TRADE_NOT_EXIST"
    biz = {"out_trade_no": "PR%d" % next(numbers), "total_amount": "88.80", "subject": "course", "product_code": "QUICK_WAP_WAY"}
    merchant.post(merchant.params(PAY, biz))
    assert refused(refund(biz["out_trade_no"])) == "ACQ.REASON_TRADE_STATUS_INVALID"
    sandbox.close(biz["out_trade_no"])
    assert refused(refund(biz["out_trade_no"])) == "ACQ.REASON_TRADE_STATUS_INVALID"
    finished = paid()
    sandbox.finish(finished)
    assert refused(refund(finished)) == "ACQ.TRADE_HAS_FINISHED"


@pytest.mark.parametrize("more", [
    {"amount": "0"}, {"amount": "0.001"}, {"amount": "-1"}, {"amount": "1e1"}, {"amount": ""}, {"amount": None}, {"amount": 1},
    {"number": ""}, {"number": "a-b"}, {"number": "a" * 65}, {"number": 1}, {"refund_reason": 1}, {"refund_reason": "x" * 257}])
def test_wrong_refunds_are_refused(sandbox, paid, refund, more):
    pay_no = paid()
    assert refused(refund(pay_no, **more)) == "ACQ.INVALID_PARAMETER"
    assert sandbox.refunds(pay_no) == []


def test_asking_for_a_refund_takes_both_numbers(merchant, paid):
    for biz in ({"out_trade_no": paid()}, {"out_request_no": "R1"}, {"out_trade_no": paid(), "out_request_no": 1}):
        assert refused(merchant.call(REFUND_QUERY, biz)) == "ACQ.INVALID_PARAMETER"
    assert refused(merchant.call(REFUND_QUERY, {"out_trade_no": "nowhere", "out_request_no": "R1"})) == "ACQ.TRADE_NOT_EXIST"


def test_of_a_refund_that_never_was_nothing_is_said(paid, ask):
    assert ask(paid()) == {"code": "10000", "msg": "Success"}


# -- outcomes on demand

def test_a_refund_that_takes_its_time(sandbox, merchant, receiver, paid, refund, ask):
    pay_no = paid(receiver)
    sandbox.alipay(refund_outcome="processing")
    node = refund(pay_no, number="RT1")
    assert (node["code"], node["fund_change"], node["refund_fee"]) == ("10000", "N", "0.00")
    assert "refund_status" not in ask(pay_no, "RT1") and ask(pay_no, "RT1")["refund_amount"] == "8.80"
    assert refund(pay_no, number="RT1")["fund_change"] == "N"
    assert refused(refund(pay_no, "80.01", "R2")) == "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL"  # its money is reserved
    assert sandbox.trade(pay_no)["notices"] == []
    sandbox.end_refund("RT1")
    assert ask(pay_no, "RT1")["refund_status"] == "REFUND_SUCCESS"
    told = merchant.check_notice(receiver.next())
    assert (told["out_biz_no"], told["refund_fee"]) == ("RT1", "8.80")
    with pytest.raises(requests.HTTPError):
        sandbox.end_refund("RT1", "close")


def test_a_full_refund_that_takes_its_time_closes_the_trade_when_it_is_done(sandbox, merchant, paid, refund):
    pay_no = paid()
    sandbox.alipay(refund_outcome="processing")
    refund(pay_no, "88.80", "RF1")
    assert status_of(merchant, pay_no) == "TRADE_SUCCESS"
    sandbox.end_refund("RF1", notify=False)
    assert status_of(merchant, pay_no) == "TRADE_CLOSED"


def test_a_refund_that_fails_later_says_nothing_and_may_be_tried_again(sandbox, receiver, paid, refund, ask):
    pay_no = paid(receiver)
    sandbox.alipay(refund_outcome="processing")
    refund(pay_no, "88.80", "RL1")
    sandbox.end_refund("RL1", "close")
    assert ask(pay_no, "RL1") == {"code": "10000", "msg": "Success"}
    assert sandbox.trade(pay_no)["notices"] == []
    sandbox.alipay(refund_outcome="success")
    assert refused(refund(pay_no, "1.00", "RL1")) == "ACQ.DISCORDANT_REPEAT_REQUEST"
    assert refund(pay_no, "88.80", "RL1")["fund_change"] == "Y"
    assert [one["status"] for one in sandbox.refunds(pay_no)] == ["SUCCESS"]


def test_a_failed_refund_leaves_its_money_to_another(sandbox, paid, refund):
    pay_no = paid()
    sandbox.alipay(refund_outcome="processing")
    refund(pay_no, "88.80", "RO1")
    sandbox.end_refund("RO1", "close")
    sandbox.alipay(refund_outcome="success")
    assert refund(pay_no, "88.80", "RO2")["fund_change"] == "Y"
    assert refused(refund(pay_no, "88.80", "RO1")) == "ACQ.REASON_TRADE_REFUND_FEE_ERR"


def test_a_refusal_moves_nothing_and_the_same_number_may_be_tried_again(sandbox, paid, refund, ask):
    pay_no = paid()
    sandbox.refuse_refund("ACQ.SELLER_BALANCE_NOT_ENOUGH", pay_no=pay_no)
    assert refused(refund(pay_no)) == "ACQ.SELLER_BALANCE_NOT_ENOUGH"
    assert sandbox.refunds(pay_no) == [] and "refund_status" not in ask(pay_no)
    assert refund(pay_no)["fund_change"] == "Y"


@pytest.mark.parametrize("after", [False, True])
def test_a_system_error_before_or_after_the_work(sandbox, paid, refund, ask, after):
    pay_no = paid()
    sandbox.refuse_refund("ACQ.SYSTEM_ERROR", after=after)
    assert refused(refund(pay_no)) == "ACQ.SYSTEM_ERROR"
    assert ask(pay_no).get("refund_status") == ("REFUND_SUCCESS" if after else None)
    assert refund(pay_no)["fund_change"] == ("N" if after else "Y")


@pytest.mark.parametrize("kind", ["drop", "status", "html", "unavailable"])
@pytest.mark.parametrize("after", [False, True])
def test_the_faults_of_every_call_are_those_of_a_refund_too(sandbox, merchant, paid, kind, after):
    pay_no = paid()
    sandbox.fault("gateway", kind, method=REFUND, after=after)
    params = merchant.params(REFUND, {"out_trade_no": pay_no, "refund_amount": "1.00", "out_request_no": "R1"})
    try:
        assert "fund_change" not in merchant.post(params).text
    except requests.ConnectionError:
        assert kind == "drop"
    assert len(sandbox.refunds(pay_no)) == (1 if after else 0)


def test_refunds_of_one_trade_may_be_held_apart(sandbox, paid, refund):
    pay_no, other = paid(), paid()
    sandbox.alipay(refund_gap_ms=86400000)
    assert refund(pay_no, "1.00", "RG1")["fund_change"] == "Y"
    assert refused(refund(pay_no, "1.00", "RG2")) == "ACQ.SYSTEM_ERROR"
    assert refund(pay_no, "1.00", "RG1")["fund_change"] == "N"
    assert refund(other, "1.00", "RG3")["fund_change"] == "Y"
    sandbox.alipay(refund_gap_ms=300)
    deadline = time.monotonic() + 30
    while refund(pay_no, "1.00", "RG2")["code"] != "10000":
        assert time.monotonic() < deadline
    assert len(sandbox.refunds(pay_no)) == 2


# -- the provider's console

def test_refunds_made_in_the_console(sandbox, merchant, receiver, paid, refund, ask):
    pay_no = paid(receiver)
    sandbox.refund(pay_no, amount="8.80")
    told = merchant.check_notice(receiver.next())
    assert (told["refund_fee"], told["out_biz_no"]) == ("8.80", told["trade_no"])
    sandbox.refund(pay_no, amount="10.00", out_request_no="C2", notify=False)
    assert ask(pay_no, "C2")["refund_status"] == "REFUND_SUCCESS"
    assert refund(pay_no, "1.00", "RC1")["refund_fee"] == "19.80"
    assert refused(refund(pay_no, "69.01", "RC2")) == "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL"
    assert merchant.check_notice(receiver.next())["out_biz_no"] == "RC1"
    sandbox.refund(pay_no)
    assert merchant.check_notice(receiver.next())["trade_status"] == "TRADE_CLOSED"
    assert [one["amount"] for one in sandbox.refunds(pay_no)] == ["8.80", "10.00", "1.00", "69.00"]


@pytest.mark.parametrize("body", ["", "[]", '{"refund_outcome":"x"}', '{"refund_outcome":1}', '{"refund_gap_ms":-1}',
                                  '{"refund_gap_ms":"1"}', '{"refund_gap_ms":86400001}', '{"gap":1}'])
def test_wrong_settings_are_refused_and_change_nothing(sandbox, body):
    before = sandbox.get("/control/alipay")
    answer = sandbox.session.post(sandbox.url + "/control/alipay", data=body)
    assert answer.status_code == 400 and sandbox.get("/control/alipay") == before


@pytest.mark.parametrize("number, event, status", [("nowhere", "succeed", 404), ("R-known", "explode", 409)])
def test_unknown_refunds_and_events(sandbox, paid, number, event, status):
    if number == "R-known":
        sandbox.refund(paid(), amount="1.00", out_request_no=number)
    with pytest.raises(requests.HTTPError) as refusal:
        sandbox.end_refund(number, event)
    assert refusal.value.response.status_code == status
