"""The model's Request of a urllib3 call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from urllib3 import HTTPConnectionPool
from urllib3.util import parse_url

from clever_guard.call_options import current
from clever_guard.model import Headers, Request

if TYPE_CHECKING:
    from clever_guard.adapters.urllib3.hook import Watch
    from clever_guard.adapters.urllib3.transport import Exchange

Place: TypeAlias = tuple[str, str, int | None]
"""Scheme, host and port."""


class HeaderLookup:
    """``get`` without regard to letter case over whatever mapping a caller gave. Most callers write the usual case."""

    __slots__ = ("_headers",)

    def __init__(self, headers: Any) -> None:
        self._headers = headers

    def get(self, name: str, /) -> str | None:
        value = self._headers.get(name)
        if value.__class__ is str:
            return value
        if value is None:
            value = self._scan(name.lower())
        return value.decode("latin-1") if isinstance(value, bytes) else value

    def _scan(self, name: str) -> Any:
        for key, value in self._headers.items():
            text = key.decode("latin-1") if isinstance(key, bytes) else str(key)
            if text.lower() == name:
                return value
        return None


class AnswerLookup:
    """``get`` over the fields of an answer. urllib3's own costs three times as much: it is a ``Mapping``'s, made of exceptions.

    Its ``_container`` (name in lower case -> name and values) is looked at where there is one; it is as old as urllib3 1.10.
    """

    __slots__ = ("_fields",)

    def __init__(self, fields: Mapping[str, list[str]]) -> None:
        self._fields = fields

    def get(self, name: str, /) -> str | None:
        found = self._fields.get(name.lower())
        if found is None:
            return None
        return found[1] if len(found) == 2 else ", ".join(found[1:])


def answer_headers(response: Any) -> Headers:
    """The headers of an answer, as parts and dialects ask for them."""
    fields = getattr(response.headers, "_container", None)
    return AnswerLookup(fields) if isinstance(fields, dict) else response.headers


def place_of(pool: HTTPConnectionPool, url: str) -> Place:
    """Where a request goes. Through a plain-HTTP proxy the pool is the proxy's and the URL absolute."""
    if not url.startswith("/"):
        parts = parse_url(url)
        if parts.scheme is not None:
            return parts.scheme, (parts.host or pool.host).strip("[]"), parts.port
    return pool.scheme or "http", pool.host, pool.port


def headers_of(pool: HTTPConnectionPool, arguments: dict[str, Any]) -> Any:
    """The headers that will be sent: the caller's, even if empty, replace the pool's."""
    headers = arguments.get("headers")
    return pool.headers if headers is None else headers


def make_request(watch: Watch, exchange: Exchange, place: Place) -> Request:
    """The request as policies see it, with the options of the context, the client and the guard, in that order."""
    arguments, guard = exchange.arguments, watch.guard
    options = current().over(watch.options)
    return Request(
        str(arguments["method"]).upper(),
        *place,
        arguments["url"],
        HeaderLookup(headers_of(exchange.pool, arguments)),
        guard.name,
        exchange.rewindable,
        options.idempotent,
        options.priority,
        None if options.deadline is None else guard.driver.now() + options.deadline,
        guard.max_wait if options.max_wait is None else options.max_wait,
    )
