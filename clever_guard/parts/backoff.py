"""How long to wait before the next attempt.

A backoff is a pure function of the retry's number and of a random number that its caller hands in, so it holds no
generator (one that a fork would repeat) and a test writes the number down.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from clever_guard.given import check_seconds, is_number

Jitter = Literal["added", "none", "full", "equal"]
Chance = Callable[[], float]
"""0..1, uniformly."""


class Backoff(Protocol):
    """(number of the retry, from 1; a random number in 0..1) -> seconds. A plain function will do."""

    def __call__(self, retry: int, chance: float, /) -> float: ...


@dataclass(frozen=True, slots=True)
class ExponentialBackoff:
    """``initial`` seconds, then ``factor`` times longer each time, at most ``max_delay``.

    Clever asks to "wait 1 second after first error, then 2, then 4" (Clever API 2.0, Overview and Best Practices).

    ``jitter``: ``added`` puts up to 25 % on top, on top of ``max_delay`` too, so it is never shorter than asked for;
    ``none``; ``full`` takes 0..delay; ``equal`` takes delay/2..delay. Raises ValueError for numbers that make no
    schedule: it needs 0 <= initial <= max_delay, finite, and factor >= 1.
    """

    initial: float = 1.0
    factor: float = 2.0
    max_delay: float = 60.0
    jitter: Jitter = "added"

    def __post_init__(self) -> None:
        check_seconds("ExponentialBackoff: initial", self.initial, least=0, most=10**9)
        check_seconds("ExponentialBackoff: max_delay", self.max_delay, least=self.initial, most=10**9)
        if not is_number(self.factor) or not self.factor >= 1:
            raise ValueError(f"ExponentialBackoff: factor={self.factor!r}: give a number of 1 or more")
        if self.jitter not in ("added", "none", "full", "equal"):
            raise ValueError(f"jitter={self.jitter!r}: write 'added', 'none', 'full' or 'equal'")

    def __call__(self, retry: int, chance: float, /) -> float:
        delay = self._delay(retry)
        if self.jitter == "added":
            return delay * (1 + 0.25 * chance)
        if self.jitter == "full":
            return delay * chance
        return delay * (1 + chance) / 2 if self.jitter == "equal" else delay

    def _delay(self, retry: int) -> float:
        """In floats: whole numbers would grow without end before the maximum cut them."""
        if self.initial == 0:
            return 0.0
        try:
            return min(self.initial * float(self.factor) ** (retry - 1), self.max_delay)
        except OverflowError:
            return self.max_delay
