"""What a slow provider costs the others: PN_BENCH_DUE (100000) open payments fall due at once at a provider that takes a second
for each answer, while notifications of another channel come in. run.py calls it, once for each store.
"""

import os
import time

from paynotifyd import wechat_settings
from sandbox import Sandbox
from waiting import wait_for

COUNT = int(os.environ.get("PN_BENCH_DUE", "100000"))
IN_FLIGHT = 384  # of a channel's 512 at once, the schedule may have three quarters
ANSWER_SECONDS = 1
PACED_RATE, PACED_SECONDS = 200, 12  # the driver leaves most of its connections idle, which the server ends after 15 s

NOT_ASKED = "SELECT count(*) FROM query_schedule WHERE channel = 'wechat' AND attempts = 0"


def _paced(bench, server, store):
    first = bench.fresh(store, PACED_RATE * PACED_SECONDS)
    return lambda: bench.load(server, first, PACED_RATE * PACED_SECONDS, rate=PACED_RATE)


def measure(bench, store, directory, build):
    """p99 of notifications without and with the asking beside it, how long that took, and the server's memory at its peak."""
    with Sandbox(build, os.path.join(directory, "slow-" + store.kind)) as slow:
        slow.fault("gateway", "delay", ms=ANSWER_SECONDS * 1000, count=-1)
        server = bench.server(store, paused=True)
        server.sections["channel wechat"] = wechat_settings(slow)
        merchant = "appid={appid};mch_id={mch_id}".format(**slow.wechat_account())
        undisturbed, disturbed = _paced(bench, server, store), _paced(bench, server, store)
        server.start()
        quiet = undisturbed()
        idle_kib = server.rss_kib()
        server.sigterm()

        store.fill(bench.numbers(), COUNT, merchant, channel="wechat", product="native", due=True)
        begun = time.monotonic()
        server.start()
        busy = disturbed()
        wait_for(lambda: store.value(NOT_ASKED) == 0, 1200, "every payment to be asked about", step=0.5)
        seconds = time.monotonic() - begun
        peak_kib = server.rss_kib("VmHWM")
        server.sigterm()
    return {"count": COUNT, "in_flight": IN_FLIGHT, "seconds": seconds, "ideal_seconds": COUNT * ANSWER_SECONDS / IN_FLIGHT,
            "idle_kib": idle_kib, "peak_kib": peak_kib, "quiet_p99_us": quiet["p99_us"], "busy_p99_us": busy["p99_us"],
            "quiet_p50_us": quiet["p50_us"], "busy_p50_us": busy["p50_us"], "rate": PACED_RATE}
