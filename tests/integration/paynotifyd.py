"""The server under test: its configuration, its process, its two faces (the API and what providers see)."""

import hashlib
import os
import re
import signal
import socket
import subprocess
import time

import requests

from freezing import freeze, thaw
from waiting import wait_for

BUILD = os.environ.get("PN_BUILDDIR") or os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))

# What a sanitizer writes when it finds something; the text is looked for in the server's stderr.
SANITIZER = re.compile(r"ERROR: (Address|Leak|Thread|UndefinedBehavior)Sanitizer|WARNING: ThreadSanitizer|runtime error:")


def is_sanitized():
    try:
        with open(os.path.join(BUILD, "Makefile"), encoding="utf-8", errors="replace") as file:
            return re.search(r"^PN_LDFLAGS = .*-fsanitize=", file.read(), re.M) is not None
    except OSError:
        return False


# How much longer everything may take under a sanitizer.
SLOWNESS = 5 if is_sanitized() else 1


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def plugin_directory(inside):
    """One folder with links to all plugins of the build tree, as `make install` would lay them out."""
    folder = os.path.join(inside, "plugins")
    os.makedirs(folder, exist_ok=True)
    for where, _, names in os.walk(BUILD):
        if os.path.basename(where) != ".libs":
            continue
        for name in names:
            target = os.path.join(folder, name)
            if name.startswith("paynotify-") and name.endswith(".so") and not os.path.lexists(target):
                os.symlink(os.path.join(where, name), target)
    return folder


def _section(plugin, conf):
    lines = (line.partition("=") for line in conf.splitlines() if "=" in line and line[0] != ";")
    return {"plugin": plugin, **{name.strip(): value.strip() for name, _, value in lines}}


def channel_settings(sandbox):
    """The section of a channel that is Alipay in the sandbox."""
    return _section("alipay", sandbox.merchant_conf())


def wechat_settings(sandbox, **more):
    """The section of a channel that is WeChat Pay in the sandbox: make_server({"channel wechat": wechat_settings(sandbox)}).
    A sandbox with wechat_tls also wants {"server": {"ca_file": sandbox.path("wechat-ca.pem")}}."""
    return {**_section("wechat", sandbox.wechat_conf()), **more}


class Paynotifyd:
    """start() returns when /readyz says so. Ports, keys and data stay the same over restarts."""

    APP = "learning"
    SINK = "learning-centre"

    def __init__(self, directory, store_url, amqp_url, sandbox, settings=None):
        self.directory = directory
        self.log = os.path.join(directory, "paynotifyd.log")
        self.store_url = store_url
        self.public_port, self.api_port = free_port(), free_port()
        self.keys = {"learning": "key-of-learning", "other": "key-of-other", "operator": "key-of-operator"}
        self.process = None
        self.deaths = 0  # counted by who kills it on purpose
        self.extra_environment = {}
        self.session = requests.Session()
        self.session.trust_env = False
        self.sections = {
            "server": {
                "public_listen": f"127.0.0.1:{self.public_port}",
                "api_listen": f"127.0.0.1:{self.api_port}",
                "public_url": self.public,
                "plugin_dir": plugin_directory(directory),
                "link_key_file": "link.key",
                "node_name": "test",
            },
            "store": {"url": store_url},
            "app learning": {"key_sha256": self._hash("learning")},
            "app other": {"key_sha256": self._hash("other")},
            "app operator": {"key_sha256": self._hash("operator"), "role": "operator"},
            "channel alipay": channel_settings(sandbox),
            f"sink {self.SINK}": {"plugin": "sink-rabbitmq", "url": amqp_url},
        }
        for section, keys in (settings or {}).items():
            self.sections.setdefault(section, {}).update(keys)

    def _hash(self, app):
        return hashlib.sha256(self.keys[app].encode()).hexdigest()

    @property
    def public(self):
        return f"http://127.0.0.1:{self.public_port}"

    @property
    def base(self):
        return f"http://127.0.0.1:{self.api_port}"

    @property
    def config(self):
        return os.path.join(self.directory, "paynotify.conf")

    # ------------------------------------------------------------------------------------------------ the process

    def write_config(self):
        with open(self.config, "w", encoding="utf-8") as file:
            for section, keys in self.sections.items():
                print(f"[{section}]", file=file)
                for name, value in keys.items():
                    if value is not None:
                        print(f"{name} = {value}", file=file)
                print(file=file)

    def start(self, wait=True):
        self.write_config()
        environment = dict(os.environ, **self.extra_environment)
        environment.setdefault("ASAN_OPTIONS", "abort_on_error=0:exitcode=97")
        environment.setdefault("TSAN_OPTIONS", "exitcode=97:second_deadlock_stack=1")
        environment.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
        with open(self.log, "ab") as log:
            log.write(b"---- start\n")
            log.flush()
            self.process = subprocess.Popen([os.path.join(BUILD, "paynotifyd"), "-c", self.config],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.directory,
                                            env=environment, start_new_session=True)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, seconds=30):
        wait_for(self.is_ready, seconds * SLOWNESS, "the server to be ready")

    def is_ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f"paynotifyd ended with {self.process.returncode}:\n{self.tail()}")
        try:
            return self.session.get(self.base + "/readyz", timeout=5).status_code == 200
        except requests.RequestException:
            return False

    def running(self):
        return self.process is not None and self.process.poll() is None

    def kill9(self):
        if self.running():
            self.process.kill()
            self.process.wait()
        self._forget_connections()

    def sigterm(self, seconds=35):
        """An orderly stop: within the shut-down time, exit status 0, nothing reported by a sanitizer."""
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(seconds * SLOWNESS)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)
            self.process.wait()
            raise AssertionError(f"paynotifyd did not stop in {seconds} s:\n{self.tail()}") from None
        self._forget_connections()
        assert status == 0, f"paynotifyd stopped with {status}:\n{self.tail()}"
        self.check_sanitizer()

    def restart(self):
        if self.running():
            self.sigterm()
        return self.start()

    def freeze(self):
        freeze(self.process.pid)

    def thaw(self):
        thaw(self.process.pid)

    def end(self):
        """At the end of a test, however it went. A server that is still there must stop in order."""
        if self.running():
            self.thaw()
            self.sigterm()
        self.check_sanitizer()

    def _forget_connections(self):
        self.session.close()

    def text_of_log(self):
        try:
            with open(self.log, encoding="utf-8", errors="replace") as file:
                return file.read()
        except OSError:
            return ""

    def tail(self, lines=60):
        return "\n".join(self.text_of_log().splitlines()[-lines:])

    def check_sanitizer(self):
        found = SANITIZER.search(self.text_of_log())
        assert not found, f"a sanitizer found something:\n{self.text_of_log()[found.start():][:8000]}"

    # ------------------------------------------------------------------------------------------------ what it says

    def api(self, method, path, body=None, app="learning", **more):
        headers = {"Authorization": f"Bearer {self.keys[app]}"} if app else {}
        headers.update(more.pop("headers", {}))
        return self.session.request(method, self.base + path, json=body, headers=headers, timeout=30 * SLOWNESS, **more)

    def ok(self, method, path, body=None, **more):
        """The JSON of an answer that must be 2xx."""
        answer = self.api(method, path, body, **more)
        assert 200 <= answer.status_code < 300, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def order(self, number, amount="88.80", **more):
        body = {"out_business_id": number, "amount": amount, "currency": "CNY", "name": f"course {number}",
                "order_type": "60201", "user_id": "u1"}
        return self.ok("POST", "/v1/orders", {**body, **more})

    def payment(self, order_id, **more):
        return self.ok("POST", f"/v1/orders/{order_id}/payments", {"channel": "alipay", "product": "wap", **more})

    def notify(self, body, channel="alipay", **more):
        """What a provider gets for a notification: (status, text). Status 0: no answer at all."""
        if isinstance(body, str):
            body = body.encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
        headers.update(more.pop("headers", {}))
        try:
            answer = requests.post(f"{self.public}/notify/{channel}", data=body, headers=headers, timeout=30 * SLOWNESS)
        except requests.RequestException:
            return 0, ""
        return answer.status_code, answer.text

    def metrics(self):
        """Name with labels → value."""
        lines = self.session.get(self.base + "/metrics", timeout=10).text.splitlines()
        return {name: float(value) for name, _, value in
                (line.rpartition(" ") for line in lines if line and not line.startswith("#"))}

    def rss_kib(self, which="VmRSS"):
        """Resident memory; "VmHWM": at its highest since the start."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return int(re.search(which + r":\s+(\d+)", file.read()).group(1))


def command(*arguments, **more):
    """The finished run of paynotifyd with these arguments."""
    return subprocess.run([os.path.join(BUILD, "paynotifyd"), *arguments], capture_output=True, text=True, timeout=60, check=False,
                          **more)


def sleep_until(moment):
    """Paces a load; never used to wait for something to happen."""
    delay = moment - time.monotonic()
    if delay > 0:
        time.sleep(delay)
