#!/usr/bin/python3
"""A private RabbitMQ node for tests: own ports, own data, own epmd, loopback only, nothing left behind.

In Python:       with RabbitMQ() as broker: broker.url, broker.ctl("list_queues"), broker.freeze(), ...
From a shell:    rabbitmq.py start DIR [--tls]    prints the URL; the node keeps running
                 rabbitmq.py ctl DIR ARGS...      rabbitmqctl for that node
                 rabbitmq.py stop DIR
Everything it needs to know about a node lies in DIR, so whoever has DIR can stop what another process started.
"""
import glob
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from freezing import freeze, thaw

SCRIPTS = "/usr/lib/rabbitmq/bin"


class RabbitMQError(Exception):
    pass


def free_ports(count):
    """Ports of loopback that nobody listens on, all different, and below those that the kernel gives to outgoing
    connections: a broker that is away for a moment must find its port free when it comes back."""
    sockets = []
    try:
        while len(sockets) < count:
            s = socket.socket()
            try:
                s.bind(("127.0.0.1", 15000 + secrets.randbelow(17000)))
                sockets.append(s)
            except OSError:
                s.close()
        return [s.getsockname()[1] for s in sockets]
    finally:
        for s in sockets:
            s.close()


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def wait_until(condition, seconds, step=0.05):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(step)
    return True


def answers_amqp(port):
    """True when a broker, and not just a listening socket, is there."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as s:
            s.sendall(b"AMQP\0\0\x09\x01")
            return s.recv(1) == b"\x01"
    except OSError:
        return False


class RabbitMQ:
    def __init__(self, directory=None):
        self._temporary = directory is None
        self.directory = os.path.abspath(directory or tempfile.mkdtemp(prefix="pn-rabbitmq-"))
        os.makedirs(self.directory, mode=0o700, exist_ok=True)
        self._shell = None
        self._epmd = None
        self._node = self._load() or self._invent()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.close()

    # ---------------------------------------------------------------------------------------------- what tests use

    @property
    def port(self):
        return self._node["port"]

    @property
    def tls_port(self):
        return self._node["tls_port"]

    @property
    def url(self):
        return f"amqp://guest:guest@127.0.0.1:{self.port}/%2f"

    @property
    def tls_url(self):
        return f"amqps://guest:guest@localhost:{self.tls_port}/%2f"

    @property
    def ca_file(self):
        return self._path("tls", "ca.pem")

    @property
    def pid(self):
        """Of the Erlang machine; None when it does not run."""
        try:
            with open(self._path("pid")) as f:
                pid = int(f.read().strip() or 0)
        except (OSError, ValueError):
            return None
        return pid if pid and is_alive(pid) else None

    def start(self, tls=False):
        """Starts the node, or starts it again with the data and the ports it had. Returns when it takes clients."""
        if self.pid:
            return self
        if tls and not self._node["tls"]:
            make_certificates(self._path("tls"))
            self._node["tls"] = True
        fresh = not os.path.exists(self._path("data"))
        for tries in range(3 if fresh else 1):
            try:
                return self._start()
            except RabbitMQError:
                if not fresh or tries == 2:
                    raise
                self._node = {**self._invent(), "tls": self._node["tls"]}  # somebody may have taken a port meanwhile

    def _start(self):
        self._save()
        self._configure()
        self._start_epmd()
        before = self._starts_logged()
        with open(self._path("console.log"), "ab") as log:
            self._shell = subprocess.Popen([f"{SCRIPTS}/rabbitmq-server"], env=self._environment(), stdout=log,
                                           stderr=log, stdin=subprocess.DEVNULL, cwd=self.directory,
                                           start_new_session=True)
        # Not whoever may sit on our port, but this node, and completely: its own log says so.
        if not wait_until(lambda: self._shell.poll() is not None
                          or self._starts_logged() > before and answers_amqp(self.port), 120) \
                or self._shell.poll() is not None:
            tail = self._tail()
            self.kill()
            raise RabbitMQError(f"RabbitMQ did not start in {self.directory}:\n{tail}")
        return self

    def stop(self):
        """Shuts the node down in order, data kept; start() brings it back."""
        self._end(signal.SIGTERM)

    def kill(self):
        """kill -9: what the broker had not written is gone."""
        self._end(signal.SIGKILL)

    def freeze(self):
        freeze(self._must_run())

    def thaw(self):
        thaw(self._must_run())

    def ctl(self, *args, timeout=60):
        """rabbitmqctl for this node. Returns its output."""
        done = subprocess.run([f"{SCRIPTS}/rabbitmqctl", "-q", "-n", self._node["name"], *args],
                              env=self._environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=timeout, cwd=self.directory)
        if done.returncode != 0:
            raise RabbitMQError(f"rabbitmqctl {' '.join(args)}: {done.stdout}")
        return done.stdout

    def close(self):
        """Stops everything; removes the folder if it was made here."""
        self.stop()
        if self._temporary:
            shutil.rmtree(self.directory, ignore_errors=True)

    # -------------------------------------------------------------------------------------------------- the inside

    def _path(self, *names):
        return os.path.join(self.directory, *names)

    def _load(self):
        try:
            with open(self._path("node.json")) as f:
                return json.load(f)
        except OSError:
            return None

    def _save(self):
        with open(self._path("node.json"), "w") as f:
            json.dump(self._node, f)

    def _invent(self):
        port, tls_port, dist_port, epmd_port = free_ports(4)
        return {"name": f"pn-{port}@localhost", "port": port, "tls_port": tls_port, "dist_port": dist_port,
                "epmd_port": epmd_port, "tls": False}

    def _must_run(self):
        pid = self.pid
        if not pid:
            raise RabbitMQError(f"RabbitMQ in {self.directory} does not run")
        return pid

    def _configure(self):
        lines = [f"listeners.tcp.1 = 127.0.0.1:{self.port}", "disk_free_limit.absolute = 1MB",
                 "num_acceptors.tcp = 2", "log.console = false", "log.file.level = info"]
        if self._node["tls"]:
            lines += [f"listeners.ssl.1 = 127.0.0.1:{self.tls_port}",
                      f"ssl_options.cacertfile = {self.ca_file}",
                      f"ssl_options.certfile = {self._path('tls', 'server.pem')}",
                      f"ssl_options.keyfile = {self._path('tls', 'server.key')}",
                      "ssl_options.verify = verify_peer", "ssl_options.fail_if_no_peer_cert = false"]
        else:
            lines.append("listeners.ssl = none")
        with open(self._path("rabbitmq.conf"), "w") as f:
            f.write("\n".join(lines) + "\n")
        with open(self._path("enabled_plugins"), "w") as f:
            f.write("[].\n")
        os.makedirs(self._path("home"), exist_ok=True)
        cookie = self._path("home", ".erlang.cookie")
        if not os.path.exists(cookie):
            with open(os.open(cookie, os.O_WRONLY | os.O_CREAT, 0o400), "w") as f:
                f.write(secrets.token_hex(10).upper())

    def _environment(self):
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("RABBITMQ_", "ERL_", "NOTIFY_SOCKET"))}
        return {**kept,
                "HOME": self._path("home"),
                "ERL_EPMD_PORT": str(self._node["epmd_port"]),
                "ERL_EPMD_ADDRESS": "127.0.0.1",
                "ERL_CRASH_DUMP_SECONDS": "0",
                "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8",
                "RABBITMQ_NODENAME": self._node["name"],
                "RABBITMQ_DIST_PORT": str(self._node["dist_port"]),
                "RABBITMQ_CONFIG_FILE": self._path("rabbitmq.conf"),
                "RABBITMQ_CONF_ENV_FILE": self._path("none"),
                "RABBITMQ_ENABLED_PLUGINS_FILE": self._path("enabled_plugins"),
                "RABBITMQ_MNESIA_BASE": self._path("data"),
                "RABBITMQ_LOG_BASE": self._path("log"),
                "RABBITMQ_PID_FILE": self._path("pid"),
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS":
                    "+S 2:2 +SDio 2 +A 4 -start_epmd false -kernel inet_dist_use_interface {127,0,0,1}"}

    def _start_epmd(self):
        """Our own name server, as a child with a known pid: Erlang would leave a daemon behind."""
        pid = self._epmd_pid()
        if pid:
            return
        port = str(self._node["epmd_port"])
        self._epmd = subprocess.Popen(["epmd", "-port", port, "-address", "127.0.0.1"], stdin=subprocess.DEVNULL,
                                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/",
                                      start_new_session=True)
        with open(self._path("epmd.pid"), "w") as f:
            f.write(str(self._epmd.pid))
        if not wait_until(lambda: self._epmd.poll() is not None or self._port_is_open(self._node["epmd_port"]), 20) \
                or self._epmd.poll() is not None:
            raise RabbitMQError(f"epmd did not start on port {port}")

    @staticmethod
    def _port_is_open(port):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return True
        except OSError:
            return False

    def _epmd_pid(self):
        try:
            with open(self._path("epmd.pid")) as f:
                pid = int(f.read())
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                return pid if str(self._node["epmd_port"]).encode() in f.read().split(b"\0") else None
        except (OSError, ValueError):
            return None

    def _end(self, how):
        pid = self.pid
        if pid:
            os.kill(pid, how)
            os.kill(pid, signal.SIGCONT)
            if not wait_until(lambda: not is_alive(pid), 20):
                os.kill(pid, signal.SIGKILL)
                wait_until(lambda: not is_alive(pid), 10)
        if self._shell:
            try:
                self._shell.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(self._shell.pid, signal.SIGKILL)
                self._shell.wait()
            self._shell = None
        if os.path.exists(self._path("pid")):
            os.unlink(self._path("pid"))
        epmd = self._epmd_pid()
        if epmd:
            os.kill(epmd, signal.SIGKILL)
            if self._epmd:
                self._epmd.wait()
                self._epmd = None
            wait_until(lambda: not is_alive(epmd), 5)

    def _starts_logged(self):
        try:
            with open(self._path("log", self._node["name"] + ".log"), errors="replace") as f:
                return f.read().count("Server startup complete")
        except OSError:
            return 0

    def _tail(self):
        text = ""
        for name in [self._path("console.log")] + glob.glob(self._path("log", "*.log")):
            if os.path.exists(name):
                with open(name, errors="replace") as f:
                    text += f"--- {name}\n" + "".join(f.readlines()[-25:])
        return text


def make_certificates(directory):
    """ca.pem; by it server.pem for localhost and 127.0.0.1, stranger.pem for another name, client.pem; and other-ca.pem,
    which signed none of them."""
    os.makedirs(directory, exist_ok=True)

    def openssl(*args):
        done = subprocess.run(["openssl", *args], cwd=directory, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            raise RabbitMQError(f"openssl {' '.join(args)}: {done.stdout}")

    def key(name):
        openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", name + ".key")

    for name in ("ca", "other-ca"):
        key(name)
        openssl("req", "-x509", "-new", "-key", name + ".key", "-days", "3650", "-subj", f"/CN=paynotify test {name}",
                "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-out", name + ".pem")
    extensions = {"server": "subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n",
                  "stranger": "subjectAltName=DNS:stranger.example\nextendedKeyUsage=serverAuth\n",
                  "client": "extendedKeyUsage=clientAuth\n"}
    for name, text in extensions.items():
        key(name)
        with open(os.path.join(directory, name + ".ext"), "w") as f:
            f.write(text)
        openssl("req", "-new", "-key", name + ".key", "-subj", f"/CN=paynotify test {name}", "-out", name + ".csr")
        openssl("x509", "-req", "-in", name + ".csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                "-days", "3650", "-extfile", name + ".ext", "-out", name + ".pem")


def main(argv):
    if len(argv) < 3 or argv[1] not in ("start", "stop", "kill", "freeze", "thaw", "ctl"):
        sys.exit(__doc__)
    broker = RabbitMQ(argv[2])
    try:
        if argv[1] == "start":
            print(broker.start(tls="--tls" in argv[3:]).url)
        elif argv[1] == "ctl":
            print(broker.ctl(*argv[3:]), end="")
        else:
            getattr(broker, argv[1])()
    except RabbitMQError as e:
        sys.exit(str(e))


if __name__ == "__main__":
    main(sys.argv)
