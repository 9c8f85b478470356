"""What travels to a real Redis and what is left there: one script, one key, an end for every key, one trip a lease."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from clever_guard.events import PermitsMoved
from clever_guard.parts.keys import identity
from clever_guard.quota.store import Command, Draw, Terms
from clever_guard.stores.redis import SHA, RedisStore, key_of
from clever_guard.testing import Emulator
from clever_guard.testing.emulator.serving import Served
from tests._redis import RedisServer
from tests.stores.watched import Watched

GREETINGS = {"HELLO", "AUTH", "SELECT", "CLIENT SETINFO", "CLIENT MAINT_NOTIFICATIONS"}


@pytest.fixture(scope="module")
def api() -> Iterator[Served]:
    with Emulator(limit=100_000, window=3600).serve() as served:
        yield served


@pytest.fixture
def admin(own_redis: RedisServer) -> Iterator[redis.Redis]:
    with redis.Redis(port=own_redis.port) as admin:
        yield admin


@contextlib.contextmanager
def monitored(server: RedisServer) -> Iterator[list[str]]:
    """Everything the server is asked meanwhile, by MONITOR; commands of scripts begin with ``lua``."""
    heard: list[str] = []
    with redis.Redis(port=server.port) as client, client.monitor() as monitor:

        def listen() -> None:
            for command in monitor.listen():
                heard.append(("lua " if command["client_type"] == "lua" else "") + command["command"])
                if command["command"] == "ECHO done":
                    return

        listening = threading.Thread(target=listen)
        listening.start()
        yield heard
        with redis.Redis(port=server.port) as last:
            last.echo("done")
        listening.join(20)
        assert not listening.is_alive()


def kind_of(command: str) -> str:
    words = command.upper().split(" ")
    return " ".join(words[:2]) if words[0] in ("CLIENT", "SCRIPT") else words[0]


def test_all_that_is_asked_is_one_script_on_one_key(own_redis: RedisServer, admin: redis.Redis, api: Served) -> None:
    first = Watched(own_redis.url, api)
    assert first.get() == "served"
    first.close()
    with monitored(own_redis) as heard:
        worker = Watched(own_redis.url, api)
        for _ in range(30):
            assert worker.get() == "served"
        worker.close()
    asked = [command for command in heard if not command.startswith("lua ") and kind_of(command) not in GREETINGS]
    assert kind_of(asked.pop()) == "ECHO"
    assert {kind_of(command) for command in asked} == {"EVALSHA", "SET", "GET"}
    scripts = [command.split(" ") for command in asked if kind_of(command) == "EVALSHA"]
    assert {words[1] for words in scripts} == {SHA}
    assert {words[2] for words in scripts} == {"1"}, "one key, so one slot: CROSSSLOT cannot be said"
    assert len({words[3] for words in scripts}) == 1
    assert stats_of(admin, "eval") == 1, "the script itself travels once"
    within = {command.split(" ")[1].upper() for command in heard if command.startswith("lua ")}
    assert within <= {"TIME", "HGETALL", "HSET", "HDEL", "PEXPIRE"}


def test_every_key_has_an_end_at_every_moment(own_redis: RedisServer, admin: redis.Redis, api: Served) -> None:
    """Ten windows after the last command at the latest, and each command puts it off."""
    worker = Watched(own_redis.url, api)
    for _ in range(10):
        worker.get()
        worker.fresh_lease()
        lives = {key.decode(): admin.pttl(key) for key in admin.scan_iter()}
        ledgers = [life for key, life in lives.items() if "fleet" not in key]
        assert len(ledgers) == 1
        assert 0 < ledgers[0] <= 10 * 2 * 3600 * 1000
        assert min(lives.values()) > 0
    worker.close()


def test_the_last_window_is_forgotten_when_nobody_asks(own_redis: RedisServer, admin: redis.Redis) -> None:
    store = RedisStore.from_url(own_redis.url)
    store.execute([Command("id", "", Terms(10, 20, 10), (), Draw(1))])
    assert admin.exists(key_of("id"))
    worst = 10 * 20 / 1000
    stop = threading.Event()
    for _ in range(200):
        stop.wait(worst / 4)
        if not admin.exists(key_of("id")):
            break
    assert not admin.exists(key_of("id"))
    store.close()


def test_the_store_is_asked_for_leases_and_not_for_requests(
    own_redis: RedisServer, admin: redis.Redis, api: Served
) -> None:
    """By the server's own count of scripts: one trip a lease, and a few for scouts and the end."""
    worker = Watched(own_redis.url, api, ttl=0.5)
    worker.calls_until(lambda: sum(permits(worker, "granted")) >= 200)
    before = scripts_run(admin)
    leases = len(permits(worker, "granted"))
    calls = len(worker.calls_until(lambda: len(permits(worker, "granted")) >= leases + 5))
    trips = scripts_run(admin) - before
    drawn = len(permits(worker, "granted")) - leases
    assert trips <= drawn + 1
    assert calls >= 5 * trips
    worker.close()


def permits(worker: Watched, op: str) -> list[int]:
    return [one.permits for one in worker.told if isinstance(one, PermitsMoved) and one.op == op]


def scripts_run(admin: redis.Redis) -> int:
    return stats_of(admin, "evalsha") + stats_of(admin, "eval")


def stats_of(admin: redis.Redis, command: str) -> int:
    found: Any = admin.info("commandstats")
    return int(found.get(f"cmdstat_{command}", {}).get("calls", 0))


def test_the_script_does_not_grow_what_is_stored(own_redis: RedisServer, admin: redis.Redis) -> None:
    """Whatever the number of workers and draws, a record is a line for each bucket and one for each route."""
    store = RedisStore.from_url(own_redis.url)
    sizes: Counter[int] = Counter()
    for number in range(300):
        store.execute([Command("id", "", Terms(1_000_000, 60_000, 10), (), Draw(1, previous=number % 3))])
        sizes[admin.hlen(key_of("id"))] += 1
    assert set(sizes) == {1}
    assert admin.memory_usage(key_of("id")) < 2_000
    assert int(admin.info("memory")["number_of_cached_scripts"]) == 1
    store.close()


@given(token=st.text(max_size=50), secret=st.binary(max_size=32))
def test_a_key_is_in_the_slot_of_its_identity(token: str, secret: bytes) -> None:
    """All that belongs to one identity is in one slot, whatever is added to its keys."""
    digest = identity(token, secret)
    key = key_of(digest)
    assert key.count("{") == key.count("}") == 1
    assert key_slot(key.encode()) == key_slot(digest.encode()) == key_slot(f"cg:1:{{{digest}}}:more".encode())
