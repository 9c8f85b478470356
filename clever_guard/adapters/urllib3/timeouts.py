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


def bounded(pool: HTTPConnectionPool, given: Any, usual: tuple[float, float] | None, left: float | None) -> Any:
    """The timeout for an attempt, with ``left`` seconds to the deadline (None: no deadline)."""
    if given is _DEFAULT_TIMEOUT:
        given = _usual(usual) if usual and _says_nothing(pool.timeout) else pool.timeout
    if left is None:
        return given
    timeout = given if isinstance(given, Timeout) else Timeout.from_float(given)
    left = min(MOST, max(LEAST, left))
    return Timeout(
        total=_least(timeout.total, left), connect=_least(timeout._connect, left), read=_least(timeout._read, left)
    )


@lru_cache(maxsize=64)
def _usual(seconds: tuple[float, float]) -> Timeout:
    """urllib3 clones the timeouts it is given, so calls may share one."""
    return Timeout(connect=seconds[0], read=seconds[1])


def _says_nothing(timeout: Timeout) -> bool:
    return timeout.total is None and timeout._connect is _DEFAULT_TIMEOUT and timeout._read is _DEFAULT_TIMEOUT


def _least(seconds: Any, left: float) -> float:
    return left if seconds is None or seconds is _DEFAULT_TIMEOUT else min(float(seconds), left)
