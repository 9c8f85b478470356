"""Faults of workers."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clever_guard.testing.simulate.faults.trial import Trial

DRIFT = 0.001
LONGEST_STOP = 10.0


def crash(trial: Trial, chance: random.Random) -> None:
    """Dead at this instant, permits in hand and all. The last of a fleet is replaced."""
    trial.running(chance).die()
    if not trial.alive:
        trial.spawn()


def restart(trial: Trial, chance: random.Random) -> None:
    """Dead, and back under another id with nothing remembered."""
    trial.running(chance).die()
    trial.loop.after(chance.uniform(0, 1), trial.spawn)
    trial.disturb(trial.loop.now + 1)
    if not trial.alive:
        trial.spawn()


def stop(trial: Trial, chance: random.Random) -> None:
    """SIGSTOP, and SIGCONT some seconds later: the world's clocks went on."""
    trial.running(chance).stop(chance.uniform(0, LONGEST_STOP))


def sleep(trial: Trial, chance: random.Random) -> None:
    """The host was suspended: the monotonic clock stood still with the process."""
    worker = trial.running(chance)
    trial.allow(worker.in_hand, f"w{worker.number} sleeps")
    worker.stop(chance.uniform(0, LONGEST_STOP), asleep=True)


def interrupt(trial: Trial, chance: random.Random) -> None:
    """KeyboardInterrupt or a cancellation, in a wait or a send."""
    trial.running(chance).interrupt(chance)


def drift(trial: Trial, chance: random.Random) -> None:
    for worker in trial.workers:
        worker.drift(1 + chance.uniform(-DRIFT, DRIFT))
