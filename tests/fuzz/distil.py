"""Which inputs are kept: the fewest and shortest that reach, line after line, everything that any of them reaches."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, TypeAlias

from tests.fuzz.target import Target

MOST, LONGEST = 17, 2_000
"""Files of a target, and bytes of a file."""
OURS = re.compile("[0-9a-f]{12}")
"""Names of files that were chosen here."""
PACKAGE = "/clever_guard/"
Step: TypeAlias = tuple[str, int, int]
"""A line of a file, and the one before it."""


def keep(target: Target, found: Path) -> None:
    """Choose from what the corpus has and what was ``found``. Files that somebody named stay: they once escaped, or say something."""
    named = [path.read_bytes() for path in target.folder.glob("*") if not OURS.fullmatch(path.name)]
    inputs = {data for folder in (target.folder, found) for data in _read(folder) if len(data) <= LONGEST}
    covered = set[Step]().union(*(reached(target.check, data) for data in named))
    reaches = {data: reached(target.check, data) for data in sorted(inputs - set(named), key=len)}
    chosen = cover(reaches, covered)[: max(0, MOST - len(named))]
    for path in target.folder.glob("*"):
        if OURS.fullmatch(path.name):
            path.unlink()
    for data in chosen:
        (target.folder / hashlib.blake2b(data, digest_size=6).hexdigest()).write_bytes(data)


def _read(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in folder.glob("*") if path.is_file()]


def cover(reaches: dict[bytes, set[Step]], covered: set[Step]) -> list[bytes]:
    """Greedily, beyond what is ``covered``: always what adds most, the shortest of these."""
    chosen: list[bytes] = []
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
