"""paynotify-sandbox as WeChat Pay: that it signs and checks as WeChat does, refuses with WeChat's codes, notifies on WeChat's
schedule, refunds, and makes each fault that it is asked for. Another judge (wechat.py) looks at every signature.
"""
import datetime
import os
import re
import ssl
import stat
import subprocess

import pytest
import requests
import requests.adapters

import wechat
from paynotifyd import BUILD
from receiver import Receiver
from sandbox import Sandbox

SPEED = 100000  # 24 hours become 860 ms
ORDER, QUERY, CLOSE = "/pay/unifiedorder", "/pay/orderquery", "/pay/closeorder"
REFUND, REFUND_QUERY = "/secapi/pay/refund", "/pay/refundquery"
BEIJING = datetime.timezone(datetime.timedelta(hours=8))
DEFAULTS = {"close_after_ms": 0, "mweb_life_ms": 300000, "refund_outcome": "success", "domain": "", "check_address": False}


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    running = Sandbox(BUILD, tmp_path_factory.mktemp("sandbox"), speed=SPEED, wechat_close_after=0).start()
    yield running
    assert running.stop() == 0, running.log()  # after all that the tests did to it


@pytest.fixture(autouse=True)
def as_at_the_start(sandbox):
    yield
    sandbox.clear_faults()
    sandbox.wechat_set(**DEFAULTS)


@pytest.fixture
def receiver():
    running = Receiver(wechat.read_xml, wechat.SUCCESS.encode())
    yield running
    running.stop()


@pytest.fixture(scope="module", params=[wechat.MD5, wechat.HMAC])
def merchant(sandbox, request):
    return wechat.Merchant(sandbox, request.param)


@pytest.fixture(scope="module")
def md5(sandbox):
    return wechat.Merchant(sandbox, wechat.MD5)


numbers = iter(range(100000, 10 ** 6))


def order(**more):
    """The fields of a NATIVE order of 88.80."""
    number = "WN%d" % next(numbers)
    usual = {"body": "测试 <b>订单\"", "out_trade_no": number, "total_fee": "8880", "spbill_create_ip": "127.0.0.1",
             "notify_url": "http://127.0.0.1:9/nobody", "trade_type": "NATIVE", "product_id": number}
    return {**usual, **more}


def pay(sandbox, merchant, receiver=None, **more):
    """A paid order; returns its out_trade_no. Its notice was read."""
    if receiver:
        more["notify_url"] = receiver.url
    wanted = order(**more)
    assert merchant.call(ORDER, **wanted)["result_code"] == "SUCCESS"
    sandbox.pay(wanted["out_trade_no"], notify=receiver is not None)
    if receiver:
        receiver.next()
    return wanted["out_trade_no"]


def beijing(text):
    return datetime.datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=BEIJING)


# -- the account

def test_the_key_is_private_and_kept_over_a_restart(tmp_path):
    with Sandbox(BUILD, tmp_path) as first:
        assert stat.S_IMODE(os.stat(first.path("wechat-key.txt")).st_mode) == 0o600
        key = wechat.Merchant(first).key
        assert re.fullmatch("[0-9a-f]{32}", key)
    with Sandbox(BUILD, tmp_path) as second:
        assert wechat.Merchant(second).key == key


def test_the_merchant_s_lines_name_what_the_server_needs(sandbox):
    lines = dict(line.split(" = ", 1) for line in sandbox.wechat_conf().splitlines() if " = " in line)
    account = sandbox.wechat_account()
    assert lines == {"appid": account["appid"], "mch_id": account["mch_id"], "url": sandbox.url,
                     "api_key_file": sandbox.path("wechat-key.txt")}


def test_a_key_that_is_none_is_named(tmp_path):
    (tmp_path / "wechat-key.txt").write_text("short")
    with pytest.raises(RuntimeError, match="wechat-key.txt holds no API key"):
        Sandbox(BUILD, tmp_path).start()


@pytest.mark.parametrize("arguments", [["--wechat-close-after", "-1"], ["--wechat-close-after", "86401"],
                                       ["--wechat-close-after", ""], ["--wechat-close-after", "5m"], ["--wechat-tls"],
                                       ["--wechat-tls", "nowhere"], ["--wechat-tls", "127.0.0.1:x"]])
def test_wrong_arguments_are_refused(arguments, tmp_path):
    done = subprocess.run([os.path.join(BUILD, "paynotify-sandbox"), "--dir", tmp_path, *arguments], capture_output=True,
                          timeout=30)
    assert done.returncode in (1, 2) and done.stderr


def test_certificates_that_are_gone_are_named(tmp_path):
    with Sandbox(BUILD, tmp_path, wechat_tls=True) as running:
        os.unlink(running.path("wechat-server-key.pem"))
    with pytest.raises(RuntimeError, match="certificates cannot be read"):
        Sandbox(BUILD, tmp_path, wechat_tls=True).start()
    os.unlink(tmp_path / "wechat-ca.pem")  # then they are made anew
    with Sandbox(BUILD, tmp_path, wechat_tls=True) as running:
        assert running.wechat_account()["tls_url"].startswith("https://")


# -- from an order to its notice

def test_a_payment_from_code_to_notice(sandbox, merchant, receiver):
    wanted = order(attach="深圳 <&>", notify_url=receiver.url)
    pay_no = wanted["out_trade_no"]
    assert merchant.call(QUERY, out_trade_no=pay_no)["err_code"] == "ORDERNOTEXIST"
    made = merchant.call(ORDER, **wanted)
    assert made["code_url"].startswith("weixin://wxpay/bizpayurl?pr=") and made["trade_type"] == "NATIVE" and made["prepay_id"]
    waiting = merchant.call(QUERY, out_trade_no=pay_no)
    assert (waiting["trade_state"], waiting["attach"]) == ("NOTPAY", "深圳 <&>") and "transaction_id" not in waiting

    page = sandbox.wechat_scan(made["code_url"])
    assert "测试 &lt;b&gt;订单&quot;" in page.text and "88.80" in page.text and "Pay</button>" in page.text
    assert page.headers["Cache-Control"] == "no-store"
    assert "Pay</button>" not in sandbox.wechat_press_pay(made["code_url"]).text

    body, content_type = receiver.bodies.get(timeout=30)
    assert content_type == "text/xml; charset=utf-8"
    notice = merchant.check_notice(body)
    assert {name: notice[name] for name in ("result_code", "appid", "mch_id", "out_trade_no", "total_fee", "cash_fee", "fee_type",
                                            "trade_type", "attach", "bank_type", "is_subscribe")} == {
        "result_code": "SUCCESS", "appid": merchant.appid, "mch_id": merchant.mch_id, "out_trade_no": pay_no, "total_fee": "8880",
        "cash_fee": "8880", "fee_type": "CNY", "trade_type": "NATIVE", "attach": "深圳 <&>", "bank_type": "OTHERS",
        "is_subscribe": "N"}
    assert abs(beijing(notice["time_end"]) - datetime.datetime.now(BEIJING)) < datetime.timedelta(hours=1)
    assert notice["openid"] and len(notice["transaction_id"]) == 28

    trade = sandbox.wait_accepted(pay_no)
    assert [(a["status"], a["answer"]) for a in trade["notices"][0]["attempts"]] == [(200, wechat.SUCCESS)]
    paid = merchant.call(QUERY, transaction_id=notice["transaction_id"])
    assert (paid["trade_state"], paid["out_trade_no"], paid["total_fee"], paid["time_end"], paid["openid"]) == \
        ("SUCCESS", pay_no, "8880", notice["time_end"], notice["openid"])
    assert len(sandbox.trade(pay_no)["notices"]) == 1


def test_the_same_order_again_gives_the_same_code(merchant):
    wanted = order()
    first, again = merchant.call(ORDER, **wanted), merchant.call(ORDER, **wanted)
    assert (first["code_url"], first["prepay_id"]) == (again["code_url"], again["prepay_id"])


@pytest.mark.parametrize("name, value", [("total_fee", "8881"), ("body", "other"), ("notify_url", "http://127.0.0.1:9/other"),
                                         ("attach", "new"), ("product_id", "other"), ("spbill_create_ip", "127.0.0.2")])
def test_the_same_number_with_other_data_is_refused(md5, name, value):
    wanted = order()
    assert md5.call(ORDER, **wanted)["result_code"] == "SUCCESS"
    assert md5.call(ORDER, **{**wanted, name: value})["err_code"] == "OUT_TRADE_NO_USED"


def test_a_paid_and_a_closed_number_are_refused(sandbox, md5):
    paid, closed = order(), order()
    for wanted in (paid, closed):
        md5.call(ORDER, **wanted)
    sandbox.pay(paid["out_trade_no"], notify=False)
    assert md5.call(CLOSE, out_trade_no=closed["out_trade_no"])["result_code"] == "SUCCESS"
    assert md5.call(ORDER, **paid)["err_code"] == "ORDERPAID"
    assert md5.call(ORDER, **closed)["err_code"] == "ORDERCLOSED"


@pytest.mark.parametrize("name", ["body", "out_trade_no", "total_fee", "spbill_create_ip", "notify_url", "trade_type", "product_id"])
def test_what_is_required_is_missed(md5, name):
    answer = md5.call(ORDER, **order(**{name: None}))
    assert answer["err_code"] == "LACK_PARAMS" and name in answer["err_code_des"]


@pytest.mark.parametrize("more, lacking", [({"trade_type": "JSAPI"}, "openid"), ({"trade_type": "MWEB"}, "scene_info")])
def test_what_a_trade_type_requires_is_missed(md5, more, lacking):
    answer = md5.call(ORDER, **order(**more))
    assert answer["err_code"] == "LACK_PARAMS" and lacking in answer["err_code_des"]


@pytest.mark.parametrize("more", [
    {"total_fee": "0"}, {"total_fee": "088"}, {"total_fee": "1.00"}, {"total_fee": "-1"}, {"total_fee": "10000000001"},
    {"out_trade_no": "12345"}, {"out_trade_no": "1" * 33}, {"out_trade_no": "1234567@"}, {"body": "x" * 129},
    {"attach": "x" * 128}, {"spbill_create_ip": "localhost"}, {"spbill_create_ip": "1.2.3"}, {"trade_type": "CODE"},
    {"notify_url": "http://shop.example/n?x=1"}, {"notify_url": "ftp://shop.example/"}, {"fee_type": "USD"},
    {"time_expire": "20260231000000"}, {"time_expire": "2026"}, {"time_start": "20260101000000", "time_expire": "20260101000059"},
    {"trade_type": "MWEB", "scene_info": "{}"}, {"trade_type": "MWEB", "scene_info": '{"h5_info":{"type":"Wap"}}'},
    {"limit_pay": "no_debit"}])
def test_wrong_values_are_refused(md5, more):
    assert md5.call(ORDER, **order(**more))["err_code"] == "PARAM_ERROR"


def test_an_order_that_is_over_is_refused(md5):
    past = {"time_start": "20200101000000", "time_expire": "20200101010000"}
    assert md5.call(ORDER, **order(**past))["err_code"] == "INVALID_REQUEST"


@pytest.mark.parametrize("address", ["203.0.113.7", "2001:db8::7"])
def test_both_kinds_of_addresses_are_taken(md5, address):
    assert md5.call(ORDER, **order(spbill_create_ip=address))["result_code"] == "SUCCESS"


# -- what is not understood, and is answered without a signature

def failure(answer):
    """return_msg of an unsigned refusal."""
    assert answer.status_code == 200
    fields = wechat.read_xml(answer.content)
    assert set(fields) == {"return_code", "return_msg"} and fields["return_code"] == "FAIL"
    return fields["return_msg"].split(":")[0]


@pytest.mark.parametrize("more, expect", [
    ({"sign": "0" * 32}, "SIGNERROR"), ({"sign": None}, "SIGNERROR"), ({"sign_type": "SHA1"}, "SIGNERROR"),
    ({"mch_id": "1900000009"}, "MCHID_NOT_EXIST"), ({"mch_id": None}, "MCHID_NOT_EXIST"), ({"nonce_str": None}, "LACK_PARAMS"),
    ({"nonce_str": "x" * 33}, "LACK_PARAMS"), ({"body": "emoji \U0001f600"}, "NOT_UTF8")])
def test_calls_that_are_not_ours(md5, more, expect):
    assert failure(md5.post(ORDER, **order(**more))) == expect


def test_a_signature_of_the_other_type_is_refused(sandbox):
    for mine, other in ((wechat.MD5, wechat.HMAC), (wechat.HMAC, wechat.MD5)):
        merchant = wechat.Merchant(sandbox, mine)
        fields = merchant.fields(**order())
        fields["sign_type"] = other
        assert failure(merchant.send(ORDER, wechat.write_xml(fields))) == "SIGNERROR"


def test_a_signature_in_lower_case_is_refused(md5):
    fields = md5.fields(**order())
    fields["sign"] = fields["sign"].lower()
    assert failure(md5.send(ORDER, wechat.write_xml(fields))) == "SIGNERROR"


def test_md5_is_what_no_sign_type_means(md5):
    assert md5.call(ORDER, **order(sign_type=None))["result_code"] == "SUCCESS"


@pytest.mark.parametrize("appid, expect", [("wx0000000000000000", "APPID_MCHID_NOT_MATCH"), (None, "LACK_PARAMS")])
def test_another_appid_is_refused_with_a_signature(md5, appid, expect):
    assert md5.call(ORDER, **order(appid=appid))["err_code"] == expect


def test_empty_values_are_not_signed(md5):
    fields = md5.fields(**order())
    fields["device_info"] = ""
    assert md5.read(md5.send(ORDER, wechat.write_xml(fields)))["result_code"] == "SUCCESS"


BAD_XML = {
    "no XML": b"hello", "a form": b"a=1&b=2", "JSON": b"{}", "another root": b"<root><a>1</a></root>", "no end": b"<xml><a>1</a>",
    "nested": b"<xml><a><b>1</b></a></xml>", "twice": b"<xml><a>1</a><a>2</a></xml>", "an attribute": b'<xml><a b="c">1</a></xml>',
    "DOCTYPE": b"<!DOCTYPE xml><xml><a>1</a></xml>",
    "an entity": b'<!DOCTYPE xml [<!ENTITY e SYSTEM "file:///etc/passwd">]><xml><a>&e;</a></xml>',
    "an unknown entity": b"<xml><a>&e;</a></xml>", "text between": b"<xml>text<a>1</a></xml>", "two roots": b"<xml></xml><xml></xml>",
    "a forbidden character": b"<xml><a>&#0;</a></xml>", "a surrogate": b"<xml><a>&#xD800;</a></xml>",
    "a control character": b"<xml><a>\x01</a></xml>", "no UTF-8": b"<xml><a>\xff</a></xml>",
    "GBK": '<?xml version="1.0" encoding="GBK"?><xml><a>中</a></xml>'.encode("gbk"),
    "UTF-16": '<?xml version="1.0" encoding="UTF-16"?><xml><a>1</a></xml>'.encode("utf-16"),
    "an instruction": b"<xml><?php evil?><a>1</a></xml>", "open CDATA": b"<xml><a><![CDATA[1</a></xml>",
    "crossed": b"<xml><a>1</b></xml>", "a bad comment": b"<xml><!-- a -- b --><a>1</a></xml>", "]]> in text": b"<xml><a>]]></a></xml>",
    "many elements": b"<xml>" + b"".join(b"<a%d>1</a%d>" % (i, i) for i in range(201)) + b"</xml>",
}


@pytest.mark.parametrize("body", BAD_XML.values(), ids=BAD_XML.keys())
def test_bad_xml_is_refused(md5, body):
    assert failure(md5.send(QUERY, body)) == "XML_FORMAT_ERROR"


def test_nothing_and_get_are_refused(md5):
    assert failure(md5.send(QUERY, b"")) == "POST_DATA_EMPTY"
    assert failure(md5.session.get(md5.url + QUERY)) == "REQUIRE_POST_METHOD"


def test_a_body_of_many_bytes_is_refused(md5):
    assert md5.send(QUERY, b"<xml><a>" + b"x" * 70000 + b"</a></xml>").status_code == 413


def test_all_ways_to_write_the_same_xml_are_read(md5):
    """CDATA, escapes, references, comments, blanks and a declaration, in any mixture."""
    fields = md5.fields(**order(body="a<b>&c ]]> \"d' 中"))
    body = "<?xml version='1.0' encoding='UTF-8'?>\n<!-- one --><xml >\n"
    for name, value in fields.items():
        if name == "body":
            value = "a&lt;b<![CDATA[>&c ]]]]><!-- two --><![CDATA[> \"d]]>&apos;&#32;&#x4E2D;"
        body += f"\t<{name}>{value}</{name} >\n"
    made = md5.read(md5.send(ORDER, (body + "</xml>\n").encode()))
    assert made["result_code"] == "SUCCESS"


# -- query, close, expiry

def test_states_of_an_order(sandbox, md5):
    wanted = order()
    pay_no = wanted["out_trade_no"]
    md5.call(ORDER, **wanted)

    def state():
        return md5.call(QUERY, out_trade_no=pay_no)["trade_state"]
    assert state() == "NOTPAY"
    for event, shown in (("userpaying", "USERPAYING"), ("payerror", "PAYERROR"), ("accept", "ACCEPT")):
        sandbox.act(pay_no, event)
        assert state() == shown
    sandbox.pay(pay_no, notify=False)
    assert state() == "SUCCESS"
    for event in ("pay", "close", "expire", "userpaying"):
        with pytest.raises(requests.HTTPError):
            sandbox.act(pay_no, event)
    sandbox.refund(pay_no, amount="1.00")
    answer = md5.call(QUERY, out_trade_no=pay_no)
    assert answer["trade_state"] == "REFUND" and "total_fee" not in answer  # WeChat promises no amounts then


def test_queries_name_their_order(md5):
    assert md5.call(QUERY)["err_code"] == "LACK_PARAMS"
    assert md5.call(QUERY, transaction_id="4200000000000000000000000000")["err_code"] == "ORDERNOTEXIST"


def test_close(sandbox, merchant):
    wanted = order()
    pay_no = {"out_trade_no": wanted["out_trade_no"]}
    assert merchant.call(CLOSE, **pay_no)["err_code"] == "ORDERNOTEXIST"
    merchant.call(ORDER, **wanted)
    assert merchant.call(CLOSE, **pay_no)["result_code"] == "SUCCESS"
    assert merchant.call(CLOSE, **pay_no)["err_code"] == "ORDERCLOSED"
    assert merchant.call(QUERY, **pay_no)["trade_state"] == "CLOSED"
    with pytest.raises(requests.HTTPError):
        sandbox.pay(wanted["out_trade_no"])
    assert merchant.call(CLOSE)["err_code"] == "LACK_PARAMS"
    assert merchant.call(CLOSE, out_trade_no=pay(sandbox, merchant))["err_code"] == "ORDERPAID"


def test_a_young_order_is_not_closed(sandbox, md5):
    wanted = order()
    md5.call(ORDER, **wanted)
    assert sandbox.wechat_set(close_after_ms=3600000)["close_after_ms"] == 3600000
    assert md5.call(CLOSE, out_trade_no=wanted["out_trade_no"])["err_code"] == "INVALID_REQUEST"
    assert md5.call(QUERY, out_trade_no=wanted["out_trade_no"])["trade_state"] == "NOTPAY"
    sandbox.wechat_set(close_after_ms=0)
    assert md5.call(CLOSE, out_trade_no=wanted["out_trade_no"])["result_code"] == "SUCCESS"


def test_five_minutes_are_the_default(tmp_path):
    with Sandbox(BUILD, tmp_path) as running:
        assert running.wechat_account()["close_after_ms"] == 300000


def test_expiry_closes_an_order_and_tells_nobody(sandbox, md5, receiver):
    wanted = order(notify_url=receiver.url)
    code = md5.call(ORDER, **wanted)["code_url"]
    sandbox.expire(wanted["out_trade_no"])
    assert md5.call(QUERY, out_trade_no=wanted["out_trade_no"])["trade_state"] == "CLOSED"
    assert "Pay</button>" not in sandbox.wechat_scan(code).text
    assert sandbox.trade(wanted["out_trade_no"])["notices"] == []


def test_time_expire_is_in_beijing(sandbox, md5):
    end = datetime.datetime.now(BEIJING).replace(microsecond=0) + datetime.timedelta(minutes=30)
    wanted = order(time_expire=end.strftime("%Y%m%d%H%M%S"))
    md5.call(ORDER, **wanted)
    assert sandbox.trade(wanted["out_trade_no"])["expires_ms"] == end.timestamp() * 1000


# -- the other products

def app_params(merchant, names, sign_name, **values):
    values = {name: values[name] for name in names}
    return {**values, sign_name: wechat.signature(values, merchant.key, merchant.sign_type)}


def test_jsapi_parameters_are_checked_as_the_app_does(sandbox, merchant):
    wanted = order(trade_type="JSAPI", openid="o-somebody", product_id=None)
    prepay_id = merchant.call(ORDER, **wanted)["prepay_id"]
    names = ("appId", "timeStamp", "nonceStr", "package", "signType")
    values = {"appId": merchant.appid, "timeStamp": "1414561699", "nonceStr": "5K8264ILTKCH16CQ2502SI8ZNMTM67VS",
              "package": "prepay_id=" + prepay_id, "signType": merchant.sign_type}
    good = app_params(merchant, names, "paySign", **values)
    assert sandbox.wechat_open_app(good) == wanted["out_trade_no"]
    for name in names:
        with pytest.raises(requests.HTTPError):
            sandbox.wechat_open_app({**good, name: "1"})
    with pytest.raises(requests.HTTPError):
        sandbox.wechat_open_app({**good, "more": "1"})
    sandbox.pay(prepay_id, notify=False)
    assert merchant.call(QUERY, out_trade_no=wanted["out_trade_no"])["openid"] == "o-somebody"


def test_app_parameters_are_checked_as_the_app_does(sandbox, merchant):
    wanted = order(trade_type="APP", product_id=None)
    prepay_id = merchant.call(ORDER, **wanted)["prepay_id"]
    names = ("appid", "partnerid", "prepayid", "package", "noncestr", "timestamp")
    good = app_params(merchant, names, "sign", appid=merchant.appid, partnerid=merchant.mch_id, prepayid=prepay_id,
                      package="Sign=WXPay", noncestr="n", timestamp="1414561699")
    assert sandbox.wechat_open_app(good) == wanted["out_trade_no"]
    for name in names:
        with pytest.raises(requests.HTTPError):
            sandbox.wechat_open_app({**good, name: "1"})


SCENE = '{"h5_info":{"type":"Wap","wap_url":"https://shop.example","wap_name":"Shop"}}'


class From(requests.adapters.HTTPAdapter):
    """Requests that come from another address of this machine."""

    def __init__(self, address):
        self.address = address
        super().__init__()

    def init_poolmanager(self, *arguments, **more):
        super().init_poolmanager(*arguments, **more, source_address=(self.address, 0))


def mweb(md5, **more):
    wanted = order(trade_type="MWEB", scene_info=SCENE, product_id=None, **more)
    made = md5.call(ORDER, **wanted)
    assert "code_url" not in made
    return wanted["out_trade_no"], made["mweb_url"]


def test_mweb_leads_to_the_page_and_back(sandbox, md5):
    pay_no, url = mweb(md5)
    page = md5.session.get(url, params={"redirect_url": "https://shop.example/back?a=1&b=2"})
    assert page.status_code == 200 and 'value="https://shop.example/back?a=1&amp;b=2"' in page.text
    number = re.search(r'name="trade" value="(\d{28})"', page.text).group(1)
    back = sandbox.wechat_press_pay(number, redirect_url="https://shop.example/back?a=1&b=2")
    assert (back.status_code, back.headers["Location"]) == (303, "https://shop.example/back?a=1&b=2")
    assert sandbox.trade(pay_no)["status"] == "SUCCESS"


def test_mweb_wants_the_registered_referer(sandbox, md5):
    _, url = mweb(md5)
    sandbox.wechat_set(domain="shop.example")

    def status(referer):
        return md5.session.get(url, headers={"Referer": referer} if referer else {}).status_code
    assert [status(referer) for referer in (
        "https://shop.example/pay/1", "http://m.shop.example:8080", "https://SHOP.example", None, "https://other.example/shop.example",
        "https://badshop.example/", "shop.example")] == [200, 200, 200, 403, 403, 403, 403]


def test_mweb_wants_the_payer_s_address(sandbox, md5):
    _, url = mweb(md5, spbill_create_ip="127.0.0.2")
    md5.session.mount(url, From("127.0.0.2"))
    assert md5.session.get(url).status_code == 200
    assert requests.get(url, timeout=30).status_code == 200  # not asked for yet
    sandbox.wechat_set(check_address=True)
    assert md5.session.get(url).status_code == 200
    assert requests.get(url, timeout=30).status_code == 403


def test_mweb_url_is_over_soon_and_of_no_other_product(sandbox, md5):
    _, url = mweb(md5)
    sandbox.wechat_set(mweb_life_ms=0)
    assert md5.session.get(url).status_code == 403
    sandbox.wechat_set(mweb_life_ms=300000)
    other = md5.call(ORDER, **order())["prepay_id"]
    assert md5.session.get(re.sub("prepay_id=[^&]*", "prepay_id=" + other, url)).status_code == 403
    assert md5.session.get(url.replace("prepay_id=wx", "prepay_id=wx1")).status_code == 404


def test_the_front_page_lists_orders(sandbox, md5):
    wanted = order()
    code = md5.call(ORDER, **wanted)["code_url"]
    page = sandbox.session.get(sandbox.url + "/wechat").text
    link = re.search(r'href="(/wechat/pay/[^"]+)">%s<' % wanted["out_trade_no"], page).group(1)
    assert sandbox.session.get(sandbox.url + link).text == sandbox.wechat_scan(code).text
    assert sandbox.wechat_scan("weixin://wxpay/bizpayurl?pr=nothing").status_code == 404


# -- notices

def test_notices_repeat_on_wechat_s_schedule_until_they_are_accepted(sandbox, md5, receiver):
    receiver.answer = lambda fields: (200, wechat.FAIL.encode())
    pay_no = pay(sandbox, md5, receiver)
    attempts = sandbox.wait_attempts(pay_no, 16)
    trade = sandbox.trade(pay_no)
    assert len(attempts) == 16 and trade["notices"][0]["given_up"]
    gaps = [15, 15, 30, 180, 600, 1200, 1800, 1800, 1800, 3600, 10800, 10800, 10800, 21600, 21600]
    for earlier, later, gap in zip(attempts, attempts[1:], gaps):
        assert later["at_ms"] - earlier["at_ms"] >= gap * 1000 // SPEED
    assert sum(gaps) == 24 * 3600 + 4 * 60
    nonces = {md5.check_notice(receiver.next())["nonce_str"] for _ in range(15)}
    assert len(nonces) == 15


@pytest.mark.parametrize("answer", [(200, b"success"), (200, b""), (500, wechat.SUCCESS.encode()), (200, b"<xml></xml>"),
                                    (200, b"<root><return_code>SUCCESS</return_code></root>")])
def test_only_the_right_answer_ends_a_notice(sandbox, md5, receiver, answer):
    answers = iter([answer])
    receiver.answer = lambda fields: next(answers, (200, b"<xml><return_code>SUCCESS</return_code></xml>"))
    pay_no = pay(sandbox, md5, receiver)
    sandbox.wait_accepted(pay_no)
    assert [attempt["accepted"] for attempt in sandbox.attempts(pay_no)] == [False, True]


def test_a_notice_again_and_a_notice_of_a_failure(sandbox, merchant, receiver):
    wanted = order(notify_url=receiver.url)
    merchant.call(ORDER, **wanted)
    sandbox.act(wanted["out_trade_no"], "payerror", notify=True)
    failed = merchant.check_notice(receiver.next())
    assert (failed["result_code"], failed["err_code"]) == ("FAIL", "PAYERROR")
    sandbox.pay(wanted["out_trade_no"])
    first = merchant.check_notice(receiver.next())
    sandbox.renotify(wanted["out_trade_no"])
    again = merchant.check_notice(receiver.next())
    assert first["transaction_id"] == again["transaction_id"] and first["nonce_str"] != again["nonce_str"]


def test_a_coupon_pays_part_of_it(sandbox, md5, receiver):
    wanted = order(notify_url=receiver.url)
    md5.call(ORDER, **wanted)
    with pytest.raises(requests.HTTPError):
        sandbox.pay(wanted["out_trade_no"], coupon="88.80")
    sandbox.pay(wanted["out_trade_no"], coupon="8.80")
    for fields in (md5.check_notice(receiver.next()), md5.call(QUERY, out_trade_no=wanted["out_trade_no"])):
        assert (fields["total_fee"], fields["cash_fee"], fields["settlement_total_fee"], fields["coupon_fee"],
                fields["coupon_count"], fields["coupon_fee_0"]) == ("8880", "8000", "8000", "880", "1", "880")


@pytest.mark.parametrize("kind, how", [("tamper", {}), ("bad_signature", {}), ("wrong_key", {}), ("tamper", {"fields": {"attach": "1"}})])
def test_faults_that_break_a_notice_s_signature(sandbox, merchant, receiver, kind, how):
    wanted = order(notify_url=receiver.url)
    merchant.call(ORDER, **wanted)
    sandbox.fault("notice", kind, **how)
    sandbox.pay(wanted["out_trade_no"])
    body = receiver.next()
    fields = wechat.read_xml(body)
    assert fields["sign"] != wechat.signature(fields, merchant.key, merchant.sign_type)
    assert fields["total_fee"] == ("1" if kind == "tamper" and not how else "8880")


def test_fault_change_of_a_notice_is_signed(sandbox, merchant, receiver):
    wanted = order(notify_url=receiver.url)
    merchant.call(ORDER, **wanted)
    sandbox.fault("notice", "change", fields={"total_fee": "1", "openid": None}, pay_no=wanted["out_trade_no"])
    sandbox.pay(wanted["out_trade_no"])
    fields = merchant.check_notice(receiver.next())
    assert fields["total_fee"] == "1" and "openid" not in fields


def test_a_lost_notice_comes_again(sandbox, md5, receiver):
    wanted = order(notify_url=receiver.url)
    md5.call(ORDER, **wanted)
    sandbox.fault("notice", "drop", pay_no=wanted["out_trade_no"])
    sandbox.pay(wanted["out_trade_no"])
    md5.check_notice(receiver.next())
    assert [attempt["sent"] for attempt in sandbox.wait_attempts(wanted["out_trade_no"], 2)] == [False, True]


def test_a_notice_comes_late_and_three_times(sandbox, md5, receiver):
    wanted = order(notify_url=receiver.url)
    md5.call(ORDER, **wanted)
    sandbox.fault("notice", "delay", ms=300, pay_no=wanted["out_trade_no"])
    sandbox.fault("notice", "duplicate", times=2, pay_no=wanted["out_trade_no"])
    sandbox.pay(wanted["out_trade_no"])
    assert {md5.check_notice(receiver.next())["out_trade_no"] for _ in range(3)} == {wanted["out_trade_no"]}
    attempts = sandbox.wait_attempts(wanted["out_trade_no"], 3)
    assert all(attempt["at_ms"] >= sandbox.trade(wanted["out_trade_no"])["paid_ms"] + 300 for attempt in attempts)


# -- refunds

def refunds(merchant, **which):
    """[(out_refund_no, refund_fee, refund_status)] of a query, and the answer."""
    answer = merchant.call(REFUND_QUERY, **which)
    return [(answer[f"out_refund_no_{i}"], answer[f"refund_fee_{i}"], answer[f"refund_status_{i}"])
            for i in range(int(answer["refund_count"]))], answer


def test_refunds_in_parts(sandbox, merchant):
    pay_no = pay(sandbox, merchant)
    assert merchant.call(REFUND_QUERY, out_trade_no=pay_no)["err_code"] == "REFUNDNOTEXIST"
    first = merchant.call(REFUND, out_trade_no=pay_no, out_refund_no="a" + pay_no, total_fee="8880", refund_fee="880",
                          refund_desc="退")
    assert (first["out_refund_no"], first["refund_fee"], first["total_fee"], first["out_trade_no"]) == \
        ("a" + pay_no, "880", "8880", pay_no)
    merchant.call(REFUND, transaction_id=first["transaction_id"], out_refund_no="b" + pay_no, total_fee="8880", refund_fee="8000")
    listed, answer = refunds(merchant, out_trade_no=pay_no)
    assert listed == [("a" + pay_no, "880", "SUCCESS"), ("b" + pay_no, "8000", "SUCCESS")]
    assert (answer["refund_id_0"], answer["total_refund_count"], answer["refund_fee"]) == (first["refund_id"], "2", "8880")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", answer["refund_success_time_0"]) and answer["refund_recv_accout_1"]
    for which in ({"refund_id": first["refund_id"]}, {"out_refund_no": "a" + pay_no}):
        assert refunds(merchant, **which)[0] == [("a" + pay_no, "880", "SUCCESS")]
    assert refunds(merchant, transaction_id=first["transaction_id"])[0] == listed
    assert [(refund["amount"], refund["status"]) for refund in sandbox.trade(pay_no)["refunds"]] == \
        [("8.80", "SUCCESS"), ("80.00", "SUCCESS")]


def test_a_refund_again_is_the_same_refund(sandbox, md5):
    pay_no = pay(sandbox, md5)
    wanted = {"out_trade_no": pay_no, "out_refund_no": "r" + pay_no, "total_fee": "8880", "refund_fee": "100"}
    first, again = md5.call(REFUND, **wanted), md5.call(REFUND, **wanted)
    assert first["refund_id"] == again["refund_id"] and len(sandbox.trade(pay_no)["refunds"]) == 1
    assert md5.call(REFUND, **{**wanted, "refund_fee": "200"})["err_code"] == "REFUND_FEE_MISMATCH"
    assert md5.call(REFUND, **{**wanted, "out_trade_no": pay(sandbox, md5)})["err_code"] == "INVALID_REQUEST"
    assert sandbox.trade(pay_no)["refunded_amount"] == "1.00"


def test_refunds_never_come_to_more_than_was_paid(sandbox, md5):
    pay_no = pay(sandbox, md5)
    wanted = {"out_trade_no": pay_no, "out_refund_no": "r" + pay_no, "total_fee": "8880", "refund_fee": "8881"}
    assert md5.call(REFUND, **wanted)["err_code"] == "REFUND_FEE_INVALID"
    assert md5.call(REFUND, **{**wanted, "refund_fee": "8880"})["result_code"] == "SUCCESS"
    assert md5.call(REFUND, **{**wanted, "out_refund_no": "s" + pay_no, "refund_fee": "1"})["err_code"] == "REFUND_FEE_INVALID"


@pytest.mark.parametrize("more, expect", [
    ({"refund_fee": "0"}, "PARAM_ERROR"), ({"refund_fee": "1.00"}, "PARAM_ERROR"), ({"total_fee": "100"}, "INVALID_REQUEST"),
    ({"refund_fee": None}, "LACK_PARAMS"), ({"out_refund_no": None}, "LACK_PARAMS"), ({"out_trade_no": None}, "LACK_PARAMS"),
    ({"out_refund_no": "a b"}, "PARAM_ERROR"), ({"refund_desc": "x" * 81}, "PARAM_ERROR"), ({"out_trade_no": "nobody"}, "ORDERNOTEXIST"),
    ({"notify_url": "nowhere"}, "PARAM_ERROR")])
def test_wrong_refunds_are_refused(sandbox, md5, more, expect):
    pay_no = pay(sandbox, md5)
    wanted = {"out_trade_no": pay_no, "out_refund_no": "r" + pay_no, "total_fee": "8880", "refund_fee": "1"}
    assert md5.call(REFUND, **{**wanted, **more})["err_code"] == expect
    assert sandbox.trade(pay_no)["refunds"] == []


def test_what_is_not_paid_is_not_refunded(md5):
    wanted = order()
    md5.call(ORDER, **wanted)
    assert md5.call(REFUND, out_trade_no=wanted["out_trade_no"], out_refund_no="r1", total_fee="8880",
                    refund_fee="1")["err_code"] == "TRADE_STATE_ERROR"


def test_fifty_refunds_and_no_more_ten_in_an_answer(sandbox, md5):
    pay_no = pay(sandbox, md5)
    for number in range(50):
        assert md5.call(REFUND, out_trade_no=pay_no, out_refund_no=f"{pay_no}_{number}", total_fee="8880",
                        refund_fee="1")["result_code"] == "SUCCESS"
    assert md5.call(REFUND, out_trade_no=pay_no, out_refund_no=pay_no + "_50", total_fee="8880",
                    refund_fee="1")["err_code"] == "INVALID_REQUEST"
    found = []
    for offset in range(0, 50, 10):
        listed, answer = refunds(md5, out_trade_no=pay_no, offset=str(offset))
        assert answer["total_refund_count"] == "50" and len(listed) == 10
        found += [number for number, _, _ in listed]
    assert found == [f"{pay_no}_{number}" for number in range(50)]
    assert md5.call(REFUND_QUERY, out_trade_no=pay_no, offset="50")["err_code"] == "REFUNDNOTEXIST"
    assert md5.call(REFUND_QUERY, out_trade_no=pay_no, offset="x")["err_code"] == "PARAM_ERROR"


def test_refund_queries_name_their_refund(md5):
    assert md5.call(REFUND_QUERY)["err_code"] == "LACK_PARAMS"
    for name in ("refund_id", "out_refund_no", "transaction_id", "out_trade_no"):
        assert md5.call(REFUND_QUERY, **{name: "50000000000000"})["err_code"] == "REFUNDNOTEXIST"


@pytest.mark.parametrize("outcome, event, status, gone", [
    ("success", None, "SUCCESS", "1.00"), ("close", None, "REFUNDCLOSE", "0.00"), ("change", None, "CHANGE", "1.00"),
    ("processing", "succeed", "SUCCESS", "1.00"), ("processing", "close", "REFUNDCLOSE", "0.00"),
    ("processing", "change", "CHANGE", "1.00")])
def test_what_becomes_of_a_refund(sandbox, merchant, receiver, outcome, event, status, gone):
    pay_no = pay(sandbox, merchant)
    refund_no = "r" + pay_no
    sandbox.wechat_set(refund_outcome=outcome)
    made = merchant.call(REFUND, out_trade_no=pay_no, out_refund_no=refund_no, total_fee="8880", refund_fee="100",
                         notify_url=receiver.url)
    assert made["result_code"] == "SUCCESS"
    if event:
        assert refunds(merchant, out_refund_no=refund_no)[0] == [(refund_no, "100", "PROCESSING")]
        assert sandbox.trade(pay_no)["refunded_amount"] == "1.00" and sandbox.trade(pay_no)["notices"] == []
        sandbox.act_refund(refund_no, event)
    assert refunds(merchant, out_refund_no=refund_no)[0] == [(refund_no, "100", status)]
    assert sandbox.trade(pay_no)["refunded_amount"] == gone
    notice = merchant.open_refund_notice(receiver.next())
    assert {name: notice[name] for name in ("out_trade_no", "out_refund_no", "refund_id", "total_fee", "refund_fee",
                                            "settlement_refund_fee", "refund_status", "transaction_id")} == {
        "out_trade_no": pay_no, "out_refund_no": refund_no, "refund_id": made["refund_id"], "total_fee": "8880",
        "refund_fee": "100", "settlement_refund_fee": "100", "refund_status": status, "transaction_id": made["transaction_id"]}
    assert ("success_time" in notice) == (status == "SUCCESS")
    with pytest.raises(requests.HTTPError):
        sandbox.act_refund(refund_no, "succeed")
    # What was closed may be refunded again under a new number.
    rest = merchant.call(REFUND, out_trade_no=pay_no, out_refund_no="s" + pay_no, total_fee="8880", refund_fee="8880")
    assert (rest["result_code"] == "SUCCESS") == (status == "REFUNDCLOSE"), rest


def test_a_refund_without_notify_url_tells_nobody(sandbox, md5):
    pay_no = pay(sandbox, md5)
    md5.call(REFUND, out_trade_no=pay_no, out_refund_no="r" + pay_no, total_fee="8880", refund_fee="1")
    assert sandbox.trade(pay_no)["notices"] == []


def test_refunds_from_the_console(sandbox, md5, receiver):
    pay_no = pay(sandbox, md5, receiver)
    sandbox.refund(pay_no, amount="1.00")
    sandbox.refund(pay_no, amount="2.00", out_refund_no="c" + pay_no, notify=True)
    notice = md5.open_refund_notice(receiver.next())
    assert (notice["out_refund_no"], notice["refund_fee"], notice["refund_request_source"]) == ("c" + pay_no, "200", "VENDOR_PLATFORM")
    assert len(sandbox.trade(pay_no)["notices"]) == 2  # the payment and one refund
    listed, _ = refunds(md5, out_trade_no=pay_no)
    assert [(fee, status) for _, fee, status in listed] == [("100", "SUCCESS"), ("200", "SUCCESS")]
    with pytest.raises(requests.HTTPError):
        sandbox.refund(pay_no, amount="85.81")
    sandbox.refund(pay_no)
    assert sandbox.trade(pay_no)["refunded_amount"] == "88.80"


def test_faults_of_a_refund_notice(sandbox, md5, receiver):
    pay_no = pay(sandbox, md5)
    for number, kind in enumerate(("wrong_key", "tamper", "bad_signature")):
        sandbox.fault("notice", kind)
        md5.call(REFUND, out_trade_no=pay_no, out_refund_no=f"{pay_no}_{number}", total_fee="8880", refund_fee="1",
                 notify_url=receiver.url)
        body = receiver.next()
        with pytest.raises(Exception):  # no padding, no XML, or other XML
            md5.open_refund_notice(body)
    sandbox.fault("notice", "change", fields={"refund_fee": "8880"})
    sandbox.act_refund(f"{pay_no}_0", "notify")
    assert md5.open_refund_notice(receiver.next())["refund_fee"] == "8880"


# -- faults of calls

def ask(merchant):
    return merchant.post(QUERY, out_trade_no="nobody-1")


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("kind, how", [("drop", {}), ("status", {"status": 502}), ("html", {}), ("fail", {}), ("unavailable", {}),
                                       ("refuse", {"code": "NOTENOUGH"})])
def test_a_call_goes_wrong_before_or_after_its_work(sandbox, merchant, kind, how, after):
    wanted = order()
    pay_no = wanted["out_trade_no"]
    merchant.call(ORDER, **wanted)
    sandbox.fault("gateway", kind, method="closeorder", pay_no=pay_no, after=after, **how)
    if kind == "drop":
        with pytest.raises(requests.ConnectionError):
            merchant.post(CLOSE, out_trade_no=pay_no)
    else:
        answer = merchant.post(CLOSE, out_trade_no=pay_no)
        if kind == "status":
            assert answer.status_code == 502
        elif kind == "html":
            assert answer.headers["Content-Type"].startswith("text/html")
        elif kind == "fail":
            assert failure(answer) == "SYSTEMERROR"
        else:
            assert merchant.read(answer)["err_code"] == how.get("code", "SYSTEMERROR")
    assert sandbox.trade(pay_no)["status"] == ("CLOSED" if after else "NOTPAY")
    assert merchant.call(CLOSE, out_trade_no=pay_no).get("err_code") == ("ORDERCLOSED" if after else None)


@pytest.mark.parametrize("kind", ["bad_signature", "wrong_key", "tamper"])
def test_faults_that_break_an_answer_s_signature(sandbox, merchant, kind):
    pay_no = pay(sandbox, merchant)
    sandbox.fault("gateway", kind)
    fields = wechat.read_xml(merchant.post(QUERY, out_trade_no=pay_no).content)
    assert fields["sign"] != wechat.signature(fields, merchant.key, merchant.sign_type)
    assert fields["total_fee"] == ("1" if kind == "tamper" else "8880")


def test_fault_change_of_an_answer_is_signed(sandbox, merchant):
    pay_no = pay(sandbox, merchant)
    sandbox.fault("gateway", "change", fields={"total_fee": "1", "out_trade_no": None}, method="orderquery")
    answer = merchant.call(QUERY, out_trade_no=pay_no)
    assert answer["total_fee"] == "1" and "out_trade_no" not in answer


def test_fault_delay_of_a_call(sandbox, md5):
    sandbox.fault("gateway", "delay", ms=300, method="orderquery")
    assert ask(md5).elapsed >= datetime.timedelta(milliseconds=300)


# -- notices without an order

def test_notices_are_signed_by_wish(sandbox, merchant):
    style = "wechat-md5" if merchant.sign_type == wechat.MD5 else "wechat-hmac"
    one = merchant.check_notice(sandbox.sign_notice(style=style, out_trade_no="700007", total_fee="100", attach=None, extra="ü&="))
    assert (one["out_trade_no"], one["total_fee"], one["extra"], one["mch_id"]) == ("700007", "100", "ü&=", merchant.mch_id)
    bulk = [merchant.check_notice(body) for body in sandbox.sign_bulk(["100001", "100002"], style=style, total_fee="500")]
    assert [fields["out_trade_no"] for fields in bulk] == ["100001", "100002"]
    bare = merchant.check_notice(sandbox.sign_notice(bare=True, style=style, return_code="SUCCESS"))
    assert set(bare) == {"return_code", "nonce_str", "sign"}
    refund = merchant.open_refund_notice(sandbox.sign_notice(style="wechat-refund", out_trade_no="700007", refund_status="CHANGE"))
    assert (refund["out_trade_no"], refund["refund_status"]) == ("700007", "CHANGE")


# -- settings

@pytest.mark.parametrize("wrong", [{"close_after_ms": -1}, {"close_after_ms": "1"}, {"refund_outcome": "lost"}, {"domain": 1},
                                   {"check_address": "yes"}, {"more": 1}, {"domain": "x" * 256}, []])
def test_wrong_settings_are_refused(sandbox, wrong):
    answer = sandbox.session.post(sandbox.url + "/control/wechat", json=wrong)
    assert answer.status_code == 400 and answer.json()["error"]


# -- certificates

@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    """A sandbox that wants the client's certificate for refunds."""
    running = Sandbox(BUILD, tmp_path_factory.mktemp("strict"), wechat_close_after=0, wechat_tls=True).start()
    yield running
    assert running.stop() == 0, running.log()


def refund_status(strict, **how):
    merchant = wechat.Merchant(strict)  # with connections of its own
    pay_no = pay(strict, merchant)
    answer = merchant.post(REFUND, how, out_trade_no=pay_no, out_refund_no="r" + pay_no, total_fee="8880", refund_fee="1")
    assert len(strict.trade(pay_no)["refunds"]) == (1 if answer.status_code == 200 else 0)
    return answer.status_code


def test_refunds_want_the_merchant_s_certificate(strict):
    merchant = wechat.Merchant(strict)
    tls = {"url": strict.wechat_account()["tls_url"], "verify": strict.path("wechat-ca.pem")}
    pair = (strict.path("apiclient_cert.pem"), strict.path("apiclient_key.pem"))
    assert refund_status(strict, **tls, cert=pair) == 200
    assert refund_status(strict, **tls) == 400
    assert refund_status(strict) == 400
    # Everything else takes no certificate, over TLS or not.
    assert merchant.call(ORDER, tls, **order())["result_code"] == "SUCCESS"
    assert merchant.call(ORDER, **order())["result_code"] == "SUCCESS"


def test_a_stranger_s_certificate_does_not_refund(strict, tmp_path):
    with Sandbox(BUILD, tmp_path, wechat_tls=True) as other:
        pair = (other.path("apiclient_cert.pem"), other.path("apiclient_key.pem"))
        assert refund_status(strict, url=strict.wechat_account()["tls_url"],
                             verify=strict.path("wechat-ca.pem"), cert=pair) == 400


def test_the_server_s_certificate_is_of_the_test_ca_only(strict):
    url = strict.wechat_account()["tls_url"]
    with pytest.raises(requests.exceptions.SSLError):
        wechat.Merchant(strict).post(QUERY, {"url": url}, out_trade_no="nobody")
    assert ssl.create_default_context(cafile=strict.path("wechat-ca.pem")).cert_store_stats()["x509_ca"] == 1


def test_certificates_are_private_and_named_for_the_server(strict):
    for name in ("apiclient_key.pem", "apiclient_cert.p12", "wechat-server-key.pem"):
        assert stat.S_IMODE(os.stat(strict.path(name)).st_mode) == 0o600, name
    conf = strict.wechat_conf()
    assert f"url = {strict.wechat_account()['tls_url']}\n" in conf
    assert f"client_p12_file = {strict.path('apiclient_cert.p12')}\n" in conf
