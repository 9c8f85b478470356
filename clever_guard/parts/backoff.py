"""How long to wait before the next attempt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

Jitter = Literal["added", "none", "full", "equal"]


class Backoff(Protocol):
    """(number of the retry, from 1; a random number in 0..1) -> seconds."""

    def __call__(self, retry: int, chance: float, /) -> float: ...


@dataclass(frozen=True, slots=True)
class ExponentialBackoff:
    """``initial`` seconds, then ``factor`` times longer each time, at most ``max_delay``.

    Clever asks for 1, 2, 4 ... seconds. ``jitter``: ``added`` puts up to 25 % on top, so it is never shorter than asked for;
    ``none``; ``full`` takes 0..delay; ``equal`` takes delay/2..delay. Raises ValueError for numbers that make no schedule.
    """

    initial: float = 1.0
    factor: float = 2.0
    max_delay: float = 60.0
    jitter: Jitter = "added"

    def __post_init__(self) -> None:
        if not 0 <= self.initial <= self.max_delay or self.factor < 1:
            raise ValueError("ExponentialBackoff needs 0 <= initial <= max_delay and factor >= 1")
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
        """Stops multiplying at the maximum, so that a large ``retry`` cannot overflow."""
        delay = self.initial
        for _ in range(retry - 1):
            delay *= self.factor
            if delay >= self.max_delay:
                return self.max_delay
        return min(delay, self.max_delay)


Chance = Callable[[], float]
"""0..1, uniformly."""
