"""A cluster of three nodes, and a primary with a replica and three sentinels: all from the one server binary, on loopback."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis

from tests._redis import RedisServer, free_port

SLOTS = 16_384
PATIENCE = 40.0


def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait for what servers agree on among themselves."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with contextlib.suppress(redis.RedisError, OSError):
            found = condition()
            if found:
                return found
        time.sleep(0.05)
    raise TimeoutError(f"not within {PATIENCE:g} s: {what}")


def bus_port(port: int) -> str:
    """Another free port for the cluster bus: the default, ten thousand higher, may lie beyond the last."""
    found = free_port()
    return str(found if found != port else free_port())


class RedisCluster:
    """Three primaries, a third of the slots each."""

    def __init__(self) -> None:
        self.nodes = [self._node() for _ in range(3)]
        self.clients = [redis.Redis(port=node.port) for node in self.nodes]
        share = -(-SLOTS // 3)
        for number, client in enumerate(self.clients):
            client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            first = number * share
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, min(SLOTS, first + share) - 1)
        for node, bus in zip(self.nodes[1:], self._buses[1:], strict=True):
            self.clients[0].execute_command("CLUSTER", "MEET", "127.0.0.1", node.port, bus)
        until(lambda: all(self._is_whole(client) for client in self.clients), "a cluster of three")

    _buses: list[str]

    def _node(self) -> RedisServer:
        port = free_port()
        bus = bus_port(port)
        self._buses = [*getattr(self, "_buses", []), bus]
        return RedisServer(
            "--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-port", bus, port=port
        )

    @staticmethod
    def _is_whole(client: redis.Redis) -> bool:
        told = client.execute_command("CLUSTER INFO")
        if not isinstance(told, dict):
            told = dict(line.split(":", 1) for line in told.decode().split() if ":" in line)
        return told["cluster_state"] == "ok" and int(told["cluster_known_nodes"]) == 3

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def owner(self, slot: int) -> int:
        """Number of the node that has ``slot``."""
        return next(n for n, client in enumerate(self.clients) if any(a <= slot <= b for a, b in self._ranges(client)))

    def _ranges(self, client: redis.Redis) -> list[tuple[int, int]]:
        me = client.execute_command("CLUSTER MYID").decode()
        lines = client.execute_command("CLUSTER NODES")
        text = lines.decode() if isinstance(lines, bytes) else ""
        if not text:  # redis-py 8 has parsed it
            mine = next(node for node in lines.values() if node["node_id"] == me)
            return [
                (int(a), int(b)) for a, b in (slots * 2 if len(slots) == 1 else slots[:2] for slots in mine["slots"])
            ]
        line = next(line for line in text.splitlines() if line.startswith(me))
        words = [word for word in line.split()[8:] if not word.startswith("[")]
        return [(int(word.partition("-")[0]), int(word.rpartition("-")[2])) for word in words]

    def move(self, slot: int, to: int, *, keys: tuple[str, ...] = (), finish: bool = True) -> None:
        """Move ``slot`` with ``keys`` as `redis-cli --cluster reshard` does; unfinished, the old owner answers ASK."""
        here = self.owner(slot)
        ids = [client.execute_command("CLUSTER MYID").decode() for client in self.clients]
        self.clients[to].execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[here])
        self.clients[here].execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[to])
        for key in keys:
            self.clients[here].execute_command("MIGRATE", "127.0.0.1", self.nodes[to].port, key, 0, 5000)
        if finish:
            self.move_on(slot, to)

    def move_on(self, slot: int, to: int) -> None:
        """Finish a move: all are told who has the slot, the new owner first."""
        me = self.clients[to].execute_command("CLUSTER MYID").decode()
        for client in (self.clients[to], *self.clients):
            client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", me)

    def stop(self) -> None:
        for client in self.clients:
            client.close()
        for node in self.nodes:
            node.stop()


class RedisSentinels:
    """A primary, its replica, and three sentinels that watch them under the name ``fleet``."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="clever-guard-sentinel-"))
        self.primary = RedisServer("--repl-diskless-sync-delay", "0")
        self.replica = RedisServer("--replicaof", f"127.0.0.1 {self.primary.port}", "--repl-diskless-sync-delay", "0")
        self.sentinels = [self._sentinel(number) for number in range(3)]
        self.replica_client = redis.Redis(port=self.replica.port)
        try:
            self._wait()
        except BaseException:
            self.stop()
            raise

    def _wait(self) -> None:
        until(lambda: self.replica_client.info("replication")["master_link_status"] == "up", "a replica in step")
        until(lambda: all(self._knows(sentinel) for sentinel in self.sentinels), "three sentinels that know each other")

    def _sentinel(self, number: int) -> RedisServer:
        """A sentinel rewrites its file, so each has its own."""
        file = self.folder / f"{number}.conf"
        file.write_text(
            f"sentinel monitor fleet 127.0.0.1 {self.primary.port} 2\n"
            "sentinel down-after-milliseconds fleet 500\nsentinel failover-timeout fleet 5000\n"
        )
        return RedisServer(sentinel=str(file))

    @staticmethod
    def _knows(sentinel: RedisServer) -> bool:
        with redis.Redis(port=sentinel.port) as client:
            told: Any = client.execute_command("SENTINEL", "MASTER", "fleet")  # redis-py 6 cannot read it
        state = told if isinstance(told, dict) else dict(zip(told[::2], told[1::2], strict=True))
        return int(state[b"num-other-sentinels"]) == 2 and int(state[b"num-slaves"]) == 1

    @property
    def url(self) -> str:
        nodes = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{nodes}/fleet/0"

    def fail_over(self) -> None:
        """Kill the primary and wait until the replica has its place."""
        self.primary.kill()
        until(lambda: self.replica_client.info("replication")["role"] == "master", "a failover")

    def stop(self) -> None:
        self.replica_client.close()
        for server in (*self.sentinels, self.replica, self.primary):
            server.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
