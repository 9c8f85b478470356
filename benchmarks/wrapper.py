"""What the guard itself costs: microseconds of CPU for each call around a stub that answers at once.

    python benchmarks/wrapper.py             a table, piece by piece
    python benchmarks/wrapper.py --quick     fewer rounds
    python benchmarks/wrapper.py --json      the same as JSON
    python benchmarks/wrapper.py --profile   where the microseconds go, function by function

The stub stands where a pool's own ``urlopen`` would send, and gives one finished answer with Clever's headers. Pieces are measured
in turn, round after round, and the medians are shown: this machine may do other things beside.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import statistics
import sys
import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any

import urllib3
from prometheus_client import CollectorRegistry

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from clever_guard import Deadline, Guard, Quota, Retry
from clever_guard.observe.prometheus import PrometheusObserver

HEADERS = {"Authorization": "Bearer TEST_TOKEN"}
LIMIT = 10**8
LEARNING = 1.2
"""Seconds after its first call until a new ledger gives whole leases."""


def a_pool() -> urllib3.HTTPConnectionPool:
    """A pool whose ``urlopen`` answers at once."""
    now = time.time()
    response = urllib3.HTTPResponse(
        status=200,
        headers={
            "Content-Type": "application/json",
            "Content-Length": "2",
            "Date": formatdate(now, usegmt=True),
            "X-RateLimit-Limit": str(LIMIT),
            "X-RateLimit-Remaining": str(LIMIT - 1),
            "X-RateLimit-Reset": str(int(now) + 3600),
            "X-RateLimit-Bucket": "all",
        },
    )
    pool = urllib3.HTTPConnectionPool("api.example.test")

    def answer(method: str, url: str, **kwargs: Any) -> urllib3.HTTPResponse:
        return response

    pool.urlopen = answer  # type: ignore[method-assign, assignment]
    return pool


def quota() -> Quota:
    """An hour's window, so that the run is one window."""
    return Quota(limit=LIMIT, window=3600)


PIECES: dict[str, Callable[[], Guard] | None] = {
    "the stub alone": None,
    "a guard without policies": Guard,
    "Retry": lambda: Guard(Retry()),
    "Quota, leased": lambda: Guard(quota()),
    "Retry and Quota": lambda: Guard(Retry(), quota()),
    "Deadline, Retry and Quota": lambda: Guard(Deadline(60), Retry(), quota()),
    "Retry, Quota and metrics": lambda: Guard(
        Retry(), quota(), observers=[PrometheusObserver(CollectorRegistry(), buckets=True)], timeout=(5.0, 60.0)
    ),
}


def main() -> int:
    options = _options()
    pools = {name: _piece(make) for name, make in PIECES.items()}
    time.sleep(LEARNING)
    for pool in pools.values():
        _microseconds(pool, 1000)
    if options.profile:
        _profile(pools["Retry, Quota and metrics"], options.calls)
        return 0
    rounds = 5 if options.quick else 25
    figures: dict[str, list[float]] = {name: [] for name in pools}
    for _ in range(rounds):
        for name, pool in pools.items():
            figures[name].append(_microseconds(pool, options.calls))
    medians = {name: statistics.median(taken) for name, taken in figures.items()}
    bare = medians["the stub alone"]
    added = {name: round(median - bare, 2) for name, median in medians.items()}
    if options.json:
        print(json.dumps({"microseconds_per_call": added, "stub": round(bare, 2), "rounds": rounds}))
    else:
        _table(added, bare)
    return 0


def _piece(make: Callable[[], Guard] | None) -> urllib3.HTTPConnectionPool:
    pool = a_pool()
    if make is not None:
        make().wrap(pool)
    _call(pool)
    return pool


def _call(pool: urllib3.HTTPConnectionPool) -> None:
    pool.urlopen("GET", "/v2.0/students", headers=HEADERS, redirect=False)


def _microseconds(pool: urllib3.HTTPConnectionPool, calls: int) -> float:
    begun = time.process_time()
    for _ in range(calls):
        _call(pool)
    return (time.process_time() - begun) / calls * 1e6


def _table(added: dict[str, float], bare: float) -> None:
    print(f"CPU microseconds a call, added to a stub of {bare:.2f} us")
    for name, figure in added.items():
        if name != "the stub alone":
            print(f"{name:30}{figure:8.2f}")


def _profile(pool: urllib3.HTTPConnectionPool, calls: int) -> None:
    profile = cProfile.Profile()
    profile.enable()
    for _ in range(calls):
        _call(pool)
    profile.disable()
    pstats.Stats(profile).sort_stats("tottime").print_stats(32)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=4000, help="calls in one round")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--profile", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
