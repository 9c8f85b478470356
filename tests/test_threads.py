"""Many threads and many tokens on one guard: the budget is kept, everybody is served in turn, and memory stays bounded."""

from __future__ import annotations

import gc
import threading
import time
import tracemalloc
from dataclasses import dataclass, field
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from clever_guard import Guard, Quota, Retry
from clever_guard.model import Outcome, Reply, Request
from clever_guard.observe.prometheus import PrometheusObserver
from clever_guard.parts.keys import KEPT
from clever_guard.quota import books as books_module
from clever_guard.stores import MemoryStore
from clever_guard.stores.fallback import REMEMBERED, Fallback
from clever_guard.testing import Emulator
from clever_guard.testing.clock import VirtualTime
from clever_guard.testing.emulator.core import Arrival
from tests._points import Fields


@dataclass
class Api:
    """The emulator without a socket: its log is the truth. ``served`` says who was admitted, in order."""

    limit: int
    window: float
    served: list[tuple[str, float]] = field(default_factory=list)
    clock: Any = time.time

    def __post_init__(self) -> None:
        self.emulator = Emulator(limit=self.limit, window=self.window)
        self._lock = threading.RLock()  # handlers of a test may call

    def send(self, request: Request, /) -> Outcome:
        headers = {"authorization": request.headers.get("Authorization") or ""}
        now = self.clock()
        with self._lock:
            answer = self.emulator.handle(Arrival("GET", "/v2.0/students", "limit=1", headers), now)
            self.served.append((request.target, now))
        return Reply(answer.status, Fields(answer.headers), object())

    def discard(self, outcome: Outcome, /) -> None:
        """There is no connection."""

    def windows(self) -> list[Any]:
        (budget,) = next(iter(self.emulator.budgets.values())).values()
        return budget.windows


def call(guard: Guard, api: Api, who: object = "", token: str = "t", max_wait: float = 300.0) -> int:
    request = Request(
        "GET",
        "https",
        "api.example",
        None,
        str(who),
        {"Authorization": f"Bearer {token}"},
        guard.name,
        max_wait=max_wait,
    )
    outcome = guard.call(request, api)
    assert isinstance(outcome, Reply)
    return outcome.status


def test_a_thousand_threads(record_property: Any) -> None:
    """Two calls each, before a budget of 500 in two seconds: every call is served, none is refused."""
    api = Api(500, 2.0)
    guard = Guard(Retry(), Quota(limit=500, window=2), observers=[PrometheusObserver(CollectorRegistry())])
    statuses: list[int] = []
    ready = threading.Barrier(1001)

    def work(number: int) -> None:
        ready.wait(60)
        statuses.extend(call(guard, api, number) for _ in range(2))

    before = threading.stack_size(256 * 1024)
    crew = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(1000)]
    for thread in crew:
        thread.start()
    threading.stack_size(before)
    ready.wait(60)
    begun = time.monotonic()
    for thread in crew:
        thread.join(100)
    took = time.monotonic() - begun
    assert statuses == [200] * 2000
    assert (api.emulator.admitted, api.emulator.refused) == (2000, 0)
    assert all(window.admitted <= 500 for window in api.windows())
    record_property("seconds", took)
    books = guard.engine._books._books
    assert not any(book.waiting or book.promised for book in books.values())
    guard.close()


def test_those_who_wait_are_served_in_the_order_of_arrival() -> None:
    """Across windows; within one, threads that were woken together may overtake each other."""
    api = Api(10, 1.0)
    guard = Guard(Quota(limit=10, window=1))
    while api.emulator.admitted < 10:
        call(guard, api, "before")
    books = guard.engine._books._books
    crew = []
    for number in range(40):
        crew.append(threading.Thread(target=call, args=(guard, api, number), daemon=True))
        crew[-1].start()
        waiting = number + 1
        while sum(len(book.waiting) for book in books.values()) < waiting and len(api.served) < 11:
            time.sleep(0.001)
    for thread in crew:
        thread.join(60)
    order = [int(who) for who, _ in api.served if who != "before"]
    assert sorted(order) == list(range(40))
    assert max(abs(place - who) for place, who in enumerate(order)) <= 10
    assert api.emulator.refused == 0
    guard.close()


def test_those_who_give_up_at_once_do_not_stand_in_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that may not wait leaves its place in the queue; a thousand of them would be promised a thousand permits."""
    time_ = VirtualTime()
    api = Api(4, 10.0, clock=time_.wall)
    guard = Guard(Quota(limit=4, window=10))
    guard.engine.run_on(time_.clock, time_.wall, time_.pause, MemoryStore(time_.milliseconds))
    for _ in range(4):
        call(guard, api)
        time_.pause(0.5)
    for _ in range(1000):
        with pytest.raises(Exception, match="no permit for bucket"):
            call(guard, api, max_wait=0.0)
    (book,) = guard.engine._books._books.values()
    assert not book.waiting
    begun = time_.clock()
    assert [call(guard, api) for _ in range(4)] == [200] * 4
    assert time_.clock() - begun < 15
    guard.close()


class Tokens:
    """One call for each of many tokens, a tenth of a second apart, on virtual time."""

    def __init__(self, **options: Any) -> None:
        self.time = VirtualTime()
        self.api = Api(10, 1.0, clock=self.time.wall)
        self.registry = CollectorRegistry()
        observer = PrometheusObserver(self.registry, buckets=True, max_buckets=50)
        self.guard = Guard(Retry(), Quota(limit=10, window=1), observers=[observer])
        self.store = MemoryStore(self.time.milliseconds)
        self.fallback = Fallback(self.store, clock=self.time.milliseconds)
        self.guard.engine.run_on(self.time.clock, self.time.wall, self.time.pause, self.fallback)
        self.count = 0

    def visit(self, count: int) -> None:
        for _ in range(count):
            self.count += 1
            assert call(self.guard, self.api, token=f"token{self.count}") == 200
            self.api.emulator.budgets.clear()
            self.api.served.clear()
            self.time.pause(0.1)

    @property
    def quota(self) -> Any:
        return self.guard.policies[1]


def test_thousands_of_idle_tokens_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Books above their number, ledgers ten windows after their last command, claims and digests by number, series by number."""
    monkeypatch.setattr(books_module, "MAX_BOOKS", 500)
    tokens = Tokens()
    tokens.visit(2500)
    engine = tokens.guard.engine
    assert len(engine._books._books) <= 500
    assert len(engine._books._leasing) + len(engine._books._talkative) <= 500
    assert len(tokens.store._records) <= 1000 + 200, "swept each thousand commands"
    assert len(tokens.fallback._known) <= REMEMBERED
    assert len(tokens.quota._claims) <= KEPT
    text = generate_latest(tokens.registry).decode()
    assert text.count("clever_guard_quota_limit{") <= 50
    assert text.count("clever_guard_permits_total{") <= 4 * 51
    tokens.guard.close()


def test_a_token_costs_as_much_as_the_one_before() -> None:
    """In bytes, where nothing is forgotten yet. A few thousand for a ledger, a book and a claim."""
    tokens = Tokens()
    tokens.visit(100)
    gc.collect()
    tracemalloc.start()
    sizes = []
    for _ in range(2):
        before = tracemalloc.get_traced_memory()[0]
        tokens.visit(200)
        gc.collect()
        sizes.append((tracemalloc.get_traced_memory()[0] - before) / 200)
    tracemalloc.stop()
    assert max(sizes) < 12_000, sizes
    assert sizes[1] < 1.5 * sizes[0], sizes
    tokens.guard.close()
