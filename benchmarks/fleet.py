"""Fleets of real processes against an emulator in a process of its own; the emulator's log is the judge.

    python -m benchmarks.fleet                          both stores, 8 and 32 workers, every scenario
    python -m benchmarks.fleet --contestants all        the base, and who else there is
    python -m benchmarks.fleet --scenarios base "skew +1.5" --store redis --workers 8
    python -m benchmarks.fleet --limit 1200 --window 60 --windows 4 --store redis --workers 8 --scenarios base
    python -m benchmarks.fleet --kill 0.5               kill -9 of a worker every half second

A row judges every full window (the first and the last of a run are cut short): the share of the budget spent in the first, in
the worst and in the median one, 429s for a thousand requests, store trips a request, milliseconds from the true reset to the
first admitted request and seconds until the last (medians; of the windows after the eighth where there are any), and the slowest
worker's requests over the fastest one's.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from benchmarks.contestants import POOLS, SHARING, Client, Setting, count_trips
from benchmarks.report import a_store, options, save
from clever_guard.testing.fleet import TOKEN, EmulatorProcess, Fleet

SCENARIOS: dict[str, dict[str, Any]] = {
    "base": {},
    "skew +1.5": {"skew": 1.5},
    "skew -1.5": {"skew": -1.5},
    "reset floored": {"rounding": "floor"},
    "reset nearest": {"rounding": "nearest"},
    "stranger spread": {"stranger": 0.2},
    "stranger at reset": {"stranger": 0.2, "stranger_at": "reset"},
    "surges": {"client": "surges"},
    "100 ms": {"latency": 0.1},
    "first-hit": {"first_hit": True},
    "5xx 2 %": {"error_rate": 0.02},
    "16 threads": {"threads": 16},
    "sparse": {"client": "sparse", "workers": 40, "limit": 1200, "window": 60.0, "windows": 6},
}
"""The emulator's knobs, and how the fleet differs."""
LEARNING = 8
"""Windows in which a border is learned."""
COLUMNS = (
    f"{'contestant':26}{'scenario':18}{'store':7}{'workers':>8}{'first':>8}{'worst':>8}{'median':>8}{'429/1000':>10}"
    f"{'trips':>7}{'reset ms':>9}{'all s':>7}{'fair':>6}"
)


@dataclass
class Row:
    """One run, judged. Shares are of the budget the fleet could have had; None where there was no full window."""

    contestant: str
    scenario: str
    store: str
    workers: int
    windows: int
    first: float | None
    worst: float | None
    median: float | None
    refused: int
    sent: int
    trips: float
    reset_ms: float | None
    last_s: float | None
    fair: float
    window: float
    limit: int

    @property
    def refused_per_1000(self) -> float:
        return 1000 * self.refused / max(1, self.sent)

    def __str__(self) -> str:
        return (
            f"{self.contestant:26}{self.scenario:18}{self.store:7}{self.workers:8}{_share(self.first)}{_share(self.worst)}"
            f"{_share(self.median)}{self.refused_per_1000:10.2f}{self.trips:7.2f}{_number(self.reset_ms, 9, 0)}"
            f"{_number(self.last_s, 7, 2)}{self.fair:6.2f}"
        )


def _share(value: float | None) -> str:
    return _number(value, 8, 4)


def _number(value: float | None, width: int, digits: int) -> str:
    return "-".rjust(width) if value is None else f"{value:{width}.{digits}f}"


class _Surging:
    """4.9 s of light load in every 6, then as fast as it may."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._begun = time.time()

    def request(self, method: str, url: str, *, headers: dict[str, str]) -> Any:
        if (time.time() - self._begun) % 6.0 < 4.9:
            time.sleep(0.3)
        return self._client.request(method, url, headers=headers)


class _Sparse:
    """A call every two seconds, each for one of 300 tokens."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._chance = random.Random(os.getpid())
        time.sleep(self._chance.random() * 2)

    def request(self, method: str, url: str, *, headers: dict[str, str]) -> Any:
        time.sleep(2.0)
        token = f"{TOKEN}{self._chance.randrange(300)}"
        return self._client.request(method, url, headers=headers | {"Authorization": f"Bearer {token}"})


CLIENTS: dict[str, Callable[[Client], Client]] = {"surges": _Surging, "sparse": _Sparse, "": lambda client: client}


def main() -> int:
    asked = _options()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print(f"{asked.limit} requests per {asked.window:g} s, {asked.latency * 1000:g} ms latency", flush=True)
    print(COLUMNS, flush=True)
    rows = []
    for contestant, scenario, store, workers, phase in _runs(asked):
        rows.append(_row(asked, contestant, scenario, store, workers, phase))
        print(rows[-1], flush=True)
    save(asked.save_as, [asdict(row) for row in rows])
    ours = [
        row for row in rows if row.contestant == "clever_guard" and row.worst is not None and row.scenario == "base"
    ]
    return 0 if all(row.refused == 0 and (row.worst or 0) >= 0.97 for row in ours) or asked.kill else 1


def _runs(asked: argparse.Namespace) -> list[tuple[str, str, str, int, float]]:
    names = list(POOLS)[1:] if asked.contestants == ["all"] else asked.contestants
    runs = []
    for scenario in asked.scenarios:
        for name in names:
            stores = asked.store if name == "clever_guard" else ["redis"]
            crews = [SCENARIOS[scenario].get("workers")] if "workers" in SCENARIOS[scenario] else asked.workers
            for store in stores if name in SHARING else ["-"]:
                runs += [(name, scenario, store, workers, phase) for workers in crews for phase in asked.phases]
    return runs


def _row(asked: argparse.Namespace, contestant: str, scenario: str, kind: str, workers: int, phase: float) -> Row:
    turned = dict(SCENARIOS[scenario])
    load = CLIENTS[turned.pop("client", "")]
    limit, window = turned.pop("limit", asked.limit), turned.pop("window", asked.window)
    workers, threads = turned.pop("workers", workers), turned.pop("threads", asked.threads)
    seconds = window * turned.pop("windows", asked.windows)
    knobs = {"limit": limit, "window": window, "phase": phase, "latency": asked.latency} | turned
    with a_store("redis" if kind == "-" else kind) as store, EmulatorProcess(**knobs) as server:

        def client(counts: Counter[str]) -> Client:
            if contestant != "clever_guard":
                count_trips(counts)
            return load(POOLS[contestant](Setting(store, limit, window, threads, counts)))

        fleet = Fleet(
            url=server.url, store=store, limit=limit, window=window, workers=workers, threads=threads, client=client
        )
        counts = fleet.run(seconds, disturb=_killer(fleet, asked.kill, seconds) if asked.kill else None)
        budgets = server.truth()["budgets"]
    return _judged(
        Row(contestant, scenario, kind, workers, 0, None, None, None, 0, 0, 0.0, None, None, 0.0, window, limit),
        budgets,
        counts,
    )


def _judged(row: Row, budgets: dict[str, list[dict[str, Any]]], counts: Counter[str]) -> Row:
    every = [window for windows in budgets.values() for window in windows]
    row.refused = sum(window["refused"] for window in every)
    row.sent = sum(window["admitted"] for window in every) + row.refused
    row.trips = counts["trips"] / max(1, row.sent)
    full = every[1:-1] if len(budgets) == 1 else []
    if full:
        shares = [(window["admitted"] + window["stranger"]) / window["limit"] for window in full]
        row.windows, row.first, row.worst, row.median = len(full), shares[0], min(shares), median(shares)
        learned = full[LEARNING:] or full
        row.reset_ms = 1000 * median(window["first"] or 0.0 for window in learned)
        row.last_s = median(window["last"] or 0.0 for window in learned)
        row.fair = _fairness(full[1:] or full, row.workers)
    return row


def _fairness(full: list[dict[str, Any]], workers: int) -> float:
    """Of all windows but the first, in which it matters who started first: a fleet that begins cold does not know its size yet."""
    work: Counter[str] = Counter()
    for window in full:
        work.update(window["workers"])
    return min(work.values()) / max(work.values()) if len(work) == workers else 0.0


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
    parser = options(__doc__)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--window", type=float)
    parser.add_argument("--windows", type=float, help="windows a run lasts")
    parser.add_argument("--latency", type=float, default=0.005)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--store", nargs="+", default=["sqlite", "redis"], choices=["sqlite", "redis"])
    parser.add_argument("--workers", nargs="+", type=int)
    parser.add_argument("--phases", nargs="+", type=float, default=[2.3])
    parser.add_argument("--scenarios", nargs="+", choices=SCENARIOS)
    parser.add_argument("--contestants", nargs="+", default=["clever_guard"], choices=["all", *POOLS])
    parser.add_argument("--save-as", default="fleet", help="name of the JSON file in benchmarks/results")
    parser.add_argument("--kill", type=float, default=0.0, help="seconds between kill -9 of a worker")
    asked = parser.parse_args()
    quick = asked.quick
    asked.limit = asked.limit or (150 if quick else 300)
    asked.window = asked.window or (3.0 if quick else 6.0)
    asked.windows = asked.windows or (3 if quick else 7)
    asked.workers = asked.workers or ([8] if quick else [8, 32])
    asked.scenarios = asked.scenarios or (
        ["base"] if quick or asked.contestants != ["clever_guard"] else list(SCENARIOS)
    )
    return asked


if __name__ == "__main__":
    sys.exit(main())
