#!/usr/bin/python3
"""Measures what paynotify does beside what its parts can do alone, in one run on one machine. `make bench` calls it.

For each store: notifications settled with sinks paused, the relay alone draining that backlog, settled and in the queue
with the relay running, and paced; then many payments due at a slow provider at once (due.py). Beside it: pgbench with the same transaction one at a time, and a bare publisher.
Every rate is the median of PN_BENCH_ROUNDS rounds (3), which take turns; PN_BENCH_COUNT (40000) notifications each.
Prints the figures and writes the report (report.py) to the file given as argument.
"""

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

from servers import AMOUNT, SOURCE, Cpu, PostgreSQL, Queue, Sqlite, make_server
from rabbitmq import RabbitMQ
from sandbox import Sandbox
from waiting import wait_for

import due
import report

BUILD = os.environ.get("PN_BUILDDIR", SOURCE)
COUNT = int(os.environ.get("PN_BENCH_COUNT", "40000"))
ROUNDS = int(os.environ.get("PN_BENCH_ROUNDS", "3"))
CONNECTIONS = 64
PACED_RATE, PACED_SECONDS = 1000, 15


def say(text):
    print(text, file=sys.stderr, flush=True)


class Bench:
    def __init__(self, directory, broker, sandbox):
        self.directory, self.broker, self.sandbox = directory, broker, sandbox
        self.merchant = f"app_id={sandbox.app_id};seller_id={sandbox.seller_id}"
        self.next_pay_no = 100_000_000_000_000_000
        self.queue = Queue(broker.url)

    def numbers(self):
        """The first of a thousand million numbers that nobody uses."""
        self.next_pay_no += 1_000_000_000
        return self.next_pay_no

    def fresh(self, store, count):
        """The first pay_no of `count` new unpaid payments."""
        first = self.numbers()
        store.fill(first, count, self.merchant)
        return first

    def load(self, server, first, count, rate=None):
        """Posts a notification for each; what the load driver says."""
        command = [os.path.join(BUILD, "bench", "load"), "-p", str(server.public_port), "-k",
                   self.sandbox.path("alipay-private.pem"), "-a", self.sandbox.app_id, "-s", self.sandbox.seller_id,
                   "-c", str(CONNECTIONS)] + (["-r", str(rate)] if rate else [])
        pay_nos = "".join(f"{first + i} {AMOUNT}\n" for i in range(count))
        done = subprocess.run(command, input=pay_nos, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"the load driver failed: {done.stderr}{done.stdout}\n{server.tail()}")
        return json.loads(done.stdout)

    def server(self, store, paused):
        return make_server(self.directory, store, self.broker, self.sandbox, paused)

    def wait_in_queue(self, count):
        """When the last of `count` messages was in the queue (monotonic); polls the broker gently."""
        wait_for(lambda: self.queue.count() >= count, 300, f"{count} messages in the queue", step=0.02)
        return time.monotonic()

    # ---- what is measured

    def paused(self, store):
        """Settled with the sinks paused, then the same backlog drained by the relay alone."""
        first = self.fresh(store, COUNT)
        self.queue.empty()
        server = self.server(store, paused=True).start()
        cpu = Cpu(server, store, self.broker)
        settled = self.load(server, first, COUNT)
        settled["cpu"] = cpu.used()
        server.sigterm()
        assert store.value("SELECT count(*) FROM outbox") == COUNT

        server = self.server(store, paused=False)
        server.start(wait=False)
        wait_for(lambda: self.queue.count() > 0, 60, "the relay to begin", step=0.002)
        begun, had = time.monotonic(), self.queue.count()
        drained = {"rate": (COUNT - had) / (self.wait_in_queue(COUNT) - begun)}
        wait_for(lambda: store.value("SELECT count(*) FROM outbox") == 0, 60, "the outbox to be empty")
        server.sigterm()
        return settled, drained

    def relaying(self, store):
        """Settled and in the queue; the rate counts until the last message is there."""
        first = self.fresh(store, COUNT)
        self.queue.empty()
        server = self.server(store, paused=False).start()
        cpu = Cpu(server, store, self.broker)
        settled = self.load(server, first, COUNT)
        # The driver signs before it starts its clock: count back from its end.
        ended = time.monotonic()
        seconds = settled["seconds"] + max(0.0, self.wait_in_queue(COUNT) - ended)
        wait_for(lambda: store.value("SELECT count(*) FROM outbox") == 0, 60, "the outbox to be empty")
        settled["cpu"] = cpu.used()
        settled["in_queue_rate"] = COUNT / seconds
        server.sigterm()
        return settled

    def paced(self, store):
        count = PACED_RATE * PACED_SECONDS
        first = self.fresh(store, count)
        self.queue.empty()
        server = self.server(store, paused=False).start()
        paced = self.load(server, first, count, rate=PACED_RATE)
        self.wait_in_queue(count)
        server.sigterm()
        paced["bare_commit_p50_us"] = statistics.median(store.bare_commit_us(3000))
        return paced

    def idle_kib(self, store):
        server = self.server(store, paused=False).start()
        server.ok("GET", "/v1/orders")
        kib = server.rss_kib()
        server.sigterm()
        return kib

    def pgbench(self, store):
        per_client = COUNT // CONNECTIONS
        first = self.fresh(store, COUNT)
        output = store.pgbench(os.path.join(SOURCE, "bench", "pgbench.sql"), CONNECTIONS, per_client, base=first,
                               per_client=per_client, made=0, paid_at=int(time.time() * 1000))
        store.server.psql("DELETE FROM outbox")
        return {"rate": float(re.search(r"tps = ([\d.]+)", output).group(1))}

    def bare_publisher(self):
        done = subprocess.run([os.path.join(BUILD, "bench", "bare_publisher"), "-p", str(self.broker.port), "-n", str(COUNT)],
                              check=True, capture_output=True, text=True)
        self.queue.channel.queue_purge("bare_queue")
        return json.loads(done.stdout)

    def store(self, store):
        """All of it for one store; lists have one entry per round."""
        rounds = {"paused": [], "drained": [], "relaying": [], "pgbench": [], "publisher": []}
        self.server(store, paused=True).start().sigterm()  # makes the schema
        result = {"idle_kib": self.idle_kib(store), "rounds": rounds}
        for number in range(1, ROUNDS + 1):
            say(f"{store.kind}: round {number} of {ROUNDS}")
            settled, drained = self.paused(store)
            rounds["paused"].append(settled)
            rounds["drained"].append(drained)
            rounds["publisher"].append(self.bare_publisher())
            if store.kind == "PostgreSQL":
                rounds["pgbench"].append(self.pgbench(store))
            rounds["relaying"].append(self.relaying(store))
        say(f"{store.kind}: paced at {PACED_RATE}/s")
        result["paced"] = self.paced(store)
        say(f"{store.kind}: {due.COUNT} payments due at once at a slow provider")
        result["due"] = due.measure(self, store, self.directory, BUILD)
        return result


def main(arguments):
    results = {"count": COUNT, "rounds": ROUNDS, "connections": CONNECTIONS, "paced_rate": PACED_RATE, "stores": {}}
    with tempfile.TemporaryDirectory(prefix="paynotify-bench-") as directory:
        os.chmod(directory, 0o711)
        with RabbitMQ() as broker, Sandbox(BUILD, os.path.join(directory, "sandbox")) as sandbox:
            bench = Bench(directory, broker, sandbox)
            postgres = PostgreSQL(directory)
            try:
                results["stores"]["PostgreSQL"] = bench.store(postgres)
            finally:
                postgres.stop()
            results["stores"]["SQLite"] = bench.store(Sqlite(directory))
    print(report.figures(results))
    if arguments:
        with open(arguments[0], "w", encoding="utf-8") as file:
            file.write(report.markdown(results))
    with open(os.path.join(BUILD, "bench", "results.json"), "w", encoding="utf-8") as file:
        json.dump(results, file, indent=1)


if __name__ == "__main__":
    main(sys.argv[1:])
