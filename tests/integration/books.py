"""Reads the books behind the server's back, from either store, and fills them in bulk where a test needs thousands."""

import contextlib
import decimal
import sqlite3

import psycopg2
import psycopg2.extras

TABLES = ("orders", "order_goods", "pay_records", "events", "outbox", "delivery_history", "notify_audit", "query_schedule", "refunds")

UNPAID, PAID, CLOSED, REFUNDED, CLOSING = 600001, 600002, 600003, 600004, 600005
RECORD_UNPAID, RECORD_PAID, RECORD_REFUNDED, RECORD_CLOSED = 601001, 601002, 601003, 601004
REFUND_CREATED, REFUND_PROCESSING, REFUND_SUCCEEDED, REFUND_FAILED, REFUND_UNKNOWN = 602001, 602002, 602003, 602004, 602005
REFUND_ENDED = (REFUND_SUCCEEDED, REFUND_FAILED)


def minor(text):
    """"88.80" as 8880."""
    return int(decimal.Decimal(text) * 100)


class Books:
    """rows(sql) gives dictionaries. Parameters are written as %s. Each query stands alone, so it sees what is committed."""

    def __init__(self, kind, where):
        self.kind = kind  # "sqlite" or "pg"
        self.where = where  # the file, or a libpq URL

    def rows(self, sql, *parameters):
        if self.kind == "pg":
            connection = psycopg2.connect(self.where)
            try:
                with connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
                    cursor.execute(sql, parameters)
                    return [dict(row) for row in cursor.fetchall()]
            finally:
                connection.close()
        connection = sqlite3.connect(f"file:{self.where}?mode=ro", uri=True, timeout=30)
        try:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(sql.replace("%s", "?"), parameters)]
        finally:
            connection.close()

    def change(self, sql, *parameters):
        """Behind the server's back, such as making something older than it is."""
        if self.kind == "pg":
            connection = psycopg2.connect(self.where)
            with connection, connection.cursor() as cursor:
                cursor.execute(sql, parameters)
        else:
            connection = sqlite3.connect(self.where, timeout=30)
            with connection:
                connection.execute(sql.replace("%s", "?"), parameters)
        connection.close()

    def value(self, sql, *parameters):
        return next(iter(self.rows(sql, *parameters)[0].values()))

    def count(self, table, where="1 = 1", *parameters):
        return self.value(f"SELECT count(*) AS n FROM {table} WHERE {where}", *parameters)

    def counts(self):
        return {table: self.count(table) for table in TABLES}

    def change(self, sql, *parameters):
        """Behind the server's back; only for what time would have done."""
        if self.kind == "pg":
            connection = psycopg2.connect(self.where)
            with connection, connection.cursor() as cursor:
                cursor.execute(sql, parameters)
        else:
            connection = sqlite3.connect(self.where, timeout=60)
            with connection:
                connection.execute(sql.replace("%s", "?"), parameters)
        connection.close()

    def make_due(self, leased=False, order_id=None):
        """What the schedule would do later, it does now, for all orders or one; with `leased` also what a worker has, as when its
        lease had passed."""
        which = "SELECT subject FROM query_schedule WHERE due_at > 0" + ("" if leased else " AND claim = 0")
        parameters = (int(order_id),) * 3 if order_id else ()
        if order_id:
            which += (" AND (subject = %s OR subject IN (SELECT pay_no FROM pay_records WHERE order_id = %s)"
                      " OR subject IN (SELECT refund_no FROM refunds WHERE order_id = %s))")
        # Locked one by one in the server's order, so that nobody's transaction falls victim to ours.
        locked = " ORDER BY subject FOR UPDATE SKIP LOCKED" if self.kind == "pg" else ""
        self.change(f"UPDATE query_schedule SET due_at = 0 WHERE subject IN ({which}{locked})", *parameters)

    def lapse_deliveries(self):
        """As when the leases of all deliveries had passed; what waits for its predecessor goes on waiting."""
        which = "SELECT event_id FROM outbox WHERE due_at < %s"
        locked = " ORDER BY event_id, sink FOR UPDATE SKIP LOCKED" if self.kind == "pg" else ""
        self.change(f"UPDATE outbox SET due_at = 0 WHERE event_id IN ({which}{locked}) AND due_at < %s", 2**62, 2**62)

    def age(self, order_id, by_ms=3_600_000):
        """The order and its attempts were made so much earlier, which is to say: their time is over."""
        self.change("UPDATE orders SET expires_at = expires_at - %s WHERE order_id = %s", by_ms, int(order_id))
        self.change("UPDATE pay_records SET expires_at = expires_at - %s WHERE order_id = %s", by_ms, int(order_id))

    def order(self, order_id):
        return self.rows("SELECT * FROM orders WHERE order_id = %s", int(order_id))[0]

    def record(self, pay_no):
        return self.rows("SELECT * FROM pay_records WHERE pay_no = %s", int(pay_no))[0]

    def paid(self):
        """The numbers of all payments that are known as paid, as text."""
        return {str(row["pay_no"]) for row in self.rows("SELECT pay_no FROM pay_records WHERE paid_at IS NOT NULL")}

    def scheduled(self, subject):
        """The row of a payment, a refund or an order in the schedule; None: there is none."""
        return next(iter(self.rows("SELECT * FROM query_schedule WHERE subject = %s", int(subject))), None)

    def make_one_due(self, subject):
        """Only what nobody has."""
        self.change("UPDATE query_schedule SET due_at = 0 WHERE subject = %s AND claim = 0", int(subject))

    def refunds(self, pay_no):
        return self.rows("SELECT * FROM refunds WHERE pay_no = %s ORDER BY refund_no", int(pay_no))

    def events(self, order_id):
        """The types of what happened to an order, in order."""
        return [row["type"] for row in self.rows("SELECT type FROM events WHERE order_id = %s ORDER BY event_id", int(order_id))]

    def audits(self, pay_no):
        return [row["outcome"] for row in
                self.rows("SELECT outcome FROM notify_audit WHERE pay_no = %s ORDER BY audit_id", str(pay_no))]

    @contextlib.contextmanager
    def held(self, order_id):
        """Whoever wants to write this order waits meanwhile: a row lock, or SQLite's one write lock."""
        if self.kind == "pg":
            connection = psycopg2.connect(self.where)
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1 FROM orders WHERE order_id = %s FOR UPDATE", (int(order_id),))
        else:
            connection = sqlite3.connect(self.where, timeout=30, isolation_level=None)
            connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            connection.rollback()
            connection.close()
