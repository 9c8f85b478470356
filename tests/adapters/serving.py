"""A real server that answers by script and remembers what came."""

from __future__ import annotations

import http.server
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from clever_guard import ExponentialBackoff, Guard, Retry

TOKEN = {"Authorization": "Bearer secret-token"}
Script = Callable[["Handler"], None]


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers by script, and remembers what came."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def handle_one(self) -> None:
        body = self._chunks() if "Transfer-Encoding" in self.headers else self._block()
        self.server.seen.append((self.command, self.path, dict(self.headers), body))  # type: ignore[attr-defined]
        self.server.script(self)  # type: ignore[attr-defined]

    def _block(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _chunks(self) -> bytes:
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = handle_one

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *anything: Any) -> None:
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    script: Script
    seen: list[tuple[str, str, dict[str, str], bytes]]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Cut connections are part of the script."""


@contextmanager
def serving(script: Script, *, tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    """A server of its own, on loopback, for as long as the block lasts."""
    with Server(("127.0.0.1", 0), Handler) as running:
        if tls is not None:
            running.socket = tls.wrap_socket(running.socket, server_side=True, do_handshake_on_connect=False)
        running.script, running.seen = script, []
        thread = threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def quick(max_retries: int = 5, **options: Any) -> Guard:
    """A guard that retries without waiting."""
    backoff = ExponentialBackoff(initial=0, max_delay=0, jitter="none")
    return Guard(Retry(backoff=backoff, max_retries=max_retries), **options)


def in_turn(*answers: Script) -> Script:
    """One after the other; the last one for ever."""
    left = list(answers)
    return lambda handler: (left.pop(0) if len(left) > 1 else left[0])(handler)


def says(status: int, body: bytes = b"", **headers: str) -> Script:
    return lambda handler: handler.answer(status, body, **headers)


def cut(handler: Handler) -> None:
    """No answer: the connection ends."""
    handler.close_connection = True
    handler.connection.close()
