"""A forked child starts with nothing of its parent's: no leases, no locks that are held, no sockets or files in use."""

from __future__ import annotations

import contextlib
import copy
import os
import pickle
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3
from prometheus_client import CollectorRegistry

from clever_guard import Guard, Quota, Retry
from clever_guard.adapters.urllib3 import ADAPTER
from clever_guard.observe.prometheus import PrometheusObserver
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
        observers = [PrometheusObserver(CollectorRegistry(), buckets=True)]
        self.guard = Guard(Retry(), Quota(limit=limit, window=3600), store=store, max_wait=10, observers=observers)
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
    locks["connecting"] = getattr(engine._bare, "_making", None)
    locks |= {f"observer {number}": observer._following for number, observer in enumerate(engine._observers)}  # type: ignore[attr-defined]
    return {name: lock for name, lock in locks.items() if lock is not None}


def test_a_child_works_whatever_lock_another_thread_held(working: Working) -> None:
    locks = locks_of(working.guard)
    assert {"books", "adapter", "observer 0"} < set(locks)
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


def test_forks_while_threads_are_anywhere_inside(store: str) -> None:
    """67 forks for each store. A child that hangs is killed, and says so."""
    with Emulator(limit=10**6, window=3600).serve() as served:
        working = Working(store, served.url, limit=10**6)
        stop = threading.Event()
        crew = [threading.Thread(target=go_on, args=(working, stop, number), daemon=True) for number in range(4)]
        for thread in crew:
            thread.start()
        try:
            found = [in_child(working.in_child) for _ in range(67)]
        finally:
            stop.set()
            for thread in crew:
                thread.join(30)
        assert found == ["200"] * 67
        assert not any(thread.is_alive() for thread in crew)
        assert served.emulator.refused == 0
        working.close()


def go_on(working: Working, stop: threading.Event, number: int) -> None:
    """Calls, with a new pool and a new token now and then, so that every lock is taken."""
    http = urllib3.PoolManager(2)
    while not stop.is_set():
        working.guard.unwrap(working.guard.wrap(urllib3.PoolManager()))
        http = working.guard.wrap(urllib3.PoolManager(2))
        for call in range(10):
            token = {"Authorization": f"Bearer {number}-{call % 3}"}
            assert http.request("GET", working.url, headers=token, timeout=10).status == 200
        http.clear()


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


MODULE = """
import os
import urllib3
from clever_guard import Guard, Quota, Retry

guard = Guard(Retry(), Quota(limit=1000, window=3600), store=os.environ["TEST_STORE"], max_wait=20, observers=[])
http = guard.wrap(urllib3.PoolManager())

def calls(results, http=http):
    results.put([http.request("GET", os.environ["TEST_URL"], headers={"Authorization": "Bearer t"}).status for _ in range(5)])

def calls_with_its_own(results):
    with Guard(Retry(), Quota(limit=1000, window=3600), store=os.environ["TEST_STORE"], max_wait=20) as own:
        calls(results, own.wrap(urllib3.PoolManager()))
"""
STARTER = """
import multiprocessing, sys, module_with_a_guard as module
if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    if sys.argv[1] == "forkserver":
        context.set_forkserver_preload(["module_with_a_guard"])
    results = context.Queue()
    crew = [context.Process(target=work, args=(results,)) for work in (module.calls, module.calls_with_its_own) for _ in range(2)]
    for process in crew:
        process.start()
    module.calls(results)
    print(sorted({tuple(results.get(timeout=60)) for _ in range(5)}))
    for process in crew:
        process.join()
    print([process.exitcode for process in crew])
"""


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_processes_that_multiprocessing_starts_share_the_budget(method: str, tmp_path: Path) -> None:
    """A guard of a module that they import (or were forked with), and one made in the process."""
    (tmp_path / "module_with_a_guard.py").write_text(MODULE)
    (tmp_path / "start.py").write_text(STARTER)
    with Emulator(limit=1000, window=3600).serve() as served:
        environment = os.environ | {
            "TEST_STORE": f"sqlite:///{tmp_path}/quota.db",
            "TEST_URL": served.url + PATH,
            "PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path(__file__).parents[1])]),
        }
        ran = subprocess.run(
            [sys.executable, "start.py", method],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert ran.stdout == "[(200, 200, 200, 200, 200)]\n[0, 0, 0, 0]\n", ran.stderr
        assert ran.stderr == ""
        assert (served.emulator.admitted, served.emulator.refused) == (25, 0)


@pytest.mark.parametrize("copied", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_guard_that_is_pickled_says_what_to_do_instead(copied: Callable[[Any], Any]) -> None:
    guard = Guard(Quota(limit=10, window=60), secret="hush", name="mine")
    with pytest.raises(TypeError, match=r"the guard 'mine' cannot be pickled or copied.*make one in each process"):
        copied(guard)
    guard.close()


def test_a_pickled_policy_holds_no_secret_and_no_token(working: Working) -> None:
    guard = Guard(Retry(), Quota(limit=10, window=3600), secret="hush-hush")
    http = guard.wrap(urllib3.PoolManager())
    assert http.request("GET", working.url, headers=TOKEN).status == 200
    pickled = pickle.dumps(guard.policies[1])
    assert b"hush-hush" not in pickled
    assert b"secret-token" not in pickled
    quota = pickle.loads(pickled)
    assert (quota.limit, quota.secret) == (10, b"")
    guard.close()
    http.clear()
