"""What the benchmark starts and measures: stores with thousands of unpaid orders, the server, the broker, CPU per process."""

import glob
import os
import sqlite3
import sys

SOURCE = os.environ.get("PN_SRCDIR") or os.path.abspath(os.path.join(os.path.dirname(__file__), ".."))
sys.path.insert(0, os.path.join(SOURCE, "tests", "integration"))

import pika  # noqa: E402

from messages import EXCHANGE, QUEUE  # noqa: E402
from paynotifyd import Paynotifyd  # noqa: E402
from postgres import Postgres  # noqa: E402

TICKS = os.sysconf("SC_CLK_TCK")
AMOUNT = "88.80"

# Both stores take the same statements; {numbers} is a list of numbers n, {now} the time in ms.
ORDERS = """INSERT INTO orders (order_id, app, out_business_id, user_id, order_type, name, amount_minor, currency, status,
    refunded_minor, created_at, expires_at)
    SELECT n, 'learning', 'bench-' || n, 'student', '60201', 'Java course', 8880, 'CNY', 600001, 0, {now}, {now} + 86400000
    FROM {numbers}"""
RECORDS = """INSERT INTO pay_records (pay_no, order_id, app, channel, product, amount_minor, currency, merchant, status,
    refunded_minor, created_at, expires_at)
    SELECT n, n, 'learning', '{channel}', '{product}', 8880, 'CNY', '{merchant}', 601001, 0, {now}, {now} + 86400000 FROM {numbers}"""

# As if their servers had been away: everything is due in this moment.
DUE = """INSERT INTO query_schedule (subject, task, channel, version, due_at) SELECT n, 1, '{channel}', 1, {now} FROM {numbers}"""


def fill_statements(due):
    return (ORDERS, RECORDS, DUE) if due else (ORDERS, RECORDS)


class Sqlite:
    kind = "SQLite"

    def __init__(self, directory):
        self.path = os.path.join(directory, "bench.db")
        self.url = "sqlite:" + self.path

    def fill(self, first, count, merchant, channel="alipay", product="wap", due=False):
        """Unpaid orders with the pay_nos first … first + count - 1."""
        numbers = (f"(WITH RECURSIVE s (n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM s WHERE n < {first + count - 1})"
                   " SELECT n FROM s)")
        connection = sqlite3.connect(self.path, timeout=60)
        with connection:
            for statement in fill_statements(due):
                connection.execute(statement.format(numbers=numbers, now="(unixepoch() * 1000)", merchant=merchant,
                                                    channel=channel, product=product))
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()

    def value(self, sql):
        connection = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=60)
        try:
            return connection.execute(sql).fetchone()[0]
        finally:
            connection.close()

    def pids(self):
        return []

    def bare_commit_us(self, count):
        """Latencies of one-row commits, nothing else running."""
        import time
        connection = sqlite3.connect(self.path + ".bare", isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE t (n INTEGER, body TEXT)")
        taken = []
        for n in range(count):
            begun = time.perf_counter()
            connection.execute("INSERT INTO t VALUES (?, 'x')", (n,))
            taken.append((time.perf_counter() - begun) * 1e6)
        connection.close()
        return taken


class PostgreSQL:
    kind = "PostgreSQL"

    def __init__(self, directory):
        self.server = Postgres(os.path.join(directory, "pg"), {"shared_buffers": "256MB", "max_wal_size": "4GB",
                                                               "checkpoint_timeout": "15min"})
        self.url = self.server.start()
        self.directory = directory

    def fill(self, first, count, merchant, channel="alipay", product="wap", due=False):
        numbers = f"generate_series({first}::bigint, {first + count - 1}) AS s (n)"
        for statement in fill_statements(due):
            self.server.psql(statement.format(numbers=numbers, now="pn_now_ms()", merchant=merchant, channel=channel,
                                              product=product))
        self.server.psql("VACUUM ANALYZE")
        self.server.psql("CHECKPOINT")

    def value(self, sql):
        return int(self.server.psql(sql))

    def pids(self):
        return self.server.pids()

    def pgbench(self, script, clients, transactions, **variables):
        """The output of pgbench with that many transactions per client."""
        import subprocess
        command = [f"{self.server.bin}/pgbench", "-n", "-M", "prepared", "-f", script, "-c", str(clients), "-j", "2",
                   "-t", str(transactions), "-h", self.server.directory, "-p", str(self.server.port), "-U", "postgres"]
        for name, value in variables.items():
            command += ["-D", f"{name}={value}"]
        return subprocess.run(command + ["paynotify"], check=True, capture_output=True, text=True, cwd=self.directory).stdout

    def bare_commit_us(self, count):
        import time

        import psycopg2
        connection = psycopg2.connect(self.url)
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute("CREATE TABLE IF NOT EXISTS bare (n integer, body text)")
        taken = []
        for n in range(count):
            begun = time.perf_counter()
            cursor.execute("INSERT INTO bare VALUES (%s, 'x')", (n,))
            taken.append((time.perf_counter() - begun) * 1e6)
        connection.close()
        return taken

    def stop(self):
        self.server.stop()


class Queue:
    """The queue that the sink fills, without a consumer."""

    def __init__(self, url):
        self.connection = pika.BlockingConnection(pika.URLParameters(url))
        self.channel = self.connection.channel()

    def empty(self):
        self.channel.exchange_declare(EXCHANGE, "fanout", durable=True)
        self.channel.queue_declare(QUEUE, durable=True)
        self.channel.queue_bind(QUEUE, EXCHANGE)
        self.channel.queue_purge(QUEUE)

    def count(self):
        return self.channel.queue_declare(QUEUE, passive=True).method.message_count


def make_server(directory, store, broker, sandbox, paused):
    folder = os.path.join(directory, "server")
    os.makedirs(folder, exist_ok=True)
    return Paynotifyd(folder, store.url, broker.url, sandbox, {"sink learning-centre": {"paused": "true" if paused else None}})


def cpu_seconds(pid, with_children=False):
    """User and system time of a process; with those of its children that have ended."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    times = fields[11:15] if with_children else fields[11:13]
    return sum(int(ticks) for ticks in times) / TICKS


class Cpu:
    """CPU seconds by program between two moments: {"paynotifyd": 1.2, …}. Children may come and go meanwhile."""

    def __init__(self, server, store, broker):
        self.server, self.store, self.broker = server, store, broker
        self.before = self._now()

    def _now(self):
        pids = self.store.pids()
        return {"paynotifyd": cpu_seconds(self.server.process.pid),
                "postgres": sum(cpu_seconds(pid, with_children=pid == pids[0]) for pid in pids),
                "rabbitmq": cpu_seconds(self.broker.pid)}

    def used(self):
        now = self._now()
        return {name: now[name] - self.before[name] for name in now}


def clear(directory):
    for path in glob.glob(os.path.join(directory, "server", "*.log")):
        os.unlink(path)
