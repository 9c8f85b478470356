"""What a guarded request costs over one keep-alive connection to a server in another process, as ratio to bare urllib3.

    python -m benchmarks.overhead [--quick] [--json]

Whoever can share a quota shares it through Redis. CPU is this process's own, kernel time included.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks.contestants import POOLS, Setting
from benchmarks.report import a_store, medians, options, show, table
from clever_guard.testing.fleet import TOKEN, EmulatorProcess

LIMIT = 10**8
WINDOW = 3600.0
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
CALLS = 200


def main() -> int:
    asked = options(__doc__).parse_args()
    rounds = 7 if asked.quick else 31
    with a_store("redis") as store, EmulatorProcess(limit=LIMIT, window=WINDOW, phase=time.time() % WINDOW) as server:
        found = _measure(store, f"{server.url}/v2.0/students?limit=1", rounds)
    rows = [[name, *row.values()] for name, row in found.items()]
    columns = ["", "CPU us", "time us", "CPU ratio", "time ratio"]
    show(asked, "overhead", found, table("A request over one connection", columns, rows))
    return 0


def _measure(store: str, url: str, rounds: int) -> dict[str, dict[str, float]]:
    clients = {name: make(Setting(store, LIMIT, WINDOW)) for name, make in POOLS.items()}
    for client in clients.values():
        client.request("GET", url, headers=HEADERS)
    time.sleep(1.2)
    for client in clients.values():
        _calls(client, url, time.process_time)
    cpu = medians({name: _timed(client, url, time.process_time) for name, client in clients.items()}, rounds)
    wall = medians({name: _timed(client, url, time.perf_counter) for name, client in clients.items()}, rounds)
    bare = next(iter(clients))
    return {
        name: {
            "cpu": cpu[name],
            "wall": wall[name],
            "cpu ratio": cpu[name] / cpu[bare],
            "wall ratio": wall[name] / wall[bare],
        }
        for name in clients
    }


def _timed(client: Any, url: str, clock: Callable[[], float]) -> Callable[[], float]:
    return lambda: _calls(client, url, clock)


def _calls(client: Any, url: str, clock: Callable[[], float]) -> float:
    """Microseconds a call."""
    begun = clock()
    for _ in range(CALLS):
        client.request("GET", url, headers=HEADERS)
    return (clock() - begun) / CALLS * 1e6


if __name__ == "__main__":
    sys.exit(main())
