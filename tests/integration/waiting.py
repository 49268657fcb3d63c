"""Waiting for something to become true, with a limit and a clear failure: the only way these tests wait."""

import time


def wait_for(condition, seconds, what, step=0.02):
    """Returns the first true value of condition()."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s in vain for {what}")
        time.sleep(step)
        step = min(step * 1.5, 0.25)
