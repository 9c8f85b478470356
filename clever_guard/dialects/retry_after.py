"""Retry-After (RFC 9110 10.2.3): a number of seconds or an HTTP-date."""

from __future__ import annotations

from clever_guard.dialects.dates import http_date, server_date
from clever_guard.dialects.fields import MAX_FIELD, any_case, field, members, whole
from clever_guard.model import NOTHING_READ, HeaderReport, Headers

MAX_WAIT = 86_400.0
"""A wait of more than a day is refused: it is milliseconds taken for seconds far more often than it is meant."""


class RetryAfter:
    """The dialect ``retry-after``, of an API that names no quota. Total: any headers give a report."""

    name = "retry-after"

    def __call__(self, headers: Headers, status: int, wall: float, /) -> HeaderReport:
        wait, ignored = retry_after(any_case(headers), wall)
        return NOTHING_READ if wait is None and not ignored else HeaderReport((), wait, ignored)


def retry_after(headers: Headers, wall: float) -> tuple[float | None, tuple[str, ...]]:
    """Seconds to wait (0 to MAX_WAIT) and the reasons why a value was refused.

    A date is compared with the answer's own Date where there is one, so that no clock of ours is asked; ``wall`` (epoch
    seconds) is the stand-in. A date that has passed is no wait at all.
    """
    text = field(headers, "Retry-After")
    if text is None:
        return None, ()
    seconds = _seconds(text, headers, wall) if len(text) <= MAX_FIELD else None
    if seconds is None:
        return None, ("retry_after_unreadable",)
    if seconds > MAX_WAIT:
        return None, ("retry_after_far",)
    return max(0.0, seconds), ()


def _seconds(text: str, headers: Headers, wall: float) -> float | None:
    number = _number(text)
    if number is not None:
        return float(number)
    until = http_date(text, wall)
    if until is None:
        return None
    now = server_date(headers, wall)
    return until - (wall if now is None else now)


def _number(text: str) -> int | None:
    """A run of digits; a field that was doubled and joined on the way (``5, 5``) counts once if its members agree."""
    said = {whole(member) for member in members(text)}
    return said.pop() if len(said) == 1 else None
