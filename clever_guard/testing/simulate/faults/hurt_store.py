"""Faults of the store and of the way to it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clever_guard.testing.simulate.faults.trial import Trial

DRIFT = 0.001
STEP = 40.0
"""Seconds by which a clock is set, at most."""
LAG = 1.0
"""Seconds of writes a failover loses, at most."""
SCOUT = 1


def lose_commands(trial: Trial, chance: random.Random) -> None:
    trial.weather.span("commands lost", _while(trial, chance))


def lose_answers(trial: Trial, chance: random.Random) -> None:
    trial.weather.span("answers lost", _while(trial, chance))


def delay(trial: Trial, chance: random.Random) -> None:
    """Some arrive within the deadline, some after their worker gave up."""
    trial.weather.span("commands late", _while(trial, chance))


def repeat(trial: Trial, chance: random.Random) -> None:
    """The network, or a client that was told not to, delivers a command a second time."""
    trial.weather.span("commands twice", _while(trial, chance))


def stop(trial: Trial, chance: random.Random) -> None:
    """SIGSTOP: what comes meanwhile is executed when it goes on, though its worker gave up."""
    trial.weather.span("store stopped", chance.uniform(0.05, 3))


def go_down(trial: Trial, chance: random.Random) -> None:
    trial.weather.span("store down", _while(trial, chance))


def cut_off(trial: Trial, chance: random.Random) -> None:
    trial.running(chance).cut_off_until = trial.loop.now + (seconds := _while(trial, chance))
    trial.disturb(trial.loop.now + seconds)


def forget(trial: Trial, chance: random.Random) -> None:
    trial.allow(trial.depot.out + SCOUT, "data lost")
    trial.depot.forget()


def fall_back(trial: Trial, chance: random.Random) -> None:
    """A failover to a replica that had not heard of the newest writes."""
    out, left = trial.depot.out, trial.depot.left
    trial.depot.fall_back(chance.uniform(0, LAG))
    trial.allow(out + max(0, trial.depot.left - left) + SCOUT, "fell back")


def step(trial: Trial, chance: random.Random) -> None:
    trial.allow(trial.depot.out + len(trial.alive) + SCOUT, "store's clock set")
    seconds = chance.uniform(-STEP, STEP)
    trial.depot.offset += int(1000 * seconds)
    trial.disturb(trial.loop.now + max(0.0, -seconds))  # a reading that was on its way says an end so much later


def drift(trial: Trial, chance: random.Random) -> None:
    trial.depot.rate = 1 + chance.uniform(-DRIFT, DRIFT)
    trial.allow_each_window = True


def _while(trial: Trial, chance: random.Random) -> float:
    return chance.uniform(0.1, 1.0) * trial.setting.window
