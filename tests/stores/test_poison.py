"""What somebody else wrote into a store, or answers in its place: never an exception, and never a worker that is stuck."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from clever_guard.errors import StoreUnavailable
from clever_guard.quota.record import Record, transition
from clever_guard.quota.store import Command, Draw, Terms
from clever_guard.stores.codec import body_of, ledger_of, record_of
from clever_guard.stores.redis import PREFIX, RedisStore, key_of
from clever_guard.stores.sqlite import SqliteStore
from clever_guard.stores.wire import answer_of
from tests.fuzz.everything import TARGETS
from tests.fuzz.stores import COMMANDS, NOW
from tests.stores.test_redis_errors import Server, Speaker, server, store

__all__ = ["server", "store"]
DRAW = Command("id", "", Terms(100, 10_000, 1_000), (), Draw(5))
LINES = [data.decode("latin-1") for data in TARGETS["ledger"].corpus()]
BODIES = [data.decode("utf-8", "replace") for data in TARGETS["record"].corpus()]


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.mark.parametrize("line", LINES)
def test_the_script_makes_of_a_line_what_python_makes_of_it(client: redis.Redis, line: str) -> None:
    """All that fuzzing found worth keeping: the same lines are refused, and the same answers given to the others."""
    key = key_of("id")
    client.hset(key, mapping={"b:": line, "r:": ""})
    found = ledger_of(line)
    record = Record() if found is None else Record({"": ("",)}, {"": found})
    store = RedisStore(client, clock=lambda: NOW)
    for command in COMMANDS:
        record, expected = transition(record_of(body_of(record)), NOW, command)
        assert store.execute([command])[0] == expected
    assert client.pttl(key) > 0


@pytest.mark.parametrize("body", [*BODIES, *LINES, "", "\x00", "{}"])
def test_a_row_of_anything_is_a_record_or_begins_anew(body: str, tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "quota.db", clock=lambda: NOW)
    store.execute(COMMANDS)
    store._connection().execute("UPDATE records SET body = ?", (body,))
    for command in COMMANDS:
        answer = store.execute([command])[0]
        assert answer.granted or answer.hold
    store.close()


@pytest.mark.parametrize("value", [b"\xff\xfe\x00", None, 5, 1e300, sqlite3.Binary(b"{}")])
def test_a_row_that_is_no_text_begins_anew(value: object, tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "quota.db")
    store.execute([DRAW])
    connection = store._connection()
    connection.execute(
        "UPDATE records SET body = CAST(? AS TEXT)" if isinstance(value, bytes) else "UPDATE records SET body = ?",
        (value,),
    )
    connection.execute("INSERT OR REPLACE INTO fleet VALUES ('fingerprint', CAST(? AS TEXT))", (b"\xff\xfe",))
    assert store.execute([DRAW])[0].kind == "scout"
    assert store.fingerprint("mine") not in (None, "mine")
    store.close()


@pytest.mark.parametrize("decodes", [False, True])
def test_a_fingerprint_that_is_no_text_is_another(client: redis.Redis, redis_url: str, decodes: bool) -> None:
    client.set(PREFIX + "{fleet}:fingerprint", b"\xff\xfe\x00")
    with redis.Redis.from_url(redis_url, decode_responses=decodes) as reading:
        store = RedisStore(reading)
        if decodes:  # it fails in the client itself
            with pytest.raises(StoreUnavailable, match="what is no answer"):
                store.fingerprint("mine")
        else:
            assert store.fingerprint("mine") not in (None, "mine")
        assert store.execute([DRAW])[0].kind == "scout"


REPLIES = [
    b"+OK\r\n",
    b":5\r\n",
    b"$-1\r\n",
    b"*-1\r\n",
    b"*0\r\n",
    b"*1\r\n$1\r\n5\r\n",
    b"$3\r\n\xff\xfe\x00\r\n",
    b"*6\r\n" + b":5\r\n" * 6,
]
REPLIES += [b"*6\r\n" + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words) for words in (
    (b"1", b"-1", b"lease", b"", b"0", b"0"),
    (b"9" * 30, b"1", b"lease", b"", b"0", b"0"),
    (b"1", b"1", b"lease", b"\xff", b"0", b"0"),
    (b"1", b"1", b"gift", b"", b"0", b"0"),
    (b"1", b"nan", b"lease", b"", b"1e5", b"0x10"),
    (b"1", b"1", b"lease", b"a,b,c,d,e", b"0", b"0"),
)]  # fmt: skip


class Liar(Speaker):
    """A server that accepts everything and answers scripts with the reply of the hour."""

    def handle(self) -> None:
        while (line := self.rfile.readline()).startswith(b"*"):
            words = [self._word() for _ in range(int(line[1:]))]
            known = words[0].upper() in (b"EVALSHA", b"EVAL", b"GET")
            self.wfile.write(self.server.reply if known else b"+OK\r\n")  # type: ignore[attr-defined]


@pytest.mark.parametrize("reply", REPLIES)
@pytest.mark.parametrize("count", [1, 2])
def test_a_server_that_answers_something_else_is_not_believed(
    server: Server, store: RedisStore, reply: bytes, count: int
) -> None:
    server.RequestHandlerClass = Liar
    server.reply = reply  # type: ignore[attr-defined]
    with pytest.raises(StoreUnavailable, match=r"does not serve: (it answered what is no answer|[A-Za-z]+)") as caught:
        store.execute([DRAW] * count)
    assert "\n" not in str(caught.value)


def test_the_scripts_own_replies_are_answers(client: redis.Redis) -> None:
    """Of the tables the others are taken from: numbers, kind and names in their places."""
    store = RedisStore(client, clock=lambda: NOW)
    store.execute([DRAW])
    calls = [store._arguments(command) for command in COMMANDS]
    answers = [answer_of(store._send_one(client, key_of("id"), words), words[0]) for words in calls]
    assert all(answer.kind in ("lease", "scout", "probe") for answer in answers)
