"""One guarded ``urlopen``: arguments in, response or exception out.

urllib3's own retry layer is taken over: by default it sends a GET answered 413, 429 or 503 with Retry-After four times,
sleeping up to six hours beyond any deadline. The inner call gets a ``Retry`` that repeats nothing and lets exceptions out as
the caller's would have. The caller's own keeps its redirect part: urllib3 reads ``response.retries`` to follow redirects, so it
is put back there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from urllib3 import HTTPConnectionPool
from urllib3.exceptions import HTTPError
from urllib3.util.timeout import _DEFAULT_TIMEOUT

from clever_guard.adapters.families import into
from clever_guard.adapters.urllib3.redirects import follow
from clever_guard.adapters.urllib3.request import Place, make_request, place_of
from clever_guard.adapters.urllib3.retries import own_retries, silenced
from clever_guard.adapters.urllib3.shadow import repeat_as_urllib3
from clever_guard.adapters.urllib3.timeouts import usual
from clever_guard.adapters.urllib3.transport import Exchange
from clever_guard.errors import GuardError
from clever_guard.model import Failure

if TYPE_CHECKING:
    from clever_guard.adapters.urllib3.hook import Watch

ARGUMENTS = (
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
    "preload_content",
    "decode_content",
)
"""The order of ``HTTPConnectionPool.urlopen``, for callers that pass by position."""
RAISED = Exception("it was raised to the caller")
"""What is left in an outcome whose exception has left."""


def guarded_urlopen(
    watches: Sequence[Watch],
    pool: HTTPConnectionPool,
    urlopen: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """What the patched ``urlopen`` of ``pool`` does. ``urlopen`` is the pool's own."""
    arguments = _by_name(args, kwargs)
    if len(arguments) < len(args) + len(kwargs) or "url" not in arguments or "method" not in arguments:
        return urlopen(*args, **kwargs)  # it raises the TypeError that it always raised
    place = place_of(pool, arguments["url"])
    watch = _watch_over(place[1], watches)
    if watch is None:
        return urlopen(*args, **kwargs)
    try:
        if watch.guard.only_counts:
            return _send_as_is(watch, pool, urlopen, arguments, place)
        return _send_and_follow(watch, pool, urlopen, arguments, place)
    except GuardError as error:
        refusal = error
    raise into(HTTPError, refusal) from refusal.__cause__  # out here: not with the frames of the other as its context


def _by_name(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """A manager gives method and URL by position and the rest by name."""
    if len(args) == 2:
        return {"method": args[0], "url": args[1], **kwargs}
    return {**dict(zip(ARGUMENTS, args, strict=False)), **kwargs} if args else kwargs


def _watch_over(host: str, watches: Sequence[Watch]) -> Watch | None:
    for watch in watches:
        if watch.guard.hosts is None or watch.guard.covers(host):
            return watch
    return None


def _send_as_is(watch: Watch, pool: HTTPConnectionPool, urlopen: Any, arguments: dict[str, Any], place: Place) -> Any:
    """The caller's own retries and redirects stay, the guard only counts."""
    of_guard = None if watch.guard.mode == "shadow" else watch.guard.timeout

    def attempt(sent: dict[str, Any]) -> Any:
        sent["timeout"] = usual(pool, sent.get("timeout", _DEFAULT_TIMEOUT), of_guard)
        return _call(watch, Exchange(pool, urlopen, sent), place)

    return repeat_as_urllib3(pool, arguments, attempt)


def _send_and_follow(
    watch: Watch, pool: HTTPConnectionPool, urlopen: Any, arguments: dict[str, Any], place: Place
) -> Any:
    redirect = arguments.get("redirect", True)
    retries = own_retries(pool, arguments)
    timeout = usual(pool, arguments.get("timeout", _DEFAULT_TIMEOUT), watch.guard.timeout)
    attempt = {**arguments, "retries": silenced(retries), "redirect": False, "timeout": timeout}
    exchange = Exchange(pool, urlopen, attempt)
    response = _call(watch, exchange, place)
    response.retries = retries
    location = redirect and response.get_redirect_location()
    return follow(pool, arguments, exchange.body_start, retries, response, location) if location else response


def _call(watch: Watch, exchange: Exchange, place: Place) -> Any:
    outcome = watch.guard.call(make_request(watch, exchange, place), exchange)
    if not isinstance(outcome, Failure):
        return outcome.response
    error, outcome.error = outcome.error, RAISED
    try:
        raise error
    finally:  # an exception whose frames lead back to it is a cycle, and keeps its pool until the collector comes
        del error
