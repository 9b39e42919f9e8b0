"""A chat endpoint on loopback that lies as it is told, and counts what it was asked."""

import contextlib
import json
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def completion(text, *, tokens_in=10, tokens_out=2):
    """The body of an honest reply."""
    return json.dumps(
        {
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": tokens_in, "completion_tokens": tokens_out},
        }
    ).encode()


LIES = {
    "html": (200, {}, b"<!DOCTYPE html><script>alert(1)</script>"),
    "no json": (200, {}, b'{"choices": [{"message": {"cont'),
    "not utf-8": (200, {}, b"\xff\xfe\x00"),
    "empty choices": (200, {}, b'{"choices": []}'),
    "no choices": (200, {}, b'{"error": "later"}'),
    "a list": (200, {}, b"[1, 2]"),
    "no text": (200, {}, b'{"choices": [{"message": {"content": null}, "finish_reason": "stop"}]}'),
    "number": (200, {}, b'{"choices": [{"message": {"content": 7}}]}'),
    "nested": (200, {}, b'{"choices":' * 50_000),
    "gzip": (200, {"content-encoding": "gzip"}, b"\x1f\x8b"),
    "huge": (200, {}, b'"' + b"x" * 300_000 + b'"'),
    "429": (429, {"retry-after": "0.01"}, b"slow down"),
    "500": (500, {}, b"<h1>Internal Server Error</h1>"),
    "503": (503, {}, b""),
    "redirect": (302, {"location": "http://127.0.0.1:9/v1/chat/completions"}, b""),
    "400": (400, {}, b'{"error": "context length"}'),
    "401": (401, {}, b'{"error": "who are you"}'),
}


class Lying(BaseHTTPRequestHandler):
    """Lies as often as the last message says: `LIE*TIMES:words`."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        words = body["messages"][-1]["content"]
        plan, _, said = words.partition(":")
        lie, _, times = plan.partition("*")
        with self.server.lock:
            self.server.asked[words] += 1
            self.server.headers_seen.append(dict(self.headers))
            self.server.bodies.append(body)
            tell_truth = lie == "truth" or self.server.asked[words] > int(times or 10**9)
        if tell_truth:
            self.answer(200, {}, completion(f"echo {said}"))
        elif lie == "hang":
            time.sleep(0.6)
            self.close_connection = True
        elif lie == "drip":
            self.drip()
        elif lie == "cut":
            self.send_response(200)
            self.send_header("content-length", "5000")
            self.end_headers()
            self.wfile.write(b'{"choices": [')
            self.close_connection = True
        elif lie == "noise":
            self.wfile.write(b"\x00\x01 no HTTP at all\r\n\r\n")
            self.close_connection = True
        else:
            self.answer(*LIES[lie])

    def answer(self, status, headers, body):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(body)

    def drip(self):
        self.send_response(200)
        self.send_header("content-length", "1000")
        self.end_headers()
        with contextlib.suppress(OSError):
            for _ in range(20):
                self.wfile.write(b" ")
                self.wfile.flush()
                time.sleep(0.05)
        self.close_connection = True

    def log_message(self, *args):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Lying)
        self.lock = threading.Lock()
        self.asked = Counter()
        self.headers_seen = []
        self.bodies = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, request, client_address):
        pass  # a client that hung up is what the tests are about


@contextlib.contextmanager
def lying_server():
    """A server for the time of a block."""
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
