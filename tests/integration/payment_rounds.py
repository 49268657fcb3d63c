"""Rounds of test_races.py and test_kills.py: what happens to an order and its attempts to be paid."""

POLICIES = {"learning": ("hold", "hold"), "other": ("accept", "hold"), "shop": ("refund", "refund")}

CHANNELS = [("alipay", "precreate"), ("alipay", "wap"), ("wechat", "native"), ("second", "page")]
NOTICE_FAULTS = [None, None, {"kind": "drop", "count": -1}, {"kind": "drop"}, {"kind": "delay", "ms": 40},
                 {"kind": "duplicate", "times": 3}]
GATEWAY_FAULTS = [None, None, None, {"kind": "delay", "ms": 30, "count": 2}, {"kind": "drop"}, {"kind": "drop", "after": True},
                  {"kind": "unavailable"}]


def prepare(arena, round_):
    arena.order(round_)
    if round_.rng.random() < 0.25:
        prepare_late(arena, round_)
    else:
        prepare_open(arena, round_)
    for attempt in round_.attempts:
        set_faults(arena, round_, attempt)
    plan(arena, round_)


def prepare_open(arena, round_):
    """Most of the attempts were opened by the payer already."""
    rng = round_.rng
    for channel, product in rng.sample(CHANNELS, rng.choice((1, 2, 2))):
        arena.payment(round_, channel, product)
    for attempt in round_.attempts:
        if rng.random() < 0.8:
            arena.open(attempt)


def prepare_late(arena, round_):
    """The order's time is over and it is closed, but the provider's clock is behind: its codes can still be paid."""
    for channel in round_.rng.sample(("alipay", "second"), round_.rng.choice((1, 2))):
        arena.payment(round_, channel, "precreate")
    arena.books.age(round_.order_id)
    arena.close(round_)
    for attempt in round_.attempts:
        arena.open(attempt)
    if round_.rng.random() < 0.3:
        round_.plan.append(("order again", lambda: arena.order(round_)))


def set_faults(arena, round_, attempt):
    for target, faults in (("notice", NOTICE_FAULTS), ("gateway", GATEWAY_FAULTS)):
        fault = round_.rng.choice(faults)
        if fault:
            arena.control("faults", {"target": target, "pay_no": attempt["pay_no"], **fault})


def plan(arena, round_):
    rng, order_id = round_.rng, round_.order_id
    add = round_.plan.append
    for attempt in list(round_.attempts):
        plan_attempt(arena, round_, attempt)
    for _ in range(rng.choice((0, 1, 1, 2))):
        add(("close", lambda: arena.close(round_, order_id)))
    if rng.random() < 0.2:
        add(("expire", lambda: arena.books.age(order_id)))
    if rng.random() < 0.2:
        add(("new attempt", lambda: arena.payment(round_, "alipay", "precreate", allowed=(201, 409))))
    for _ in range(rng.choice((0, 1))):
        add(("schedule", lambda: arena.wake(round_)))


def plan_attempt(arena, round_, attempt):
    rng, pay_no = round_.rng, attempt["pay_no"]
    add = round_.plan.append
    if rng.random() < 0.8:
        add((f"pay {pay_no}", lambda: arena.control(f"trades/{pay_no}/pay")))
    if rng.random() < 0.3:
        add((f"open {pay_no}", lambda: arena.open(attempt)))
    if rng.random() < 0.2:
        add((f"expire {pay_no} at the provider", lambda: arena.control(f"trades/{pay_no}/expire")))
    for _ in range(rng.choice((0, 1, 1, 2))):
        add((f"query {pay_no}", lambda: arena.api(round_, "GET", f"/v1/payments/{pay_no}?refresh=true").status_code))
    for _ in range(rng.choice((0, 1, 2))):
        add((f"notice {pay_no} again", lambda: arena.control(f"trades/{pay_no}/renotify")))
    if rng.random() < 0.2:
        add((f"accept {pay_no}", lambda: arena.api(round_, "POST", f"/v1/payments/{pay_no}/accept", allowed=(200, 409)).status_code))
