"""What differs between two runs, and whether that is explained."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.urllib3_suite.differences import EXPECTED, Expected

ABSENT = ("absent", "")


@dataclass(frozen=True, slots=True)
class Run:
    """One run: test id -> outcome and what was said; and what the guard counted."""

    guarding: str
    tests: dict[str, tuple[str, str]]
    counts: dict[str, int]

    @property
    def outcomes(self) -> Counter[str]:
        return Counter(outcome for outcome, _ in self.tests.values())


@dataclass(frozen=True, slots=True)
class Difference:
    """A test that ended otherwise than bare."""

    guarding: str
    test: str
    bare: str
    guarded: str
    said: str

    def reason(self, expected: Sequence[Expected] = EXPECTED) -> str | None:
        """Why that is so by design; None when nothing explains it."""
        return next((entry.reason for entry in expected if entry.covers(self.guarding, self.test)), None)


def read(guarding: str, file: Path) -> Run:
    """A run as the plugin wrote it down."""
    found = json.loads(file.read_text())
    tests = {test: (outcome, said) for test, (outcome, said) in found["tests"].items()}
    return Run(guarding, tests, found["counts"])


def differences(bare: Run, guarded: Run) -> list[Difference]:
    """The tests of either run that ended otherwise in the other."""
    pairs = [
        (test, bare.tests.get(test, ABSENT), guarded.tests.get(test, ABSENT))
        for test in sorted(bare.tests.keys() | guarded.tests.keys())
    ]
    return [
        Difference(guarded.guarding, test, before[0], after[0], after[1] or before[1])
        for test, before, after in pairs
        if before[0] != after[0]
    ]


def no_longer_seen(found: Iterable[Difference], expected: Sequence[Expected] = EXPECTED) -> list[Expected]:
    """Explanations of differences that are not there: they would hide the next ones."""
    found = list(found)
    return [entry for entry in expected if not any(entry.covers(each.guarding, each.test) for each in found)]
