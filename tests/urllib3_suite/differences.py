"""The tests of urllib3 that end otherwise under the guard, each with the reason that it does so by design."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Expected:
    """``test``: an id, with its parameters or for all of them. ``guarding``: the runs in which it differs."""

    guarding: tuple[str, ...]
    test: str
    reason: str

    def covers(self, guarding: str, test: str) -> bool:
        return guarding in self.guarding and self.test in (test, test.partition("[")[0])


EXPECTED: tuple[Expected, ...] = ()
