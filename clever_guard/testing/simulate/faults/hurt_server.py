"""Faults of the server and of the way to it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clever_guard.testing.simulate.faults.trial import Trial

DRIFT = 0.001
SET = 40.0


def cut_before(trial: Trial, chance: random.Random) -> None:
    trial.weather.span("cut before", _while(trial, chance))


def cut_after(trial: Trial, chance: random.Random) -> None:
    trial.weather.span("cut after", _while(trial, chance))


def refuse_connections(trial: Trial, chance: random.Random) -> None:
    trial.weather.span("refused connections", _while(trial, chance))


def fail_before(trial: Trial, chance: random.Random) -> None:
    """A gateway's 503: no quota headers, nothing counted."""
    trial.weather.span("5xx before", _while(trial, chance))


def fail_after(trial: Trial, chance: random.Random) -> None:
    trial.weather.span("5xx after", _while(trial, chance))


def refuse(trial: Trial, chance: random.Random) -> None:
    """429 of a limit that is not ours to keep, without quota headers. It is not held against the fleet."""
    trial.weather.span("another limit", chance.uniform(0.05, 0.5) * trial.setting.window)


def answer_late(trial: Trial, chance: random.Random) -> None:
    trial.weather.span("slow answers", _while(trial, chance))


def answer_after_window(trial: Trial, chance: random.Random) -> None:
    trial.weather.span("answers after the window", _while(trial, chance) / 2)


def arrive_late(trial: Trial, chance: random.Random) -> None:
    trial.weather.span("requests late", _while(trial, chance) / 2)


def drift(trial: Trial, chance: random.Random) -> None:
    trial.api.rate = 1 + chance.uniform(-DRIFT, DRIFT)
    trial.allow_each_window = True


def rename(trial: Trial, chance: random.Random) -> None:
    trial.api.bucket = "c" if trial.api.bucket == "b" else "b"


def set_clock(trial: Trial, chance: random.Random) -> None:
    trial.allow(len(trial.alive) + 1, "server's clock set")
    trial.api.set_clock(chance.uniform(-SET, SET))


def change_limit(trial: Trial, chance: random.Random) -> None:
    """At once, in the middle of the window."""
    limit = max(2, int(trial.setting.limit * chance.uniform(0.5, 1.5)))
    if limit < trial.api.budget.limit:
        trial.allow(trial.api.budget.limit - limit + 1, "limit lowered")
    trial.api.set_limit(limit)


def first_hit(trial: Trial, chance: random.Random) -> None:
    trial.api.turn(first_hit=True)
    trial.first_hit = True
    trial.allow_each_window = True


def blank(trial: Trial, chance: random.Random) -> None:
    trial.weather.span("no headers", _while(trial, chance))
    trial.allow(2, "answers without headers")


def other_tick(trial: Trial, chance: random.Random) -> None:
    trial.weather.span("other tick", _while(trial, chance))
    trial.allow(2, "Date of another clock")


def let_stranger_in(trial: Trial, chance: random.Random) -> None:
    """Somebody else with the same token, for the rest of the faults."""
    at = chance.choice(["spread", "reset"])
    trial.api.turn(stranger=chance.uniform(0.05, 0.4), stranger_at=at)


def _while(trial: Trial, chance: random.Random) -> float:
    return chance.uniform(0.1, 1.0) * trial.setting.window
