"""Many schedules: progress, the table, the exit status."""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from clever_guard.testing.simulate.quiet import quiet
from clever_guard.testing.simulate.scenarios import BY_NAME, SCENARIOS, Scenario
from clever_guard.testing.simulate.world import Figures, World


@dataclass(slots=True)
class Row:
    """The figures of all schedules of one scenario."""

    scenario: Scenario
    schedules: int = 0
    answered: int = 0
    refused: int = 0
    blind: int = 0
    commands: int = 0
    over: int = 0
    spent: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    worst: tuple[int, int] = (0, 0)
    """Refusals and seed of the worst schedule."""

    def add(self, seed: int, figures: Figures) -> None:
        self.schedules += 1
        self.answered += figures.answered
        self.refused += figures.refused
        self.blind += figures.blind
        self.commands += figures.commands
        self.over += figures.over
        self.spent += figures.spent
        self.late += figures.late
        self.worst = max(self.worst, (figures.refused, seed))

    @property
    def rate(self) -> float:
        return 1000 * self.refused / max(1, self.answered)

    @property
    def blind_rate(self) -> float:
        return 1000 * self.blind / max(1, self.answered)

    @property
    def kept(self) -> bool:
        """Whether the row keeps its bound, which is about those refusals that somebody could have foreseen."""
        median = statistics.median(self.spent) if self.spent else 1.0
        return self.rate - self.blind_rate <= self.scenario.bound and not self.over and median >= self.scenario.least


def run_one(name: str, seed: int, trace: bool = False) -> Figures:
    """One schedule."""
    return World(BY_NAME[name].setting(seed), f"{name}/{seed}", print if trace else None).run()


def _job(job: tuple[str, int]) -> tuple[str, int, Figures]:
    return (*job, run_one(*job))


def run_many(names: list[str], seeds: list[int], jobs: int) -> Iterator[tuple[str, int, Figures]]:
    """Schedules spread over the rows, as they end: seed after seed, each on the next row."""
    work = [(names[number % len(names)], seed) for number, seed in enumerate(seeds)]
    if jobs == 1:
        yield from map(_job, work)
        return
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        yield from pool.imap_unordered(_job, work, chunksize=4)


@quiet()
def main(arguments: list[str] | None = None) -> int:
    """Exit status 0 when every row keeps its bound."""
    options = _parser().parse_args(arguments)
    names = [options.scenario] if options.scenario else [scenario.name for scenario in SCENARIOS]
    if options.trace:
        run_one(names[0], options.first_seed, trace=True)
        return 0
    rows = {name: Row(BY_NAME[name]) for name in names}
    begun = time.monotonic()
    seeds = list(range(options.first_seed, options.first_seed + options.seeds))
    for done, (name, seed, figures) in enumerate(run_many(names, seeds, options.jobs), 1):
        rows[name].add(seed, figures)
        _progress(done, len(seeds), begun)
    print(f"seeds {seeds[0]}..{seeds[-1]}, {len(seeds)} schedules, {time.monotonic() - begun:.0f} s")
    print(table(list(rows.values())))
    return 0 if all(row.kept for row in rows.values()) else 1


def table(rows: list[Row]) -> str:
    """The rows as people read them."""
    lines = [
        f"{'scenario':24}{'schedules':>10}{'requests':>10}{'429/1000':>10}{'blind':>7}{'bound':>7}"
        f"{'spent':>8}{'worst':>7}{'late ms':>9}{'commands':>10}  worst seed"
    ]
    for row in rows:
        spent = sorted(row.spent) or [0.0]
        share = (
            f"{statistics.median(spent):8.3f}{spent[len(spent) // 20]:7.2f}" if row.scenario.saturating else " " * 15
        )
        late = 1000 * statistics.median(row.late) if row.late else 0
        worst = f"{row.worst[1]} ({row.worst[0]})" if row.worst[0] else ""
        lines.append(
            f"{row.scenario.name:24}{row.schedules:10}{row.answered:10}{row.rate:10.3f}{row.blind_rate:7.2f}{row.scenario.bound:7.2f}"
            f"{share}{late:9.0f}{row.commands / max(1, row.answered):10.2f}  {worst}{'' if row.kept else '  <- over'}"
        )
    return "\n".join(lines)


def _progress(done: int, of: int, begun: float) -> None:
    if done % max(1, of // 200) == 0 and (sys.stderr.isatty() or done % max(1, of // 10) == 0):
        end = "\r" if sys.stderr.isatty() else "\n"
        print(f"{done} of {of} schedules, {time.monotonic() - begun:.0f} s", end=end, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m clever_guard.testing.simulate", description=__doc__)
    parser.add_argument("--seeds", type=int, default=310, help="schedules, spread over all rows (default 310)")
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--scenario", choices=sorted(BY_NAME), help="one row only")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--trace", action="store_true", help="print every happening of one schedule")
    return parser
