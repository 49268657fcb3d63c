"""paynotify-sandbox itself: that it signs and checks as Alipay does, refuses with Alipay's codes, notifies on Alipay's
schedule, and makes each fault that it is asked for. Another judge (merchant.py with openssl) looks at every signature.
"""
import http.client
import json
import os
import re
import socket
import stat
import subprocess
import threading
import time

import pytest
import requests

import merchant as alipay
from receiver import Receiver
from sandbox import Sandbox

BUILDDIR = os.environ.get("PN_BUILDDIR", os.path.join(os.path.dirname(__file__), "..", ".."))
SPEED = 100000  # 15 hours become 540 ms
QUERY, CLOSE, PRECREATE = "alipay.trade.query", "alipay.trade.close", "alipay.trade.precreate"
WAP, PAGE = "alipay.trade.wap.pay", "alipay.trade.page.pay"


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    running = Sandbox(BUILDDIR, tmp_path_factory.mktemp("sandbox"), speed=SPEED, fresh_keys=True).start()
    yield running
    assert running.stop() == 0, running.log()  # after all that the tests did to it


@pytest.fixture(autouse=True)
def no_faults(sandbox):
    yield
    sandbox.clear_faults()


@pytest.fixture
def receiver():
    running = Receiver()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def merchant(sandbox):
    return alipay.Merchant(sandbox.gateway, sandbox.app_id, sandbox.path("app-private.pem"),
                           sandbox.path("alipay-public.pem"))


numbers = iter(range(1, 10 ** 6))


def order(**more):
    biz = {"out_trade_no": "PN%d" % next(numbers), "total_amount": "88.80", "subject": "测试 <b>订单\"",
           "product_code": "QUICK_WAP_WAY"}
    biz.update(more)
    return {name: value for name, value in biz.items() if value is not None}


def open_wap(sandbox, merchant, receiver=None, biz=None, method=WAP, **more):
    """The payer opens the pay form; returns the pay_no."""
    biz = biz or order(product_code="FAST_INSTANT_TRADE_PAY" if method == PAGE else "QUICK_WAP_WAY")
    if receiver:
        more["notify_url"] = receiver.url
    answer = merchant.post(merchant.params(method, biz, **more))
    assert answer.status_code == 200, answer.text
    return biz["out_trade_no"]


# -- keys and start

def test_keys_have_the_console_s_shapes_and_are_private(sandbox):
    for name in ("alipay-private.pem", "app-private.pem", "app-private.txt"):
        assert stat.S_IMODE(os.stat(sandbox.path(name)).st_mode) == 0o600, name
    for pair in ("alipay", "app"):
        made = subprocess.run(["openssl", "pkey", "-in", sandbox.path(pair + "-private.pem"), "-pubout"],
                              capture_output=True, check=True).stdout
        with open(sandbox.path(pair + "-public.pem"), "rb") as file:
            assert file.read() == made
    for name, pem in (("alipay-public.txt", "alipay-public.pem"), ("app-private.txt", "app-private.pem")):
        with open(sandbox.path(name)) as bare, open(sandbox.path(pem)) as file:
            assert bare.read() == "".join(line for line in file.read().split("\n") if not line.startswith("-----"))


def test_keys_are_kept_over_a_restart_and_the_port_file_follows(tmp_path):
    with Sandbox(BUILDDIR, tmp_path) as first:
        with open(first.path("alipay-private.pem")) as file:
            key = file.read()
    with Sandbox(BUILDDIR, tmp_path) as second:
        with open(second.path("alipay-private.pem")) as file:
            assert file.read() == key
        assert second.gateway in second.merchant_conf()


def test_it_says_that_it_is_no_real_provider_and_stops_cleanly(tmp_path):
    sandbox = Sandbox(BUILDDIR, tmp_path).start()
    assert "NOT a real provider" in sandbox.log()
    assert sandbox.stop() == 0


def test_merchant_conf_names_what_the_server_needs(sandbox):
    lines = dict(line.split(" = ", 1) for line in sandbox.merchant_conf().splitlines() if " = " in line)
    assert lines == {"app_id": sandbox.app_id, "gateway": sandbox.gateway, "seller_id": sandbox.seller_id,
                     "private_key_file": sandbox.path("app-private.pem"),
                     "alipay_public_key_file": sandbox.path("alipay-public.pem")}


@pytest.mark.parametrize("arguments", [[], ["--dir"], ["--dir", "/dev/null"], ["--dir", "{}", "--speed", "0"],
                                       ["--dir", "{}", "--speed", "1x"], ["--dir", "{}", "--app-id", "ab"],
                                       ["--dir", "{}", "--listen", "nowhere"], ["--dir", "{}", "--listen", "127.0.0.1:x"],
                                       ["--dir", "{}", "more"], ["--dir", "{}", "--wrong"]])
def test_wrong_arguments_are_refused(arguments, tmp_path):
    command = [os.path.join(BUILDDIR, "paynotify-sandbox")] + [part.format(tmp_path) for part in arguments]
    done = subprocess.run(command, capture_output=True, timeout=30)
    assert done.returncode in (1, 2) and done.stderr


def test_a_taken_port_and_a_broken_key_are_named(sandbox, tmp_path):
    program = os.path.join(BUILDDIR, "paynotify-sandbox")
    listen = sandbox.url.split("//")[1]
    done = subprocess.run([program, "--dir", tmp_path, "--listen", listen], capture_output=True, timeout=30)
    assert done.returncode == 1 and listen.encode() in done.stderr
    (tmp_path / "alipay-private.pem").write_text("no key")
    done = subprocess.run([program, "--dir", tmp_path], capture_output=True, timeout=30)
    assert done.returncode == 1 and b"alipay-private.pem" in done.stderr


# -- the payer's way

def test_a_payment_from_form_to_notice(sandbox, merchant, receiver):
    biz = order(body="大乐透", passback_params="a%3D1%26b")
    pay_no = biz["out_trade_no"]
    assert merchant.call(QUERY, {"out_trade_no": pay_no})["sub_code"] == "ACQ.TRADE_NOT_EXIST"

    page = merchant.post(merchant.params(WAP, biz, notify_url=receiver.url, return_url="http://shop.example/back?x=1"))
    assert page.status_code == 200 and page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert page.headers["Cache-Control"] == "no-store"
    assert "测试 &lt;b&gt;订单&quot;" in page.text and "88.80" in page.text
    trade_no = re.search(r'name="trade" value="(\d{28})"', page.text).group(1)
    waiting = merchant.call(QUERY, {"out_trade_no": pay_no})
    assert waiting["trade_status"] == "WAIT_BUYER_PAY" and "send_pay_date" not in waiting

    back = sandbox.press("pay", trade_no)
    assert back.status_code == 303
    location = back.headers["Location"]
    assert location.startswith("http://shop.example/back?x=1&")
    given = merchant.check_notice(location.split("?x=1&")[1])
    assert given["out_trade_no"] == pay_no and given["total_amount"] == "88.80" and "trade_status" not in given

    fields = merchant.check_notice(receiver.next())
    assert {name: fields[name] for name in ("out_trade_no", "trade_no", "trade_status", "total_amount", "app_id", "seller_id",
                                            "subject", "body", "passback_params", "notify_type", "charset", "version")} == {
        "out_trade_no": pay_no, "trade_no": trade_no, "trade_status": "TRADE_SUCCESS", "total_amount": "88.80",
        "app_id": sandbox.app_id, "seller_id": sandbox.seller_id, "subject": biz["subject"], "body": "大乐透",
        "passback_params": "a%3D1%26b", "notify_type": "trade_status_sync", "charset": "utf-8", "version": "1.0"}
    assert {"notify_id", "notify_time", "gmt_create", "gmt_payment", "buyer_id", "receipt_amount"} <= set(fields)
    assert "refund_fee" not in fields and "gmt_refund" not in fields

    trade = sandbox.wait_accepted(pay_no)
    assert [(a["status"], a["answer"]) for a in trade["notices"][0]["attempts"]] == [(200, "success")]
    paid = merchant.call(QUERY, {"trade_no": trade_no, "out_trade_no": "other"})
    assert (paid["trade_status"], paid["total_amount"], paid["send_pay_date"]) == ("TRADE_SUCCESS", "88.80", fields["gmt_payment"])
    assert "Pay</button>" not in sandbox.press("pay", trade_no).text
    assert len(sandbox.trade(pay_no)["notices"]) == 1


def test_cancel_leaves_the_trade_open_and_goes_to_quit_url(sandbox, merchant):
    biz = order(quit_url="http://shop.example/quit")
    page = merchant.post(merchant.params(WAP, biz))
    trade_no = re.search(r'value="(\d{28})"', page.text).group(1)
    answer = sandbox.press("cancel", trade_no)
    assert (answer.status_code, answer.headers["Location"]) == (303, "http://shop.example/quit")
    assert sandbox.trade(biz["out_trade_no"])["status"] == "WAIT_BUYER_PAY"


def test_the_form_may_come_as_get_and_may_be_opened_twice(sandbox, merchant):
    params = merchant.params(PAGE, order(product_code="FAST_INSTANT_TRADE_PAY"))
    first = merchant.session.get(sandbox.gateway, params=params)
    again = merchant.session.get(sandbox.gateway, params=params)
    assert first.status_code == again.status_code == 200 and first.text == again.text


def test_a_code_is_a_trade_only_when_the_payer_opens_it(sandbox, merchant, receiver):
    biz = order(product_code=None)
    pay_no = {"out_trade_no": biz["out_trade_no"]}
    made = merchant.call(PRECREATE, biz, notify_url=receiver.url)
    assert made["code"] == "10000" and made["qr_code"].startswith(sandbox.url)
    assert merchant.call(PRECREATE, biz, notify_url=receiver.url)["qr_code"] == made["qr_code"]
    assert merchant.call(QUERY, pay_no)["sub_code"] == "ACQ.TRADE_NOT_EXIST"
    assert merchant.call(CLOSE, pay_no)["sub_code"] == "ACQ.TRADE_NOT_EXIST"
    assert "Pay</button>" in merchant.session.get(made["qr_code"]).text
    assert merchant.call(QUERY, pay_no)["trade_status"] == "WAIT_BUYER_PAY"
    sandbox.pay(biz["out_trade_no"])
    assert merchant.check_notice(receiver.next())["trade_status"] == "TRADE_SUCCESS"


# -- answers

def test_answers_escape_slashes_and_sign_the_bytes_that_are_sent(sandbox, merchant):
    made = merchant.post(merchant.params(PRECREATE, order(product_code=None)))
    assert b'"qr_code":"http:\\/\\/127.0.0.1' in made.content
    merchant.node(PRECREATE, made)


def refused(merchant, answer, method=QUERY):
    node = merchant.node(method, answer)
    return node["code"], node["sub_code"]


@pytest.mark.parametrize("more, expect", [
    ({"sign": "AAAA"}, ("40002", "isv.invalid-signature")),
    ({"sign": "?"}, ("40002", "isv.invalid-signature")),
    ({"sign": None}, ("40002", "isv.invalid-signature")),
    ({"sign_type": "RSA"}, ("40002", "isv.invalid-signature-type")),
    ({"charset": "gbk"}, ("40002", "isv.invalid-charset")),
    ({"charset": None}, ("40002", "isv.invalid-signature")),
    ({"timestamp": "2026-02-31 00:00:00"}, ("40002", "isv.invalid-timestamp")),
    ({"timestamp": alipay.beijing(-8 * 3600)}, ("40002", "isv.invalid-timestamp")),
    ({"version": "2.0"}, ("40002", "isv.invalid-version")),
    ({"format": "XML"}, ("40002", "isv.invalid-format")),
    ({"biz_content": "{"}, ("40002", "isv.invalid-parameter")),
    ({"biz_content": '{"out_trade_no":"1","out_trade_no":"2"}'}, ("40002", "isv.invalid-parameter")),
    ({"biz_content": "{}"}, ("40004", "ACQ.INVALID_PARAMETER")),
    ({"biz_content": '{"out_trade_no":1}'}, ("40004", "ACQ.INVALID_PARAMETER")),
])
def test_common_parameters_are_checked(merchant, more, expect):
    if more == {"sign": None}:
        params = merchant.params(QUERY, {"out_trade_no": "1"})
        params["timestamp"] = alipay.beijing(60)  # after signing
    else:
        params = merchant.params(QUERY, {"out_trade_no": "1"}, **more)
    assert refused(merchant, merchant.post(params)) == expect


@pytest.mark.parametrize("name, sub_code", [
    ("app_id", "isv.missing-app-id"), ("method", "isv.missing-method"), ("sign", "isv.missing-signature"),
    ("sign_type", "isv.missing-signature-type"), ("timestamp", "isv.missing-timestamp"), ("version", "isv.missing-version")])
def test_missing_parameters_are_named(merchant, name, sub_code):
    for value in (None, ""):
        params = merchant.params(QUERY, {"out_trade_no": "1"})
        params[name] = value
        answer = merchant.post({key: text for key, text in params.items() if text is not None})
        if name in ("app_id", "method"):
            assert list(answer.json()) == ["error_response"]
            node = answer.json()["error_response"]
        else:
            node = merchant.node(QUERY, answer)
        assert (node["code"], node["sub_code"]) == ("40001", sub_code)


@pytest.mark.parametrize("more, sub_code", [({"app_id": "1"}, "isv.invalid-app-id"), ({"method": "alipay.x"}, "isv.invalid-method")])
def test_unknown_app_and_method_are_refused_unsigned(merchant, more, sub_code):
    answer = merchant.post(merchant.params(**{"method": QUERY, "biz": {"out_trade_no": "1"}, **more})).json()
    assert list(answer) == ["error_response"]
    assert (answer["error_response"]["code"], answer["error_response"]["sub_code"]) == ("40002", sub_code)


def test_the_charset_must_stand_in_the_url(merchant):
    params = merchant.params(QUERY, {"out_trade_no": "1"})
    charset = {"charset": params["charset"]}
    all_in_body = merchant.session.post(merchant.gateway, data=params)
    assert "URL query string" in merchant.node(QUERY, all_in_body)["sub_msg"]
    del params["charset"]
    rest_in_body = merchant.session.post(merchant.gateway, params=charset, data=params)
    assert merchant.node(QUERY, rest_in_body)["sub_code"] == "ACQ.TRADE_NOT_EXIST"


def test_every_signed_parameter_counts(merchant):
    for name in ("app_id", "method", "format", "timestamp", "biz_content"):
        params = merchant.params(QUERY, {"out_trade_no": "1"}, notify_url="http://127.0.0.1/")
        good = merchant.post(params)
        assert merchant.node(QUERY, good)["sub_code"] == "ACQ.TRADE_NOT_EXIST"
        params["extra"] = "1"
        assert refused(merchant, merchant.post(params)) == ("40002", "isv.invalid-signature")
    stranger = merchant.params(QUERY, {"out_trade_no": "1"})
    stranger["sign"] = alipay.sign(merchant.alipay_public_key_file.replace("public", "private"), alipay.joined(stranger, "sign"))
    assert refused(merchant, merchant.post(stranger)) == ("40002", "isv.invalid-signature")


@pytest.mark.parametrize("more", [
    {"total_amount": "0"}, {"total_amount": "0.001"}, {"total_amount": "1e2"}, {"total_amount": "-1"}, {"total_amount": ""},
    {"total_amount": 1}, {"total_amount": "100000000.01"}, {"total_amount": None}, {"total_amount": " 1"}, {"total_amount": "1."},
    {"subject": "a/b"}, {"subject": "a=b"}, {"subject": "a&b"}, {"subject": ""}, {"subject": None}, {"subject": "测" * 257},
    {"out_trade_no": "a-b"}, {"out_trade_no": "a" * 65}, {"out_trade_no": ""}, {"out_trade_no": None},
    {"product_code": None}, {"product_code": "FAST_INSTANT_TRADE_PAY"}, {"passback_params": "a=b&c"}, {"body": "x" * 401},
    {"timeout_express": "1.5h"}, {"timeout_express": "4m"}, {"timeout_express": "16d"}, {"timeout_express": "1"},
    {"time_expire": "soon"}, {"time_expire": "2020-01-01 00:00:00"}, {"quit_url": "javascript:alert(1)"}])
def test_wrong_orders_are_refused_with_a_page(merchant, more):
    page = merchant.post(merchant.params(WAP, order(**more)))
    assert page.status_code == 400 and "ACQ.INVALID_PARAMETER" in page.text


@pytest.mark.parametrize("more", [{"total_amount": "1"}, {"total_amount": "1.5"}, {"total_amount": "100000000"},
                                  {"product_code": "QUICK_WAP_PAY"}, {"timeout_express": "90m"}, {"timeout_express": "1c"},
                                  {"timeout_express": "15d"}, {"subject": "测" * 256}])
def test_right_orders_are_taken(merchant, more):
    assert merchant.post(merchant.params(WAP, order(**more))).status_code == 200


def test_an_invalid_signature_on_a_form_is_shown(merchant):
    params = merchant.params(WAP, order())
    params["biz_content"] += " "
    page = merchant.post(params)
    assert page.status_code == 400 and "isv.invalid-signature" in page.text


def test_repeats_are_refused_by_what_became_of_the_trade(sandbox, merchant):
    biz = order(product_code=None)
    pay_no = biz["out_trade_no"]
    merchant.call(PRECREATE, biz)
    assert merchant.call(PRECREATE, dict(biz, total_amount="88.81"))["sub_code"] == "ACQ.CONTEXT_INCONSISTENT"
    assert merchant.call(PRECREATE, dict(biz, subject="other"))["sub_code"] == "ACQ.CONTEXT_INCONSISTENT"
    sandbox.pay(pay_no)
    assert merchant.call(PRECREATE, biz)["sub_code"] == "ACQ.TRADE_HAS_SUCCESS"
    assert merchant.call(CLOSE, {"out_trade_no": pay_no})["sub_code"] == "ACQ.REASON_TRADE_STATUS_INVALID"

    other = order()
    open_wap(sandbox, merchant, biz=other)
    closed = merchant.call(CLOSE, {"out_trade_no": other["out_trade_no"]})
    assert closed["code"] == "10000" and closed["trade_no"] == sandbox.trade(other["out_trade_no"])["trade_no"]
    assert merchant.call(CLOSE, {"out_trade_no": other["out_trade_no"]})["sub_code"] == "ACQ.TRADE_HAS_CLOSE"
    assert "ACQ.TRADE_HAS_CLOSE" in merchant.post(merchant.params(WAP, other)).text
    assert merchant.call(QUERY, {"out_trade_no": other["out_trade_no"]})["trade_status"] == "TRADE_CLOSED"


# -- events and what is announced by default

def test_closing_is_announced_for_wap_only(sandbox, merchant, receiver):
    wap, page = open_wap(sandbox, merchant, receiver), open_wap(sandbox, merchant, receiver, method=PAGE)
    sandbox.close(page)
    sandbox.close(wap)
    fields = merchant.check_notice(receiver.next())
    assert (fields["out_trade_no"], fields["trade_status"]) == (wap, "TRADE_CLOSED")
    assert "gmt_close" in fields and "gmt_payment" not in fields and "refund_fee" not in fields
    assert sandbox.trade(page)["notices"] == []


def test_an_unpaid_trade_expires_at_its_time(sandbox, merchant, receiver):
    biz = order(time_expire=alipay.beijing(5), timeout_express="5m")
    open_wap(sandbox, merchant, receiver, biz=biz)
    fields = merchant.check_notice(receiver.next())
    assert fields["trade_status"] == "TRADE_CLOSED" and fields["gmt_close"] >= biz["time_expire"]
    assert sandbox.trade(biz["out_trade_no"])["status"] == "TRADE_CLOSED"


def test_a_trade_can_be_made_to_expire(sandbox, merchant, receiver):
    pay_no, page = open_wap(sandbox, merchant, receiver), open_wap(sandbox, merchant, receiver, method=PAGE)
    sandbox.expire(page)
    sandbox.expire(pay_no)
    assert merchant.check_notice(receiver.next())["out_trade_no"] == pay_no
    assert merchant.call(QUERY, {"out_trade_no": page})["trade_status"] == "TRADE_CLOSED"
    code = order(product_code=None)
    merchant.call(PRECREATE, code, notify_url=receiver.url)
    assert sandbox.expire(code["out_trade_no"])["status"] == "TRADE_CLOSED"
    assert merchant.call(QUERY, {"out_trade_no": code["out_trade_no"]})["sub_code"] == "ACQ.TRADE_NOT_EXIST"
    assert merchant.call(PRECREATE, code)["sub_code"] == "ACQ.TRADE_HAS_CLOSE"


@pytest.mark.parametrize("express, seconds", [("5m", 300), ("2h", 7200), ("15d", 15 * 86400), (None, 15 * 86400)])
def test_timeout_express_is_relative(sandbox, merchant, express, seconds):
    before = time.time()
    pay_no = open_wap(sandbox, merchant, biz=order(timeout_express=express))
    assert before - 1 <= sandbox.trade(pay_no)["expires_ms"] / 1000 - seconds <= time.time() + 1


def test_the_front_page_links_to_the_payer_s_pages(sandbox, merchant):
    pay_no = open_wap(sandbox, merchant)
    page = sandbox.session.get(sandbox.url + "/").text
    link = re.search(r'href="(/qr/\d{28})">%s<' % pay_no, page).group(1)
    assert pay_no in sandbox.session.get(sandbox.url + link).text


def test_refunds_from_the_console(sandbox, merchant, receiver):
    pay_no = open_wap(sandbox, merchant, receiver)
    sandbox.pay(pay_no)
    paid = merchant.check_notice(receiver.next())
    sandbox.refund(pay_no, amount="8.80", out_request_no="R1")
    part = merchant.check_notice(receiver.next())
    assert (part["trade_status"], part["refund_fee"], part["out_biz_no"]) == ("TRADE_SUCCESS", "8.80", "R1")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}", part["gmt_refund"])
    assert part["notify_id"] != paid["notify_id"]
    with pytest.raises(requests.HTTPError):
        sandbox.refund(pay_no, amount="80.01")
    with pytest.raises(requests.HTTPError):
        sandbox.refund(pay_no, amount="0.01", out_request_no="R1")
    sandbox.refund(pay_no)
    rest = merchant.check_notice(receiver.next())
    assert (rest["trade_status"], rest["refund_fee"], rest["out_biz_no"]) == ("TRADE_CLOSED", "88.80", rest["trade_no"])
    assert [(refund["amount"], refund["status"]) for refund in sandbox.trade(pay_no)["refunds"]] == \
        [("8.80", "SUCCESS"), ("80.00", "SUCCESS")]
    assert "gmt_close" in rest and "gmt_payment" in rest


def test_finishing_and_waiting_notices(sandbox, merchant, receiver):
    pay_no = open_wap(sandbox, merchant, receiver)
    sandbox.notify(pay_no)
    assert merchant.check_notice(receiver.next())["trade_status"] == "WAIT_BUYER_PAY"
    sandbox.pay(pay_no, notify=False)
    sandbox.finish(pay_no)
    assert merchant.check_notice(receiver.next())["trade_status"] == "TRADE_FINISHED"
    assert len(sandbox.trade(pay_no)["notices"]) == 2


@pytest.mark.parametrize("event", ["pay", "close", "expire", "finish", "refund", "renotify"])
def test_events_that_the_state_forbids_are_409(sandbox, merchant, event):
    pay_no = open_wap(sandbox, merchant)
    sandbox.close(pay_no)
    with pytest.raises(requests.HTTPError) as refusal:
        sandbox.act(pay_no, event)
    assert refusal.value.response.status_code == 409 and sandbox.trade(pay_no)["status"] == "TRADE_CLOSED"


# -- the schedule

def test_a_notice_is_repeated_on_the_schedule_and_then_given_up(sandbox, merchant, receiver):
    receiver.answer = lambda fields: (200, b"fail")
    pay_no = open_wap(sandbox, merchant, receiver)
    sandbox.pay(pay_no)
    attempts = sandbox.wait_attempts(pay_no, 8)
    notice = sandbox.trade(pay_no)["notices"][0]
    assert notice["given_up"] and not notice["accepted"] and len(notice["attempts"]) == 8
    gaps = [late["at_ms"] - early["at_ms"] for early, late in zip(attempts, attempts[1:])]
    # Never earlier than on the schedule; how much later is the machine's business.
    for gap, minutes in zip(gaps, (4, 10, 10, 60, 120, 360, 900)):
        assert gap >= minutes * 60000 // SPEED - 1
    sent = [merchant.check_notice(receiver.next()) for _ in range(8)]
    assert len({fields["notify_id"] for fields in sent}) == 1
    assert {fields["trade_status"] for fields in sent} == {"TRADE_SUCCESS"}


@pytest.mark.parametrize("status, text", [(200, b"success\n"), (200, b"SUCCESS"), (200, b"\xef\xbb\xbfsuccess"), (200, b""),
                                          (201, b"success"), (302, b"success"), (500, b"success"), (200, b"x" * 5000)])
def test_only_the_seven_bytes_end_a_notice(sandbox, merchant, receiver, status, text):
    answers = iter([(status, text)])
    receiver.answer = lambda fields: next(answers, (200, b"success"))
    pay_no = open_wap(sandbox, merchant, receiver)
    sandbox.pay(pay_no)
    attempts = sandbox.wait_accepted(pay_no)["notices"][0]["attempts"]
    assert [attempt["accepted"] for attempt in attempts] == [False, True]


def test_a_dead_notify_url_is_tried_again(sandbox, merchant):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: refused
        url = "http://127.0.0.1:%d/" % taken.getsockname()[1]
        pay_no = open_wap(sandbox, merchant, notify_url=url)
        sandbox.pay(pay_no)
        attempts = sandbox.wait_attempts(pay_no, 2)
    assert attempts[0]["status"] == 0 and attempts[0]["error"]


def test_a_notice_can_be_sent_again_at_will(sandbox, merchant, receiver):
    pay_no = open_wap(sandbox, merchant, receiver)
    sandbox.pay(pay_no)
    sandbox.wait_accepted(pay_no)
    sandbox.renotify(pay_no)
    first, again = merchant.check_notice(receiver.next()), merchant.check_notice(receiver.next())
    assert first["notify_id"] == again["notify_id"]
    sandbox.renotify(pay_no, notice_id=first["notify_id"])
    merchant.check_notice(receiver.next())
    with pytest.raises(requests.HTTPError):
        sandbox.renotify(pay_no, notice_id="0")


# -- faults of notices

def notice_signature_holds(merchant, body):
    try:
        merchant.check_notice(body)
    except AssertionError:
        return False
    return True


def test_fault_delay_of_a_notice(sandbox, merchant, receiver):
    pay_no = open_wap(sandbox, merchant, receiver)
    sandbox.fault("notice", "delay", ms=300)
    sandbox.pay(pay_no)
    trade = sandbox.wait_accepted(pay_no)
    assert trade["notices"][0]["attempts"][0]["at_ms"] >= trade["paid_ms"] + 299


def test_fault_drop_of_a_notice(sandbox, merchant, receiver):
    pay_no = open_wap(sandbox, merchant, receiver)
    sandbox.fault("notice", "drop", count=2)
    sandbox.pay(pay_no)
    attempts = sandbox.wait_accepted(pay_no)["notices"][0]["attempts"]
    assert [attempt["sent"] for attempt in attempts] == [False, False, True]


def test_fault_duplicate(sandbox, merchant, receiver):
    pay_no = open_wap(sandbox, merchant, receiver)
    sandbox.fault("notice", "duplicate", times=4)
    sandbox.pay(pay_no)
    assert len({merchant.check_notice(receiver.next())["notify_id"] for _ in range(5)}) == 1
    assert len(sandbox.wait_attempts(pay_no, 5)) == 5


def test_fault_reorder(sandbox, merchant, receiver):
    pay_nos = [open_wap(sandbox, merchant, receiver) for _ in range(3)]
    sandbox.fault("notice", "reorder", count=3)
    for pay_no in pay_nos:
        sandbox.pay(pay_no)
    came = [merchant.check_notice(receiver.next())["out_trade_no"] for _ in range(3)]
    assert came == pay_nos[::-1]


def test_notices_kept_for_reordering_go_when_faults_are_cleared(sandbox, merchant, receiver):
    pay_no = open_wap(sandbox, merchant, receiver)
    sandbox.fault("notice", "reorder", count=9)
    sandbox.pay(pay_no)
    while sandbox.faults()[0]["left"] != 8:
        time.sleep(0.01)
    sandbox.clear_faults()
    merchant.check_notice(receiver.next())


@pytest.mark.parametrize("kind, how", [("tamper", {}), ("tamper", {"fields": {"out_trade_no": "1"}}), ("wrong_key", {}),
                                       ("bad_signature", {})])
def test_faults_that_break_a_notice_s_signature(sandbox, merchant, receiver, kind, how):
    pay_no = open_wap(sandbox, merchant, receiver)
    sandbox.fault("notice", kind, **how)
    sandbox.pay(pay_no)
    body = receiver.next()
    assert not notice_signature_holds(merchant, body)
    fields = alipay.parse_form(body)
    assert fields["total_amount"] == ("0.01" if kind == "tamper" and not how else "88.80")


@pytest.mark.parametrize("name, value", [("app_id", "1"), ("seller_id", "2088000000000000"), ("total_amount", "0.01"),
                                         ("trade_status", None), ("new_field", "a&b=c")])
def test_fault_change_is_signed_correctly(sandbox, merchant, receiver, name, value):
    pay_no = open_wap(sandbox, merchant, receiver)
    sandbox.fault("notice", "change", fields={name: value}, pay_no=pay_no)
    sandbox.pay(pay_no)
    assert merchant.check_notice(receiver.next()).get(name) == value


def test_a_fault_for_one_payment_leaves_others_alone(sandbox, merchant, receiver):
    bad, good = open_wap(sandbox, merchant, receiver), open_wap(sandbox, merchant, receiver)
    sandbox.fault("notice", "drop", count=-1, pay_no=bad)
    sandbox.pay(bad)
    sandbox.pay(good)
    sandbox.wait_accepted(good)
    assert all(not attempt["sent"] for attempt in sandbox.attempts(bad))


# -- faults of the gateway

def test_fault_delay_of_the_gateway(sandbox, merchant):
    sandbox.fault("gateway", "delay", ms=300)
    began = time.monotonic()
    merchant.call(QUERY, {"out_trade_no": "1"})
    assert time.monotonic() - began >= 0.3


@pytest.mark.parametrize("after", [False, True])
def test_fault_drop_of_the_gateway_before_or_after_the_work(sandbox, merchant, after):
    pay_no = open_wap(sandbox, merchant)
    sandbox.fault("gateway", "drop", method=CLOSE, after=after)
    with pytest.raises(requests.ConnectionError):
        merchant.call(CLOSE, {"out_trade_no": pay_no})
    assert sandbox.trade(pay_no)["status"] == ("TRADE_CLOSED" if after else "WAIT_BUYER_PAY")


def test_fault_http_status_counts_and_method(sandbox, merchant):
    sandbox.fault("gateway", "status", status=502, method=QUERY, count=2)
    merchant.call(CLOSE, {"out_trade_no": "1"})
    ask = lambda: merchant.post(merchant.params(QUERY, {"out_trade_no": "1"})).status_code
    assert [ask(), ask(), ask()] == [502, 502, 200]


def test_fault_html(sandbox, merchant):
    sandbox.fault("gateway", "html")
    answer = merchant.post(merchant.params(QUERY, {"out_trade_no": "1"}))
    assert answer.status_code == 200 and answer.headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize("after", [False, True])
def test_fault_unavailable_is_code_20000(sandbox, merchant, after):
    pay_no = open_wap(sandbox, merchant)
    sandbox.fault("gateway", "unavailable", after=after)
    node = merchant.call(CLOSE, {"out_trade_no": pay_no})
    assert (node["code"], node["sub_code"]) == ("20000", "isp.unknow-error")
    assert sandbox.trade(pay_no)["status"] == ("TRADE_CLOSED" if after else "WAIT_BUYER_PAY")


@pytest.mark.parametrize("after, state", [(False, "WAIT_BUYER_PAY"), (True, "TRADE_CLOSED")])
def test_a_refusal_by_wish_is_signed_and_takes_the_place_of_the_work(sandbox, merchant, after, state):
    pay_no = open_wap(sandbox, merchant)
    sandbox.fault("gateway", "refuse", method=CLOSE, code="ACQ.SYSTEM_ERROR", after=after)
    refused = merchant.call(CLOSE, {"out_trade_no": pay_no})
    assert (refused["code"], refused["sub_code"]) == ("40004", "ACQ.SYSTEM_ERROR")
    assert sandbox.trade(pay_no)["status"] == state


@pytest.mark.parametrize("kind", ["bad_signature", "wrong_key", "tamper"])
def test_faults_that_break_an_answer_s_signature(sandbox, merchant, kind):
    pay_no = open_wap(sandbox, merchant)
    sandbox.fault("gateway", kind)
    answer = merchant.post(merchant.params(QUERY, {"out_trade_no": pay_no}))
    with pytest.raises(AssertionError):
        merchant.node(QUERY, answer)
    amount = answer.json()["alipay_trade_query_response"]["total_amount"]
    assert amount == ("0.01" if kind == "tamper" else "88.80")


def test_fault_change_of_an_answer_is_signed(sandbox, merchant):
    pay_no = open_wap(sandbox, merchant)
    sandbox.fault("gateway", "change", fields={"total_amount": "0.01", "out_trade_no": None}, pay_no=pay_no)
    node = merchant.call(QUERY, {"out_trade_no": pay_no})
    assert node["total_amount"] == "0.01" and "out_trade_no" not in node


@pytest.mark.parametrize("wrong", [
    {}, {"target": "gateway"}, {"target": "notice", "kind": "html"}, {"target": "gateway", "kind": "duplicate"},
    {"target": "notice", "kind": "drop", "count": 0}, {"target": "notice", "kind": "drop", "count": "1"},
    {"target": "notice", "kind": "delay", "ms": -1}, {"target": "gateway", "kind": "status", "status": 200},
    {"target": "notice", "kind": "change"}, {"target": "notice", "kind": "change", "fields": {"a": 1}},
    {"target": "notice", "kind": "drop", "pay_no": 1}, {"target": "notice", "kind": "drop", "payno": "1"},
    {"target": "notice", "kind": "drop", "method": QUERY}, {"target": "notice", "kind": "drop", "after": True},
    {"target": "notice", "kind": "reorder"}, {"target": 1, "kind": 2}, {"target": "notice", "kind": "duplicate", "times": 101}])
def test_wrong_faults_are_refused(sandbox, wrong):
    answer = sandbox.session.post(sandbox.url + "/control/faults", json=wrong)
    assert answer.status_code == 400 and answer.json()["error"] and sandbox.faults() == []


# -- notices without a trade

def test_signed_notices_one_many_and_in_bulk(sandbox, merchant):
    one = merchant.check_notice(sandbox.sign_notice(out_trade_no="7", total_amount="1.00", subject=None, extra="ü&="))
    assert (one["out_trade_no"], one["total_amount"], one["extra"]) == ("7", "1.00", "ü&=") and "subject" not in one
    many = [merchant.check_notice(body) for body in sandbox.sign_notices([{"out_trade_no": "1"}, {"trade_status": "TRADE_CLOSED"}])]
    assert (many[0]["out_trade_no"], many[1]["trade_status"]) == ("1", "TRADE_CLOSED")
    bulk = [merchant.check_notice(body) for body in sandbox.sign_bulk(["1", "2", "3"], total_amount="5.00")]
    assert [fields["out_trade_no"] for fields in bulk] == ["1", "2", "3"]
    assert len({fields["notify_id"] for fields in bulk}) == len({fields["trade_no"] for fields in bulk}) == 3
    bare = merchant.check_notice(sandbox.sign_notice(bare=True, out_trade_no="9"))
    assert set(bare) == {"out_trade_no", "sign", "sign_type"}
    assert not notice_signature_holds(merchant, sandbox.sign_notice(wrong_key=True))


@pytest.mark.parametrize("body", ["", "{", "[]", "{}", '{"fields":1}', '{"fields":{"a":1}}', '{"fields":{"":"1"}}',
                                  '{"notices":1}', '{"notices":[1]}', '{"pay_nos":1}', '{"pay_nos":[1]}',
                                  '{"pay_nos":["1"],"fields":[]}', '{"fields":{},"wrongkey":true}'])
def test_wrong_requests_for_signing_are_refused(sandbox, body):
    answer = sandbox.session.post(sandbox.url + "/control/sign-notice", data=body)
    assert answer.status_code == 400 and answer.json()["error"]


# -- vectors: what other implementations signed

def vectors(name):
    with open(os.path.join(os.path.dirname(__file__), "..", "vectors", name + ".json"), encoding="utf-8") as file:
        return json.load(file)


@pytest.fixture(scope="module")
def vector_sandbox(tmp_path_factory):
    """With the vectors' keys in place of its own."""
    directory, keys = tmp_path_factory.mktemp("vectors"), vectors("keys")["keys"]
    (directory / "app-public.pem").write_text(keys["app"]["public_spki_pem"])
    (directory / "alipay-private.pem").write_text(keys["alipay"]["private_pkcs1_pem"])
    with Sandbox(BUILDDIR, directory, app_id="2021000199900001", fresh_keys=True) as running:
        assert not os.path.exists(running.path("app-private.pem"))
        yield running


def test_the_gateway_accepts_the_signatures_of_the_vectors_and_no_others(vector_sandbox):
    count = 0
    for case in vectors("alipay-sign")["cases"]:
        if case["sign_type"] != "RSA2" or case["charset"].lower() != "utf-8":
            continue
        params = dict(case["params"], sign=case["sign"])
        answer = vector_sandbox.session.post(vector_sandbox.gateway, params={"charset": params.pop("charset")}, data=params)
        # Old requests: the signature is checked first, then the time.
        assert "isv.invalid-timestamp" in answer.text, (case["id"], answer.text)
        params["biz_content"] += " "
        answer = vector_sandbox.session.post(vector_sandbox.gateway, params={"charset": "utf-8"}, data=params)
        assert "isv.invalid-signature" in answer.text, (case["id"], answer.text)
        count += 1
    assert count == 32


def test_notices_are_signed_byte_for_byte_as_in_the_vectors(vector_sandbox):
    count = 0
    for case in vectors("alipay-notify")["cases"]:
        fields = dict(case.get("decoded_params", []))
        if case["expect"]["signature"] != "valid" or not all(isinstance(value, str) for value in fields.values()):
            continue
        sign = fields.pop("sign")
        if fields.pop("sign_type", None) != "RSA2":
            continue
        body = vector_sandbox.sign_notice(bare=True, **fields)
        assert alipay.parse_form(body) == dict(fields, sign=sign, sign_type="RSA2"), case["id"]
        count += 1
    assert count >= 30


# -- garbage

@pytest.mark.parametrize("query, body", [("a", b""), ("a=1&a=2", b""), ("=1", b""), ("a=%", b""), ("a=%G0", b""), ("a=%00", b""),
                                         ("a=%FF", b""), ("a=1&", b""), ("a=1", b"a=1"), ("", b"\xff=1"), ("", b"a=\x00"),
                                         ("", b"&".join(b"%d=1" % i for i in range(101)))])
def test_malformed_parameters_are_400(sandbox, query, body):
    connection = http.client.HTTPConnection(sandbox.url.split("//")[1], timeout=30)  # mends nothing, unlike requests
    connection.request("POST", "/gateway.do?" + query, body)
    assert connection.getresponse().status == 400
    connection.close()


@pytest.mark.parametrize("method, path, status", [
    ("GET", "/x", 404), ("GET", "/gateway.do/x", 404), ("PUT", "/gateway.do", 405), ("DELETE", "/control/trades", 405),
    ("GET", "/control/trades/", 404), ("GET", "/control/trades/..%2f", 404), ("POST", "/control/trades/x", 404),
    ("POST", "/control/trades/x/pay", 404), ("GET", "/qr/", 404), ("GET", "/qr/<script>", 404), ("POST", "/payer/pay", 404),
    ("POST", "/payer/cancel", 404), ("GET", "/payer/pay", 405), ("GET", "/control/faults/1", 404)])
def test_unknown_paths_and_methods(sandbox, method, path, status):
    answer = sandbox.session.request(method, sandbox.url + path)
    assert answer.status_code == status and "<script>" not in answer.text


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"notify":1}', b'{"amount":1}', b'{"amount":"x"}', b'{"notice_id":1}', b'{"amuont":"1"}',
                                  b"\xff"])
def test_wrong_bodies_of_events_are_400(sandbox, merchant, body):
    pay_no = open_wap(sandbox, merchant)
    answer = sandbox.session.post("%s/control/trades/%s/pay" % (sandbox.url, pay_no), data=body)
    assert answer.status_code == 400 and sandbox.trade(pay_no)["status"] == "WAIT_BUYER_PAY"


def test_bodies_are_bounded(sandbox):
    for path in ("/gateway.do?charset=utf-8", "/payer/pay", "/control/faults"):
        answer = sandbox.session.post(sandbox.url + path, data=b"a=" + b"x" * 70000)
        assert answer.status_code == 413, path


@pytest.mark.parametrize("raw", [b"\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x00\xff" * 500 + b"\r\n\r\n",
                                 b"POST /gateway.do HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
                                 b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"])
def test_raw_garbage_harms_nothing(sandbox, raw):
    host, port = sandbox.url.split("//")[1].split(":")
    with socket.create_connection((host, int(port)), timeout=30) as peer:
        try:
            peer.sendall(raw)
            peer.shutdown(socket.SHUT_WR)
            while peer.recv(4096):
                pass
        except ConnectionError:
            pass
    assert sandbox.get("/control")["plays"] == "alipay"


def query_whatever_comes(merchant):
    try:
        merchant.call(QUERY, {"out_trade_no": "1"})
    except requests.RequestException:
        pass


def test_it_stops_while_a_call_is_delayed_and_a_notice_hangs(tmp_path):
    sandbox = Sandbox(BUILDDIR, tmp_path).start()
    merchant = alipay.Merchant(sandbox.gateway, sandbox.app_id, sandbox.path("app-private.pem"), sandbox.path("alipay-public.pem"))
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        pay_no = open_wap(sandbox, merchant, notify_url="http://127.0.0.1:%d/" % deaf.getsockname()[1])
        sandbox.pay(pay_no)
        deaf.accept()
        sandbox.fault("gateway", "delay", ms=3600000)
        waiting = threading.Thread(target=query_whatever_comes, args=(merchant,), daemon=True)
        waiting.start()
        while sandbox.faults():
            time.sleep(0.01)
        assert sandbox.stop() == 0
        waiting.join(30)
        assert not waiting.is_alive()
