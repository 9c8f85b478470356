"""Who sends: urllib3's clients, wrapped in the guards that people build. Their waits take no time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import urllib3

from clever_guard import Guard, Retry, presets
from clever_guard.model import Ticket
from clever_guard.stores import MemoryStore
from clever_guard.testing import VirtualTime

RETRIES = 5
THREADS = 6
LIMIT, WINDOW = 12, 60.0


class _Time(VirtualTime):
    """Whoever waits lets another thread come to its answer, or the clock would run away from the requests in flight."""

    def pause(self, seconds: float, ticket: Ticket | None = None) -> None:
        super().pause(seconds, ticket)
        time.sleep(0.0005)


def _preset() -> Guard:
    return presets.clever("memory://", limit=LIMIT, window=WINDOW, observers=[], max_wait=1e9)


def _retry_alone() -> Guard:
    return Guard(Retry(max_retries=RETRIES))


def _manager(host: str, port: int) -> tuple[Any, str]:
    return urllib3.PoolManager(maxsize=THREADS), f"http://{host}:{port}"


def _pool(host: str, port: int) -> tuple[Any, str]:
    return urllib3.HTTPConnectionPool(host, port, maxsize=THREADS), ""


Make = Callable[[str, int], tuple[Any, str]]
CREWS: dict[str, tuple[Callable[[], Guard], tuple[Make, ...]]] = {
    "a manager, Clever's preset": (_preset, (_manager,)),
    "a pool, Clever's preset": (_preset, (_pool,)),
    "a manager, retries alone": (_retry_alone, (_manager,)),
    "a manager and a pool that know nothing of each other": (_preset, (_manager, _pool)),
}
"""The guard and the clients that are wrapped, each with a guard of its own."""


@contextmanager
def crew(name: str, host: str, port: int, clock: VirtualTime) -> Iterator[list[tuple[Any, str]]]:
    """Guarded clients, each with what stands before a path to make its address."""
    make, clients = CREWS[name]
    guards = [make() for _ in clients]
    for guard in guards:
        guard.engine.run_on(clock.clock, clock.wall, clock.pause, MemoryStore(clock.milliseconds))
    made = [client(host, port) for client in clients]
    try:
        yield [(guard.wrap(client), before) for guard, (client, before) in zip(guards, made, strict=True)]
    finally:
        for guard in guards:
            guard.close()
        for client, _ in made:
            client.close() if isinstance(client, urllib3.HTTPConnectionPool) else client.clear()


def new_time() -> VirtualTime:
    return _Time()
