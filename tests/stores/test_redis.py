"""The Redis store where it is hurt: no script, a frozen server, garbage, other people's clients."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import redis

from clever_guard.errors import StoreUnavailable
from clever_guard.quota.store import Command, Draw, Terms
from clever_guard.stores.redis import PREFIX, RedisStore, key_of
from tests._redis import RedisServer, free_port

TERMS = Terms(100, 10_000, 1_000)
DRAW = Command("id", "", TERMS, (), Draw(5))


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def store(redis_url: str) -> Iterator[RedisStore]:
    store = RedisStore.from_url(redis_url)
    yield store
    store.close()


def draws(*identities: str) -> list[Command]:
    return [Command(identity, "", TERMS, (), Draw(5)) for identity in identities]


def test_one_identity_is_one_key_with_a_life(store: RedisStore, client: redis.Redis) -> None:
    store.execute(draws("one", "two"))
    store.fingerprint("mine")
    keys = {key.decode() for key in client.keys("*")}
    assert keys == {"cg:1:{one}", "cg:1:{two}", PREFIX + "{fleet}:fingerprint"}
    lives = {key: client.pttl(key) for key in keys}
    assert 90_000 < lives["cg:1:{one}"] <= 110_000, "ten windows"
    assert min(lives.values()) > 0, "every key has an end"


def test_a_server_that_forgot_the_script_is_given_it_again(store: RedisStore, client: redis.Redis) -> None:
    store.execute([DRAW])
    client.script_flush()
    assert store.execute([DRAW])[0].hold > 0
    client.script_flush()
    assert [answer.kind for answer in store.execute(draws("one", "two"))] == ["scout", "scout"]


def test_each_command_is_carried_out_once_though_the_script_was_missing(store: RedisStore, client: redis.Redis) -> None:
    client.script_flush()
    store.execute(draws("a", "b", "c"))
    for identity in "abc":
        line = client.hget(key_of(identity), "b:")
        assert isinstance(line, bytes)
        assert line.split()[8:11] == [b"1", b"0", b"0"], "one permit is out"


@pytest.mark.parametrize(
    "value", [b"", b"1 2 3", b"-1 " * 37, b"nan " * 37, b"0x10 " * 37, b"1e5 " * 37, b"9" * 999, b"\xff\x00\n"]
)
def test_garbage_in_a_field_is_not_believed(store: RedisStore, client: redis.Redis, value: bytes) -> None:
    client.hset(key_of("id"), mapping={"b:": value, "r:": "nowhere", "x": "y", "b:" + "n" * 99: "1"})
    answer = store.execute([DRAW])[0]
    assert (answer.kind, answer.buckets) == ("scout", ("",))
    assert set(client.hkeys(key_of("id"))) == {b"b:"}


def test_a_key_of_another_type_is_replaced(store: RedisStore, client: redis.Redis) -> None:
    client.set(key_of("id"), "not a hash")
    assert store.execute([DRAW])[0].kind == "scout"
    assert client.pttl(key_of("id")) > 0


def test_a_client_that_decodes_is_understood(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        store = RedisStore(client)
        assert store.execute([DRAW])[0].buckets == ("",)
        assert store.fingerprint("mine") == "mine"


def test_a_client_that_was_handed_in_is_not_closed(client: redis.Redis) -> None:
    RedisStore(client).close()
    assert client.ping()


def test_a_frozen_server_is_given_up_in_time_and_its_late_answer_is_nobodys(own_redis: RedisServer) -> None:
    store = RedisStore.from_url(own_redis.url)
    store.execute(draws("first"))
    own_redis.pause()
    begun = time.monotonic()
    with pytest.raises(StoreUnavailable, match="no answer in time"):
        store.execute(draws("second"))
    assert time.monotonic() - begun < 5, "a quarter of a second, and a slow machine"
    own_redis.resume()
    answers = [store.execute(draws(identity))[0] for identity in ("third", "first", "fourth")]
    assert [answer.granted for answer in answers] == [1, 0, 1]
    store.close()


def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    port = free_port()
    store = RedisStore.from_url(f"redis://user:hunter2@127.0.0.1:{port}/0")
    with pytest.raises(StoreUnavailable) as caught:
        store.execute([DRAW])
    assert str(caught.value) == f"redis at 127.0.0.1:{port} does not serve: no connection"
    assert "hunter2" not in repr(store) + repr(caught.value)
    with pytest.raises(StoreUnavailable):
        store.fingerprint("mine")


def test_a_wrong_password_is_said(own_redis: RedisServer) -> None:
    with redis.Redis.from_url(own_redis.url) as client:
        client.config_set("requirepass", "secret")
    store = RedisStore.from_url(own_redis.url.replace("redis://", "redis://:hunter2@"))
    with pytest.raises(StoreUnavailable, match="does not accept the user or password") as caught:
        store.execute([DRAW])
    assert "hunter2" not in str(caught.value)
    store.close()


def test_a_server_that_may_not_write_is_said(own_redis: RedisServer) -> None:
    with redis.Redis.from_url(own_redis.url) as client:
        client.config_set("maxmemory", "1")
    store = RedisStore.from_url(own_redis.url)
    with pytest.raises(StoreUnavailable, match="does not serve: "):
        store.execute([DRAW])
    store.close()


def test_the_clock_is_the_servers(store: RedisStore, client: redis.Redis) -> None:
    seconds, micros = client.time()
    assert abs(store.execute([DRAW])[0].now - (seconds * 1000 + micros // 1000)) < 5_000
