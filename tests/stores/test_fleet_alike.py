"""What a simulated fleet asks of the ledger in Python, the script in Redis answers alike and keeps alike.

The random commands of ``test_differential.py`` go further; these come in the order, and at the times, of real work.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import redis

from clever_guard.quota.record import Record
from clever_guard.quota.store import Answer, Command
from clever_guard.stores.codec import ledger_of
from clever_guard.stores.memory import MemoryStore
from clever_guard.stores.redis import RedisStore, key_of
from clever_guard.testing.simulate.scenarios import BY_NAME
from clever_guard.testing.simulate.setting import Setting
from clever_guard.testing.simulate.world import World
from tests.stores.asking import Asking

ROWS = [
    ("base", 1),
    ("slow calls", 1),
    ("kill -9", 2),
    ("tiny limits", 1),
    ("no Date", 1),
    ("stranger at reset", 1),
    ("stranger, slow workers", 2),
    ("store clock steps", 2),
    ("store clock steps", 8),
    ("server set back", 1),
    ("first-hit windows", 1),
    ("limit changes", 1),
    ("some headerless", 1),
    ("other tick", 1),
    ("floors", 1),
    ("headerless", 1),
    ("data lost", 1),
]
"""Scenario and seed. Rows whose store goes back to an older state are not here: a Redis cannot be told to."""


SEEDS = range(12)
ASKED = 150


class Doubled(MemoryStore):
    """Asks a Redis the same at the same time, and compares."""

    def __init__(self, store: MemoryStore, client: redis.Redis) -> None:
        super().__init__(store._clock)
        self._client = client
        self._redis = RedisStore(client, clock=store._clock)
        self.compared = 0

    def execute(self, commands: Sequence[Command], /) -> Sequence[Answer]:
        answers = super().execute(commands)
        theirs = self._redis.execute(commands)
        assert list(theirs) == list(answers), f"{list(theirs)} != {list(answers)} after {list(commands)}"
        for identity in {command.identity for command in commands}:
            assert self._stored(identity) == self._records[identity]
        self.compared += len(answers)
        return answers

    def _stored(self, identity: str) -> Record:
        found = {key.decode(): value.decode() for key, value in self._client.hgetall(key_of(identity)).items()}
        ledgers = {key[2:]: ledger_of(value) for key, value in found.items() if key.startswith("b:")}
        routes = {key[2:]: tuple(value.split(",")) for key, value in found.items() if key.startswith("r:")}
        return Record(ledgers=ledgers, routes=routes)

    def forget(self) -> None:
        super().forget()
        self._client.flushall()


def setting(name: str, seed: int) -> Setting:
    """A row's, small."""
    full = BY_NAME[name].setting(seed)
    return replace(full, workers=5, windows=9 if "clock" in name else 6, limit=min(60, full.limit))


@pytest.mark.parametrize(("name", "seed"), ROWS)
def test_redis_answers_a_fleet_as_the_pure_ledger_does(name: str, seed: int, redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        world = World(setting(name, seed), f"{name}/{seed}/alike")
        world.store = store = Doubled(world.store, client)
        world.run()
    assert store.compared > 50


@pytest.mark.parametrize("seed", SEEDS)
def test_redis_answers_whatever_it_is_asked_as_the_pure_ledger_does(seed: int, redis_url: str) -> None:
    asking = Asking(seed)
    with redis.Redis.from_url(redis_url) as client:
        store = Doubled(MemoryStore(lambda: asking.now), client)
        for _ in range(ASKED):
            _, command = asking.ask()
            asking.hear(command, store.execute([command])[0])
