"""The core behind real sockets, served by uvicorn."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from types import TracebackType
from typing import Any

import uvicorn

from clever_guard.testing.emulator.core import Emulator
from clever_guard.testing.emulator.exchange import Answer, Arrival

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class App:
    """The ASGI application. One event loop, so the emulator needs no lock."""

    def __init__(self, emulator: Emulator, clock: Callable[[], float] = time.time) -> None:
        self.emulator = emulator
        self._clock = clock

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        arrival = _arrival(scope)
        body = await self._body(arrival, receive)
        if body is None:
            return _cut(send)
        answer = self.emulator.handle(replace(arrival, body=body), self._clock())
        if answer.delay:
            await asyncio.sleep(answer.delay)
        if answer.cut in ("header", "body"):
            await _write_part(answer, send)
        elif answer.cut:
            _cut(send)
        else:
            await _write(answer, send, arrival.method == "HEAD")

    async def _body(self, arrival: Arrival, receive: Receive) -> bytes | None:
        """All of it; None where the connection is to be cut meanwhile."""
        body, more = b"", True
        while more:
            message = await receive()
            more = bool(message.get("more_body"))
            if not body and message.get("body") and self.emulator.cuts_upload(arrival):
                return None
            body += message.get("body", b"")
        return body


def _arrival(scope: dict[str, Any]) -> Arrival:
    """Without its body, which has still to come."""
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    origin = f"{scope['scheme']}://{headers.get('host', '')}"
    return Arrival(scope["method"], scope["path"], scope["query_string"].decode("latin-1"), headers, origin=origin)


async def _write(answer: Answer, send: Send, head: bool) -> None:
    await send({"type": "http.response.start", "status": answer.status, "headers": _headers(answer)})
    await send({"type": "http.response.body", "body": b"" if head else answer.body})


def _headers(answer: Answer) -> list[tuple[bytes, bytes]]:
    headers = [(name.encode(), value.encode()) for name, value in answer.headers]
    return [*headers, (b"content-length", str(len(answer.body)).encode())]


async def _write_part(answer: Answer, send: Any) -> None:
    """So much of header or body as is kept, then the end of the connection."""
    lines = b"".join(b"%s: %s\r\n" % header for header in _headers(answer))
    head = b"HTTP/1.1 %d .\r\n%s\r\n" % (answer.status, lines)
    part, before = (head, b"") if answer.cut == "header" else (answer.body, head)
    transport = send.__self__.transport
    transport.write(before + part[: int(answer.kept * len(part))])
    transport.close()
    await asyncio.sleep(0)  # uvicorn hears of the end before it misses an answer


def _cut(send: Any) -> None:
    """End the TCP connection without an answer. ASGI has no word for it; uvicorn's ``send`` belongs to what has the socket."""
    send.__self__.transport.abort()


class Served:
    """A running server. Leaves neither thread nor port behind."""

    def __init__(
        self,
        emulator: Emulator,
        host: str,
        port: int,
        certificate: tuple[str, str] | None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.emulator = emulator
        self._socket = listen(host, port)
        self.port: int = self._socket.getsockname()[1]
        self.url = f"{'https' if certificate else 'http'}://{host}:{self.port}"
        self._server = uvicorn.Server(config(App(emulator, clock or time.time), certificate))
        self._thread = threading.Thread(target=self._run, name="emulator", daemon=True)
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            time.sleep(0.005)

    def _run(self) -> None:
        asyncio.run(self._server.serve(sockets=[self._socket]))

    def close(self) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(10)
        self._socket.close()

    def __enter__(self) -> Served:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. asyncio switches Nagle's algorithm off only where the protocol is named, else answers take 40 ms."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(2048)
    except OSError:
        listener.close()
        raise
    return listener


def config(app: App, certificate: tuple[str, str] | None = None) -> uvicorn.Config:
    """uvicorn without its logs, headers and lifespan: what is measured is the fleet."""
    certfile, keyfile = certificate or (None, None)
    return uvicorn.Config(
        app,
        log_level="critical",
        access_log=False,
        lifespan="off",
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=120,
        ssl_certfile=certfile,
        ssl_keyfile=keyfile,
    )
