"""Every error a Redis can answer with, from a server that speaks its protocol and says nothing else."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator

import pytest

from clever_guard.errors import StoreUnavailable
from clever_guard.quota.store import Command, Draw, Terms
from clever_guard.stores.redis import RedisStore

DRAW = Command("id", "", Terms(100, 10_000, 1_000), (), Draw(5))
ERRORS = {
    "LOADING Redis is loading the dataset in memory": "BusyLoadingError",
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL": "BUSY",
    "READONLY You can't write against a read only replica.": "ReadOnlyError",
    "OOM command not allowed when used memory > 'maxmemory'.": "OOM|OutOfMemory",
    "MOVED 3999 127.0.0.1:6381": "MovedError|MOVED",
    "ASK 3999 127.0.0.1:6381": "AskError|ASK",
    "CROSSSLOT Keys in request don't hash to the same slot": "CROSSSLOT|CrossSlot",
    "CLUSTERDOWN The cluster is down": "ClusterDown|CLUSTERDOWN",
    "TRYAGAIN Multiple keys request during rehashing of slot": "TryAgain|TRYAGAIN",
    "MASTERDOWN Link with MASTER is down": "MasterDown|MASTERDOWN",
    "MISCONF Redis is configured to save RDB snapshots": "MISCONF",
    "NOREPLICAS Not enough good replicas to write.": "NOREPLICAS",
    "NOAUTH Authentication required.": "does not accept the user or password|NOAUTH",
    "NOPERM this user has no permissions to run the 'evalsha' command": "NoPermission|NOPERM",
    "WRONGTYPE Operation against a key holding the wrong kind of value": "WRONGTYPE",
    "ERR unknown command 'EVALSHA'": "unknown command",
    "UNKNOWNERRORCODE of a server to come": "of a server to come",
}


class Speaker(socketserver.StreamRequestHandler):
    """Accepts what a client says of itself, and answers scripts with the error of the hour."""

    def handle(self) -> None:
        self.server.connections += 1  # type: ignore[attr-defined]
        while (line := self.rfile.readline()).startswith(b"*"):
            words = [self._word() for _ in range(int(line[1:]))]
            self.server.heard.append(words[0].upper())  # type: ignore[attr-defined]
            known = words[0].upper() in (b"EVALSHA", b"EVAL")
            said = self.server.error if known else "ERR unknown command"  # type: ignore[attr-defined]
            self.wfile.write(f"-{said}\r\n".encode())

    def _word(self) -> bytes:
        word = self.rfile.read(int(self.rfile.readline()[1:]))
        self.rfile.read(2)
        return word


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
    error = ""
    connections = 0

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Speaker)
        self.heard: list[bytes] = []


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as served:
        thread = threading.Thread(target=served.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield served
        served.shutdown()
        thread.join()


@pytest.fixture
def store(server: Server) -> Iterator[RedisStore]:
    store = RedisStore.from_url(f"redis://127.0.0.1:{server.server_address[1]}/0?protocol=2", deadline=2.0)
    yield store
    store.close()


@pytest.mark.parametrize("error", ERRORS)
def test_each_is_named_and_nothing_is_sent_again(server: Server, store: RedisStore, error: str) -> None:
    server.error = error
    for commands in ([DRAW], [DRAW, DRAW]):
        server.heard.clear()
        with pytest.raises(StoreUnavailable, match=ERRORS[error]):
            store.execute(commands)
        assert server.heard.count(b"EVALSHA") == len(commands)
        assert b"EVAL" not in server.heard


def test_after_readonly_the_name_is_looked_up_anew(server: Server, store: RedisStore) -> None:
    server.error = "READONLY You can't write against a read only replica."
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            store.execute([DRAW])
    assert server.connections == 3
    server.error = "BUSY Redis is busy running a script."
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            store.execute([DRAW])
    assert server.connections == 4, "a busy server keeps its connection"
