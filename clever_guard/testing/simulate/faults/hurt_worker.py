"""Faults of workers."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clever_guard.testing.simulate.faults.process import Process
    from clever_guard.testing.simulate.faults.trial import Trial

DRIFT = 0.001
LONGEST_STOP = 10.0


def crash(trial: Trial, chance: random.Random) -> None:
    """Dead at this instant, permits in hand and all. The last of a fleet is replaced."""
    _at_some_moment(trial, chance, lambda worker: _die(trial, worker))


def _die(trial: Trial, worker: Process) -> None:
    worker.die()
    if not trial.alive:
        trial.spawn()


def _at_some_moment(trial: Trial, chance: random.Random, fault: Callable[[Process], None]) -> None:
    """At once; or when its next request has just left, or its next command: moments too short to be hit by chance."""
    worker, moment = trial.running(chance), chance.choice(["now", "sends", "draws"])
    if moment == "now":
        fault(worker)
    else:
        worker.when(moment, lambda: fault(worker))


def restart(trial: Trial, chance: random.Random) -> None:
    """Dead, and back under another id with nothing remembered."""
    trial.running(chance).die()
    trial.loop.after(chance.uniform(0, 1), trial.spawn)
    trial.disturb(trial.loop.now + 1)
    if not trial.alive:
        trial.spawn()


def stop(trial: Trial, chance: random.Random) -> None:
    """SIGSTOP, and SIGCONT some seconds later: the world's clocks went on."""
    seconds = chance.uniform(0, LONGEST_STOP)
    _at_some_moment(trial, chance, lambda worker: worker.stop(seconds))


def sleep(trial: Trial, chance: random.Random) -> None:
    """The host was suspended: the monotonic clock stood still with the process."""
    worker = trial.running(chance)
    trial.allow(worker.accounts.in_hand, f"w{worker.number} sleeps")
    worker.stop(chance.uniform(0, LONGEST_STOP), asleep=True)


def interrupt(trial: Trial, chance: random.Random) -> None:
    """KeyboardInterrupt or a cancellation, in a wait or a send."""
    _at_some_moment(trial, chance, lambda worker: worker.interrupt(chance))


def drift(trial: Trial, chance: random.Random) -> None:
    for worker in trial.workers:
        worker.drift(1 + chance.uniform(-DRIFT, DRIFT))
