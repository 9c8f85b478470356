"""One soak from beginning to end: the processes, the faults, the log that judges, and nothing left behind."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.faults import KINDS, Fault, Wrecker
from benchmarks.journal import Journal, Watched, dark_times, failures
from benchmarks.verdict import RATE, RECOVERED, SPENT, Verdict, judge, reaches
from clever_guard.testing.fleet import EmulatorProcess, Fleet
from tests._redis import RedisServer

STEP = 0.25
"""Seconds between two looks at what is due."""
GRACE = 30.0
"""Seconds a worker may take to end after the run."""


@dataclass(frozen=True, kw_only=True)
class Terms:
    """One soak. Seconds."""

    seconds: float = 600.0
    workers: int = 16
    threads: int = 1
    limit: int = 300
    window: float = 6.0
    latency: float = 0.005
    phase: float = 2.3
    store: str = "redis"
    faults: tuple[Fault, ...] = ()
    spent: float = SPENT
    recovered: float = RECOVERED
    rate: float = RATE


@dataclass
class Found:
    """What came of it."""

    verdict: Verdict
    faults: dict[str, int]
    seconds_dark: float
    """Of all workers together, by their own word."""
    failed: dict[str, int]
    """Calls that ended otherwise than with their answer."""
    missed: list[str] = field(default_factory=list)


Progress = Callable[[dict[str, Any], bool, list[str]], None]
"""(window, whether it is over, the faults that began in it)."""


def soak(terms: Terms, journal: Path, progress: Progress = lambda *seen: None, *, thorough: bool = False) -> Found:
    """Run it. Leaves neither process, port nor file behind, whatever happens (``journal`` is the caller's)."""
    with (
        _store(terms.store) as (url, server),
        EmulatorProcess(limit=terms.limit, window=terms.window, phase=terms.phase, latency=terms.latency) as emulator,
    ):
        fleet = Fleet(
            url=emulator.url,
            store=url,
            limit=terms.limit,
            window=terms.window,
            workers=terms.workers,
            threads=terms.threads,
            client=lambda counts: Watched(fleet, journal, thorough),
        )
        begun = time.time()
        until = begun + terms.seconds
        notes = Journal(journal)
        wrecker = Wrecker(fleet, until, server, notes.note)
        try:
            wrecker.start()
            wrecker.take_on(terms.faults, begun)
            log = _watch(emulator, wrecker, until, progress)
        finally:
            wrecker.end()
            notes.close()
    return _judged(terms, notes, wrecker, log, begun, until)


@contextlib.contextmanager
def _store(kind: str) -> Iterator[tuple[str, RedisServer | None]]:
    """Its URL, and the server that faults happen to."""
    if kind == "sqlite":
        with tempfile.TemporaryDirectory(prefix="clever-guard-soak-") as folder:
            yield f"sqlite:///{folder}/quota.db", None
        return
    server = RedisServer("--save", "3600 1")
    try:
        yield server.url, server
    finally:
        server.stop()


def _watch(emulator: EmulatorProcess, wrecker: Wrecker, until: float, progress: Progress) -> list[dict[str, Any]]:
    """Do the faults, tell of each window, and wait until all workers are done. The windows, oldest first."""
    log: dict[float, dict[str, Any]] = {}
    over: set[float] = set()
    looked = 0.0
    while time.time() < until + GRACE and any(process.is_alive() for process in wrecker.crew):
        wait = wrecker.step()
        if time.time() - looked >= 1.0:
            looked = time.time()
            _look(emulator, wrecker, log, over, progress)
        time.sleep(min(wait, STEP))
    _look(emulator, wrecker, log, over, progress)
    return [log[start] for start in sorted(log)]


def _look(
    emulator: EmulatorProcess, wrecker: Wrecker, log: dict[float, dict[str, Any]], over: set[float], progress: Progress
) -> None:
    log.update({window["start"]: window for window in emulator.windows()})
    for start in sorted(log):
        if start in over:
            continue
        if log[start]["end"] < time.time():
            over.add(start)
        progress(log[start], start in over, wrecker.told_between(start, log[start]["end"]))


def _judged(
    terms: Terms, notes: Journal, wrecker: Wrecker, log: list[dict[str, Any]], begun: float, until: float
) -> Found:
    entries = notes.entries()
    dark = dark_times(entries, until)
    felt = reaches(wrecker.done, dark, terms.window, terms.workers, terms.threads)
    verdict = judge(
        log, begun, until, wrecker.done, felt, spent=terms.spent, recovered=terms.recovered, rate=terms.rate
    )
    kinds = [fault.kind for fault in wrecker.done]
    failed = failures(entries)
    missed = verdict.missed + [f"{count} calls ended with: {what}" for what, count in failed.items()]
    return Found(
        verdict,
        {kind: kinds.count(kind) for kind in KINDS if kind in kinds},
        sum(end - begin for begin, end in dark),
        dict(failed),
        missed,
    )
