#!/usr/bin/python3
"""Runs one pytest file and prints TAP, so that automake counts every test in its totals.

Called by automake's TAP driver: tap.py tests/integration/test_path.py. Without automake the same files run under plain
pytest: /usr/bin/python3 -m pytest tests/integration/test_path.py -k some_test
"""

import os
import sys
import time

try:
    import pytest
except ImportError:
    print("Bail out! python3-pytest is missing. On Debian: apt-get install python3-pytest")
    sys.exit(1)


class Tap:
    """The pytest plugin. Writes to a copy of stdout that pytest's capturing does not touch."""

    def __init__(self):
        self.out = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
        self.number = 0
        self.started = {}

    def pytest_addoption(self, parser):
        # pytest's explanations of failed asserts ask for this option of the terminal that we do without.
        parser.addoption("--verbose", dest="verbose", default=0)

    def _print(self, line):
        print(line, file=self.out)

    def _explain(self, title, text):
        self._print(f"# ---- {title}")
        for line in text.splitlines():
            self._print(f"# {line}")

    def pytest_collection_finish(self, session):
        self._print(f"1..{len(session.items)}")

    def pytest_collectreport(self, report):
        if report.failed:
            self._explain(f"{report.nodeid} cannot be read", report.longreprtext)
            self._print(f"Bail out! {report.nodeid} cannot be read")

    def pytest_runtest_logstart(self, nodeid):
        self.started[nodeid] = time.monotonic()

    def pytest_runtest_logreport(self, report):
        name = report.nodeid.split("::", 1)[1].replace("#", "")[:120]
        seconds = time.monotonic() - self.started[report.nodeid]
        if report.skipped:
            self.number += 1
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
            self._print(f"ok {self.number} - {name} # SKIP {reason.removeprefix('Skipped: ')}")
        elif report.failed and report.when == "teardown":
            # The test itself was counted already; its aftermath is a failure of its own, outside the plan.
            self.number += 1
            self._print(f"not ok {self.number} - {name} (clean-up)")
            self._details(report)
        elif report.failed:
            self.number += 1
            self._print(f"not ok {self.number} - {name} ({seconds:.1f} s)")
            self._details(report)
        elif report.when == "call":
            self.number += 1
            self._print(f"ok {self.number} - {name} ({seconds:.1f} s)")

    def _details(self, report):
        self._explain("failure", report.longreprtext)
        for title, text in report.sections:
            self._explain(title, text)


def main(arguments):
    status = pytest.main(["-p", "no:terminal", "-p", "no:cacheprovider", *arguments], plugins=[Tap()])
    # Failed tests are "not ok" lines; a non-zero exit would count as one more error.
    return 0 if status in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
