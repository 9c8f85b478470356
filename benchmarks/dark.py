"""What a call costs while the store is gone: milliseconds beside an unguarded call over the same kind of connection.

    python -m benchmarks.dark [--quick] [--json]

    answering    the store serves: what there is to lose
    refusing     nothing listens at the store's address
    mute         something accepts connections there and never says a word
    stopped      the store served, and was stopped (SIGSTOP) in the middle of the run

Clients take turns, call by call, over keep-alive connections to a server in another process. The first calls after the loss are
shown apart: one of them waits for the store as long as it may (a quarter of a second for a connection, as long for an answer).
Every later look at a store that is down costs one caller the same: after 0.5, 1, 2, 4 and every 5 seconds.
"""

from __future__ import annotations

import logging
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from statistics import fmean, median, quantiles
from typing import Any

import urllib3

from benchmarks.report import options, show, table
from clever_guard import presets
from clever_guard.testing.fleet import TOKEN, EmulatorProcess
from tests._redis import RedisServer, free_port

LIMIT = 10**6
FIRST = 20
"""Calls after the loss that are shown apart."""
LEARNING = 1.2
"""Seconds after its first call until a ledger gives whole leases."""


class Client:
    """Calls one URL and remembers how long each call took, in milliseconds."""

    def __init__(self, url: str, store: str | None = None) -> None:
        self._http = urllib3.PoolManager()
        self._guard = None if store is None else presets.clever(store, limit=LIMIT, window=3600, observers=[])
        if self._guard is not None:
            self._guard.wrap(self._http)
        self._url = url + "/v2.0/students?limit=1"
        self.taken: list[float] = []

    def call(self) -> None:
        begun = time.perf_counter()
        self._http.request("GET", self._url, headers={"Authorization": f"Bearer {TOKEN}"})
        self.taken.append((time.perf_counter() - begun) * 1000)

    def close(self) -> None:
        if self._guard is not None:
            self._guard.close()
        self._http.clear()


@contextmanager
def mute() -> Iterator[int]:
    """A port that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        yield listener.getsockname()[1]


def _measure(calls: int) -> dict[str, dict[str, float]]:
    with ExitStack() as stack:
        url = stack.enter_context(EmulatorProcess(limit=LIMIT, window=3600)).url
        servers = {name: RedisServer() for name in ("answering", "stopped")}
        for server in servers.values():
            stack.callback(server.stop)
        stores = {name: server.url for name, server in servers.items()}
        stores["refusing"] = f"redis://127.0.0.1:{free_port()}/0"
        stores["mute"] = f"redis://127.0.0.1:{stack.enter_context(mute())}/0"
        clients = {"bare": Client(url)} | {name: Client(url, store) for name, store in stores.items()}
        for client in clients.values():
            stack.callback(client.close)
        _learn(clients, ("bare", "answering", "stopped"))
        servers["stopped"].pause()
        for _ in range(calls + FIRST):
            for client in clients.values():
                client.call()
        return _figures(clients)


def _learn(clients: dict[str, Client], known: tuple[str, ...]) -> None:
    """Those that begin with a store are past their learning when the rest begins; what they took until then is forgotten."""
    until = time.monotonic() + LEARNING
    while time.monotonic() < until:
        for name in known:
            clients[name].call()
    for client in clients.values():
        client.taken.clear()


def _figures(clients: dict[str, Client]) -> dict[str, dict[str, float]]:
    bare = clients["bare"].taken[FIRST:]
    found: dict[str, dict[str, float]] = {}
    for name, client in clients.items():
        first, rest = client.taken[:FIRST], client.taken[FIRST:]
        added = [mine - theirs for mine, theirs in zip(rest, bare, strict=True)]
        found[name] = {
            "slowest of the first": max(first),
            "median": median(rest),
            "added, median": median(added),
            "added, mean": fmean(added),
            "added, 99 of 100": quantiles(rest, n=100)[98] - quantiles(bare, n=100)[98],
            "slowest": max(rest),
            "over 100 ms": sum(each > 100 for each in rest),
        }
    return found


def _table(found: dict[str, dict[str, float]]) -> str:
    columns = ["store", *next(iter(found.values()))]
    rows: list[list[Any]] = [[name, *figures.values()] for name, figures in found.items()]
    return table("A call while the store is gone, milliseconds", columns, rows)


def main() -> int:
    asked = options(__doc__).parse_args()
    logging.getLogger("clever_guard").setLevel(logging.ERROR)
    found = _measure(300 if asked.quick else 3000)
    show(asked, "dark", found, _table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
