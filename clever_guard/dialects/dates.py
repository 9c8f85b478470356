"""HTTP dates, all three forms (RFC 9110 5.6.7), to epoch seconds.

``email.utils`` is not used: it takes two-digit years at 69 instead of "more than 50 years in the future is the past
century", and reads much that is not a date.
"""

from __future__ import annotations

import re
from datetime import datetime, timezone

_MONTHS = {name: n for n, name in enumerate("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)}
_TIME = r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
_FORMS = tuple(
    re.compile(form)
    for form in (
        rf"[A-Z][a-z]{{2}}, (?P<day>[0-9]{{2}}) (?P<month>[A-Z][a-z]{{2}}) (?P<year>[0-9]{{4}}) {_TIME} GMT",
        rf"[A-Z][a-z]{{5,8}}, (?P<day>[0-9]{{2}})-(?P<month>[A-Z][a-z]{{2}})-(?P<year>[0-9]{{2}}) {_TIME} GMT",
        rf"[A-Z][a-z]{{2}} (?P<month>[A-Z][a-z]{{2}}) (?P<day>[0-9 ][0-9]) {_TIME} (?P<year>[0-9]{{4}})",
    )
)
_LONGEST = len("Wednesday, 06-Nov-94 08:49:37 GMT")


def http_date(text: str, wall: float) -> float | None:
    """Epoch seconds of an HTTP-date, else None. ``wall`` (epoch seconds) places a two-digit year in its century."""
    if len(text) > _LONGEST:
        return None
    for form in _FORMS:
        match = form.fullmatch(text)
        if match:
            return _seconds(match.groupdict(), wall)
    return None


def _seconds(part: dict[str, str], wall: float) -> float | None:
    month = _MONTHS.get(part["month"])
    if month is None:
        return None
    second = min(int(part["second"]), 59) if part["second"] == "60" else int(part["second"])
    try:
        moment = datetime(
            _year(part["year"], wall), month, int(part["day"]), int(part["hour"]), int(part["minute"]), second,
            tzinfo=timezone.utc,
        )  # fmt: skip
        return moment.timestamp()
    except (ValueError, OverflowError):
        return None


def _year(digits: str, wall: float) -> int:
    """A two-digit year that seems to lie more than 50 years ahead is the past century's (RFC 9110 5.6.7)."""
    if len(digits) == 4:
        return int(digits)
    now = datetime.fromtimestamp(wall if 0 <= wall < 2**35 else 0, timezone.utc).year
    year = now - now % 100 + int(digits)
    return year - 100 if year > now + 50 else year
