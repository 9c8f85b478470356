"""What one seed is like: a small fleet, a server, up to three kinds of fault, and two phases: faults on, faults off."""

from __future__ import annotations

import random
from dataclasses import dataclass

from clever_guard.testing.simulate.faults.kinds import KINDS, Kind
from clever_guard.testing.simulate.setting import Setting

ON = 2.5
"""Windows in which faults happen."""
HOW_MANY = (0, 1, 1, 1, 2, 2, 2, 3)


@dataclass(frozen=True, slots=True)
class Event:
    """One fault. ``at``: true seconds."""

    at: float
    kind: Kind


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """``think``: mean seconds between a caller's calls while faults are on (0: none; later there are none anyway)."""

    seed: int
    setting: Setting
    kinds: tuple[Kind, ...]
    events: tuple[Event, ...]
    think: float = 0.0
    deadline: float | None = None
    """Seconds a call may take."""
    max_wait: float | None = None
    local: bool = False
    """Whether workers go on with a share of their own when the store fails; else the call fails."""
    in_hand: bool = True
    """Whether callers look for a permit in hand first, as the usual call does."""


def drawn(seed: int, kinds: tuple[Kind, ...] | None = None) -> Schedule:
    """The schedule of a seed. ``kinds``: those instead of its own."""
    chance = random.Random(f"faults/{seed}")
    setting = _setting(chance)
    chosen = tuple(chance.sample(KINDS, chance.choice(HOW_MANY)))
    chosen = chosen if kinds is None else kinds
    events = [event for kind in chosen for event in _events(kind, setting, chance)]
    span = setting.window * setting.workers * setting.threads / setting.limit
    return Schedule(
        seed=seed,
        setting=setting,
        kinds=chosen,
        events=tuple(sorted(events, key=lambda event: event.at)),
        think=chance.choice([0.0, 0.0, chance.uniform(0.3, 1.5) * span]),
        deadline=chance.choice([None, None, None, chance.uniform(0.2, 1.5) * setting.window]),
        max_wait=chance.choice([None, None, None, chance.uniform(0.1, 1.0) * setting.window]),
        local=chance.random() < 0.5,
        in_hand=chance.random() < 0.7,
    )


def _setting(chance: random.Random) -> Setting:
    window = chance.choice([4.0, 4.0, 6.0, 6.0, 8.0, 10.0, 20.0, 60.0])
    return Setting(
        limit=chance.randint(3, 12),
        window=window,
        workers=chance.choice([1, 1, 2, 2, 2, 2, 3, 3, 3, 4, 5, 8]),
        threads=chance.choice([1, 1, 1, 2, 3]),
        latency=chance.choice([(0.002, 0.03), (0.02, 0.3)]),
        phase=chance.uniform(0, window),
        skew=chance.uniform(-300, 40),
        rounding=chance.choice(["floor", "ceil", "nearest"]),
    )


def _events(kind: Kind, setting: Setting, chance: random.Random) -> list[Event]:
    """A trait of the whole schedule is there from the start; other faults happen up to three times."""
    if kind.trait:
        return [Event(0.0, kind)]
    times = chance.randint(1, 3)
    first = [Event(0.0, kind)] if kind.early and chance.random() < 0.3 else []
    return first + [Event(chance.uniform(0.05, ON) * setting.window, kind) for _ in range(times)]
