"""What the emulator's log of a soak says, measured by the bound that docs/ledger.md states ("What a fault may cost")."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.faults import OF_STORE, Done

SPENT = 0.80
"""Share of the budget that is used in all, faults and all."""
RATE = 2.0
"""Refusals for each 1000 requests in all, whatever the faults allow: the simulation's worst row of faults has half as many."""
RECOVERED = 0.95
"""The same in every window that begins a window after the last fault, or later."""
FELT = {"flush": 1.5} | {kind: 5.5 for kind in OF_STORE if kind != "flush"}
"""Seconds for which a trouble of the store is felt after its end. Leases that it forgot live for a second; a worker that lost it
looks again after five, and waits a quarter of a second for its answer."""


@dataclass(frozen=True)
class Reach:
    """Refusals that a fault may cost in each window it touches, and in all (infinite: in as many as it touches)."""

    begin: float
    end: float
    each: int
    in_all: float


@dataclass
class Window:
    """One full window of the run. ``allowed``: refusals by the bound."""

    start: float
    end: float
    limit: int
    admitted: int
    refused: int
    allowed: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    refusals: list[tuple[float, str]] = field(default_factory=list)

    @property
    def share(self) -> float:
        return self.admitted / self.limit


@dataclass
class Verdict:
    """``missed`` are sentences; none is what is hoped for."""

    windows: list[Window]
    admitted: int
    refused: int
    allowed: float
    worst: Window | None
    share: float
    after: list[float]
    """Shares of the windows that lie wholly behind the last fault, in order."""
    missed: list[str] = field(default_factory=list)

    @property
    def refused_per_1000(self) -> float:
        return 1000 * self.refused / max(1, self.admitted + self.refused)

    def as_data(self) -> dict[str, Any]:
        return asdict(self) | {"refused_per_1000": self.refused_per_1000}


def reaches(
    done: Sequence[Done], dark: Sequence[tuple[float, float]], window: float, workers: int, threads: int
) -> list[Reach]:
    """How far each fault may be felt. ``dark``: when workers worked without their store, by their own word."""
    calls = workers * threads
    found = []
    for fault in done:
        late = fault.ended + 2 * window
        if fault.kind == "kill":
            found.append(Reach(fault.began, late, 1, 1))
        elif fault.kind == "stop":
            found.append(Reach(fault.began, late, threads, threads))
        else:
            found.append(Reach(fault.began, fault.ended + FELT[fault.kind], calls, math.inf))
    return found + [Reach(begin, end, calls, math.inf) for begin, end in dark]


def judge(
    log: Sequence[dict[str, Any]],
    begun: float,
    until: float,
    done: Sequence[Done],
    felt: Sequence[Reach],
    *,
    spent: float = SPENT,
    recovered: float = RECOVERED,
    rate: float = RATE,
) -> Verdict:
    """The verdict on the windows that lie within the run but for the first full one, in which a new fleet learns the border."""
    windows = [_window(one, done, felt) for one in log if one["start"] >= begun and one["end"] <= until][1:]
    admitted, refused = sum(one.admitted for one in windows), sum(one.refused for one in windows)
    last = max((fault.ended for fault in done), default=begun)
    verdict = Verdict(
        windows,
        admitted,
        refused,
        _allowed_in_all(windows, felt),
        max(windows, key=lambda one: one.refused, default=None),
        admitted / max(1, sum(one.limit for one in windows)),
        [one.share for one in windows if one.start >= last],
    )
    verdict.missed = [*_over(verdict, rate), *_idle(verdict, last, spent, recovered)]
    return verdict


def _window(one: dict[str, Any], done: Sequence[Done], felt: Sequence[Reach]) -> Window:
    window = Window(one["start"], one["end"], one["limit"], one["admitted"], one["refused"])
    window.refusals = [(at, worker) for at, worker in one.get("refusals", ())]
    touching = [reach for reach in felt if _touches(reach, window)]
    lasting = [reach for reach in touching if reach.in_all == math.inf]
    once = sum(reach.each for reach in touching if reach.in_all < math.inf)
    window.allowed = once + max((reach.each for reach in lasting), default=0)
    for fault in done:
        if window.start <= fault.began < window.end:
            window.faults[fault.kind] = window.faults.get(fault.kind, 0) + 1
    return window


def _touches(reach: Reach, window: Window) -> bool:
    return reach.begin < window.end and reach.end >= window.start


def _allowed_in_all(windows: Sequence[Window], felt: Sequence[Reach]) -> float:
    """Each window without its store for itself, but a fault that costs one refusal costs it once."""
    once = sum(reach.in_all for reach in felt if reach.in_all < math.inf)
    lasting = [reach for reach in felt if reach.in_all == math.inf]
    return once + sum(max((one.each for one in lasting if _touches(one, window)), default=0) for window in windows)


def _over(verdict: Verdict, rate: float) -> list[str]:
    found = [
        f"window {number}: {window.refused} refused, the bound allows {window.allowed}"
        for number, window in enumerate(verdict.windows, 1)
        if window.refused > window.allowed
    ]
    if verdict.refused > verdict.allowed:
        found.append(f"{verdict.refused} refused in all, the bound allows {verdict.allowed:.0f}")
    if verdict.refused_per_1000 > rate:
        found.append(f"{verdict.refused_per_1000:.2f} refused per 1000, {rate:g} is the most")
    return found


def _idle(verdict: Verdict, last: float, spent: float, recovered: float) -> list[str]:
    found = []
    if not verdict.windows:
        return ["no window lies within the run: make it longer"]
    if verdict.share < spent:
        found.append(f"{verdict.share:.1%} of the budget used, {spent:.0%} is the least")
    late = [window for window in verdict.windows if window.start >= last + (window.end - window.start)]
    if not late:
        found.append("no window lies a window behind the last fault: make the run longer")
    found += [
        f"{window.share:.1%} used in the window {window.start - last:.0f} s after the last fault, {recovered:.0%} is the least"
        for window in late
        if window.share < recovered
    ]
    return found
