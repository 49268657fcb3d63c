"""Notifications in bulk: senders that keep their connections, like a provider's, and remember every answer."""

import http.client
import itertools
import threading
import time


class Senders:
    """Posts bodies from `threads` connections. answers maps a key to the list of answers it got; None: no answer.

        with Senders(port, [(key, body), …]) as senders:
            senders.wait(100)       at least 100 answers are there
    """

    def __init__(self, port, notices, channel="alipay", threads=16, timeout=15):
        self.port, self.channel, self.timeout = port, channel, timeout
        self.total = len(notices)
        self.answers = {}
        self._notices = iter(notices)
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._done = 0
        self._stop = False
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self._stop = True
        self.join()

    def join(self):
        for thread in self._threads:
            thread.join()

    def wait(self, count, seconds=120):
        """Until that many were answered or refused; True when it came so far."""
        end = time.monotonic() + seconds
        with self._changed:
            while self._done < min(count, self.total):
                if not self._changed.wait(max(0, end - time.monotonic())):
                    return False
        return True

    def answered(self, text):
        """The keys that got this answer at least once."""
        with self._lock:
            return {key for key, answers in self.answers.items() if text in answers}

    def _next(self):
        with self._lock:
            return None if self._stop else next(self._notices, None)

    def _run(self):
        connection = None
        while (notice := self._next()) is not None:
            key, body = notice
            answer = None
            try:
                if connection is None:
                    connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.timeout)
                connection.request("POST", f"/notify/{self.channel}", body,
                                   {"Content-Type": "application/x-www-form-urlencoded"})
                response = connection.getresponse()
                answer = response.read().decode("utf-8", "replace")
                if response.will_close:
                    connection.close()
                    connection = None
            except (OSError, http.client.HTTPException):
                if connection is not None:
                    connection.close()
                connection = None
            with self._changed:
                self.answers.setdefault(key, []).append(answer)
                self._done += 1
                self._changed.notify_all()
        if connection is not None:
            connection.close()


def until_all_accepted(port, notices, rounds=20, **more):
    """Sends again what was not accepted, as a provider does; every notice must be accepted in the end."""
    left = dict(notices)
    for _ in range(rounds):
        with Senders(port, list(left.items()), **more) as senders:
            senders.join()
        for key in senders.answered("success"):
            left.pop(key)
        if not left:
            return
    raise AssertionError(f"{len(left)} notices were never accepted, such as {next(itertools.islice(left, 1))}")
