"""A store that moves while it is in use: slots from node to node of a cluster, a primary's place to its replica."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Iterator

import pytest
import redis

from clever_guard.testing import Emulator
from clever_guard.testing.emulator.serving import Served
from tests._redis_fleet import RedisCluster, RedisSentinels, until
from tests.stores.watched import Watched, left_of, lines


@pytest.fixture
def api() -> Iterator[Served]:
    with Emulator(limit=100_000, window=3600).serve() as served:
        yield served


@contextlib.contextmanager
def calling(workers: list[Watched]) -> Iterator[list[str]]:
    """All of them call as fast as they may, meanwhile; how each call ended."""
    ended: list[str] = []
    done = threading.Event()

    def work(worker: Watched) -> None:
        while not done.is_set():
            ended.append(worker.get())

    threads = [threading.Thread(target=work, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    yield ended
    done.set()
    for thread in threads:
        thread.join()
    for worker in workers:
        worker.close()


def redirections(cluster: RedisCluster, word: str) -> int:
    """How often the nodes answered so."""
    told = [str(client.info("errorstats").get(f"errorstat_{word}", "0")) for client in cluster.clients]
    return sum(int(re.sub(r"\D", "", one)) for one in told)


def test_a_slot_that_moves_while_a_fleet_runs(api: Served, caplog: pytest.LogCaptureFixture) -> None:
    """MOVED and ASK are answered for real: keys are on their way, and half of the slot's owners do not know yet."""
    cluster = RedisCluster()
    workers = [Watched(cluster.url, api, mode=mode) for mode in ("local", "local", "raise")]
    try:
        with calling(workers) as ended:
            until(lambda: len(ended) > 20, "a fleet at work")
            (key,) = [key for client in cluster.clients for key in client.keys("cg:1:*") if b"fleet" not in key]
            slot = cluster.clients[0].execute_command("CLUSTER KEYSLOT", key)
            for _ in range(6):
                to = (cluster.owner(slot) + 1) % 3
                cluster.move(slot, to, keys=(key.decode(),), finish=False)
                time.sleep(0.2)
                cluster.move_on(slot, to)
                count = len(ended)
                until(lambda count=count: len(ended) > count + 20, "a fleet that goes on")
        assert all(redirections(cluster, word) > 0 for word in ("MOVED", "ASK"))
        left, seen = left_of(api), min(worker.remaining for worker in workers)
        assert left <= seen <= left + 3 * 50
    finally:
        cluster.stop()
    assert set(ended) <= {"served"}
    assert [worker.changes for worker in workers] == [[], [], []]
    assert lines(caplog.records) == []
    assert api.emulator.refused == 0


@pytest.mark.parametrize("whose", ["of the ledger", "of others"])
def test_a_cluster_that_lost_a_node(api: Served, caplog: pytest.LogCaptureFixture, whose: str) -> None:
    """At once where the ledger is, and everywhere when the nodes agree that a part of the slots is gone."""
    cluster = RedisCluster()
    worker = Watched(cluster.url, api)
    try:
        assert [worker.get() for _ in range(3)] == ["served"] * 3
        (key,) = [key for client in cluster.clients for key in client.keys("cg:1:*") if b"fleet" not in key]
        owner = cluster.owner(cluster.clients[0].execute_command("CLUSTER KEYSLOT", key))
        cluster.nodes[owner if whose == "of the ledger" else (owner + 1) % 3].kill()
        ended = worker.calls_until(lambda: worker.changes == [True])
        ended += [worker.get() for _ in range(20)]
        assert set(ended) == {"served"}
    finally:
        worker.close()
        cluster.stop()
    (said,) = lines(caplog.records)
    assert re.search("no connection" if whose == "of the ledger" else "ClusterDownError", said), said


def test_a_failover_by_sentinels(api: Served, caplog: pytest.LogCaptureFixture) -> None:
    """Some seconds in the dark, one line for each change, and the writes the replica has are not lost."""
    sentinels = RedisSentinels()
    try:
        worker = Watched(sentinels.url, api)
        assert [worker.get() for _ in range(3)] == ["served"] * 3
        (key,) = [
            key.decode() for key in redis.Redis(port=sentinels.primary.port).keys("cg:1:*") if b"fleet" not in key
        ]
        until(lambda: sentinels.replica_client.exists(key), "the replica has it")
        sentinels.primary.kill()
        ended = worker.calls_until(lambda: worker.changes == [True])
        ended += worker.calls_until(lambda: worker.changes == [True, False])
        assert set(ended) == {"served"}
        worker.fresh_lease()
        assert worker.get() == "served"
        worker.close()
    finally:
        sentinels.stop()
    said, back = lines(caplog.records)
    assert said.startswith("redis 'fleet' of 127.0.0.1:")
    assert back.startswith("the store answers again")
