"""The model's Request of a urllib3 call."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from urllib3 import HTTPConnectionPool
from urllib3.util import parse_url
from urllib3.util.request import _FAILEDTELL, set_file_position

from clever_guard.call_options import CallOptions, current
from clever_guard.model import Request

if TYPE_CHECKING:
    from clever_guard.adapters.urllib3.seam import Watch

ARGUMENTS = [
    "method",
    "url",
    "body",
    "headers",
    "retries",
    "redirect",
    "assert_same_host",
    "timeout",
    "pool_timeout",
    "release_conn",
    "chunked",
    "body_pos",
]
"""The order of ``HTTPConnectionPool.urlopen``, for callers that pass by position."""


class HeaderLookup:
    """``get`` without regard to letter case over whatever mapping a caller gave. Most callers write the usual case."""

    __slots__ = ("_headers",)

    def __init__(self, headers: Any) -> None:
        self._headers = headers or {}

    def get(self, name: str, /) -> str | None:
        value = self._headers.get(name)
        if value is None:
            value = self._scan(name.lower())
        return value.decode("latin-1") if isinstance(value, bytes) else value

    def _scan(self, name: str) -> Any:
        for key, value in self._headers.items():
            text = key.decode("latin-1") if isinstance(key, bytes) else str(key)
            if text.lower() == name:
                return value
        return None


@dataclass(slots=True)
class Native:
    """What the transport needs to send an attempt: the unpatched ``urlopen`` and its arguments."""

    urlopen: Any
    arguments: dict[str, Any]
    pool: HTTPConnectionPool
    timeout: tuple[float, float] | None


def host_of(pool: HTTPConnectionPool, url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port a request goes to. Through a plain-HTTP proxy the pool is the proxy's, the URL absolute."""
    if url.startswith(("http://", "https://")):
        parts = parse_url(url)
        return parts.scheme or "http", parts.host or pool.host, parts.port
    return pool.scheme or "http", pool.host, pool.port


def make_request(watch: Watch, native: Native, place: tuple[str, str, int | None]) -> Request:
    """The request as policies see it, with the options of the context, the client and the guard, in that order."""
    arguments = native.arguments
    options = current().over(watch.options)
    scheme, host, port = place
    return Request(
        method=str(arguments["method"]).upper(),
        scheme=scheme,
        host=host,
        port=port,
        target=arguments["url"],
        headers=HeaderLookup(arguments.get("headers") or native.pool.headers),
        guard=watch.guard.name,
        rewindable=_remember_position(arguments),
        idempotent=options.idempotent,
        priority=options.priority,
        max_wait=watch.guard.max_wait if options.max_wait is None else options.max_wait,
        deadline=_deadline(watch, options),
        native=native,
    )


def _deadline(watch: Watch, options: CallOptions) -> float | None:
    return None if options.deadline is None else watch.guard.driver.now() + options.deadline


def _remember_position(arguments: dict[str, Any]) -> bool:
    """Note where the body starts, so that every attempt sends the same bytes. False: it can be sent once only."""
    body = arguments.get("body")
    if body is None or isinstance(body, bytes | bytearray | str | memoryview):
        return True
    if hasattr(body, "read") or hasattr(body, "tell"):
        position = set_file_position(body, arguments.get("body_pos"))
        arguments["body_pos"] = position
        return position is not None and position is not _FAILEDTELL
    return not isinstance(body, Iterator)
