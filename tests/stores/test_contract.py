"""The contract, for each store of ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from clever_guard.quota.store import Store
from clever_guard.stores.memory import MemoryStore
from clever_guard.stores.redis import RedisStore
from clever_guard.stores.sqlite import SqliteStore
from clever_guard.testing.contracts import StoreContract


class TestMemory(StoreContract):
    def make_store(self, clock: Callable[[], int]) -> Store:
        return MemoryStore(clock)


class TestSqlite(StoreContract):
    @pytest.fixture(autouse=True)
    def _path(self, tmp_path: Path) -> None:
        self.path = tmp_path / "quota.db"

    def make_store(self, clock: Callable[[], int]) -> Store:
        return SqliteStore(self.path, clock=clock)


class TestRedis(StoreContract):
    @pytest.fixture(autouse=True)
    def _client(self, redis_url: str) -> Iterator[None]:
        self.client = redis.Redis.from_url(redis_url)
        yield
        self.client.close()

    def make_store(self, clock: Callable[[], int]) -> Store:
        return RedisStore(self.client, clock=clock)
