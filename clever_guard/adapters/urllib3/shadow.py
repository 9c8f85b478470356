"""urllib3's own retries in a guard that only counts: repeated here step by step, so that every attempt is seen.

A guard only counts in shadow mode, and where it has no policies. Left to urllib3 the retries would nest: it repeats a
request by calling ``urlopen`` again from within, where the guard sees the inner attempts first, the outer one at the end, and
the refusals between never.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from urllib3 import HTTPConnectionPool
from urllib3.exceptions import MaxRetryError
from urllib3.util.request import set_file_position
from urllib3.util.retry import Retry

from clever_guard.adapters.urllib3.redirects import follow
from clever_guard.adapters.urllib3.retries import own_retries, silenced


def repeat_as_urllib3(
    pool: HTTPConnectionPool, arguments: dict[str, Any], attempt: Callable[[dict[str, Any]], Any]
) -> Any:
    """The response of a call whose attempts are made by ``attempt``, with the caller's own retries, waits and redirects."""
    retries = own_retries(pool, arguments)
    start: Any = set_file_position(arguments.get("body"), arguments.get("body_pos"))
    changed: dict[str, Any] = {}
    while True:
        try:
            response = attempt({**arguments, **changed, "retries": silenced(retries), "redirect": False})
        except MaxRetryError as error:
            retries = _after_failure(pool, arguments, retries, error)
        else:
            location = arguments.get("redirect", True) and response.get_redirect_location()
            if location:
                return follow(pool, {**arguments, **changed}, start, retries, response, location, patient=True)
            further = _after_answer(pool, arguments, retries, response)
            if further is None:
                response.retries = retries
                return response
            retries = further
        changed = {"body_pos": set_file_position(arguments.get("body"), start)}  # raises for what cannot be sent again


def _after_failure(pool: HTTPConnectionPool, arguments: dict[str, Any], retries: Retry, error: MaxRetryError) -> Retry:
    """The retries that are left, after the wait. Raises what urllib3 raises when there are none."""
    method, url, reason = arguments["method"], arguments["url"], error.reason
    left = retries.increment(method, url, error=reason, _pool=pool, _stacktrace=error.__traceback__)
    left.sleep()
    return left


def _after_answer(pool: HTTPConnectionPool, arguments: dict[str, Any], retries: Retry, response: Any) -> Retry | None:
    """The same after an answer; None for one that is returned."""
    method, waits = arguments["method"], bool(response.headers.get("Retry-After"))
    if not retries.is_retry(method, response.status, waits):
        return None
    try:
        left = retries.increment(method, arguments["url"], response=response, _pool=pool)
    except MaxRetryError:
        if retries.raise_on_status:
            response.drain_conn()
            raise
        return None
    response.drain_conn()
    left.sleep(response)
    return left
