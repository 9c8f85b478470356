"""Fixtures every room uses, and a watch that no test leaves processes or threads behind."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest
import redis
from hypothesis import HealthCheck, settings

from tests._redis import RedisServer

settings.register_profile(
    "default", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
settings.register_profile("mutation", settings.get_profile("default"), max_examples=30, derandomize=True, database=None)
settings.load_profile("default")
signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that fixtures end their servers then too
for name in ("CLEVER_GUARD_STORE", "CLEVER_GUARD_MODE", "CLEVER_GUARD_SECRET"):
    os.environ.pop(name, None)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    server = RedisServer()
    yield server
    server.stop()


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
        client.script_flush()
    return redis_server.url


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A server that a test may break."""
    server = RedisServer()
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    left = [
        thread for thread in threading.enumerate() if thread not in before and not thread.daemon and thread.is_alive()
    ]
    assert not left, f"threads left behind: {left}"
