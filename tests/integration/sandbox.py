"""paynotify-sandbox as a test sees it: starts and stops it, and talks to its control interface.

    with Sandbox(builddir, directory, speed=100) as sandbox:
        page = sandbox.submit(action, fields)       # what the payer's browser does with a pay form
        sandbox.pay(pay_no)                         # the payer presses Pay, at either provider
        sandbox.wait_accepted(pay_no)

Everything that asks for something raises requests.HTTPError when the sandbox refuses.
"""
import os
import subprocess
import time

import requests

WAIT_SECONDS = 30
REFUND = "alipay.trade.refund"
KEYS = ("alipay-private.pem", "app-private.pem")
CERTIFICATES = ("app-cert.crt", "alipay-cert.crt", "alipay-root.crt")


class Sandbox:
    _keys = {}  # made once in a run: making them costs more than most tests

    def __init__(self, builddir, directory, speed=1, listen="127.0.0.1:0", app_id=None, fresh_keys=False,
                 certificates=False, wechat_tls=False, wechat_close_after=None):
        """fresh_keys: the sandbox makes its own, unless they are in the directory already. certificates: Alipay's certificate
        mode. wechat_tls: refunds at WeChat want the client's certificate."""
        self.directory = str(directory)
        self.process = None
        self.url = None
        self._fresh_keys = fresh_keys
        self.session = requests.Session()
        self.session.trust_env = False
        self._port_file = os.path.join(self.directory, "port")
        self._log_path = os.path.join(self.directory, "sandbox.log")
        self._command = [os.path.join(str(builddir), "paynotify-sandbox"), "--dir", self.directory, "--listen", listen,
                         "--speed", str(speed), "--port-file", self._port_file]
        if app_id:
            self._command += ["--app-id", app_id]
        self._key_names = KEYS + CERTIFICATES if certificates else KEYS
        if certificates:
            self._command.append("--certificates")
        if wechat_tls:
            self._command += ["--wechat-tls", "127.0.0.1:0"]
        if wechat_close_after is not None:
            self._command += ["--wechat-close-after", str(wechat_close_after)]

    # -- life

    def start(self):
        os.makedirs(self.directory, mode=0o700, exist_ok=True)
        if not self._fresh_keys:
            self._lay_keys()
        if os.path.exists(self._port_file):
            os.unlink(self._port_file)
        with open(self._log_path, "ab") as log:
            self.process = subprocess.Popen(self._command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + WAIT_SECONDS
        while not os.path.exists(self._port_file):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError("paynotify-sandbox does not start:\n" + self.log())
            time.sleep(0.01)
        with open(self._port_file) as port:
            self.url = "http://127.0.0.1:%d" % int(port.read())
        account = self.get("/control")
        self.app_id, self.seller_id, self.gateway = account["app_id"], account["seller_id"], account["gateway"]
        if not self._fresh_keys:
            for name in self._key_names:
                if name not in Sandbox._keys:
                    with open(self.path(name), "rb") as key:
                        Sandbox._keys[name] = key.read()
        return self

    def _lay_keys(self):
        if not any(os.path.exists(self.path(name)) for name in KEYS):
            for name, key in Sandbox._keys.items():
                if name not in self._key_names:
                    continue
                with open(os.open(self.path(name), os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
                    file.write(key)

    def stop(self):
        """Returns the exit status."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.terminate()
        try:
            status = self.process.wait(WAIT_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        self.process = None
        self.session.close()
        return status

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def log(self):
        with open(self._log_path, errors="replace") as log:
            return log.read()

    def path(self, name):
        """Of a file that the sandbox made: app-private.pem, alipay-public.pem, merchant.conf ..."""
        return os.path.join(self.directory, name)

    def merchant_conf(self):
        """The lines that go under [channel alipay] in paynotify.conf."""
        with open(self.path("merchant.conf")) as lines:
            return lines.read()

    def wechat_conf(self):
        """The lines that go under [channel wechat]."""
        with open(self.path("wechat-merchant.conf"), encoding="utf-8") as lines:
            return lines.read()

    # -- HTTP

    def get(self, path):
        answer = self.session.get(self.url + path, timeout=WAIT_SECONDS)
        answer.raise_for_status()
        return answer.json()

    def post(self, path, body=None):
        answer = self.session.post(self.url + path, json=body or {}, timeout=WAIT_SECONDS)
        answer.raise_for_status()
        return answer

    # -- what the payer does

    def submit(self, action, fields):
        """Posts a pay form as a browser would; returns the answer, whose page offers Pay and Cancel."""
        return self.session.post(action, data=fields, timeout=WAIT_SECONDS, allow_redirects=False)

    def open_app(self, order_string):
        """The merchant's app hands its order string to the phone's SDK; returns the answer, the same page as submit()."""
        return self.session.post(self.url + "/app", data=order_string.encode("ascii"), timeout=WAIT_SECONDS,
                                 headers={"Content-Type": "text/plain"}, allow_redirects=False)

    def press(self, button, trade_no):
        """Presses "pay" or "cancel" on the payer's page; returns the answer, a redirect when there is a return_url."""
        return self.session.post(self.url + "/payer/" + button, data={"trade": trade_no}, timeout=WAIT_SECONDS,
                                 allow_redirects=False)

    # -- trades

    def trades(self):
        return self.get("/control/trades")["trades"]

    def trade(self, pay_no):
        """With "notices", each with its "attempts"."""
        return self.get("/control/trades/%s" % pay_no)

    def act(self, pay_no, event, **body):
        return self.post("/control/trades/%s/%s" % (pay_no, event), body).json()

    def pay(self, pay_no, **body):
        """notify=False: without the notice; coupon="1.00": at WeChat, a coupon pays so much of it."""
        return self.act(pay_no, "pay", **body)

    def close(self, pay_no, **body):
        return self.act(pay_no, "close", **body)

    def expire(self, pay_no):
        """Its time is over now."""
        return self.act(pay_no, "expire")

    def finish(self, pay_no, **body):
        return self.act(pay_no, "finish", **body)

    def refund(self, pay_no, **body):
        """As the merchant does in the provider's console: amount="1.00" (default: what is left), out_request_no=...,
        notify=False for one that nobody is told of."""
        return self.act(pay_no, "refund", **body)

    def refunds(self, pay_no):
        """The provider's book: refund_no, refund_id, status, amount ... of each, in the order they were made."""
        return self.trade(pay_no)["refunds"]

    def end_refund(self, refund_no, event="succeed", **body):
        """Of a refund that is processed: "succeed", or "close" (nothing moved; its money is free again)."""
        return self.post("/control/refunds/%s/%s" % (refund_no, event), body).json()

    def alipay(self, **settings):
        """refund_outcome="processing": accepted refunds are not done before end_refund(); "success" again.
        refund_gap_ms=3000: the least time between two refunds of a trade, as Alipay has it (default 0). Returns all."""
        return self.post("/control/alipay", settings).json()

    def refuse_refund(self, code, after=False, **how):
        """The next call of alipay.trade.refund (count=N, pay_no=...) is refused with that sub_code; after=True: and yet done."""
        return self.fault("gateway", "refuse", method=REFUND, code=code, after=after, **how)

    def notify(self, pay_no):
        """A new notice about the trade as it is, such as WAIT_BUYER_PAY."""
        return self.act(pay_no, "notify")

    def renotify(self, pay_no, **body):
        """Sends the newest notice (or notice_id=...) once more, now."""
        return self.act(pay_no, "renotify", **body)

    # -- WeChat Pay

    def wechat_account(self):
        """appid, mch_id, url, tls_url, and the settings."""
        return self.get("/control/wechat")

    def wechat_set(self, **settings):
        """close_after_ms, mweb_life_ms, refund_outcome ("success", "processing", "close", "change"), domain, check_address."""
        return self.post("/control/wechat", settings).json()

    def wechat_scan(self, code_url):
        """The page that the payer's app shows for a scanned code."""
        return self.session.get(self.url + "/wechat/scan", params={"code": code_url}, timeout=WAIT_SECONDS)

    def wechat_press_pay(self, number, **more):
        """The button on that page; number: of the trade, or code_url, or prepay_id."""
        return self.session.post(self.url + "/wechat/payer/pay", data={"trade": number, **more}, timeout=WAIT_SECONDS,
                                 allow_redirects=False)

    def wechat_open_app(self, params):
        """What the payer's app makes of the parameters for JSAPI and APP: the pay_no that it would show."""
        return self.post("/control/wechat/app", params).json()["pay_no"]

    def act_refund(self, refund_no, event, **body):
        """"succeed", "close", "change", "notify" at WeChat; notify=False: without the notice."""
        return self.post("/control/refunds/%s/%s" % (refund_no, event), body).json()

    def attempts(self, pay_no):
        return [attempt for notice in self.trade(pay_no)["notices"] for attempt in notice["attempts"]]

    def wait_attempts(self, pay_no, count):
        """Until so many attempts have ended; returns them."""
        return self._wait(lambda: self.attempts(pay_no), lambda found: len(found) >= count)

    def wait_accepted(self, pay_no, count=1):
        """Until so many of the trade's notices were answered with success; returns the trade."""
        return self._wait(lambda: self.trade(pay_no),
                          lambda trade: sum(notice["accepted"] for notice in trade["notices"]) >= count)

    @staticmethod
    def _wait(read, good):
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            found = read()
            if good(found):
                return found
            if time.monotonic() > deadline:
                raise AssertionError("waited in vain; the last state: %r" % (found,))
            time.sleep(0.02)

    # -- faults

    def fault(self, target, kind, **how):
        """target "gateway" or "notice"; kinds and their settings are in paynotify-sandbox(1)."""
        return self.post("/control/faults", dict(how, target=target, kind=kind)).json()["id"]

    def faults(self):
        return self.get("/control/faults")["faults"]

    def clear_faults(self):
        self.session.delete(self.url + "/control/faults", timeout=WAIT_SECONDS).raise_for_status()

    # -- notices without a trade

    def sign_notice(self, bare=False, wrong_key=False, style="alipay", **fields):
        """One signed notice body: the usual payment notice with `fields` over it (None leaves a field out), or with
        bare=True nothing but `fields`. Styles: alipay, wechat-md5, wechat-hmac, and wechat-refund, whose fields are those
        inside of req_info."""
        return self.post("/control/sign-notice",
                         {"fields": fields, "bare": bare, "wrong_key": wrong_key, "style": style}).json()["body"]

    def sign_notices(self, notices):
        """One body for each dict of fields."""
        return self.post("/control/sign-notice", {"notices": notices}).json()["bodies"]

    def sign_bulk(self, pay_nos, style="alipay", **fields):
        """One body for each pay_no, at most 50000 at a time; the other fields are the same in all."""
        return self.post("/control/sign-notice", {"pay_nos": pay_nos, "fields": fields, "style": style}).text.splitlines()
