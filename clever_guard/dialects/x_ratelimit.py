"""X-RateLimit-* as Clever documents it (Clever API 2.0, Overview and Best Practices).

    X-RateLimit-Limit      requests allowed in a time period
    X-RateLimit-Remaining  requests that can be made until the reset
    X-RateLimit-Reset      Unix timestamp of the reset: read against the Date of the same answer
    X-RateLimit-Bucket     name of the bucket

Clever has answered comma lists that belong together member by member: ``Bucket: all, none`` with ``Limit: 200, 1200``. Lists
of unequal length are refused whole, for nobody knows which number belongs to which bucket.
"""

from __future__ import annotations

from clever_guard.dialects.dates import http_date
from clever_guard.dialects.numbers import MAX_FIELD, members, whole
from clever_guard.dialects.retry_after import retry_after
from clever_guard.model import NOTHING_READ, HeaderReport, Headers, Reading

MAX_BUCKETS = 8
MAX_NAME = 200
MAX_LIMIT = 10**9
FIRST_RESET = 10**4
"""Smaller numbers are seconds from now in another dialect, not an epoch of this one."""
LAST_RESET = 10**11
"""Larger numbers are milliseconds, or a year nobody resets in."""


class XRateLimit:
    """The dialect ``x-ratelimit``. Total: any headers give a report."""

    name = "x-ratelimit"

    def __call__(self, headers: Headers, status: int, wall: float, /) -> HeaderReport:
        limit, reset = headers.get("X-RateLimit-Limit"), headers.get("X-RateLimit-Reset")
        wait, ignored = retry_after(headers, wall)
        if limit is None or reset is None:
            return HeaderReport((), wait, ignored) if wait is not None or ignored else NOTHING_READ
        remaining = headers.get("X-RateLimit-Remaining")
        if remaining is None and status == 429:
            remaining = ", ".join("0" for _ in members(limit[:MAX_FIELD]))
        bucket = headers.get("X-RateLimit-Bucket")
        now = http_date((headers.get("Date") or "")[:MAX_FIELD].strip(" \t"), wall)
        readings, refused = _pair(limit, remaining, reset, bucket, now)
        return HeaderReport(readings, wait, ignored + refused)


def _pair(
    limit: str, remaining: str | None, reset: str, bucket: str | None, now: float | None
) -> tuple[tuple[Reading, ...], tuple[str, ...]]:
    if remaining is None:
        return (), ("remaining_missing",)
    if max(len(limit), len(remaining), len(reset)) > MAX_FIELD or len(bucket or "") > MAX_FIELD:
        return (), ("header_long",)
    limits, lefts, resets = members(limit), members(remaining), members(reset)
    names = members(bucket) if bucket else [""] * len(limits)
    if not len(limits) == len(lefts) == len(resets) == len(names) <= MAX_BUCKETS:
        return (), ("lists_unequal",)
    rows = zip(limits, lefts, resets, names, strict=True)
    return _sort_out([_reading(allowed, left, end, name, now) for allowed, left, end, name in rows])


def _sort_out(found: list[Reading | str]) -> tuple[tuple[Reading, ...], tuple[str, ...]]:
    readings = tuple(one for one in found if isinstance(one, Reading))
    return readings, tuple(one for one in found if isinstance(one, str))


def _reading(limit: str, remaining: str, reset: str, name: str, now: float | None) -> Reading | str:
    """One bucket's reading, or the reason why it cannot be."""
    allowed, left, end = whole(limit), whole(remaining), whole(reset)
    if allowed is None or not 0 < allowed <= MAX_LIMIT:
        return "limit_impossible"
    if left is None or left > allowed:
        return "remaining_impossible"
    if end is None or not FIRST_RESET <= end <= LAST_RESET:
        return "reset_impossible"
    if len(name) > MAX_NAME or not name.isprintable():
        return "bucket_impossible"
    return Reading(allowed, left, float(end), None if now is None else end - now, name)
