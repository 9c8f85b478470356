"""X-RateLimit-* as Clever documents it (Clever API 2.0, Overview and Best Practices).

    X-RateLimit-Limit      requests allowed in a time period
    X-RateLimit-Remaining  requests that can be made until the reset
    X-RateLimit-Reset      Unix timestamp of the reset: read against the Date of the same answer
    X-RateLimit-Bucket     name of the bucket

Clever has answered comma lists that belong together member by member: ``Bucket: all, none`` with ``Limit: 200,
1200``. Lists of unequal length are refused whole, for nobody knows which number belongs to which bucket. A proxy that
joins doubled fields makes lists too, of one bucket said twice: these count once.

    headers -> _rows (lists paired) -> _reading (one row) -> _one_each (one reading for each bucket)

Nearly every answer names one bucket and differs from the one before in Remaining alone. It takes the short way: past the
lists, with the rest of its reading from memory.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TypeAlias

from clever_guard.dialects.dates import server_date, whole_date
from clever_guard.dialects.fields import MAX_DIGITS, MAX_FIELD, any_case, field, members, whole
from clever_guard.dialects.retry_after import retry_after
from clever_guard.model import NOTHING_READ, HeaderReport, Headers, Reading, made

MAX_BUCKETS = 8
MAX_NAME = 200
MAX_LIMIT = 10**9
FIRST_RESET = 10**4
"""Smaller numbers are seconds from now in another dialect, not an epoch of this one."""
LAST_RESET = 10**11
"""Larger numbers are milliseconds, or a year nobody resets in."""
FIRST_TO_WAIT = 300
"""Retry-After is said of redirections and errors; on a success it means nothing (RFC 9110 10.2.3)."""
Row: TypeAlias = tuple[str, str, str, str]
"""Limit, Remaining, Reset, Bucket: as they stand in the headers, or those of one bucket."""


class XRateLimit:
    """The dialect ``x-ratelimit``, and Retry-After with it. Total: any headers give a report, in bounded time."""

    name = "x-ratelimit"

    def __call__(self, headers: Headers, status: int, wall: float, /) -> HeaderReport:
        if isinstance(headers, dict):
            headers = any_case(headers)
        reading = _at_once(headers)
        if reading is not None and status < FIRST_TO_WAIT:
            return made(HeaderReport, ((reading,), None, ()))
        readings, refused = ((reading,), ()) if reading else _in_full(headers, status, wall)
        if status < FIRST_TO_WAIT:
            return HeaderReport(readings, None, refused) if readings or refused else NOTHING_READ
        wait, ignored = retry_after(headers, wall)
        if readings or refused or ignored or wait is not None:
            return HeaderReport(readings, wait, refused + ignored)
        return NOTHING_READ


def _at_once(headers: Headers) -> Reading | None:
    """The reading of a usual answer; None of any other, and of one that has nothing to read."""
    limit, remaining = headers.get("X-RateLimit-Limit"), headers.get("X-RateLimit-Remaining")
    if limit is None or not isinstance(remaining, str):
        return None
    try:
        usual = _usual(limit, headers.get("X-RateLimit-Reset"), headers.get("X-RateLimit-Bucket"), headers.get("Date"))
    except TypeError:  # a mapping that gives lists: they cannot be remembered
        return None
    left = _left(remaining) if len(remaining) <= MAX_DIGITS else None
    if usual is None or left is None or left > usual.limit:
        return None
    return made(Reading, (usual.limit, left, usual.reset, usual.resets_in, usual.bucket, True))


@lru_cache(maxsize=16)
def _usual(limit: object, reset: object, name: object, date: object) -> Reading | None:
    """The reading, but for Remaining, of an answer that names one bucket; None where it must be looked at in full.

    A date with a two-digit year depends on when it is read: it is not remembered.
    """
    name = "" if name is None else name
    if not (isinstance(limit, str) and isinstance(reset, str) and isinstance(name, str)) or "," in name:
        return None
    now = whole_date(date) if isinstance(date, str) else None
    if now is None and date is not None:
        return None
    one = _reading(limit, "0", reset, name.strip(" \t"), now)
    return one if isinstance(one, Reading) else None


_left = lru_cache(maxsize=2048)(whole)
"""Most budgets count down from the same number again and again. Never asked for a long text: it would be kept."""


def _in_full(headers: Headers, status: int, wall: float) -> tuple[tuple[Reading, ...], tuple[str, ...]]:
    """With the reasons for everything that is refused."""
    limit, reset = field(headers, "X-RateLimit-Limit"), field(headers, "X-RateLimit-Reset")
    if limit is None or reset is None:
        return (), () if limit == reset else ("limit_missing",) if limit is None else ("reset_missing",)
    remaining = field(headers, "X-RateLimit-Remaining")
    if remaining is None:
        if status != 429:
            return (), ("remaining_missing",)
        remaining = "0" + ", 0" * limit.count(",")  # a refusal says by itself that nothing is left
    said = limit, remaining, reset, field(headers, "X-RateLimit-Bucket") or ""
    now = server_date(headers, wall)
    if any("," in value for value in said):
        return _several(said, now)
    one = _reading(*said, now)
    return ((one,), ()) if isinstance(one, Reading) else ((), (one,))


def _several(said: Row, now: float | None) -> tuple[tuple[Reading, ...], tuple[str, ...]]:
    rows, why = _rows(said)
    found = [_reading(*row, now) for row in rows]
    readings, twice = _one_each([one for one in found if isinstance(one, Reading)])
    return readings, (*why, *(one for one in found if isinstance(one, str)), *twice)


def _rows(said: Row) -> tuple[list[Row], tuple[str, ...]]:
    """The lists, paired; or none, and why."""
    if any(len(value) > MAX_FIELD for value in said):
        return [], ("header_long",)
    limits, lefts, resets, names = (members(value) for value in said)
    names = names if said[3] else [""] * len(limits)
    if not len(limits) == len(lefts) == len(resets) == len(names):
        return [], ("lists_unequal",)
    if len(names) > MAX_BUCKETS:
        return [], ("buckets_many",)
    return list(zip(limits, lefts, resets, names, strict=True)), ()


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


def _one_each(readings: list[Reading]) -> tuple[tuple[Reading, ...], tuple[str, ...]]:
    """A bucket said twice counts once, with the smaller Remaining. Two limits or resets under one name say nothing."""
    kept: dict[str, Reading] = {}
    for reading in readings:
        twin = kept.setdefault(reading.bucket, reading)
        if (twin.limit, twin.reset) != (reading.limit, reading.reset):
            return (), ("bucket_twice",)
        if reading.remaining < twin.remaining:
            kept[reading.bucket] = reading
    return tuple(kept.values()), ()
