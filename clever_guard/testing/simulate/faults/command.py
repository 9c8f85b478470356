"""``python -m clever_guard.testing.simulate faults``: many schedules, resumable; or one, with everything that happens in it."""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from clever_guard.testing.simulate.faults.kinds import BY_NAME, Kind
from clever_guard.testing.simulate.faults.schedule import Schedule, drawn
from clever_guard.testing.simulate.faults.totals import Totals, report
from clever_guard.testing.simulate.faults.trial import Trial
from clever_guard.testing.simulate.quiet import quiet

CHUNK = 50
"""Schedules that one process runs before it tells of them."""
SAVED_EVERY = 10.0
TOLD_EVERY = 30.0
"""Seconds between two lines of progress where nobody watches; a terminal is told every half second."""


@quiet()
def main(arguments: list[str]) -> int:
    """Exit status 0 when nothing is violated, 1 when something is, 2 when the file to resume from cannot be used."""
    options = _parser().parse_args(arguments)
    if options.seed is not None:
        return _one(drawn(options.seed, _kinds(options.kinds)), options.trace)
    try:
        totals = _begin(options.resume, options.first_seed)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    begun = time.monotonic()
    try:
        for part in _parts(totals, totals.first_seed + options.schedules, options.jobs):
            totals.join(part)
            _keep(totals, options.resume, options.schedules, begun)
    except KeyboardInterrupt:
        print("interrupted: these are the figures so far", file=sys.stderr)
    if options.resume:
        totals.save(options.resume)
    print(report(totals, time.monotonic() - begun))
    return 0 if totals.proven else 1


def run(first: int, end: int) -> Totals:
    """The schedules of the seeds ``first`` to ``end - 1``."""
    totals, begun = Totals(first, first), time.process_time()
    for seed in range(first, end):
        totals.add(Trial(drawn(seed)).run())
    totals.cpu = time.process_time() - begun
    return totals


def _begin(path: Path | None, first_seed: int) -> Totals:
    return Totals.load(path) if path is not None and path.exists() else Totals(first_seed, first_seed)


def _parts(totals: Totals, end: int, jobs: int) -> Iterator[Totals]:
    chunks = [(first, min(first + CHUNK, end)) for first in range(totals.next_seed, end, CHUNK)]
    if jobs == 1:
        yield from (run(*chunk) for chunk in chunks)
        return
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        yield from pool.imap(_run, chunks)


def _run(chunk: tuple[int, int]) -> Totals:
    return run(*chunk)


class _Told:
    """When the file was written and a line of progress printed last, seconds."""

    saved = 0.0
    printed = 0.0


def _keep(totals: Totals, path: Path | None, schedules: int, begun: float) -> None:
    """Write the file and a line of progress, now and then."""
    now, watched = time.monotonic(), sys.stderr.isatty()
    if path is not None and now - _Told.saved > SAVED_EVERY:
        totals.save(path)
        _Told.saved = now
    if now - max(begun, _Told.printed) > (0.5 if watched else TOLD_EVERY):
        _Told.printed = now
        line = f"{totals.schedules:,} of {schedules:,} schedules, {totals.violating} violating, {now - begun:.0f} s"
        print(line, end="\r" if watched else "\n", file=sys.stderr, flush=True)


def _one(schedule: Schedule, trace: bool) -> int:
    setting = schedule.setting
    print(f"seed {schedule.seed}: {', '.join(kind.name for kind in schedule.kinds) or 'no faults'}")
    print(
        f"{setting.workers} workers of {setting.threads} callers, {setting.limit} in {setting.window:.0f} s, "
        f"{'a share of their own' if schedule.local else 'an error'} when the store fails, "
        f"deadline {_seconds(schedule.deadline)}, max_wait {_seconds(schedule.max_wait)}, think {schedule.think:.2f} s"
    )
    result = Trial(schedule, print if trace else None).run()
    print(f"{result.requests} requests, {result.refused} refused, {result.allowed} may be; spent {result.spent}")
    for what in result.violations:
        print(f"VIOLATION {what}")
    return 1 if result.violations else 0


def _seconds(given: float | None) -> str:
    return "none" if given is None else f"{given:.2f} s"


def _kinds(names: str | None) -> tuple[Kind, ...] | None:
    return None if names is None else tuple(BY_NAME[name.strip()] for name in names.split("+"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m clever_guard.testing.simulate faults", description=__doc__)
    parser.add_argument("--schedules", type=int, default=1000, help="in all, with those of the file (default 1000)")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument(
        "--resume", type=Path, metavar="FILE", help="go on where this file ends, and keep the totals in it"
    )
    parser.add_argument("--seed", type=int, help="one schedule only")
    parser.add_argument("--kinds", help="with --seed: these faults instead of its own, joined by +")
    parser.add_argument("--trace", action="store_true", help="with --seed: print everything that happens")
    return parser
