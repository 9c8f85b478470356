"""Every error a Redis can answer with, from a server that speaks its protocol and says nothing else."""

from __future__ import annotations

import logging
import random
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
        asked = server.heard.count(b"EVALSHA")
        assert asked == len(commands) or (asked == 1 and error.startswith("LOADING")), "redis-py 5 hangs up at once"
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


IN_A_SCRIPT = {
    "redis 6": "ERR Error running script (call to f_0a1b): @user_script:75: @user_script: 75: -{} ",
    "redis 7": "{} script: 0a1b, on @user_script:75.",
}


@pytest.mark.parametrize("version", IN_A_SCRIPT)
def test_a_command_refused_within_the_script_is_no_failure_of_the_script(
    server: Server, store: RedisStore, version: str, caplog: pytest.LogCaptureFixture
) -> None:
    opened = []
    for said in ("OOM command not allowed.", "READONLY You can't write.", "MISCONF Redis is configured to save."):
        before, server.error = server.connections, IN_A_SCRIPT[version].format(said)
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                store.execute([DRAW])
        opened.append(server.connections - before)
    assert opened == [1, 1, 1], "each READONLY is followed by a new connection, and nothing else is"
    assert caplog.records == []


@pytest.mark.parametrize(
    "error",
    [
        "ERR user_script:12: attempt to index a nil value script: 0a1b, on @user_script:12.",
        "ERR Error running script (call to f_0a1b): @user_script:12: user_script:12: attempt to index a nil value",
    ],
)
def test_a_script_that_fails_is_an_error_of_ours_and_said_once(
    server: Server, store: RedisStore, error: str, caplog: pytest.LogCaptureFixture
) -> None:
    server.error = error
    for _ in range(3):
        with pytest.raises(StoreUnavailable, match="attempt to index"):
            store.execute([DRAW])
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "the ledger script failed in redis at 127.0.0.1" in record.getMessage()


# --- a server that speaks something else ---------------------------------------------------------------------------------

PIECES = [
    b"*", b"$", b":", b"+", b"-", b"_", b"#", b",", b"(", b"!", b"=", b"%", b"~", b"|", b">", b"\r\n", b"\r\n", b"0", b"1", b"2",
    b"-1", b"99999999999999999999", b"abc", b"\xff", b"inf", b"?", b"MOVED 1 x", b"ASK 1 1.1.1.1:1", b"NOAUTH", b"HTTP/1.1 200 OK",
]  # fmt: skip


class Babbler(socketserver.BaseRequestHandler):
    """Whatever it is asked, it says something else and hangs up."""

    def handle(self) -> None:
        while question := self.request.recv(65_536):
            if b"EVALSHA" in question or b"SET" in question.split(b"\r\n")[2:3]:
                self.request.sendall(self.server.said)  # type: ignore[attr-defined]
                return
            self.request.sendall(b"+OK\r\n" * max(1, question.count(b"*")))


@pytest.mark.parametrize("protocol", [2, 3])
def test_whatever_a_server_says_is_an_answer_or_a_store_that_does_not_serve(protocol: int) -> None:
    """Also what brings errors of its own out of a client's parser."""
    chance = random.Random(protocol)
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Babbler) as served:
        served.daemon_threads = True
        thread = threading.Thread(target=served.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        for _ in range(300):
            words = [chance.choice(PIECES) for _ in range(chance.randrange(1, 12))]
            served.said = (b"".join(words) + b"\r\n") * 2  # type: ignore[attr-defined]
            store = RedisStore.from_url(f"redis://127.0.0.1:{served.server_address[1]}/0?protocol={protocol}")
            for commands in ([DRAW], [DRAW, DRAW]):
                with pytest.raises(StoreUnavailable, match="does not serve"):
                    store.execute(commands)
            store.close()
        served.shutdown()
        thread.join()
