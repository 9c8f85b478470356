"""One budget of one token: fixed windows, counted as the server counts them. This is the truth that judges a fleet."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from clever_guard.testing.emulator.knobs import Knobs

KEPT_WINDOWS = 2_000
KEPT_ARRIVALS = 20_000
"""Of each window; the counts go on."""
KEPT_REFUSALS = 100
"""Told of each window: when, in seconds after its start, and to whom."""


@dataclass(slots=True)
class Window:
    """What arrived between ``start`` and ``end`` (true epoch seconds)."""

    start: float
    end: float
    limit: int
    admitted: int = 0
    refused: int = 0
    stranger: int = 0
    first: float | None = None
    """Arrival of the first admitted request, seconds after the start."""
    last: float | None = None
    arrivals: list[tuple[float, str, bool]] = field(default_factory=list)
    """(seconds after the start, worker, admitted)"""
    workers: Counter[str] = field(default_factory=Counter)

    @property
    def left(self) -> int:
        return self.limit - self.admitted - self.stranger

    def summary(self) -> dict[str, Any]:
        return {
            "start": self.start,
            "end": self.end,
            "limit": self.limit,
            "admitted": self.admitted,
            "refused": self.refused,
            "stranger": self.stranger,
            "first": self.first,
            "last": self.last,
            "workers": dict(self.workers),
            "refusals": [(at, worker) for at, worker, admitted in self.arrivals if not admitted][:KEPT_REFUSALS],
        }


class Budget:
    """The windows of one bucket of one token."""

    def __init__(self, knobs: Knobs, limit: int) -> None:
        self._knobs = knobs
        self.limit = limit
        self.windows: list[Window] = []

    def at(self, now: float) -> Window:
        """The window that ``now`` lies in, opened if need be, with what the stranger took of it so far."""
        if not self.windows or now >= self.windows[-1].end:
            start = now if self._knobs.first_hit else self._aligned(now)
            self.windows.append(Window(start, start + self._knobs.window, self.limit))
            del self.windows[:-KEPT_WINDOWS]
        window = self.windows[-1]
        window.stranger = min(max(window.stranger, self._stranger(window, now)), window.limit - window.admitted)
        return window

    def note(self, window: Window, now: float, worker: str, admitted: bool) -> None:
        """Enter one arrival."""
        at = now - window.start
        if len(window.arrivals) < KEPT_ARRIVALS:
            window.arrivals.append((at, worker, admitted))
        if not admitted:
            window.refused += 1
            return
        window.admitted += 1
        window.workers[worker] += 1
        window.first = at if window.first is None else window.first
        window.last = at

    def _aligned(self, now: float) -> float:
        length = self._knobs.window
        return math.floor((now - self._knobs.phase) / length) * length + self._knobs.phase

    def _stranger(self, window: Window, now: float) -> int:
        passed = 1.0 if self._knobs.stranger_at == "reset" else (now - window.start) / self._knobs.window
        return int(self._knobs.stranger * window.limit * passed)
