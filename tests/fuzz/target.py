"""A target: one parser, and what must hold whatever bytes it is given."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

CORPUS = Path(__file__).parent / "corpus"
USUAL = 2_000
"""Bytes of input up to which a parser has a millisecond."""
MILLISECOND = 0.001
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Target:
    """``check`` raises for whatever should not be: an exception of the parser's, or an AssertionError."""

    name: str
    check: Callable[[bytes], None]

    @property
    def folder(self) -> Path:
        return CORPUS / self.name

    def corpus(self) -> list[bytes]:
        """The kept inputs, in a fixed order."""
        return [path.read_bytes() for path in sorted(self.folder.glob("*"))]


TARGETS: dict[str, Target] = {}


def target(check: Callable[[bytes], None]) -> Callable[[bytes], None]:
    """Enter ``check`` under its own name."""
    TARGETS[check.__name__] = Target(check.__name__, check)
    return check


def lines(data: bytes, count: int) -> list[str | None]:
    """``count`` texts, one for each line, None for the lines that are missing or hold a lone '-': so a corpus can be read."""
    found: list[str | None] = [None if line == b"-" else line.decode("latin-1") for line in data.split(b"\n")]
    return (found + [None] * count)[:count]


def timed(parse: Callable[..., T], *given: Any, size: int) -> T:
    """What ``parse`` gives. Its time is measured; one that seems slow may have been interrupted, and is tried again."""
    begun = time.perf_counter()
    found = parse(*given)
    if size <= USUAL and time.perf_counter() - begun > MILLISECOND:
        assert min(_seconds(parse, *given) for _ in range(9)) <= MILLISECOND, "a millisecond was not enough"
    return found


def refused(parse: Callable[..., Any], *given: Any, size: int, by: type[Exception] = ValueError) -> str | None:
    """The one sentence with which ``parse`` refuses what it is given; None where it takes it."""
    try:
        timed(parse, *given, size=size)
    except by as error:
        said = str(error)
        assert said and "\n" not in said and len(said) < 600, "not one sentence"
        return said
    return None


def _seconds(parse: Callable[..., Any], *given: Any) -> float:
    begun = time.perf_counter()
    parse(*given)
    return time.perf_counter() - begun
