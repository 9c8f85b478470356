"""Bodies: where they start, so that every attempt sends the same bytes, and which can be sent once only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

PLAIN = (bytes, bytearray, str, memoryview)


def start_of(body: Any, known: Any) -> tuple[bool, int | None]:
    """Whether ``body`` can be sent again, and the position to go back to before that. ``known`` is the caller's.

    A position that could only be told, and not gone back to (a pipe, another response), is no position.
    """
    if body is None or isinstance(body, PLAIN):
        return True, None
    if hasattr(body, "read") or hasattr(body, "tell"):
        position = known if isinstance(known, int) else _told(body)
        return position is not None, position
    return not isinstance(body, Iterator), None


def _told(body: Any) -> int | None:
    seekable = getattr(body, "seekable", None)
    if not hasattr(body, "seek") or (seekable is not None and not seekable()):
        return None
    try:
        position = body.tell()
    except OSError:
        return None
    return position if isinstance(position, int) else None
