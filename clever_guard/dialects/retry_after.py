"""Retry-After (RFC 9110 10.2.3): a number of seconds or an HTTP-date."""

from __future__ import annotations

from clever_guard.dialects.dates import http_date
from clever_guard.dialects.numbers import MAX_FIELD, whole
from clever_guard.model import Headers

MAX_WAIT = 86_400.0
"""A wait of more than a day is refused: it is milliseconds taken for seconds far more often than it is meant."""


def retry_after(headers: Headers, wall: float) -> tuple[float | None, tuple[str, ...]]:
    """Seconds to wait (0 or more) and the reasons why a value was refused.

    A date is compared with the answer's own Date where there is one, so that no clock of ours is asked; ``wall`` (epoch
    seconds) is the stand-in.
    """
    value = headers.get("Retry-After")
    if value is None:
        return None, ()
    seconds = _seconds(value.strip(" \t"), headers, wall) if len(value) <= MAX_FIELD else None
    if seconds is None:
        return None, ("retry_after_unreadable",)
    if seconds > MAX_WAIT:
        return None, ("retry_after_far",)
    return max(0.0, seconds), ()


def _seconds(text: str, headers: Headers, wall: float) -> float | None:
    number = whole(text)
    if number is not None:
        return float(number)
    until = http_date(text, wall)
    if until is None:
        return None
    now = http_date((headers.get("Date") or "")[:MAX_FIELD].strip(" \t"), wall)
    return until - (wall if now is None else now)
