"""Fleets of real processes against an emulator in a process of its own; the emulator's log is the judge.

    python benchmarks/fleet.py                          both stores, 8 and 32 workers, server's clock 0, +1.5 and -1.5 s
    python benchmarks/fleet.py --limit 1200 --window 60 --windows 4 --store redis --workers 8 --skews 0
    python benchmarks/fleet.py --kill 0.5               kill -9 of a worker every half second

Each row judges every full window (the first and the last of a run are cut short): the share of the budget spent in the
first, in the worst and in the median one, refusals, and the slowest worker's requests over the fastest one's.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from clever_guard.testing.fleet import EmulatorProcess, Fleet
from tests._redis import RedisServer

COLUMNS = f"{'store':8}{'workers':>8}{'phase':>7}{'skew':>6}{'windows':>9}{'first':>8}{'worst':>8}{'median':>8}{'429':>5}{'slowest/fastest':>17}"


@contextlib.contextmanager
def a_store(kind: str) -> Iterator[str]:
    """A fresh store of this kind."""
    if kind == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{folder}/quota.db"
    else:
        server = RedisServer()
        try:
            yield server.url
        finally:
            server.stop()


def main() -> int:
    options = _options()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print(f"{options.limit} requests per {options.window:g} s, {options.latency * 1000:g} ms latency", flush=True)
    print(COLUMNS, flush=True)
    kept = True
    for kind in options.store:
        for workers in options.workers:
            for skew in options.skews:
                for phase in options.phases:
                    kept &= _row(options, kind, workers, skew, phase)
    return 0 if kept else 1


def _row(options: argparse.Namespace, kind: str, workers: int, skew: float, phase: float) -> bool:
    with (
        a_store(kind) as store,
        EmulatorProcess(
            limit=options.limit, window=options.window, phase=phase, skew=skew, latency=options.latency
        ) as server,
    ):
        fleet = Fleet(url=server.url, store=store, limit=options.limit, window=options.window, workers=workers)
        seconds = options.window * options.windows
        fleet.run(seconds, disturb=_killer(fleet, options.kill, seconds) if options.kill else None)
        windows = server.windows()
    return _judge(kind, workers, phase, skew, windows, bool(options.kill))


def _judge(kind: str, workers: int, phase: float, skew: float, windows: list[dict[str, Any]], killed: bool) -> bool:
    full = windows[1:-1]
    shares = [window["admitted"] / window["limit"] for window in full]
    spent = sorted(shares)
    refused = sum(window["refused"] for window in windows)
    work: Counter[str] = Counter()
    for window in full:
        work.update(window["workers"])
    fair = min(work.values()) / max(work.values()) if len(work) == workers else 0.0
    print(
        f"{kind:8}{workers:8}{phase:7.1f}{skew:6.1f}{len(full):9}{shares[0]:8.4f}{spent[0]:8.4f}{spent[len(spent) // 2]:8.4f}"
        f"{refused:5}{fair:17.2f}",
        flush=True,
    )
    return refused == 0 and (killed or (spent[0] >= 0.99 and fair >= 0.5))


def _killer(fleet: Fleet, every: float, seconds: float) -> Any:
    def disturb(crew: list[multiprocessing.Process]) -> None:
        until = time.time() + seconds
        number = 0
        while time.time() < until - 1:
            time.sleep(every)
            victim = crew[number % len(crew)]
            if victim.is_alive() and victim.pid:
                os.kill(victim.pid, signal.SIGKILL)
            victim.join()
            crew[number % len(crew)] = fleet.start_one(number % len(crew), until)
            number += 1

    return disturb


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=int, default=300)
    parser.add_argument("--window", type=float, default=6.0)
    parser.add_argument("--windows", type=int, default=7, help="windows a run lasts")
    parser.add_argument("--latency", type=float, default=0.005)
    parser.add_argument("--store", nargs="+", default=["sqlite", "redis"], choices=["sqlite", "redis"])
    parser.add_argument("--workers", nargs="+", type=int, default=[8, 32])
    parser.add_argument("--skews", nargs="+", type=float, default=[0.0, 1.5, -1.5])
    parser.add_argument("--phases", nargs="+", type=float, default=[2.3])
    parser.add_argument("--kill", type=float, default=0.0, help="seconds between kill -9 of a worker")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
