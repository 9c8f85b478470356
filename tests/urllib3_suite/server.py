"""What urllib3's test server expects of Hypercorn beyond the released one: its proxy wants the stream of a CONNECT, its
application what TLS agreed on. Without this, every test that goes through a tunnel would fail, bare as well.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

_stream: ContextVar[Any] = ContextVar("stream")
"""That of the connection whose task this is."""


def extend_hypercorn() -> None:
    """Put both into the scope of every request. For the environment of ``prepare``, where Hypercorn is."""
    from hypercorn.trio.task_group import TaskGroup
    from hypercorn.trio.tcp_server import TCPServer

    run, spawn_app = TCPServer.run, TaskGroup.spawn_app

    async def run_known(self: Any) -> None:
        _stream.set(self.stream)
        await run(self)

    async def spawn_extended(self: Any, app: Any, config: Any, scope: Any, send: Any) -> Any:
        if scope["type"] == "http":
            scope["extensions"].update(_transport=_stream.get(), tls=_agreed(_stream.get()))
        return await spawn_app(self, app, config, scope, send)

    TCPServer.run, TaskGroup.spawn_app = run_known, spawn_extended


def _agreed(stream: Any) -> dict[str, Any]:
    if not hasattr(stream, "selected_alpn_protocol"):
        return {}
    certificate = stream.getpeercert() or {}
    names = [pair for part in certificate.get("subject", ()) for pair in part]
    return {
        "alpn_protocol": stream.selected_alpn_protocol(),
        "client_cert_name": ", ".join(f"{name}={value}" for name, value in names),
    }
