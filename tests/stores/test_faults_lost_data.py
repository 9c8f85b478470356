"""What a store may lose without being down: its script, its data, its last writes.

Fleets of guards, judged by the API's own log. What is bounded here is what docs/stores.md says.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from clever_guard.testing import Emulator
from clever_guard.testing.emulator.serving import Served
from clever_guard.testing.fleet import EmulatorProcess, Fleet
from tests._proxy import Proxy
from tests._redis import RedisServer
from tests._redis_fleet import until
from tests.stores.watched import Watched, left_of, store_at

LIMIT, WINDOW, WORKERS = 120, 3.0, 6
LOST = 0.01
"""Of all answers, refused, while a store loses data several times a window: docs/stores.md, "When the store fails"."""
Disturb = Callable[[list[multiprocessing.Process]], None]


@pytest.fixture
def api() -> Iterator[Served]:
    with Emulator(limit=100_000, window=3600).serve() as served:
        yield served


def repeatedly(work: Callable[[], Any], pause: float, seconds: float) -> Disturb:
    def disturb(crew: list[multiprocessing.Process]) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(pause)
            work()

    return disturb


def fleet_run(store: str, seconds: float, disturb: Disturb) -> list[dict[str, Any]]:
    """The windows of a fleet's run, from the API's log. No call may end in anything but its answer."""
    with EmulatorProcess(limit=LIMIT, window=WINDOW, phase=0.7) as server:
        fleet = Fleet(url=server.url, store=store, limit=LIMIT, window=WINDOW, workers=WORKERS)
        counts = fleet.run(seconds, disturb)
        windows = server.windows()
    assert set(counts) == {"200"}
    return windows


def refused(windows: list[dict[str, Any]]) -> float:
    """A share of all answers."""
    counted = [sum(window[name] for window in windows) for name in ("refused", "admitted")]
    return counted[0] / sum(counted)


def test_a_script_that_is_flushed_again_and_again(own_redis: RedisServer, api: Served) -> None:
    with redis.Redis(port=own_redis.port) as admin:
        worker = Watched(store_at(own_redis.url), api)
        for _ in range(20):
            admin.script_flush()
            worker.fresh_lease()
            assert worker.get() == "served"
        assert worker.changes == []
        worker.fresh_lease()
        worker.get()
        assert worker.remaining - 1 <= left_of(api) <= worker.remaining, "each command was carried out once"
        worker.close()


def test_data_that_is_flushed_in_every_window(own_redis: RedisServer) -> None:
    with redis.Redis(port=own_redis.port) as admin:
        windows = fleet_run(own_redis.url, 8, repeatedly(admin.flushall, 0.7, 7))
    assert refused(windows) <= LOST, windows
    assert sum(window["admitted"] for window in windows[1:-1]) > 0.3 * LIMIT * (len(windows) - 2)


def test_a_failover_that_loses_writes(own_redis: RedisServer) -> None:
    """The replica is cut off, the fleet goes on with the primary for a second, then the replica has its place and name."""
    replica = RedisServer("--replicaof", f"127.0.0.1 {own_redis.port}", "--repl-diskless-sync-delay", "0")
    link = Proxy(own_redis.port)
    with redis.Redis(port=replica.port) as other, redis.Redis(port=own_redis.port) as admin:
        until(lambda: other.info("replication")["master_link_status"] == "up", "a replica in step")

        def fail_over() -> None:
            other.replicaof("NO", "ONE")
            time.sleep(1.0)
            admin.replicaof("127.0.0.1", str(replica.port))
            link.lead_to(replica.port)

        windows = fleet_run(f"redis://127.0.0.1:{link.port}/0", 8, repeatedly(fail_over, 3.0, 2.0))
        assert other.keys("cg:1:*"), "the fleet went on there"
    link.stop()
    replica.stop()
    assert refused(windows) <= LOST, windows
    assert sum(window["admitted"] for window in windows[1:-1]) > 0.5 * LIMIT * (len(windows) - 2)
