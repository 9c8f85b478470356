"""Signal handlers and finalizers that make guarded calls, wherever their thread just was: no deadlock, and nothing half changed is used."""

from __future__ import annotations

import gc
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import urllib3
from prometheus_client import CollectorRegistry, generate_latest

from clever_guard import Guard, GuardError, Quota, Retry, StoreUnavailable
from clever_guard.drivers.sync import pause
from clever_guard.model import Claim, Permit, Ticket
from clever_guard.observe.prometheus import PrometheusObserver
from clever_guard.quota.book import Book
from clever_guard.quota.books import Books
from clever_guard.quota.lease import Lease
from clever_guard.stores import MemoryStore
from clever_guard.stores.fallback import Fallback
from clever_guard.stores.sqlite import SqliteStore
from clever_guard.testing import Emulator
from clever_guard.testing.clock import VirtualTime
from tests._points import Place, World, watched
from tests.test_forks import in_child

TOKEN = {"Authorization": "Bearer secret-token"}
PATH = "/v2.0/students?limit=1"


# --- at every place ----------------------------------------------------------------------------------------------------


def call_within_a_call(world: World, number: int) -> str | None:
    """One call, and another one in its midst, at its ``number``-th place. Where that was; None where it has not so many."""
    within: list[int] = []
    place = Place(number, lambda: within.append(world.call()))
    with watched(place):
        assert world.call() == 200, place.where
    assert place.where is None or within == [200], place.where
    return place.where


@pytest.mark.parametrize(
    ("make", "step", "least"),
    [(World.with_permits_in_hand, 1, 60), (World, 3, 400), (lambda: World(warm=2), 5, 600)],
    ids=["a permit in hand", "a trip to the store", "a wait"],
)
def test_a_call_in_the_midst_of_another_is_served_at_every_place(
    make: Callable[[], World], step: int, least: int
) -> None:
    number, where = 1, ""
    while where is not None:
        world = make()
        where = call_within_a_call(world, number)
        world.judge(where)
        number += step
    assert number > least


def test_a_call_in_the_midst_of_a_sqlite_transaction_is_served_in_the_dark(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """That transaction cannot end before the call does. The circuit closes again with its answer."""
    stores: list[SqliteStore] = []

    def make_store(time: VirtualTime) -> Fallback:
        stores.append(SqliteStore(tmp_path / f"{len(stores)}.db", clock=time.milliseconds))
        return Fallback(stores[-1], fleet=1, clock=time.milliseconds)

    number, where = 1, ""
    while where is not None:
        world = World(make_store)
        where = call_within_a_call(world, number)
        assert not world.store.degraded, where  # type: ignore[attr-defined]
        world.judge(where)
        stores[-1].close()
        number += 9
    assert number > 500
    assert "this call interrupted its own thread in a transaction" in caplog.text


def test_a_handler_within_a_handler_has_books_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the books aside are in the midst of a change as well. Three levels, each with its lock held by the one below."""
    hand_out, levels, served = Book.hand_out, list[int](), list[int]()
    world = World.with_permits_in_hand()

    def interrupted(book: Book, lease: Lease, ticket: Ticket | None) -> Permit:
        if len(levels) < 3:
            levels.append(len(levels))
            served.append(world.call())
        return hand_out(book, lease, ticket)

    monkeypatch.setattr(Book, "hand_out", interrupted)
    assert world.call() == 200
    assert served == [200] * 3
    assert depth(world.guard.engine._books) == 3
    monkeypatch.undo()
    world.judge("three levels")


def depth(books: Books) -> int:
    return 0 if books._aside is None else 1 + depth(books._aside)


def test_what_was_drawn_aside_is_reported_at_once() -> None:
    """Books that are seldom asked keep nothing in hand, and nothing to themselves."""
    for number in range(1, 60):
        world = World.with_permits_in_hand()
        call_within_a_call(world, number)
        aside = world.guard.engine._books._aside
        if aside is not None:
            (book,) = aside._books.values()
            assert (book.lease, book.unsaid) == (None, {}), number


def test_another_threads_lock_is_waited_for() -> None:
    """Only who holds the lock itself is served aside."""
    books, claim = Books(), Claim("id", "", 10, 60.0)
    taken, done = threading.Event(), threading.Event()

    def hold() -> None:
        with books._lock:
            taken.set()
            done.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    taken.wait(10)
    threading.Timer(0.05, done.set).start()
    books.reserve(claim, 0.0)
    assert done.is_set()
    assert books._aside is None
    thread.join()


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_the_guard_may_be_closed_in_the_midst_of_a_call(kind: str, tmp_path: Path) -> None:
    """As a handler of SIGTERM does. The call that it interrupted may end either way, but it ends."""

    def make_store(time: VirtualTime) -> MemoryStore | SqliteStore:
        return SqliteStore(tmp_path / "quota.db", clock=time.milliseconds) if kind == "sqlite" else MemoryStore()

    for number in range(1, 500, 7):
        world = World(make_store, warm=0)
        with watched(Place(number, lambda world=world: [world.guard.close(), world.store.close()])):
            try:
                world.call()
            except (GuardError, StoreUnavailable) as error:
                assert "closed" in str(error), (number, error)
        assert not world.guard.engine._books._lock.locked()
        world.store.close()


def test_waking_takes_no_lock_that_the_sleeper_may_hold() -> None:
    """A handler wakes the waiter it interrupted: while it went to sleep, slept, or got up."""
    for number in range(1, 100):
        ticket = Ticket()

        def wake(ticket: Ticket = ticket) -> None:
            ticket.woken = True
            if ticket.wake is not None:
                ticket.wake()

        place = Place(number, wake, everywhere=True)
        with watched(place):
            pause(0.001, ticket)


# --- hammered ----------------------------------------------------------------------------------------------------------


@contextmanager
def handler(act: Callable[[], object], chance: random.Random, most: float = 2e-3) -> Iterator[list[int]]:
    """``act`` on a signal, ``most`` seconds at most after the last; how often."""
    times = [0]

    def handle(signum: int, frame: FrameType | None) -> None:
        act()
        times[0] += 1
        signal.setitimer(signal.ITIMER_REAL, chance.uniform(5e-5, most))

    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 1e-3)
    try:
        yield times
    finally:
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Busy:
    """A guard with two clients: urllib3's own queue of connections must not be entered twice by one thread."""

    def __init__(self, store: str, port: int) -> None:
        self.registry = CollectorRegistry()
        self.guard = Guard(
            Retry(),
            Quota(limit=10**6, window=3600),
            store=store,
            max_wait=30,
            observers=[PrometheusObserver(self.registry, buckets=True)],
        )
        self.first, self.second = (
            self.guard.wrap(urllib3.HTTPConnectionPool("127.0.0.1", port, maxsize=4, timeout=10)) for _ in range(2)
        )
        self.statuses: list[int] = []
        for _ in range(3):  # past the first second, in which permits go one by one
            self.call(self.first)
            time.sleep(0.5)

    def call(self, pool: urllib3.HTTPConnectionPool, token: dict[str, str] = TOKEN) -> None:
        self.statuses.append(pool.request("GET", PATH, headers=token).status)

    def close(self) -> None:
        self.guard.close()
        self.first.close()
        self.second.close()


@pytest.mark.parametrize("store", ["memory", "sqlite", "redis"])
def test_a_handler_that_calls_while_its_thread_calls(
    store: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """In a process of its own, for one that hangs is killed. Threads call meanwhile."""
    url = request.getfixturevalue("redis_url") if store == "redis" else f"sqlite:///{tmp_path}/quota.db"
    url = "memory://" if store == "memory" else url
    with Emulator(limit=10**6, window=3600).serve() as served:

        def work() -> tuple[set[int], bool, bool]:
            busy = Busy(url, served.port)
            stop = threading.Event()
            crew = [threading.Thread(target=go_on, args=(busy, stop), daemon=True) for _ in range(2)]
            for thread in crew:
                thread.start()
            with handler(lambda: busy.call(busy.second), random.Random(5)) as times:
                until = time.monotonic() + 1.5
                while time.monotonic() < until:
                    busy.call(busy.first)
            stop.set()
            for thread in crew:
                thread.join()
            found = set(busy.statuses), times[0] > 20, not busy.guard.engine._books._lock.locked()
            busy.close()
            return found

        assert in_child(work) == "({200}, True, True)"
        assert served.emulator.refused == 0


def go_on(busy: Busy, stop: threading.Event) -> None:
    while not stop.is_set():
        busy.call(busy.first)


def test_a_handler_that_calls_while_its_thread_scrapes() -> None:
    with Emulator(limit=10**6, window=3600).serve() as served:

        def work() -> tuple[set[int], bool, bool]:
            busy = Busy("memory://", served.port)
            busy.call(busy.first)
            with handler(lambda: busy.call(busy.second), random.Random(6)) as times:
                until = time.monotonic() + 1.5
                while time.monotonic() < until:
                    text = generate_latest(busy.registry).decode()
            counted = f" {float(times[0] + 4)}\n" in generate_latest(busy.registry).decode()
            busy.close()
            return set(busy.statuses), "clever_guard_calls_total" in text and times[0] > 20, counted

        assert in_child(work) == "({200}, True, True)"


def test_a_handler_that_calls_while_its_thread_waits_for_the_budget() -> None:
    """The wait goes on. Another token's call is served at once."""
    with Emulator(limit=2, window=1).serve() as served:
        busy = Busy("memory://", served.port)
        guard = Guard(Retry(), Quota(limit=2, window=1), max_wait=30)
        pool = guard.wrap(urllib3.HTTPConnectionPool("127.0.0.1", served.port, timeout=10))
        with handler(lambda: busy.call(busy.second, {"Authorization": "Bearer another"}), random.Random(7), 0.1):
            statuses = [pool.request("GET", PATH, headers=TOKEN).status for _ in range(4)]
        assert statuses == [200] * 4
        assert set(busy.statuses) == {200}
        busy.close()
        guard.close()
        pool.close()


# --- finalizers ----------------------------------------------------------------------------------------------------------


class Farewell:
    """Makes a guarded call when the collector finds it, and drops a guarded pool."""

    def __init__(self, world: World, said: list[int]) -> None:
        self.world = world
        self.said = said
        self.pool = world.guard.wrap(urllib3.HTTPConnectionPool("127.0.0.1", 9))
        self.itself = self

    def __del__(self) -> None:
        self.said.append(self.world.call())


def test_a_finalizer_that_calls_inside_any_lock() -> None:
    said: list[int] = []
    number, where = 1, ""
    gc.disable()
    try:
        while where is not None:
            world = World()
            Farewell(world, said)
            place = Place(number, gc.collect)
            with watched(place):
                assert world.call() == 200, place.where
            where = place.where
            gc.collect()
            world.judge(where)
            number += 41
    finally:
        gc.enable()
    assert len(said) > 10
    assert set(said) == {200}


def test_the_collector_may_run_at_every_allocation() -> None:
    """Here as often as it can, with finalizers that call, while a thread calls and draws."""
    with Emulator(limit=10**6, window=3600).serve() as served:

        def work() -> tuple[set[int], bool]:
            busy = Busy("memory://", served.port)
            drop: Any = lambda: Remark(busy)  # noqa: E731
            before = gc.get_threshold()
            gc.set_threshold(7, 1, 1)
            for _ in range(150):
                drop()
                busy.call(busy.first)
            gc.set_threshold(*before)
            gc.collect()
            return set(busy.statuses), len(busy.statuses) > 250

        assert in_child(work) == "({200}, True)"


class Remark:
    """A cycle, so that only the collector finds it."""

    def __init__(self, busy: Busy) -> None:
        self.busy = busy
        self.itself = self

    def __del__(self) -> None:
        self.busy.call(self.busy.second)
