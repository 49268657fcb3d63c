"""What races in a campaign: rounds, each an order with its attempts to pay it and a list of things that happen to it, planned from
a seed. Actions of neighbouring rounds are taken from one shuffled list by many threads, so that a round's actions
meet in ever other orders, without any pause.

A round is planned from (seed, number) alone: PN_SEED=… and PN_ROUND=… repeat one.
"""

import concurrent.futures
import hashlib
import itertools
import os
import random
import threading

import requests

import consistency
from books import CLOSED, CLOSING, PAID, RECORD_UNPAID, REFUND_ENDED, REFUNDED, UNPAID, minor
from browser import PayForm
from paynotifyd import SLOWNESS, channel_settings, wechat_settings
from waiting import wait_for

SEED = os.environ.get("PN_SEED") or str(random.SystemRandom().randrange(10**6))
THREADS = 24
BATCH = 100  # rounds between two looks at everything


def rounds_wanted(usually=100):
    return int(os.environ.get("PN_ROUNDS", usually))


def numbers(count):
    """Batches of the rounds' numbers."""
    if os.environ.get("PN_ROUND"):
        return [[int(os.environ["PN_ROUND"])]]
    return [list(range(first, min(first + BATCH, count))) for first in range(0, count, BATCH)]


class Caller:
    """Calls to server and sandbox from many threads: each has its own connections."""

    def __init__(self):
        self._local = threading.local()

    @property
    def session(self):
        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
            self._local.session.trust_env = False
        return self._local.session


class Round:
    """One order. `plan` is what happens, as (name, arguments); `said` is what the server answered to it."""

    def __init__(self, number, app):
        self.rng = random.Random(f"{SEED}/{number}")
        self.number, self.app = number, app
        self.order_id, self.attempts, self.plan, self.said = None, [], [], []

    def __str__(self):
        happened = "; ".join(f"{what} {answer}" for what, answer in self.said)
        return f" [PN_SEED={SEED} PN_ROUND={self.number}, app {self.app}: {happened}]"


def racing_server(make_server, sandbox, policies, settings=None):
    """A server with three channels, and an app for each of `policies`: name → (late_payment, duplicate_payment)."""
    settings = {**(settings or {}), "channel second": channel_settings(sandbox), "channel wechat": wechat_settings(sandbox)}
    for app, (late, duplicate) in policies.items():
        settings[f"app {app}"] = {"key_sha256": hashlib.sha256(f"key-of-{app}".encode()).hexdigest(), "late_payment": late,
                                  "duplicate_payment": duplicate}
    server = make_server(settings)
    server.keys.update({app: f"key-of-{app}" for app in policies})
    return server.start()


def make_arena(make_server, sandbox, books, messages, policies):
    return Arena([racing_server(make_server, sandbox, policies)], sandbox, books, messages, policies)


class Arena:
    """The servers, the provider and the consumer of one campaign. Calls come from many threads; each goes to the next server, and
    again, as callers do, when that dies before it answers."""

    def __init__(self, servers, sandbox, books, messages, policies):
        self.servers, self.sandbox, self.books, self.messages, self.policies = servers, sandbox, books, messages, policies
        self.alive = set(servers)
        self.caller = Caller()
        self._turn = itertools.count()
        self._done = 0
        self._progress = threading.Condition()
        self.rounds = {}
        self.unexpected = []

    # -- one call each

    def _call(self, call):
        """call(server): its answer, from whichever server lives to give one."""
        while True:
            with self._progress:
                assert self._progress.wait_for(lambda: self.alive, 120), "no server is there"
                alive = [server for server in self.servers if server in self.alive]
            server = alive[next(self._turn) % len(alive)]
            deaths = server.deaths
            try:
                return call(server)
            except requests.RequestException:
                if server in self.alive and server.deaths == deaths:
                    raise

    def api(self, round_, method, path, body=None, allowed=(200, 201, 202)):
        """Again and again while the server says that it is too busy, as it may on a slow machine."""
        def answer_now():
            answer = self._call(lambda server: self.caller.session.request(
                method, server.base + path, json=body, timeout=120, headers={"Authorization": f"Bearer {server.keys[round_.app]}"}))
            return None if answer.status_code in (503, 504) else (answer,)
        answer, = wait_for(answer_now, 60 * SLOWNESS, f"an answer to {method} {path}")
        if answer.status_code not in allowed:
            self.unexpected.append((round_.order_id, f"{method} {path}: {answer.status_code} {answer.text}"))
        return answer

    def control(self, path, body=None):
        """The status: the provider may well say no."""
        return self.caller.session.post(f"{self.sandbox.url}/control/{path}", json=body or {}, timeout=120).status_code

    def order(self, round_):
        """A new one, when the last was closed."""
        body = {"out_business_id": f"{SEED}-{round_.number}", "amount": "88.80", "currency": "CNY", "name": "a race"}
        order_id = int(self.api(round_, "POST", "/v1/orders", body).json()["order_id"])
        self.rounds[order_id] = round_
        round_.order_id = round_.order_id or order_id
        return order_id

    def close(self, round_, order_id=None):
        path = f"/v1/orders/{order_id or round_.order_id}/close"
        return self.api(round_, "POST", path, allowed=(200, 202, 409)).status_code

    def payment(self, round_, channel, product, allowed=(201,)):
        body = {"channel": channel, "product": product}
        answer = self.api(round_, "POST", f"/v1/orders/{round_.order_id}/payments", body, allowed)
        if answer.status_code == 201:
            round_.attempts.append(answer.json())
        return answer.status_code

    def open(self, attempt):
        """The payer scans the code, or opens the link and sends the form; from then on the provider knows the trade."""
        if attempt.get("code_url", "").startswith("weixin:"):
            return 200  # WeChat knows it from the beginning
        if attempt.get("code_url"):
            return self.caller.session.get(attempt["code_url"], timeout=120).status_code
        if "pay_url" not in attempt:
            return 410  # its order had ended before the answer was made
        path = attempt["pay_url"].partition("/pay/")[2]
        page = self._call(lambda server: self.caller.session.get(f"{server.public}/pay/{path}", timeout=120))
        if page.status_code != 200:
            return page.status_code
        form = PayForm(page)
        try:
            return self.caller.session.post(form.action, data=form.fields, timeout=120, allow_redirects=False).status_code
        except requests.ConnectionError:  # a fault meant for the server has met the payer
            return 0

    # -- many at once

    def together(self, calls):
        """Runs all of them on the threads, in this order as far as threads have one. The first that raised raises."""
        with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
            for done in [pool.submit(*call) for call in calls]:
                done.result()

    def kill(self, server):
        with self._progress:
            self.alive.discard(server)
            server.deaths += 1
        server.kill9()

    def start(self, server):
        server.start()
        with self._progress:
            self.alive.add(server)
            self._progress.notify_all()

    def race(self, rounds, disturb=None, share=0.5):
        """Everything in the rounds' plans; neighbours in the list overlap. When that share of it is done, disturb() happens."""
        calls = []
        for place, round_ in enumerate(rounds):
            for name, act in round_.plan:
                when = 1 + round_.rng.random() if name.startswith("accept") else round_.rng.random() * 2
                calls.append((place + when, round_, name, act))

        def run(round_, name, act):
            try:
                round_.said.append((name, act()))
            finally:
                with self._progress:
                    self._done += 1
                    self._progress.notify_all()

        def disturb_then():
            with self._progress:
                self._progress.wait_for(lambda: self._done >= share * len(calls))
            disturb()
        self._done = 0
        calls = [(run, *call[1:]) for call in sorted(calls, key=lambda call: call[0])]
        self.together(([(disturb_then,)] if disturb else []) + calls)

    # -- the end

    def let_time_pass(self):
        """For us and for the providers: nobody can pay any more, what is on its way arrives, and the schedule closes what is still
        open."""
        self.sandbox.clear_faults()
        for provider in ("alipay", "wechat"):
            self.control(provider, {"refund_outcome": "success"})
        for row in self.books.rows("SELECT order_id FROM orders WHERE status IN (%s, %s) UNION SELECT order_id FROM pay_records"
                                   " WHERE status = %s", UNPAID, CLOSING, RECORD_UNPAID):
            self.books.age(row["order_id"])
        for trade in self.sandbox.trades():
            if not trade["paid_ms"]:
                self.control(f"trades/{trade['pay_no']}/expire")
            for number, refund in enumerate(trade["refunds"]):
                if refund["status"] == "PROCESSING":
                    self.control(f"refunds/{refund['refund_no']}/{'close' if number % 3 == 2 else 'succeed'}")
        self.tell_again()

    def untold(self):
        """The trades of which the books do not know what the provider does: (order_id, trade, what)."""
        books = {str(row["pay_no"]): row for row in self.books.rows("SELECT * FROM pay_records")}
        for trade in self.sandbox.trades():
            known = books[trade["pay_no"]]
            back = sum(minor(refund["amount"]) for refund in trade["refunds"] if refund["status"] == "SUCCESS")
            if trade["paid_ms"] and known["paid_at"] is None:
                yield known["order_id"], trade, "is paid at the provider only"
            elif back != known["refunded_minor"] and not (known["needs_review"] and known["refunding_minor"]):
                yield known["order_id"], trade, f"has {back} back at the provider, {known['refunded_minor']} in the books"

    def tell_again(self):
        """A provider repeats for a day what was not accepted, and only that. It is asked about a refund that it announces to
        nobody."""
        for _, trade, _ in list(self.untold()):
            notices = self.sandbox.trade(trade["pay_no"])["notices"]
            if not all(notice["accepted"] for notice in notices) or not notices:
                self.control(f"trades/{trade['pay_no']}/notify")
            if trade["refunds"] and trade["provider"] == "wechat":
                self.api(Round(0, "operator"), "GET", f"/v1/payments/{trade['pay_no']}?refresh=true")

    def open_ends(self):
        """What has not come to its end: (order_id, text)."""
        left = [(row["order_id"], f"the order is {row['status']}") for row in self.books.rows(
            "SELECT order_id, status FROM orders WHERE status NOT IN (%s, %s, %s)", PAID, CLOSED, REFUNDED)]
        left += [(order_id, f"{trade['pay_no']} {what}") for order_id, trade, what in self.untold()]
        left += [(row["order_id"], f"the refund {row['refund_no']} is {row['status']}") for row in self.books.rows(
            "SELECT r.order_id, r.refund_no, r.status FROM refunds r JOIN pay_records p ON p.pay_no = r.pay_no"
            " WHERE r.status NOT IN (%s, %s) AND NOT p.needs_review", *REFUND_ENDED)]
        left += [(None, f"the schedule keeps {row}") for row in self.books.rows("SELECT * FROM query_schedule")]
        left += [(row["order_id"], f"{row['sink']} waits for an event") for row in self.books.rows("SELECT * FROM outbox")]
        return left

    def settle(self, seconds=240):
        """Lets the schedule do at once what it would do later, until nothing is open. A worker's hold on its row counts as
        lapsed ever more rarely, so that nobody is kept from ending."""
        patience = {"now": 0, "next": 20}
        left = []

        def is_settled():
            patience["now"] += 1
            lapse = patience["now"] >= patience["next"]
            if lapse:
                patience.update(now=0, next=patience["next"] * 2)
            self.books.make_due(lapse)
            if lapse:
                self.tell_again()
            if lapse and len(self.alive) < len(self.servers):
                self.books.lapse_deliveries()
            left[:] = self.open_ends()
            return not left
        try:
            wait_for(is_settled, seconds * SLOWNESS, "everything to settle")
        except AssertionError as failure:
            raise AssertionError(f"{failure}:\n{consistency.explain(left, self.name)}") from None

    def end(self):
        """Everything comes to its end, and the end is consistent."""
        self.let_time_pass()
        self.settle()
        self.messages.wait_distinct(consistency.carried(self.books))
        assert not self.unexpected, "unexpected answers:\n" + consistency.explain(self.unexpected, self.name)
        consistency.assert_consistent(self.books, self.sandbox.trades(), set(self.messages.ids()), self.policies, self.name)

    def wake(self, round_):
        """The schedule does now what it would do later for this order."""
        self.books.make_due(order_id=round_.order_id)

    def name(self, order_id):
        return str(self.rounds.get(order_id, ""))
