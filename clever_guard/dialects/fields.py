"""Header fields as dialects see them: looked up in any letter case, as text, and only so much of it.

    any_case   a plain dict made to ignore letter case; every client's own mapping does so already
    field      one field's text, or None
    whole      a number, read strictly
    members    a comma list

Python's ``int`` and ``float`` accept ``+1``, ``1_000``, full-width digits and ``NaN``, and ``int`` raises above 4300
digits; a header does none of this legally (RFC 9110 5.6.7 and 10.2.3 say 1*DIGIT).
"""

from __future__ import annotations

from typing import Any

from clever_guard.model import Headers

MAX_FIELD = 1_000
"""Characters of a header value that are looked at; a longer value is refused."""
MAX_DIGITS = 15


class _AnyCase:
    """A copy of a plain dict with its names in lower case; doubled fields are joined (RFC 9110 5.3)."""

    __slots__ = ("_texts",)

    def __init__(self, headers: dict[Any, Any]) -> None:
        self._texts: dict[str, str] = {}
        for key, value in headers.items():
            name, text = _text(key), _text(value)
            if name is not None and text is not None:
                self._add(name.lower(), text)

    def _add(self, name: str, text: str) -> None:
        before = self._texts.get(name)
        self._texts[name] = text if before is None else f"{before}, {text}"

    def get(self, name: str, /) -> str | None:
        return self._texts.get(name.lower())


def any_case(headers: Headers) -> Headers:
    """``headers`` with a ``get`` that ignores letter case."""
    return _AnyCase(headers) if isinstance(headers, dict) else headers


def field(headers: Headers, name: str) -> str | None:
    """The text of a field, None without it: without the white space around it, or longer than MAX_FIELD and cut."""
    text = _text(headers.get(name))
    return text if text is None or len(text) > MAX_FIELD else text.strip(" \t")


def whole(text: str) -> int | None:
    """A run of 1 to 15 ASCII digits, else None."""
    return int(text) if len(text) <= MAX_DIGITS and text.isascii() and text.isdigit() else None


def members(value: str) -> list[str]:
    """The members of a comma list, without the white space around them (RFC 9110 5.6.1)."""
    return [member.strip(" \t") for member in value.split(",")]


def _text(value: object) -> str | None:
    """One character more than is looked at, so that a value too long is still seen to be so."""
    if isinstance(value, str):
        return value[: MAX_FIELD + 1]
    return value[: MAX_FIELD + 1].decode("latin-1") if isinstance(value, bytes) else None
