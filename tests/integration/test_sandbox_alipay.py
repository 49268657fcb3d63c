"""What paynotify-sandbox knows of Alipay besides paying in a browser: orders of phone apps and certificate mode. Another judge
(merchant.py with openssl) looks at every signature and computes every certificate's number.
"""
import os
import re
import subprocess
import urllib.parse

import pytest

import merchant as alipay
from sandbox import CERTIFICATES, Sandbox

BUILDDIR = os.environ.get("PN_BUILDDIR", os.path.join(os.path.dirname(__file__), "..", ".."))
QUERY, CLOSE = "alipay.trade.query", "alipay.trade.close"
TRADE = re.compile(r'name="trade" value="(\d{28})"')


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    running = Sandbox(BUILDDIR, tmp_path_factory.mktemp("sandbox"), speed=100000).start()
    yield running
    assert running.stop() == 0, running.log()


@pytest.fixture(autouse=True)
def no_faults(sandbox):
    yield
    sandbox.clear_faults()


@pytest.fixture(scope="module")
def merchant(sandbox):
    return merchant_of(sandbox)


def merchant_of(sandbox, **more):
    return alipay.Merchant(sandbox.gateway, sandbox.app_id, sandbox.path("app-private.pem"), sandbox.path("alipay-public.pem"),
                           **more)


numbers = iter(range(1, 10 ** 6))


def order(**more):
    return {"out_trade_no": "PA%d" % next(numbers), "total_amount": "88.80", "subject": "测试 <b>订单\"", **more}


# -- orders of phone apps

@pytest.mark.parametrize("more", [{}, {"product_code": "QUICK_MSECURITY_PAY"}])
def test_an_app_hands_over_its_order_string(sandbox, merchant, more):
    biz = order(**more)
    text = merchant.order_string(biz)
    assert merchant.call(QUERY, {"out_trade_no": biz["out_trade_no"]})["sub_code"] == "ACQ.TRADE_NOT_EXIST"
    page = sandbox.open_app(text)
    assert page.status_code == 200 and "测试 &lt;b&gt;订单&quot;" in page.text
    assert merchant.call(QUERY, {"out_trade_no": biz["out_trade_no"]})["trade_status"] == "WAIT_BUYER_PAY"
    assert sandbox.open_app(text).text == page.text
    sandbox.press("pay", TRADE.search(page.text).group(1))
    assert merchant.call(QUERY, {"out_trade_no": biz["out_trade_no"]})["trade_status"] == "TRADE_SUCCESS"
    assert sandbox.trade(biz["out_trade_no"])["product"] == "app"
    assert "ACQ.TRADE_HAS_SUCCESS" in sandbox.open_app(text).text


def test_closing_and_finishing_an_app_s_trade_is_announced(sandbox, merchant):
    closed, finished = order(), order()
    for biz in (closed, finished):
        sandbox.open_app(merchant.order_string(biz, notify_url="http://127.0.0.1:9/"))
    assert merchant.call(CLOSE, {"out_trade_no": closed["out_trade_no"]})["code"] == "10000"
    sandbox.pay(finished["out_trade_no"], notify=False)
    sandbox.finish(finished["out_trade_no"])
    assert [notice["about"] for notice in sandbox.trade(closed["out_trade_no"])["notices"]] == ["TRADE_CLOSED"]
    assert [notice["about"] for notice in sandbox.trade(finished["out_trade_no"])["notices"]] == ["TRADE_FINISHED"]


def test_an_order_string_is_checked_like_any_call(sandbox, merchant):
    text = merchant.order_string(order())
    assert "isv.invalid-signature" in sandbox.open_app(text.replace("88.80", "00.01")).text
    assert "isv.missing-signature" in sandbox.open_app(re.sub("&sign=[^&]*", "", text)).text
    for wrong in ({"product_code": "QUICK_WAP_WAY"}, {"total_amount": "0"}, {"timeout_express": "4m"}):
        page = sandbox.open_app(merchant.order_string(order(**wrong)))
        assert page.status_code == 400 and "ACQ.INVALID_PARAMETER" in page.text, wrong


@pytest.mark.parametrize("body", ["", "x", "a=1&a=2", "a=%", "method=alipay.trade.app.pay", "a=1"])
def test_what_is_no_order_string_is_refused(sandbox, body):
    answer = sandbox.open_app(body)
    assert answer.status_code == 400


def test_only_the_phone_s_sdk_calls_app_pay_and_it_calls_nothing_else(sandbox, merchant):
    answer = merchant.post(merchant.params("alipay.trade.app.pay", order()))
    assert answer.json()["error_response"]["sub_code"] == "isv.invalid-method"
    for method in (QUERY, CLOSE, "alipay.trade.wap.pay"):
        biz = order(product_code="QUICK_WAP_WAY")
        page = sandbox.open_app(urllib.parse.urlencode(merchant.params(method, biz)))
        assert page.status_code == 400 and "isv.invalid-method" in page.text
        assert biz["out_trade_no"] not in [trade["pay_no"] for trade in sandbox.trades()]


# -- certificate mode

@pytest.fixture(scope="module")
def certified(tmp_path_factory):
    with Sandbox(BUILDDIR, tmp_path_factory.mktemp("certified"), certificates=True) as running:
        yield running


@pytest.fixture(scope="module")
def sns(certified):
    return {"app_cert_sn": alipay.certificate_sn(alipay.certificates_in(certified.path("app-cert.crt"))[0]),
            "alipay_root_cert_sn": alipay.root_sn(certified.path("alipay-root.crt")),
            "alipay_cert_sn": alipay.certificate_sn(alipay.certificates_in(certified.path("alipay-cert.crt"))[0])}


def test_a_certified_merchant_pays_as_any_other(certified, sns):
    merchant, biz = merchant_of(certified, certificates=sns), order(product_code="QUICK_WAP_WAY")
    assert merchant.post(merchant.params("alipay.trade.wap.pay", biz)).status_code == 200
    certified.pay(biz["out_trade_no"])
    assert merchant.call(QUERY, {"out_trade_no": biz["out_trade_no"]})["trade_status"] == "TRADE_SUCCESS"
    assert certified.open_app(merchant.order_string(order())).status_code == 200


@pytest.mark.parametrize("wrong, sub_code", [
    ({"app_cert_sn": None}, "isv.missing-app-cert-sn"), ({"app_cert_sn": "0" * 32}, "isv.app-cert-not-exist"),
    ({"alipay_root_cert_sn": None}, "isv.missing-alipay-root-cert-sn"),
    ({"alipay_root_cert_sn": "0" * 32}, "isv.invalid-alipay-root-cert-sn")])
def test_requests_without_the_right_numbers_are_refused(certified, sns, wrong, sub_code):
    merchant = merchant_of(certified, certificates=sns)
    node = merchant.call(QUERY, {"out_trade_no": "1"}, **wrong)
    assert (node["code"], node["sub_code"]) == ("40002", sub_code)


def test_the_numbers_are_signed_like_everything_else(certified, sns):
    merchant = merchant_of(certified, certificates=sns)
    params = merchant.params(QUERY, {"out_trade_no": "1"}, app_cert_sn=None)
    params["app_cert_sn"] = sns["app_cert_sn"]
    assert merchant.node(QUERY, merchant.post(params))["sub_code"] == "isv.invalid-signature"


def test_one_root_of_the_three_is_not_rsa_s_and_does_not_count(certified, sns):
    assert len(alipay.certificates_in(certified.path("alipay-root.crt"))) == 3
    assert re.fullmatch("[0-9a-f]{32}_[0-9a-f]{32}", sns["alipay_root_cert_sn"])


@pytest.mark.parametrize("leaf, key", [("app-cert.crt", "app-public.pem"), ("alipay-cert.crt", "alipay-public.pem")])
def test_certificates_carry_the_test_keys_and_are_the_root_s(certified, leaf, key):
    with open(certified.path(key), "rb") as file:
        assert alipay.openssl("x509", "-in", certified.path(leaf), "-noout", "-pubkey") == file.read()
    alipay.openssl("verify", "-CAfile", certified.path("alipay-root.crt"), certified.path(leaf))


def test_merchant_conf_names_the_certificates(certified):
    lines = dict(line.split(" = ", 1) for line in certified.merchant_conf().splitlines() if " = " in line)
    assert lines == {"app_id": certified.app_id, "gateway": certified.gateway, "seller_id": certified.seller_id,
                     "private_key_file": certified.path("app-private.pem"), "app_cert_file": certified.path("app-cert.crt"),
                     "alipay_cert_file": certified.path("alipay-cert.crt"),
                     "alipay_root_cert_file": certified.path("alipay-root.crt")}


def read(folder):
    return {name: (folder / name).read_bytes() for name in CERTIFICATES}


def test_certificates_are_kept_over_a_restart_and_made_anew_for_other_keys(tmp_path):
    with Sandbox(BUILDDIR, tmp_path, certificates=True):
        first = read(tmp_path)
    with Sandbox(BUILDDIR, tmp_path, certificates=True):
        assert read(tmp_path) == first
    other = alipay.openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
    (tmp_path / "app-public.pem").write_bytes(alipay.openssl("pkey", "-pubout", data=other))
    with Sandbox(BUILDDIR, tmp_path, certificates=True):
        assert all(read(tmp_path)[name] != first[name] for name in CERTIFICATES)


def test_without_certificate_mode_no_certificate_is_made_or_asked_for(sandbox, merchant):
    assert not any(os.path.exists(sandbox.path(name)) for name in CERTIFICATES)
    assert merchant.call(QUERY, {"out_trade_no": "1"})["sub_code"] == "ACQ.TRADE_NOT_EXIST"


def test_certificates_that_cannot_be_written_are_named(tmp_path):
    with Sandbox(BUILDDIR, tmp_path):
        pass
    (tmp_path / "alipay-root.crt").mkdir()
    done = subprocess.run([os.path.join(BUILDDIR, "paynotify-sandbox"), "--dir", tmp_path, "--certificates"],
                          capture_output=True, timeout=30)
    assert done.returncode == 1 and b"certificates cannot be written" in done.stderr
