"""The cashier in headless Chromium, with the provider's sandbox behind it: what a payer sees and does, that the page changes
by itself, and that the browser asks nobody else for anything and has nothing to complain about.

PN_SCREENSHOTS=doc writes the pictures of the documentation."""

import re
import urllib.parse

import pytest

from chromium import PHONE, Chromium
from paynotifyd import SLOWNESS, wechat_settings
from waiting import wait_for

pytestmark = [pytest.mark.store("sqlite"), pytest.mark.limit(300)]


@pytest.fixture(scope="module")
def chromium():
    started = Chromium()
    yield started
    started.close()


@pytest.fixture
def server(make_server, sandbox):
    sandbox.wechat_set(domain="127.0.0.1", check_address=True)
    return make_server({"channel wechat": wechat_settings(sandbox)}).start()


@pytest.fixture
def browser(chromium, server, sandbox, request):
    """Checks at the end that nobody else was asked and that nothing was complained about, but for pages whose status says that
    they are no success: a test names those in `browser.expected`."""
    chromium.begin()
    chromium.expected = ()
    yield chromium
    ours = {urllib.parse.urlsplit(url).netloc for url in (server.public, sandbox.url)}
    assert chromium.hosts() <= ours
    left = [said for said in chromium.complaints()
            if not any(f"Failed to load resource: the server responded with a status of {status}" in said
                       for status in chromium.expected)]
    chromium.open("about:blank")
    assert left == []


@pytest.fixture
def order(server):
    return server.order("20260520-0007", name="Java 课程 👍🏽 \"<b>&\"", description="12 lessons", return_url=server.base + "/healthz")


def pay_no_of(browser):
    return re.search(r"[?&]pay=([0-9]+)", browser.driver.current_url).group(1)


def count(server, order):
    return len(server.ok("GET", f"/v1/orders/{order['order_id']}")["payments"])


def test_scan_the_provider_s_code_and_pay(browser, server, sandbox, order, scan):
    browser.open(order["cashier_url"])
    assert browser.state() == "choice" and order["name"] in browser.text()
    browser.picture("cashier-choice")
    browser.press("Alipay (QR code)")
    browser.wait_state("open")
    payment = server.ok("GET", f"/v1/payments/{pay_no_of(browser)}")
    assert browser.read_code() == payment["code_url"]
    browser.picture("cashier-qr")
    scan(payment)
    sandbox.pay(payment["pay_no"])
    browser.wait_state("paid")
    assert "Payment complete" in browser.text()
    browser.picture("cashier-paid")
    assert browser.one("#back").get_attribute("href") == order["return_url"]


def test_scan_another_provider_s_code_and_pay(browser, server, sandbox, order):
    browser.language("zh-CN")
    browser.open(order["cashier_url"])
    browser.press("微信支付（扫码）")
    browser.wait_state("open")
    payment = server.ok("GET", f"/v1/payments/{pay_no_of(browser)}")
    code = browser.read_code()
    assert code == payment["code_url"] and code.startswith("weixin://")
    assert sandbox.wechat_scan(code).status_code == 200
    sandbox.wechat_press_pay(code)
    browser.wait_state("paid")
    assert "支付成功" in browser.text() and "返回商家" in browser.text()


def test_go_to_the_provider_s_page_and_come_back(browser, server, sandbox, order):
    browser.open(order["cashier_url"])
    browser.press("Alipay (desktop browser)")
    browser.wait_state("open")
    pay_no = pay_no_of(browser)
    assert browser.read_code() == server.ok("GET", f"/v1/payments/{pay_no}")["pay_url"]
    browser.press("Go to the payment")
    wait_for(lambda: browser.driver.current_url.startswith(sandbox.url), 60 * SLOWNESS, "the provider's page")
    browser.press("Pay")
    browser.wait_state("paid")
    assert pay_no_of(browser) == pay_no


def test_a_phone_goes_to_a_provider_that_looks_where_it_comes_from(browser, server, sandbox, order):
    """The sandbox takes the browser only with a Referer of ours and from the address that the order was made for."""
    browser.size(*PHONE)
    browser.open(order["cashier_url"])
    browser.press("WeChat Pay (phone browser)")
    browser.wait_state("open")
    assert browser.all(".wide") and not browser.one(".wide").is_displayed()
    browser.press("Go to the payment")
    wait_for(lambda: browser.driver.current_url.startswith(sandbox.url), 60 * SLOWNESS, "the provider's page")
    assert "No way to pay" not in browser.text()
    browser.driver.back()
    browser.wait_state("open")
    browser.press("Go to the payment")
    wait_for(lambda: browser.driver.current_url.startswith(sandbox.url), 60 * SLOWNESS, "the provider's page again")
    browser.one("button[type=submit], form button:first-of-type").click()
    browser.wait_state("paid")


def test_a_link_opened_from_the_shop_s_page_still_comes_from_us(browser, server, sandbox):
    made = server.order("n1", channel="wechat", product="mweb", client_ip="127.0.0.1")
    browser.open(made["pay_url"])
    wait_for(lambda: browser.driver.current_url.startswith(sandbox.url), 60 * SLOWNESS, "the provider's page")
    assert "No way to pay" not in browser.text()


def test_back_forward_reload_and_double_click_make_nothing_new(browser, server, order):
    browser.open(order["cashier_url"])
    button = next(button for button in browser.all("button") if button.text == "Alipay (QR code)")
    browser.driver.execute_script("arguments[0].click(); arguments[0].form.submit(); arguments[0].form.submit()", button)
    browser.wait_state("open")
    first = pay_no_of(browser)
    browser.driver.refresh()
    browser.wait_state("open")
    browser.driver.back()
    browser.wait_state("choice")
    browser.driver.refresh()
    browser.wait_state("choice")
    browser.driver.forward()
    browser.wait_state("open")
    browser.driver.back()
    browser.wait_state("choice")
    browser.press("Alipay (QR code)")
    browser.wait_state("open")
    assert pay_no_of(browser) == first and count(server, order) == 1


def test_choosing_another_way_warns_and_the_old_tab_learns_of_it(browser, server, order):
    browser.expected = (409,)
    browser.open(order["cashier_url"])
    browser.press("Alipay (QR code)")
    browser.wait_state("open")
    old = browser.driver.current_window_handle
    browser.driver.switch_to.new_window("tab")
    browser.open(order["cashier_url"])
    assert "do not pay twice" in browser.text()
    browser.press("WeChat Pay (QR code)")
    browser.wait_state("open")
    assert "Please pay only once" in browser.text()
    browser.driver.close()
    browser.driver.switch_to.window(old)
    browser.wait_state("left")
    assert browser.all("img") == []
    browser.press("Go on with the payment begun last")
    browser.wait_state("open")
    assert count(server, order) == 2


def test_the_clock_runs_and_the_page_expires(browser, server, books):
    browser.expected = (410,)
    order = server.order("n1", return_url="https://shop.example/")
    browser.open(order["cashier_url"])
    browser.press("Alipay (QR code)")
    browser.wait_state("open")
    first = browser.one("#clock").text
    assert re.fullmatch("[0-9]{2}:[0-9]{2}", first)
    wait_for(lambda: browser.attribute("#clock", "textContent") != first, 30, "the clock to move")
    books.age(order["order_id"])
    browser.wait_state("expired")
    assert "This order has expired" in browser.text() and browser.all("img, button") == []
    assert browser.one("#back").get_attribute("href") == "https://shop.example/"


def test_refused_and_unanswered(browser, server, sandbox, order):
    browser.expected = (409, 503)
    sandbox.fault("gateway", "change", count=1, fields={"code": "40004", "sub_code": "ACQ.ACCESS_FORBIDDEN", "qr_code": None})
    browser.open(order["cashier_url"])
    browser.press("Alipay (QR code)")
    browser.wait_state("declined")
    assert "did not accept it" in browser.text()
    browser.press("Choose another way to pay")
    browser.wait_state("choice")
    sandbox.fault("gateway", "drop", count=-1)
    browser.press("Alipay (QR code)")
    browser.wait_state("unanswered")
    sandbox.clear_faults()
    browser.press("Try again")
    browser.wait_state("open")
    assert browser.read_code() == server.ok("GET", f"/v1/payments/{pay_no_of(browser)}")["code_url"]


def test_a_forged_link(browser, order):
    browser.expected = (404,)
    browser.open(order["cashier_url"][:-1])
    assert "This link is not valid" in browser.text() and order["name"] not in browser.text()


@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_it_fits_a_phone(browser, server, sandbox, scan, language):
    name = "很长的课程名称" * 20 + "averylongwordwithoutanyspace" * 8
    order = server.order("1" * 128, name=name[:256], description=("W" * 200 + "\n") * 3, return_url="https://shop.example/")
    browser.language(language)
    browser.size(*PHONE)
    browser.open(order["cashier_url"])
    assert not browser.scrolls_sideways()
    for product in ("支付宝（扫码）" if language == "zh-CN" else "Alipay (QR code)",
                    "支付宝（手机网页）" if language == "zh-CN" else "Alipay (phone browser)"):
        browser.open(order["cashier_url"])
        browser.press(product)
        browser.wait_state("open")
        assert not browser.scrolls_sideways()
    sandbox_page = browser.one("#pay").get_attribute("href")
    browser.open(sandbox_page)
    wait_for(lambda: browser.driver.current_url.startswith(sandbox.url), 60 * SLOWNESS, "the provider's page")
    browser.press("Pay")
    browser.wait_state("paid")
    assert not browser.scrolls_sideways()


def test_pictures_of_a_phone(browser, order):
    """What the documentation shows of a phone, in Chinese."""
    browser.language("zh-CN")
    browser.size(*PHONE)
    browser.open(order["cashier_url"])
    assert browser.attribute("html", "lang") == "zh" and "选择支付方式" in browser.text()
    browser.picture("cashier-phone")


def test_names_are_text_and_keep_their_direction_to_themselves(browser, server):
    name = "<script>window.hacked=1</script><img src=x onerror='window.hacked=1'>\"'& \u202eevil עברית 👩‍👩‍👧"
    order = server.order("<b>1</b>", name=name, description="</section><h1>x</h1>")
    browser.open(order["cashier_url"])
    assert browser.one(".name bdi").get_attribute("textContent") == name
    assert browser.one(".description bdi").get_attribute("textContent") == "</section><h1>x</h1>"
    assert browser.one(".number bdi").get_attribute("textContent") == "<b>1</b>"
    assert len(browser.all("h1")) == 1 and browser.all("img") == []
    assert browser.driver.execute_script("return window.hacked") is None


def test_without_scripts(browser, server, notice, order):
    browser.scripts(False)
    browser.open(order["cashier_url"])
    browser.press("Alipay (QR code)")
    wait_for(lambda: "pay=" in browser.driver.current_url, 60 * SLOWNESS, "the chosen payment")
    assert browser.read_code() == server.ok("GET", f"/v1/payments/{pay_no_of(browser)}")["code_url"]
    assert server.notify(notice(pay_no_of(browser))) == (200, "success")
    browser.wait_state("paid")
