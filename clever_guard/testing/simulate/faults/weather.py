"""What messages meet on their way, while faults last."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from clever_guard.testing.simulate.faults.accounts import TTL
from clever_guard.testing.simulate.faults.api import Journey
from clever_guard.testing.simulate.faults.way import DEADLINE, Fate

if TYPE_CHECKING:
    from clever_guard.testing.simulate.faults.trial import Trial

OFTEN = 0.4
"""Share of the messages that a span of faults hits."""


class Weather:
    """Spans of faults, by name; and what they do to the next request or trip."""

    def __init__(self, trial: Trial, chance: random.Random) -> None:
        self._trial = trial
        self._chance = chance
        self._spans: dict[str, float] = {}

    def clear(self) -> None:
        self._spans.clear()

    def span(self, name: str, seconds: float) -> None:
        """From now on, for so long."""
        self._spans[name] = max(self._spans.get(name, 0.0), self._trial.loop.now + seconds)

    def during(self, name: str) -> bool:
        return self._trial.loop.now < self._spans.get(name, 0.0)

    def journey(self) -> Journey:
        """What the request meets that is sent now."""
        chance, window = self._chance, self._trial.setting.window
        half = chance.uniform(*self._trial.setting.latency) / 2
        if not self._spans:
            return Journey(half, half)
        if self._hit("refused connections"):
            return Journey(half, half, "refused")
        if self._hit("cut before"):
            return Journey(half, chance.uniform(0.01, 1), "before")
        if self._hit("cut after"):
            return Journey(half, chance.uniform(0.01, 1), "after")
        if self._hit("5xx before"):
            return Journey(half, half, status=503, counted=False)
        if self._hit("5xx after"):
            return Journey(half, half, status=500)
        if self._hit("another limit"):
            return Journey(half, half, status=429, counted=False)
        if self._hit("answers after the window"):
            return self._slow(half, window * chance.uniform(1, 1.3))
        if self._hit("slow answers"):
            return self._slow(half, chance.uniform(1, 4))
        if self._hit("requests late"):
            return self._slow(chance.uniform(0.5, 3), half)
        return Journey(half, half)

    def _slow(self, out: float, back: float) -> Journey:
        """On its way for longer than a permit is remembered, less what it may have been in hand, it is nobody's."""
        self._trial.disturb(self._trial.loop.now + out + back)
        self._trial.allow(out > 2 * max(TTL, self._trial.setting.window / 12) - TTL, "a request that arrives late")
        return Journey(out, back)

    def fate(self) -> Fate:
        """What the trip meets that is made now."""
        chance = self._chance
        out, back = chance.uniform(0.0001, 0.0006), chance.uniform(0.0001, 0.0006)
        if not self._spans:
            return Fate(out, back)
        if self._hit("commands lost"):
            return Fate(out, back, "lost")
        if self._hit("answers lost"):
            return Fate(out, back, "answer lost")
        if self._hit("commands twice"):
            return Fate(out, back, "twice", chance.choice([0.0, chance.uniform(0, 1)]))
        late = chance.uniform(0, 1.5) if self._hit("commands late") else 0.0
        stopped = self._spans.get("store stopped", 0.0) - self._trial.loop.now
        if stopped > late:
            self._trial.branches.sometimes("command in the queue of a stopped store")
            late = stopped
        if late <= 0:
            return Fate(out, back)
        self._trial.disturb(self._trial.loop.now + late)
        return Fate(late, back) if late < DEADLINE - 0.01 else Fate(out, back, "late", late)

    def _hit(self, name: str) -> bool:
        return self.during(name) and self._chance.random() < OFTEN
