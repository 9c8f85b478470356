"""The redirect step of a bare pool, outside the flow: the next hop is a call of its own, with its own permit.

A manager asks its pools for ``redirect=False`` and follows by itself. A bare pool follows by calling itself inside ``urlopen``,
where no permit would be taken, so the adapter sends with ``redirect=False`` and does here what the pool would have done. The
sleep for a redirect's Retry-After is only for guards that only count: it knows no deadline.
"""

from __future__ import annotations

from typing import Any

from urllib3 import HTTPConnectionPool, HTTPHeaderDict
from urllib3.exceptions import MaxRetryError
from urllib3.util.retry import Retry

from clever_guard.adapters.urllib3.request import headers_of

OF_THE_BODY = (
    "Content-Encoding",
    "Content-Language",
    "Content-Location",
    "Content-Type",
    "Content-Length",
    "Transfer-Encoding",
    "Digest",
    "Last-Modified",
)
"""RFC 9110 15.4.4: after a 303 comes a GET, so what described the body goes."""


def follow(
    pool: HTTPConnectionPool,
    arguments: dict[str, Any],
    body_start: Any,
    retries: Retry,
    response: Any,
    location: str,
    patient: bool = False,
) -> Any:
    """The next hop of a call that was answered by ``response``; the response itself when the caller wants no more hops.

    ``patient``: a Retry-After is slept for before it.
    """
    hop = _as_get(pool, arguments) if response.status == 303 else {**arguments, "body_pos": body_start}
    hop["headers"] = _allowed(pool, headers_of(pool, hop), retries, location)
    try:
        hop["retries"] = retries.increment(hop["method"], hop["url"], response=response, _pool=pool)
    except MaxRetryError:
        if retries.raise_on_redirect:
            response.drain_conn()
            raise
        return response
    response.drain_conn()
    if patient:
        hop["retries"].sleep_for_retry(response)
    hop["url"] = location
    return pool.urlopen(**hop)


def _as_get(pool: HTTPConnectionPool, arguments: dict[str, Any]) -> dict[str, Any]:
    headers = HTTPHeaderDict(headers_of(pool, arguments))
    for name in OF_THE_BODY:
        headers.discard(name)
    return {**arguments, "method": "GET", "body": None, "headers": headers, "chunked": False, "body_pos": None}


def _allowed(pool: HTTPConnectionPool, headers: Any, retries: Retry, location: str) -> Any:
    """Without what must not reach another origin (scheme, host or port): Authorization, Cookie, Proxy-Authorization."""
    if not retries.remove_headers_on_redirect or pool.is_same_host(location):
        return headers
    return {name: value for name, value in headers.items() if name.lower() not in retries.remove_headers_on_redirect}
