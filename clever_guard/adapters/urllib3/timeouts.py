"""How long one attempt may take: the caller's timeout, else the pool's, else the guard's, and never past the deadline."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from urllib3 import HTTPConnectionPool
from urllib3.util.timeout import _DEFAULT_TIMEOUT, Timeout

LEAST = 0.001
"""urllib3 refuses a timeout of 0."""
MOST = 1e8
"""Three years: a socket refuses timeouts that overflow its clock."""


def usual(pool: HTTPConnectionPool, given: Any, of_guard: tuple[float, float] | None) -> Any:
    """The timeout of a call: ``given`` by the caller, the pool's, or the guard's (connect, read) seconds, in that order."""
    if given is not _DEFAULT_TIMEOUT:
        return given
    return _made(of_guard) if of_guard is not None and _says_nothing(pool.timeout) else pool.timeout


def bounded(given: Any, left: float) -> Timeout:
    """``given``, but at most the ``left`` seconds to the deadline."""
    timeout = given if isinstance(given, Timeout) else Timeout.from_float(given)
    left = min(MOST, max(LEAST, left))
    return Timeout(
        total=_least(timeout.total, left), connect=_least(timeout._connect, left), read=_least(timeout._read, left)
    )


@lru_cache(maxsize=64)
def _made(seconds: tuple[float, float]) -> Timeout:
    """urllib3 clones the timeouts it is given, so calls may share one."""
    return Timeout(connect=seconds[0], read=seconds[1])


def _says_nothing(timeout: Timeout) -> bool:
    return timeout.total is None and timeout._connect is _DEFAULT_TIMEOUT and timeout._read is _DEFAULT_TIMEOUT


def _least(seconds: Any, left: float) -> float:
    return left if seconds is None or seconds is _DEFAULT_TIMEOUT else min(float(seconds), left)
