"""Every place where CPython may run a signal handler or a finalizer in the guard's own code, one after the other.

CPython looks for signals where a function begins, after each call and at backward jumps, and nowhere else: a ``with`` over a lock written in C
is left by one such call. A profile function is told of each begin and each end, at the same places; a line tracer would be told of others,
where nothing can ever happen.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from prometheus_client import CollectorRegistry

import clever_guard
from clever_guard import Guard, Quota, Retry
from clever_guard.model import Outcome, Reply, Request
from clever_guard.observe.prometheus import PrometheusObserver
from clever_guard.quota.store import Store
from clever_guard.stores import MemoryStore
from clever_guard.testing import Emulator
from clever_guard.testing.clock import VirtualTime
from clever_guard.testing.emulator.core import Arrival

PACKAGE = str(Path(clever_guard.__file__).parent)
PURE = ("record", "ageing", "granting", "hearing", "bracket", "settling", "pace", "ledger", "names")
PASSED_OVER = (f"{PACKAGE}/testing/", f"{PACKAGE}/dialects/", *(f"{PACKAGE}/quota/{name}.py" for name in PURE))
"""The tests' own; and pure functions, of which nothing is left when they are cut off."""
PLACES = ("call", "return", "c_return")
LIMIT, WINDOW = 4, 10.0


class Interrupted(BaseException):
    """As KeyboardInterrupt, without ending the tests."""


def interrupted() -> None:
    raise Interrupted


class Place:
    """Does ``act`` at the ``number``-th place, once. ``where`` says which that was; None where there are not so many.

    ``everywhere``: at the library's places too.
    """

    def __init__(self, number: int, act: Callable[[], object], *, everywhere: bool = False) -> None:
        self._left = number
        self._act = act
        self._everywhere = everywhere
        self.where: str | None = None

    def __call__(self, frame: FrameType, event: str, arg: Any) -> None:
        name = frame.f_code.co_filename
        if event not in PLACES or not (self._everywhere or _counts(name)):
            return
        self._left -= 1
        if self._left == 0:
            self.where = f"{name.removeprefix(PACKAGE)}:{frame.f_lineno} ({event}, {frame.f_code.co_name})"
            self._act()


def _counts(name: str) -> bool:
    return name.startswith(PACKAGE) and not name.startswith(PASSED_OVER)


@contextmanager
def watched(place: Place) -> Any:
    sys.setprofile(place)
    try:
        yield
    finally:
        sys.setprofile(None)


class World:
    """One guard on virtual time before an API with four requests in ten seconds. Nothing waits, everything is counted."""

    def __init__(
        self, make_store: Callable[[VirtualTime], Store] | None = None, *, warm: int = 1, limit: int = LIMIT
    ) -> None:
        self.time = VirtualTime()
        self.emulator = Emulator(limit=limit, window=WINDOW)
        self.guard = Guard(
            Retry(),
            Quota(limit=limit, window=WINDOW),
            observers=[PrometheusObserver(CollectorRegistry(), buckets=True)],
            max_wait=1000,
        )
        self.store = MemoryStore(self.time.milliseconds) if make_store is None else make_store(self.time)
        self.guard.engine.run_on(self.time.clock, self.time.wall, self.time.pause, self.store)
        for _ in range(warm):
            assert self.call() == 200

    @classmethod
    def with_permits_in_hand(cls, make_store: Callable[[VirtualTime], Store] | None = None) -> World:
        world = cls(make_store, limit=100)
        world.time.pause(1.1)
        for _ in range(5):
            world.call()
        return world

    def call(self) -> int:
        request = Request(
            "GET", "https", "api.example", None, "/", {"Authorization": "Bearer t"}, "clever", max_wait=1000
        )
        outcome = self.guard.call(request, self)
        assert isinstance(outcome, Reply)
        return outcome.status

    def send(self, request: Request, /) -> Outcome:
        self.time.pause(0.01)
        headers = {"authorization": "Bearer t"}
        answer = self.emulator.handle(Arrival("GET", "/v2.0/students", "limit=1", headers), self.time.wall())
        return Reply(answer.status, Fields(answer.headers), object())

    def discard(self, outcome: Outcome, /) -> None:
        """There is no connection."""

    def judge(self, where: object, calls: int = 2 * LIMIT) -> None:
        """Usable as before: nothing is locked, nobody waits for ever, and nothing is spent that is not there."""
        assert not self.guard.engine._books._lock.locked(), where
        before = self.time.clock()
        assert [self.call() for _ in range(calls)] == [200] * calls, where
        assert self.time.clock() - before < 4 * WINDOW, where
        windows = next(iter(self.emulator.budgets["t"].values())).windows
        assert [window.refused for window in windows] == [0] * len(windows), where
        for book in self.guard.engine._books._books.values():
            assert not book.promised, where


class Fields(dict[str, str]):
    """Header fields, by name without regard to case."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        super().__init__({name.lower(): value for name, value in pairs})

    def get(self, name: str, default: Any = None, /) -> Any:
        return super().get(name.lower(), default)
