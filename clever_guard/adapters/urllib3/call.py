"""One guarded ``urlopen``: arguments in, response or exception out.

urllib3's own retry layer is taken over: by default it sends a GET answered 413, 429 or 503 with Retry-After four times,
sleeping up to six hours beyond any deadline. The inner call gets ``Retry(0)`` (or False where the caller said so, so that
exceptions keep the type they had); a caller's ``Retry`` keeps its redirect part. urllib3 reads ``response.retries`` to follow
redirects, so the caller's own is put back there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from urllib3 import HTTPConnectionPool, HTTPHeaderDict
from urllib3.exceptions import HTTPError, MaxRetryError
from urllib3.util.retry import Retry
from urllib3.util.timeout import _DEFAULT_TIMEOUT

from clever_guard.adapters.families import into
from clever_guard.adapters.urllib3.request import ARGUMENTS, Native, host_of, make_request
from clever_guard.adapters.urllib3.transport import TRANSPORT
from clever_guard.errors import GuardError
from clever_guard.model import Failure

if TYPE_CHECKING:
    from clever_guard.adapters.urllib3.seam import Watch

NO_RETRIES = Retry(0)


def guarded_urlopen(
    watches: Sequence[Watch],
    pool: HTTPConnectionPool,
    urlopen: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """What the patched ``urlopen`` of ``pool`` does. ``urlopen`` is the pool's own."""
    arguments = dict(zip(ARGUMENTS, args, strict=False)) | kwargs
    place = host_of(pool, arguments["url"])
    watch = next((watch for watch in watches if watch.guard.covers(place[1])), None)
    if watch is None:
        return urlopen(*args, **kwargs)
    try:
        if watch.guard.mode == "shadow":
            return _send_as_is(watch, pool, urlopen, arguments, place)
        return _send_and_follow(watch, pool, urlopen, arguments, place)
    except GuardError as error:
        raise into(HTTPError, error) from error.__cause__


def _send_as_is(
    watch: Watch, pool: HTTPConnectionPool, urlopen: Any, arguments: dict[str, Any], place: tuple[str, str, int | None]
) -> Any:
    """Shadow: the caller's own retries and redirects stay, the guard only counts."""
    arguments.setdefault("timeout", _DEFAULT_TIMEOUT)
    return _call(watch, Native(urlopen, arguments, pool, None), place)


def _send_and_follow(
    watch: Watch, pool: HTTPConnectionPool, urlopen: Any, arguments: dict[str, Any], place: tuple[str, str, int | None]
) -> Any:
    redirect = arguments.get("redirect", True)
    retries = arguments.get("retries")
    if not isinstance(retries, Retry):
        retries = Retry.from_int(retries, redirect=redirect, default=pool.retries)
    inner = False if retries.total is False else NO_RETRIES
    attempt = arguments | {"retries": inner, "redirect": False}
    attempt.setdefault("timeout", _DEFAULT_TIMEOUT)
    response = _call(watch, Native(urlopen, attempt, pool, watch.guard.timeout), place)
    response.retries = retries
    location = redirect and response.get_redirect_location()
    return _follow(pool, arguments, retries, response, location) if location else response


def _call(watch: Watch, native: Native, place: tuple[str, str, int | None]) -> Any:
    request = make_request(watch, native, place)
    outcome = watch.guard.call(request, TRANSPORT)
    if isinstance(outcome, Failure):
        raise outcome.error
    return outcome.response


def _follow(pool: HTTPConnectionPool, arguments: dict[str, Any], retries: Retry, response: Any, location: str) -> Any:
    """The redirect step of a bare pool, outside the flow: the next hop is a call of its own, with its own permit.

    A manager asks for ``redirect=False`` and follows by itself, stripping Authorization for another origin. A bare pool only
    ever talks to its own host.
    """
    hop = dict(arguments)
    if response.status == 303:
        hop |= {"method": "GET", "body": None, "headers": _without_body(hop.get("headers") or pool.headers)}
        hop.pop("body_pos", None)
    try:
        hop["retries"] = retries.increment(hop["method"], hop["url"], response=response, _pool=pool)
    except MaxRetryError:
        if retries.raise_on_redirect:
            response.drain_conn()
            raise
        return response
    response.drain_conn()
    hop["url"] = location
    return pool.urlopen(**hop)


def _without_body(headers: Any) -> HTTPHeaderDict:
    """RFC 9110 15.4.4: the redirected request is a GET, so what described the body goes."""
    kept = HTTPHeaderDict(headers)
    for name in ("Content-Encoding", "Content-Language", "Content-Location", "Content-Type", "Content-Length"):
        kept.discard(name)
    for name in ("Digest", "Last-Modified"):
        kept.discard(name)
    return kept
