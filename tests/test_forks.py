"""A forked child starts with nothing of its parent's: no leases, no locks that are held, no sockets or files in use."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3

from clever_guard import Guard, Quota, Retry
from clever_guard.adapters.urllib3 import ADAPTER
from clever_guard.testing import Emulator

TOKEN = {"Authorization": "Bearer secret-token"}
PATH = "/v2.0/students?limit=1"


def in_child(work: Callable[[], object], patience: float = 20.0) -> str:
    """What ``work`` returned in a forked child, or how the child ended; one that hangs is killed."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writer, repr(work()).encode())
        except BaseException:
            os.write(writer, traceback.format_exc().encode()[-4000:])
        finally:
            os._exit(0)
    os.close(writer)
    killer = threading.Timer(patience, os.kill, (pid, signal.SIGKILL))
    killer.start()
    with os.fdopen(reader) as said:
        found = said.read()
    killer.cancel()
    killer.join()
    os.waitpid(pid, 0)
    return found or "it hung"


@contextlib.contextmanager
def held(lock: Any) -> Iterator[None]:
    """Another thread has the lock."""
    taken, done = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            taken.set()
            done.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    assert taken.wait(10)
    try:
        yield
    finally:
        done.set()
        thread.join()


@pytest.fixture(params=["memory", "sqlite", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "redis":
        url: str = request.getfixturevalue("redis_url")
        return url
    return "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/quota.db"


class Working:
    """A guard that has made a few calls, and its client."""

    def __init__(self, store: str, url: str, limit: int = 1000) -> None:
        self.guard = Guard(Retry(), Quota(limit=limit, window=3600), store=store, max_wait=10)
        self.http = self.guard.wrap(urllib3.PoolManager())
        self.url = url + PATH
        for _ in range(3):
            self.get()

    def get(self) -> int:
        return self.http.request("GET", self.url, headers=TOKEN, timeout=10).status

    def in_child(self) -> int:
        """One call over a connection of the child's own."""
        self.http.clear()
        return self.get()

    def close(self) -> None:
        self.guard.close()
        self.http.clear()


@pytest.fixture
def working(store: str) -> Iterator[Working]:
    with Emulator(limit=1000, window=3600).serve() as served:
        made = Working(store, served.url)
        yield made
        made.close()


def locks_of(guard: Guard) -> dict[str, Any]:
    engine = guard.engine
    places = {"books": engine._books, "store": engine._bare, "fallback": engine._store, "adapter": ADAPTER}
    locks = {name: getattr(place, "_lock", None) for name, place in places.items()}
    locks["introducing"] = engine._introducing
    return {name: lock for name, lock in locks.items() if lock is not None}


def test_a_child_works_whatever_lock_another_thread_held(working: Working) -> None:
    locks = locks_of(working.guard)
    assert {"books", "adapter"} < set(locks)
    for name, lock in locks.items():
        with held(lock):
            assert in_child(working.in_child) == "200", name
            assert (
                in_child(lambda: working.guard.unwrap(working.guard.wrap(urllib3.PoolManager())) is not None) == "True"
            )
    assert working.get() == 200


def test_a_child_starts_with_empty_books_and_the_parent_keeps_its_own(working: Working) -> None:
    books = working.guard.engine._books

    def look() -> tuple[bool, int]:
        mine = working.guard.engine._books
        return mine is books, len(mine._books)

    assert in_child(look) == "(False, 0)"
    assert working.guard.engine._books is books
    assert len(books._books) == 1


@pytest.mark.parametrize("store", ["sqlite", "redis"], indirect=True)
def test_children_and_parent_share_a_budget_and_it_is_kept(store: str) -> None:
    with Emulator(limit=60, window=3600).serve() as served:
        working = Working(store, served.url, limit=60)

        def work() -> list[int]:
            statuses = [working.in_child() for _ in range(10)]
            working.guard.close()
            return statuses

        try:
            for _ in range(5):
                assert in_child(work) == repr([200] * 10)
            assert [working.get() for _ in range(3)] == [200] * 3
            assert (served.emulator.admitted, served.emulator.refused) == (56, 0)
        finally:
            working.close()


def test_randomness_is_not_repeated(working: Working) -> None:
    def draw() -> list[float]:
        return [working.guard.engine._books._chance() for _ in range(2)]

    assert in_child(draw) != in_child(draw)


def test_a_child_that_closes_leaves_the_parent_its_store(working: Working) -> None:
    assert in_child(lambda: [working.in_child(), working.guard.close()]) == "[200, None]"
    assert [working.get() for _ in range(3)] == [200] * 3


def test_a_child_does_not_close_the_parents_sqlite_connections(tmp_path: Path) -> None:
    with Emulator(limit=1000, window=3600).serve() as served:
        working = Working(f"sqlite:///{tmp_path}/quota.db", served.url)
        store: Any = working.guard.engine._bare
        (connection,) = store._open.values()

        def close_and_look() -> bool:
            store.close()
            try:
                connection.total_changes  # it raises for a connection that is closed
            except sqlite3.ProgrammingError:
                return False
            return True

        assert in_child(close_and_look) == "True"
        working.close()


def test_a_child_speaks_to_redis_over_its_own_socket(redis_url: str) -> None:
    with Emulator(limit=1000, window=3600).serve() as served:
        working = Working(redis_url, served.url)
        stop = threading.Event()
        statuses: list[int] = []

        def go_on() -> None:
            while not stop.is_set():
                statuses.append(working.get())
                time.sleep(0.001)

        thread = threading.Thread(target=go_on)
        thread.start()
        try:
            found = [in_child(lambda: [working.in_child() for _ in range(20)]) for _ in range(5)]
        finally:
            stop.set()
            thread.join()
        assert found == [repr([200] * 20)] * 5
        assert set(statuses) == {200}
        working.close()
