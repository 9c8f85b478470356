"""Numbers and lists in headers, read strictly.

Python's ``int`` and ``float`` accept ``+1``, ``1_000``, full-width digits and ``NaN``, and ``int`` raises above 4300 digits; a
header does none of this legally (RFC 9110 5.6.7 and 10.2.3 say 1*DIGIT).
"""

from __future__ import annotations

MAX_FIELD = 1_000
"""Characters of a header value that are looked at; a longer value is refused."""
MAX_DIGITS = 15
_DIGITS = frozenset("0123456789")


def whole(text: str) -> int | None:
    """A run of 1 to 15 ASCII digits, else None."""
    return int(text) if 0 < len(text) <= MAX_DIGITS and _DIGITS.issuperset(text) else None


def members(value: str) -> list[str]:
    """The members of a comma list, without the white space around them (RFC 9110 5.6.1)."""
    return [member.strip(" \t") for member in value.split(",")]
