"""Which inputs are kept: the fewest and shortest that reach, line after line, everything that any of them reaches."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, TypeAlias

from tests.fuzz.target import Target

MOST, LONGEST = 17, 2_000
"""Files of a target, and bytes of a file."""
PACKAGE = "/clever_guard/"
Step: TypeAlias = tuple[str, int, int]
"""A line of a file, and the one before it."""


def keep(target: Target, found: Path) -> None:
    """Choose from the target's corpus and what was ``found``, and write the corpus anew."""
    inputs = {data for folder in (target.folder, found) for data in _read(folder) if len(data) <= LONGEST}
    chosen = cover({data: reached(target.check, data) for data in sorted(inputs, key=len)})[:MOST]
    for path in target.folder.glob("*"):
        path.unlink()
    for data in chosen:
        (target.folder / hashlib.blake2b(data, digest_size=6).hexdigest()).write_bytes(data)


def _read(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in folder.glob("*") if path.is_file()]


def cover(reaches: dict[bytes, set[Step]]) -> list[bytes]:
    """Greedily: always what adds most, the shortest of these."""
    chosen: list[bytes] = []
    covered: set[Step] = set()
    while reaches:
        best = max(reaches, key=lambda data: (len(reaches[data] - covered), -len(data)))
        if not reaches[best] - covered:
            break
        chosen.append(best)
        covered |= reaches.pop(best)
    return chosen


def reached(check: Callable[[bytes], None], data: bytes) -> set[Step]:
    """The steps in the package that ``data`` leads through."""
    steps: set[Step] = set()

    def enter(frame: FrameType, event: str, argument: Any) -> Any:
        if PACKAGE not in frame.f_code.co_filename:
            return None
        name, before = frame.f_code.co_qualname, [0]

        def line(frame: FrameType, event: str, argument: Any) -> Any:
            steps.add((name, before[0], frame.f_lineno))
            before[0] = frame.f_lineno
            return line

        return line

    sys.settrace(enter)
    try:
        check(data)
    finally:
        sys.settrace(None)
    return steps
