#!/usr/bin/python3
"""A private PostgreSQL server for tests: own directory, free port, fsync on, stopped by pid.

Used as a module (class Postgres) by the integration tests and as a script by tests/store and bench:
    postgres.py start DIR [NAME=VALUE…]   prints the URL and leaves the server running
    postgres.py stop|kill|freeze|thaw|restart|url DIR
    postgres.py psql DIR SQL
"""

import glob
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from freezing import freeze, thaw

DATABASE = "paynotify"


def binary_dir():
    """Where initdb and postgres are; None when no server is installed."""
    versions = glob.glob("/usr/lib/postgresql/*/bin/postgres")
    versions.sort(key=lambda path: float(path.split("/")[4]))
    found = versions[-1] if versions else shutil.which("postgres")
    return os.path.dirname(os.path.realpath(found)) if found else None


def free_port():
    """A port of loopback below those that the kernel gives to outgoing connections: a server that is away for a moment
    must find it free when it comes back."""
    while True:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", 15000 + secrets.randbelow(17000)))
            except OSError:
                continue
            return probe.getsockname()[1]


class Postgres:
    """start() makes the cluster when the directory is empty. kill() is kill -9 of every process at once."""

    def __init__(self, directory=None, settings=None):
        self.owned = directory is None
        self.directory = os.path.abspath(directory) if directory else tempfile.mkdtemp(prefix="paynotify-pg-")
        self.data = os.path.join(self.directory, "data")
        self.log = os.path.join(self.directory, "log")
        self.settings = dict(settings or {})
        self.bin = binary_dir()
        if self.bin is None:
            raise RuntimeError("no PostgreSQL server is installed. On Debian: apt-get install postgresql")
        # initdb and postgres refuse to run as root.
        self.user = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
        self.process = None

    def _as_user(self):
        if self.user is None:
            return {}
        return {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []}

    def _initdb(self):
        os.makedirs(self.directory, exist_ok=True)
        if self.user is not None:
            os.chown(self.directory, self.user.pw_uid, self.user.pw_gid)
        os.chmod(self.directory, 0o711)
        subprocess.run(
            [f"{self.bin}/initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
            check=True, stdout=subprocess.DEVNULL, cwd="/", **self._as_user())
        with open(os.path.join(self.directory, "port"), "w", encoding="ascii") as file:
            file.write(str(free_port()))

    @property
    def port(self):
        with open(os.path.join(self.directory, "port"), encoding="ascii") as file:
            return int(file.read())

    @property
    def url(self):
        return f"postgresql://postgres@/{DATABASE}?host={self.directory}&port={self.port}"

    @property
    def tcp_url(self):
        return f"postgresql://postgres@127.0.0.1:{self.port}/{DATABASE}"

    def is_running(self):
        try:
            os.kill(self.pid(), 0)
        except (OSError, ValueError):
            return False
        return True

    def start(self):
        fresh = not os.path.isdir(self.data)
        if self.is_running():
            return self.url
        if fresh:
            self._initdb()
        # The port was free at initdb; should somebody have taken it since, take another.
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", self.port))
            except OSError:
                with open(os.path.join(self.directory, "port"), "w", encoding="ascii") as file:
                    file.write(str(free_port()))
        settings = {
            "port": self.port, "listen_addresses": "127.0.0.1", "unix_socket_directories": self.directory,
            "fsync": "on", "synchronous_commit": "on", "max_connections": 100, "logging_collector": "off",
            "log_min_messages": "warning", "shared_buffers": "64MB",
        }
        settings.update(self.settings)
        command = [f"{self.bin}/postgres", "-D", self.data]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
                                            start_new_session=True, **self._as_user())
        self._wait_ready()
        if fresh:
            self.psql(f"CREATE DATABASE {DATABASE}", database="postgres")
        return self.url

    def _wait_ready(self, seconds=60):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process is not None and self.process.poll() is not None:
                break
            ready = subprocess.run([f"{self.bin}/pg_isready", "-q", "-h", self.directory, "-p", str(self.port), "-U", "postgres"],
                                   check=False)
            if ready.returncode == 0:
                return
            time.sleep(0.05)
        with open(self.log, encoding="utf-8", errors="replace") as file:
            raise RuntimeError("PostgreSQL did not start:\n" + file.read()[-2000:])

    def pid(self):
        with open(os.path.join(self.data, "postmaster.pid"), encoding="ascii") as file:
            return int(file.readline())

    def pids(self):
        """The postmaster and its children."""
        postmaster = self.pid()
        found = [postmaster]
        for path in glob.glob("/proc/[0-9]*/stat"):
            try:
                with open(path, encoding="utf-8", errors="replace") as file:
                    match = re.match(r"(\d+) \(.*\) \S (\d+)", file.read(), re.S)
            except OSError:
                continue
            if match and int(match.group(2)) == postmaster:
                found.append(int(match.group(1)))
        return found

    def _signal(self, number):
        for pid in self.pids():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def freeze(self):
        """Stops every process; a second pass catches a child that was being made."""
        freeze(*self.pids())
        freeze(*self.pids())

    def thaw(self):
        thaw(*self.pids())

    def _wait_gone(self, pids):
        deadline = time.monotonic() + 30
        for pid in pids:
            while time.monotonic() < deadline:
                if self.process is not None:
                    self.process.poll()
                try:
                    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                        if file.read().rsplit(")", 1)[1].split()[0] == "Z":
                            break
                except OSError:
                    break
                time.sleep(0.01)

    def kill(self):
        pids = self.pids()
        self._signal(signal.SIGKILL)
        self._wait_gone(pids)
        self.process = None
        # A dead postmaster whose parent has not reaped it yet would count as running at the next start.
        for path in [os.path.join(self.data, "postmaster.pid")] + glob.glob(os.path.join(self.directory, ".s.PGSQL.*")):
            os.unlink(path)

    def stop(self):
        try:
            pid = self.pid()
        except OSError:
            pid = None
        if pid is not None:
            try:
                thaw(*self.pids())
                os.kill(pid, signal.SIGINT)  # fast shutdown
            except ProcessLookupError:
                pass
            self._wait_gone([pid])
        self.process = None
        if self.owned:
            shutil.rmtree(self.directory, ignore_errors=True)

    def restart(self):
        owned, self.owned = self.owned, False
        self.stop()
        self.owned = owned
        return self.start()

    def psql(self, sql, database=DATABASE):
        """Rows as lines of tab-separated text."""
        done = subprocess.run(
            [f"{self.bin}/psql", "-X", "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-h", self.directory, "-p",
             str(self.port), "-U", "postgres", "-d", database, "-c", sql],
            check=False, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.strip())
        return done.stdout.rstrip("\n")

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()


def main(arguments):
    if len(arguments) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    verb, directory, rest = arguments[0], arguments[1], arguments[2:]
    server = Postgres(directory, dict(item.split("=", 1) for item in rest) if verb in ("start", "restart") else None)
    if verb in ("start", "restart"):
        print(getattr(server, verb)())
    elif verb in ("stop", "kill", "freeze", "thaw"):
        getattr(server, verb)()
    elif verb == "url":
        print(server.url)
    elif verb == "psql":
        print(server.psql(rest[0]))
    else:
        print(__doc__, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
