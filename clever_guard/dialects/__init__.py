"""How an API spells its quota in headers.

A dialect is a total function: whatever bytes an answer carries, it gives a HeaderReport in bounded time and never
raises. It is chosen by the user and never guessed, because the same header means an epoch at one API and seconds from
now at another. A plain function will do.
"""

from __future__ import annotations

from typing import Protocol

from clever_guard.dialects.retry_after import RetryAfter
from clever_guard.dialects.x_ratelimit import XRateLimit
from clever_guard.model import HeaderReport, Headers

__all__ = ["Dialect", "RetryAfter", "XRateLimit", "dialect_named", "dialect_of"]


class Dialect(Protocol):
    """Headers, status and our own wall clock (epoch seconds, for answers without a Date) -> what they say."""

    def __call__(self, headers: Headers, status: int, wall: float, /) -> HeaderReport: ...


_BY_NAME: dict[str, Dialect] = {known.name: known for known in (XRateLimit(), RetryAfter())}


def dialect_of(given: str | Dialect) -> Dialect:
    """A dialect by name, or a function as it is. Raises ValueError for a name nobody knows and for what is neither."""
    if isinstance(given, str):
        return dialect_named(given)
    if isinstance(given, type) or not callable(given):
        raise ValueError(f"dialect={given!r}: give the name of one, or a function of headers, status and wall clock")
    return given


def dialect_named(name: str) -> Dialect:
    """The dialect of that name. Raises ValueError with the names there are."""
    try:
        return _BY_NAME[name]
    except KeyError:
        known = ", ".join(sorted(_BY_NAME))
        raise ValueError(f"no dialect is called {name!r}; known: {known} (or hand in a function)") from None
