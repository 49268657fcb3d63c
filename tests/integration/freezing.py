"""Stopping processes for a while, as a hanging machine would.

kill() with SIGSTOP comes back before the signal is obeyed: one thread of the process has to run before the others are
stopped, and those may go on for milliseconds, on a loaded machine for longer. A broker that is only about to freeze still
confirms a message. So freeze() waits until nothing runs any more.
"""

import glob
import os
import signal

from waiting import wait_for


def _state(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().rsplit(")", 1)[1].split()[0]
    except (OSError, IndexError):
        return "X"  # it ended while we looked


def _is_still(pid):
    return all(_state(path) in "TtZX" for path in glob.glob(f"/proc/{pid}/task/*/stat"))


def _signal(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def freeze(*pids):
    """Returns when every thread of these processes has stopped."""
    for pid in pids:
        _signal(pid, signal.SIGSTOP)
    for pid in pids:
        wait_for(lambda pid=pid: _is_still(pid), 60, f"process {pid} to stop", step=0.001)


def thaw(*pids):
    for pid in pids:
        _signal(pid, signal.SIGCONT)
