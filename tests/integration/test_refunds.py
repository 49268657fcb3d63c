"""Refunds from end to end, through both providers and on both stores: what the caller is answered, what is in the books, what the
provider has in its own, and what happens when they do not hear from each other."""

import concurrent.futures
import itertools
import json
import os

import pytest
import requests

from books import (CLOSED, PAID, RECORD_PAID, RECORD_REFUNDED, REFUND_CREATED, REFUND_FAILED, REFUND_PROCESSING, REFUND_SUCCEEDED,
                   REFUND_UNKNOWN, REFUNDED, minor)
from paynotifyd import BUILD, SLOWNESS, wechat_settings
from sandbox import Sandbox
from waiting import wait_for

REFUND_METHOD = {"alipay": "alipay.trade.refund", "wechat": "refund"}
SITES = {"alipay": 1, "wechat": 2}  # a call that breaks off goes to the second one
OPEN = (REFUND_CREATED, REFUND_PROCESSING, REFUND_UNKNOWN)

numbers = itertools.count(1)


@pytest.fixture
def server(make_server, sandbox, request):
    settings = {"channel wechat": wechat_settings(sandbox)}
    if request.node.get_closest_marker("policies"):
        settings["app learning"] = {"late_payment": "refund", "duplicate_payment": "refund"}
    return make_server(settings).start()


@pytest.fixture(params=["alipay", "wechat"])
def channel(request):
    return request.param


@pytest.fixture
def paid(server, sandbox, books, submit, pay_page):
    """paid(channel): a payment of 88.80 that both sides know as paid."""
    def make(channel, **more):
        product = {"alipay": "wap", "wechat": "native"}[channel]
        payment = server.payment(server.order(f"r-{next(numbers)}", **more)["order_id"], channel=channel, product=product)
        if channel == "alipay":
            assert submit(pay_page(payment["pay_url"])).status_code == 200
        sandbox.pay(payment["pay_no"])
        wait_for(lambda: books.record(payment["pay_no"])["status"] == RECORD_PAID, 20 * SLOWNESS, "the payment")
        return payment
    return make


@pytest.fixture
def refund(server):
    """refund(payment, **body): (status, JSON)."""
    def call(payment, app="learning", **body):
        body.setdefault("out_refund_id", f"R-{next(numbers)}")
        answer = server.api("POST", f"/v1/payments/{payment['pay_no']}/refunds", body, app=app)
        return answer.status_code, answer.json()
    return call


@pytest.fixture
def ended(server, books):
    """ended(made, status): reads it until it has ended, which has to be so. What the schedule would do later, it does now."""
    def wait(made, status="succeeded"):
        def read():
            now = server.ok("GET", f"/v1/refunds/{made['refund_no']}")
            if now["status"] in ("succeeded", "failed"):
                return now
            books.make_due()
            return None
        found = wait_for(read, 60 * SLOWNESS, "the refund to end")
        assert found["status"] == status, found
        return found
    return wait


def events(books, payment):
    return books.events(payment["order_id"])


def moved(sandbox, payment):
    """What really went back, in fen."""
    return sum(minor(one["amount"]) for one in sandbox.refunds(payment["pay_no"]) if one["status"] == "SUCCESS")


def check_sums(books, sandbox, payment):
    """The sums fit the refunds, here and there."""
    record, order = books.record(payment["pay_no"]), books.order(payment["order_id"])
    rows = books.refunds(payment["pay_no"])
    assert record["refunded_minor"] == sum(row["amount_minor"] for row in rows if row["status"] == REFUND_SUCCEEDED)
    assert record["refunding_minor"] == sum(row["amount_minor"] for row in rows if row["status"] in OPEN)
    assert record["refunded_minor"] + record["refunding_minor"] <= record["amount_minor"]
    assert order["refunded_minor"] == record["refunded_minor"] == moved(sandbox, payment)
    assert record["status"] == (RECORD_REFUNDED if record["refunded_minor"] == record["amount_minor"] else RECORD_PAID)
    assert order["status"] == (REFUNDED if order["refunded_minor"] == order["amount_minor"] else PAID)


# ---------------------------------------------------------------------------------------------------- how it should go

def test_all_of_a_payment_goes_back(server, sandbox, books, channel, paid, refund, ended):
    payment = paid(channel)
    status, made = refund(payment, reason="不想要了 <b>")
    told = (status, made["status"])
    assert told == (201, "succeeded") or (channel == "wechat" and told == (202, "processing"))  # WeChat's notice may be faster
    made = ended(made)
    assert made["amount"] == "88.80" and made["payment_status"] == "refunded" and made["order_status"] == "refunded"
    assert made["finished_at"] and made["source"] == "api" and "cause" not in made
    check_sums(books, sandbox, payment)
    assert events(books, payment) == ["payment.succeeded", "refund.succeeded"]
    seen = server.ok("GET", f"/v1/payments/{payment['pay_no']}")
    assert (seen["refunded_amount"], seen["refunding_amount"], seen["status"]) == ("88.80", "0.00", "refunded")
    assert server.ok("GET", f"/v1/orders/{payment['order_id']}")["refunded_amount"] == "88.80"
    assert sandbox.refunds(payment["pay_no"])[0]["refund_no"] == made["refund_no"]
    assert refund(payment)[0] == 409


def test_parts_add_up_to_all(sandbox, books, channel, paid, refund, ended):
    payment = paid(channel)
    for _ in range(8):
        ended(refund(payment, amount="10")[1])
        assert books.order(payment["order_id"])["status"] == PAID
        check_sums(books, sandbox, payment)
    status, problem = refund(payment, amount="8.81")
    assert (status, problem["field"]) == (409, "amount") and "8.80 CNY" in problem["detail"]
    ended(refund(payment)[1])
    check_sums(books, sandbox, payment)
    assert books.order(payment["order_id"])["status"] == REFUNDED
    assert events(books, payment) == ["payment.succeeded"] + 9 * ["refund.succeeded"]


def test_the_same_number_is_the_same_refund(sandbox, books, channel, paid, refund, ended):
    payment, other = paid(channel), paid(channel)
    first = refund(payment, out_refund_id="one", amount="8.80")[1]
    first = ended(first)
    for more in ({"amount": "8.80"}, {}, {"amount": "8.8", "reason": "another"}):
        status, again = refund(payment, out_refund_id="one", **more)
        assert (status, again) == (200, first)
    for what, more in ((payment, {"amount": "8.79"}), (other, {"amount": "8.80"}), (other, {})):
        status, problem = refund(what, out_refund_id="one", **more)
        assert (status, problem["field"]) == (409, "out_refund_id")
    assert len(books.refunds(payment["pay_no"])) == 1 and books.refunds(other["pay_no"]) == []
    check_sums(books, sandbox, payment)


def test_only_what_is_paid_and_ones_own_is_refunded(server, paid, refund, ended):
    payment = paid("alipay")
    unpaid = server.payment(server.order("r-unpaid")["order_id"])
    assert refund(unpaid)[0] == 409
    assert refund({"pay_no": "1"})[0] == 404
    assert refund(payment, app="other")[0] == 404
    made = ended(refund(payment, app="operator", out_refund_id="op", amount="1")[1])
    assert made["app"] == "learning"
    for method, path in (("GET", ""), ("GET", "?refresh=true"), ("POST", "/retry")):
        assert server.api(method, f"/v1/refunds/{made['refund_no']}{path}", app="other").status_code == 404
    assert server.ok("GET", "/v1/refunds", app="other")["refunds"] == []
    assert [one["refund_no"] for one in server.ok("GET", "/v1/refunds?out_refund_id=op")["refunds"]] == [made["refund_no"]]
    assert server.api("POST", f"/v1/refunds/{made['refund_no']}/retry").status_code == 409


@pytest.mark.parametrize("amount", ["0", "0.00", "-1", "1.001", "1e1", "", "88,80", " 1", 1])
def test_amounts_that_are_none_are_refused(paid, refund, amount):
    status, problem = refund(paid("alipay"), amount=amount)
    assert (status, problem["field"]) == (422, "amount")


def test_refunds_are_listed(server, paid, refund, ended):
    payment, other = paid("alipay"), paid("alipay")
    made = [ended(refund(payment, amount="1")[1])["refund_no"] for _ in range(3)]
    ended(refund(other, amount="1")[1])

    def listed(query):
        page = server.ok("GET", "/v1/refunds?" + query)
        return [one["refund_no"] for one in page["refunds"]], page.get("next")
    assert listed(f"pay_no={payment['pay_no']}") == (made[::-1], None)
    assert listed(f"order_id={payment['order_id']}&status=succeeded") == (made[::-1], None)
    assert listed(f"pay_no={payment['pay_no']}&status=602004") == ([], None)
    page, cursor = listed(f"order_id={payment['order_id']}&limit=2")
    assert page == made[:0:-1] and cursor == made[1]
    assert listed(f"order_id={payment['order_id']}&limit=2&cursor={cursor}") == (made[:1], None)
    assert len(listed("created_from=2024-01-01T00:00:00Z")[0]) == 4
    assert listed("created_to=2024-01-01T00:00:00Z") == ([], None)


# ---------------------------------------------------------------------------------------------------- the merchant's certificate

@pytest.fixture
def strict(directory, request):
    """WeChat Pay over TLS, which wants the merchant's certificate for refunds."""
    started = Sandbox(BUILD, os.path.join(directory, "strict"), speed=1000, wechat_tls=True)
    request.node.logs["the strict sandbox"] = started.path("sandbox.log")
    with started:
        yield started


def test_wechat_wants_the_merchant_s_certificate(make_server, strict, books):
    settings = wechat_settings(strict)
    assert settings.pop("client_p12_file")
    server = make_server({"server": {"ca_file": strict.path("wechat-ca.pem")}, "channel wechat": settings}).start()
    payment = server.payment(server.order("t-1")["order_id"], channel="wechat", product="native")
    strict.pay(payment["pay_no"])
    wait_for(lambda: books.record(payment["pay_no"])["status"] == RECORD_PAID, 20 * SLOWNESS, "the payment")
    made = server.ok("POST", f"/v1/payments/{payment['pay_no']}/refunds", {"out_refund_id": "cert"})
    assert made["status"] == "failed" and "client_p12" in made["provider_message"]

    server.sections["channel wechat"] = wechat_settings(strict)
    server.restart()
    server.ok("POST", f"/v1/refunds/{made['refund_no']}/retry")
    wait_for(lambda: books.record(payment["pay_no"])["status"] == RECORD_REFUNDED, 60 * SLOWNESS, "the refund")
    check_sums(books, strict, payment)


# ---------------------------------------------------------------------------------------------------- many at once

def test_fifty_at_once_never_refund_more_than_was_paid(sandbox, books, channel, paid, refund, ended):
    payment = paid(channel)
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: refund(payment, amount="10"), range(50)))
    made = [body for status, body in answers if status in (201, 202)]
    assert len(made) == 8 and sum(status == 409 for status, _ in answers) == 42
    for one in made:
        ended(one)
    check_sums(books, sandbox, payment)
    assert books.record(payment["pay_no"])["refunded_minor"] == 8000
    assert events(books, payment) == ["payment.succeeded"] + 8 * ["refund.succeeded"]


def test_fifty_at_once_with_one_number_are_one_refund(sandbox, books, channel, paid, refund, ended):
    payment = paid(channel)
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: refund(payment, out_refund_id="same", amount="10"), range(50)))
    assert {status for status, _ in answers} <= {200, 201, 202}
    assert len({body["refund_no"] for _, body in answers}) == 1
    ended(answers[0][1])
    check_sums(books, sandbox, payment)
    assert books.record(payment["pay_no"])["refunded_minor"] == 1000


def test_one_number_for_two_payments_at_once_is_one_refund(books, paid, refund, ended):
    payments = [paid("alipay"), paid("alipay")]
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda n: refund(payments[n % 2], out_refund_id="shared", amount="10"), range(20)))
    made = [body for status, body in answers if status != 409]
    assert len(made) == 10 and len({body["refund_no"] for body in made}) == 1
    assert {body["field"] for status, body in answers if status == 409} == {"out_refund_id"}
    ended(made[0])
    assert sorted(books.record(payment["pay_no"])["refunded_minor"] for payment in payments) == [0, 1000]
    assert sum(books.record(payment["pay_no"])["refunding_minor"] for payment in payments) == 0


# ---------------------------------------------------------------------------------------------------- silence and refusals

@pytest.mark.parametrize("done", [True, False])
def test_an_answer_that_is_lost_is_found_out(sandbox, books, channel, paid, refund, ended, done):
    """Whether the provider had done it or not: in the end it is done, once."""
    payment = paid(channel)
    sandbox.fault("notice", "drop", count=-1)
    sandbox.fault("gateway", "drop", after=done, method=REFUND_METHOD[channel], count=SITES[channel])
    status, made = refund(payment)
    assert (status, made["status"]) == (202, "unknown")
    assert books.record(payment["pay_no"])["refunding_minor"] == 8880
    assert refund(payment, amount="0.01")[0] == 409
    assert events(books, payment) == ["payment.succeeded"]
    ended(made)
    check_sums(books, sandbox, payment)
    assert len(sandbox.refunds(payment["pay_no"])) == 1
    assert events(books, payment) == ["payment.succeeded", "refund.succeeded"]


@pytest.mark.parametrize("garbage", ["status", "html"])
def test_an_answer_that_cannot_be_believed_is_unknown(server, sandbox, books, channel, paid, refund, ended, garbage):
    payment = paid(channel)
    sandbox.fault("gateway", garbage, method=REFUND_METHOD[channel])
    status, made = refund(payment, amount="80")
    assert (status, made["status"]) == (202, "unknown") and made["provider_message"]
    server.ok("POST", f"/v1/refunds/{made['refund_no']}/retry")
    ended(made)
    check_sums(books, sandbox, payment)
    assert len(sandbox.refunds(payment["pay_no"])) == 1


def test_a_refusal_sets_the_amount_free_and_is_tried_again(server, sandbox, books, paid, refund, ended):
    payment = paid("alipay")
    sandbox.refuse_refund("ACQ.SELLER_BALANCE_NOT_ENOUGH")
    status, made = refund(payment)
    assert (status, made["status"]) == (201, "failed") and "ACQ.SELLER_BALANCE_NOT_ENOUGH" in made["provider_message"]
    assert events(books, payment) == ["payment.succeeded", "refund.failed"]
    check_sums(books, sandbox, payment)
    ended(refund(payment, amount="80")[1])
    path = f"/v1/refunds/{made['refund_no']}/retry"
    assert server.api("POST", path).status_code == 409  # 88.80 are not left
    second = refund(payment, amount="8.80", out_refund_id="second")[1]
    ended(second)
    check_sums(books, sandbox, payment)

    payment = paid("alipay")
    sandbox.refuse_refund("ACQ.SELLER_BALANCE_NOT_ENOUGH")
    made = refund(payment)[1]
    again = server.ok("POST", f"/v1/refunds/{made['refund_no']}/retry")
    assert (again["refund_no"], again["status"]) == (made["refund_no"], "succeeded")
    assert sandbox.refunds(payment["pay_no"])[0]["refund_no"] == made["refund_no"]
    check_sums(books, sandbox, payment)
    assert events(books, payment) == ["payment.succeeded", "refund.failed", "refund.succeeded"]


def test_wechat_s_refusal_sets_the_amount_free(sandbox, books, paid, refund):
    payment = paid("wechat")
    sandbox.fault("gateway", "refuse", method="refund", code="NOTENOUGH")
    status, made = refund(payment)
    assert (status, made["status"]) == (201, "failed") and "NOTENOUGH" in made["provider_message"]
    check_sums(books, sandbox, payment)
    assert events(books, payment) == ["payment.succeeded", "refund.failed"]


def test_a_refusal_that_was_none_is_put_right_by_the_notice(sandbox, books, paid, refund, ended):
    """Alipay says no, and gives the money back all the same. When the notice comes first, people are told of the contradiction."""
    payment = paid("alipay")
    sandbox.refuse_refund("ACQ.SELLER_BALANCE_NOT_ENOUGH", after=True)
    made = refund(payment)[1]
    wait_for(lambda: books.refunds(payment["pay_no"])[0]["status"] == REFUND_SUCCEEDED, 20 * SLOWNESS, "the notice to be settled")
    check_sums(books, sandbox, payment)
    assert events(books, payment)[1:] in (["refund.failed", "refund.succeeded"], ["refund.succeeded", "payment.review"])
    ended(made)


def test_too_soon_after_another_refund_it_is_made_later(sandbox, books, paid, refund, ended):
    """Alipay wants three seconds between the refunds of a payment. Here it wants an hour, until that has passed at once."""
    payment = paid("alipay")
    sandbox.alipay(refund_gap_ms=3_600_000)
    made = [refund(payment, amount="10")[1] for _ in range(3)]
    assert [one["status"] for one in made] == ["succeeded", "unknown", "unknown"]
    sandbox.alipay(refund_gap_ms=0)
    for one in made:
        ended(one)
    check_sums(books, sandbox, payment)
    assert books.record(payment["pay_no"])["refunded_minor"] == 3000


@pytest.mark.parametrize("done", [True, False])
def test_a_server_that_is_killed_in_between_goes_on(server, sandbox, books, channel, paid, refund, ended, done):
    """Between the call and its answer: whether it arrived, nobody knows. In the end the money went back once."""
    payment = paid(channel)
    sandbox.fault("notice", "drop", count=-1)
    sandbox.fault("gateway", "delay", ms=60000, after=done, method=REFUND_METHOD[channel])
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        lost = pool.submit(refund, payment, out_refund_id="killed")
        wait_for(lambda: books.refunds(payment["pay_no"]), 20 * SLOWNESS, "the refund to be in the books")
        if done:
            wait_for(lambda: sandbox.refunds(payment["pay_no"]), 20 * SLOWNESS, "the provider to have made it")
        server.kill9()
        with pytest.raises(requests.RequestException):
            lost.result()
    row, = books.refunds(payment["pay_no"])
    assert row["status"] == REFUND_CREATED and row["doubt"] and books.record(payment["pay_no"])["refunding_minor"] == 8880
    sandbox.clear_faults()
    sandbox.fault("notice", "drop", count=-1)
    server.start()
    made = ended({"refund_no": str(row["refund_no"])})
    assert refund(payment, out_refund_id="killed") == (200, made)
    check_sums(books, sandbox, payment)
    assert len(sandbox.refunds(payment["pay_no"])) == 1
    assert events(books, payment) == ["payment.succeeded", "refund.succeeded"]


def test_a_slow_answer_and_its_notice_are_one_refund(sandbox, books, paid, refund, ended):
    """The notice of our own refund overtakes the answer to the call."""
    payment = paid("alipay")
    sandbox.fault("gateway", "delay", ms=1500, after=True, method=REFUND_METHOD["alipay"])
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        answer = pool.submit(refund, payment, out_refund_id="slow")
        wait_for(lambda: books.refunds(payment["pay_no"]) and books.refunds(payment["pay_no"])[0]["status"] == REFUND_SUCCEEDED,
                 20 * SLOWNESS, "the notice to be settled")
        status, made = answer.result()
    assert (status, made["status"]) == (201, "succeeded")
    check_sums(books, sandbox, payment)
    assert events(books, payment) == ["payment.succeeded", "refund.succeeded"]


# ---------------------------------------------------------------------------------------------------- accepted, not done

def test_wechat_tells_by_a_notice_which_is_confirmed(sandbox, books, paid, refund, ended):
    payment = paid("wechat")
    sandbox.wechat_set(refund_outcome="processing")
    status, made = refund(payment)
    assert (status, made["status"]) == (202, "processing")
    assert books.record(payment["pay_no"])["refunding_minor"] == 8880
    sandbox.act_refund(made["refund_no"], "succeed")
    ended(made)
    check_sums(books, sandbox, payment)
    assert events(books, payment) == ["payment.succeeded", "refund.succeeded"]


@pytest.mark.parametrize("event,status", [("succeed", "succeeded"), ("close", "failed")])
def test_without_a_notice_the_schedule_asks(sandbox, books, paid, refund, ended, event, status):
    payment = paid("wechat")
    sandbox.wechat_set(refund_outcome="processing")
    made = refund(payment)[1]
    sandbox.act_refund(made["refund_no"], event, notify=False)
    ended(made, status)
    check_sums(books, sandbox, payment)
    assert events(books, payment) == ["payment.succeeded", "refund." + status]
    assert books.count("query_schedule", "subject = %s", int(made["refund_no"])) == 0


def test_what_the_payer_s_account_refuses_stays_open(server, sandbox, books, paid, refund, ended):
    """CHANGE: people have to act, and it may still go either way."""
    payment = paid("wechat")
    sandbox.wechat_set(refund_outcome="processing")
    made = refund(payment)[1]
    sandbox.act_refund(made["refund_no"], "change")
    seen = server.ok("GET", f"/v1/refunds/{made['refund_no']}?refresh=true")
    assert seen["status"] == "processing"
    assert events(books, payment) == ["payment.succeeded"]
    assert books.record(payment["pay_no"])["refunding_minor"] == 8880


def test_alipay_accepts_and_says_nothing_until_it_is_done(server, sandbox, books, paid, refund, ended):
    payment = paid("alipay")
    sandbox.alipay(refund_outcome="processing")
    status, made = refund(payment)
    assert (status, made["status"]) == (202, "unknown")
    assert server.ok("GET", f"/v1/refunds/{made['refund_no']}?refresh=true")["status"] == "unknown"
    assert server.ok("POST", f"/v1/refunds/{made['refund_no']}/retry")["status"] == "unknown"
    sandbox.end_refund(made["refund_no"], notify=False)
    seen = server.ok("GET", f"/v1/refunds/{made['refund_no']}?refresh=true")
    assert seen["status"] == "succeeded"
    check_sums(books, sandbox, payment)
    assert len(sandbox.refunds(payment["pay_no"])) == 1


# ---------------------------------------------------------------------------------------------------- at the provider

def provider_refunds(books, payment):
    return [(row["source"], row["amount_minor"], row["status"]) for row in books.refunds(payment["pay_no"])]


def test_a_refund_in_the_console_appears_by_its_notice(server, sandbox, books, paid):
    payment = paid("alipay")
    sandbox.refund(payment["pay_no"], amount="8.80", out_request_no="C1")
    wait_for(lambda: books.record(payment["pay_no"])["refunded_minor"] == 880, 20 * SLOWNESS, "the refund to appear")
    sandbox.refund(payment["pay_no"])
    wait_for(lambda: books.record(payment["pay_no"])["refunded_minor"] == 8880, 20 * SLOWNESS, "the rest to appear")
    assert provider_refunds(books, payment) == [("provider", 880, REFUND_SUCCEEDED), ("provider", 8000, REFUND_SUCCEEDED)]
    check_sums(books, sandbox, payment)
    assert events(books, payment) == ["payment.succeeded", "refund.succeeded", "refund.succeeded"]
    listed = server.ok("GET", f"/v1/refunds?pay_no={payment['pay_no']}")["refunds"]
    assert listed[1]["provider_refund_no"] == "C1" and "out_refund_id" not in listed[1]


@pytest.mark.parametrize("channel,amount", [("wechat", "8.80"), ("wechat", "88.80"), ("alipay", "88.80")])
def test_a_refund_in_the_console_appears_by_asking(server, sandbox, books, paid, channel, amount):
    """Of Alipay's only a full one: its query tells nothing of a part."""
    payment = paid(channel)
    sandbox.refund(payment["pay_no"], amount=amount, notify=False)
    seen = server.ok("GET", f"/v1/payments/{payment['pay_no']}?refresh=true")
    assert seen["refunded_amount"] == amount and not seen["needs_review"]
    assert provider_refunds(books, payment) == [("provider", minor(amount), REFUND_SUCCEEDED)]
    check_sums(books, sandbox, payment)


def test_a_refusal_for_a_refund_in_the_console_brings_it_to_light(sandbox, books, channel, paid, refund, ended):
    """Nobody was told of it, and then there was nothing left."""
    payment = paid(channel)
    sandbox.refund(payment["pay_no"], notify=False)
    ended(refund(payment, amount="10")[1], "failed")
    wait_for(lambda: books.record(payment["pay_no"])["status"] == RECORD_REFUNDED, 30 * SLOWNESS, "the console's refund to appear")
    assert sorted(provider_refunds(books, payment)) == [("api", 1000, REFUND_FAILED), ("provider", 8880, REFUND_SUCCEEDED)]
    check_sums(books, sandbox, payment)


def test_one_s_own_and_the_console_s_refunds_stand_side_by_side(server, sandbox, books, channel, paid, refund, ended):
    payment = paid(channel)
    ended(refund(payment, amount="8.80")[1])
    sandbox.refund(payment["pay_no"], amount="10.00")
    ended(refund(payment, amount="20")[1])
    server.ok("GET", f"/v1/payments/{payment['pay_no']}?refresh=true")
    wait_for(lambda: books.record(payment["pay_no"])["refunded_minor"] == 3880, 20 * SLOWNESS, "all three")
    check_sums(books, sandbox, payment)
    assert sorted(provider_refunds(books, payment)) == [("api", 880, REFUND_SUCCEEDED), ("api", 2000, REFUND_SUCCEEDED), ("provider", 1000, REFUND_SUCCEEDED)]
    status, problem = refund(payment, amount="50.01")
    assert status == 409, problem


# ---------------------------------------------------------------------------------------------------- by the app's policy

def refunded_by_policy(books, payment, cause):
    """Waits until all of it went back, by itself."""
    wait_for(lambda: books.record(payment["pay_no"])["status"] == RECORD_REFUNDED, 60 * SLOWNESS, "the policy to refund it")
    row, = books.refunds(payment["pay_no"])
    assert (row["source"], row["cause"], row["amount_minor"], row["out_refund_id"]) == ("policy", cause, 8880, None)
    events = books.rows("SELECT data FROM events WHERE pay_no = %s ORDER BY event_id", int(payment["pay_no"]))
    return [json.loads(event["data"]) for event in events]


@pytest.mark.policies
def test_a_second_payment_is_given_back(server, sandbox, books, paid, submit, pay_page):
    order = server.order("p-1")
    first, second = (server.payment(order["order_id"]) for _ in range(2))
    for payment in (first, second):
        assert submit(pay_page(payment["pay_url"])).status_code == 200
    sandbox.pay(second["pay_no"], notify=False)
    sandbox.pay(first["pay_no"])
    duplicate, refunded = refunded_by_policy(books, second, "duplicate")
    assert (duplicate["type"], refunded["type"]) == ("payment.duplicate", "refund.succeeded")
    assert (refunded["cause"], refunded["order_status"], refunded["refunded_amount"]) == ("duplicate", PAID, "0.00")
    assert refunded["refund_amount"] == "88.80" and refunded["payment_status"] == RECORD_REFUNDED
    assert (books.order(order["order_id"])["status"], books.order(order["order_id"])["refunded_minor"]) == (PAID, 0)
    assert moved(sandbox, second) == 8880 and moved(sandbox, first) == 0
    assert books.events(order["order_id"]) == ["payment.succeeded", "payment.duplicate", "refund.succeeded"]


@pytest.mark.policies
def test_a_late_payment_is_given_back(server, sandbox, books, scan):
    order = server.order("p-2")
    payment = server.payment(order["order_id"], product="precreate")
    server.ok("POST", f"/v1/orders/{order['order_id']}/close")  # the code may still be scanned
    books.age(order["order_id"])

    def is_closed():
        books.make_due()
        return books.order(order["order_id"])["status"] == CLOSED
    wait_for(is_closed, 30 * SLOWNESS, "the order to be closed")
    scan(payment)
    sandbox.pay(payment["pay_no"])
    late, refunded = refunded_by_policy(books, payment, "late")
    assert (late["type"], refunded["type"]) == ("payment.late", "refund.succeeded")
    assert (refunded["cause"], refunded["order_status"]) == ("late", CLOSED)
    assert (books.order(order["order_id"])["status"], books.order(order["order_id"])["refunded_minor"]) == (CLOSED, 0)
    assert server.api("POST", f"/v1/payments/{payment['pay_no']}/accept").status_code == 409
    assert moved(sandbox, payment) == 8880


def test_what_is_held_is_given_back_by_a_call(server, sandbox, books, refund, ended, submit, pay_page):
    """The policy is hold: a person decides, and the order stays paid by the other one."""
    order = server.order("p-3")
    first, second = (server.payment(order["order_id"]) for _ in range(2))
    for payment in (first, second):
        submit(pay_page(payment["pay_url"]))
    sandbox.pay(second["pay_no"], notify=False)
    sandbox.pay(first["pay_no"])
    wait_for(lambda: books.record(second["pay_no"])["status"] == RECORD_PAID, 60 * SLOWNESS, "the second payment")
    assert books.refunds(second["pay_no"]) == []
    for amount in ("80.00", "8.80"):
        made = ended(refund(second, amount=amount)[1])
        assert (made["cause"], made["order_status"]) == ("duplicate", "paid")
    assert books.order(order["order_id"])["refunded_minor"] == 0
    ended(refund(first)[1])
    assert books.order(order["order_id"])["status"] == REFUNDED
