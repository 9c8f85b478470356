"""A worker's way to the store, and what one trip meets on it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from clever_guard.errors import StoreUnavailable
from clever_guard.quota.store import Answer, Command

if TYPE_CHECKING:
    from clever_guard.testing.simulate.faults.process import Process

DEADLINE = 0.25
"""Seconds a worker waits for the store."""


class Fate(NamedTuple):
    """``out`` and ``back``: seconds on the way. ``late``: seconds after which it is executed although its worker gave up."""

    out: float
    back: float
    kind: str = ""
    """``lost``, ``answer lost``, ``late``, ``twice``; empty: nothing happens to it."""
    late: float = 0.0


class Way:
    """The store as one worker sees it. ``fate`` is set before each trip; ``silent`` tells whether it waited in vain."""

    shared = True

    def __init__(self, process: Process) -> None:
        self._process = process
        self.fate = Fate(0.0, 0.0)
        self.silent = False

    def execute(self, commands: Sequence[Command], /) -> Sequence[Answer]:
        trial = self._process.trial
        self.silent = False
        trial.speaker = self._process.number
        if trial.weather.during("store down") or trial.loop.now < self._process.cut_off_until:
            raise StoreUnavailable("the simulated store refuses connections")
        match self.fate.kind:
            case "lost":
                trial.branches.sometimes("command lost")
            case "answer lost":
                trial.branches.sometimes("reply of a command lost")
                trial.depot.execute(commands)
            case "late":
                trial.branches.sometimes("command executed after its worker gave up")
                trial.loop.after(self.fate.late, partial(trial.depot.receive, commands))
            case "twice":
                answers = trial.depot.execute(commands)
                self._repeat(commands)
                return answers
            case _:
                return trial.depot.execute(commands)
        self.silent = True
        raise StoreUnavailable("the simulated store does not answer")

    def fingerprint(self, mine: str, /) -> str | None:
        return None

    def close(self) -> None:
        """Nothing to release."""

    def _repeat(self, commands: Sequence[Command]) -> None:
        """The second delivery frees permits of others: as many as its reports say were answered or given back."""
        trial = self._process.trial
        trial.branches.sometimes("command delivered twice")
        freed = sum(r.answered + r.unsent + r.blank for command in commands for r in command.reports)
        trial.allow(freed, "delivered twice")
        trial.loop.after(self.fate.late, partial(trial.depot.receive, commands))
