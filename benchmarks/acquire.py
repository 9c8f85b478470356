"""Permits a second: from Redis beside a plain PING, and within one process beside a lock and an integer.

    python -m benchmarks.acquire [--quick] [--json]

A permit of the guard is taken as the driver does it, and settled with an answer's reading where it says so. The others only take.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import redis

from benchmarks.contestants import LIMITERS, Setting, count_trips
from benchmarks.report import a_store, medians, options, show, table
from clever_guard.drivers.trips import Trips
from clever_guard.model import Claim, Hold, Permit, Reading, Receipt
from clever_guard.quota.books import Books
from clever_guard.stores import open_store

LIMIT = 10**8
WINDOW = 3600.0
CLAIM = Claim("0" * 32, "", LIMIT, WINDOW)
EACH = 4000
"""Permits that each of many threads takes."""
LEARNING = 1.2
"""Seconds until a new ledger gives whole leases."""


def main() -> int:
    asked = options(__doc__).parse_args()
    counts: Counter[str] = Counter()
    count_trips(counts)
    with a_store("redis") as store:
        shared = _from_redis(store, counts, 5 if asked.quick else 15)
    alone = _in_process(5 if asked.quick else 15)
    show(asked, "acquire", {"redis": shared, "process": alone}, _tables(shared, alone))
    return 0


def _from_redis(store: str, counts: Counter[str], rounds: int) -> dict[str, dict[str, float]]:
    setting = Setting(store, LIMIT, WINDOW)
    ping = redis.Redis.from_url(store)
    takers: dict[str, Callable[[], Any]] = {"PING": ping.ping}
    takers |= {name: make(setting) for name, make in LIMITERS.items()}
    takers["clever_guard"] = guarded(store)
    trips = {name: _trips(take, counts) for name, take in takers.items()}
    rate = medians(
        {name: _rate(take, 300 if name != "clever_guard" else 6000) for name, take in takers.items()}, rounds
    )
    return {
        name: {"per second": rate[name], "to PING": rate[name] / rate["PING"], "trips": trips[name]} for name in takers
    }


def guarded(store: str, settling: bool = True) -> Callable[[], None]:
    """Takes a permit and settles it, past its learning."""
    books = Books()
    trips = Trips(books, open_store(store), time.monotonic, None)
    reset = float(int(time.time()) + 3000)

    def take() -> None:
        permit: Permit | Hold = books.in_hand(CLAIM, time.monotonic()) or trips.reserve(CLAIM, None)
        while isinstance(permit, Hold):
            time.sleep(permit.seconds)
            permit = trips.reserve(CLAIM, permit.ticket)
        if settling:
            settle(permit)

    def settle(permit: Permit) -> None:
        now = time.monotonic()
        reading = Reading(LIMIT, LIMIT - 1, reset, 3000.0, "all")
        books.settle(permit, Receipt(True, True, True, False, now, now, (reading,)), now)
        if books.pressing:
            trips.report()

    settling, wanted = True, settling
    take()
    time.sleep(LEARNING)
    for _ in range(2000):
        take()
    settling = wanted
    return take


def _trips(take: Callable[[], Any], counts: Counter[str]) -> float:
    before = counts["trips"]
    for _ in range(3000):
        take()
    return (counts["trips"] - before) / 3000


def _rate(take: Callable[[], Any], calls: int) -> Callable[[], float]:
    def once() -> float:
        begun = time.perf_counter()
        for _ in range(calls):
            take()
        return calls / (time.perf_counter() - begun)

    return once


class _Integer:
    """The least that counts safely: a lock and an integer."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left = LIMIT

    def take(self) -> None:
        with self._lock:
            self._left -= 1


def _in_process(rounds: int) -> dict[str, dict[str, float]]:
    takers = {
        "lock and integer": _Integer().take,
        "limits, in memory": _limits_in_memory(),
        "clever_guard, taken": guarded("memory://", settling=False),
        "clever_guard, taken and settled": guarded("memory://"),
    }
    one = medians({name: _rate(take, 20_000) for name, take in takers.items()}, rounds)
    many = medians({name: _threaded(take, 16) for name, take in takers.items()}, rounds)
    first = one["lock and integer"]
    return {
        name: {"per second": one[name], "to lock": one[name] / first, "loss 16": 1 - many[name] / one[name]}
        for name in takers
    }


def _limits_in_memory() -> Callable[[], Any]:
    return LIMITERS["limits"](Setting("memory://", LIMIT, WINDOW))


def _threaded(take: Callable[[], Any], threads: int) -> Callable[[], float]:
    def work(ready: threading.Barrier) -> None:
        ready.wait()
        for _ in range(EACH):
            take()

    def once() -> float:
        ready = threading.Barrier(threads + 1)
        crew = [threading.Thread(target=work, args=(ready,)) for _ in range(threads)]
        for thread in crew:
            thread.start()
        ready.wait()
        begun = time.perf_counter()
        for thread in crew:
            thread.join()
        return threads * EACH / (time.perf_counter() - begun)

    return once


def _tables(shared: dict[str, dict[str, float]], alone: dict[str, dict[str, float]]) -> str:
    first = table(
        "Permits from Redis, one process",
        ["", "a second", "ratio to PING", "trips a permit"],
        [[name, *row.values()] for name, row in shared.items()],
    )
    second = table(
        "Permits within one process",
        ["", "a second", "ratio", "lost with 16 threads"],
        [[name, *row.values()] for name, row in alone.items()],
    )
    return f"{first}\n\n{second}"


if __name__ == "__main__":
    sys.exit(main())
