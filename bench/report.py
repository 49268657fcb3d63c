"""Turns what run.py measured into figures for the terminal and ratios for doc/benchmarks.md."""

import os
import statistics


def median(rounds, *path):
    values = []
    for value in rounds:
        for name in path:
            value = value[name]
        values.append(value)
    return statistics.median(values)


def spread(rounds, name, value, yardsticks):
    """Lowest and highest ratio of one round: how far the figure shakes."""
    ratios = [of[value] / yardstick["rate"] for of, yardstick in zip(rounds[name], yardsticks)]
    return min(ratios), max(ratios)


def shown(ratio, low_high):
    return f"{ratio:.2f} × ({low_high[0]:.2f} … {low_high[1]:.2f})"


def summary(results, kind):
    """The medians of one store, by name."""
    store = results["stores"][kind]
    rounds, count = store["rounds"], results["count"]
    figures = {
        "paused": median(rounds["paused"], "rate"), "relaying": median(rounds["relaying"], "in_queue_rate"),
        "drained": median(rounds["drained"], "rate"), "publisher": median(rounds["publisher"], "rate"),
        "p50_us": median(rounds["relaying"], "p50_us"), "p99_us": median(rounds["relaying"], "p99_us"),
        "paused_p50_us": median(rounds["paused"], "p50_us"), "paused_p99_us": median(rounds["paused"], "p99_us"),
        "paced_p50_us": store["paced"]["p50_us"], "paced_p99_us": store["paced"]["p99_us"],
        "bare_commit_us": store["paced"]["bare_commit_p50_us"], "idle_mib": store["idle_kib"] / 1024,
        "cpu": {name: median(rounds["relaying"], "cpu", name) * 1e6 / count for name in rounds["relaying"][0]["cpu"]},
        "paused_cpu": {name: median(rounds["paused"], "cpu", name) * 1e6 / count for name in rounds["paused"][0]["cpu"]},
    }
    due = store["due"]
    figures.update({
        "due": due, "due_slowness": due["seconds"] / due["ideal_seconds"], "due_p99": due["busy_p99_us"] / due["quiet_p99_us"],
        "due_peak_mib": due["peak_kib"] / 1024,
    })
    if rounds["pgbench"]:
        figures["pgbench"] = median(rounds["pgbench"], "rate")
    transactions = results["stores"]["PostgreSQL"]["rounds"]["pgbench"]
    base = median(transactions, "rate")
    figures["ratios"] = {
        "paused": (figures["paused"] / base, spread(rounds, "paused", "rate", transactions)),
        "relaying": (figures["relaying"] / base, spread(rounds, "relaying", "in_queue_rate", transactions)),
        "drained": (figures["drained"] / figures["publisher"], spread(rounds, "drained", "rate", rounds["publisher"])),
    }
    return figures


def figures(results):
    lines = []
    for kind in results["stores"]:
        f = summary(results, kind)
        lines += [f"{kind}",
                  f"  settled/s, sinks paused       {f['paused']:10.0f}   p50 {f['paused_p50_us']:.0f} µs, p99 {f['paused_p99_us']:.0f} µs",
                  f"  settled and in the queue/s    {f['relaying']:10.0f}   p50 {f['p50_us']:.0f} µs, p99 {f['p99_us']:.0f} µs",
                  f"  relay alone, messages/s       {f['drained']:10.0f}",
                  f"  bare publisher, messages/s    {f['publisher']:10.0f}"]
        if "pgbench" in f:
            lines.append(f"  pgbench, transactions/s       {f['pgbench']:10.0f}")
        lines += [f"  paced at {results['paced_rate']}/s               p50 {f['paced_p50_us']:.0f} µs, p99 {f['paced_p99_us']:.0f} µs;"
                  f" bare commit p50 {f['bare_commit_us']:.0f} µs",
                  "  CPU per notification          " + ", ".join(f"{name} {us:.0f} µs" for name, us in f["cpu"].items()),
                  "    with sinks paused           " + ", ".join(f"{name} {us:.0f} µs" for name, us in f["paused_cpu"].items()),
                  f"  idle resident memory          {f['idle_mib']:10.1f} MiB",
                  f"  {f['due']['count']} payments due at once     {f['due']['seconds']:10.0f} s with at most {f['due']['in_flight']} calls of a second each"
                  f" in flight ({f['due']['ideal_seconds']:.0f} s at best), {f['due_peak_mib']:.1f} MiB at the peak",
                  f"    notifications at {f['due']['rate']}/s      p50 {f['due']['busy_p50_us']:.0f} µs, p99 {f['due']['busy_p99_us']:.0f} µs;"
                  f" undisturbed p50 {f['due']['quiet_p50_us']:.0f} µs, p99 {f['due']['quiet_p99_us']:.0f} µs"]
    return "\n".join(lines)


def row(what, wanted, aim, reached, good):
    return f"| {what} | {wanted} | {aim} | {reached} | {'yes' if good else '**no**'} |"


def goals(f):
    """The rows of the table of goals: PostgreSQL, everything on the same processors."""
    relaying, paused, drained = (f["ratios"][name] for name in ("relaying", "paused", "drained"))
    tail = f["paced_p99_us"] / f["bare_commit_us"]
    cpu = f["cpu"]["paynotifyd"]
    return [row("settled and in the queue, against pgbench", "≥ 1.0 ×", "1.6 ×", shown(*relaying), relaying[0] >= 1.0),
            row("settled with sinks paused, against pgbench", "≥ 2 ×", "3 ×", shown(*paused), paused[0] >= 2),
            row("relay alone, against the bare publisher", "≥ 0.7 ×", "0.9 ×", shown(*drained), drained[0] >= 0.7),
            row("the server's CPU per notification, relay included", "≤ 70 µs", "45 µs", f"{cpu:.0f} µs", cpu <= 70),
            row("p99 paced at 1,000/s, against the p50 of a bare commit", "< 10 ×", "", f"{tail:.1f} ×", tail < 10),
            row("p99 of notifications while a slow provider is asked about everything, against undisturbed", "", "1.5 ×",
                f"{f['due_p99']:.1f} ×", f["due_p99"] <= 1.5),
            row("idle resident memory", "< 25 MiB", "", f"{f['idle_mib']:.1f} MiB", f["idle_mib"] < 25)]


def stores_table(results):
    lines = ["| against its yardstick | " + " | ".join(results["stores"]) + " |", "| --- |" + " --- |" * len(results["stores"])]
    all_figures = [summary(results, kind) for kind in results["stores"]]

    def line(what, value):
        lines.append(f"| {what} | " + " | ".join(value(f) for f in all_figures) + " |")
    line("settled with sinks paused / pgbench", lambda f: shown(*f["ratios"]["paused"]))
    line("settled and in the queue / pgbench", lambda f: shown(*f["ratios"]["relaying"]))
    line("relay alone / bare publisher", lambda f: shown(*f["ratios"]["drained"]))
    line("p99 / p50 of an answer under full load", lambda f: f"{f['p99_us'] / f['p50_us']:.1f} ×")
    line("paced: p99 / p50 of a bare commit", lambda f: f"{f['paced_p99_us'] / f['bare_commit_us']:.1f} ×")
    line("CPU per notification, paynotifyd", lambda f: f"{f['cpu']['paynotifyd']:.0f} µs")
    line("CPU per notification, database", lambda f: f"{f['cpu']['postgres']:.0f} µs" if f["cpu"]["postgres"] else "in paynotifyd")
    line("CPU per notification, broker", lambda f: f"{f['cpu']['rabbitmq']:.0f} µs")
    line("open payments due at once, asked at a second each", lambda f: f"{f['due']['count']}")
    line("time until all were asked / best possible", lambda f: f"{f['due_slowness']:.2f} ×")
    line("memory at the peak of that", lambda f: f"{f['due_peak_mib']:.1f} MiB")
    line("p99 of notifications meanwhile / undisturbed", lambda f: f"{f['due_p99']:.1f} ×")
    line("idle resident memory", lambda f: f"{f['idle_mib']:.1f} MiB")
    return lines


def markdown(results):
    head = ["| PostgreSQL | wanted | aim | reached | met |", "| --- | --- | --- | --- | --- |"]
    text = ["# What it costs", "",
            "Written by `make bench`. Rates depend on the machine and are of no use elsewhere, so this page gives what each one is in",
            "relation to a yardstick of the same run: pgbench with the settlement's transaction one at a time in three statements with",
            f"{results['connections']} clients, and a bare rabbitmq-c publisher with a window of 1000. Everything, load driver included, shared",
            f"two cores. {results['count']} signed notifications per round over {results['connections']} connections, each sent once;",
            f"ratios of the medians of {results['rounds']} rounds, in which everything takes turns; in brackets the lowest and the highest",
            "ratio of a single round. `make bench` prints the absolute figures.", "",
            "## Goals", ""]
    text += head + goals(summary(results, "PostgreSQL"))
    text += ["", "## Both stores", ""] + stores_table(results) + [""]
    with open(os.path.join(os.path.dirname(__file__), "notes.md"), encoding="utf-8") as notes:
        return "\n".join(text) + "\n" + notes.read()
