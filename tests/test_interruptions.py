"""Exceptions that a signal handler raises: at every place of a call, in every wait, and hammered. The guard stays as usable as before."""

from __future__ import annotations

import gc
import random
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest
import urllib3

from clever_guard import Guard, Quota, Retry
from clever_guard.events import CallFinished, Event
from clever_guard.stores.fallback import Fallback
from clever_guard.stores.sqlite import SqliteStore
from clever_guard.testing import Emulator
from clever_guard.testing.clock import VirtualTime
from tests._points import LIMIT, Interrupted, Place, World, interrupted, watched

TOKEN = {"Authorization": "Bearer secret-token"}
PATH = "/v2.0/students?limit=1"


class SoftTimeLimit(Exception):
    """As Celery raises from its handler: an ordinary exception, anywhere."""


@contextmanager
def alarms(
    kind: type[BaseException], first: float, where: Callable[[FrameType | None], bool] | None = None
) -> Iterator[None]:
    """The signal raises a ``kind``; where it may not, it comes again a little later."""

    def handler(signum: int, frame: FrameType | None) -> None:
        if where is None or where(frame):
            raise kind
        signal.setitimer(signal.ITIMER_REAL, 5e-5)

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, first)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# --- at every place ----------------------------------------------------------------------------------------------------


def interrupt(world: World, number: int) -> str | None:
    """One call, interrupted at its ``number``-th place. Where that was; None where it has not so many."""
    place = Place(number, interrupted)
    try:
        with watched(place):
            world.call()
    except Interrupted:
        pass
    return place.where


def at_every_place(make: Callable[[], World], step: int = 1) -> int:
    number = 1
    while True:
        world = make()
        where = interrupt(world, number)
        if where is None:
            return number // step
        world.judge(where)
        number += step


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # one that strikes while a generator is closed
@pytest.mark.parametrize(
    ("make", "least"),
    [(World.with_permits_in_hand, 60), (World, 400), (lambda: World(warm=2), 600)],
    ids=["a permit in hand", "a trip to the store", "a wait"],
)
def test_an_exception_at_any_place_leaves_the_guard_as_usable_as_before(make: Callable[[], World], least: int) -> None:
    """No lock is held, nobody waits for what never comes, nothing is spent that is not there."""
    assert at_every_place(make) > least


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_exception_at_any_place_leaves_a_sqlite_file_open_to_others(tmp_path: Path) -> None:
    """A transaction that stayed open would lock all processes of the host out."""
    number = 1
    other = SqliteStore(tmp_path / "quota.db", patience=0.0)
    stores: list[SqliteStore] = []

    def make_store(time: VirtualTime) -> Fallback:
        stores.append(SqliteStore(tmp_path / "quota.db", clock=time.milliseconds))
        return Fallback(stores[-1])

    where: str | None = ""
    while where is not None:
        other.execute([])
        world = World(make_store, warm=0)
        where = interrupt(world, number)
        other.execute([])
        assert world.call() == 200, where
        stores.pop().close()
        number += 7
    assert number > 500
    other.close()


def test_who_was_interrupted_leaves_the_queue() -> None:
    world = World(warm=LIMIT)
    book = next(iter(world.guard.engine._books._books.values()))
    pause = world.guard.engine.driver._pause
    world.guard.engine.driver._pause = lambda seconds, ticket: interrupted()
    with pytest.raises(Interrupted):
        world.call()
    world.guard.engine.driver._pause = pause
    assert not book.waiting
    world.judge("in the queue")


# --- in every wait, for real -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SoftTimeLimit])
@pytest.mark.parametrize("wait", ["quota", "backoff", "answer"])
def test_a_wait_ends_at_once(kind: type[BaseException], wait: str) -> None:
    told: list[Event] = []
    knobs = {"quota": {"limit": 1}, "backoff": {"error_rate": 1.0}, "answer": {"latency": 30.0}}[wait]
    with Emulator(**{"limit": 100, "window": 3600} | knobs).serve() as served:
        guard = Guard(Retry(), Quota(limit=100, window=3600), observers=[told.append])
        http = guard.wrap(urllib3.HTTPConnectionPool("127.0.0.1", served.port, maxsize=1, block=True))
        try:
            if wait == "quota":
                http.request("GET", PATH, headers=TOKEN)
            begun = time.monotonic()
            with pytest.raises(kind), alarms(kind, 0.3):
                http.request("GET", PATH, headers=TOKEN)
            assert time.monotonic() - begun < 10
            assert isinstance(told[-1], CallFinished)
            assert told[-1].outcome == ("cancelled" if kind is KeyboardInterrupt else "error")
            books = guard.engine._books
            assert not books._lock.locked()
            assert not any(book.waiting or book.promised for book in books._books.values())
            served.emulator.turn(limit=100, error_rate=0.0, latency=0.0)
            assert http.request("GET", PATH, headers={"Authorization": "Bearer another"}, timeout=10).status == 200
        finally:
            guard.close()
            http.close()


# --- hammered ----------------------------------------------------------------------------------------------------------


def beside_urllib3(frame: FrameType | None) -> bool:
    """Whether the guard is at work, or its store's client. urllib3 itself may lose a connection between taking and using it."""
    while frame is not None:
        path = Path(frame.f_code.co_filename).parts
        if "urllib3" in path and "clever_guard" not in path:
            return False
        if "clever_guard" in path and "tests" not in path:
            return True
        frame = frame.f_back
    return False


class Hammer:
    """Calls that are interrupted at random microseconds, over one connection."""

    def __init__(self, pool: urllib3.HTTPConnectionPool, kind: type[BaseException]) -> None:
        self.pool = pool
        self.kind = kind
        self.outcomes: dict[str, int] = {"answered": 0, "interrupted": 0}

    def strike(self, times: int, chance: random.Random) -> None:
        """An exception that comes while a generator is closed is swallowed; that call may wait for a scout, two seconds."""
        until = time.monotonic() + 20
        with alarms(self.kind, 0.0, beside_urllib3):
            while self.outcomes["interrupted"] < times and time.monotonic() < until:
                try:
                    signal.setitimer(signal.ITIMER_REAL, chance.uniform(5e-5, 3e-3))
                    assert self.pool.request("GET", PATH, headers=TOKEN).status == 200
                    signal.setitimer(signal.ITIMER_REAL, 0)
                    self.outcomes["answered"] += 1
                except self.kind:
                    self.outcomes["interrupted"] += 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SoftTimeLimit])
@pytest.mark.parametrize("store", ["memory", "sqlite", "redis"])
def test_calls_that_are_interrupted_anywhere_leave_a_pool_of_one_and_its_guard_usable(
    kind: type[BaseException], store: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url = (
        request.getfixturevalue("redis_url")
        if store == "redis"
        else {"memory": "memory://"}.get(store, f"sqlite:///{tmp_path}/quota.db")
    )
    with Emulator(limit=100_000, window=3600).serve() as served:
        guard = Guard(Retry(), Quota(limit=100_000, window=3600), store=url, max_wait=20)
        pool = guard.wrap(urllib3.HTTPConnectionPool("127.0.0.1", served.port, maxsize=1, block=True, timeout=10))
        hammer = Hammer(pool, kind)
        hammer.strike(200, random.Random(7))
        assert hammer.outcomes["interrupted"] == 200, hammer.outcomes
        books = guard.engine._books
        assert not books._lock.locked()
        statuses: list[int] = []
        thread = threading.Thread(target=lambda: statuses.extend(calls(pool, 20)), daemon=True)
        thread.start()
        thread.join(30)
        assert statuses == [200] * 20
        assert served.emulator.refused == 0
        assert not any(book.waiting for book in books._books.values())
        assert pool.pool is not None
        assert pool.pool.qsize() == 1, "the one connection is where it belongs"
        guard.close()
        pool.close()
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", ResourceWarning
        )  # a socket of the store's client, interrupted before anybody had it
        gc.collect()


def calls(pool: urllib3.HTTPConnectionPool, count: int) -> list[int]:
    return [pool.request("GET", PATH, headers=TOKEN, pool_timeout=5).status for _ in range(count)]
