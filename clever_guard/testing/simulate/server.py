"""The simulated API: the emulator's budgets and headers, and a few oddities more. Its log is the judge."""

from __future__ import annotations

import random
import time
from dataclasses import replace

from clever_guard.testing.emulator.budget import Budget
from clever_guard.testing.emulator.headers import quota_headers
from clever_guard.testing.emulator.knobs import Knobs
from clever_guard.testing.simulate.setting import Setting

EPOCH = 1_000_000_000.0
"""Virtual time 0, in epoch seconds."""


class Headers:
    """The production dialect asks by name, in any case."""

    __slots__ = ("_values",)

    def __init__(self, values: list[tuple[str, str]]) -> None:
        self._values = {name.lower(): value for name, value in values}

    def get(self, name: str, /) -> str | None:
        return self._values.get(name.lower())


class Server:
    """One token's budget."""

    def __init__(self, setting: Setting, chance: random.Random) -> None:
        self.setting = setting
        self._chance = chance
        self._knobs = Knobs(
            limit=setting.limit,
            window=setting.window,
            phase=setting.phase,
            skew=setting.skew,
            rounding=setting.rounding,  # type: ignore[arg-type]
            first_hit=setting.first_hit,
            stranger=setting.stranger,
            stranger_at=setting.stranger_at,  # type: ignore[arg-type]
        )
        self.budget = Budget(self._knobs, setting.limit)
        self.bucket = "b"
        """Its name, as answers say it."""
        self.headerless = setting.headerless
        """Share of the answers that carry no quota headers; 1 is for refusals too."""
        self.other_tick = setting.other_tick

    def handle(self, now: float, worker: str) -> tuple[int, Headers]:
        """Status and headers of a request that arrives at ``now`` (virtual seconds)."""
        window = self.budget.at(EPOCH + now)
        admitted = window.left > 0
        self.budget.note(window, EPOCH + now, worker, admitted)
        headers = self._date(now)
        blank = self.headerless and (self.headerless == 1 or admitted)
        if not (blank and self._chance.random() < self.headerless):
            headers += quota_headers(self._knobs, {self.bucket: window})
        return (200 if admitted else 429), Headers(headers)

    def set_clock(self, seconds: float) -> None:
        self.turn(skew=self._knobs.skew + seconds)

    def set_limit(self, limit: int) -> None:
        """At once, in the middle of the window."""
        self.turn(limit=limit)
        self.budget.limit = limit
        if self.budget.windows:
            self.budget.windows[-1].limit = limit

    def turn(self, **turned: object) -> None:
        """Change knobs of the emulator from now on."""
        self._knobs = replace(self._knobs, **turned)  # type: ignore[arg-type]
        self.budget._knobs = self._knobs

    def _date(self, now: float) -> list[tuple[str, str]]:
        if not self.setting.dated:
            return []
        off = self._chance.uniform(-1, 1) * self.other_tick
        moment = int(EPOCH + now + self._knobs.skew + off)
        return [("Date", time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(moment)))]
