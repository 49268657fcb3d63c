"""Rounds of test_refund_races.py and test_kills.py: who gives back what of an order's payments."""

POLICIES = {"learning": ("hold", "hold"), "shop": ("refund", "refund")}
CHANNELS = [("alipay", "precreate"), ("wechat", "native")]
REFUND = {"alipay": "alipay.trade.refund", "wechat": "refund"}
QUERY = {"alipay": "alipay.trade.fastpay.refund.query", "wechat": "refundquery"}
NO = {"alipay": "ACQ.SELLER_BALANCE_NOT_ENOUGH", "wechat": "NOTENOUGH"}
AMOUNTS = ["0.01", "8.88", "40.00", "44.40", "80.00", "88.79", "88.80", None]


def prepare(arena, round_):
    """An order that is paid, some of them twice; the books know of it, or are just about to."""
    rng = round_.rng
    arena.order(round_)
    for channel, product in rng.sample(CHANNELS, rng.choice((1, 1, 2))):
        arena.payment(round_, channel, product)
    for attempt in round_.attempts:
        arena.open(attempt)
        arena.control(f"trades/{attempt['pay_no']}/pay", {"notify": rng.random() < 0.5})
    for attempt in round_.attempts:
        if rng.random() < 0.9:
            arena.api(round_, "GET", f"/v1/payments/{attempt['pay_no']}?refresh=true")
        set_faults(arena, round_, attempt)
        plan(arena, round_, attempt)


def set_faults(arena, round_, attempt):
    rng, pay_no, channel = round_.rng, attempt["pay_no"], attempt["channel"]
    refund = {"target": "gateway", "pay_no": pay_no, "method": REFUND[channel]}
    fault = rng.choice([None, None, {**refund, "kind": "drop"}, {**refund, "kind": "drop", "after": True, "count": 2},
                        {**refund, "kind": "delay", "ms": 40, "count": 3}, {**refund, "kind": "refuse", "code": NO[channel]},
                        {**refund, "kind": "status", "after": True}, {**refund, "method": QUERY[channel], "kind": "drop", "count": 2},
                        {"target": "notice", "pay_no": pay_no, "kind": "drop", "count": -1},
                        {"target": "notice", "pay_no": pay_no, "kind": "duplicate", "times": 3}])
    if fault:
        arena.control("faults", fault)


class Refunds:
    """Of one payment: calls about refunds whose numbers come up while it races."""

    def __init__(self, arena, round_, pay_no):
        self.arena, self.round, self.pay_no = arena, round_, pay_no

    def numbers(self):
        return [row["refund_no"] for row in
                self.arena.books.rows("SELECT refund_no FROM refunds WHERE pay_no = %s ORDER BY refund_no", int(self.pay_no))]

    def create(self, number, amount):
        body = {"out_refund_id": f"{self.pay_no}-{number}", **({"amount": amount} if amount else {})}
        path = f"/v1/payments/{self.pay_no}/refunds"
        return self.arena.api(self.round, "POST", path, body, allowed=(200, 201, 202, 409)).status_code

    def retry(self):
        return [self.arena.api(self.round, "POST", f"/v1/refunds/{number}/retry", allowed=(200, 202, 409)).status_code
                for number in self.numbers()]

    def query(self):
        return [self.arena.api(self.round, "GET", f"/v1/refunds/{number}?refresh=true").status_code for number in self.numbers()]


def plan(arena, round_, attempt):
    rng, pay_no = round_.rng, attempt["pay_no"]
    refunds = Refunds(arena, round_, pay_no)
    add = round_.plan.append
    for _ in range(rng.choice((1, 2, 3, 5))):
        number, amount = rng.randrange(4), rng.choice(AMOUNTS)
        for _ in range(rng.choice((1, 1, 2))):
            add((f"refund {number} of {amount} of {pay_no}", lambda number=number, amount=amount: refunds.create(number, amount)))
    for _ in range(rng.choice((0, 0, 1, 2))):
        wish = {"amount": rng.choice(AMOUNTS[:-1]), "notify": True}
        add((f"console {wish} of {pay_no}", lambda wish=wish: arena.control(f"trades/{pay_no}/refund", wish)))
    for _ in range(rng.choice((0, 1))):
        add((f"retries of {pay_no}", refunds.retry))
    for _ in range(rng.choice((0, 1, 2))):
        add((f"refund queries of {pay_no}", refunds.query))
    for _ in range(rng.choice((0, 1))):
        add((f"query {pay_no}", lambda: arena.api(round_, "GET", f"/v1/payments/{pay_no}?refresh=true").status_code))
    for _ in range(rng.choice((0, 1))):
        add((f"notice {pay_no} again", lambda: arena.control(f"trades/{pay_no}/renotify")))
    if rng.random() < 0.5:
        add(("schedule", lambda: arena.wake(round_)))
    if rng.random() < 0.2:
        outcome = {"refund_outcome": rng.choice(("success", "processing"))}
        add((f"from now on {outcome}", lambda: arena.control(attempt["channel"], outcome)))
