"""HTTP dates, all three forms (RFC 9110 5.6.7), to epoch seconds.

    Sun, 06 Nov 1994 08:49:37 GMT      the form that may be sent
    Sunday, 06-Nov-94 08:49:37 GMT     obsolete (RFC 850): its year needs a century
    Sun Nov  6 08:49:37 1994           obsolete (asctime)

``email.utils`` is not used: it takes two-digit years at 69 instead of "more than 50 years in the future is the past
century", and reads much that is not a date.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache

from clever_guard.dialects.fields import field
from clever_guard.model import Headers

_NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTHS = {name: number for number, name in enumerate(_NAMES, 1)}
_SHORT = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_LONG = "(?:Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday)"
_MONTH = f"(?P<month>{'|'.join(_MONTHS)})"
_TIME = "(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
_FIXDATE = re.compile(f"{_SHORT}, (?P<day>[0-9]{{2}}) {_MONTH} (?P<year>[0-9]{{4}}) {_TIME} GMT")
_ASCTIME = re.compile(f"{_SHORT} {_MONTH} (?P<day>[0-9 ][0-9]) {_TIME} (?P<year>[0-9]{{4}})")
_RFC850 = re.compile(f"{_LONG}, (?P<day>[0-9]{{2}})-{_MONTH}-(?P<year>[0-9]{{2}}) {_TIME} GMT")
_LONGEST = len("Wednesday, 06-Nov-94 08:49:37 GMT")
_FAR = 2.0**35
"""A clock beyond the year 3058 is no clock: ``datetime`` ends at 9999, and a wall clock may be anything."""


def server_date(headers: Headers, wall: float) -> float | None:
    """Epoch seconds of the answer's own Date, else None."""
    text = field(headers, "Date")
    return None if text is None else http_date(text, wall)


def http_date(text: str, wall: float) -> float | None:
    """Epoch seconds of an HTTP-date, else None. ``wall`` (epoch seconds) places a two-digit year in its century."""
    if len(text) > _LONGEST:
        return None
    seconds = whole_date(text)
    if seconds is not None:
        return seconds
    match = _RFC850.fullmatch(text)
    return None if match is None else _seconds(match.groupdict(), wall)


def whole_date(text: str) -> float | None:
    """Epoch seconds of the two forms with a whole year, else None."""
    return _dated(text) if len(text) <= _LONGEST else None


@lru_cache(maxsize=64)
def _dated(text: str) -> float | None:
    """Kept, because Date changes once a second while answers come by the hundred."""
    match = _FIXDATE.fullmatch(text) or _ASCTIME.fullmatch(text)
    return None if match is None else _seconds(match.groupdict(), None)


def _seconds(part: dict[str, str], wall: float | None) -> float | None:
    """``wall`` is None where the year is whole. The second 60 of a leap second counts as 59."""
    clock = int(part["hour"]), int(part["minute"]), 59 if part["second"] == "60" else int(part["second"])
    later = _MONTHS[part["month"]], int(part["day"]), *clock
    year = int(part["year"]) if wall is None else _year(int(part["year"]), later, wall)
    try:
        return datetime(year, *later, tzinfo=UTC).timestamp()
    except ValueError:
        return None


def _year(digits: int, later: tuple[int, ...], wall: float) -> int:
    """The newest year with these two digits whose moment lies no more than 50 years ahead (RFC 9110 5.6.7)."""
    now = datetime.fromtimestamp(wall if 0 <= wall < _FAR else 0, UTC)
    year = now.year - now.year % 100 + 100 + digits
    while (year - 50, *later) > now.timetuple()[:6]:
        year -= 100
    return year
