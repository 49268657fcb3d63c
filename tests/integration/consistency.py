"""Whether the books, the provider and the consumers tell one story. Independent of the server: it reads the database and the
sandbox's own book of trades, and knows design §5 by heart. Campaigns that let things race or die ask it at the end.

    violations = check(books, sandbox.trades(), consumed={event ids}, policies={"learning": ("hold", "hold")})
    assert_consistent(...)      the same, and fails with all of them
"""

import collections
import json

from books import (CLOSED, CLOSING, PAID, RECORD_CLOSED, RECORD_PAID, RECORD_REFUNDED, RECORD_UNPAID, REFUND_ENDED,
                   REFUND_FAILED, REFUND_SUCCEEDED, REFUNDED, UNPAID, minor)

CARRIED = ("payment.succeeded",)  # by the format of reference A, which is the sink's

TASK_QUERY, TASK_CHECK, TASK_CLOSE, TASK_POLICY, TASK_REFUND, TASK_EXPIRE = range(1, 7)
ARRIVALS = ("payment.late", "payment.duplicate")


class Story:
    """One look at everything, with an index from each thing to what belongs to it."""

    def __init__(self, books, trades, consumed, policies):
        self.orders = {row["order_id"]: row for row in books.rows("SELECT * FROM orders")}
        self.records = {row["pay_no"]: row for row in books.rows("SELECT * FROM pay_records")}
        self.refunds = {row["refund_no"]: row for row in books.rows("SELECT * FROM refunds")}
        self.events = {row["event_id"]: row for row in books.rows("SELECT * FROM events ORDER BY event_id")}
        self.outbox = books.rows("SELECT * FROM outbox")
        self.history = books.rows("SELECT * FROM delivery_history")
        self.schedule = {row["subject"]: row for row in books.rows("SELECT * FROM query_schedule")}
        self.trades = {int(trade["pay_no"]): trade for trade in trades if trade["pay_no"].isdigit()}
        self.consumed = consumed
        self.policies = policies or {}
        self.orders_of = group(self.orders.values(), "app", "out_business_id")
        self.records_of = group(self.records.values(), "order_id")
        self.refunds_of = group(self.refunds.values(), "pay_no")
        self.events_of = group(self.events.values(), "order_id")
        self.found = []

    def say(self, order_id, text):
        self.found.append((order_id, text))

    def types(self, order_id, pay_no=None):
        return [event["type"] for event in self.events_of[order_id] if pay_no in (None, event["pay_no"])]

    def paid_at_provider(self, pay_no):
        return pay_no in self.trades and self.trades[pay_no]["paid_ms"] > 0

    def may_still_be_paid(self, pay_no):
        return pay_no in self.trades and not self.paid_at_provider(pay_no) and not self.is_closed_at_provider(pay_no)

    def is_closed_at_provider(self, pay_no):
        return self.trades[pay_no]["status"] in ("TRADE_CLOSED", "CLOSED", "REVOKED")


def group(rows, *keys):
    groups = collections.defaultdict(list)
    for row in rows:
        groups[row[keys[0]] if len(keys) == 1 else tuple(row[key] for key in keys)].append(row)
    return groups


def has_paid(record):
    return record["status"] in (RECORD_PAID, RECORD_REFUNDED)


# ------------------------------------------------------------------------------------------------ one record

def check_money(story, record):
    """Money at the provider ⇔ paid in the books, and the same money."""
    pay_no, order_id = record["pay_no"], record["order_id"]
    there = story.paid_at_provider(pay_no)
    if there != has_paid(record):
        story.say(order_id, f"{pay_no} is {record['status']} in the books; the provider has {'' if there else 'no '}money")
    if has_paid(record) != (record["paid_at"] is not None):
        story.say(order_id, f"{pay_no} is {record['status']} with paid_at {record['paid_at']}")
    if there and has_paid(record):
        trade = story.trades[pay_no]
        if record["trade_no"] != trade["trade_no"]:
            story.say(order_id, f"{pay_no} has trade_no {record['trade_no']}, the provider {trade['trade_no']}")
        if minor(trade["total_amount"]) != record["amount_minor"]:
            story.say(order_id, f"{pay_no} is about {record['amount_minor']}, the provider's about {trade['total_amount']}")
    if record["status"] == RECORD_CLOSED and story.may_still_be_paid(pay_no):
        story.say(order_id, f"{pay_no} is closed in the books, and can be paid at the provider")


def check_arrival(story, record):
    """Exactly one event says how its money came, and an acceptance only follows lateness."""
    pay_no, order = record["pay_no"], story.orders[record["order_id"]]
    counts = collections.Counter(story.types(order["order_id"], pay_no))
    succeeded, late, duplicate = (counts[name] for name in ("payment.succeeded", *ARRIVALS))
    is_its_orders = order["paid_pay_no"] == pay_no
    if not has_paid(record):
        good = succeeded == late == duplicate == 0
    elif late:
        good = (late, duplicate, succeeded) == (1, 0, 1 if is_its_orders else 0)
    elif duplicate:
        good = (duplicate, succeeded) == (1, 0) and not is_its_orders
    else:
        good = succeeded == 1 and is_its_orders
    if not good:
        story.say(order["order_id"], f"{pay_no} ({record['status']}) has the events {dict(counts)}")


def check_refunds(story, record):
    """The sums in the books, the refunds, and the provider's refunds are the same."""
    pay_no, order_id = record["pay_no"], record["order_id"]
    refunds = story.refunds_of[pay_no]
    done = [refund for refund in refunds if refund["status"] == REFUND_SUCCEEDED]
    back = sum(refund["amount_minor"] for refund in done)
    on_its_way = sum(refund["amount_minor"] for refund in refunds if refund["status"] not in REFUND_ENDED)
    if (record["refunded_minor"], record["refunding_minor"]) != (back, on_its_way):
        story.say(order_id, f"{pay_no} says {record['refunded_minor']} + {record['refunding_minor']}, its refunds {back} + {on_its_way}")
    if back + on_its_way > record["amount_minor"]:
        story.say(order_id, f"{pay_no}: {back} + {on_its_way} of {record['amount_minor']} went back")
    if (record["status"] == RECORD_REFUNDED) != (back == record["amount_minor"]):
        story.say(order_id, f"{pay_no} is {record['status']}; {back} of {record['amount_minor']} went back")
    if pay_no in story.trades:
        check_refunds_at_provider(story, record, refunds)


def check_refunds_at_provider(story, record, refunds):
    pay_no, order_id, trade = record["pay_no"], record["order_id"], story.trades[record["pay_no"]]
    theirs = {refund["refund_no"]: refund for refund in trade["refunds"] if refund["status"] == "SUCCESS"}
    if len(theirs) != sum(refund["status"] == "SUCCESS" for refund in trade["refunds"]):
        story.say(order_id, f"{pay_no}: the provider made a refund twice: {trade['refunds']}")
    ours = {str(refund["refund_no"]): refund for refund in refunds if refund["source"] != "provider"}
    for number, refund in ours.items():
        there = theirs.get(number)
        if (refund["status"] == REFUND_SUCCEEDED) != (there is not None):
            story.say(order_id, f"refund {number} of {pay_no} is {refund['status']}, at the provider {there}")
        elif there and minor(there["amount"]) != refund["amount_minor"]:
            story.say(order_id, f"refund {number} is {refund['amount_minor']}, at the provider {there['amount']}")
    console = sum(minor(refund["amount"]) for number, refund in theirs.items() if number not in ours)
    known = sum(refund["amount_minor"] for refund in refunds
                if refund["source"] == "provider" and refund["status"] == REFUND_SUCCEEDED)
    # What a refund of ours in doubt may explain is not believed to be another one before that is known.
    unexplained = record["refunding_minor"] if is_for_people(story, record) else 0
    if not known <= console <= known + unexplained:
        story.say(order_id, f"{pay_no}: {console} went back in the provider's console, {known} of it is in the books")


def is_for_people(story, record):
    """Alipay does not say of a refund that it was never made, so that one in doubt which it refuses to make again stays in doubt."""
    trade = story.trades.get(record["pay_no"])
    return bool(record["needs_review"]) and trade is not None and trade["provider"] == "alipay"


def check_refund_events(story, refund):
    """One refund.succeeded when it did; one refund.failed for each time that it failed."""
    counts = collections.Counter(
        event["type"] for event in story.events_of[refund["order_id"]]
        if json.loads(event["data"]).get("refund_no") == str(refund["refund_no"]))
    good = counts["refund.succeeded"] == (refund["status"] == REFUND_SUCCEEDED)
    if refund["status"] == REFUND_FAILED:
        good = good and counts["refund.failed"] >= 1
    if not good:
        story.say(refund["order_id"], f"refund {refund['refund_no']} ({refund['status']}) has the events {dict(counts)}")


# ------------------------------------------------------------------------------------------------ one order

def check_order(story, order):
    order_id, status = order["order_id"], order["status"]
    records, types = story.records_of[order_id], story.types(order_id)
    paid = [record for record in records if has_paid(record)]
    closings = types.count("order.closed")
    if closings > 1:
        story.say(order_id, f"order.closed happened {closings} times")
    if status in (PAID, REFUNDED):
        check_paid_order(story, order, paid, closings)
    else:
        check_unpaid_order(story, order, paid, closings)
    if status in (PAID, REFUNDED, CLOSED):
        for record in records:
            if record["status"] == RECORD_UNPAID:
                story.say(order_id, f"the order is {status}, and {record['pay_no']} still open")
    last = max((event["event_id"] for event in story.events_of[order_id]), default=None)
    if order["last_event"] != last:
        story.say(order_id, f"the last event is {last}, the order says {order['last_event']}")


def check_paid_order(story, order, paid, closings):
    order_id = order["order_id"]
    mine = next((record for record in paid if record["pay_no"] == order["paid_pay_no"]), None)
    if mine is None or order["paid_at"] is None or order["closed_at"] is not None:
        story.say(order_id, f"the order is paid by {order['paid_pay_no']} at {order['paid_at']}, closed at {order['closed_at']}")
        return
    if closings != ("payment.late" in story.types(order_id, mine["pay_no"])):
        story.say(order_id, f"paid, with the events {story.types(order_id)}")
    if order["refunded_minor"] != mine["refunded_minor"]:
        story.say(order_id, f"{order['refunded_minor']} went back, says the order; its payment says {mine['refunded_minor']}")
    if (order["status"] == REFUNDED) != (order["refunded_minor"] == order["amount_minor"]):
        story.say(order_id, f"the order is {order['status']}; {order['refunded_minor']} of {order['amount_minor']} went back")


def check_unpaid_order(story, order, paid, closings):
    order_id, status = order["order_id"], order["status"]
    if order["paid_pay_no"] is not None or order["paid_at"] is not None or order["refunded_minor"] != 0:
        story.say(order_id, f"the order is {status}, paid by {order['paid_pay_no']} at {order['paid_at']}")
    if closings != (status == CLOSED) or (order["closed_at"] is not None) != (status == CLOSED):
        story.say(order_id, f"the order is {status}, closed at {order['closed_at']}, with the events {story.types(order_id)}")
    for record in paid:
        if status != CLOSED or "payment.late" not in story.types(order_id, record["pay_no"]):
            story.say(order_id, f"the order is {status}, but {record['pay_no']} is paid and not late")


def check_policy(story, record):
    """What the app wants for late and duplicate payments has been done; called when everything has settled."""
    order = story.orders[record["order_id"]]
    late_policy, duplicate_policy = story.policies.get(order["app"], ("hold", "hold"))
    types = story.types(order["order_id"], record["pay_no"])
    # A policy refunds once, and only what nobody has begun to refund.
    if order["paid_pay_no"] == record["pay_no"] or story.refunds_of[record["pay_no"]]:
        return
    # Late money that could not be accepted, because a newer order has the number, goes back as well.
    if "payment.late" in types and order["status"] == CLOSED and late_policy != "hold":
        story.say(order["order_id"], f"{record['pay_no']} came late; {late_policy} was wanted, and it is still held")
    if "payment.duplicate" in types and duplicate_policy == "refund":
        story.say(order["order_id"], f"{record['pay_no']} is a duplicate and should have been refunded")


# ------------------------------------------------------------------------------------------------ what is told, what is left

def check_event(story, event):
    data = json.loads(event["data"])
    told = (data.get("id"), data.get("type"), data.get("order_id"), data.get("pay_no"))
    row = (str(event["event_id"]), event["type"], str(event["order_id"]), event["pay_no"] and str(event["pay_no"]))
    if told != row:
        story.say(event["order_id"], f"the event {row} tells of {told}")


def check_deliveries(story):
    """Every event that the sink's format carries was delivered, once as far as the books know, and the consumer has seen it."""
    for row in story.outbox:
        story.say(row["order_id"], f"the event {row['event_id']} still waits for {row['sink']}")
    for row in story.history:
        if not row["delivered"]:
            story.say(row["order_id"], f"the event {row['event_id']} is a dead letter: {row['reason']}")
    delivered = collections.Counter((row["event_id"], row["sink"]) for row in story.history if row["delivered"])
    for (event_id, sink), times in delivered.items():
        if times > 1:
            story.say(story.events[event_id]["order_id"], f"{sink} got {event_id} {times} times, say the books")
    if story.consumed is not None:
        for event_id, event in story.events.items():
            if event["type"] in CARRIED and str(event_id) not in story.consumed:
                story.say(event["order_id"], f"the consumer never saw {event_id}, {event['type']}")


def check_schedule(story):
    """Nothing that has ended is still asked for, and nothing that has not is forgotten, unless people have been called."""
    for subject, row in story.schedule.items():
        if is_moot(story, row):
            story.say(order_of(story, subject), f"the schedule keeps task {row['task']} for {subject}, which has ended")
    for record in story.records.values():
        if record["status"] == RECORD_UNPAID and record["pay_no"] not in story.schedule and not record["needs_review"]:
            story.say(record["order_id"], f"{record['pay_no']} is open, and nobody will ask for it")
    for refund in story.refunds.values():
        if (refund["status"] not in REFUND_ENDED and refund["refund_no"] not in story.schedule
                and not is_for_people(story, story.records[refund["pay_no"]])):
            story.say(refund["order_id"], f"the refund {refund['refund_no']} has not ended, and nobody will ask for it")
    for order in story.orders.values():
        if order["status"] == UNPAID and order["order_id"] not in story.schedule:
            story.say(order["order_id"], "the order is open, and nobody will close it when its time is over")
        if order["status"] == CLOSING and not any(record["pay_no"] in story.schedule or record["needs_review"]
                                                  for record in story.records_of[order["order_id"]]):
            story.say(order["order_id"], "the order is closing, and nobody will go on with it")


def is_moot(story, row):
    subject = row["subject"]
    if row["task"] == TASK_REFUND:
        return subject not in story.refunds or story.refunds[subject]["status"] in REFUND_ENDED
    if row["task"] == TASK_EXPIRE:
        return subject not in story.orders or story.orders[subject]["status"] != UNPAID
    record = story.records.get(subject)
    if record is None:
        return True
    if row["task"] == TASK_CLOSE:
        return record["status"] != RECORD_UNPAID and story.orders[record["order_id"]]["status"] != CLOSING
    return row["task"] in (TASK_CHECK, TASK_POLICY) or record["status"] != RECORD_UNPAID


def order_of(story, subject):
    if subject in story.records:
        return story.records[subject]["order_id"]
    return story.refunds[subject]["order_id"] if subject in story.refunds else subject


# ------------------------------------------------------------------------------------------------ the whole

def check(books, trades, consumed=None, policies=None):
    """All that does not fit, as (order_id, text). Made for books in which nothing moves any more; `consumed` are the ids of the
    events that the sink has brought; without it messages are not looked at."""
    story = Story(books, trades, consumed, policies)
    for record in story.records.values():
        check_money(story, record)
        check_arrival(story, record)
        check_refunds(story, record)
        check_policy(story, record)
    for refund in story.refunds.values():
        check_refund_events(story, refund)
    for order in story.orders.values():
        check_order(story, order)
    for event in story.events.values():
        check_event(story, event)
    for pay_no in story.trades.keys() - story.records.keys():
        story.say(None, f"the provider knows {pay_no}, the books do not")
    check_deliveries(story)
    check_schedule(story)
    return story.found


def carried(books):
    """The ids of the events that consumers get."""
    return [row["event_id"] for row in books.rows("SELECT event_id, type FROM events") if row["type"] in CARRIED]


def explain(violations, names=None):
    """names: order_id → how the test can repeat what happened to it."""
    lines = [f"order {order_id}{names(order_id) if names else ''}: {text}" for order_id, text in violations]
    return "\n".join(lines[:40] + ([f"… and {len(lines) - 40} more"] if len(lines) > 40 else []))


def assert_consistent(books, trades, consumed=None, policies=None, names=None):
    violations = check(books, trades, consumed, policies)
    assert not violations, "the books are not consistent:\n" + explain(violations, names)
