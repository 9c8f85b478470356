"""Values in the store that no ledger wrote: every field of the record, in every shape; and keys of other versions.

A number that a ledger may hold is believed, for nothing tells it from the truth; everything else makes the ledger begin anew.
Who is believed may cost a hold or a refusal, never an error, and never a time that no window has.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from clever_guard.quota.record import Record, transition
from clever_guard.quota.store import Answer, Command, Draw, Terms
from clever_guard.stores.codec import AHEAD, FIELDS, ledger_of, line_of
from clever_guard.stores.redis import PREFIX, RedisStore, key_of
from clever_guard.testing import Emulator
from clever_guard.testing.emulator.serving import Served
from tests.stores.watched import Watched, lines, store_at

NOW = 1_700_000_000_000
TERMS = Terms(100, 10_000, 1_000)
POSITIONS = range(len(FIELDS))


def healthy(now: int = NOW) -> list[str]:
    """A ledger in the middle of its window."""
    record = Record()
    for at, command in ((now - 3_000, Draw(1)), (now - 1_900, Draw(4)), (now - 100, Draw(1))):
        record, _ = transition(record, at, Command("id", "", TERMS, (), command))
    return line_of(record.ledgers[""]).split(" ")


numbers = st.one_of(
    st.sampled_from([0, 1, -1, 2, 100, 101, 60_001, 10**6, 2**31, 2**53, 10**15 - 1, -(10**15) + 1, 10**15, NOW]),
    st.integers(-(10**15), 10**15),
    st.integers(NOW - 100_000, NOW + 100_000),
    st.integers(NOW + AHEAD - 5_000, NOW + AHEAD + 5_000),
).map(str)
texts = st.sampled_from(
    [
        "nan",
        "inf",
        "-inf",
        "1e5",
        "0x10",
        "+1",
        "-",
        "--1",
        "1.5",
        "١٢",
        "１",
        "",
        "1 2",
        "9" * 5000,
        "\x00",
        "-0",
        "007",
        "a",
        "\n1",
    ]
)
poison = st.dictionaries(st.sampled_from(POSITIONS), st.one_of(numbers, numbers, texts), min_size=1, max_size=4)


def poisoned(changes: dict[int, str], now: int = NOW) -> str:
    words = healthy(now)
    for position, value in changes.items():
        words[position] = value
    return " ".join(words)


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


@settings(max_examples=400)
@given(changes=poison, wait=st.sampled_from([0, 1, 900, 30_000]), want=st.integers(1, 50))
def test_the_script_and_the_pure_ledger_believe_the_same(
    client: redis.Redis, changes: dict[int, str], wait: int, want: int
) -> None:
    """Or both believe nothing; the answer is the same, and so is what is stored afterwards."""
    line = poisoned(changes)
    client.delete(key_of("id"))
    client.hset(key_of("id"), "b:", line.encode())
    found = ledger_of(line)
    record = Record({}, {} if found is None else {"": found})
    store = RedisStore(client, clock=lambda: NOW + wait)
    command = Command("id", "", TERMS, (), Draw(want, NOW - 100))
    _, expected = transition(record, NOW + wait, command)
    assert store.execute([command]) == [expected]
    assert_sensible(expected, client)


def assert_sensible(answer: Answer, client: redis.Redis) -> None:
    assert 0 <= answer.granted <= TERMS.limit
    assert 0 <= answer.hold <= 2 * AHEAD
    assert 0 < client.pttl(key_of("id")) <= 25 * AHEAD


@pytest.mark.parametrize("position", POSITIONS)
def test_no_field_holds_a_fleet_up_for_ever(client: redis.Redis, position: int) -> None:
    """The largest and the smallest number of fifteen digits in one field, and a fleet that waits as it is told."""
    for value in ("9" * 15, "-" + "9" * 15):
        client.delete(key_of("id"))
        client.hset(key_of("id"), "b:", poisoned({position: value}).encode())
        now = [NOW]
        store = RedisStore(client, clock=lambda now=now: now[0])
        for _ in range(60):
            answer = store.execute([Command("id", "", TERMS, (), Draw(1))])[0]
            if answer.granted:
                break
            now[0] += answer.hold
        assert answer.granted, FIELDS[position]
        assert now[0] - NOW <= 5 * TERMS.window, FIELDS[position]


# --- through a whole guard ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def api() -> Iterator[Served]:
    with Emulator(limit=100_000, window=3600).serve() as served:
        yield served


@pytest.fixture
def worker(redis_url: str, api: Served) -> Iterator[Watched]:
    worker = Watched(store_at(redis_url), api, max_wait=0.3)
    assert worker.get() == "served"
    yield worker
    worker.close()


def key_in(client: redis.Redis) -> str:
    (key,) = [key.decode() for key in client.keys("cg:1:*") if b"fleet" not in key]
    return str(key)


def bucket_in(client: redis.Redis, key: str) -> bytes:
    """The field of the bucket that the API named; empty until it is stored."""
    return next((name for name in client.hkeys(key) if name.startswith(b"b:") and name != b"b:"), b"")


@settings(max_examples=25)
@given(changes=poison)
def test_a_call_is_served_or_held_and_the_store_is_not_taken_to_be_down(
    worker: Watched, client: redis.Redis, changes: dict[int, str]
) -> None:
    key = key_in(client)
    worker.calls_until(lambda: bucket_in(client, key))
    bucket = bucket_in(client, key)
    seconds, micros = client.time()
    client.hset(key, mapping={bucket: poisoned(changes, seconds * 1000 + micros // 1000)})
    worker.fresh_lease()
    assert worker.get() in ("served", "held")
    assert worker.changes == []
    client.hdel(key, bucket)
    worker.fresh_lease()
    assert "served" in worker.calls_until(lambda: bucket_in(client, key)), "the ledger has begun anew"


WRONG_TYPES = {
    "string": lambda client, key: client.set(key, "text"),
    "list": lambda client, key: client.rpush(key, "a", "b"),
    "set": lambda client, key: client.sadd(key, "a"),
    "sorted set": lambda client, key: client.zadd(key, {"a": 1.0}),
    "stream": lambda client, key: client.xadd(key, {"a": "b"}),
    "bits": lambda client, key: client.setbit(key, 4_000, 1),
}


@pytest.mark.parametrize("kind", WRONG_TYPES)
def test_a_key_of_another_type_is_replaced(kind: str, worker: Watched, client: redis.Redis) -> None:
    key = key_in(client)
    client.delete(key)
    WRONG_TYPES[kind](client, key)
    worker.fresh_lease()
    assert worker.get() == "served"
    assert client.type(key) == b"hash"
    assert client.pttl(key) > 0
    assert worker.changes == []


@pytest.mark.parametrize("value", [b"\xff\xfe", b"", b"0" * 10_000, b"<script>"])
def test_a_poisoned_fingerprint_is_another_secret_and_no_more(
    value: bytes, client: redis.Redis, api: Served, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    client.set(PREFIX + "{fleet}:fingerprint", value)
    worker = Watched(store_at(redis_url), api)
    assert [worker.get() for _ in range(3)] == ["served"] * 3
    assert worker.changes == []
    assert len(lines(caplog.records)) == (value != b"")
    worker.close()


def test_a_fingerprint_of_another_type_is_said_once(
    client: redis.Redis, api: Served, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    client.rpush(PREFIX + "{fleet}:fingerprint", "a")
    worker = Watched(store_at(redis_url), api)
    for _ in range(6):
        worker.fresh_lease()
        assert worker.get() == "served"
    (said,) = lines(caplog.records)
    assert "could not be compared" in said
    assert "WRONGTYPE" in said
    assert worker.changes == []
    worker.close()


# --- other versions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("schema", ["cg:0:", "cg:2:", "cg:10:"])
def test_another_schema_is_left_alone(schema: str, worker: Watched, client: redis.Redis) -> None:
    theirs = schema + key_in(client).removeprefix(PREFIX)
    client.set(theirs, "of another version")
    worker.fresh_lease()
    assert worker.get() == "served"
    assert client.get(theirs) == b"of another version"
    assert client.pttl(theirs) == -1
    assert worker.changes == []


@pytest.mark.parametrize("count", [len(FIELDS) - 1, len(FIELDS) + 1, 2 * len(FIELDS)])
def test_a_line_with_more_or_fewer_numbers_begins_anew(count: int, client: redis.Redis) -> None:
    words = list(itertools.islice(itertools.cycle(healthy()), count))
    client.hset(key_of("id"), "b:", " ".join(words))
    store = RedisStore(client, clock=lambda: NOW)
    assert store.execute([Command("id", "", TERMS, (), Draw(5))])[0].kind == "scout"


def test_names_that_no_server_gave_are_forgotten(worker: Watched, client: redis.Redis) -> None:
    key, good = key_in(client), " ".join(healthy())
    strange: dict[Any, Any] = {
        "b:with space": good, "b:" + "n" * 33: good, b"b:\xff": good, "b:;redis.call('FLUSHALL')": good,
        "r:nowhere": "missing", "r:many": ",".join("abcdefgh"), "x": "y", "": "",
    }  # fmt: skip
    before = set(client.hkeys(key))
    client.hset(key, mapping=strange)
    worker.fresh_lease()
    assert worker.get() == "served"
    assert set(client.hkeys(key)) == before
    assert all(re.fullmatch(rb"[br]:[\w.-]{0,32}", name) for name in before)
