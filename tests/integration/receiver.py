"""A merchant's notify_url for tests of the sandbox alone: an HTTP server that keeps what it is sent."""

import http.server
import queue
import threading

import merchant as alipay


class Receiver:
    """The merchant's notify_url: keeps every body, answers what `answer` says: a function from the fields to (status, bytes).
    read(body) gives the fields, yes is what the provider takes for success."""

    def __init__(self, read=alipay.parse_form, yes=b"success"):
        self.bodies = queue.Queue()
        self.answer = lambda fields: (200, yes)
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode("utf-8")
                status, text = receiver.answer(read(body))
                receiver.bodies.put((body, self.headers["Content-Type"]))
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:%d/notify" % self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def next(self):
        return self.bodies.get(timeout=30)[0]

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
