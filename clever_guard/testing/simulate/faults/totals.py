"""The figures of many schedules: added up, kept in a file, printed."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from itertools import combinations
from pathlib import Path
from typing import Any

from clever_guard import __version__
from clever_guard.testing.simulate.faults.branches import NAMES
from clever_guard.testing.simulate.faults.kinds import KINDS
from clever_guard.testing.simulate.faults.trial import Result

DAY = 86_400
KEPT = 1_000
"""Violations of which the seed is remembered; the rest is counted."""
ENOUGH = 10_000
"""Schedules in which each rare branch must be taken once, and after which rates mean something."""


@dataclass(slots=True)
class Alone:
    """Schedules with one kind of fault only, and those with none (kind ``""``)."""

    schedules: int = 0
    requests: int = 0
    refused: int = 0
    spent: float = 0.0
    windows: int = 0


@dataclass(slots=True)
class Totals:
    """``next_seed``: the first seed that is not in yet."""

    first_seed: int
    next_seed: int
    version: str = __version__
    requests: int = 0
    refused: int = 0
    commands: int = 0
    seconds: float = 0.0
    cpu: float = 0.0
    violating: int = 0
    violations: list[tuple[int, str]] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    pairs: Counter[str] = field(default_factory=Counter)
    branches: Counter[str] = field(default_factory=Counter)
    alone: dict[str, Alone] = field(default_factory=dict)

    @property
    def schedules(self) -> int:
        return self.next_seed - self.first_seed

    def add(self, result: Result) -> None:
        self.next_seed = result.seed + 1
        self.requests += result.requests
        self.refused += result.refused
        self.commands += result.commands
        self.seconds += result.seconds
        self.violating += bool(result.violations)
        self.violations += [(result.seed, what) for what in result.violations[: KEPT - len(self.violations)]]
        self.faults.update(result.faults)
        self.branches.update(result.branches)
        self.pairs.update(" + ".join(pair) for pair in combinations(sorted(result.kinds), 2))
        if len(result.kinds) <= 1:
            self._add_alone(self.alone.setdefault("".join(result.kinds), Alone()), result)

    def join(self, later: Totals) -> None:
        """``later`` begins where this ends."""
        self.next_seed = later.next_seed
        for name in ("requests", "refused", "commands", "seconds", "cpu", "violating"):
            setattr(self, name, getattr(self, name) + getattr(later, name))
        self.violations = (self.violations + later.violations)[:KEPT]
        for name in ("faults", "pairs", "branches"):
            getattr(self, name).update(getattr(later, name))
        for kind, alone in later.alone.items():
            mine = self.alone.setdefault(kind, Alone())
            for name in ("schedules", "requests", "refused", "spent", "windows"):
                setattr(mine, name, getattr(mine, name) + getattr(alone, name))

    def _add_alone(self, alone: Alone, result: Result) -> None:
        alone.schedules += 1
        alone.requests += result.requests
        alone.refused += result.refused
        alone.spent += sum(result.spent)
        alone.windows += len(result.spent)

    # -- what is wrong -------------------------------------------------------------------------------------------------

    def never(self) -> list[str]:
        """Rare branches that were not taken as often as once in 10^4 schedules."""
        return [name for name in NAMES if self.branches[name] < max(1, self.schedules // ENOUGH)]

    def above(self) -> list[str]:
        """Kinds that cost more refusals, by themselves, than the catalogue says."""
        rates = {kind.name: kind.rate for kind in KINDS}
        return [name for name, alone in self.alone.items() if _rate(alone) > rates.get(name, 0.0)]

    @property
    def proven(self) -> bool:
        enough = self.schedules >= ENOUGH
        return not self.violating and not (enough and (self.never() or self.above()))

    # -- the file ------------------------------------------------------------------------------------------------------

    def save(self, path: Path) -> None:
        """At once or not at all."""
        draft = path.with_name(path.name + ".new")
        draft.write_text(json.dumps(self._plain(), indent=1))
        os.replace(draft, path)

    def _plain(self) -> dict[str, Any]:
        plain = {one.name: getattr(self, one.name) for one in fields(self)}
        return plain | {"alone": {kind: asdict(alone) for kind, alone in self.alone.items()}}

    @classmethod
    def load(cls, path: Path) -> Totals:
        """Raises ValueError for what is no such file, or of another version."""
        try:
            found: dict[str, Any] = json.loads(path.read_text())
            found["alone"] = {kind: Alone(**alone) for kind, alone in found["alone"].items()}
            found["violations"] = [(seed, what) for seed, what in found["violations"]]
            for name in ("faults", "pairs", "branches"):
                found[name] = Counter(found[name])
            totals = cls(**found)
        except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
            raise ValueError(f"{path} holds no totals of this command: remove it, or name another file") from error
        if totals.version != __version__:
            raise ValueError(f"{path} is of version {totals.version}, this is {__version__}: name another file")
        return totals


def _rate(alone: Alone) -> float:
    return 1000 * alone.refused / max(1, alone.requests)


def report(totals: Totals, seconds: float) -> str:
    """Everything, as people read it. ``seconds``: what this run took."""
    return "\n".join((*_summary(totals, seconds), "", *_kinds(totals), "", *_branches(totals), "", *_verdict(totals)))


def _summary(totals: Totals, seconds: float) -> Iterator[str]:
    pairs = len(KINDS) * (len(KINDS) - 1) // 2
    days = totals.seconds / DAY
    yield f"seeds       {totals.first_seed}..{totals.next_seed - 1}"
    yield f"schedules   {totals.schedules:,}"
    yield f"requests    {totals.requests:,}, {totals.commands:,} commands to the store"
    yield f"simulated   {days:,.1f} days ({days / 365.25:.2f} years)"
    yield f"faults      {totals.faults.total():,} of {len(totals.faults)} kinds, {len(totals.pairs)} of {pairs} pairs of kinds"
    yield f"refused     {totals.refused:,} ({1000 * totals.refused / max(1, totals.requests):.2f} per 1000), all of them explained by the faults below"
    yield f"processor   {totals.cpu:,.0f} s, {1000 * totals.cpu / max(1, totals.schedules):.1f} ms a schedule; this run took {seconds:,.0f} s"


def _kinds(totals: Totals) -> Iterator[str]:
    yield f"{'fault':28}{'injected':>10}{'alone':>8}{'requests':>10}{'429/1000':>10}{'bound':>7}{'spent':>7}  what may be refused"
    for kind in KINDS:
        alone = totals.alone.get(kind.name, Alone())
        rate, spent = _rate(alone), alone.spent / max(1, alone.windows)
        over = "  <- over" if rate > kind.rate else ""
        yield (
            f"{kind.name:28}{totals.faults[kind.name]:10,}{alone.schedules:8,}{alone.requests:10,}{rate:10.2f}{kind.rate:7.1f}"
            f"{spent:7.3f}  {kind.why}{over}"
        )
    none = totals.alone.get("", Alone())
    spent = none.spent / max(1, none.windows)
    yield f"{'(none)':28}{'':10}{none.schedules:8,}{none.requests:10,}{_rate(none):10.2f}{0.0:7.1f}{spent:7.3f}  none"


def _branches(totals: Totals) -> Iterator[str]:
    yield f"{'rare branch':52}{'taken':>10}"
    for name in NAMES:
        yield f"{name:52}{totals.branches[name]:10,}{'' if totals.branches[name] else '  <- never'}"


def _verdict(totals: Totals) -> Iterator[str]:
    for seed, what in totals.violations[:20]:
        yield f"VIOLATION   seed {seed}: {what}"
    if totals.schedules < ENOUGH:
        yield f"(rates and rare branches are judged from {ENOUGH:,} schedules on)"
    yield f"violations  {totals.violating}"
