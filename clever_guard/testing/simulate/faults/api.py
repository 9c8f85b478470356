"""The simulated API under faults: the emulator's budgets on a clock that may drift, and what happens to requests on their way."""

from __future__ import annotations

import random
from typing import NamedTuple

from clever_guard.testing.emulator.budget import Window
from clever_guard.testing.simulate.server import EPOCH, Headers, Server
from clever_guard.testing.simulate.setting import Setting

GATEWAY = "gateway"
"""In the log, who is refused by another limit than the one we keep."""


class Journey(NamedTuple):
    """What one request will meet. Seconds to the server and back."""

    out: float
    back: float
    cut: str = ""
    """``refused`` (never connected), ``before`` or ``after`` the server counted it; empty: it is answered."""
    status: int = 0
    """Answered so instead of by the budget."""
    counted: bool = True


class Api(Server):
    """One token's budget, by the server's own clock."""

    def __init__(self, setting: Setting, chance: random.Random) -> None:
        super().__init__(setting, chance)
        self.rate = 1.0

    def time(self, now: float) -> float:
        """Epoch seconds of the server's clock, without its skew."""
        return EPOCH + now * self.rate

    def answer(self, now: float, worker: str, journey: Journey) -> tuple[int, Headers]:
        """Count the request that arrives ``now``, unless it is turned away before, and answer it."""
        if not journey.status:
            return self.handle(now * self.rate, worker)
        if journey.counted:
            self.handle(now * self.rate, worker)
        return journey.status, Headers(self._date(now * self.rate))

    @property
    def windows(self) -> list[Window]:
        return self.budget.windows

    @property
    def since(self) -> float:
        """When the window began that was last heard of; epoch seconds."""
        return self.windows[-1].start if self.windows else 0.0

    @property
    def refused(self) -> int:
        return sum(window.refused for window in self.windows)

    @property
    def strangers(self) -> int:
        return sum(window.stranger for window in self.windows)
