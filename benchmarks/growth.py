"""What more tokens and more workers cost: microseconds a permit and a draw, bytes of an idle token, trips of one Redis.

    python -m benchmarks.growth [--quick] [--json]

Tokens: 10 to 10,000 ledgers in one process and one Redis. Workers: processes that do nothing but draw and report, until Redis is
busy; ``redis cpu us`` is what the server itself spends on a trip, by its own count. And simulated fleets, from cold, of up to 1000
workers with 20 permits a window each.
"""

from __future__ import annotations

import math
import multiprocessing
import sys
import time
import tracemalloc
from statistics import median
from typing import Any

import redis

from benchmarks.report import a_store, options, show, table
from clever_guard.drivers.trips import Trips
from clever_guard.model import Claim, Permit, Reading, Receipt
from clever_guard.quota.books import Books
from clever_guard.quota.lease import Lease
from clever_guard.quota.store import Command, Draw, Report, Store, Terms
from clever_guard.stores import open_store
from clever_guard.testing.simulate.setting import Setting
from clever_guard.testing.simulate.world import World

TERMS = Terms(1200, 60_000, 1_000)
PERMITS = 20_000


def main() -> int:
    asked = options(__doc__).parse_args()
    tokens = (10, 1000) if asked.quick else (10, 100, 1000, 10_000)
    crews = (1, 4) if asked.quick else (1, 4, 16, 64)
    by_tokens = [_tokens(count) for count in tokens]
    by_workers = [_workers(count) for count in crews]
    fleets = [_simulated(count) for count in ((1, 8, 64) if asked.quick else (1, 8, 64, 256, 1000))]
    columns = ["tokens", "us a permit", "us a draw and its report", "bytes in process", "bytes in Redis"]
    first = table("More tokens", columns, [list(row.values()) for row in by_tokens])
    columns = ["workers", "trips a second", "redis cpu us a trip", "redis cpu"]
    second = table("More workers on one Redis", columns, [list(row.values()) for row in by_workers])
    columns = ["workers", "store trips a request", "429s", "median window spent"]
    third = table("More workers, simulated", columns, [list(row.values()) for row in fleets])
    found = {"tokens": by_tokens, "workers": by_workers, "fleets": fleets}
    show(asked, "growth", found, f"{first}\n\n{second}\n\n{third}")
    return 0


def _tokens(count: int) -> dict[str, Any]:
    claims = [Claim(f"{number:032x}", "", 10**8, 3600.0) for number in range(count)]
    with a_store("redis") as url:
        server = redis.Redis.from_url(url)
        before = server.info("memory")["used_memory"]
        store = open_store(url)
        trip = _trips(store, [claim.identity for claim in claims])
        stored = (server.info("memory")["used_memory"] - before) / count
        store.close()
    return {
        "tokens": count,
        "permit": _permits(claims),
        "trip": trip,
        "process bytes": round(_bytes(claims)),
        "redis bytes": round(stored),
    }


def _trips(store: Store, identities: list[str]) -> float:
    """Microseconds of a draw and of the report that gives it back, one ledger after another."""
    trips = max(2000, 2 * len(identities))
    for identity in identities:
        _draw(store, identity)
    begun = time.perf_counter()
    for number in range(trips):
        _draw(store, identities[number % len(identities)])
    return (time.perf_counter() - begun) / trips * 1e6


def _draw(store: Store, identity: str) -> None:
    answer = store.execute([Command(identity, "", TERMS, (), Draw(1))])[0]
    if answer.granted:
        store.execute([Command(identity, "", TERMS, (Report(answer.now, answer.buckets, unsent=answer.granted),))])


def _permits(claims: list[Claim]) -> float:
    """Microseconds of a permit that is reserved and settled, over all tokens, from leases that are in hand."""
    books = Books()
    trips = Trips(books, open_store("memory://"), time.monotonic, None)
    for claim in claims:
        _spend(books, trips, claim)
    for book in books._books.values():
        book.lease = Lease(1, ("all",), "lease", PERMITS, PERMITS, math.inf, {"all": 10**8})
    begun = time.perf_counter()
    for number in range(PERMITS):
        _spend(books, trips, claims[number * 7919 % len(claims)])
    return (time.perf_counter() - begun) / PERMITS * 1e6


def _spend(books: Books, trips: Trips, claim: Claim) -> None:
    permit = trips.reserve(claim, None)
    if isinstance(permit, Permit):
        now = time.monotonic()
        reading = Reading(10**8, 10**8 - 1, float(int(time.time()) + 3000), 3000.0, "all")
        books.settle(permit, Receipt(True, True, True, False, now, now, (reading,)), now)


def _bytes(claims: list[Claim]) -> float:
    """What the lease books of a process keep of a token that was used and idles."""
    tracemalloc.start()
    books = Books()
    trips = Trips(books, open_store("memory://"), time.monotonic, None)
    before = tracemalloc.take_snapshot()
    for claim in claims:
        _spend(books, trips, claim)
    trips.close()
    grown = tracemalloc.take_snapshot().compare_to(before, "filename")
    tracemalloc.stop()
    return sum(
        line.size_diff
        for line in grown
        if "/quota/book" in line.traceback[0].filename or "/quota/lease" in line.traceback[0].filename
    ) / len(claims)


def _simulated(count: int) -> dict[str, Any]:
    setting = Setting(limit=20 * count, window=20.0, workers=count, windows=7)
    figures = World(setting, "growth").run()
    return {
        "workers": count,
        "trips": figures.commands / figures.answered,
        "refused": figures.refused,
        "spent": median(figures.spent),
    }


def _workers(count: int) -> dict[str, Any]:
    with a_store("redis") as url:
        server = redis.Redis.from_url(url)
        context = multiprocessing.get_context("fork")
        crew = [context.Process(target=_draws_for, args=(url, number, 3.0), daemon=True) for number in range(count)]
        for process in crew:
            process.start()
        time.sleep(1.0)
        begun, before, cpu = time.perf_counter(), _calls(server), _cpu(server)
        time.sleep(1.5)
        seconds, calls, spent = time.perf_counter() - begun, _calls(server) - before, _cpu(server) - cpu
        for process in crew:
            process.join()
    return {
        "workers": count,
        "per second": calls / seconds,
        "cpu us": spent / max(1, calls) * 1e6,
        "cpu": spent / seconds,
    }


def _draws_for(url: str, number: int, seconds: float) -> None:
    store = open_store(url)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        _draw(store, f"{number:032x}")
    store.close()


def _calls(server: Any) -> int:
    return int(server.info("commandstats").get("cmdstat_evalsha", {}).get("calls", 0))


def _cpu(server: Any) -> float:
    found = server.info("cpu")
    return float(found["used_cpu_sys"]) + float(found["used_cpu_user"])


if __name__ == "__main__":
    sys.exit(main())
